"""Users in Zendesk's words: which fields may be written, what a value looks like, what a job's row says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from connectors.destinations.zendesk.desk import Desk, Record
from octo_dagster.destination import FieldReport, words
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt, Value

KEY = "external_id"
NAMED = frozenset({"name", "email"})
"""What a user is not left without: neither ever emptied nor taken back."""
PROPERTIES = NAMED | {"alias", "phone", "notes", "details"}
"""Properties of a user that may be written; every other field is a user field."""
THEIRS = frozenset(
    {
        "id",
        "url",
        "active",
        "verified",
        "suspended",
        "shared",
        "tags",
        "identities",
        "password",
        "user_fields",
    }
    | {"role", "role_type", "custom_role_id", "moderator", "restricted_agent", "ticket_restriction"}
    | {"only_private_comments", "organization", "organization_id", "default_group_id", "skip_verify_email"}
    | {"locale", "locale_id", "time_zone", "signature", "photo"}
)
"""Properties Octo never writes: who may do what, who is suspended or verified, and the tags as a whole,
which an update would replace (reference, Users: "tags")."""
LETTERS = re.compile(r"[A-Za-z0-9_]+")
MADE: Mapping[FieldType, str] = {
    FieldType.TEXT: "text",
    FieldType.INTEGER: "integer",
    FieldType.DECIMAL: "decimal",
    FieldType.BOOLEAN: "checkbox",
    FieldType.DATE: "date",
    FieldType.DATETIME: "text",
}
"""Our type → the user field made for it. Zendesk has no time of day."""
HOLDS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: frozenset({"text", "textarea", "regexp", "dropdown"}),
    FieldType.INTEGER: frozenset({"integer", "decimal"}),
    FieldType.DECIMAL: frozenset({"decimal"}),
    FieldType.BOOLEAN: frozenset({"checkbox"}),
    FieldType.DATE: frozenset({"date"}),
    FieldType.DATETIME: frozenset({"text", "textarea"}),
}

TOLD: Mapping[str, FieldType] = {
    **dict.fromkeys(HOLDS[FieldType.TEXT], FieldType.TEXT),
    **{made: kind for kind, made in MADE.items() if kind is not FieldType.DATETIME},
}
"""Type of a user field → the type to map it as."""

UNTAGGED = "has no tag, which `tag_people` needs: give the field one in Zendesk, or leave tag_people out"

DONE: Record = {"status": "done"}
"""Stands for the row of a user written alone: its reply was the success itself."""


def ensure(desk: Desk, fields: Mapping[str, FieldType], *, create: bool, tag: bool) -> FieldReport:
    """Make the user fields that are missing; a line for each that cannot be used as mapped.

    A missing field must be told of, as Zendesk drops the values of unknown ones without a word."""
    held = desk.fields(again=True)
    problems = [f"{name}: {why}" for name, kind in fields.items() if (why := problem(name, kind, held))]
    problems += [f"{name}: {UNTAGGED}" for name in fields if tag and untagged(held.get(name))]
    good = [name for name in fields if not any(line.startswith(f"{name}: ") for line in problems)]
    missing = [name for name in good if name not in held and name not in PROPERTIES | {KEY}]
    created = []
    for name in missing:
        refused = make(desk, name, fields[name], tag=tag) if create else "missing"
        problems += [f"{name}: {refused}"] if refused else []
        created += [] if refused else [name]
    desk.fields(again=bool(created))
    return FieldReport(tuple(created), tuple(n for n in good if n not in missing), tuple(problems))


def untagged(held: Record | None) -> bool:
    """Whether this is a checkbox that tags nobody: made by a person, or before tags were wanted."""
    return held is not None and held["type"] == "checkbox" and not held.get("tag")


def mappable(desk: Desk) -> dict[str, FieldType | None]:
    """Properties and active user fields with the type to map them as, the first that they hold."""
    held: dict[str, FieldType | None] = dict.fromkeys((KEY, *sorted(PROPERTIES)), FieldType.TEXT)
    for key, field in desk.fields(again=True).items():
        if field["active"]:
            held[key] = TOLD.get(field["type"])
    return held


def make(desk: Desk, name: str, kind: FieldType, *, tag: bool) -> str | None:
    """Make a user field; what Zendesk says when it will not."""
    field = {"key": name, "type": MADE[kind], "title": name.replace("_", " ").strip().capitalize()}
    if tag and kind is FieldType.BOOLEAN:
        field["tag"] = name.lower()
    refused = desk.make_field(field)
    return words(refused) if refused is not None else None


def problem(name: str, kind: FieldType, held: Mapping[str, Record]) -> str | None:
    """Why a field cannot be written as mapped."""
    if name in PROPERTIES or name == KEY:
        return None if kind is FieldType.TEXT else f"holds text, not {kind}"
    if name in THEIRS:
        return "is Zendesk's own, and Octo never writes it; for a segment map a boolean to a field of its own"
    if kind not in MADE:
        return f"a user field keeps no {kind}; map one boolean for each choice"
    if not LETTERS.fullmatch(name):
        return "a user field's key has letters, digits and underscores only"
    found = held.get(name)
    if found is None:
        return None
    if not found["active"]:
        return "is deactivated in Zendesk"
    return None if found["type"] in HOLDS[kind] else f"is of type {found['type']}, which holds no {kind}"


def unfit(change: Change) -> str | None:
    """Why a change cannot be asked of Zendesk; None when it can."""
    empty = sorted(
        name for name in NAMED & change.fields.keys() if not str(change.fields[name] or "").strip()
    )
    return f"{', '.join(empty)}: cannot be emptied in Zendesk" if empty else None


def body(change: Change, batch: Batch) -> dict[str, Any]:
    """A user to be created or updated. A new one is not written to: without `skip_verify_email` Zendesk
    would ask the customer by mail to verify the address (reference, Create Or Update User)."""
    return {KEY: change.key, "skip_verify_email": True, **values(change.fields, batch.types)}


def values(fields: Fields, types: Mapping[str, FieldType]) -> dict[str, Any]:
    """Properties beside the user fields. Nothing here can be any of `THEIRS`."""
    said = {name: as_json(value, types.get(name)) for name, value in fields.items() if name != KEY}
    own = {name: value for name, value in said.items() if name in PROPERTIES}
    custom = {name: value for name, value in said.items() if name not in PROPERTIES}
    return own | ({"user_fields": custom} if custom else {})


def emptied(change: Change, batch: Batch) -> dict[str, Any]:
    """What taking a change back writes: its fields with nothing in them, but for what names a person."""
    blank = {name: None for name in change.fields if name not in NAMED | {KEY}}
    return values(blank, batch.types)


def as_json(value: Value, kind: FieldType | None) -> Any:
    """As Zendesk is told it. A checkbox is never empty; a number a float cannot hold goes as text."""
    if value is None or value == "":
        return False if kind is FieldType.BOOLEAN else None
    if isinstance(value, Decimal):
        near = float(value)
        return near if Decimal(repr(near)) == value else format(value, "f")
    return value


def shown(user: Any, names: Iterable[str], fields: Mapping[str, Record]) -> Fields:
    """These fields as a user holds them now."""
    return {
        name: getattr(user, name)
        if name in PROPERTIES or name == KEY
        else as_value(user.user_fields.get(name), fields.get(name, {}).get("type"))
        for name in names
    }


def as_value(told: Any, kind: str | None) -> Value:
    """A user field's value in the words of `model.Value`. A date comes back as midnight (recorded)."""
    if told is None or isinstance(told, bool):
        return told
    if kind == "date":
        return str(told)[:10]
    if kind in ("integer", "decimal"):
        exact = Decimal(str(told))
        return int(exact) if exact == exact.to_integral_value() else exact
    return str(told)


def token(job: str | None, sent: Iterable[Change]) -> str:
    """Which job, if any, and the rows it was given, in order: by a mark of each key, so that it does not
    matter in which order, or with which others, the engine holds them when it asks."""
    return f"{job or ''}/{','.join(mark(change.key) for change in sent)}"


def asked(token: str) -> tuple[str, list[str]]:
    """The job and the marks of a token."""
    job, _, marks = token.partition("/")
    return job, marks.split(",")


def mark(key: str) -> str:
    return hashlib.blake2s(fold(key).encode(), digest_size=6).hexdigest()


def receipts(batch: Batch, told: Mapping[str, Receipt]) -> tuple[Receipt, ...]:
    """A receipt for every change of a batch: what is told of it, or why it was not asked."""
    return tuple(told.get(change.key) or unasked(change, batch.op) for change in batch.changes)


def unasked(change: Change, op: Op) -> Receipt:
    """Where there is nothing to take back it is taken back; an upsert not asked was not fit to be."""
    if op is Op.CLEAR:
        return Receipt(change.key, Outcome.ACCEPTED, created=False)
    return Receipt(change.key, Outcome.REJECTED, unfit(change))


def accepted(changes: Iterable[Change]) -> dict[str, Receipt]:
    return {change.key: Receipt(change.key, Outcome.ACCEPTED) for change in changes}


def addressing(changes: Iterable[Change]) -> dict[str, str]:
    """Key → the address it is to have, of the changes that write one."""
    return {change.key: fold(change.fields["email"]) for change in changes if change.fields.get("email")}


def misaddressed(desk: Desk, batch: Batch, told: Mapping[str, Receipt]) -> dict[str, Receipt]:
    """The accepted changes that did not reach the user they name, rejected with the reason.

    An update only adds an address (reference, Users: "email") and Zendesk goes on using the first: so a
    changed one is put first. And a user found by address may have kept the external id it had."""
    written = {k: v for k, v in addressing(batch.changes).items() if k in told and is_done(told[k])}
    held = {fold(user.external_id): user for user in desk.users(written)}
    refused = {}
    for key, email in written.items():
        user = held.get(fold(key))
        if user is None:
            refused[key] = Receipt(key, Outcome.REJECTED, f"{KEY}: the user of this address has another")
        elif fold(user.email) != email and (why := desk.put_first(user.id, email)):
            refused[key] = Receipt(key, Outcome.REJECTED, f"email: {why}", lost=("email",))
    return refused


def is_done(receipt: Receipt) -> bool:
    return receipt.outcome is Outcome.ACCEPTED


def verdicts(batch: Batch, rows: Mapping[str, Record]) -> dict[str, Receipt]:
    """Key → what its row says, of the changes that have one."""
    marked = {mark(change.key): change for change in batch.changes}
    return {marked[m].key: verdict(marked[m], batch.op, row) for m, row in rows.items() if m in marked}


def verdict(change: Change, op: Op, row: Record) -> Receipt:
    """What a job's row says. The `id` of a failed one is a position, not a user (community, confirmed by
    Zendesk's staff), so rows are told apart by their order alone."""
    status, error = row.get("status"), row.get("error")
    if status == "Failed" or error or row.get("success") is False:
        if op is Op.CLEAR and "NotFound" in str(error):
            return Receipt(change.key, Outcome.ACCEPTED, created=False)
        why = row.get("details") or row.get("description") or row.get("errors") or status
        return Receipt(change.key, Outcome.REJECTED, f"{error or status}: {why}")
    if status in ("Created", "Updated", DONE["status"]):
        known = {"Created": True, "Updated": False}
        return Receipt(change.key, Outcome.ACCEPTED, created=known.get(str(status)))
    return Receipt(change.key, Outcome.UNKNOWN)


def fold(key: Any) -> str:
    """External ids that differ in case only are one user to Zendesk (reference)."""
    return str(key).lower()
