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
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from zlib import crc32

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from filelock import FileLock
from pyarrow.dataset import dataset, field

from octo_dagster.delta import GONE, LIVE, Opened, commit, folded, opened, own, scan
from octo_dagster.errors import Busy, ConfigError

MEMORY = "1GB"
"""What one step's DuckDB may hold before it spills to disk."""

SMALL = 2 << 20
"""Bytes up to which a file is merged with others like it; what is larger is never rewritten for that."""
MANY = 8
"""Files of a table from which on the small ones are merged; up to half as many again, so that one order
does not have all tables merged."""

NIGHTS = timedelta(days=7)
"""How long a version that a night left can be read. A table's log is kept as long: with a thousand orders a
day it has a thousand entries a day."""
PARTS = timedelta(days=2)
"""How long every other version can: plans are drawn from them, and none is carried out later."""

GROUP = 122_880
"""Rows written together: DuckDB gives each such group to one thread, and holds one of it in memory."""


class Warehouse:
    """All tables under one folder. Every call sees the newest version; what a version's log says is read
    once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen: dict[str, int] = {}
        """Table → a version of it that was the newest at some time."""

    def names(self) -> list[str]:
        """The tables there are, sorted."""
        return sorted(log.parent.name for log in self.root.glob("*/_delta_log"))

    def version(self, name: str) -> int | None:
        """The table's newest version; None when there is no such table."""
        log = self.root / name / "_delta_log"
        version = self.seen.get(name, -1)
        if version < 0 or not commit(log, version).exists():  # never looked at, or the table was removed
            version = max((int(file.stem) for file in log.glob("*.json") if file.stem.isdigit()), default=-1)
        while commit(log, version + 1).exists():
            version += 1
        self.seen[name] = version
        return None if version < 0 else version

    def existing(self, name: str) -> int:
        """The table's newest version. ConfigError, naming the tables there are, when there is none."""
        version = self.version(name)
        if version is None:
            raise ConfigError(
                f"there is no table {name!r}; there are {', '.join(self.names()) or 'none yet'}"
            )
        return version

    def schema(self, name: str, version: int | None = None) -> pa.Schema:
        """Column names and Arrow types of the newest version, or the named one."""
        return own(self.opened(name, version).schema)

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
            version = self.existing(name) + 1
            if seen is not None and version != seen + 1:
                raise Busy(f"{name} was made anew meanwhile; what was to be added to it stays owed")
            rows = rows.append_column(LIVE, pa.repeat(pa.scalar(version), len(rows)))
            if GONE not in rows.column_names:
                rows = rows.append_column(GONE, pa.repeat(pa.scalar(value=False), len(rows)))
            return self.write(name, rows, "append", {**note(self.note(name)), "key": list(key)})

    def count(self, name: str, version: int | None = None) -> int:
        """How many rows a reader of the newest, or of the named, version sees."""
        held = self.opened(name, version)
        if LIVE not in held.schema.names:
            return int(held.table.count())
        with self.connect({} if version is None else {name: version}, only=[name]) as connection:
            return int(connection.sql(f'select count(*) from "{name}"').fetchall()[0][0])

    def tidy(self, name: str) -> None:
        """Merge the small parts of a table that has many. For whoever appends, when nobody waits for him."""
        if len(self.opened(name).files) > MANY + crc32(name.encode()) % (MANY // 2):
            self.compact(name, SMALL)

    def live(self, name: str, since: int) -> pa.Table:
        """The rows the live lane brought after version `since` and the night has not replaced, every one."""
        with self.lock(name):
            held = self.opened(name)
            files = [part.file for part in held.parts if (part.newest or -1) > since]
            if not files:
                return held.schema.empty_table()
            return dataset(files, schema=held.schema).to_table(filter=field(LIVE) > since)

    def files(self, name: str) -> Sequence[str]:
        """The files of the newest version, rows of both lanes and those that no longer stand among them."""
        return self.opened(name).files

    def added(self, name: str, since: int) -> list[str] | None:
        """The files that hold what was appended after version `since`; None when rows were taken away or
        replaced since then, or nobody can tell any more."""
        files = []
        for version in range(since + 1, self.existing(name) + 1):
            log = commit(self.root / name / "_delta_log", version)
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
                configuration={"delta.logRetentionDuration": f"interval {NIGHTS.days} days"},
                schema_mode="overwrite" if mode == "overwrite" and not where else "merge",
                commit_properties=CommitProperties(custom_metadata={"octo": json.dumps(dict(note or {}))}),
                writer_properties=WriterProperties(max_row_group_size=GROUP),
            )
            if mode == "overwrite":
                self.sweep(name)
            return self.existing(name)

    def lock(self, name: str) -> FileLock:
        """Held by one thread of this machine, which may take it again; freed by the operating system when its
        process dies."""
        folder = self.root / ".locks"
        self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock", is_singleton=True)

    def note(self, name: str, version: int | None = None) -> dict[str, Any]:
        """What was said with a version when it was written."""
        return dict(self.opened(name, version).note)

    def compact(self, name: str, most: int | None = None) -> None:
        """Merge small parts into large files, of at most so many bytes. Contents, order of keys and note stay
        as they are."""
        with self.lock(name):
            said = CommitProperties(custom_metadata={"octo": json.dumps(self.note(name))})
            table = DeltaTable(self.root / name)
            table.optimize.compact(target_size=most, commit_properties=said)
            table.create_checkpoint()  # or whoever opens it reads every commit since the last one
            table.cleanup_metadata()

    def sweep(self, name: str, parts: timedelta = PARTS, nights: timedelta = NIGHTS) -> int:
        """Remove the files that served only versions older than `parts`, or `nights` where a night left the
        version; how many. The newest version always stays."""
        table = self.table(name)
        oldest = (datetime.now(UTC) - nights).timestamp() * 1000
        made = [
            one for one in table.history() if one.get("operationParameters", {}).get("mode") == "Overwrite"
        ]
        kept = [one["version"] for one in made if one["timestamp"] > oldest]
        hours = int(parts / timedelta(hours=1))
        files = table.vacuum(hours, dry_run=True, enforce_retention_duration=False, keep_versions=kept)
        there = [path for file in files if (path := self.root / name / unquote(file)).exists()]
        for path in there:
            path.unlink()
        return len(there)

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
        held = self.opened(name, version)
        if not held.files:  # a view, as any other, so that a cursor of this connection knows it too
            empty = connection.from_arrow(own(held.schema).empty_table())
            columns = ", ".join(
                f'cast(null as {kind}) as "{column}"'
                for column, kind in zip(empty.columns, empty.dtypes, strict=True)
            )
            connection.execute(f'create view "{name}" as select {columns} where false')
            return
        if LIVE not in held.schema.names:
            connection.execute(f'create view "{name}" as from {scan(held.files)}')
            return
        query = folded(held.parts, own(held.schema).names, held.note["key"])
        connection.execute(f'create view "{name}" as {query}')

    def table(self, name: str, version: int | None = None) -> DeltaTable:
        """The newest version, or the named one, to read from: others hold it too."""
        return self.opened(name, version).table

    def opened(self, name: str, version: int | None = None) -> Opened:
        """The newest version, or the named one, and what its log says."""
        chosen = self.version(name) if version is None else version
        file = commit(self.root / name / "_delta_log", chosen or 0)
        if chosen is None or not file.exists():
            return Opened(DeltaTable(self.root / name, version=version))
        told = file.stat()
        return opened(self.root / name, chosen, (told.st_ino, told.st_mtime_ns))


def batches(rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
    """Arrow batches as one reader, so that writing them never holds them all."""
    return pa.RecordBatchReader.from_batches(schema, rows)
