"""Records against the ledger: draw the plan.

Never writes to the ledger and never calls a destination. The same sync file, table version, ledger
revision and options always give the same plan under the same id.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from octo_dagster.delivery.compare import differing
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.ledger_tables import MAYBE, SNAPSHOT, UNSURE
from octo_dagster.delivery.mapping import Compiled, column, compiled, decoded
from octo_dagster.delivery.plan import (
    ADDED,
    CHANGED,
    CHANGES,
    INVALID,
    ORDINARY,
    REMOVED,
    Counts,
    Folder,
    Options,
    Plan,
    definition,
    sendable,
)
from octo_dagster.delivery.shared import shared
from octo_dagster.delta import quoted
from octo_dagster.model import Mode
from octo_dagster.sync import Sync
from octo_dagster.warehouse import Warehouse

MEMORY = "512MB"
"""What planning holds before it spills, whatever the number of customers."""

RENEW = 0.9
"""Of the time a destination keeps somebody, after how much he is sent again."""

PAGE = 1_000
"""Changed records looked up in the ledger at a time."""


def draw(
    sync: Sync,
    warehouse: Warehouse,
    ledger: Ledger,
    folder: Folder,
    where: str | None = None,
    options: Options = ORDINARY,
) -> Plan:
    """What must change now. `where` is the audience as SQL over the table; None means every row.

    ConfigError when the table or a column does not exist."""
    drawing = Drawing(sync, warehouse, ledger, where, options)
    drawing.waiting = in_flight(sync, ledger, folder)
    id_ = drawing.id()
    place = folder.path(sync.name, id_)
    temporary = place.with_name(f".{id_}.{os.getpid()}")
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        plan = drawing.onto(temporary, id_)
        plan = replace(plan, shared=shared(sync, ledger, folder, temporary.name, plan.counts))
        write(temporary / "plan.json", json.dumps(asdict(plan), default=sorted))
        if place.exists():
            shutil.rmtree(place)
        temporary.rename(place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return plan


def in_flight(sync: Sync, ledger: Ledger, folder: Folder) -> set[str]:
    """Keys that were sent and have no answer yet: nothing more is asked of them."""
    return {
        line.key
        for batch in ledger.unsettled(sync.name)
        for line in folder.lines(sync, batch.plan, batch.rows)
    }


def write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


class Drawing:
    """One drawing of a plan: the tables it compares, then the three kinds of change."""

    def __init__(
        self, sync: Sync, warehouse: Warehouse, ledger: Ledger, where: str | None, options: Options
    ) -> None:
        self.sync = sync
        self.warehouse = warehouse
        self.ledger = ledger
        self.where = where
        self.options = options
        self.version = warehouse.existing(sync.reads)
        self.revision = ledger.revision(sync.name)
        self.doubts = ledger.doubts(sync.name)
        self.definition = definition(sync)
        self.sql: Compiled = compiled(sync, warehouse.schema(sync.reads))
        self.seen = {ADDED: 0, CHANGED: 0, REMOVED: 0, "owed": 0, "renewed": 0, "passed": 0}
        keeps = sync.destination.keeps
        self.forgotten = ledger.clock() - keeps * RENEW if keeps else None
        self.waiting: set[str] = set()

    def id(self) -> str:
        """The plan's name: equal inputs, equal id."""
        inputs = [
            self.sync.name,
            self.definition,
            self.version,
            self.revision,
            self.where,
            asdict(self.options),
        ]
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]

    def onto(self, folder: Path, id_: str) -> Plan:
        read = {self.sync.reads: self.version}
        with self.warehouse.connect(read, MEMORY, only=read) as connection:
            connection.execute("set preserve_insertion_order = false")
            self.tables(connection)
            self.write_invalid(connection, folder / "invalid.parquet")
            self.write_changes(connection, folder / "changes.parquet")
            counts = self.counts(connection)
        return Plan(
            id=id_,
            sync=self.sync.name,
            mode=self.sync.mode.value,
            reads=self.sync.reads,
            version=self.version,
            revision=self.revision,
            definition=self.definition,
            counts=counts,
            key_field=self.sync.key.to,
            types=dict(self.sql.types),
            where=self.where,
            options=self.options,
        )

    def tables(self, connection: duckdb.DuckDBPyConnection) -> None:
        """`mapped`: every row as a record; `keyed`: its key and whether it will do, worked out once;
        `held`: what the ledger knows; `barred`: keys to leave alone; `fresh`: keys to add."""
        kind = "table" if self.options.near else "view"  # few rows are mapped once, many when they are needed
        connection.execute(f"create {kind} mapped as {self.mapped(self.nearby())}")
        connection.execute(f"create table keyed as select key, reason, {self.chosen()} as chosen from mapped")
        connection.register("ledger_pages", self.held_reader())
        connection.execute("create table held as select * from ledger_pages")
        connection.unregister("ledger_pages")
        self.mark_waiting(connection)
        connection.execute(
            """create table twice as select key, count(*) as times from keyed
               where key <> '' group by key having count(*) > 1"""
        )
        self.mark_invalid(connection)
        connection.execute(
            """create table barred as select distinct key from invalid where key <> ''
               union select key from waiting"""
        )
        connection.execute(
            f"""create table fresh as select m.key, coalesce(h.owed, false) as owed
                from ({self.good()}) m left join held h on m.key = h.key where h.fingerprint is null"""
        )

    def mapped(self, more: str) -> str:
        """SQL for the sync's rows as records, with one more condition on a row of the table."""
        wanted = [f"({self.where})"] if self.where else []
        wanted += [f"coalesce({column(self.sync.consent)}, false)"] if self.sync.consent else []
        wanted += [more] if more else []
        condition = f"where {' and '.join(wanted)}" if wanted else ""
        return f"""select {self.sql.spelled} as spelled, {self.sql.key} as key,
                          {self.sql.record} as record, {self.sql.invalid} as reason
                   from {column(self.sync.reads)} {condition}"""

    def held_reader(self) -> pa.RecordBatchReader:
        schema = pa.schema(
            {"key": pa.string(), "fingerprint": pa.string(), "owed": pa.bool_(), "old": pa.bool_()}
        )

        def pages() -> Iterator[pa.RecordBatch]:
            for page in self.held():
                keys, prints, owed = (pa.array([row[n] for row in page], pa.string()) for n in range(3))
                old = pa.array([bool(row[3]) for row in page], pa.bool_())
                arrays = [keys, prints, owed.is_valid(), old]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, pages())

    def nearby(self) -> str:
        """SQL for whether `near` lets a row of the table be looked at; empty when it lets every row."""
        listed = ", ".join(quoted(key) for key in self.options.near)
        return f"{self.sql.key} in ({listed})" if listed else ""

    def held(self) -> Iterator[Sequence[Any]]:
        """Pages of (key, fingerprint, owed, old) of what the ledger knows, or of what it knows of `near`."""
        if not self.options.near:
            yield from self.ledger.held(self.sync.name, self.forgotten)
            return
        for start in range(0, len(self.options.near), PAGE):
            known = self.ledger.rows(self.sync.name, self.options.near[start : start + PAGE])
            yield [(key, row["fingerprint"], row["owed"], False) for key, row in known.items()]

    def everything(self, connection: duckdb.DuckDBPyConnection, near: int) -> tuple[int, int]:
        """Of how many rows, and of how many records held, the plan is. The rows beside those `near` are not
        counted, which would take as long as all the rest: they are taken to be as many as are held."""
        if not self.options.near:
            return near, one(connection, "select count(*) from held where fingerprint is not null")
        held = sa.select(sa.func.count().label("held")).where(
            SNAPSHOT.c.sync == self.sync.name, SNAPSHOT.c.fingerprint.is_not(None)
        )
        [found] = self.ledger.read(held)
        some = near or one(connection, f"select count(*) from ({self.mapped('')} limit 1)")
        return (max(near, found["held"]) if some else 0), found["held"]

    def mark_waiting(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.register("waiting_keys", pa.table({"key": pa.array(sorted(self.waiting), pa.string())}))
        connection.execute("create table waiting as select key from waiting_keys")

    def mark_invalid(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Rows without a key, with somebody else's key, or with a value that will not do."""
        key = self.sync.key.to
        connection.execute(
            f"""create table invalid as
                select m.key, case
                    when coalesce(m.key, '') = '' then {quoted(f"{key}: the row has no key")}
                    when t.times is not null then {quoted(f"{key}: ")} || t.times || ' rows have this key'
                    else m.reason end as reason
                from keyed m left join twice t on m.key = t.key
                where coalesce(m.key, '') = '' or t.times is not null or m.reason is not null"""
        )

    def write_invalid(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        reader = connection.sql("select key, reason from invalid").to_arrow_reader(50_000)
        with pq.ParquetWriter(path, INVALID) as writer:
            for batch in reader:
                writer.write_batch(batch.cast(INVALID))

    def write_changes(self, connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        """Removals first: a withdrawn consent must not wait behind ten thousand updates."""
        with path.open("wb") as file:
            with pq.ParquetWriter(file, CHANGES, compression="zstd") as writer:
                for page in self.removed(connection):
                    writer.write_table(pa.Table.from_pylist(page, CHANGES), row_group_size=20_000)
                for page in self.changed(connection):
                    writer.write_table(pa.Table.from_pylist(page, CHANGES), row_group_size=20_000)
                for batch in self.added(connection):
                    writer.write_batch(batch)
            file.flush()
            os.fsync(file.fileno())

    def good(self) -> str:
        """SQL for the keys of the good rows, narrowed by `only`."""
        return "select key from keyed anti join barred using (key) where key <> '' and chosen"

    def chosen(self) -> str:
        """SQL for whether `only` lets a row of `mapped` through."""
        listed = ", ".join(quoted(key) for key in self.options.only)
        return f"coalesce(spelled in ({listed}), false)" if listed else "true"

    def room(self) -> int | None:
        """How many more changes `limit` allows."""
        if self.options.limit is None:
            return None
        return max(self.options.limit - self.seen[ADDED] - self.seen[CHANGED], 0)

    def removed(self, connection: duckdb.DuckDBPyConnection) -> Iterator[list[dict[str, Any]]]:
        """What the ledger holds and no row, not even an invalid one, stands for any more."""
        if self.sync.mode is not Mode.MIRROR or self.options.full or self.options.limit is not None:
            return
        query = """select key from held anti join keyed using (key) anti join waiting using (key)
                   where fingerprint is not null"""
        only = {key.strip().lower() for key in self.options.only}
        for keys in pages(connection.sql(query)):
            known = self.ledger.rows(self.sync.name, keys)
            fields = self.ledger.fields(self.sync.name, keys)
            perhaps = self.perhaps(keys)
            page = [
                {
                    "kind": REMOVED,
                    "key": key,
                    "spelled": known[key]["spelled"],
                    "before": fields.get(key, "{}"),
                    "created": known[key]["created"],
                    "perhaps": perhaps.get(key),
                }
                for key in keys
                if not only or known[key]["spelled"].lower() in only
            ]
            self.seen[REMOVED] += len(page)
            yield page

    def changed(self, connection: duckdb.DuckDBPyConnection) -> Iterator[list[dict[str, Any]]]:
        """Held records whose fingerprint differs, and of those the ones that differ in a field."""
        sure = f"h.fingerprint in ('{UNSURE}', '{MAYBE}') or h.owed" if not self.options.full else "true"
        mine = f"h.fingerprint = '{MAYBE}'" if self.sync.mode is Mode.CREATE_ONLY else "true"
        query = f"""select m.key, m.spelled, m.record, md5(m.record), ({sure}) as sure, h.owed,
                           h.fingerprint = '{MAYBE}' as maybe, h.old
                    from mapped m join (select * from held anti join barred using (key)) h on m.key = h.key
                    where h.fingerprint is not null and {mine} and {self.chosen()}
                      and ({sure} or h.old or md5(m.record) <> h.fingerprint)"""
        for rows in pages(connection.sql(query)):
            before = self.ledger.fields(self.sync.name, [row[0] for row in rows])
            perhaps = self.perhaps([row[0] for row in rows])
            page = [self.change(row, before.get(row[0], "{}"), perhaps.get(row[0])) for row in rows]
            kept = [line for line in page if line is not None]
            room = self.room()
            if room is not None and len(kept) > room:
                self.seen["passed"] += len(kept) - room
                kept = kept[:room]
            self.seen[CHANGED] += len(kept)
            yield kept

    def perhaps(self, keys: Sequence[str]) -> dict[str, list[str]]:
        """What may be held of these besides; nothing is asked where nothing is in doubt."""
        return self.ledger.perhaps(self.sync.name, keys) if self.doubts else {}

    def change(self, row: tuple[Any, ...], before: str, perhaps: list[str] | None) -> dict[str, Any] | None:
        key, spelled, record, fingerprint, sure, owed, maybe, old = row
        fields = sendable(self.sync, record, new=False)
        tolerances = {m.to: m.tolerance for m in self.sync.fields if m.tolerance}
        if not sure and not differing(fields, decoded(before), tolerances):
            if not old:
                return None
            self.seen["renewed"] += 1
        self.seen["owed"] += bool(owed)
        return {
            "kind": CHANGED,
            "key": key,
            "spelled": spelled,
            "record": record,
            "fingerprint": fingerprint,
            "before": None if maybe else before,
            "perhaps": perhaps,
        }

    def added(self, connection: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
        """Records the destination is not known to hold."""
        room = self.room()
        every, owed = connection.execute("select count(*), count(*) filter (owed) from fresh").fetchall()[0]
        self.seen["owed"] += owed
        keys = "select key from fresh"
        if room is not None:
            self.seen["passed"] += max(every - room, 0)
            keys += f" order by key limit {room}"
        rows = (
            f"from mapped where key in ({keys})"
            if self.options.near
            else self.mapped(f"{self.sql.key} in ({keys})")
        )
        query = f"""select '{ADDED}' as kind, key, spelled, record, md5(record) as fingerprint,
                           cast(null as varchar) as before, cast(null as boolean) as created,
                           cast(null as varchar[]) as perhaps
                    from ({rows})"""
        for batch in connection.sql(query).to_arrow_reader(20_000):
            self.seen[ADDED] += batch.num_rows
            yield batch.cast(CHANGES)

    def counts(self, connection: duckdb.DuckDBPyConnection) -> Counts:
        near = one(connection, "select count(*) from keyed")
        rows, held = self.everything(connection, near)
        invalid = one(connection, "select count(*) from invalid")
        waiting = one(
            connection,
            """select count(*) from keyed m where m.key in (select key from waiting)
               and m.reason is null and m.key not in (select key from twice)""",
        )
        outside = self.seen["passed"] + rows - near
        if self.options.only:
            outside += near - invalid - waiting - one(connection, f"select count(*) from ({self.good()})")
        sent = self.seen[ADDED] + self.seen[CHANGED]
        return Counts(
            rows=rows,
            held=held,
            added=self.seen[ADDED],
            changed=self.seen[CHANGED],
            removed=self.seen[REMOVED],
            unchanged=rows - sent - invalid - waiting - outside,
            owed=self.seen["owed"],
            renewed=self.seen["renewed"],
            invalid=invalid,
            waiting=waiting,
            left_out=outside,
        )


def one(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The single number a query answers."""
    return int(connection.execute(query).fetchall()[0][0])


def pages(relation: duckdb.DuckDBPyRelation) -> Iterator[list[Any]]:
    """The rows of a query a page at a time; of a query with one column, its values."""
    single = len(relation.columns) == 1
    for batch in relation.to_arrow_reader(PAGE):
        rows: Sequence[Any] = list(zip(*(c.to_pylist() for c in batch.columns), strict=True))
        for start in range(0, len(rows), PAGE):
            page = rows[start : start + PAGE]
            yield [row[0] for row in page] if single else list(page)
