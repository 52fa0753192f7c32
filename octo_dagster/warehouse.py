"""Where tables live: Delta tables on disk, read by DuckDB in memory. Many processes at once, no server.

Timestamps are kept without a zone and are UTC; money is `decimal(18, 2)`.
A write is a new version of one table (ACID, by delta-rs); a reader sees the newest version or any older
one. There is no DuckDB file, because two processes cannot share one.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from filelock import FileLock

from octo_dagster.errors import ConfigError

MEMORY = "1GB"
"""What one step's DuckDB may hold before it spills to disk."""

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
        return pa.schema(self.table(name).schema().to_arrow())

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
        """Held by one process of this machine; freed by the operating system when its holder dies."""
        folder = self.root / ".locks"
        self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def note(self, name: str, version: int | None = None) -> dict[str, Any]:
        """What was said with a version when it was written."""
        table = self.table(name, version)
        newest: dict[str, Any] = table.history(1)[0]
        return dict(json.loads(newest.get("octo", "{}")))

    def compact(self, name: str) -> None:
        """Merge small parts into large files. Contents and order of keys do not change."""
        self.table(name).optimize.compact()

    def connect(
        self, versions: Mapping[str, int] | None = None, memory: str = MEMORY
    ) -> duckdb.DuckDBPyConnection:
        """An in-memory DuckDB with a view for every table, at the newest or the named version."""
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
            self.view(connection, name, (versions or {}).get(name))
        return connection

    def view(self, connection: duckdb.DuckDBPyConnection, name: str, version: int | None = None) -> None:
        table = self.table(name, version)
        files = table.file_uris()
        if not files:  # a view, as any other, so that a cursor of this connection knows it too
            empty = connection.from_arrow(pa.schema(table.schema().to_arrow()).empty_table())
            columns = ", ".join(
                f'cast(null as {kind}) as "{column}"'
                for column, kind in zip(empty.columns, empty.dtypes, strict=True)
            )
            connection.execute(f'create view "{name}" as select {columns} where false')
            return
        # Delta tells them as URLs: a space in the project's folder is %20.
        listed = ", ".join(quoted(unquote(file)) for file in files)
        connection.execute(
            f'create view "{name}" as select * from read_parquet([{listed}], union_by_name = true)'
        )

    def table(self, name: str, version: int | None = None) -> DeltaTable:
        return DeltaTable(self.root / name, version=version)


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def batches(rows: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatchReader:
    """Arrow batches as one reader, so that writing them never holds them all."""
    return pa.RecordBatchReader.from_batches(schema, rows)
