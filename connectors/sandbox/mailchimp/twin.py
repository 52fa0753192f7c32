"""Mailchimp's twin: members, merge fields and tags of an audience each in two accounts.

The keys `sandboxkey-us21` and `sandboxkey2-us21` open them; each has one audience, `Acme`.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.mailchimp.audience import Audience, hashed
from connectors.sandbox.mailchimp.fields import made
from connectors.sandbox.mailchimp.reports import Reports
from connectors.sandbox.mailchimp.wire import API, Refused, absent, page, read, said, unfit
from connectors.sandbox.twin import route

SIMULTANEOUS = 10
"""Connections a key may have open at once (fundamentals, "Throttling")."""
MOST_MOVED = 500
MOST_FOUND = 10
"""Tags a search tells of: the spec has no `count` here, so the usual default is taken."""
SEGMENT = f"{API}/lists/<list_id>/segments/<int:number>"


class Mailchimp(Reports):
    """`https://us21.api.mailchimp.com`, told apart by the key."""

    name: ClassVar[str] = "mailchimp"
    keys: ClassVar[Mapping[str, str]] = {"MAILCHIMP_API_KEY": "sandboxkey-us21"}
    settings: ClassVar[Mapping[str, str]] = {"audience": "Acme", "tag": "Octo customers"}
    own_faults: ClassVar[frozenset[str]] = frozenset({"overload"})
    """`overload`: a bare 403 without JSON, as Mailchimp answers under heavy load."""
    bookkeeping: ClassVar[frozenset[str]] = frozenset({"last_changed"})

    def reset(self) -> None:
        self.bodies: list[tuple[str, str, Any]] = []
        """Every write asked for: method, path, body. For tests that prove what is never sent."""
        self.open = threading.Semaphore(SIMULTANEOUS)
        self.accounts = {
            "sandboxkey-us21": [standard("a1b2c3d4e5", "Acme")],
            "sandboxkey2-us21": [standard("b1b2c3d4e5", "Acme")],
        }
        self.campaigns = {}
        self.role = "owner"
        self.deaf_to_new_status = False
        self.meanwhile = None

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        """The first account's first audience."""
        (first, *_), *_ = self.accounts.values()
        rows = [
            {
                "email": member.email,
                "status": member.status,
                **{tag: value for tag, value in member.merge.items() if value != ""},
                "tags": ", ".join(first.tags[number] for number in member.tags),
                "last_changed": member.changed,
            }
            for member in first.members.values()
        ]
        return {"members": rows, "merge_fields": [field.shown(first.id) for field in first.fields.values()]}

    # how it answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        if not self.open.acquire(blocking=False):
            return self.throttled(0)
        try:
            with self.lock:
                if self.fault("overload"):
                    return Response("<html><body>403 Forbidden</body></html>", 403, content_type="text/html")
                if request.method != "GET":
                    self.bodies.append((request.method, request.path, request.get_json(silent=True)))
            return super().answer(request)
        except Refused as refused:
            return refused.told()
        finally:
            self.open.release()

    def authenticate(self, request: Request) -> Response | None:
        if self.key(request) in self.accounts:
            return None
        told = "Your API key may be invalid, or you've attempted to access the wrong datacenter."
        return Refused(401, "API Key Invalid", told).told()

    @staticmethod
    def key(request: Request) -> str:
        given = request.authorization
        return str((given.password if given.type == "basic" else given.token) or "") if given else ""

    def refusal(self, error: HTTPException) -> Response:
        return absent().told()

    def throttled(self, wait: float) -> Response:
        """Neither a rate header nor `Retry-After` (fundamentals)."""
        told = f"You have exceeded the limit of {SIMULTANEOUS} simultaneous connections."
        return Refused(429, "Too Many Requests", told).told()

    def broken(self, status: int) -> Response:
        return Refused(status, "Internal Server Error", "An unexpected internal error has occurred.").told()

    def audience(self, request: Request, list_id: str) -> Audience:
        for audience in self.accounts[self.key(request)]:
            if audience.id == list_id:
                return audience
        raise absent()

    # account and audiences -------------------------------------------------------------------------

    @route("GET", f"{API}/")
    def root(self, request: Request) -> Response:
        key = self.key(request)
        return said(
            request,
            {
                "account_id": hashed(key)[:25],
                "login_id": hashed(key)[:12],
                "account_name": "Octo sandbox",
                "email": "owner@example.com",
                "first_name": "Ada",
                "last_name": "Sandbox",
                "username": "ada",
                "role": self.role,
                "pricing_plan_type": "forever_free",
                "account_timezone": "Europe/Paris",
                "total_subscribers": sum(
                    member.status == "subscribed"
                    for one in self.accounts[key]
                    for member in one.members.values()
                ),
            },
        )

    @route("GET", f"{API}/ping")
    def ping(self, request: Request) -> Response:
        return said(request, {"health_status": "Everything's Chimpy!"})

    @route("GET", f"{API}/lists")
    def show_lists(self, request: Request) -> Response:
        audiences = self.accounts[self.key(request)]
        shown = [{"id": one.id, "name": one.name, "stats": counts(one)} for one in page(request, audiences)]
        return said(request, {"lists": shown, "total_items": len(audiences)})

    @route("GET", f"{API}/lists/<list_id>")
    def show_list(self, request: Request, list_id: str) -> Response:
        one = self.audience(request, list_id)
        return said(request, {"id": one.id, "name": one.name, "stats": counts(one)})

    # merge fields ----------------------------------------------------------------------------------

    @route("GET", f"{API}/lists/<list_id>/merge-fields")
    def show_fields(self, request: Request, list_id: str) -> Response:
        fields = self.audience(request, list_id).fields.values()
        shown = [field.shown(list_id) for field in page(request, [*fields])]
        return said(request, {"merge_fields": shown, "list_id": list_id, "total_items": len(fields)})

    @route("POST", f"{API}/lists/<list_id>/merge-fields")
    def add_field(self, request: Request, list_id: str) -> Response:
        audience = self.audience(request, list_id)
        field = made(read(request), len(audience.fields) + 1, audience.fields)
        audience.fields[field.tag] = field
        return said(request, field.shown(list_id))

    # tags, which are static segments ---------------------------------------------------------------

    @route("GET", f"{API}/lists/<list_id>/tag-search")
    def search_tags(self, request: Request, list_id: str) -> Response:
        audience, name = self.audience(request, list_id), request.args.get("name", "").lower()
        found = [
            {"id": number, "name": tag}
            for number, tag in audience.tags.items()
            if tag.lower().startswith(name)
        ]
        return said(request, {"tags": found[:MOST_FOUND], "total_items": len(found)})

    @route("GET", f"{API}/lists/<list_id>/segments")
    def show_segments(self, request: Request, list_id: str) -> Response:
        """Tags are all the segments there are here, so a `type` other than `static` finds none."""
        audience = self.audience(request, list_id)
        rows = [*audience.tags.items()] if request.args.get("type", "static") == "static" else []
        shown = [
            {"id": number, "name": name, "type": "static", "list_id": list_id}
            for number, name in page(request, rows)
        ]
        return said(request, {"segments": shown, "list_id": list_id, "total_items": len(rows)})

    @route("POST", SEGMENT)
    def move_members(self, request: Request, list_id: str, number: int) -> Response:
        """Add to and take from a tag; addresses that cannot be are told of together."""
        audience, body = self.segment(request, list_id, number), read(request)
        told: dict[str, Any] = {"errors": []}
        for name, verb in (("members_to_add", "added"), ("members_to_remove", "removed")):
            asked = body.get(name, [])
            if len(asked) > MOST_MOVED:
                raise unfit((name, f"A maximum of {MOST_MOVED} members can be sent."))
            moved, failed = self.move(audience, number, asked, verb)
            told |= {f"members_{verb}": moved, f"total_{verb}": len(moved)}
            if failed:
                told["errors"].append({"email_addresses": failed, "error": f"Email addresses not {verb}"})
        return said(request, told | {"error_count": len(told["errors"])})

    def move(
        self, audience: Audience, number: int, asked: list[str], verb: str
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Who was moved, and the addresses that were not: not on the list, archived, there already or not."""
        moved, failed = [], []
        for email in asked:
            member = audience.members.get(hashed(email))
            there = member is not None and member.status != "archived"
            if member is None or not there or (number in member.tags) is (verb == "added"):
                failed.append(email)
                continue
            kept = [held for held in member.tags if held != number]
            member.tags = [*kept, number] if verb == "added" else kept
            moved.append({**audience.briefly(member), **audience.tagged(member)})
        return moved, failed

    @route("GET", f"{SEGMENT}/members")
    def show_segment(self, request: Request, list_id: str, number: int) -> Response:
        """Subscribed members, and of the others those that are asked for; never pending or archived ones."""
        audience = self.segment(request, list_id, number)
        extra = ("cleaned", "transactional", "unsubscribed")
        wanted = {"subscribed", *(one for one in extra if request.args.get(f"include_{one}") == "true")}
        rows = [m for m in audience.members.values() if number in m.tags and m.status in wanted]
        shown = [audience.briefly(member) for member in page(request, rows)]
        self.served(request)
        return said(request, {"members": shown, "total_items": len(rows)})

    def segment(self, request: Request, list_id: str, number: int) -> Audience:
        """The audience, if it has this segment."""
        audience = self.audience(request, list_id)
        if number not in audience.tags:
            raise absent()
        return audience


def standard(list_id: str, name: str) -> Audience:
    """An audience as Mailchimp makes it."""
    made = Audience(list_id, name)
    for tag, kind in (("FNAME", "text"), ("LNAME", "text"), ("ADDRESS", "address"), ("PHONE", "phone")):
        made.add_field(tag, kind)
    return made


def counts(audience: Audience) -> dict[str, int]:
    statuses = [member.status for member in audience.members.values()]
    return {
        "member_count": statuses.count("subscribed"),
        "unsubscribe_count": statuses.count("unsubscribed"),
        "cleaned_count": statuses.count("cleaned"),
        "merge_field_count": len(audience.fields),
    }
