"""Contact properties in HubSpot's words: which may be written, what a value looks like, and back again."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.destinations.hubspot.portal import Portal, Record
from octo_dagster.destination import FieldReport
from octo_dagster.model import Change, FieldType, Value

LONGEST = 65_536
"""Most characters of a text."""
MADE: Mapping[FieldType, tuple[str, str]] = {
    FieldType.TEXT: ("string", "text"),
    FieldType.INTEGER: ("number", "number"),
    FieldType.DECIMAL: ("number", "number"),
    FieldType.BOOLEAN: ("bool", "booleancheckbox"),
    FieldType.DATE: ("date", "date"),
    FieldType.DATETIME: ("datetime", "date"),
    FieldType.LIST: ("enumeration", "checkbox"),
}
"""Our type → the `type` and `fieldType` of the property made for it."""
YES_NO = [
    {"label": "Yes", "value": "true", "displayOrder": 0, "hidden": False},
    {"label": "No", "value": "false", "displayOrder": 1, "hidden": False},
]
SPELLED = re.compile(r"[a-z][a-z0-9_]{0,99}")
CONSENT = re.compile(
    r"hs_\w*(opt_?out|opt_?in|unsubscri|subscription|consent|legal_basis|marketable|quarantin)\w*"
    r"|hs_email_(bad_address|hard_bounce_reason)\w*|hs_emailconfirmationstatus"
)
"""Properties that say who may be written to, or whom HubSpot may bill as a marketing contact. Never ours."""
IDENTITY = frozenset({"hs_object_id", "hs_additional_emails", "hs_merged_object_ids", "hs_all_contact_vids"})
"""Which contact this is. Addresses are added by people and by forms, not by a sync."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a sync maps: its fields by type, which of them tells contacts apart, and the group of new ones."""

    fields: Mapping[str, FieldType]
    id_property: str
    group: str


def ensure(portal: Portal, wanted: Wanted, *, create: bool) -> FieldReport:
    """Make the properties that are missing; a line for each that cannot be used as mapped."""
    held = portal.properties(again=True)
    problems = [f"{name}: {why}" for name in wanted.fields if (why := problem(name, wanted, held))]
    good = [name for name in wanted.fields if not any(line.startswith(f"{name}: ") for line in problems)]
    missing = [name for name in good if name not in held]
    if missing and create:
        portal.make_group(wanted.group)
    created = []
    for name in missing:
        refused = portal.make_property(definition(name, wanted)) if create else "missing"
        problems += [f"{name}: {refused}"] if refused else []
        created += [] if refused else [name]
    portal.properties(again=bool(created))
    return FieldReport(tuple(created), tuple(n for n in good if n not in missing), tuple(problems))


def definition(name: str, wanted: Wanted) -> dict[str, Any]:
    """A property to be made. That its values are unique can be said now only, never later (guide)."""
    kind, form = MADE[wanted.fields[name]]
    made = {
        "name": name,
        "label": name.replace("_", " ").strip().capitalize(),
        "type": kind,
        "fieldType": form,
        "groupName": wanted.group,
        "options": YES_NO if kind == "bool" else [],
    }
    return made | ({"hasUniqueValue": True} if name == wanted.id_property else {})


def problem(name: str, wanted: Wanted, held: Mapping[str, Record]) -> str | None:
    """Why a field cannot be written as mapped."""
    if CONSENT.fullmatch(name):
        return "who may be written to is the person's to say, and HubSpot's to keep: Octo never writes it"
    if name in IDENTITY:
        return "is HubSpot's own"
    found, kind = held.get(name), wanted.fields[name]
    if found is None:
        good = SPELLED.fullmatch(name)
        return None if good else f"a new property is in lower-case letters, digits and _: {spelling(name)}"
    if found.get("calculated") or (found.get("modificationMetadata") or {}).get("readOnlyValue"):
        return "is calculated or read-only in HubSpot"
    if name == wanted.id_property != "email" and not found.get("hasUniqueValue"):
        return "its values are not unique in HubSpot, and cannot be made so: let Octo make another one"
    if kind not in holds(found):
        return f"is {found['type']} ({found['fieldType']}) in HubSpot, which holds no {kind}"
    return None


def holds(found: Record) -> tuple[FieldType, ...]:
    """What of ours a property takes, the most natural first."""
    kind, form = found["type"], found["fieldType"]
    if kind == "enumeration":
        shape = {"checkbox": FieldType.LIST, "booleancheckbox": FieldType.BOOLEAN}
        return (shape.get(form, FieldType.TEXT),)
    return {
        "string": (FieldType.TEXT,),
        "phone_number": (FieldType.TEXT,),
        "number": (FieldType.DECIMAL, FieldType.INTEGER),
        "bool": (FieldType.BOOLEAN,),
        "date": (FieldType.DATE,),
        "datetime": (FieldType.DATETIME,),
    }.get(kind, ())


def mappable(held: Mapping[str, Record]) -> dict[str, FieldType | None]:
    """The properties that can be mapped, by type; None: of a type Octo does not write."""
    free = {n: row for n, row in held.items() if problem(n, Wanted({n: natural(row)}, "", ""), held) is None}
    strange = {
        n: None for n, row in held.items() if not holds(row) and n not in free and not CONSENT.fullmatch(n)
    }
    return {name: natural(row) for name, row in free.items()} | strange


def natural(found: Record) -> FieldType:
    return next(iter(holds(found)), FieldType.TEXT)


def unique(held: Mapping[str, Record]) -> list[str]:
    """The properties people or programs made that can tell contacts apart."""
    mine = [name for name, row in held.items() if row.get("hasUniqueValue") and not row.get("hubspotDefined")]
    return sorted(name for name in mine if natural(held[name]) is FieldType.TEXT)


def spelling(column: str) -> str:
    """A column's name as HubSpot takes it."""
    plain = re.sub(r"[^a-z0-9_]+", "_", column.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"octo_{plain}")[:100]


# values --------------------------------------------------------------------------------------------


def text(value: Value) -> str:
    """A value as HubSpot is sent it: always text, and empty to clear."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return ";".join(value) if isinstance(value, list) else str(value)


def value(shown: str | None, found: Record | None) -> Value:
    """What HubSpot shows, as we would have sent it."""
    if not shown:
        return None
    kind = next(iter(holds(found)), FieldType.TEXT) if found else FieldType.TEXT
    if kind is FieldType.DECIMAL:
        return number(shown)
    if kind is FieldType.BOOLEAN:
        return {"true": True, "false": False}.get(shown.lower(), shown)
    if kind is FieldType.LIST:
        return [one for one in shown.split(";") if one]
    if kind in (FieldType.DATE, FieldType.DATETIME):
        moment = instant(shown)
        form = "%Y-%m-%d" if kind is FieldType.DATE else "%Y-%m-%dT%H:%M:%SZ"
        return moment.strftime(form) if moment else shown
    return shown


def number(shown: str) -> Decimal | str:
    try:
        return Decimal(shown)
    except InvalidOperation:
        return shown


def instant(shown: str) -> datetime | None:
    """A date (midnight UTC) or a moment, in ISO 8601 or as milliseconds since 1970: both are in use."""
    try:
        if re.fullmatch(r"-?\d{5,}", shown):
            return datetime.fromtimestamp(int(shown) / 1000, UTC)
        moment = datetime.fromisoformat(shown)
    except (ValueError, OverflowError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def altered(
    sent: Mapping[str, Value], shown: Mapping[str, str | None], held: Mapping[str, Record]
) -> str | None:
    """The property HubSpot answers with another value than the one it was sent; None when there is none.

    A lifecycle stage never goes back, and says so by this alone. Texts are not judged: HubSpot may tidy
    them. What the answer does not mention is not judged either."""
    for name, wanted in sent.items():
        found = held.get(name)
        if found is None or name not in shown or found["type"] == "string":
            continue
        if not alike(value(text(wanted), found), value(shown[name], found)):
            return f"{name}: HubSpot keeps {shown[name]!r}"
    return None


def alike(one: Value, other: Value) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return sorted(one) == sorted(other)
    return one == other


# what cannot be sent -------------------------------------------------------------------------------


def unfit(change: Change, held: Mapping[str, Record], keep: Iterable[str]) -> str | None:
    """Why HubSpot would refuse a change, as far as can be known before the call; None when it would not."""
    for name, sent in change.fields.items():
        if name in keep and not text(sent).strip():
            return f"{name}: cannot be emptied"
        if (why := misfit(sent, held.get(name))) is not None:
            return f"{name}: {why}"
    return None


def misfit(sent: Value, found: Record | None) -> str | None:
    """Why this value does not fit this property."""
    if isinstance(sent, list) and any(";" in one for one in sent):
        return "a choice with a semicolon would be two choices"
    if len(text(sent)) > LONGEST:
        return f"longer than {LONGEST:,} characters"
    if found is None or found["type"] != "enumeration" or found.get("externalOptions") or not text(sent):
        return None
    known = {str(option["value"]) for option in found["options"]}
    strange = {*(sent if isinstance(sent, list) else [text(sent)])} - known
    return f"{', '.join(sorted(strange))}: not among the choices of the property" if strange else None


def add_choices(portal: Portal, changes: Iterable[Change]) -> None:
    """Add the choices that list fields of these changes use and HubSpot does not have yet."""
    used: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        for name, sent in change.fields.items():
            if isinstance(sent, list):
                used[name].update(one for one in sent if ";" not in one)
    for name, wanted in used.items():
        found = portal.properties().get(name)
        if found is None or found.get("externalOptions"):
            continue
        if wanted - {str(option["value"]) for option in found["options"]}:
            portal.add_options(name, wanted)
