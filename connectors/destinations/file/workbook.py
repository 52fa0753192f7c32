"""XLSX through openpyxl: text stays text, no postcode loses its zero, nothing is run as a formula."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.utils.exceptions import InvalidFileException

from connectors.destinations.file.cells import Unfit, fitting, joined, typed
from connectors.destinations.file.formats import Format, Row
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType, Value

MAKER = "Octo"
DIGITS = 15
"""Digits a number cell keeps ("Excel specifications and limits"); a longer number goes as text."""
MOST_ROWS = 1_048_576
"""Rows of a sheet, the names of the columns among them (same source); what is below is left out."""
DATED = (FieldType.DATE, FieldType.DATETIME)
FIRST_DAY = date(1900, 3, 1)
"""Excel's calendar has a 29 February 1900 before it; earlier days go as text."""


@dataclass(frozen=True, slots=True)
class Workbook(Format):
    """One sheet. Octo writes over no workbook it did not make: formats and other sheets would be lost."""

    def rows(self, content: bytes) -> Iterator[Row]:
        try:
            book = openpyxl.load_workbook(io.BytesIO(content), read_only=True)
        except (InvalidFileException, zipfile.BadZipFile, KeyError) as error:
            raise Fatal(f"file: it is no workbook: {error}") from error
        if book.properties.creator != MAKER or len(book.worksheets) != 1:
            raise Fatal("file: somebody else made this workbook or added a sheet; give Octo's another name")
        for row in book.worksheets[0].iter_rows():
            yield [held(cell) for cell in row]
        book.close()

    def content(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        everything = (columns, *rows)
        if len(everything) > MOST_ROWS:
            raise Fatal(f"file: a sheet takes {MOST_ROWS:,} rows, not {len(everything):,}; name it .csv")
        book = openpyxl.Workbook(write_only=True)
        book.properties.creator = MAKER
        sheet = book.create_sheet("Octo")
        sheet.freeze_panes = "A2"
        for row in everything:
            sheet.append([text(sheet, cell) if isinstance(cell, str) else cell for cell in row])
        written = io.BytesIO()
        book.save(written)
        return written.getvalue()

    def cell(self, value: Value, kind: FieldType) -> Any:
        if isinstance(value, int | Decimal):  # a boolean is an int
            digits = format(value, "f" if isinstance(value, Decimal) else "d")
            return value if len(digits) <= DIGITS else digits
        written = fitting(joined(value) if isinstance(value, list) else value or "")
        if ILLEGAL_CHARACTERS_RE.search(written):
            raise Unfit("holds a control character, which no workbook can")
        return dated(written, kind) if written and kind in DATED else written or None

    def value(self, cell: Any, kind: FieldType | None) -> Value:
        if isinstance(cell, datetime):
            whole = (cell + timedelta(milliseconds=500)).replace(microsecond=0, tzinfo=UTC)
            return (
                whole.date().isoformat() if kind is FieldType.DATE else whole.strftime("%Y-%m-%dT%H:%M:%SZ")
            )
        if isinstance(cell, date):
            return cell.isoformat()
        if isinstance(cell, float):
            return Decimal(str(cell))
        return typed(cell, kind) if isinstance(cell, str) else cell


def dated(value: str, kind: FieldType) -> date | datetime | str:
    """A day or a moment as Excel's own, which sorts and filters as such."""
    moment = datetime.fromisoformat(value)
    if moment.date() < FIRST_DAY:
        return value
    return moment.date() if kind is FieldType.DATE else moment.replace(tzinfo=None)


def text(sheet: Any, content: str) -> Any:
    """A text cell: openpyxl itself takes `=1+1` for a formula and `#N/A` for an error."""
    cell = WriteOnlyCell(sheet)
    cell.value = content
    cell.data_type = "s"
    cell.number_format = "@"
    return cell


def held(cell: Any) -> Any:
    """What a cell holds; a moment whose format shows no hour is a day."""
    if isinstance(cell.value, datetime) and "h" not in cell.number_format.lower():
        return cell.value.date()
    return cell.value
