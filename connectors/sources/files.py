"""A folder where files arrive: CSV, JSON lines, Parquet. A file once read is read again only if it changed.

Files bring news: a row that a changed file no longer has stays, unless a column tells so
(`deletes: {column: …}`) or each file is whole (`deletes: reconcile`: what its newest reading lacks is
deleted). A file that is gone, or was emptied, takes nothing back.

CSV and JSON values are kept as text, exactly as spelled. Of JSON lines a key that no row of a first load has
is misspelled, unless it ends in `?`; keys are those of the object itself, no paths. A line that cannot be
read is a row with a `_fault` and its file and line in `_origin`; blank lines are no rows."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq

from octo_dagster.errors import SourceError
from octo_dagster.source import FAULT, ORIGIN, Pull, Reading, Source

ROWS = 20_000
"""Rows in one batch."""

Line: TypeAlias = tuple[int, Sequence[str | None], str | None]
"""A line's number, its wanted values, and its fault."""

csv.field_size_limit(sys.maxsize)


class Files(Source):
    """Files of one folder, by name pattern."""

    type: Literal["files"] = "files"
    folder: Path
    format: Literal["csv", "jsonl", "parquet"] | None = None
    """Left out, by the pattern's ending: `.csv`, `.jsonl`, `.parquet`, the first two also with `.gz`."""
    delimiter: str | None = None
    """Left out, whichever of `, ; tab |` the header has most of."""
    quote: str = '"'
    encoding: str = "utf-8-sig"

    lists_keys: ClassVar = False
    rereads: ClassVar = True

    def columns(self, pull: Pull) -> tuple[str, ...]:
        """The header of the first file; JSON lines have none, and neither has an empty folder."""
        for path in self.matching(pull.table):
            if found := self.header(path):
                return found
        return ()

    def read(self, pull: Pull) -> Reading:
        known: dict[str, Any] = (pull.after or {}).get("files", {})
        found = {path: self.mark(path) for path in self.matching(pull.table)}
        fresh = [path for path, mark in found.items() if known.get(self.name(path)) != mark]
        state = {"files": known | {self.name(path): mark for path, mark in found.items()}}
        schema = self.shape(fresh, pull).append(ORIGIN).append(FAULT)
        return Reading(schema, self.every(fresh, schema, first=not pull.after), state)

    def keys(self, pull: Pull, key: tuple[str, ...]) -> Reading | None:
        return None

    def every(
        self, paths: list[Path], schema: pa.Schema, *, first: bool
    ) -> Generator[pa.RecordBatch, None, None]:
        absent = {name for name in schema.names[:-2] if name[-1] != "?"}
        rows = 0
        for path in paths:
            try:
                for batch in self.batches(path, schema, absent):
                    rows += batch.num_rows
                    yield batch
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise SourceError(f"{path.name}: not the whole of a gzip file: {error}") from error
        if first and rows and absent:
            raise SourceError(f"{paths[0].name}: no row has {', '.join(sorted(absent))}")

    def matching(self, pattern: str) -> list[Path]:
        if not self.folder.is_dir():
            raise SourceError(f"{self.folder}: no such folder")
        return sorted(path for path in self.folder.glob(pattern) if path.is_file())

    def name(self, path: Path) -> str:
        """What tells a file from all others: a pattern may reach into folders (`*/orders.csv`)."""
        return path.relative_to(self.folder).as_posix()

    def mark(self, path: Path) -> list[int]:
        """What a file looks like from outside; another mark means it is to be read again."""
        status = path.stat()
        return [status.st_size, status.st_mtime_ns]

    def kind(self, path: Path) -> str:
        ending = path.name.removesuffix(".gz").rpartition(".")[2]
        return self.format or ending

    def shape(self, paths: list[Path], pull: Pull) -> pa.Schema:
        """Text for every column, or a Parquet file's own types."""
        for path in paths:
            if self.kind(path) == "parquet":
                own = parquet(path).schema_arrow
                self.check(path, own.names, pull.columns)
                return pa.schema([kept(own.field(name)) for name in pull.columns])
        return pa.schema([pa.field(name, pa.string()) for name in pull.columns])

    def header(self, path: Path) -> tuple[str, ...]:
        if self.kind(path) == "parquet":
            return tuple(parquet(path).schema_arrow.names)
        if self.kind(path) == "jsonl":
            return ()
        with self.text(path) as lines:
            return tuple(next(filter(None, self.table(lines)), ()))

    def check(self, path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
        if twice := [name for name in wanted if names.count(name) > 1]:
            raise SourceError(f"{path.name}: more than one column {', '.join(twice)}")
        if missing := [name for name in wanted if name not in names]:
            raise SourceError(f"{path.name}: no column {', '.join(missing)}; it has: {', '.join(names)}")

    def batches(self, path: Path, schema: pa.Schema, absent: set[str]) -> Iterator[pa.RecordBatch]:
        """The wanted columns of one file, then `_origin` and `_fault`. `absent` loses what the file has."""
        wanted = schema.names[:-2]
        if self.kind(path) != "jsonl":
            absent.clear()  # these have a header, which is checked
        match self.kind(path):
            case "parquet":
                yield from self.parquet_batches(path, schema)
            case "csv":
                yield from packed(self.name(path), self.csv_lines(path, wanted), schema)
            case "jsonl":
                yield from packed(self.name(path), self.json_lines(path, wanted, absent), schema)
            case other:
                raise SourceError(f"{path.name}: {other!r} is no format; known: csv, jsonl, parquet")

    def csv_lines(self, path: Path, wanted: Sequence[str]) -> Iterator[Line]:
        with self.text(path) as lines:
            rows = self.table(lines)
            if not (header := next(filter(None, rows), None)):
                return
            self.check(path, header, wanted)
            places = [header.index(name) for name in wanted]
            empty = (None,) * len(wanted)
            read = rows.line_num
            for row, fault in unbroken(rows):
                if len(row) == len(header):
                    yield rows.line_num, [row[place] for place in places], None
                elif row or fault:
                    why = fault or f"{len(row)} fields where the header has {len(header)}"
                    # A quote that is never closed takes many lines with it: each of them is a row refused.
                    yield from ((number, empty, why) for number in range(read + 1, rows.line_num + 1))
                read = rows.line_num

    def json_lines(self, path: Path, wanted: Sequence[str], absent: set[str]) -> Iterator[Line]:
        empty, keys = (None,) * len(wanted), [name.removesuffix("?") for name in wanted]
        with self.text(path) as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
                except ValueError as error:
                    yield number, empty, f"not JSON: {error}"
                    continue
                if isinstance(row, dict):
                    absent.difference_update(row)
                    yield number, [spelled(row.get(key)) for key in keys], None
                else:
                    yield number, empty, "not a JSON object"

    def parquet_batches(self, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        self.check(path, parquet(path).schema_arrow.names, schema.names[:-2])
        line = 0
        for batch in parquet(path).iter_batches(batch_size=ROWS, columns=schema.names[:-2]):
            origins = [f"{self.name(path)}:{line + n}" for n in range(1, batch.num_rows + 1)]
            line += batch.num_rows
            columns = [*batch.select(schema.names[:-2]).columns, pa.array(origins, pa.string())]
            columns.append(pa.nulls(batch.num_rows, pa.string()))
            yield pa.RecordBatch.from_arrays(
                [column.cast(field.type) for column, field in zip(columns, schema, strict=True)],
                schema=schema,
            )

    def text(self, path: Path) -> io.TextIOWrapper:
        """The file's text. Bytes that are not of its encoding come through and are found when packed."""
        raw: Any = gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115
        return io.TextIOWrapper(raw, encoding=self.encoding, errors="surrogateescape", newline="")

    def table(self, lines: io.TextIOWrapper) -> Any:
        first = next((line for line in lines if line.strip()), "")
        lines.seek(0)
        delimiter = self.delimiter or max(",;\t|", key=first.count)
        return csv.reader(lines, delimiter=delimiter, quotechar=self.quote, strict=True)


def unbroken(rows: Any) -> Iterator[tuple[list[str], str | None]]:
    """Every row of a CSV reader; what it stumbles over is a fault, and it goes on with the next line."""
    while True:
        try:
            yield next(rows), None
        except csv.Error as error:
            yield [], str(error)
        except StopIteration:
            return


def packed(name: str, lines: Iterator[Line], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Lines as batches, `name:line` as their origin."""
    while chunk := list(islice(lines, ROWS)):
        try:
            yield batch(name, chunk, schema)
        except UnicodeEncodeError:
            yield batch(name, [legible(line) for line in chunk], schema)


def batch(name: str, chunk: list[Line], schema: pa.Schema) -> pa.RecordBatch:
    columns = zip(*(values for _, values, _ in chunk), strict=True)
    arrays = [pa.array(column, pa.string()) for column in columns]
    arrays.append(pa.array([f"{name}:{number}" for number, _, _ in chunk], pa.string()))
    arrays.append(pa.array([fault for _, _, fault in chunk], pa.string()))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def legible(line: Line) -> Line:
    """The line, or a fault in place of one whose bytes are not of the file's encoding."""
    number, values, fault = line
    try:
        for value in values:
            (value or "").encode()
    except UnicodeEncodeError:
        return number, (None,) * len(values), "not text in the file's encoding"
    return number, values, fault


def spelled(value: Any) -> str | None:
    """A JSON value as text: numbers as the file spells them, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"{path.name}: not a Parquet file: {error}") from error


def kept(field: pa.Field[Any]) -> pa.Field[Any]:
    """A Parquet column as the warehouse keeps it: microseconds, and no dictionaries."""
    kind: Any = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_timestamp(kind):
        kind = pa.timestamp("us", tz="UTC" if kind.tz else None)
    return pa.field(field.name, kind)
