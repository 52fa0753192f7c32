"""The touched customers' scores, each by its way, in place of what the night has of these customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from typing import Any

import duckdb
import pyarrow as pa

from octo_dagster.canonical import contracts as canonical
from octo_dagster.delta import GONE
from octo_dagster.errors import Busy
from octo_dagster.live.touched import TABLES, Few, among, narrow, put
from octo_dagster.live.ways import Ways, ranked
from octo_dagster.score import CUSTOMER, Score
from octo_dagster.scoring.compute import statement, tables_for, typed
from octo_dagster.scoring.frames import discreet
from octo_dagster.scoring.sql import compiled
from octo_dagster.warehouse import Warehouse


def rescore(
    scores: Mapping[str, Score],
    found: Ways,
    warehouse: Warehouse,
    theirs: duckdb.DuckDBPyConnection,
    few: Few,
) -> dict[str, pa.Table]:
    """Work these customers' scores out and keep them: score → their rows, which stand in `theirs` (`near`) as
    well from then on. A score the night has made anew meanwhile is told in `found.left`.

    While one is written the next is worked out."""
    mine = [scores[name] for name in found.live]
    fresh: dict[str, pa.Table] = {}
    written: dict[str, Future[int]] = {}
    with everybody(mine, found, warehouse, few) as everybodys, ThreadPoolExecutor(1) as writer:
        for score in mine:
            by = found.live[score.name]
            if by == "whole":
                rows = whole(score, warehouse, everybodys, few.day)
            elif by == "own":
                rows = selected(score, warehouse, theirs, few.day)
                if any(score.name in other.reads for other in mine if found.live[other.name] == "whole"):
                    stand_in(score, rows, everybodys)
            else:
                rows = set_against(score, warehouse, theirs, few.day)
            fresh[score.name] = rows
            if score.on_profile:
                stand(theirs, score.name, rows)
                written[score.name] = writer.submit(keep, warehouse, score.name, rows, few)
    for name, future in written.items():
        try:
            future.result()
        except Busy as moved:
            found.left[name] = str(moved)
            del fresh[name]
            theirs.unregister(name)
            warehouse.view(theirs, name)
    return fresh


@contextmanager
def everybody(
    mine: Sequence[Score], found: Ways, warehouse: Warehouse, few: Few
) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables of the scores that are worked out whole; `touched` holds these customers' ids."""
    reads = {name for score in mine if found.live[score.name] == "whole" for name in tables_of(score)}
    for score in mine if reads else ():
        reads |= tables_of(score) if found.live[score.name] == "own" else set()
    with warehouse.connect(only=reads) as connection:
        put(connection, "touched", "customer_id", few.customers)
        yield connection


def tables_of(score: Score) -> set[str]:
    """Its own, and those it reads."""
    return {score.name, *score.reads, *score.optional}


def stand(theirs: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> None:
    """These rows in place of a view."""
    theirs.execute(f'drop view "{name}"')
    theirs.register(name, rows)


def query_of(score: Score, warehouse: Warehouse, connection: duckdb.DuckDBPyConnection, day: date) -> str:
    """The score's statement, over the connection's tables; those no source feeds are there, and empty."""
    tables = tables_for(score, warehouse)
    for name in tables.keys() - set(warehouse.names()):
        connection.register(name, canonical.CONTRACTS[name].arrow.empty_table())
    return compiled(statement(score, tables, day))


def selected(score: Score, warehouse: Warehouse, theirs: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """The rows of a score of own rows."""
    query = query_of(score, warehouse, theirs, day)
    with discreet(score):
        return theirs.sql(query).to_arrow_table()


def stand_in(score: Score, rows: pa.Table, everybodys: duckdb.DuckDBPyConnection) -> None:
    """What others read of a score of own rows: the night's, with these customers' in their place."""
    everybodys.register("mine", rows)
    held = among(everybodys, "customer_id", "touched")
    everybodys.execute(
        f'create temp table rest as select * from "{score.name}" where not {held} union all by name from mine'
    )
    everybodys.execute(f'drop view "{score.name}"')
    everybodys.execute(f'create table "{score.name}" as from rest; drop table rest')
    everybodys.unregister("mine")


def whole(score: Score, warehouse: Warehouse, everybodys: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """The touched customers' rows of a score worked out for everybody, which others may read."""
    query = query_of(score, warehouse, everybodys, day)
    with discreet(score):
        everybodys.execute(f"create temp table fresh as {query}")
    everybodys.execute(f'drop view "{score.name}"')
    everybodys.execute(f'create table "{score.name}" as from fresh; drop table fresh')
    held = among(everybodys, "customer_id", "touched") if score.on_profile else "false"
    return everybodys.sql(f'select * from "{score.name}" where {held}').to_arrow_table()


def set_against(score: Score, warehouse: Warehouse, theirs: duckdb.DuckDBPyConnection, day: date) -> pa.Table:
    """The touched customers' rows, set against the night's of all others."""
    narrow(theirs, score.name, "customer_id", "touched", but=True)
    query = ranked(score, warehouse, day)
    if query is None:
        raise AssertionError(f"{score.name} is not ranked with these settings")
    return theirs.sql(compiled(typed(score, query))).to_arrow_table()


def keep(warehouse: Warehouse, name: str, rows: pa.Table, few: Few) -> int:
    """Append the customers' rows of a table with one row a customer, and say how far they take what it reads
    into account; the version made. Busy when the table is no more at its `covered` version."""
    schema = warehouse.schema(name)
    mine = rows.select(schema.names).cast(schema)
    left = sorted(set(few.customers) - set(mine.column("customer_id").to_pylist()))
    gone = pa.table({CUSTOMER[0]: pa.array(left, schema.field(CUSTOMER[0]).type), GONE: [True] * len(left)})
    mine = mine.append_column(GONE, pa.repeat(pa.scalar(value=False), len(mine)))
    every = pa.concat_tables([mine, gone], promote_options="default")

    def note(said: Mapping[str, Any]) -> Mapping[str, Any]:
        known = {table: few.covered[table] for table in TABLES if table in said["reads"]}
        return {**said, "reads": {**said["reads"], **known}}

    return warehouse.append_live(name, every, CUSTOMER, note, few.covered[name])
