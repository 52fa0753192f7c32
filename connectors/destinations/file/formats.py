"""How a table is written as a file: CSV, XLSX, JSON lines. Each reads what it wrote as it was."""

from __future__ import annotations

import csv
import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from connectors.destinations.file.cells import fitting, guarded, joined, typed, unguarded
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType, Value

Row = list[Any]


class Format(ABC):
    """One way of writing a table. A cell is what the file has there; untouched, it goes back as it came."""

    @abstractmethod
    def rows(self, content: bytes) -> Iterator[Row]:
        """The names of the columns, then the rows. Fatal when this is no such file."""

    @abstractmethod
    def content(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        """The file."""

    @abstractmethod
    def cell(self, value: Value, kind: FieldType) -> Any:
        """What stands for a value of this type. Unfit when nothing can."""

    @abstractmethod
    def value(self, cell: Any, kind: FieldType | None) -> Value:
        """What a cell of a field of this type stands for."""


class Dialect(BaseModel):
    """How a CSV file is spelled. Lines end in CR LF and quotes are doubled (RFC 4180)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delimiter: Literal[",", ";", "\t", "|"] = ","
    """`;` is what Excel expects where the decimal point is a comma."""
    encoding: Literal["utf-8", "utf-8-sig", "cp1252", "latin-1"] = "utf-8"
    """`utf-8-sig` begins with the mark by which Excel knows UTF-8."""
    decimal: Literal[".", ","] = "."
    guard_formulas: bool = True
    """Whether an apostrophe goes before text a spreadsheet would run as a formula."""


@dataclass(frozen=True, slots=True)
class Csv(Format):
    """Comma-separated values in a dialect."""

    dialect: Dialect

    def rows(self, content: bytes) -> Iterator[Row]:
        encoding = "utf-8-sig" if self.dialect.encoding == "utf-8" else self.dialect.encoding
        try:
            text = io.StringIO(content.decode(encoding), newline="")
            yield from csv.reader(text, delimiter=self.dialect.delimiter, strict=True)
        except (UnicodeDecodeError, csv.Error) as error:
            raise Fatal(f"file: it is no CSV file in {self.dialect.encoding}: {error}") from error

    def content(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self.dialect.delimiter, lineterminator="\r\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return text.getvalue().encode(self.dialect.encoding)

    def cell(self, value: Value, kind: FieldType) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | Decimal):
            return format(value, "f" if isinstance(value, Decimal) else "d").replace(
                ".", self.dialect.decimal
            )
        text = joined(value) if isinstance(value, list) else value or ""
        return fitting(guarded(text) if self.dialect.guard_formulas else text, self.dialect.encoding)

    def value(self, cell: str, kind: FieldType | None) -> Value:
        text = cell or ""  # a row may be shorter than its columns
        return typed(unguarded(text) if self.dialect.guard_formulas else text, kind, self.dialect.decimal)


@dataclass(frozen=True, slots=True)
class Lines(Format):
    """A JSON object a line. Numbers are exact, and a field without a value is null."""

    def rows(self, content: bytes) -> Iterator[Row]:
        try:
            lines = [json.loads(line, parse_float=Decimal) for line in content.splitlines() if line.strip()]
            columns = list(dict.fromkeys(name for line in lines for name in line.keys()))  # noqa: SIM118
        except (ValueError, AttributeError) as error:
            raise Fatal(f"file: it is no file of JSON lines: {error}") from error
        yield columns
        for line in lines:
            yield [line.get(name) for name in columns]

    def content(self, columns: Sequence[str], rows: Iterable[Row]) -> bytes:
        names = [json.dumps(name, ensure_ascii=False) for name in columns]
        lines = (", ".join(f"{n}: {spelled(c)}" for n, c in zip(names, row, strict=True)) for row in rows)
        return "".join(f"{{{line}}}\n" for line in lines).encode()

    def cell(self, value: Value, kind: FieldType) -> Any:
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                fitting(text)
        return value

    def value(self, cell: Any, kind: FieldType | None) -> Value:
        held: Value = cell
        return held


def spelled(cell: Any) -> str:
    """JSON of a cell; a Decimal with all its digits, inside of other people's objects, too."""
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, dict):
        return "{" + ", ".join(f"{spelled(name)}: {spelled(held)}" for name, held in cell.items()) + "}"
    if isinstance(cell, list):
        return "[" + ", ".join(map(spelled, cell)) + "]"
    return json.dumps(cell, ensure_ascii=False)
