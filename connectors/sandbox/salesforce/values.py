"""Which values a Salesforce field takes, and in which words it refuses the others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from connectors.sandbox.salesforce.objects import NUMBERS, SField

EMAIL = re.compile(r"[^@\s,;<>()]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True)
class RowError(Exception):
    """One row is refused; the others are not."""

    code: str
    message: str
    fields: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As a row of a collections reply says it."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields)}

    def line(self) -> str:
        """As a bulk job's failed results say it."""
        return f"{self.code}:{self.message}:{','.join(self.fields)} --"


@dataclass(frozen=True)
class CallError(Exception):
    """The whole call is refused."""

    status: int
    code: str
    message: str
    fields: tuple[str, ...] | None = None

    def told(self) -> list[dict[str, Any]]:
        """The reply's body."""
        said: dict[str, Any] = {"message": self.message, "errorCode": self.code}
        return [said if self.fields is None else {**said, "fields": list(self.fields)}]


def from_json(field: SField, value: Any) -> Any:
    """A JSON value as the org keeps it. A value of another type fails the whole call, as in the vendor's
    parser: CallError 400 JSON_PARSER_ERROR."""
    if value is None and field.type == "boolean":
        raise unreadable("boolean", "VALUE_NULL", "null")
    if value is None or value == "":
        return None
    if isinstance(value, dict | list):
        raise unreadable(field.type, "START_ARRAY", "[line:1, column:1]")
    if field.type == "boolean" and not isinstance(value, bool):
        raise unreadable("boolean", "VALUE_STRING", value)
    if isinstance(value, bool) and field.type != "boolean":
        raise unreadable(field.type, "VALUE_TRUE", value)
    try:
        return parsed(field, value if isinstance(value, bool) else str(value))
    except ValueError:
        raise unreadable(field.type, "VALUE_STRING", value) from None


def unreadable(kind: str, token: str, value: Any) -> CallError:
    where = "or request may be missing a required field at [line:1, column:1]"
    return CallError(
        400, "JSON_PARSER_ERROR", f"Cannot deserialize instance of {kind} from {token} value {value} {where}"
    )


def from_csv(field: SField, cell: str) -> Any:
    """A CSV cell as the org keeps it; `#N/A` empties. A value of another type refuses its row."""
    if cell == "#N/A" and field.type != "boolean":
        return None
    try:
        return parsed(field, cell)
    except ValueError:
        message = f"{field.title}: value not of required type: {cell}"
        raise RowError("INVALID_TYPE_ON_FIELD_IN_RECORD", message, (field.name,)) from None


def parsed(field: SField, text: str | bool) -> Any:
    """The text as a value of the field's type; ValueError when it is none."""
    if isinstance(text, bool):
        return text
    if field.type == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}[text.lower()] if text else False
    if field.type in NUMBERS:
        return number(field, text)
    if field.type == "date":
        return date.fromisoformat(text[:10]).isoformat()
    if field.type == "datetime":
        return moment(text)
    return text


def number(field: SField, text: str) -> float | int:
    """Rounded to the field's scale without a word, as the vendor does."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if field.type == "int":
        return int(exact)
    return float(exact.quantize(Decimal(1).scaleb(-field.scale), ROUND_HALF_UP))


def moment(text: str) -> str:
    """UTC to the millisecond, in the spelling of replies. A time without a zone is not a datetime."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(text)
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}+0000"


def check(fields: Mapping[str, SField], values: Mapping[str, Any], *, creating: bool) -> None:
    """RowError for the first value that its field does not take."""
    locked = [n for n in values if not fields[n].has("C" if creating else "U") and n != "Id"]
    if locked:
        raise RowError(
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            f"Unable to create/update fields: {', '.join(locked)}. Please check the security settings of "
            "this field and verify that it is read/write for your profile or permission set.",
            tuple(locked),
        )
    for name, value in values.items():
        check_value(fields[name], value)


def check_value(field: SField, value: Any) -> None:
    """Refuse a value that is too long, too large or not among the field's choices."""
    if value is None:
        return
    if isinstance(value, str) and field.length and len(value) > field.length:
        message = f"{field.title}: data value too large: {value} (max length={field.length})"
        raise RowError("STRING_TOO_LONG", message, (field.name,))
    if field.type == "email" and not EMAIL.fullmatch(value):
        message = f"{field.title}: invalid email address: {value}"
        raise RowError("INVALID_EMAIL_ADDRESS", message, (field.name,))
    if field.has("R") and set(value.split(";")) - set(field.values):
        message = f"{field.title}: bad value for restricted picklist field: {value}"
        raise RowError("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, (field.name,))
    if field.type in NUMBERS - {"int"} and abs(value) >= 10 ** (field.precision - field.scale):
        message = f"{field.title}: value outside of valid range on numeric field: {value}"
        raise RowError("NUMBER_OUTSIDE_VALID_RANGE", message, (field.name,))
