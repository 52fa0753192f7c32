"""The `values` collection of the twin: cells as plain lists."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.google_sheets.grid import Book, Cell, Entered, entered, invalid, plain, typed
from connectors.sandbox.google_sheets.ranges import Area, area
from connectors.sandbox.twin import Twin, route

BASE = "/v4/spreadsheets/<name>"
ENTRY: Mapping[Any, Callable[[Any], Entered | None]] = {"RAW": entered, "USER_ENTERED": typed}


class Values(Twin):
    """`spreadsheets.values`: get, batchGet, update, batchUpdate, append, clear, batchClear."""

    @abstractmethod
    def book(self, request: Request, name: str) -> Book: ...

    @abstractmethod
    def changing(self, request: Request, name: str) -> tuple[Book, dict[str, Any]]: ...

    @route("GET", f"{BASE}/values/<where>")
    def get_values(self, request: Request, name: str, where: str) -> Response:
        return answered(values(area(self.book(request, name), where).inside(), request.args))

    @route("GET", f"{BASE}/values:batchGet")
    def get_many(self, request: Request, name: str) -> Response:
        book = self.book(request, name)
        areas = [area(book, text).inside() for text in request.args.getlist("ranges")]
        return answered({"spreadsheetId": book.id, "valueRanges": [values(a, request.args) for a in areas]})

    @route("PUT", f"{BASE}/values/<where>")
    def put_values(self, request: Request, name: str, where: str) -> Response:
        book, body = self.changing(request, name)
        return answered(put(book, area(book, where).inside(), body, request.args))

    @route("POST", f"{BASE}/values:batchUpdate")
    def put_many(self, request: Request, name: str) -> Response:
        book, body = self.changing(request, name)
        told = [put(book, area(book, one["range"]).inside(), one, body) for one in body.get("data", [])]
        sums = {
            f"total{name}": sum(one[name.replace("Updated", "updated")] for one in told)
            for name in ("UpdatedRows", "UpdatedColumns", "UpdatedCells")
        }
        return answered({"spreadsheetId": book.id, **sums, "totalUpdatedSheets": 1, "responses": told})

    @route("POST", f"{BASE}/values/<where>:append")
    def append_values(self, request: Request, name: str, where: str) -> Response:
        """After the last row of the table found at the range; at the range itself when its row is empty.

        This twin takes all of a tab for one table."""
        book, body = self.changing(request, name)
        found = area(book, where).inside()
        tab, used = found.tab, found.tab.used()
        if not any(cell.value for cell in tab.rows[found.top].values()):
            used = found.top
        short = used + len(body.get("values", [])) - len(tab.rows)
        tab.rows += [{} for _ in range(short)]
        at = Area(tab, used, used + len(body.get("values", [])), found.left, None)
        told: dict[str, Any] = {"spreadsheetId": book.id}
        if used:
            last = max(column for row in tab.rows[:used] for column in row) + 1
            told["tableRange"] = str(Area(tab, 0, used, found.left, last))
        return answered(told | {"updates": put(book, at, body, request.args, appended=True)})

    @route("POST", f"{BASE}/values/<where>:clear")
    def clear_values(self, request: Request, name: str, where: str) -> Response:
        book = self.book(request, name)
        return answered({"spreadsheetId": book.id, "clearedRange": cleared(area(book, where).inside())})

    @route("POST", f"{BASE}/values:batchClear")
    def clear_many(self, request: Request, name: str) -> Response:
        book, body = self.changing(request, name)
        told = [cleared(area(book, text).inside()) for text in body.get("ranges", [])]
        return answered({"spreadsheetId": book.id, "clearedRanges": told})


def answered(body: Any) -> Response:
    return Response(json.dumps(body), mimetype="application/json")


def values(found: Area, asked: Mapping[str, Any]) -> dict[str, Any]:
    """A ValueRange: without the empty cells and lines at its end."""
    render = asked.get("valueRenderOption", "FORMATTED_VALUE")
    by_column = asked.get("majorDimension") == "COLUMNS"
    lines = found.columns if by_column else found.rows
    across = found.rows if by_column else found.columns
    tab = found.tab
    held = ([tab.cell(b, a) if by_column else tab.cell(a, b) for b in across] for a in lines)
    cells = [[render_cell(cell, render) for cell in line] for line in held]
    kept = trimmed([trimmed(line, "") for line in cells], [])
    told: dict[str, Any] = {"range": str(found), "majorDimension": "COLUMNS" if by_column else "ROWS"}
    return told | ({"values": kept} if kept else {})


def trimmed(line: list[Any], blank: Any) -> list[Any]:
    while line and type(line[-1]) is type(blank) and line[-1] == blank:
        line = line[:-1]
    return line


def render_cell(cell: Cell, how: str) -> Any:
    """A cell's value: as shown, without its format, or with its formula."""
    if cell.value is None:
        return ""
    if how == "FORMULA" and "formulaValue" in cell.value:
        return cell.value["formulaValue"]
    value = plain(cell.effective)
    if how == "FORMATTED_VALUE":
        return str(value).upper() if isinstance(value, bool) else str(value)
    return value


def put(
    book: Book, found: Area, said: Mapping[str, Any], asked: Mapping[str, Any], *, appended: bool = False
) -> dict[str, Any]:
    """Write rows of values from a corner on; None leaves a cell, the empty text empties it."""
    if asked.get("valueInputOption") not in ENTRY:
        raise invalid("'valueInputOption' is required but not specified")
    enter, rows = ENTRY[asked["valueInputOption"]], said.get("values", [])
    if said.get("majorDimension") == "COLUMNS":
        rows = [list(row) for row in zip(*rows, strict=True)]
    height, width = len(rows), max(map(len, rows), default=0)
    tried = Area(found.tab, found.top, found.top + height, found.left, found.left + width)
    if found.top + height > len(found.tab.rows) or found.left + width > found.tab.columns:
        raise invalid(f"Range ({tried}) exceeds grid limits. Max rows: {len(found.tab.rows)}")
    written = [
        (down, across) for down, row in enumerate(rows) for across, one in enumerate(row) if one is not None
    ]
    for down, across in written:
        place = found.top + down, found.left + across
        found.tab.put(*place, replace(found.tab.cell(*place), value=enter(rows[down][across])))
    touched = [{at[0] for at in written}, {at[1] for at in written}]
    ends = [max(at, default=0) + 1 for at in touched]
    done = replace(tried, bottom=found.top + ends[0], right=found.left + ends[1])
    told: dict[str, Any] = {"spreadsheetId": book.id, "updatedRange": str(done)}
    told |= {"updatedRows": len(touched[0]), "updatedColumns": len(touched[1]), "updatedCells": len(written)}
    if str(asked.get("includeValuesInResponse")).lower() == "true":
        how = {"valueRenderOption": asked.get("responseValueRenderOption", "FORMATTED_VALUE")}
        told["updatedData"] = values(done if appended else found, how)  # as recorded
    return told


def cleared(found: Area) -> str:
    """Empty the values of an area, nothing else."""
    for row in found.rows:
        for column in found.columns:
            found.tab.put(row, column, replace(found.tab.cell(row, column), value=None))
    return str(found)
