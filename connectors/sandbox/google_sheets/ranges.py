"""A1 notation and grid ranges: which cells of which tab are meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.google_sheets.grid import Book, Tab, invalid

CORNER = re.compile(r"(?P<column>[A-Za-z]{0,3})(?P<row>[1-9]\d*)?")


@dataclass(frozen=True)
class Area:
    """A rectangle of a tab: half open, zero-based. An end of None is open."""

    tab: Tab
    top: int = 0
    bottom: int | None = None
    left: int = 0
    right: int | None = None

    @property
    def rows(self) -> range:
        return range(self.top, min(self.bottom or len(self.tab.rows), len(self.tab.rows)))

    @property
    def columns(self) -> range:
        return range(self.left, min(self.right or self.tab.columns, self.tab.columns))

    def inside(self) -> Area:
        """Itself. Refused when it begins beyond the grid (recorded: an end beyond is cut off)."""
        if self.top >= len(self.tab.rows) or self.left >= self.tab.columns:
            raise invalid(f"Range ({self}) exceeds grid limits. {limits(self.tab)}")
        return self

    def __str__(self) -> str:
        rows, columns = self.rows, self.columns
        first = f"{letters(self.left)}{self.top + 1}"
        last = f"{letters(max(columns.stop, self.left + 1) - 1)}{max(rows.stop, self.top + 1)}"
        return f"{quoted(self.tab.title)}!{first}" + (f":{last}" if last != first else "")


def limits(tab: Tab) -> str:
    return f"Max rows: {len(tab.rows)}, max columns: {tab.columns}"


def quoted(title: str) -> str:
    return title if re.fullmatch(r"[A-Za-z_]\w*", title) else "'" + title.replace("'", "''") + "'"


def letters(column: int) -> str:
    """0 → A, 26 → AA."""
    text = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        text = chr(65 + rest) + text
    return text


def number(text: str) -> int:
    """A → 0, AA → 26."""
    total = 0
    for letter in text.upper():
        total = total * 26 + ord(letter) - 64
    return total - 1


def area(book: Book, text: str) -> Area:
    """The area an A1 range means. Refused when it means none."""
    title, cells = split(book, text)
    tab = book.named(title) if title else book.tabs[0]
    if tab is None:
        raise invalid(f"Unable to parse range: {text}")
    if not cells:
        return Area(tab)
    start, _, end = cells.partition(":")
    first, last = CORNER.fullmatch(start), CORNER.fullmatch(end or start)
    if not start or not first or not last or not (first["column"] or first["row"]):
        raise invalid(f"Unable to parse range: {text}")
    whole_row = not first["column"] and not last["column"]
    return Area(
        tab,
        top=int(first["row"] or 1) - 1,
        bottom=int(last["row"]) if last["row"] else None,
        left=number(first["column"]) if first["column"] else 0,
        right=None if whole_row or not last["column"] else number(last["column"]) + 1,
    )


def split(book: Book, text: str) -> tuple[str, str]:
    """Tab and cells of a range; either may be empty."""
    found = re.fullmatch(r"'((?:[^']|'')*)'(?:!(.*))?", text, re.DOTALL)
    if found:
        return found[1].replace("''", "'"), found[2] or ""
    if "!" in text:
        title, _, cells = text.rpartition("!")
        return title, cells
    return (text, "") if book.named(text) else ("", text)


def grid_area(book: Book, said: Mapping[str, Any]) -> Area:
    """The area a GridRange means."""
    return Area(
        book.tab(said.get("sheetId")),
        said.get("startRowIndex", 0),
        said.get("endRowIndex"),
        said.get("startColumnIndex", 0),
        said.get("endColumnIndex"),
    )
