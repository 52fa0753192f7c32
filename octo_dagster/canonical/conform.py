"""Judge every raw row by its contract: what is kept becomes the canonical table, the rest says why not.

Of each key the newest version counts: the greatest cursor, then the last pull. Versions that are equal in
both and in every value collapse into one; when their values differ nobody can say which is true and all of
them are rejected. Every raw row ends as exactly one of kept, rejected, collapsed, superseded, deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa

from octo_dagster.canonical.contracts import CONTRACTS, REJECTED, Contract
from octo_dagster.canonical.intake import Intake, TableIntake
from octo_dagster.canonical.judge import judged
from octo_dagster.canonical.pull import naive, quoted
from octo_dagster.delta import LIVE
from octo_dagster.delta import quoted as literal
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.warehouse import Warehouse

FATES = ("kept", "rejected", "collapsed", "superseded", "deleted")


@dataclass(frozen=True, slots=True)
class Conformed:
    """What became of every raw row of one canonical table, over all its sources."""

    table: str
    read: int
    kept: int
    rejected: int
    collapsed: int
    """Equal to a row that was kept (or rejected) in its place."""
    superseded: int
    """Older versions."""
    deleted: int
    reasons: Mapping[str, int]
    """`field: reason` → rows rejected for it, most frequent first."""
    version: int
    """The canonical table's version made."""
    versions: Mapping[str, int]
    """The raw tables' versions read."""


def conform(
    table: str, intakes: Sequence[Intake], warehouse: Warehouse, now: datetime, run: str
) -> Conformed:
    """Replace the canonical table by what its sources hold now, and their `rejected_rows`.

    SourceError when a source has more rejected rows than its `max_rejected`: `rejected_rows` is written
    then, and the canonical table keeps what it had. Nothing later than `now` (UTC) is let in."""
    feeding = [intake for intake in intakes if table in intake.tables]
    versions = {intake.raw(table): pulled(intake, table, warehouse) for intake in feeding}
    besides = beside(table, warehouse)
    with warehouse.connect(versions) as connection:
        for number, intake in enumerate(feeding):
            connection.execute(judged(number, intake, table, connection, naive(now)))
        if len(feeding) > 1:
            part_ways(connection, len(feeding))
        for number, intake in enumerate(feeding):
            record(connection, number, (intake.name, table), warehouse, (naive(now), run))
        counts = [count(connection, number) for number in range(len(feeding))]
        for number, intake in enumerate(feeding):
            unknown = strangers(connection, number, intake.tables[table])
            bound(intake, table, counts[number], reasons(connection, [number]), unknown)
        told = reasons(connection, range(len(feeding)))
        note = {"conformed": dict(versions), "beside": besides}
        version = publish(connection, CONTRACTS[table], len(feeding), warehouse, note)
    for raw in versions:
        warehouse.sweep(raw)
    sums = {fate: sum(counted[fate] for counted in counts) for fate in ("read", *FATES)}
    return Conformed(table, **sums, reasons=told, version=version, versions=versions)


def beside(table: str, warehouse: Warehouse) -> dict[str, int]:
    """The versions of the tables whose keys this table's rows must name."""
    names = [field.references for field in CONTRACTS[table].fields if field.references]
    held = {name: warehouse.version(name) for name in names}
    return {name: version for name, version in held.items() if version is not None}


def pulled(intake: Intake, table: str, warehouse: Warehouse) -> int:
    """The newest version of a raw table. ConfigError before its first pull."""
    version = warehouse.version(intake.raw(table))
    if version is None:
        raise ConfigError(f"{intake.name}.yaml: tables.{table}: never pulled")
    return version


def part_ways(connection: duckdb.DuckDBPyConnection, parts: int) -> None:
    """A key that two sources both keep is nobody's: reject it in each of them."""
    kept = " union all ".join(f"select _key from judged_{n} where _fate = 'kept'" for n in range(parts))
    connection.execute(
        f"create temp table shared as select _key from ({kept}) group by _key having count(*) > 1"
    )
    for n in range(parts):
        connection.execute(
            f"update judged_{n} set _fate = 'rejected', _reason = 'key of another source too', _field = 'key'"
            " where _fate = 'kept' and _key in (select _key from shared)"
        )


def count(connection: duckdb.DuckDBPyConnection, number: int) -> dict[str, int]:
    """Rows by fate, and `read`. That they add up is asserted: anything else is our bug."""
    found = dict(connection.execute(f"select _fate, count(*) from judged_{number} group by _fate").fetchall())
    counted = {fate: int(found.get(fate, 0)) for fate in FATES}
    read = connection.execute(f"select count(*) from source_{number}").fetchall()[0][0]
    if sum(counted.values()) != read or set(found) - set(FATES):
        raise AssertionError(f"{read} rows read, but {found}")
    return {"read": int(read)} | counted


def reasons(connection: duckdb.DuckDBPyConnection, numbers: Sequence[int]) -> dict[str, int]:
    """`field: reason` → rows, most frequent first."""
    parts = " union all ".join(
        f"select _field || ': ' || _reason as why from judged_{n} where _fate = 'rejected'" for n in numbers
    )
    return dict(
        connection.execute(
            f"select why, count(*) from ({parts}) group by why order by count(*) desc, why"
        ).fetchall()
    )


def record(
    connection: duckdb.DuckDBPyConnection,
    number: int,
    part: tuple[str, str],
    warehouse: Warehouse,
    when: tuple[datetime, str],
) -> None:
    """Replace the rejected rows of this source and table; other parts may be written at the same time."""
    source, table = part
    at, run = when
    rows: pa.Table = connection.sql(
        f"""select {literal(run)} as run, timestamp '{at.isoformat(sep=" ")}' as at,
            {literal(source)} as source, {literal(table)} as "table", _key as key, _origin as origin,
            _field as field, _value as value, _reason as reason, _others as others
            from judged_{number} where _fate = 'rejected' order by reason, field, key, origin"""
    ).to_arrow_table()
    where = f'source = {literal(source)} and "table" = {literal(table)}'
    warehouse.replace_part("rejected_rows", rows.cast(REJECTED), where)


def retire(intakes: Sequence[Intake], warehouse: Warehouse) -> list[str]:
    """Empty the canonical tables that no source feeds any more, and forget the rejected rows of sources and
    tables that are no more; the tables emptied. Older versions and the raw rows stay."""
    fed = {(intake.name, table) for intake in intakes for table in intake.tables}
    tables = {table for _, table in fed}
    gone = [name for name in warehouse.names() if name in CONTRACTS and name not in tables]
    emptied = [name for name in gone if warehouse.count(name)]
    for name in emptied:
        warehouse.replace(name, CONTRACTS[name].arrow.empty_table())
    if "rejected_rows" in warehouse.names():
        with warehouse.connect() as connection:
            found = connection.sql('select distinct source, "table" from rejected_rows').fetchall()
        for source, table in set(found) - fed:
            where = f'source = {literal(source)} and "table" = {literal(table)}'
            warehouse.replace_part("rejected_rows", REJECTED.empty_table(), where)
    return emptied


def rejected_rows(warehouse: Warehouse, table: str | None = None) -> list[dict[str, Any]]:
    """What is refused now, in one canonical table or in all; none before anything was judged."""
    if "rejected_rows" not in warehouse.names():
        return []
    wanted = "true" if table is None else f'"table" = {literal(table)}'
    query = f'select * from rejected_rows where {wanted} order by source, "table", reason, field, key, origin'
    with warehouse.connect() as connection:
        rows: list[dict[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def strangers(connection: duckdb.DuckDBPyConnection, number: int, told: TableIntake) -> int:
    """How many rows are refused because nobody of their e-mail address is a customer, whatever else is wrong
    with them."""
    if not told.by_email:
        return 0
    unknown = "(_field = 'customer_id' and _reason = 'unknown' or _others like '%customer_id: unknown%')"
    query = f"select count(*) from judged_{number} where _fate = 'rejected' and {unknown}"
    return int(connection.execute(query).fetchall()[0][0])


def bound(
    intake: Intake, table: str, counted: Mapping[str, int], told: Mapping[str, int], strangers: int = 0
) -> None:
    """SourceError with the commonest reasons when more was rejected than the file allows; strangers count
    only beyond what it allows of those.

    Of the rows that count now: older versions pile up and would make any share of them large."""
    every = counted["rejected"] + counted["kept"]
    excused = int(min(strangers, most(intake.max_strangers, every)))
    rejected, read = counted["rejected"] - excused, every - excused
    if rejected <= most(intake.max_rejected, read):
        return
    top = ", ".join(f"{why} ({rows})" for why, rows in list(told.items())[:5])
    raise SourceError(
        f"{intake.name}: {table}: {rejected} of {read} rows rejected, more than max_rejected allows: {top}. "
        f"Nothing was published; see `octo rejected {table}`"
    )


def most(limit: int | float, of: int) -> float:
    """A count, or a share of so many."""
    return limit if isinstance(limit, int) else limit * of


def publish(
    connection: duckdb.DuckDBPyConnection,
    contract: Contract,
    parts: int,
    warehouse: Warehouse,
    note: Mapping[str, dict[str, int]],
) -> int:
    """Write the kept rows: the contract's columns in its order, then what the sources carry besides. What the
    live lane judged meanwhile of newer raw rows goes on standing for its keys.

    Orders lie by customer, so that one customer's are read without reading everybody's."""
    if not parts:
        return warehouse.replace(contract.name, contract.arrow.empty_table())
    kept = " union all by name ".join(
        f"select * exclude (_key, _origin, _fate, _field, _value, _reason, _others) from judged_{n}"
        " where _fate = 'kept'"
        for n in range(parts)
    )
    rows = connection.sql(kept)
    extras = [quoted(name) for name in rows.columns if name not in contract.names]
    listed = ", ".join([quoted(name) for name in contract.names] + extras)
    laid = " order by customer_id" if contract.name == "orders" else ""
    stream = connection.sql(f"select {listed} from ({kept}){laid}").to_arrow_reader()
    schema = pa.schema([contract_field(contract, field) for field in stream.schema])
    batches = (batch.cast(schema) for batch in stream)
    with warehouse.lock(contract.name):
        newer, reached = since_then(contract.name, warehouse, note["conformed"])
        made = warehouse.replace(contract.name, pa.RecordBatchReader.from_batches(schema, batches), note)
        if newer is None:
            return made
        rows = newer.drop_columns([LIVE])
        return warehouse.append_live(
            contract.name, rows, contract.key, lambda said: {**said, "conformed": reached}
        )


def since_then(
    name: str, warehouse: Warehouse, versions: Mapping[str, int]
) -> tuple[pa.Table | None, dict[str, int]]:
    """The newest live row of each key judged from raw rows newer than these versions, and how far those
    reach; None when there is none. The table must be locked."""
    if warehouse.version(name) is None:
        return None, {}
    key = ", ".join(CONTRACTS[name].key)
    for commit in warehouse.table(name).history():
        said = json.loads(commit.get("octo", "{}")).get("conformed")
        if said is None or all(versions.get(raw, -1) >= version for raw, version in said.items()):
            live = warehouse.live(name, commit["version"])
            if not live.num_rows:
                return None, {}
            reached = warehouse.note(name)["conformed"]
            with duckdb.connect() as connection:
                newest = connection.sql(
                    f"from live qualify row_number() over (partition by {key} order by {LIVE} desc) = 1"
                ).to_arrow_table()
            return newest, {raw: max(version, reached.get(raw, -1)) for raw, version in versions.items()}
        if commit["operationParameters"].get("mode") == "Overwrite":
            break
    return None, {}


def contract_field(contract: Contract, field: pa.Field) -> pa.Field:
    """Exactly the contract's type, where the contract has the column."""
    place = contract.arrow.get_field_index(field.name)
    return field if place < 0 else contract.arrow.field(place)
