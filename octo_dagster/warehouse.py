"""Where tables live: Delta tables on disk, read by DuckDB in memory. Many processes at once, no server.

Timestamps are kept without a zone and are UTC; money is `decimal(18, 2)`.
A write is a new version of one table (ACID, by delta-rs); a reader sees the newest version or any older
one. There is no DuckDB file, because two processes cannot share one.

Two lanes write. The night replaces a table; the live lane only appends to it: rows that say in `_live` which
version brought them, and in `_gone` whether their key is no more. Of each key the newest such row counts and
hides the night's. Every view and schema of this class has that done already; who reads the Delta files
himself must do the same, or take the rows without `_live`: the table as the night left it.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from filelock import FileLock

from octo_dagster.errors import Busy, ConfigError

MEMORY = "1GB"
"""What one step's DuckDB may hold before it spills to disk."""

LIVE = "_live"
"""The version of the table that appended the row since the night; null for the night's own rows."""
GONE = "_gone"
"""Of a live row: its key is no more."""

SMALL = 16 << 20
"""Bytes up to which a file is merged with others like it; what is larger is never rewritten for that."""
MANY = 64
"""Files of a table from which on the small ones are merged."""

GROUP = 122_880
"""Rows written together: DuckDB gives each such group to one thread, and holds one of it in memory."""


class Warehouse:
    """All tables under one folder. Nothing is cached: every call sees the newest version."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """The tables there are, sorted."""
        return sorted(log.parent.name for log in self.root.glob("*/_delta_log"))

    def version(self, name: str) -> int | None:
        """The table's newest version; None when there is no such table."""
        return self.table(name).version() if name in self.names() else None

    def existing(self, name: str) -> int:
        """The table's newest version. ConfigError, naming the tables there are, when there is none."""
        version = self.version(name)
        if version is None:
            raise ConfigError(
                f"there is no table {name!r}; there are {', '.join(self.names()) or 'none yet'}"
            )
        return version

    def schema(self, name: str) -> pa.Schema:
        """Column names and Arrow types of the newest version."""
        return own(pa.schema(self.table(name).schema().to_arrow()))

    def replace(
        self, name: str, rows: pa.Table | pa.RecordBatchReader, note: Mapping[str, Any] | None = None
    ) -> int:
        """Make the table hold exactly these rows; the version made. `note` is kept with the version."""
        return self.write(name, rows, "overwrite", note)

    def append(
        self, name: str, rows: pa.Table | pa.RecordBatchReader, note: Mapping[str, Any] | None = None
    ) -> int:
        """Add a part to the table, making it if need be; never rewrites what is there."""
        return self.write(name, rows, "append", note)

    def append_live(
        self,
        name: str,
        rows: pa.Table,
        key: Sequence[str],
        note: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
        seen: int | None = None,
    ) -> int:
        """Append rows that stand, from this version on, for those of their `key`; one that is `_gone` takes
        its key away. `note` makes this version's note of the last one's. The version made.

        Busy, with nothing written, when the table is no more at the version that was `seen`: rows worked out
        of it, or beside it, would hide newer ones."""
        with self.lock(name):
            version = self.table(name).version() + 1
            if seen is not None and version != seen + 1:
                raise Busy(f"{name} was made anew meanwhile; what was to be added to it stays owed")
            rows = rows.append_column(LIVE, pa.repeat(pa.scalar(version), len(rows)))
            if GONE not in rows.column_names:
                rows = rows.append_column(GONE, pa.repeat(pa.scalar(value=False), len(rows)))
            made = self.write(name, rows, "append", {**note(self.note(name)), "key": list(key)})
            self.tidy(name)
            return made

    def count(self, name: str, version: int | None = None) -> int:
        """How many rows a reader of the newest, or of the named, version sees."""
        table = self.table(name, version)
        if LIVE not in pa.schema(table.schema().to_arrow()).names:
            return int(table.count())
        with self.connect({} if version is None else {name: version}, only=[name]) as connection:
            return int(connection.sql(f'select count(*) from "{name}"').fetchall()[0][0])

    def tidy(self, name: str) -> None:
        """Merge the small parts of a table that has many."""
        if len(self.table(name).file_uris()) > MANY:
            self.compact(name, SMALL)

    def live(self, name: str, since: int) -> pa.Table:
        """The rows the live lane brought after version `since` and the night has not replaced, every one."""
        with self.lock(name):
            table = self.table(name)
            files = [part.file for part in parts(table) if (part.newest or -1) > since]
            if not files:
                return pa.schema(table.schema().to_arrow()).empty_table()
            with duckdb.connect() as connection:
                return connection.sql(f"from {scan(files)} where {LIVE} > {since}").to_arrow_table()

    def added(self, name: str, since: int) -> list[str] | None:
        """The files that hold what was appended after version `since`; None when rows were taken away or
        replaced since then, or nobody can tell any more."""
        files = []
        for version in range(since + 1, self.existing(name) + 1):
            log = self.root / name / "_delta_log" / f"{version:020}.json"
            if not log.exists():
                return None
            for line in map(json.loads, log.read_text().splitlines()):
                if line.get("remove", {}).get("dataChange"):
                    return None
                if line.get("add", {}).get("dataChange"):
                    files.append(str(self.root / name / unquote(line["add"]["path"])))
        return files if all(Path(file).exists() for file in files) else None

    def replace_part(self, name: str, rows: pa.Table, where: str) -> int:
        """Make the rows for which `where` holds be exactly these; the table is made if need be."""
        return self.write(name, rows, "overwrite", None, where)

    def write(
        self, name: str, rows: Any, mode: Any, note: Mapping[str, Any] | None, where: str | None = None
    ) -> int:
        """One writer of a table at a time: two overwrites that meet would make one of them fail."""
        with self.lock(name):
            write_deltalake(
                self.root / name,
                rows,
                mode=mode,
                predicate=where if name in self.names() else None,
                schema_mode="overwrite" if mode == "overwrite" and not where else "merge",
                commit_properties=CommitProperties(custom_metadata={"octo": json.dumps(dict(note or {}))}),
                writer_properties=WriterProperties(max_row_group_size=GROUP),
            )
            return self.table(name).version()

    def lock(self, name: str) -> FileLock:
        """Held by one thread of this machine, which may take it again; freed by the operating system when its
        process dies."""
        folder = self.root / ".locks"
        self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock", is_singleton=True)

    def note(self, name: str, version: int | None = None) -> dict[str, Any]:
        """What was said with a version when it was written."""
        table = self.table(name, version)
        newest: dict[str, Any] = table.history(1)[0]
        return dict(json.loads(newest.get("octo", "{}")))

    def compact(self, name: str, most: int | None = None) -> None:
        """Merge small parts into large files, of at most so many bytes. Contents, order of keys and note stay
        as they are."""
        with self.lock(name):
            said = CommitProperties(custom_metadata={"octo": json.dumps(self.note(name))})
            self.table(name).optimize.compact(target_size=most, commit_properties=said)

    def connect(
        self,
        versions: Mapping[str, int] | None = None,
        memory: str = MEMORY,
        only: Collection[str] | None = None,
    ) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB with a view for every table, or for `only` these of them, at the newest or the
        named version."""
        connection = duckdb.connect(
            config={
                "memory_limit": memory,
                # made by DuckDB when it first spills, and removed by it
                "temp_directory": f"{tempfile.gettempdir()}/octo-spill-{uuid.uuid4().hex}",
            }
        )
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_progress_bar = false")
        for name in self.names():
            if only is None or name in only:
                self.view(connection, name, (versions or {}).get(name))
        return connection

    def view(self, connection: duckdb.DuckDBPyConnection, name: str, version: int | None = None) -> None:
        table = self.table(name, version)
        schema = pa.schema(table.schema().to_arrow())
        if not table.file_uris():  # a view, as any other, so that a cursor of this connection knows it too
            empty = connection.from_arrow(own(schema).empty_table())
            columns = ", ".join(
                f'cast(null as {kind}) as "{column}"'
                for column, kind in zip(empty.columns, empty.dtypes, strict=True)
            )
            connection.execute(f'create view "{name}" as select {columns} where false')
            return
        if LIVE not in schema.names:
            connection.execute(f'create view "{name}" as from {scan(table.file_uris())}')
            return
        key = self.note(name, version)["key"]
        connection.execute(f'create view "{name}" as {folded(parts(table), own(schema).names, key)}')

    def table(self, name: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(self.root / name, version=version)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a table."""

    file: str
    night: bool
    """Whether it holds rows of the night."""
    newest: int | None
    """The newest of its live rows; None when it holds none."""


def parts(table: DeltaTable) -> list[Part]:
    """The table's files and which lane's rows each holds, as the files' own figures say: a table's log has
    those of its first columns only."""
    made = []
    for file in (unquote(uri).removeprefix("file://") for uri in table.file_uris()):
        told = pq.read_metadata(file)
        place = told.schema.names.index(LIVE) if LIVE in told.schema.names else None
        groups = range(told.num_row_groups) if place is not None else ()
        figures = [told.row_group(group).column(place).statistics for group in groups]
        newest = max((figure.max for figure in figures if figure.has_min_max), default=None)
        made.append(Part(file, newest is None or any(figure.null_count for figure in figures), newest))
    return made


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
    """DuckDB's reading of these files. Delta tells them as URLs: a space in the project's folder is %20."""
    listed = ", ".join(quoted(unquote(file)) for file in files)
    return f"read_parquet([{listed}], union_by_name = true)"


def own(schema: pa.Schema) -> pa.Schema:
    """The table's own columns, without what the live lane writes beside them."""
    return pa.schema([field for field in schema if field.name not in (LIVE, GONE)])


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def batches(rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
    """Arrow batches as one reader, so that writing them never holds them all."""
    return pa.RecordBatchReader.from_batches(schema, rows)
