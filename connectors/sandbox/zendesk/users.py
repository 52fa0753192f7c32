"""Zendesk's users, one at a time: written, found, deleted softly, and the addresses each has."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import Twin, route
from connectors.sandbox.zendesk.account import Account, User
from connectors.sandbox.zendesk.fields import Refused, absent
from connectors.sandbox.zendesk.jobs import MOST_ROWS
from connectors.sandbox.zendesk.wire import API, Throttled, listed, part, said

MINUTE = 60.0


class Users(Twin):
    """What of the twin concerns users, jobs apart."""

    def reset_users(self) -> None:
        self.updates_a_minute: int | None = None
        """How often one and the same user may be updated by itself: 5, of a clock that runs as waits do
        (recorded: the sixth is refused); None: as often as asked."""
        self.updated: dict[int, list[float]] = {}
        self.role = "admin"
        """Of the OAuth client's user."""

    @abstractmethod
    def account(self, request: Request) -> Account:
        """Whose token the request carries."""

    @route("GET", f"{API}/users/me")
    def me(self, request: Request) -> Response:
        site = self.account(request).site
        shown = {"id": 1, "url": f"{site}/api/v2/users/1.json", "name": "Octo", "role": self.role}
        return said({"user": shown})

    @route("POST", f"{API}/users/create_or_update")
    def create_or_update(self, request: Request) -> Response:
        account, asked = self.account(request), part(request, "user")
        known = account.by_external_id(str(asked.get("external_id")))
        if known:
            self.meter(known)
        user, created = account.upsert(asked, self.clock())
        return said({"user": account.shown(user)}, 201 if created else 200)

    @route("GET", f"{API}/users/show_many")
    def show_many(self, request: Request) -> Response:
        account = self.account(request)
        keys = request.args.get("external_ids", "").split(",")
        numbers = [int(one) for one in request.args.get("ids", "").split(",") if one]
        if len(keys) > MOST_ROWS or len(numbers) > MOST_ROWS:
            raise Refused(400, "TooManyValues", "Maximum 100 users may be shown per call")
        found = [account.by_external_id(key) for key in keys if key]
        found += [account.users.get(number) for number in numbers]
        return listed("users", [account.shown(user) for user in found if user])

    @route("GET", f"{API}/users/search")
    def search(self, request: Request) -> Response:
        account = self.account(request)
        key, query = request.args.get("external_id"), request.args.get("query", "")
        found = account.by_external_id(key) if key is not None else account.by_email(query)
        return listed("users", [account.shown(found)] if found else [])

    @route("GET", f"{API}/users/<int:number>")
    def show_user(self, request: Request, number: int) -> Response:
        account = self.account(request)
        return said({"user": account.shown(the(account, number))})

    @route("PUT", f"{API}/users/<int:number>")
    def update_user(self, request: Request, number: int) -> Response:
        account = self.account(request)
        user = the(account, number)
        self.meter(user)
        account.write(user, part(request, "user"), self.clock())
        return said({"user": account.shown(user)})

    @route("DELETE", f"{API}/users/<int:number>")
    def delete_user(self, request: Request, number: int) -> Response:
        account = self.account(request)
        user = the(account, number)
        account.delete(user)
        return said({"user": account.shown(user)})

    def meter(self, user: User) -> None:
        """429 for a user that was updated too often within a minute, in the recorded words."""
        now = self.clock()
        recent = [at for at in self.updated.get(user.id, ()) if at > now - MINUTE]
        if self.updates_a_minute is not None and len(recent) >= self.updates_a_minute:
            told = "You have exceeded the rate limit for updating a single unique user."
            raise Throttled(told, recent[0] + MINUTE - now)
        self.updated[user.id] = [*recent, now]

    @route("POST", f"{API}/users")
    def create_user(self, request: Request) -> Response:
        account, asked = self.account(request), part(request, "user")
        return said({"user": account.shown(account.create(asked, self.clock()))}, 201)

    @route("GET", f"{API}/users/<int:number>/identities")
    def show_identities(self, request: Request, number: int) -> Response:
        user = the(self.account(request), number)
        return listed("identities", identities(self.account(request), user))

    @route("PUT", f"{API}/users/<int:number>/identities/<int:identity>/make_primary")
    def make_primary(self, request: Request, number: int, identity: int) -> Response:
        user = the(self.account(request), number)
        email = user.emails.pop(identity % 1_000 - 1)
        user.emails.insert(0, email)
        return listed("identities", identities(self.account(request), user))


def identities(account: Account, user: User) -> list[dict[str, Any]]:
    """The addresses of a user, the primary one first. An id is the user's with the place behind it."""
    return [
        {
            "url": f"{account.site}{API}/users/{user.id}/identities/{user.id * 1_000 + place}.json",
            "id": user.id * 1_000 + place,
            "user_id": user.id,
            "type": "email",
            "value": email,
            "verified": bool(user.plain.get("verified")),
            "primary": place == 1,
            "undeliverable_count": 0,
            "deliverable_state": "deliverable",
        }
        for place, email in enumerate(user.emails, start=1)
    ]


def the(account: Account, number: int) -> User:
    """The user a path names. Refused when there is none, or it was deleted."""
    user = account.users.get(number)
    if user is None or not user.active:
        raise absent()
    return user
