"""Merge fields: which hold which of our types, and what a value looks like there.

A merge field is text, a number, a date or one of a few kinds of text. There is no time of day, no checkbox
and no list: a DATETIME is kept as text, a BOOLEAN as a dropdown of `true` and `false`, a LIST is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from connectors.destinations.mailchimp.audience import Api
from octo_dagster.destination import FieldReport
from octo_dagster.model import Fields, FieldType, Value

KEY = "EMAIL"
TAG = re.compile(r"[A-Z0-9_]{1,10}")
TRUTH = {"true", "false"}
MADE: Mapping[FieldType, Mapping[str, Any]] = {
    FieldType.TEXT: {"type": "text"},
    FieldType.INTEGER: {"type": "number"},
    FieldType.DECIMAL: {"type": "number"},
    FieldType.BOOLEAN: {"type": "dropdown", "options": {"choices": ["true", "false"]}},
    FieldType.DATE: {"type": "date", "options": {"date_format": "MM/DD/YYYY"}},
    FieldType.DATETIME: {"type": "text"},
}
"""Our type → the merge field made for it."""
TEXTS = frozenset({"text", "phone", "url", "imageurl", "zip", "birthday", "radio", "dropdown"})
HOLDS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: TEXTS,
    FieldType.INTEGER: frozenset({"number"}),
    FieldType.DECIMAL: frozenset({"number"}),
    FieldType.BOOLEAN: frozenset({"truth"}),
    FieldType.DATE: frozenset({"date"}),
    FieldType.DATETIME: frozenset({"text"}),
}
LIKELY: Mapping[str, FieldType] = {
    "number": FieldType.DECIMAL,
    "date": FieldType.DATE,
    "truth": FieldType.BOOLEAN,
    **dict.fromkeys(TEXTS, FieldType.TEXT),
}
"""A merge field's kind → what a person connecting the account may map to it."""


def kind(held: Mapping[str, Any]) -> str:
    """A merge field's type; `truth` for a choice of true and false, which is what a boolean is here."""
    choices = (held.get("options") or {}).get("choices") or ()
    return "truth" if set(choices) == TRUTH else str(held["type"])


def ensure(api: Api, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
    """Make the merge fields that are missing; a line for each that cannot be used as mapped.

    A missing one must be told of, as Mailchimp drops the values of unknown ones without a word (recorded)."""
    held = api.fields(again=True)
    wrong = {name: why for name, wanted in fields.items() if (why := problem(name, wanted, held.get(name)))}
    missing = [name for name in fields if name not in wrong and name not in held and name != KEY]
    created = []
    for name in missing:
        refused = make(api, name, fields[name]) if create else "missing"
        if refused:
            wrong[name] = refused
        else:
            created.append(name)
    api.fields(again=bool(created))
    existing = tuple(name for name in fields if name not in wrong and name not in created)
    return FieldReport(tuple(created), existing, tuple(f"{name}: {why}" for name, why in wrong.items()))


def make(api: Api, name: str, wanted: FieldType) -> str | None:
    """Make a merge field that no sign-up form shows; what Mailchimp says when it will not."""
    title = name.replace("_", " ").strip().capitalize()
    return api.make_field({"tag": name, "name": title, "public": False, "required": False, **MADE[wanted]})


def problem(name: str, wanted: FieldType, held: Mapping[str, Any] | None) -> str | None:
    """Why a field cannot be written as mapped."""
    if name == KEY:
        return None if wanted is FieldType.TEXT else f"holds text, not {wanted}"
    if wanted not in MADE:
        return f"a merge field keeps no {wanted}; map one boolean for each choice"
    if not TAG.fullmatch(name):
        return f"a merge tag has up to 10 characters of A-Z, 0-9 and _: map it to {spelling(name)}, say"
    if held is None or kind(held) in HOLDS[wanted]:
        return None
    found = held["type"] if kind(held) != "truth" else "choice of true and false"
    hint = ", and a boolean needs the choices true and false" if wanted is FieldType.BOOLEAN else ""
    return f"is a {found} at Mailchimp, which holds no {wanted}{hint}"


def spelling(column: str) -> str:
    """A merge tag for a column: `rfm_segment` → `RFM_SEGMEN`."""
    return re.sub(r"[^A-Z0-9_]", "_", column.upper())[:10]


def as_sent(value: Value) -> str | int | float:
    """A value as Mailchimp is told it: empty text empties a field of any type (recorded), null is no value. A
    number that a float cannot hold goes as text."""
    if value is None or isinstance(value, list):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        near = float(value)
        return near if Decimal(repr(near)) == value else format(value, "f")
    return value


def shown(merge: Mapping[str, Any], names: Iterable[str], fields: Mapping[str, Mapping[str, Any]]) -> Fields:
    """These fields as a member holds them now, by the kind of each."""
    return {
        name: as_value(merge.get(name), kind(fields[name]) if name in fields else "text") for name in names
    }


def as_value(told: Any, held: str) -> Value:
    """A merge field's value in the words of `model.Value`."""
    if told in (None, ""):
        return None
    if held == "truth" and told in TRUTH:
        return bool(told == "true")
    if held == "number":
        exact = Decimal(str(told))
        return int(exact) if exact == exact.to_integral_value() else exact
    return str(told)


def lost(sent: Mapping[str, Any], kept: Mapping[str, Any]) -> list[str]:
    """The fields a member does not hold as they were sent."""
    return [name for name, value in sent.items() if not alike(value, kept.get(name, ""))]


def alike(sent: Any, kept: Any) -> bool:
    """Equal as numbers where a number is meant, else as text without its outer blanks."""
    if isinstance(kept, int | Decimal) and sent != "":
        return Decimal(str(sent)) == Decimal(str(kept))
    return str(sent).strip() == ("" if kept is None else str(kept).strip())
