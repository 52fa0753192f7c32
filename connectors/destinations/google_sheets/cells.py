"""Values as cells and cells as values. A cell's type is said with it, so text is never taken for a formula.

Dates are ISO text: they sort and read back alike whatever the spreadsheet's country and time zone, which a
serial number, shown as a date by a format that a person may change, does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from octo_dagster.model import Change, FieldType, Value

Cell: TypeAlias = bool | int | float | str | None
"""What is in a cell; None when it is empty."""

COMMA = ", "
"""Between the items of a list."""
MOST_CHARACTERS = 50_000
"""In one cell (Google, "Files you can store in Google Drive")."""


def cell(value: Value) -> Cell:
    """A value as a cell holds it; `unfit` says which it cannot. A list is its items, one after the other."""
    if isinstance(value, list):
        return COMMA.join(value) or None
    if value == "":
        return None
    return float(value) if isinstance(value, Decimal) else value


def value(held: Cell, kind: FieldType | None) -> Value:
    """What a cell holds as a value: whole numbers as int, others as Decimal, an empty one as None."""
    if held is None or held == "":
        return None
    if kind is FieldType.LIST and isinstance(held, str):
        return held.split(COMMA)
    if isinstance(held, float):
        return int(held) if held.is_integer() else Decimal(repr(held))
    return held


def unfit(change: Change) -> str | None:
    """Why a change cannot be held as it is: a cell's number is a double, its text has an end."""
    for name, said in change.fields.items():
        if isinstance(text := cell(said), str) and len(text.encode("utf-16-le")) // 2 > MOST_CHARACTERS:
            return f"OCTO_TOO_LONG: a cell holds {MOST_CHARACTERS:,} characters ({name})"
        if isinstance(said, int | Decimal) and not exact(said):
            return f"OCTO_TOO_PRECISE: a cell holds about 15 digits of a number; map it as text ({name})"
        if isinstance(said, list) and any(COMMA in item or not item for item in said):
            return f"OCTO_LIST: an item is empty, or has a comma as between items ({name})"
    return None


def exact(number: int | Decimal) -> bool:
    """Whether a double holds this number; none that a sync sends (38 digits) is too large for one."""
    return Decimal(repr(float(number))) == number


def as_sent(held: Cell) -> dict[str, Any]:
    """A CellData that writes this value and, under the mask `userEnteredValue`, nothing else."""
    if held is None:
        return {}
    kind = (
        "boolValue" if isinstance(held, bool) else "stringValue" if isinstance(held, str) else "numberValue"
    )
    return {"userEnteredValue": {kind: held}}


def as_shown(data: Mapping[str, Any]) -> Cell:
    """What a CellData shows: a formula's result, an error as text."""
    told = data.get("effectiveValue") or {}
    for kind, held in told.items():
        return str(held) if kind == "errorValue" else held
    return None


def fold(held: Any) -> str:
    """A key as it is compared: without outer blanks, whatever its case; a number as its digits."""
    if isinstance(held, float) and held.is_integer():
        held = int(held)
    return "" if held is None else str(held).strip().lower()


def token(held: Cell) -> tuple[str, Cell]:
    """A cell to compare and to look up by: true is not 1, and empty is empty."""
    return ("truth" if isinstance(held, bool) else "", None if held == "" else held)


def tokens(cells: Iterable[Cell]) -> tuple[tuple[str, Cell], ...]:
    return tuple(token(one) for one in cells)
