"""One spreadsheet, spoken to through gspread: the only file that imports it.

gspread's plain client is used, over the engine's session: its `BackOffHTTPClient` repeats appends by itself.
Every verb reads the tab's header anew with the columns, so a column that somebody moved is found where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gspread
import requests
from gspread.urls import SPREADSHEET_BATCH_UPDATE_URL, SPREADSHEET_URL

from connectors.destinations.google_sheets.cells import Cell, as_shown
from connectors.destinations.google_sheets.requests import Request, letters, quoted, runs
from connectors.destinations.google_sheets.table import Cells, Seen, Table
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType

ABOUT = "spreadsheetId,properties.title,sheets.properties(sheetId,title,sheetType,gridProperties)"
CELLS = "sheets(properties.sheetId,data(startRow,startColumn,rowData.values.effectiveValue))"
ROWS = "sheets(properties.sheetId,commentAnchors.range,data(startRow,rowData.values(userEnteredValue,note)))"


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab's place in the spreadsheet and its size."""

    id: int
    title: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Line:
    """A whole row as it is: a cell's own value or formula, by column; where it has notes or comments."""

    values: Mapping[int, Mapping[str, Any]]
    remarks: bool


class Book:
    """The client handed from `connect` to every verb."""

    def __init__(self, spreadsheet: str, title: str, http: requests.Session) -> None:
        self.id, self.title = spreadsheet, title
        self.gspread = gspread.Client(auth=None, session=http).http_client  # type: ignore[arg-type]
        self.table: Table | None = None
        """The tab as last seen, while it can be relied on."""
        self.types: Mapping[str, FieldType] = {}
        """The mapped fields, the key's first, as told by the engine."""
        self.unheard: tuple[Table, Mapping[str, Cells]] | None = None
        """What was seen before, and meant by, a write by row numbers of which no answer has come."""
        self.about: Mapping[str, Any] | None = None

    @property
    def key(self) -> str:
        """The header of the key's column."""
        return next(iter(self.types))

    def look(self, *, again: bool = False) -> Mapping[str, Any]:
        """The spreadsheet's id, title and tabs."""
        if self.about is None or again:
            self.about = self.gspread.fetch_sheet_metadata(self.id, {"fields": ABOUT})
        return self.about

    def tabs(self, *, again: bool = False) -> list[Tab]:
        """The tabs that are grids of cells."""
        found = [sheet["properties"] for sheet in self.look(again=again).get("sheets", [])]
        return [
            Tab(said["sheetId"], said["title"], grid.get("rowCount", 0), grid.get("columnCount", 0))
            for said in found
            if (grid := said.get("gridProperties")) and said.get("sheetType", "GRID") == "GRID"
        ]

    def tab(self, *, again: bool = False) -> Tab | None:
        """The tab written to; None when there is none of its title, whatever its case."""
        title = self.title.casefold()
        return next((tab for tab in self.tabs(again=again) if tab.title.casefold() == title), None)

    def here(self) -> Tab:
        """The tab. Fatal when there is none."""
        tab = self.tab() or self.tab(again=True)
        if tab is None:
            raise Fatal(f"google_sheets: the spreadsheet has no tab {self.title!r}")
        return tab

    # reading ---------------------------------------------------------------------------------------

    def values(self, ranges: Sequence[str]) -> list[list[list[Cell]]]:
        """For each range of the tab its columns, each without the empty cells at its end."""
        whole = [f"{quoted(self.title)}!{cells}" for cells in ranges]
        how = {"majorDimension": "COLUMNS", "valueRenderOption": "UNFORMATTED_VALUE"}
        told = self.gspread.values_batch_get(self.id, whole, params=dict(how))
        return [
            [[None if cell == "" else cell for cell in column] for column in one.get("values", [])]
            for one in told["valueRanges"]
        ]

    def headers(self) -> list[str]:
        """The first row's texts, by column; an empty text where there is none."""
        (columns,) = self.values(["1:1"])
        return [str(column[0]).strip() if column and column[0] is not None else "" for column in columns]

    def places(self, wanted: Iterable[str]) -> dict[str, int]:
        """Field → its column. One that has none is left out; Fatal when two columns have its name."""
        found = self.headers()
        for name in wanted:
            if found.count(name) > 1:
                raise Fatal(
                    f"google_sheets: {found.count(name)} columns of {self.title!r} are called {name!r}"
                )
        return {name: found.index(name) for name in wanted if name in found}

    def read(self, key: str, fields: Iterable[str]) -> Table | None:
        """The key's column and those of these fields, as they are now; None without such a key column.

        Read with their headers, by which a column that was moved meanwhile is noticed."""
        for _ in range(2):
            places = self.places([key, *fields])
            if key not in places:
                return None
            names = list(places)
            columns = [column for (column,) in self.columns(places[name] for name in names)]
            if all(str(column[0]).strip() == name for name, column in zip(names, columns, strict=True)):
                return Table(key, places, {n: c[1:] for n, c in zip(names, columns, strict=True)})
        raise Fatal(f"google_sheets: the columns of {self.title!r} are being moved; try again later")

    def columns(self, places: Iterable[int]) -> list[list[list[Cell]]]:
        letter = [letters(place) for place in places]
        return [found or [[None]] for found in self.values([f"{one}:{one}" for one in letter])]

    def lines(self, tab: Tab, rows: Iterable[int]) -> dict[int, Line]:
        """Whole rows with everything people may have put on them."""
        filters = [
            {"gridRange": {"sheetId": tab.id, "startRowIndex": start, "endRowIndex": end}}
            for start, end in runs(rows)
        ]
        # who may edit may see comments; who may only look is refused soon enough
        body = {"dataFilters": filters, "commentsViewMode": "COMMENTS_VIEW_MODE_DEFAULT_FOR_CURRENT_ACCESS"}
        url = f"{SPREADSHEET_URL % self.id}:getByDataFilter"
        told = self.gspread.request("post", url, params={"fields": ROWS}, json=body).json()
        found: dict[int, Line] = {}
        for sheet in told["sheets"]:
            talked = commented(sheet)
            for data in sheet.get("data", []):
                for row, line in enumerate(data.get("rowData", []), start=data.get("startRow", 0)):
                    found[row] = read_line(line.get("values", []), remarked=row in talked)
        return found

    # writing ---------------------------------------------------------------------------------------

    def change(self, asked: Sequence[Request], ranges: Sequence[str]) -> list[tuple[int, dict[int, Cell]]]:
        """Carry all requests out, or none; then what stands in these ranges of the tab, row by row.

        What is shown is the state the call itself left, before anybody else could touch it."""
        whole = [f"{quoted(self.title)}!{cells}" for cells in ranges]
        body = {
            "requests": list(asked),
            "includeSpreadsheetInResponse": bool(ranges),
            "responseRanges": whole,
        }
        fields = f"replies,updatedSpreadsheet.{CELLS}" if ranges else "replies"
        told = self.gspread.request(
            "post", SPREADSHEET_BATCH_UPDATE_URL % self.id, params={"fields": fields}, json=body
        ).json()
        return [
            (row, {left + n: as_shown(cell) for n, cell in enumerate(line.get("values", []))})
            for sheet in told.get("updatedSpreadsheet", {}).get("sheets", [])
            for data in sheet.get("data", [])
            for left in (data.get("startColumn", 0),)
            for row, line in enumerate(data.get("rowData", []), start=data.get("startRow", 0))
        ]


def commented(sheet: Mapping[str, Any]) -> set[int]:
    """The rows that have a comment."""
    ranges = [anchor.get("range", {}) for anchor in sheet.get("commentAnchors", [])]
    return {row for one in ranges for row in range(one.get("startRowIndex", 0), one.get("endRowIndex", 1))}


def read_line(cells: Sequence[Mapping[str, Any]], *, remarked: bool) -> Line:
    values = {n: cell["userEnteredValue"] for n, cell in enumerate(cells) if cell.get("userEnteredValue")}
    return Line(values, remarked or any(cell.get("note") for cell in cells))


def named(seen: Iterable[tuple[int, Mapping[int, Cell]]], places: Mapping[str, int]) -> list[Seen]:
    """The rows seen with their cells by field, each row once, in order."""
    rows: dict[int, dict[int, Cell]] = {}
    for row, cells in seen:
        rows.setdefault(row, {}).update(cells)
    return [(row, {name: rows[row].get(column) for name, column in places.items()}) for row in sorted(rows)]
