"""Klaviyo: profile properties by import jobs, and membership of one list where the sync names one.

    api_key: {env: KLAVIYO_API_KEY}     a private key: accounts read; profiles and lists, read and write
    list: Octo customers                optional; found by its name, or made
    key.to: email or external_id

Consent stays the person's. Being in a list is not being subscribed: the import's `lists` gives membership
only, and leaving "will not impact the profile's consent status or subscription status" (spec). No call made
here can subscribe, unsubscribe, suppress, merge or delete anybody.

An import cannot empty a field (guide, "Clearing fields with null values"). So when its job is done, the
profiles that still hold what is to be empty are looked for, a hundred a call, and these alone are updated
one by one. The job's name is on disk by then, and looking again finds what is left: whatever happens in
between, it is finished.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

import requests

from connectors.destinations.klaviyo.api import HOST, Api, Resource, content, errors, expected
from connectors.destinations.klaviyo.rows import (
    IDENTIFIERS,
    KEYS,
    blanks,
    emptied,
    fold,
    owner,
    problem,
    profile,
    shown,
    sparse,
    spellings,
    unfit,
)
from connectors.destinations.klaviyo.survey import look_round
from octo_dagster.destination import Destination, FieldReport, Limits, Rate, Secret, Survey, words
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Change, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent

UNFINISHED = frozenset({"queued", "processing"})
NO_JOB = "none"
"""The token of a batch that only empties: there is nothing to import."""


def tiers(calls: int, steadily: int, paths: str) -> tuple[Rate, Rate]:
    """An endpoint's burst (a second) and steady (a minute) quota."""
    return Rate(calls, 1.0, paths), Rate(steadily, 60.0, paths)


class Klaviyo(Destination[Api]):
    """The profiles of one Klaviyo account, or one list of them."""

    type: Literal["klaviyo"]
    api_key: Secret
    list: str | None = None
    """The list's name: the oldest one of that name, or a new one. Left out, no list is touched."""

    place: ClassVar = ("list",)
    in_order: ClassVar = False
    poll_seconds: ClassVar = (1.0, 20.0)
    # 15 calls a minute ask whose account it is (spec), and in the live lane every order is a delivery.
    knows_for: ClassVar = 3600.0
    # Quotas of the spec, per endpoint; where the rate-limit guide gives less (700 for 750), that.
    rates: ClassVar = (
        *tiers(1, 15, r"^/api/accounts$"),
        *tiers(10, 150, r"^/api/lists$"),
        *tiers(10, 150, r"^/api/profile-bulk-import-jobs$"),
        *tiers(10, 150, r"^/api/profile-bulk-import-jobs/[^/]+$"),
        *tiers(10, 150, r"^/api/profile-bulk-import-jobs/[^/]+/import-errors$"),
        *tiers(10, 150, r"^/api/lists/[^/]+/relationships/profiles$"),
        *tiers(75, 700, r"^/api/lists/[^/]+/profiles$"),
        *tiers(75, 700, r"^/api/profiles$"),
        *tiers(75, 700, r"^/api/profiles/[^/]+$"),
        *tiers(3, 60, r"^/api/profiles/[^/]+/relationships/lists$"),
    )

    @property
    def modes(self) -> frozenset[Mode]:  # type: ignore[override]  # it depends on the list
        """A profile outside the list counts as absent, so with a list Octo cannot tell "new" from
        "somebody else's", and does not promise to."""
        return frozenset({Mode.UPSERT, Mode.MIRROR} if self.list else Mode)

    @property
    def removals(self) -> frozenset[Removal]:  # type: ignore[override]  # it depends on the list
        """Never a deletion: Klaviyo's is a data-privacy request, which nothing brings back."""
        return frozenset({Removal.CLEAR, *([Removal.LEAVE] if self.list else [])})

    def key_problem(self, key_field: str) -> str | None:
        return None if key_field in KEYS else f"must be {' or '.join(KEYS)}"

    def hosts(self) -> Mapping[str, str]:
        return {HOST: "klaviyo"}

    def connect(self, http: requests.Session) -> Api:
        return Api(http, self.api_key.reveal(), self.list)

    def limits(self, op: Op, rows: int) -> Limits:
        """10,000 profiles and 5 MB a job (spec), one of them for what stands round the fields; 1,000 ids
        leave a list in one call."""
        return Limits(rows=1_000) if op is Op.LEAVE else Limits(rows=10_000, bytes=4_000_000)

    def account(self, api: Api) -> str:
        return str(api.get("/api/accounts")["data"][0]["id"])

    def ensure_fields(self, api: Api, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        """Properties need not be made: Klaviyo has whatever is written. So nothing is asked or created."""
        told = {name: problem(name, kind) for name, kind in fields.items()}
        return FieldReport(
            existing=tuple(name for name, why in told.items() if why is None),
            problems=tuple(f"{name}: {why}" for name, why in told.items() if why),
        )

    def survey(self, api: Api) -> Survey:
        return look_round(api)

    # writing ---------------------------------------------------------------------------------------

    def send(self, api: Api, batch: Batch) -> Sent:
        if batch.op is Op.LEAVE:
            return self.leave(api, batch)
        return self.upsert(api, batch) if batch.op is Op.UPSERT else Sent(token=NO_JOB)

    def upsert(self, api: Api, batch: Batch) -> Sent:
        """One job for all that is fit; what it cannot do, `settle` does once it is done."""
        told = refused(batch)
        rows = [profile(change, batch.key_field) for change in batch.changes if change.key not in told]
        if not rows:
            return Sent(receipts(batch, told))
        return Sent(token=start(api, rows, api.list_id(create=True)))

    def leave(self, api: Api, batch: Batch) -> Sent:
        """Out of the list, by Klaviyo's ids; who is not in it, or nowhere, has left it."""
        list_id = api.list_id()
        by = batch.key_field
        # by external id all of them: to take out who is not in it does no harm, to find out costs calls
        found = self.people(api, batch.keys, by, (), members=by == "email") if list_id else ()
        if found:
            body = {"data": [{"type": "profile", "id": one["id"]} for one in found]}
            reply = api.call("DELETE", f"/api/lists/{list_id}/relationships/profiles", body)
            if reply.status_code != 204:
                raise BatchRejected(f"klaviyo: {words(reply)}")
        return Sent(receipts(batch, {}))

    def settle(self, api: Api, batch: Batch) -> Sent | None:
        """What the job says, and then the fields to be emptied, as long as any holds something."""
        if batch.token == NO_JOB:
            return Sent(receipts(batch, self.empty(api, batch, ())))
        job = api.job(batch.token or "")
        if job and job["status"] in UNFINISHED:
            return Sent(token=batch.token)
        if job is None or job["status"] != "complete":
            return None
        told = refused(batch)
        told |= reported(batch, told, job, api.import_errors(batch.token or ""))
        return Sent(receipts(batch, told | self.empty(api, batch, told)))

    def empty(self, api: Api, batch: Batch, told: Collection[str]) -> dict[str, Receipt]:
        """Empty what is to be empty; receipts for the changes that had anything to be emptied."""
        wanted = {c.key: names for c in batch.changes if c.key not in told and (names := to_empty(c, batch))}
        members = batch.op is Op.CLEAR
        asked = {name for names in wanted.values() for name in names}
        there = self.people(api, wanted, batch.key_field, asked, members=members)
        found = {fold(one["attributes"][batch.key_field]): one for one in there}
        made = {}
        for key, names in wanted.items():
            if fold(key) in found:
                made[key] = emptying(api, key, names, found[fold(key)])
            elif not members:
                made[key] = Receipt(key, Outcome.REJECTED, MERGED)
        return made

    # reading ---------------------------------------------------------------------------------------

    def people(
        self, api: Api, keys: Collection[str], by: str, names: Iterable[str], *, members: bool
    ) -> tuple[Resource, ...]:
        """The profiles that have these keys; `members`: those in the sync's list, where it has one."""
        list_id = api.list_id() if members else None
        if not keys or (members and self.list and list_id is None):
            return ()
        asked, inside = {fold(key) for key in keys}, list_id if by == "email" else None
        told = api.profiles(by, spellings(keys), sparse(names), inside)
        found = tuple(one for one in told if fold(one["attributes"].get(by)) in asked)
        if list_id is None or inside:
            return found
        members_of_it = api.members(found, list_id)
        return tuple(one for one in found if one["id"] in members_of_it)

    def read(
        self, api: Api, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        """Keys with an `@` are addresses, all others external ids: `unfit` sees to it."""
        wanted, names = {fold(key): key for key in keys}, tuple(fields)
        found: dict[str, Fields] = {}
        for by in KEYS:
            some = [key for key in wanted.values() if ("@" in key) is (by == "email")]
            for one in self.people(api, some, by, names, members=True):
                found[wanted[fold(one["attributes"][by])]] = shown(one, names)
        return found

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """A private key never expires, so 401 needs a person, as does a scope that is missing (403, which
        `survey` reads for itself). A 403 in HTML is not Klaviyo's but of the guard before it, which turns
        away calls for a while (klaviyo-api-python #84)."""
        status = response.status_code
        if status == 401:
            return Fatal(f"klaviyo: 401 {words(response)}")
        if status == 403 and "json" not in response.headers.get("Content-Type", ""):
            return Retryable("klaviyo: 403 from the guard before its API")
        if status == 403 and response.request.method == "GET":
            return None
        return super().failure(response)


MERGED = "the profile is not found under its key after the import: merged into another one?"


def refused(batch: Batch) -> dict[str, Receipt]:
    """The changes that are not sent, because Klaviyo would not have them."""
    reasons = ((change.key, unfit(change, batch.key_field)) for change in batch.changes)
    return {key: Receipt(key, Outcome.REJECTED, why) for key, why in reasons if why}


def to_empty(change: Change, batch: Batch) -> Sequence[str]:
    """The fields to be emptied. Taking a record back leaves a profile what names the person: not Octo's."""
    kept = IDENTIFIERS if batch.op is Op.CLEAR else frozenset()
    return [name for name in blanks(change.fields) if name not in kept]


def start(api: Api, rows: Collection[Mapping[str, Any]], list_id: str | None) -> str:
    """Start an import; its number. BatchRejected when what is wrong is in the profiles."""
    data: dict[str, Any] = {
        "type": "profile-bulk-import-job",
        "attributes": {"profiles": {"data": rows}},
    }
    if list_id:
        data["relationships"] = {"lists": {"data": [{"type": "list", "id": list_id}]}}
    reply = api.call("POST", "/api/profile-bulk-import-jobs", {"data": data})
    if reply.status_code == 413 or (reply.status_code in (400, 409, 422) and of_profiles(reply)):
        raise BatchRejected(f"klaviyo: {words(reply)}")
    return str(content(expected(reply, 202))["data"]["id"])


def of_profiles(reply: requests.Response) -> bool:
    """Whether a refusal points at the profiles, and not at the call itself."""
    pointers = (str((error.get("source") or {}).get("pointer")) for error in errors(reply))
    return any("/profiles" in pointer for pointer in pointers)


def reported(
    batch: Batch, unsent: Collection[str], job: Mapping[str, Any], told: Iterable[Resource]
) -> dict[str, Receipt]:
    """The rows a job refused. Where it refused more than can be told by name, or counts fewer than it was
    given, all others are unknown."""
    known = {fold(key): key for key in batch.keys if key not in unsent}
    found: dict[str, Receipt] = {}
    strange = False
    for error in (row["attributes"] for row in told):
        key = known.get(owner(error.get("original_payload"), batch.key_field) or "")
        strange |= key is None
        if key is not None:
            found[key] = Receipt(key, Outcome.REJECTED, reason(error))
    failed, counted = int(job.get("failed_count") or 0), job.get("completed_count")
    short = counted is not None and counted + failed < len(known)
    if strange or short or failed > len(found):
        return {key: Receipt(key, Outcome.UNKNOWN) for key in known.values()} | found
    return found


def emptying(api: Api, key: str, names: Iterable[str], found: Resource) -> Receipt:
    """Empty those of the fields that hold something, in a profile there is: nobody is made anew.

    Nothing is caught to be tried again: a reply that was lost is a row nobody knows of."""
    full = [name for name in names if not blanks(shown(found, (name,)))]
    if not full:
        return Receipt(key, Outcome.ACCEPTED)
    number = str(found["id"])
    try:
        reply = api.call("PATCH", f"/api/profiles/{number}", emptied(number, full))
    except Unanswered:
        return Receipt(key, Outcome.UNKNOWN)
    if reply.status_code in (200, 404):  # 404: deleted or merged since it was looked for
        return Receipt(key, Outcome.ACCEPTED if reply.status_code == 200 else Outcome.UNKNOWN)
    return Receipt(key, Outcome.REJECTED, f"{reply.status_code}: {words(reply)}", lost=tuple(full))


def reason(error: Mapping[str, Any]) -> str:
    """`code: detail (pointer)`."""
    pointer = (error.get("source") or {}).get("pointer")
    return f"{error.get('code')}: {error.get('detail')}" + (f" ({pointer})" if pointer else "")


def receipts(batch: Batch, told: Mapping[str, Receipt]) -> tuple[Receipt, ...]:
    """A receipt for every change: what is told of it, else accepted."""
    return tuple(told.get(key) or Receipt(key, Outcome.ACCEPTED) for key in batch.keys)
