"""Brevo: contact attributes, and membership of one list, by import jobs.

    api_key: {env: BREVO_API_KEY}
    list: Octo customers      found, or made, in `folder`
    key.to: EMAIL or EXT_ID

Consent stays the person's: no call made here can subscribe, unsubscribe or blocklist anybody. A sync keyed
by EXT_ID cannot write EMAIL, because Brevo resubscribes a blocklisted contact whose address is changed.

A standard account has 100 calls an hour for everything but contacts (10 a second): an import's end is seen by
its contacts where they are no more than a page, and the account is asked for once an hour.

Brevo has no time of day: a DATETIME is kept as text; map it with `type: date` to segment by it. An
import may leave `true` standing where `false` was sent (reported in sendinblue/APIv3-python-library #95):
the read-back after every job finds such a row, and it is rejected, not lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

import requests

from connectors.destinations.brevo.api import PAGE, Api, content, expected, fold, names
from connectors.destinations.brevo.rows import (
    IDENTIFIERS,
    Body,
    erasures,
    imports,
    options,
    owners,
    plain,
    shown,
    unfit,
)
from connectors.destinations.brevo.survey import look
from octo_dagster.destination import Destination, FieldReport, Limits, Rate, Secret, Survey, words
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent

TYPES = {
    FieldType.TEXT: "text",
    FieldType.INTEGER: "float",
    FieldType.DECIMAL: "float",
    FieldType.BOOLEAN: "boolean",
    FieldType.DATE: "date",
    FieldType.DATETIME: "text",
    FieldType.LIST: "multiple-choice",
}
CONSENT = frozenset({"OPT_IN", "OPT-IN", "DOUBLE_OPT-IN", "DOUBLE_OPT_IN", "BLACKLIST", "BLACKLISTED"})
"""Attributes older accounts keep consent in."""
UNFINISHED = frozenset({"queued", "in_process", "processing"})


IDENTIFIERS_OF_PEOPLE = ("EMAIL", "EXT_ID")


class Brevo(Destination[Api]):
    """One list of one Brevo account."""

    type: Literal["brevo"]
    api_key: Secret
    list: str
    """The list's name. The oldest list of that name in the folder, or a new one."""
    folder: str = "Octo"

    # A contact outside the list counts as absent, so Octo cannot tell "new" from "somebody else's":
    # create_only and update_only would be promises it could not keep.
    modes: ClassVar = frozenset({Mode.UPSERT, Mode.MIRROR})
    # Nor does it say whom Octo made: nobody would be deleted, all be emptied and kept on the list.
    removals: ClassVar = frozenset({Removal.LEAVE, Removal.CLEAR})
    rates: ClassVar = (
        Rate(10, 1.0, r"^/v3/contacts"),
        Rate(36_000, 3600.0, r"^/v3/contacts"),
        Rate(100, 3600.0, r"^/v3/(?!contacts)"),
    )
    place: ClassVar = ("list", "folder")
    silent: ClassVar = True
    in_order: ClassVar = False
    poll_seconds: ClassVar = (0.5, 120.0)
    # 100 calls an hour are all there is for asking after the account and after jobs.
    knows_for: ClassVar = 3600.0

    def key_problem(self, key_field: str) -> str | None:
        return None if key_field in IDENTIFIERS_OF_PEOPLE else "must be EMAIL or EXT_ID"

    def hosts(self) -> Mapping[str, str]:
        return {"https://api.brevo.com": "brevo"}

    def connect(self, http: requests.Session) -> Api:
        return Api(http, self.api_key.reveal(), self.folder, self.list)

    def limits(self, op: Op, rows: int) -> Limits:
        """The vendor advises 8 MB of JSON, 2.5 of them for what stands round the fields; it states no rows.

        Few large jobs: the 100 calls an hour for looking at them are the narrowest quota here."""
        if op is Op.LEAVE:
            return Limits(rows=150)
        return Limits(rows=30_000, bytes=5_500_000)

    def account(self, api: Api) -> str:
        found = api.get("/account")
        return str(found.get("organization_id") or found["email"])

    def spelling(self, column: str) -> str:
        return column.upper()

    def survey(self, api: Api) -> Survey:
        return look(api, IDENTIFIERS_OF_PEOPLE, CONSENT)

    def ensure_fields(self, api: Api, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        held = {row["name"]: row for row in api.get("/contacts/attributes")["attributes"]}
        problems = [line for name, kind in fields.items() if (line := problem(name, kind, held.get(name)))]
        good = [name for name in fields if not any(line.startswith(f"{name}: ") for line in problems)]
        missing = [name for name in good if name not in held and name not in IDENTIFIERS]
        created = []
        for name in missing:
            refused = self.make(api, name, fields[name]) if create else "missing"
            problems += [f"{name}: {refused}"] if refused else []
            created += [] if refused else [name]
        existing = [name for name in good if name not in missing]
        return FieldReport(tuple(created), tuple(existing), tuple(problems))

    def make(self, api: Api, name: str, kind: FieldType) -> str | None:
        """Make an attribute; what Brevo says when it will not."""
        body: dict[str, Any] = {"type": TYPES[kind]}
        if kind is FieldType.LIST:
            body["multiCategoryOptions"] = []
        reply = api.call("POST", f"/contacts/attributes/normal/{name}", body)
        return None if reply.status_code == 201 else words(reply)

    def send(self, api: Api, batch: Batch) -> Sent:
        check_key(batch)
        verbs = {Op.UPSERT: self.upsert, Op.CLEAR: self.clear, Op.LEAVE: self.leave}
        return verbs[batch.op](api, batch)

    def upsert(self, api: Api, batch: Batch) -> Sent:
        fit = [change for change in batch.changes if not unfit(change, batch.key_field)]
        if not fit:
            return Sent(receipts(batch, {}))
        add_options(api, options(fit))
        list_id = list_made(api)
        return Sent(
            tuple(receipt for receipt in receipts(batch, {}) if receipt.outcome is Outcome.REJECTED),
            token=start(api, imports(batch, fit, list_id)),
        )

    def clear(self, api: Api, batch: Batch) -> Sent:
        """Only contacts the list holds: an import would make the others anew, or put them into the list."""
        list_id, held = api.list_id(), self.read(api, batch.keys, ())
        blanks = {change.key: frozenset(change.fields) for change in batch.changes if change.key in held}
        if list_id is None or not any(blanks.values()):
            return Sent(receipts(batch, {}))
        return Sent(token=start(api, erasures(batch.key_field, blanks, list_id)))

    def leave(self, api: Api, batch: Batch) -> Sent:
        """Who is not in the list, or nowhere, has left it: Brevo's `failure` means no more than that.

        It refuses a call that concerns nobody in the list; whether it was that is read, not guessed."""
        list_id = api.list_id()
        if list_id is not None:
            who = {"emails" if batch.key_field == "EMAIL" else "extIds": [*batch.keys]}
            reply = api.call("POST", f"/contacts/lists/{list_id}/contacts/remove", who)
            if reply.status_code not in (201, 404) and self.read(api, batch.keys, ()):
                raise BatchRejected(f"brevo: {words(reply)}")
        return Sent(receipts(batch, {}))

    def settle(self, api: Api, batch: Batch) -> Sent | None:
        """The newest job first, as it ends last. A failed one may have stored some rows: read back."""
        finished = []
        for number in reversed((batch.token or "").split("+")):
            process = api.process(number)
            if process and process["status"] in UNFINISHED:
                return Sent(token=batch.token)
            finished.append(process)
        completed = [process for process in finished if process and process["status"] == "completed"]
        if len(completed) < len(finished):
            return None
        return Sent(receipts(batch, reported(api, batch, completed)))

    def glance(self, api: Api, batch: Batch) -> dict[str, Fields] | None:
        """One page of the contacts modified since, or one contact, costs nothing of the 100 calls an hour."""
        list_id = api.list_id()
        if list_id is None or len(batch.changes) > PAGE or batch.opened_at is None:
            return None
        wanted = {fold(key): key for key in batch.keys}
        names_asked = tuple(batch.types)
        found: dict[str, Fields] = {}
        for contact in api.contacts(list_id, wanted, batch.opened_at):
            mine = names(contact) & wanted.keys()
            found |= {wanted[name]: shown(contact, names_asked) for name in mine}
        return found

    def read(
        self, api: Api, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        """Keys with an `@` are addresses, all others EXT_IDs.

        What `since` leaves out is looked for again without it: an import that changes nothing may not
        count as a modification."""
        wanted, asked, list_id = tuple(keys), tuple(fields), api.list_id()
        found: dict[str, Fields] = {}
        if list_id is None:
            return found
        for horizon in (since, None) if since and len(wanted) > 2 else (None,):
            missing = {fold(key) for key in wanted} - found.keys()
            for contact in api.contacts(list_id, missing, horizon):
                found |= {name: shown(contact, asked) for name in names(contact) & missing}
        return {key: found[fold(key)] for key in wanted if fold(key) in found}

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """A key never expires, so 401 needs a person; a report's host is not Brevo's API."""
        if response.status_code in (401, 403) and "/v3/" not in response.url:
            return None
        if response.status_code == 401:
            return Fatal(f"brevo: 401 {words(response)}")
        if response.status_code == 429:
            return Retryable(f"brevo: 429 {words(response)}", reset(response))
        return super().failure(response)


def list_made(api: Api) -> int:
    """The list's id, the list made if need be."""
    number = api.list_id(create=True)
    if number is None:
        raise Fatal("brevo: the list cannot be made")
    return number


def reset(response: requests.Response) -> float | None:
    """Seconds until the quota is full again."""
    value = response.headers.get("x-sib-ratelimit-reset", "")
    return float(value) if value.replace(".", "", 1).isdigit() else None


def problem(name: str, kind: FieldType, held: Mapping[str, Any] | None) -> str | None:
    """Why a field cannot be written as mapped: Brevo would drop its values without a word."""
    if name != name.upper():
        return f"{name}: Brevo's attributes are upper-case: map it to {name.upper()}"
    if name in CONSENT:
        return f"{name}: consent is not Octo's to write"
    if held and held["category"] != "normal":
        return f"{name}: a {held['category']} attribute cannot be written by an import"
    there = "text" if name in IDENTIFIERS else held and held.get("type")
    if there and there != TYPES[kind]:
        return f"{name}: is {there} at Brevo, mapped as {kind} ({TYPES[kind]})"
    return None


def check_key(batch: Batch) -> None:
    """Fatal when writing EMAIL could resubscribe people."""
    if batch.key_field != "EMAIL" and "EMAIL" in batch.types:
        raise Fatal("brevo: a sync keyed by EXT_ID may not write EMAIL: it would resubscribe people")


def add_options(api: Api, used: Mapping[str, set[str]]) -> None:
    """Add the choices Brevo does not know yet; it drops unknown ones without a word."""
    if not used:
        return
    for row in api.get("/contacts/attributes")["attributes"]:
        fresh = used.get(row["name"], set()) - set(row.get("multiCategoryOptions") or ())
        if fresh:
            body = {"multiCategoryOptions": sorted(fresh)}
            reply = api.call("PUT", f"/contacts/attributes/normal/{row['name']}", body)
            if reply.status_code != 204:
                raise BatchRejected(f"brevo: {words(reply)}")


def start(api: Api, bodies: Iterable[Body]) -> str:
    """Start the imports; their numbers joined by `+`."""
    started: list[str] = []
    for body in bodies:
        try:
            reply = api.call("POST", "/contacts/import", body)
            if reply.status_code in (400, 413):
                raise BatchRejected(f"brevo: {words(reply)}")
        except DeliveryError as error:
            if started:  # not the whole batch was left undone
                raise Unanswered(f"{error}; imports {'+'.join(started)} of the same batch run") from error
            raise
        started.append(str(content(expected(reply, 202))["processId"]))
    return "+".join(started)


def reported(api: Api, batch: Batch, processes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Key → the report it stands in. The columns are not documented: where none is called as an identifier
    is, any cell of a row may name it."""
    found: dict[str, str] = {}
    known = owners(batch)
    for process in processes:
        for report, url in ((process.get("info") or {}).get("import") or {}).items():
            rows = api.report(url) if url else []
            named = [
                n for n, cell in enumerate(rows[0] if rows else ()) if cell.strip().upper() in IDENTIFIERS
            ]
            for row in rows:
                cells = [row[n] for n in named if n < len(row)] if named else row
                keys = {known[plain(cell)] for cell in cells if plain(cell) in known}
                found |= dict.fromkeys(keys, f"{report}: in Brevo's report of the import")
    return found


def receipts(batch: Batch, reasons: Mapping[str, str]) -> tuple[Receipt, ...]:
    """Every change accepted, but for those with a reason and those Brevo would have dropped a value of."""
    decided = (
        (change.key, reasons.get(change.key) or unfit(change, batch.key_field)) for change in batch.changes
    )
    return tuple(
        Receipt(key, Outcome.REJECTED if reason else Outcome.ACCEPTED, reason) for key, reason in decided
    )
