"""Zendesk Support: what a helpdesk knows of its users, and tickets for a call list.

    subdomain: acme                  of acme.zendesk.com
    auth: {client_id: {env: …}, client_secret: {env: …}}     an OAuth client (client credentials)
    object: users | tickets
    key.to: external_id

Users are found by external id, or adopted by their address when `email` is mapped and Zendesk knows it: they
then carry the shop's id, instead of any other. A new one needs `name`. An update only adds an address beside
the first (reference, Users), so a changed one is then put first; map it with `create_only: true` where agents
are to decide that. For a segment map a boolean: it becomes a checkbox, and with `tag_people` Zendesk itself
puts that field's tag on its people and takes it off, and no other tag.

Nobody is deleted, suspended, verified, given a role or written to: no call made here can say so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Literal

import requests
from pydantic import BaseModel, ConfigDict, Field

from connectors.destinations.zendesk import tickets, users
from connectors.destinations.zendesk.desk import MANY, UNFINISHED, Desk
from octo_dagster.destination import Destination, FieldReport, Limits, Rate, Secret, Survey, words
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Removal, Sent

JOBS_WAIT = 10.0
PLACES = {"object": ("users", "tickets")}


class ClientCredentials(BaseModel):
    """An OAuth client of the account (Admin Center, Apps and integrations); its tokens expire.

    API tokens cannot be made any more since 2026-10-27 and end on 2027-04-30."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Secret
    client_secret: Secret

    def token(self, http: requests.Session, site: str) -> str:
        """A new access token."""
        asked = {
            "grant_type": "client_credentials",
            "client_id": self.client_id.reveal(),
            "client_secret": self.client_secret.reveal(),
            "scope": "read write",
        }
        # None takes away the header that an earlier sign-in left on the session
        reply = http.post(f"{site}/oauth/tokens", json=asked, headers={"Authorization": None})
        return str(reply.json()["access_token"])


class Zendesk(Destination[Desk]):
    """The users, or the tickets, of one account."""

    type: Literal["zendesk"]
    subdomain: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    auth: ClientCredentials
    object: Literal["users", "tickets"] = "users"
    tag_people: bool = False
    """Whether a checkbox Octo makes also tags its people, with the field's key."""
    ticket_tags: tuple[str, ...] = ()
    """Put on every ticket Octo makes."""
    calls_a_minute: int = Field(default=200, ge=10, le=2_500)
    """The account's quota, or the share of it Octo may use: plans have 200, 400, 700 or 2,500."""

    # Clearing is all: a helpdesk's user has tickets, and what is deleted with them nobody brings back.
    removals: ClassVar[frozenset[Removal]] = frozenset({Removal.CLEAR})
    place: ClassVar[tuple[str, ...]] = ("object",)
    in_order: ClassVar[bool] = False
    jobs_at_once: ClassVar[int] = 10  # of the thirty an account may have (reference, Job Statuses)
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 15.0)

    @property
    def modes(self) -> frozenset[Mode]:  # type: ignore[override]  # a ticket is a conversation
        """No ticket is taken back, so a call list is no mirror: who leaves it keeps the ticket."""
        return frozenset(Mode) - ({Mode.MIRROR} if self.object == "tickets" else set())

    def can_read(self) -> bool:
        """Not of tickets: archived ones are not shown, and the others are the agents' to change."""
        return self.object == "users"

    def key_problem(self, key_field: str) -> str | None:
        return None if key_field == users.KEY else f"must be {users.KEY}"

    @property
    def rates(self) -> tuple[Rate, ...]:  # type: ignore[override]  # the quota is the plan's, not the vendor's
        return (Rate(self.calls_a_minute, 60.0),)

    def hosts(self) -> Mapping[str, str]:
        return {self.site: "zendesk"}

    @property
    def site(self) -> str:
        return f"https://{self.subdomain}.zendesk.com"

    def connect(self, http: requests.Session) -> Desk:
        return Desk(self.subdomain, self.auth.token(http, self.site), http)

    def limits(self, op: Op, rows: int) -> Limits:
        """A ticket alone is the one call that can be repeated without harm."""
        return Limits(rows=MANY if self.object == "users" else 1)

    def account(self, api: Desk) -> str:
        return api.host()

    def ensure_fields(self, api: Desk, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        if self.object == "tickets":
            return tickets.ensure(fields)
        return users.ensure(api, fields, create=create, tag=self.tag_people)

    def survey(self, api: Desk) -> Survey:
        if self.object == "tickets":
            fields = {name: min(kinds) for name, kinds in tickets.FIELDS.items()}
            return Survey(fields, (users.KEY,), PLACES, missing=api.lacking(self.object))
        name = {"name": "{first_name} {last_name}"}
        return Survey(users.mappable(api), (users.KEY,), PLACES, name, api.lacking(self.object))

    def send(self, api: Desk, batch: Batch) -> Sent:
        if self.object == "tickets":
            return Sent(tickets.send(api, batch, self.ticket_tags))
        return self.clear(api, batch) if batch.op is Op.CLEAR else self.upsert(api, batch)

    def upsert(self, api: Desk, batch: Batch) -> Sent:
        fit = [change for change in batch.changes if not users.unfit(change)]
        job = api.upsert([users.body(change, batch) for change in fit]) if fit else None
        if job or users.addressing(fit):
            return Sent(token=users.token(job, fit))
        return Sent(users.receipts(batch, users.accepted(fit)))

    def clear(self, api: Desk, batch: Batch) -> Sent:
        """Of users there are, by Zendesk's own id, so that nobody is made anew."""
        ids = {users.fold(user.external_id): user.id for user in api.users(batch.keys)}
        blank = {change.key: users.emptied(change, batch) for change in batch.changes}
        found = [c for c in batch.changes if users.fold(c.key) in ids and blank[c.key]]
        asked = [{"id": ids[users.fold(change.key)], **blank[change.key]} for change in found]
        job = api.update(asked) if asked else None
        return Sent(token=users.token(job, found)) if job else Sent(users.receipts(batch, {}))

    def settle(self, api: Desk, batch: Batch) -> Sent | None:
        """What was done without a job is looked at here too: a look that fails must not undo what was sent.

        A failed job may have done some of its rows, and tells of none: read back."""
        number, marks = users.asked(batch.token or "")
        job = api.job(number) if number else None
        if job and job.status in UNFINISHED:
            return Sent(token=batch.token)
        if number and (job is None or job.status != "completed" or len(job.results) != len(marks)):
            return None
        rows = dict(zip(marks, job.results if job else [users.DONE] * len(marks), strict=True))
        told = users.verdicts(batch, rows)
        return Sent(users.receipts(batch, told | users.misaddressed(api, batch, told)))

    def read(
        self, api: Desk, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        if self.object == "tickets":
            return tickets.read(api, keys, list(fields))
        asked, names = {users.fold(key): key for key in keys}, list(fields)
        kinds = api.fields() if asked else {}
        found = {users.fold(user.external_id): user for user in api.users(asked.values())}
        return {asked[k]: users.shown(user, names, kinds) for k, user in found.items() if k in asked}

    # refusals --------------------------------------------------------------------------------------

    def failure(self, response: requests.Response) -> DeliveryError | None:
        status, url = response.status_code, response.request.url or ""
        told = f"zendesk: {status} {words(response)}"
        if status < 400:
            spoken = response.headers.get("Content-Type", "").startswith("application/json")
            return None if spoken or status in (204, 301, 302, 307, 308) else Unanswered(f"{told}: not JSON")
        if "/oauth/tokens" in url and status in (400, 401, 403, 404):
            return Fatal(f"zendesk: cannot sign in: {words(response)}")
        if "TooManyJobs" in told or status == 409:  # 409: another job or person has it just now
            return Retryable(told, JOBS_WAIT)
        if status in (401, 429) or status >= 500:
            return super().failure(response)
        return self.refusal(response, told)

    def refusal(self, response: requests.Response, told: str) -> DeliveryError | None:
        """A 4xx that is not of the session: of many at once, of one field or user, of a batch, of all."""
        status, url, method = response.status_code, response.request.url or "", response.request.method
        if status == 403 and "_many" in url and method != "GET":
            return None  # user bulk import is off until the owner asks for it: one by one, then
        if status == 422 and ("/user_fields" in url or "/make_primary" in url):
            return None
        if status == 404 and re.search(r"/users/\d+|/job_statuses/", url):
            return None  # the user went away between the look and the call; the job is older than a day
        if status in (400, 404, 413, 422) and method in ("POST", "PUT"):
            return BatchRejected(told)
        return Fatal(told)
