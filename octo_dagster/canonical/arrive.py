"""Judge what has just been pulled, and only that: the live lane's part of a canonical table.

The rows of the keys that came are judged by the sentence every row is judged by (`judge.py`), older versions
of theirs included, and stand from then on for what the table held under those keys. What the rows of other
keys became is not looked at again. Where that cannot be told apart (a file read anew, a table without a
cursor) the table is judged whole, as at night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from octo_dagster.canonical.conform import (
    beside,
    bound,
    conform,
    contract_field,
    count,
    part_ways,
    pulled,
    reasons,
    strangers,
)
from octo_dagster.canonical.contracts import CONTRACTS, REJECTED
from octo_dagster.canonical.intake import Intake, Within
from octo_dagster.canonical.judge import judged
from octo_dagster.canonical.pull import naive, quoted
from octo_dagster.delta import GONE, scan
from octo_dagster.delta import quoted as literal
from octo_dagster.warehouse import Warehouse

SHARE = 0.1
"""New rows beyond this share of what is held are a load, not orders coming in: judged whole."""
FEW = 1_000
"""So many values are looked for one by one, which passes over the parts of a table that hold none."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """What became of the rows that came since the table was judged last."""

    table: str
    read: int
    kept: int
    rejected: int
    reasons: Mapping[str, int]
    version: int
    whole: bool
    """Whether the whole table had to be judged."""


def arrive(
    table: str, intakes: Sequence[Intake], warehouse: Warehouse, now: datetime, run: str
) -> Arrived | None:
    """Judge what came since; None when nothing did. Raises as `conform` does, and publishes nothing then.
    Busy when the night judged the table meanwhile."""
    feeding = [intake for intake in intakes if table in intake.tables]
    versions = {intake.raw(table): pulled(intake, table, warehouse) for intake in feeding}
    seen = warehouse.version(table)
    note = {} if seen is None else warehouse.note(table, seen)
    besides = beside(table, warehouse)
    if seen is not None and (note.get("conformed"), note.get("beside")) == (versions, besides):
        return None
    came = new_files(table, feeding, warehouse, note["conformed"]) if "beside" in note else None
    if came is None or too_many(table, came, warehouse):
        done = conform(table, intakes, warehouse, now, run)
        return Arrived(table, done.read, done.kept, done.rejected, done.reasons, done.version, whole=True)
    return Arrival(table, feeding, warehouse, came, (versions, besides), note["beside"], seen).judge(now, run)


def new_files(
    table: str, feeding: Sequence[Intake], warehouse: Warehouse, held: Mapping[str, int]
) -> dict[str, list[str]] | None:
    """Raw table → the files that came since; None when keys cannot be judged apart from the rest."""
    came = {}
    parted = [isinstance(intake.tables[table].deletes, Within) for intake in feeding]
    if any(parted) and len(feeding) > 1:
        return None
    for intake in feeding:
        raw = intake.raw(table)
        files = warehouse.added(raw, held[raw]) if raw in held and keys_of(intake, table) else None
        if files is None or intake.source.rereads:
            return None
        came[raw] = files
    return came


def keys_of(intake: Intake, table: str) -> list[str]:
    """The source's columns that say which rows are judged together; none when one of them is no column."""
    told = intake.tables[table]
    if isinstance(told.deletes, Within):
        return [told.deletes.within]
    named = [told.columns[name].from_ for name in CONTRACTS[table].key]
    return [name for name in named if name] if all(named) else []


def too_many(table: str, came: Mapping[str, list[str]], warehouse: Warehouse) -> bool:
    """Whether so much came that judging everything is no dearer."""
    files = [file for raw in came.values() for file in raw]
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    return bool(rows > FEW and rows > SHARE * warehouse.table(table).count())


@dataclass(frozen=True)
class Arrival:
    """One canonical table and what came for it."""

    table: str
    feeding: Sequence[Intake]
    warehouse: Warehouse
    came: Mapping[str, list[str]]
    upto: tuple[Mapping[str, int], Mapping[str, int]]
    """The versions of the raw tables, and of those whose keys a row must name."""
    since: Mapping[str, int]
    """The versions of the latter when rows were judged last."""
    seen: int | None
    """The canonical table's version when the others were looked at."""

    def judge(self, now: datetime, run: str) -> Arrived:
        raws = [intake.raw(table) for intake in self.feeding for table in intake.tables]
        with self.warehouse.connect(self.upto[0], only={*CONTRACTS, "rejected_rows", *raws}) as connection:
            self.ask(connection)
            for intake in self.feeding:
                self.narrow(connection, intake)
            self.narrow_beside(connection)
            for number, intake in enumerate(self.feeding):
                connection.execute(judged(number, intake, self.table, connection, naive(now)))
            if len(self.feeding) > 1:
                part_ways(connection, len(self.feeding))
            told = [count(connection, number) for number in range(len(self.feeding))]
            base = {"kept": self.warehouse.table(self.table).count(), "rejected": 0}
            why = reasons(connection, range(len(self.feeding)))
            for number, (intake, counted) in enumerate(zip(self.feeding, told, strict=True)):
                sums = {fate: base[fate] + counted[fate] for fate in base}
                bound(intake, self.table, sums, why, strangers(connection, number, intake.tables[self.table]))
            for number, intake in enumerate(self.feeding):
                self.record(connection, number, intake, (naive(now), run))
            version = self.append(connection)
        sums = {fate: sum(counted[fate] for counted in told) for fate in ("read", "kept", "rejected")}
        return Arrived(self.table, **sums, reasons=why, version=version, whole=False)

    def ask(self, connection: duckdb.DuckDBPyConnection) -> None:
        """`asked`: the keys to judge, as text: those of the new rows, and those whose order or customer came
        or went since."""
        keys = [keys_of(intake, self.table) for intake in self.feeding]
        names = ", ".join(f"k{n}" for n in range(len(keys[0])))
        connection.execute(f"create temp table asked ({names.replace(',', ' varchar,')} varchar)")
        for intake, columns in zip(self.feeding, keys, strict=True):
            if files := self.came[intake.raw(self.table)]:
                cells = ", ".join(spelled(quoted(column)) for column in columns)
                connection.execute(f"insert into asked select distinct {cells} from {scan(files)}")
        wanted = self.fields()
        for query in self.moved(connection) if wanted else ():
            connection.execute(f"insert into asked select distinct {', '.join(wanted)} from ({query})")

    def fields(self) -> list[str]:
        """The contract's key fields that stand for the columns of `keys_of`, as text."""
        told = self.feeding[0].tables[self.table]
        if not isinstance(told.deletes, Within):
            return [f"cast({name} as varchar)" for name in CONTRACTS[self.table].key]
        within = told.deletes.within
        found = [name for name in CONTRACTS[self.table].key if told.columns[name].from_ == within]
        return [f"cast({name} as varchar)" for name in found[:1]]

    def moved(self, connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
        """Queries for the keys of rows that name what went, and of refused ones that name what came."""
        contract = CONTRACTS[self.table]
        for field in contract.fields:
            whole = field.references or ""
            if whole not in self.since:
                continue
            rows = self.warehouse.live(whole, self.since[whole])
            if not rows.num_rows:
                continue
            connection.register("news", rows.select([field.name, GONE]))
            connection.execute(f"create or replace temp table moved_{field.name} as from news")
            yield (
                f"select {', '.join(contract.key)} from {self.table}"
                f" where {self.these(connection, field.name, 'true')}"
            )
            if "rejected_rows" in self.warehouse.names():
                cells = ", ".join(f"split_part(key, '/', {n}) as {k}" for n, k in enumerate(contract.key, 1))
                yield (
                    f"""select {cells} from rejected_rows where "table" = {literal(self.table)}
                    and field = {literal(field.name)} and reason = 'unknown'
                    and value in (select {field.name} from moved_{field.name} where not {GONE})"""
                )

    def these(self, connection: duckdb.DuckDBPyConnection, name: str, gone: str) -> str:
        """That a column names one of those that went."""
        query = f"select distinct {name} from moved_{name} where {GONE} = {gone} limit {FEW + 1}"
        told = [value for (value,) in connection.execute(query).fetchall()]
        if len(told) > FEW:
            return f"{name} in (select {name} from moved_{name} where {GONE} = {gone})"
        return f"{name} in ({', '.join(map(literal, told))})" if told else "false"

    def narrow(self, connection: duckdb.DuckDBPyConnection, intake: Intake) -> None:
        """In place of the raw table, every version of the asked keys, and what came without a key."""
        raw, keys = intake.raw(self.table), keys_of(intake, self.table)
        same = " and ".join(f"{spelled(f'r.{quoted(k)}')} = k{n}" for n, k in enumerate(keys))
        near = self.near(connection, raw, keys)
        columns = ", ".join(
            quoted(name) for name in connection.sql(f"select * from {quoted(raw)} limit 0").columns
        )
        parts = [f"select r.* from {quoted(raw)} r semi join asked on {same} where {near}"]
        if files := self.came[raw]:
            blank = " or ".join(f"{spelled(quoted(k))} is null" for k in keys)
            parts.append(f"select * from {scan(files)} where {blank}")
        connection.execute(
            f"create temp table near_{raw} as select {columns} from ({' union all by name '.join(parts)})"
        )
        connection.execute(f"drop view {quoted(raw)}")
        connection.execute(f"create view {quoted(raw)} as from near_{raw}")

    def narrow_beside(self, connection: duckdb.DuckDBPyConnection) -> None:
        """In place of the tables whose keys a row must name, what the rows at hand name of them."""
        for field in CONTRACTS[self.table].fields:
            whole = field.references or ""
            columns = [intake.tables[self.table].columns.get(field.name) for intake in self.feeding]
            plain = [c.from_ for c in columns if c and c.from_ and not (c.by or c.values)]
            if whole not in self.upto[1] or len(plain) < len(self.feeding):
                continue
            named = " union ".join(
                f"select {spelled(quoted(column))} as named from near_{intake.raw(self.table)}"
                for intake, column in zip(self.feeding, plain, strict=True)
            )
            told = [name for (name,) in connection.execute(f"{named} limit {FEW + 1}").fetchall() if name]
            if len(told) <= FEW:
                listed = f"{field.name} in ({', '.join(map(literal, told))})" if told else "false"
                connection.execute(f"create temp table of_{whole} as select * from {whole} where {listed}")
                connection.execute(f"drop view {whole}; create view {whole} as from of_{whole}")

    def near(self, connection: duckdb.DuckDBPyConnection, raw: str, keys: Sequence[str]) -> str:
        """A condition on the bare first column that the asked keys fulfil, by which DuckDB passes over parts.

        A text that one day had blanks around it and another day none is then not found again: no key of a
        database is like that."""
        values = connection.execute(f"select distinct k0 from asked limit {FEW + 1}").fetchall()
        column = f"r.{quoted(keys[0])}"
        kind = str(connection.sql(f"select {quoted(keys[0])} from {quoted(raw)} limit 0").types[0])
        told = [value for (value,) in values if value]
        if len(values) > FEW or len(self.feeding) > 1:
            return "true"
        if kind in ("BIGINT", "INTEGER", "SMALLINT"):
            told = [value for value in told if value.lstrip("-").isdigit()]
            return f"{column} in ({', '.join(told)})" if told else "false"
        return f"{column} in ({', '.join(map(literal, told))})" if kind == "VARCHAR" and told else "true"

    def record(
        self, connection: duckdb.DuckDBPyConnection, number: int, intake: Intake, when: tuple[datetime, str]
    ) -> None:
        """Of the keys that were judged, `rejected_rows` says what holds now."""
        at, run = when
        rows = connection.sql(
            f"""select {literal(run)} as run, timestamp '{at.isoformat(sep=" ")}' as at,
                {literal(intake.name)} as source, {literal(self.table)} as "table", _key as key,
                _origin as origin, _field as field, _value as value, _reason as reason, _others as others
                from judged_{number} where _fate = 'rejected'"""
        ).to_arrow_table()
        part = f'source = {literal(intake.name)} and "table" = {literal(self.table)}'
        stale = []
        if "rejected_rows" in self.warehouse.names():
            stale = connection.sql(
                f"select distinct key from rejected_rows where {part} and key in"
                f" (select _key from judged_{number})"
            ).fetchall()
        keyed = rows.filter(rows.column("key").is_valid())
        keys = {key for (key,) in stale} | set(keyed.column("key").to_pylist())
        if keys:
            theirs = f"{part} and key in ({', '.join(map(literal, sorted(keys)))})"
            self.warehouse.replace_part("rejected_rows", keyed.cast(REJECTED), theirs)
        if rows.num_rows > keyed.num_rows:
            keyless = rows.filter(rows.column("key").is_null())
            self.warehouse.append("rejected_rows", keyless.cast(REJECTED))

    def append(self, connection: duckdb.DuckDBPyConnection) -> int:
        """Make the kept rows stand for their keys, and take away the keys of which none was kept."""
        contract = CONTRACTS[self.table]
        keys = ", ".join(contract.key)
        every = range(len(self.feeding))
        hidden = "_key, _origin, _fate, _field, _value, _reason, _others"
        kept = " union all by name ".join(
            f"select * exclude ({hidden}), false as {GONE} from judged_{n} where _fate = 'kept'"
            for n in every
        )
        gone = " union ".join(
            f"select {keys}, true as {GONE} from judged_{n} where _key is not null" for n in every
        )
        connection.execute(f"create temp table stands as {kept}")
        found = connection.sql(
            f"from stands union all by name (from ({gone}) anti join stands using ({keys}))"
        ).to_arrow_table()
        schema = pa.schema([contract_field(contract, field) for field in found.schema])
        said = {"conformed": dict(self.upto[0]), "beside": dict(self.upto[1])}
        return self.warehouse.append_live(
            self.table, found.cast(schema), contract.key, lambda note: {**note, **said}, self.seen
        )


def spelled(column: str) -> str:
    """A key's column as text that two spellings of one key share."""
    return f"nullif(trim(cast({column} as varchar)), '')"
