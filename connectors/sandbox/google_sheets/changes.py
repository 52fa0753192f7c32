"""The requests of `spreadsheets:batchUpdate` that the twin knows, one function each."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from connectors.sandbox.google_sheets.grid import EMPTY, Book, Cell, Refused, Tab, checked, invalid
from connectors.sandbox.google_sheets.ranges import grid_area

Asked = Mapping[str, Any]
FIELDS = frozenset({"userEnteredValue", "note", "userEnteredFormat"})


def apply(book: Book, requests: list[Asked]) -> list[dict[str, Any]]:
    """Carry all of them out in order, or none; a reply each."""
    before = [tab.copy() for tab in book.tabs]
    replies = []
    for number, request in enumerate(requests):
        try:
            replies.append(one(book, request, number))
            book.check_size()
        except Refused as refused:
            book.tabs = before
            kind = next(iter(request), "")
            raise Refused(
                refused.code, refused.status, f"Invalid requests[{number}].{kind}: {refused}"
            ) from None
    return replies


def one(book: Book, request: Asked, number: int) -> dict[str, Any]:
    if len(request) != 1:
        raise invalid("Must specify one request kind.")
    ((kind, asked),) = request.items()
    if kind not in KINDS:
        told = f"Unknown name \"{kind}\" at 'requests[{number}]': Cannot find field."
        raise invalid(f"Invalid JSON payload received. {told}")
    return KINDS[kind](book, asked) or {}


def add_sheet(book: Book, asked: Asked) -> dict[str, Any]:
    said = asked.get("properties", {})
    title = said.get("title") or f"Sheet{len(book.tabs) + 1}"
    number = said.get("sheetId", random.Random(title).randrange(1, 2**31))  # noqa: S311  a number, no secret
    if book.named(title):
        raise invalid(f'A sheet with the name "{title}" already exists. Please enter another name.')
    if any(tab.id == number for tab in book.tabs):
        raise invalid(f"A sheet with id {number} already exists.")
    grid = said.get("gridProperties", {})
    rows: list[dict[int, Cell]] = [{} for _ in range(grid.get("rowCount", 1000))]
    made = Tab(number, title, grid.get("columnCount", 26), rows, grid.get("frozenRowCount", 0))
    book.tabs.append(made)
    return {"addSheet": {"properties": made.properties(len(book.tabs) - 1)}}


def delete_sheet(book: Book, asked: Asked) -> None:
    if len(book.tabs) == 1:
        raise invalid("You can't remove all the sheets in a document.")
    book.tabs.remove(book.tab(asked.get("sheetId")))


def update_sheet(book: Book, asked: Asked) -> None:
    said = asked["properties"]
    tab = book.tab(said.get("sheetId"))
    tab.title = said.get("title", tab.title)
    tab.frozen = said.get("gridProperties", {}).get("frozenRowCount", tab.frozen)


def append_dimension(book: Book, asked: Asked) -> None:
    tab, length = book.tab(asked.get("sheetId")), asked.get("length", 0)
    if length <= 0:
        raise invalid("length must be greater than 0")
    if asked["dimension"] == "COLUMNS":
        tab.columns += length
    else:
        tab.rows += [{} for _ in range(length)]


def span(book: Book, said: Asked) -> tuple[Tab, bool, int, int]:
    """Tab, whether columns are meant, start and end of a DimensionRange."""
    tab, columns = book.tab(said.get("sheetId")), said["dimension"] == "COLUMNS"
    size = tab.columns if columns else len(tab.rows)
    start, end = said.get("startIndex", 0), said.get("endIndex", size)
    if start >= end or start >= size:
        raise invalid(f"Cannot use a dimension range [{start}, {end}) of a sheet that has {size}.")
    return tab, columns, start, end


def insert_dimension(book: Book, asked: Asked) -> None:
    tab, columns, start, end = span(book, asked["range"])
    count = end - start
    if columns:
        tab.columns += count
        turn(tab, lambda column: column + count * (column >= start))
    else:
        tab.rows[start:start] = [{} for _ in range(count)]
        tab.shift(lambda row: row + count * (row >= start))


def delete_dimension(book: Book, asked: Asked) -> None:
    """Take rows or columns out; Sheets keeps one of each, and one row below a frozen header."""
    tab, columns, start, end = span(book, asked["range"])
    count = end - start
    if count >= (tab.columns if columns else len(tab.rows)):
        raise invalid(f"You can't delete all the {'columns' if columns else 'rows'} on the sheet.")
    if not columns and start <= tab.frozen and end == len(tab.rows):
        raise invalid("Sorry, it is not possible to delete all non-frozen rows.")
    if columns:
        tab.columns -= count
        for row in tab.rows:
            for column in range(start, end):
                row.pop(column, None)
        turn(tab, lambda column: column - count * (column >= end))
    else:
        del tab.rows[start:end]
        tab.shift(lambda row: row - count * (row >= end))


def turn(tab: Tab, moved: Callable[[int], int]) -> None:
    """Let columns go elsewhere: old index → new one."""
    tab.rows = [{moved(column): cell for column, cell in row.items()} for row in tab.rows]


def move_dimension(book: Book, asked: Asked) -> None:
    """Put rows or columns elsewhere, by numbers as they were before (discovery)."""
    tab, columns, start, end = span(book, asked["source"])
    target, size = asked["destinationIndex"], tab.columns if columns else len(tab.rows)
    if target > size:
        raise invalid(f"destinationIndex {target} is after the last of {size}.")
    order = list(range(size))
    taken = order[start:end]
    order[start:end] = []
    place = target - len(taken) if target >= end else target
    order[place:place] = taken
    moved = {old: new for new, old in enumerate(order)}
    if columns:
        turn(tab, lambda column: moved[column])
    else:
        tab.rows = [tab.rows[old] for old in order]
        tab.shift(lambda row: moved.get(row, row))


def update_cells(book: Book, asked: Asked) -> None:
    fields, start = mask(asked), asked.get("start")
    if start is None:
        area = grid_area(book, asked["range"]).inside()
        tab, top, left = area.tab, area.top, area.left
    else:
        tab = book.tab(start.get("sheetId"))
        top, left = start.get("rowIndex", 0), start.get("columnIndex", 0)
    write(tab, top, left, asked.get("rows", []), fields)


def append_cells(book: Book, asked: Asked) -> None:
    tab, rows = book.tab(asked.get("sheetId")), asked.get("rows", [])
    first = tab.used()
    tab.rows += [{} for _ in range(first + len(rows) - len(tab.rows))]
    write(tab, first, 0, rows, mask(asked))


def mask(asked: Asked) -> set[str]:
    fields = {name.strip() for name in asked.get("fields", "").split(",")} - {""}
    if not fields:
        raise invalid("At least one field must be listed in 'fields'. (Use '*' to indicate all fields.)")
    unknown = fields - FIELDS - {"*"}
    if unknown:
        raise invalid(f"Invalid field: {', '.join(sorted(unknown))}")
    return set(FIELDS) if "*" in fields else fields


def write(tab: Tab, top: int, left: int, rows: list[Asked], fields: set[str]) -> None:
    """Set these fields of these cells; a cell that says nothing of a field loses it."""
    if top + len(rows) > len(tab.rows):
        raise invalid(f"GridCoordinate.rowIndex[{top}] is after last row in grid[{len(tab.rows)}]")
    for down, row in enumerate(rows):
        for across, said in enumerate(row.get("values", [])):
            column = left + across
            if column >= tab.columns:
                told = f"GridCoordinate.columnIndex[{column}] is after last column in grid[{tab.columns}]"
                raise invalid(told)
            held = tab.cell(top + down, column)
            if "userEnteredValue" in fields:
                held = replace(held, value=checked(said.get("userEnteredValue")))
            if "note" in fields:
                held = replace(held, note=said.get("note") or None)
            if "userEnteredFormat" in fields:
                held = replace(held, format=said.get("userEnteredFormat"))
            tab.put(top + down, column, held)


def sort_range(book: Book, asked: Asked) -> None:
    """Cells of a row go together with their notes, formats and comments; references to the row follow."""
    area = grid_area(book, asked["range"]).inside()
    tab, rows, columns = area.tab, area.rows, set(area.columns)
    order = list(rows)
    for spec in reversed(asked["sortSpecs"]):
        order = sort_once(tab, order, spec.get("dimensionIndex", 0), spec.get("sortOrder") == "DESCENDING")
    taken = {old: {c: cell for c, cell in tab.rows[old].items() if c in columns} for old in order}
    for new, old in zip(rows, order, strict=True):
        rest = {c: cell for c, cell in tab.rows[new].items() if c not in columns}
        alone = Tab(0, "", rows=[taken[old]])
        alone.shift(lambda row, old=old, new=new: new if row == old else row)  # type: ignore[misc]
        tab.rows[new] = rest | alone.rows[0]


def sort_once(tab: Tab, order: list[int], column: int, descending: bool) -> list[int]:
    """Numbers, then text, then truths; empty cells last whichever way (as Sheets sorts)."""
    full = [row for row in order if rank(tab.cell(row, column))]
    empty = [row for row in order if not rank(tab.cell(row, column))]
    return sorted(full, key=lambda row: rank(tab.cell(row, column)), reverse=descending) + empty


def rank(cell: Cell) -> tuple[int, float, str]:
    """Where a value stands among others; nothing for none."""
    value = cell.effective or {}
    for place, kind in enumerate(("numberValue", "stringValue", "boolValue")):
        if kind in value:
            one = value[kind]
            return (place, 0.0, one.lower()) if isinstance(one, str) else (place, float(one), "")
    return ()  # type: ignore[return-value]


def delete_range(book: Book, asked: Asked) -> None:
    """Take cells out and let those below come up (recorded, with `shiftDimension: ROWS`)."""
    area = grid_area(book, asked["range"]).inside()
    if asked.get("shiftDimension") != "ROWS":
        raise invalid("The twin shifts rows only.")
    count = len(area.rows)
    for row in range(area.top, len(area.tab.rows)):
        for column in area.columns:
            below = row + count
            area.tab.put(row, column, area.tab.cell(below, column) if below < len(area.tab.rows) else EMPTY)


KINDS: Mapping[str, Callable[[Book, Asked], dict[str, Any] | None]] = {
    "addSheet": add_sheet,
    "appendCells": append_cells,
    "appendDimension": append_dimension,
    "deleteDimension": delete_dimension,
    "deleteRange": delete_range,
    "deleteSheet": delete_sheet,
    "insertDimension": insert_dimension,
    "moveDimension": move_dimension,
    "sortRange": sort_range,
    "updateCells": update_cells,
    "updateSheetProperties": update_sheet,
}
