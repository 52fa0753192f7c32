"""Fetch what a source has that we have not, and keep it as it came: `raw_<source>_<table>`.

Where a pull got to is part of the very commit that keeps its rows, so there is no moment in which one is
known without the other. With a cursor, rows are appended and older versions stay; without one, the table
holds the source's rows of the last pull. A pull that finds nothing new writes nothing.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from octo_dagster.canonical.coerce import Raw, magnitude
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import Intake, TableIntake
from octo_dagster.delta import quoted as literal
from octo_dagster.errors import ConfigError, OctoError, SourceError
from octo_dagster.source import OUTSIDE, Outside, Reading
from octo_dagster.warehouse import Warehouse

LOADED = pa.field("_loaded_at", pa.timestamp("us"))
DELETED = pa.field("_deleted", pa.bool_())


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a pull did. `version` is None when there was nothing new and no table yet."""

    table: str
    rows: int
    deleted: int
    version: int | None


def pull(
    intake: Intake,
    table: str,
    warehouse: Warehouse,
    now: datetime,
    outside: Outside = OUTSIDE,
    *,
    reconcile: bool = True,
) -> Pulled:
    """Bring `raw_<source>_<table>` up to date. SourceError when the source cannot be read: nothing is
    written then. ConfigError when a mapped column is not there. `now` (UTC) is kept as `_loaded_at`.
    Without `reconcile` nobody is asked for every key there is: what was deleted is found another time, and
    what was posted long ago is let go of then; nor which columns there are, which the reading tells."""
    told = intake.tables[table]
    intake.finished(outside)
    if reconcile:
        check(intake, table)
    name = intake.raw(table)
    reading = intake.source.read(told.pull(state(warehouse, name, told), outside))
    rows = keep(name, reading, told, warehouse, now, key=keys_of(told, table))
    asks = reconcile and told.deletes == "reconcile" and intake.source.lists_keys
    deleted = bury(intake, table, warehouse, now, outside) if asks else 0
    if reconcile and intake.source.posted:
        intake.source.forget(reached(intake, warehouse), now)
    return Pulled(name, rows, deleted, warehouse.version(name))


def check(intake: Intake, table: str) -> None:
    """Every mapped column is one the source has. What cannot be known before reading passes."""
    told = intake.tables[table]
    try:
        known = intake.source.columns(told.pull())
    except ConfigError as error:
        raise ConfigError(*(f"{intake.name}.yaml: source: {line}" for line in error.problems)) from None
    wrong = [column for column in told.wanted if known and column not in known]
    if wrong:
        raise ConfigError(
            *(
                f"{intake.name}.yaml: tables.{table}.columns: the source has no column {column!r};"
                f" known: {', '.join(known)}"
                for column in wrong
            )
        )


def state(warehouse: Warehouse, name: str, told: TableIntake) -> Any:
    """Where the last pull got to, by the newest commit that says so; None to begin again, which is also
    the answer when the file now asks for another cursor, another table, or columns the table has not."""
    if warehouse.version(name) is None:
        return None
    table = warehouse.table(name)
    for most in (10, None):  # after thousands of pulls, reading all there is to read takes longer than a pull
        for commit in table.history(most):
            said = json.loads(commit.get("octo", "{}"))
            if "pulled" in said:
                same = said["cursor"] == told.cursor and set(told.wanted) <= set(said["columns"])
                same = same and said.get("of", asked(told)) == asked(told)
                return said["pulled"] if same else None
    return None


def asked(told: TableIntake) -> list[str | None]:
    """What is read: of another table or query nothing has come yet."""
    return [told.from_, told.query]


def reached(intake: Intake, warehouse: Warehouse) -> list[tuple[str, Any]]:
    """Of each of a source's tables what it reads, and where its last pull got to."""
    return [(told.from_, state(warehouse, intake.raw(name), told)) for name, told in intake.tables.items()]


def keys_of(told: TableIntake, table: str) -> tuple[str, ...]:
    """The source's columns that tell rows apart, as far as they are columns."""
    return tuple(str(c.from_) for n in CONTRACTS[table].key if (c := told.columns[n]).from_)


def keep(
    name: str,
    reading: Reading,
    told: TableIntake,
    warehouse: Warehouse,
    now: datetime,
    *,
    key: tuple[str, ...] = (),
) -> int:
    """Write what is new and where it reaches, in one commit; how many rows that was."""
    note = {"pulled": reading.state, "cursor": told.cursor, "columns": told.wanted, "of": asked(told)}
    stream = Stream(reading, settled(warehouse, name), now)
    exists = warehouse.version(name) is not None
    with stream.speaks(), warehouse.connect(only=[name]) as connection:
        if reading.whole and exists:
            return renew(connection, name, stream, warehouse, note)
        repeats = told.cursor and reading.begin is not None
        rows = (
            unseen(connection, name, stream, (told.cursor, reading.begin), key) if repeats else stream.reader
        )
        first = next((batch for batch in rows if batch.num_rows), None)
        if first is None and exists:
            return 0
        counted = Counted(itertools.chain([first] if first else [], rows))
        warehouse.append(name, pa.RecordBatchReader.from_batches(stream.schema, counted), note)
    return counted.rows


def renew(
    connection: duckdb.DuckDBPyConnection, name: str, stream: Stream, warehouse: Warehouse, note: Any
) -> int:
    """Replace the table by the whole that was just read, unless they are the same."""
    connection.register("incoming", stream.reader)
    connection.execute("create temp table fresh as select * from incoming")
    own = ", ".join(quoted(n) for n in stream.schema.names if n != LOADED.name)
    held = connection.sql(f'select * from "{name}" limit 0').columns
    if set(held) == set(stream.schema.names):
        sides = (f"select {own} from fresh", f'select {own} from "{name}"')
        both = [f"select 1 from ({a} except all {b})" for a, b in (sides, sides[::-1])]
        if not connection.execute(f"{both[0]} union all {both[1]} limit 1").fetchall():
            return 0
    count = connection.execute("select count(*) from fresh").fetchall()[0][0]
    warehouse.replace(name, connection.sql("select * from fresh").to_arrow_reader(), note)
    return int(count)


def unseen(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    stream: Stream,
    since: tuple[Any, Any],
    key: tuple[str, ...],
) -> Iterator[pa.RecordBatch]:
    """The rows that are not there yet, value for value: those at the old cursor come every time. What a newer
    version stands for, or a tombstone, is not there: a row that is again as it was is news."""
    connection.register("incoming", stream.reader)
    column, begin = quoted(since[0]), since[1]
    number = isinstance(begin, int | float)
    reached = f"try_cast({column} as double) >= {begin!r}" if number else f"{column} >= {literal(begin)}"
    own = [n for n in stream.schema.names if n not in {LOADED.name, DELETED.name}]
    same = " and ".join(f"n.{quoted(c)} is not distinct from r.{quoted(c)}" for c in own)
    kind = "VARCHAR" if pa.types.is_string(stream.schema.field(since[0]).type) else ""
    order = f"{magnitude(Raw(column, kind))} desc nulls last, {column} desc nulls last, _loaded_at desc"
    parts = ", ".join([*map(quoted, key), "_fault is null"])
    nameless = " or ".join(["_fault is not null", *(f"{quoted(k)} is null" for k in key)])
    newest = f"qualify {nameless} or rank() over (partition by {parts} order by {order}) = 1" if key else ""
    held = f"""(select * from (select * from "{name}" where {reached} or {column} is null {newest})
        where not _deleted)"""
    return iter(connection.sql(f"select n.* from incoming n anti join {held} r on {same}").to_arrow_reader())


def bury(intake: Intake, table: str, warehouse: Warehouse, now: datetime, outside: Outside) -> int:
    """Append a tombstone for every key we hold that the source no longer has; how many there were.

    It carries the cursor of the version it buries, so a row that comes back later wins over it."""
    told = intake.tables[table]
    if told.cursor is None:
        return 0
    key = tuple(str(told.columns[name].from_) for name in CONTRACTS[table].key)
    keys = intake.source.keys(told.pull(outside=outside), key)
    if keys is None:
        raise ConfigError(f"{intake.name}.yaml: tables.{table}.deletes: this source cannot be asked for keys")
    name = intake.raw(table)
    listed, cursor = ", ".join(quoted(k) for k in key), quoted(told.cursor)
    matched = " and ".join(f"h.{quoted(k)} is not distinct from k.{quoted(k)}" for k in key)
    schema = warehouse.schema(name)
    kind = "VARCHAR" if pa.types.is_string(schema.field(told.cursor).type) else ""
    order = f"(_loaded_at, {magnitude(Raw(cursor, kind))}, {cursor})"
    stream = Stream(keys, schema, now)
    with stream.speaks(), warehouse.connect(only=[name]) as connection:
        connection.register("incoming", stream.reader)
        connection.execute("create temp table present as from incoming")
        connection.execute(
            f"""create temp table held as select {listed}, arg_max({cursor}, {order}) as {cursor},
                arg_max(_deleted, {order}) as dead from "{name}" where _fault is null group by {listed}"""
        )
        gone = connection.sql(
            f"select h.* exclude (dead) from held h anti join present k on {matched} where not dead"
        ).to_arrow_table()
        back = connection.sql(
            f"""select v.* replace ({literal(naive(now).isoformat())}::timestamp as _loaded_at)
                from "{name}" v semi join (from held h semi join present k on {matched} where dead) h
                on {matched.replace("k.", "v.")} where not _deleted and _fault is null
                qualify row_number() over (partition by {listed} order by {order} desc) = 1"""
        ).to_arrow_table()
    if back.num_rows:  # taken for deleted, and there: a table that was being filled anew, a list cut short
        warehouse.append(name, back.cast(schema), {"back": back.num_rows})
    if gone.num_rows:
        note = {"buried": gone.num_rows}
        warehouse.append(name, tombstones(gone, schema, now), note)
    return int(gone.num_rows)


def tombstones(gone: pa.Table, schema: pa.Schema, now: datetime) -> pa.Table:
    """Rows with a key, a cursor and nothing else."""
    fixed = {LOADED.name: naive(now), DELETED.name: True, "_origin": "reconciled"}

    def column(field: pa.Field[Any]) -> Any:
        if field.name in gone.column_names:
            return gone.column(field.name).cast(field.type)
        if field.name in fixed:
            return pa.repeat(pa.scalar(fixed[field.name], field.type), gone.num_rows)
        return pa.nulls(gone.num_rows, field.type)

    return pa.table([column(field) for field in schema], schema=schema)


def settled(warehouse: Warehouse, name: str) -> pa.Schema | None:
    """The types the table already has; None when there is no table."""
    return None if warehouse.version(name) is None else warehouse.schema(name)


class Stream:
    """A reading's rows with `_loaded_at` and `_deleted`, in the types the table has.

    What goes wrong in the middle is kept, because on its way through Arrow an exception becomes text."""

    def __init__(self, reading: Reading, held: pa.Schema | None, now: datetime) -> None:
        self.incoming = reading.batches
        self.now = naive(now)
        self.failure: OctoError | None = None
        known = {field.name: field for field in held or ()}
        self.schema = pa.schema([known.get(f.name, f) for f in reading.schema] + [LOADED, DELETED])
        self.reader = pa.RecordBatchReader.from_batches(self.schema, self.batches())

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self.incoming:
                yield self.dressed(batch)
        except OctoError as error:
            self.failure = error
            raise

    def dressed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = [self.cast(batch.column(f.name), f) for f in self.schema if f.name in batch.schema.names]
        columns.append(pa.repeat(pa.scalar(self.now, LOADED.type), batch.num_rows))
        columns.append(pa.repeat(pa.scalar(value=False), batch.num_rows))
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    @staticmethod
    def cast(column: pa.Array[Any], field: pa.Field[Any]) -> pa.Array[Any]:
        try:
            return column.cast(field.type)
        except pa.ArrowException:  # its words hold the value, which may be a person's
            raise SourceError(
                f"column {field.name} was {field.type} and is now {column.type}, which does not fit"
            ) from None

    @contextmanager
    def speaks(self) -> Iterator[None]:
        """Whatever a library makes of our own error on the way, ours is what comes out; and whatever the
        source had open is closed, at once and not when the error is forgotten."""
        try:
            with closing(self.incoming):
                yield
        except (DeltaError, duckdb.Error, pa.ArrowException, OSError) as error:
            if self.failure:
                raise self.failure from error
            raise


class Counted:
    """Batches on their way, counted."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self.batches = batches
        self.rows = 0

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for batch in self.batches:
            self.rows += batch.num_rows
            yield batch


def naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
