"""How the twin shows a spreadsheet, and the part of it that a field mask asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.sandbox.google_sheets.grid import EMPTY, Book, Cell, Tab, invalid
from connectors.sandbox.google_sheets.ranges import Area

Mask = dict[str, Any]
"""Field → the mask of what is below it; an empty one asks for everything."""


def book(held: Book, areas: Iterable[Area], *, grid: bool, comments: bool) -> dict[str, Any]:
    """The whole Spreadsheet resource: of the tabs the areas name, or of all."""
    wanted = list(areas)
    tabs = [tab for tab in held.tabs if not wanted or any(area.tab is tab for area in wanted)]
    return {
        "spreadsheetId": held.id,
        "properties": {
            "title": held.title,
            "locale": "en_US",
            "autoRecalc": "ON_CHANGE",
            "timeZone": "Etc/GMT",
        },
        "sheets": [
            sheet(
                held,
                tab,
                ([area for area in wanted if area.tab is tab] or [Area(tab)]) if grid else (),
                comments=comments,
            )
            for tab in tabs
        ],
        "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{held.id}/edit",
    }


def sheet(held: Book, tab: Tab, areas: Iterable[Area], *, comments: bool) -> dict[str, Any]:
    said: dict[str, Any] = {"properties": tab.properties(held.tabs.index(tab))}
    data = [grid_data(area) for area in areas]
    said |= {"data": data} if data else {}
    anchors = list(anchored(tab)) if comments else []
    return said | ({"commentAnchors": anchors} if anchors else {})


def grid_data(area: Area) -> dict[str, Any]:
    """Rows and cells after the last one with anything in it are left out, as are zeros."""
    rows = [row_data(area, row) for row in area.rows]
    while rows and not rows[-1]:
        rows.pop()
    said: dict[str, Any] = {"startRow": area.top} if area.top else {}
    said |= {"startColumn": area.left} if area.left else {}
    return said | ({"rowData": rows} if rows else {})


def row_data(area: Area, row: int) -> dict[str, Any]:
    held = area.tab.rows[row]
    last = max((column for column in held if column in area.columns), default=area.left - 1)
    cells = [cell(held.get(column, EMPTY)) for column in range(area.left, last + 1)]
    return {"values": cells} if cells else {}


def cell(held: Cell) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if held.value:
        said = {"userEnteredValue": dict(held.value), "effectiveValue": dict(held.effective or {})}
    said |= {"note": held.note} if held.note else {}
    return said | ({"userEnteredFormat": dict(held.format)} if held.format else {})


def anchored(tab: Tab) -> Iterable[dict[str, Any]]:
    """Where the tab's comments are."""
    for number, row in enumerate(tab.rows):
        for column, held in row.items():
            for name in held.comments:
                at = {"startRowIndex": number, "endRowIndex": number + 1}
                at |= {"startColumnIndex": column, "endColumnIndex": column + 1}
                yield {"anchorId": name, "range": {"sheetId": tab.id, **at}}


# field masks -------------------------------------------------------------------------------------------


def mask(text: str) -> Mask:
    """`a,b(c,d.e)` as a tree. Refused when its brackets do not match."""
    made, rest = parsed(text.replace(" ", "").replace("/", "."))
    if rest:
        raise invalid(f"Invalid field mask: {text}")
    return made


def parsed(text: str) -> tuple[Mask, str]:
    """The tree of a list of fields, and what follows it."""
    made: Mask = {}
    while text and text[0] != ")":
        at = made
        while True:
            end = min((text.find(mark) for mark in ".,()" if mark in text), default=len(text))
            at, mark, text = at.setdefault(text[:end], {}), text[end : end + 1], text[end + 1 :]
            if mark != ".":
                break
        if mark == "(":
            below, text = parsed(text)
            at |= below
            if not text.startswith(")"):
                raise invalid("Invalid field mask")
            mark, text = text[1:2], text[2:]
        if mark == ")":
            return made, ")" + text
        if mark not in ("", ","):
            raise invalid("Invalid field mask")
    return made, text


def part(said: Any, wanted: Mask) -> Any:
    """What of a reply the mask asks for."""
    if not wanted or "*" in wanted:
        return said
    if isinstance(said, list):
        return [part(one, wanted) for one in said]
    if not isinstance(said, Mapping):
        return said
    return {name: part(said[name], below) for name, below in wanted.items() if name in said}
