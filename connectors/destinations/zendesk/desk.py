"""One signed-in Zendesk account, spoken to through zenpy: the only file that imports it (GPLv3).

zenpy builds the addresses, wraps the bodies, follows the pages. It would also wait and repeat by itself,
but never gets to: the session reads every reply first, and raises what the engine acts upon.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests
from zenpy import Zenpy
from zenpy.lib.api_objects import Ticket, User, UserField
from zenpy.lib.exception import APIException

from octo_dagster.destination import words
from octo_dagster.errors import BatchRejected

MANY = 100
"""Most users in one call, read or written (reference: 400 TooManyValues beyond it)."""
ADDRESS_CHARACTERS = 6_000
"""Of the keys in one address, once quoted: well below what proxies allow."""

UNFINISHED = frozenset({"queued", "working"})
"""What a job is that may still do something."""

LACKING = {
    "users": "user fields cannot be made, nor users written by the hundred",
    "tickets": "tickets cannot be made for other people",
}

logging.getLogger("zenpy").setLevel(logging.WARNING)  # at DEBUG it logs every body: whole customers

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """A background job as it is now."""

    status: str
    results: Sequence[Record]
    """One row for each row asked, in order; none before it is completed."""


class Desk:
    """The client handed from `connect` to every verb. Reads the account's user fields once."""

    def __init__(self, subdomain: str, token: str, http: requests.Session) -> None:
        self.site = f"https://{subdomain}.zendesk.com"
        http.hooks["response"] = [self.as_asked]
        self.client = Zenpy(subdomain=subdomain, oauth_token=token, session=http, disable_cache=True)
        self.http = http
        self.may_bulk = True
        self.under_way: dict[str, None] = {}
        """The jobs begun here that were not seen to end, oldest first."""
        self.ended: dict[str, Job] = {}
        """Those that were, until they are asked for."""
        self.known: dict[str, Record] | None = None

    def as_asked(self, reply: requests.Response, **options: Any) -> None:
        """Show zenpy the address it asked: by its host it knows a reply, whatever road the call took."""
        _, root, path = str(reply.request.url).partition("/api/v2/")
        reply.request.url = f"{self.site}{root}{path}"

    def host(self) -> str:
        """The account's host, as Zendesk spells it."""
        return str(self.client.users.me().url).split("/")[2]

    def lacking(self, kind: str) -> tuple[str, ...]:
        """What the client's user may not do. User fields are made, and many users written, by admins only
        (reference, User Fields and Users: "Allowed For"); tickets for others are made by agents too."""
        role = str(self.client.users.me().role)
        if role == "admin" or (role == "agent" and kind == "tickets"):
            return ()
        needed = "admin" if kind == "users" else "agent"
        return (f"{needed.capitalize()} role: this user is an {role}; {LACKING[kind]}",)

    # user fields -----------------------------------------------------------------------------------

    def fields(self, *, again: bool = False) -> dict[str, Record]:
        """Key → user field."""
        if self.known is None or again:
            self.known = {field.key: vars(field) for field in self.client.user_fields()}
        return self.known

    def make_field(self, field: Record) -> requests.Response | None:
        """Make a user field; the refusal when Zendesk will not."""
        return refusal(lambda: self.client.user_fields.create(UserField(**field)))

    # users -----------------------------------------------------------------------------------------

    def upsert(self, users: Sequence[Record]) -> str | None:
        """Create or update: a job's id for many; one alone is done at once, and None."""
        return self.carry_out(self.client.users.create_or_update, users)

    def update(self, users: Sequence[Record]) -> str | None:
        """Change users by `id`; never create one. One alone that is gone by now is as good as done."""
        return self.carry_out(self.client.users.update, users)

    def carry_out(self, call: Callable[[Any], Any], users: Sequence[Record]) -> str | None:
        """BatchRejected for many where bulk import is off: cut down to one, they go one by one."""
        made = [as_sent(User(), user) for user in users]
        if len(made) == 1:
            refusal(lambda: call(made[0]))
            return None
        started: list[Any] = []
        if self.may_bulk:
            self.may_bulk = refusal(lambda: started.append(call(made))) is None
        if not started:
            raise BatchRejected("zendesk: user bulk import is off for this account")
        self.under_way[str(started[0].id)] = None
        return str(started[0].id)

    def job(self, number: str) -> Job | None:
        """A background job; None when Zendesk does not know it (any more). One look is at all that are under
        way, since every look spends the account's quota."""
        found = self.ended.pop(number, None)
        if found is not None:
            return found
        looked = self.looked(list({number: None, **self.under_way})[:MANY])
        self.ended |= {one: job for one, job in looked.items() if job.status not in UNFINISHED}
        for one in looked.keys() & self.ended.keys():
            self.under_way.pop(one, None)
        self.ended.pop(number, None)
        return looked.get(number)

    def looked(self, numbers: Sequence[str]) -> dict[str, Job]:
        """Those of these jobs that Zendesk knows, as they are now; none where it says so by a 404."""
        found: dict[str, Job] = {}
        told: list[Any] = []
        refusal(lambda: told.extend(self.client.job_status(ids=numbers)["job_statuses"]))
        for job in told:
            rows = job.results if isinstance(job.results, list) else []
            lines = [vars(row) if hasattr(row, "api") else row for row in rows]
            found[str(job.id)] = Job(str(job.status), lines)
        return found

    def users(self, keys: Iterable[str]) -> Iterator[Any]:
        """The users that have these external ids. An id with a comma in it is asked for alone."""
        plain = []
        for key in keys:
            if "," in key:
                yield from self.client.users.search(external_id=key)
            else:
                plain.append(quote(key, safe=""))  # zenpy puts it into the address as it is
        for some in packed(plain):
            yield from self.client.users(external_ids=some)

    def put_first(self, number: int, email: str) -> str | None:
        """Make an address the user has the first one; why not, when Zendesk will not or has it not."""
        held: list[Any] = []
        refusal(lambda: held.extend(self.client.users.identities(id=number)))
        for identity in held:
            if identity.type == "email" and identity.value.lower() == email.lower():
                refused = refusal(lambda: self.client.users.identities.make_primary(number, identity.id))  # noqa: B023
                return words(refused) if refused is not None else None
        return "Zendesk keeps another address"

    def external_id(self, number: int) -> str | None:
        """The external id of the user Zendesk knows by this number."""
        return next((user.external_id for user in self.client.users(ids=[number])), None)

    # tickets ---------------------------------------------------------------------------------------

    def tickets(self, key: str) -> list[Any]:
        """The tickets that have this very external id, but for archived ones, which no list shows (reference,
        List Tickets). A key with a comma in it would be taken for several."""
        found = self.client.tickets(external_id=quote(key, safe=""))
        return [ticket for ticket in found if (ticket.external_id or "").lower() == key.lower()]

    def make_ticket(self, ticket: Record, once: str) -> None:
        """Make a ticket. Repeated within two hours under the same `once` it is the same ticket (reference,
        "Idempotency"); zenpy has no way to send that header, so this call goes beside it."""
        url = f"{self.site}/api/v2/tickets.json"
        self.http.post(url, json={"ticket": dict(ticket)}, headers={"Idempotency-Key": once})

    def change_ticket(self, number: int, values: Record) -> None:
        self.client.tickets.update(as_sent(Ticket(), {**values, "id": number}))


def as_sent(made: Any, values: Record) -> Any:
    """A zenpy object that sends exactly these values: given to its constructor, a None would not go."""
    for name, value in values.items():
        setattr(made, name, value)
    return made


def refusal(call: Callable[[], Any]) -> requests.Response | None:
    """The reply, when it is one that `Zendesk.failure` left to be read here; zenpy tells it by raising."""
    try:
        call()
    except (APIException, requests.HTTPError) as error:
        refused: requests.Response = error.response
        return refused
    return None


def packed(keys: Iterable[str]) -> Iterator[list[str]]:
    """Lists of keys that fit into one call."""
    held: list[str] = []
    used = 0
    for key in keys:
        if held and (len(held) == MANY or used + len(key) > ADDRESS_CHARACTERS):
            yield held
            held, used = [], 0
        held.append(key)
        used += len(key) + 1
    if held:
        yield held
