"""Merge fields: what each type takes, and what it says of what it does not take."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connectors.sandbox.mailchimp.wire import Refused, invalid, unfit

TYPES = (
    *("text", "number", "address", "phone", "date", "url"),
    *("imageurl", "radio", "dropdown", "birthday", "zip"),
)
TAG = re.compile(r"[A-Z0-9_]{1,10}")
MOST_FIELDS = 80
"""On the largest plan; smaller ones have 30 (not verified)."""
LONGEST = 255
RESERVED = frozenset({"EMAIL", "INTERESTS", "UNSUB", "FORWARD", "REWARDS", "ARCHIVE", "DATE", "TO"})


@dataclass
class Field:
    """One merge field of an audience."""

    id: int
    tag: str
    name: str
    type: str
    required: bool = False
    public: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def shown(self, audience: str) -> dict[str, Any]:
        """As `GET …/merge-fields` shows it (recorded)."""
        return {
            "merge_id": self.id,
            "tag": self.tag,
            "name": self.name,
            "type": self.type,
            "required": self.required,
            "default_value": "",
            "public": self.public,
            "display_order": self.id + 1,
            "options": dict(self.options),
            "help_text": "",
            "list_id": audience,
        }

    def stored(self, value: Any) -> Any:
        """The value as Mailchimp keeps it; Refused, with this field's message, when it will not."""
        if value == "":
            return ""
        return KEEPS[self.type](self, value)

    def wrong(self, message: str) -> Refused:
        return invalid("Your merge fields were invalid.", (self.tag, message))


def text(field: Field, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise field.wrong("Data did not match any of the schemas described in anyOf.")
    if len(str(value)) > LONGEST:
        raise field.wrong(f"Please enter a value with no more than {LONGEST} characters")
    return str(value)


def number(field: Field, value: Any) -> int | float:
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise field.wrong("Please enter a number")  # recorded
    return value


def day(field: Field, value: Any) -> str:
    """ISO or MM/DD/YYYY; kept as ISO (recorded)."""
    for pattern in ("%Y-%m-%d", "%m/%d/%Y"):
        try:
            return datetime.strptime(str(value), pattern).date().isoformat()  # noqa: DTZ007  a day, no time
        except ValueError:
            continue
    raise field.wrong("Please enter the date")


def choice(field: Field, value: Any) -> str:
    if value not in field.options.get("choices", ()):
        raise field.wrong("Value must be one of the choices")
    return str(value)


def birthday(field: Field, value: Any) -> str:
    if not re.fullmatch(r"(0[1-9]|1[0-2])/([0-2]\d|3[01])", str(value)):
        raise field.wrong("Please enter a month (01-12) and a day (01-31)")
    return str(value)


def address(field: Field, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"addr1", "city", "state", "zip"} <= value.keys():
        raise field.wrong("Please enter a complete address")
    return value


KEEPS: Mapping[str, Callable[[Field, Any], Any]] = {
    **dict.fromkeys(TYPES, text),
    "number": number,
    "date": day,
    "radio": choice,
    "dropdown": choice,
    "birthday": birthday,
    "address": address,
}


def made(body: Mapping[str, Any], number: int, taken: Iterable[str]) -> Field:
    """A merge field of this body. Refused when it is not one, or its tag is taken."""
    held = set(taken)
    tag, kind, name = body.get("tag") or f"MMERGE{number}", body.get("type"), body.get("name")
    if not name or kind not in TYPES:
        raise unfit(("type" if name else "name", "This value should not be blank."))
    if not isinstance(tag, str) or not TAG.fullmatch(tag) or tag in RESERVED:
        raise invalid("The merge tag is not valid: up to 10 of A-Z, 0-9 and _, none that is reserved.")
    if tag in held:
        raise invalid(f'A Merge Field with the tag "{tag}" already exists for this list.')
    if len(held) >= MOST_FIELDS:
        raise Refused(400, "Merge Max Limit Exceeded", f"This list has {MOST_FIELDS} merge fields already.")
    options = dict(body.get("options") or {})
    if kind in ("radio", "dropdown") and not options.get("choices"):
        raise invalid("Choices are required for this type.", ("options.choices", "At least one"))
    return Field(
        number, tag, str(name), str(kind), bool(body.get("required")), body.get("public", True), options
    )
