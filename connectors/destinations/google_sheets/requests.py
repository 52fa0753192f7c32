"""What is asked of `spreadsheets:batchUpdate`: one list of requests is carried out whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectors.destinations.google_sheets.cells import as_sent
from connectors.destinations.google_sheets.table import Cells

Request = dict[str, Any]

VALUES_ONLY = "userEnteredValue"
"""The mask of every write: notes, formats, checks and comments of a cell stay."""
NEAR = 10
"""Rows between two that are looked at together."""


def updates(sheet: int, places: Mapping[str, int], rows: Mapping[int, Cells]) -> list[Request]:
    """Write these cells: one request for each block of neighbouring rows and columns."""
    made: list[Request] = []
    above: dict[tuple[int, int], list[Any]] = {}
    last = -1
    for row in sorted(rows):
        now: dict[tuple[int, int], list[Any]] = {}
        for left, cells in spans(places, rows[row]):
            shape = (left, len(cells))
            block = above.get(shape) if row == last + 1 else None
            if block is None:
                block = []
                made.append(update(sheet, row, left, block))
            block.append({"values": cells})
            now[shape] = block
        above, last = now, row
    return made


def spans(places: Mapping[str, int], cells: Cells) -> Iterator[tuple[int, list[Any]]]:
    """The row's cells in unbroken stretches, each with its first column: what lies between is not ours."""
    ordered = sorted(((places[name], as_sent(held)) for name, held in cells.items()), key=lambda p: p[0])
    stretch: list[Any] = []
    start = 0
    for column, data in ordered:
        if stretch and column != start + len(stretch):
            yield start, stretch
            stretch = []
        start = start if stretch else column
        stretch.append(data)
    if stretch:
        yield start, stretch


def update(sheet: int, row: int, column: int, rows: list[Any]) -> Request:
    at = {"sheetId": sheet, "rowIndex": row, "columnIndex": column}
    return {"updateCells": {"start": at, "rows": rows, "fields": VALUES_ONLY}}


def additions(sheet: int, places: Mapping[str, int], rows: Iterable[Cells]) -> list[Request]:
    """Put rows after the last one with data, wherever that is by then: no row number is needed."""
    made = []
    for cells in rows:
        line: list[Any] = [{}] * (max(places[name] for name in cells) + 1)
        for name, held in cells.items():
            line[places[name]] = as_sent(held)
        made.append({"values": line})
    return [{"appendCells": {"sheetId": sheet, "rows": made, "fields": VALUES_ONLY}}] if made else []


def deletions(sheet: int, rows: Iterable[int]) -> list[Request]:
    """Take rows out, from the bottom up, so that no number moves under the next one."""
    return [
        {
            "deleteDimension": {
                "range": {"sheetId": sheet, "dimension": "ROWS", "startIndex": start, "endIndex": end}
            }
        }
        for start, end in reversed(list(runs(rows)))
    ]


def sorting(sheet: int, columns: Sequence[int], *, descending: bool) -> Request:
    """Whole rows below the header in order, whatever is in them; equals by the next column, upwards."""
    specs = [
        {
            "dimensionIndex": column,
            "sortOrder": "DESCENDING" if descending and column == columns[0] else "ASCENDING",
        }
        for column in columns
    ]
    return {"sortRange": {"range": {"sheetId": sheet, "startRowIndex": 1}, "sortSpecs": specs}}


def new_tab(sheet: int, title: str, columns: int) -> Request:
    grid = {"rowCount": 1000, "columnCount": max(columns, 26), "frozenRowCount": 1}
    return {"addSheet": {"properties": {"sheetId": sheet, "title": title, "gridProperties": grid}}}


def more_columns(sheet: int, count: int) -> Request:
    return {"appendDimension": {"sheetId": sheet, "dimension": "COLUMNS", "length": count}}


def more_rows(sheet: int, count: int) -> Request:
    return {"appendDimension": {"sheetId": sheet, "dimension": "ROWS", "length": count}}


def runs(rows: Iterable[int], near: int = 1) -> Iterator[tuple[int, int]]:
    """Row numbers as half-open stretches; those less than `near` apart are in one."""
    start = end = -1
    for row in sorted(rows):
        if start >= 0 and row - end < near:
            end = row + 1
            continue
        if start >= 0:
            yield start, end
        start, end = row, row + 1
    if start >= 0:
        yield start, end


def letters(column: int) -> str:
    """A column's name: 0 is A, 26 is AA."""
    text, rest = "", column + 1
    while rest:
        rest, letter = divmod(rest - 1, 26)
        text = chr(65 + letter) + text
    return text


def quoted(title: str) -> str:
    """A tab's title in A1 notation."""
    return "'" + title.replace("'", "''") + "'"
