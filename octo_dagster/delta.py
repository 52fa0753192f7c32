"""One version of a Delta table: what its log says of it, and how DuckDB reads it.

A version never changes, and a file is never written twice: both are looked at once in a process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

LIVE = "_live"
"""The version of the table that appended the row since the night; null for the night's own rows."""
GONE = "_gone"
"""Of a live row: its key is no more."""


def commit(log: Path, version: int) -> Path:
    """The file whose being there makes a version."""
    return log / f"{version:020}.json"


@dataclass(frozen=True)
class Opened:
    """One version of a table, which never changes."""

    table: DeltaTable

    @cached_property
    def schema(self) -> pa.Schema:
        return pa.schema(self.table.schema().to_arrow())

    @cached_property
    def note(self) -> Mapping[str, Any]:
        """What was said when it was written."""
        newest: dict[str, Any] = self.table.history(1)[0]
        return dict(json.loads(newest.get("octo", "{}")))

    @cached_property
    def files(self) -> Sequence[str]:
        """Their paths. Delta tells them as URLs: a space in the project's folder is %20."""
        return [unquote(uri).removeprefix("file://") for uri in self.table.file_uris()]

    @cached_property
    def parts(self) -> Sequence[Part]:
        """Its files, and which lane's rows each holds."""
        return [part(file) for file in self.files]


@lru_cache(maxsize=256)
def opened(folder: Path, version: int, stamp: tuple[int, int]) -> Opened:
    """A version of a table. `stamp`: of its commit's file, for a table may be removed and made anew."""
    return Opened(DeltaTable(folder, version=version))


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a table."""

    file: str
    night: bool
    """Whether it holds rows of the night."""
    newest: int | None
    """The newest of its live rows; None when it holds none."""


@lru_cache(maxsize=4096)
def part(file: str) -> Part:
    """A file and which lane's rows it holds, as its own figures say: a table's log has those of its first
    columns only. A file is never written twice."""
    told = pq.read_metadata(file)
    place = told.schema.names.index(LIVE) if LIVE in told.schema.names else None
    groups = range(told.num_row_groups) if place is not None else ()
    figures = [told.row_group(group).column(place).statistics for group in groups]
    newest = max((figure.max for figure in figures if figure.has_min_max), default=None)
    return Part(file, newest is None or any(figure.null_count for figure in figures), newest)


def folded(files: Sequence[Part], columns: Sequence[str], key: Sequence[str]) -> str:
    """Of each key the newest live row, or else the night's, in the table's own columns."""
    base = [part.file for part in files if part.night]
    live = [part.file for part in files if part.newest is not None]
    keys, listed = (", ".join(f'"{name}"' for name in names) for names in (key, columns))
    if not live:
        return f"select {listed} from {scan(base)}"
    newest = f"""select * from {scan(live)} where {LIVE} is not null
        qualify row_number() over (partition by {keys} order by {LIVE} desc) = 1"""
    standing = f"select * exclude ({LIVE}, {GONE}) from newest where not {GONE}"
    if not base:
        return f"with newest as ({newest}) select {listed} from ({standing})"
    theirs = f"exclude ({LIVE}, {GONE}) from {scan(base)} where {LIVE} is null"
    nights = f"select * {theirs if set(base) & set(live) else 'from ' + scan(base)}"
    return f"""with newest as materialized ({newest})
        select {listed} from (
            select * from ({nights}) anti join newest using ({keys}) union all by name {standing})"""


def scan(files: Iterable[str]) -> str:
    """DuckDB's reading of these files."""
    listed = ", ".join(map(quoted, files))
    return f"read_parquet([{listed}], union_by_name = true)"


def own(schema: pa.Schema) -> pa.Schema:
    """The table's own columns, without what the live lane writes beside them."""
    return pa.schema([field for field in schema if field.name not in (LIVE, GONE)])


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
