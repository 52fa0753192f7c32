"""A spreadsheet as Google's twin keeps it: tabs, rows that stay together, cells with what people put on them.

Facts: the Sheets v4 discovery document (revision 20261019), Google's usage limits, recorded traffic.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

MOST_CHARACTERS = 50_000
MOST_CELLS = 10_000_000

Entered: TypeAlias = Mapping[str, Any]
"""`{"stringValue": "x"}`, `{"numberValue": 1}`, `{"boolValue": true}` or `{"formulaValue": "=A1"}`."""


class Refused(Exception):
    """A refusal in Google's form."""

    def __init__(self, code: int, status: str, message: str) -> None:
        super().__init__(message)
        self.code, self.status = code, status


def invalid(message: str) -> Refused:
    return Refused(400, "INVALID_ARGUMENT", message)


@dataclass(frozen=True, slots=True)
class Cell:
    """What is in one cell. `value` is None in an empty one."""

    value: Entered | None = None
    note: str | None = None
    format: Mapping[str, Any] | None = None
    comments: tuple[str, ...] = ()

    @property
    def effective(self) -> Entered | None:
        """What is shown. This twin reckons no formula: each is worth 0."""
        return {"numberValue": 0} if self.value and "formulaValue" in self.value else self.value


EMPTY = Cell()
Row: TypeAlias = dict[int, Cell]


@dataclass
class Tab:
    """One sheet: a grid of a certain size, its rows in order."""

    id: int
    title: str
    columns: int = 26
    rows: list[Row] = field(default_factory=lambda: [{} for _ in range(1000)])
    frozen: int = 0
    kind: str = "GRID"

    def copy(self) -> Tab:
        return replace(self, rows=[dict(row) for row in self.rows])

    def cell(self, row: int, column: int) -> Cell:
        return self.rows[row].get(column, EMPTY)

    def put(self, row: int, column: int, cell: Cell) -> None:
        if cell == EMPTY:
            self.rows[row].pop(column, None)
        else:
            self.rows[row][column] = cell

    def used(self) -> int:
        """How many rows there are down to the last one with data."""
        last = (n for n in range(len(self.rows), 0, -1) if any(c.value for c in self.rows[n - 1].values()))
        return next(last, 0)

    def shift(self, moved: Callable[[int], int]) -> None:
        """Let every formula follow rows that went elsewhere: old index → new one."""
        for row in self.rows:
            for column, cell in row.items():
                if cell.value and "formulaValue" in cell.value:
                    row[column] = replace(cell, value={"formulaValue": followed(cell.value, moved)})

    def properties(self, index: int) -> dict[str, Any]:
        grid = {"rowCount": len(self.rows), "columnCount": self.columns}
        grid |= {"frozenRowCount": self.frozen} if self.frozen else {}
        said = {"sheetId": self.id, "title": self.title, "index": index, "sheetType": self.kind}
        return said | {"gridProperties": grid}


@dataclass
class Book:
    """One spreadsheet and who may do what in it."""

    id: str
    title: str
    editors: set[str]
    viewers: set[str] = field(default_factory=set)
    tabs: list[Tab] = field(default_factory=lambda: [Tab(0, "Sheet1")])

    def tab(self, number: Any) -> Tab:
        """The tab of this id; the one with id 0 when none is given."""
        found = next((tab for tab in self.tabs if tab.id == int(number or 0)), None)
        if found is None:
            raise invalid(f"No grid with id: {number}")
        return found

    def named(self, title: str) -> Tab | None:
        return next((tab for tab in self.tabs if tab.title.lower() == title.lower()), None)

    def check_size(self) -> None:
        if sum(len(tab.rows) * tab.columns for tab in self.tabs) > MOST_CELLS:
            raise invalid(
                "This action would increase the number of cells in the workbook above the limit of "
                f"{MOST_CELLS} cells."
            )


REFERENCE = re.compile(r"(?<![A-Za-z$\"'])(\$?[A-Z]{1,3}\$?)([1-9]\d*)(?![\d(A-Za-z])")


def followed(formula: Entered, moved: Callable[[int], int]) -> str:
    return REFERENCE.sub(
        lambda found: f"{found[1]}{moved(int(found[2]) - 1) + 1}", str(formula["formulaValue"])
    )


def entered(value: Any) -> Entered | None:
    """A Python value as a cell keeps it, just as it is (RAW). None and the empty text are an empty cell."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"numberValue": value} if isinstance(value, int | float) else checked({"stringValue": str(value)})


def typed(value: Any) -> Entered | None:
    """The same as a person would type it (USER_ENTERED): formulas, numbers and truths are understood."""
    if not isinstance(value, str):
        return entered(value)
    if value.startswith("="):
        return checked({"formulaValue": value})
    if value.upper() in ("TRUE", "FALSE"):
        return {"boolValue": value.upper() == "TRUE"}
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", value):
        return {"numberValue": float(value)}
    return entered(value.removeprefix("'"))


def checked(value: Entered | None) -> Entered | None:
    """A value a cell can hold; an empty text is none."""
    if not value or value == {"stringValue": ""}:
        return None
    if any(isinstance(one, str) and len(one) > MOST_CHARACTERS for one in value.values()):
        raise invalid(
            f"Your input contains more than the maximum of {MOST_CHARACTERS} characters in a single cell."
        )
    return value


def plain(value: Entered | None) -> Any:
    """A kept value as a Python one; whole numbers as int."""
    if not value:
        return None
    (one,) = value.values()
    return int(one) if isinstance(one, float) and one.is_integer() else one
