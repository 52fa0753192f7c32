"""Whom the newest rows touch, and what is known of these customers alone.

Who is touched is worked out of versions, never remembered: a table says in its note which version of each
table it was made from, and a live row which version brought it. So whatever stopped a run, the next one finds
the same customers still owed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb

from octo_dagster.canonical.arrive import FEW
from octo_dagster.delta import quoted, scan
from octo_dagster.warehouse import Warehouse

TABLES = ("customers", "orders", "order_lines")
"""What an order writes to, each after those it refers to."""


@dataclass(frozen=True, slots=True)
class Few:
    """The touched customers, by id, and of which day and versions of the tables their rows are."""

    customers: Sequence[str]
    day: date
    covered: Mapping[str, int]


def touched(warehouse: Warehouse, made: Iterable[str]) -> tuple[str, ...]:
    """The customers of whom a row came since one of these tables was made: those whom the row names now, and
    those whom it named before. Sorted."""
    covered = [warehouse.note(name).get("reads", {}) for name in made]
    ids: set[str] = set()
    orders: set[str] = set()
    for table in TABLES:
        since = min((reads[table] for reads in covered if table in reads), default=None)
        if since is None or warehouse.version(table) is None:
            continue
        rows = warehouse.live(table, since)
        if "customer_id" in rows.column_names:
            ids |= set(rows.column("customer_id").to_pylist())
        if "order_id" in rows.column_names:
            orders |= set(rows.column("order_id").to_pylist())
    if orders:
        ids |= buyers(warehouse, orders)
    return tuple(sorted(ids - {None}))


def buyers(warehouse: Warehouse, orders: Collection[str]) -> set[str]:
    """Whose these orders are, or were in any version of theirs since the night."""
    files = warehouse.files("orders")
    with duckdb.connect() as connection:
        put(connection, "wanted", "order_id", orders)
        condition = among(connection, "order_id", "wanted")
        found = connection.sql(f"select distinct customer_id from {scan(files)} where {condition}").fetchall()
    return {customer for (customer,) in found}


def put(connection: duckdb.DuckDBPyConnection, table: str, column: str, values: Iterable[str]) -> None:
    """A table of texts."""
    connection.execute(f"create temp table {table} ({column} varchar)")
    connection.execute(f"insert into {table} select unnest(?::varchar[])", [list(values)])


def among(connection: duckdb.DuckDBPyConnection, column: str, table: str) -> str:
    """That a column is among a table's; said value by value when they are few, for DuckDB then passes over
    the parts that hold none of them."""
    values = connection.execute(f"select distinct {column} from {table} limit {FEW + 1}").fetchall()
    told = [value for (value,) in values if value is not None]
    if len(told) > FEW:
        return f"{column} in (select {column} from {table})"
    return f"{column} in ({', '.join(map(quoted, told))})" if told else "false"


def near(
    warehouse: Warehouse, customers: Iterable[str], wanted: Collection[str]
) -> duckdb.DuckDBPyConnection:
    """The wanted tables of the warehouse; `customers`, `orders` and `order_lines` with these customers' rows
    only. `touched` holds their ids."""
    needed = {*wanted, "orders"} if "order_lines" in wanted else {*wanted}
    connection = warehouse.connect(only=needed)
    put(connection, "touched", "customer_id", customers)
    for table in TABLES:
        if table in needed & set(warehouse.names()):
            by, of = ("order_id", "orders") if table == "order_lines" else ("customer_id", "touched")
            narrow(connection, table, by, of)
    return connection


def narrow(connection: duckdb.DuckDBPyConnection, table: str, by: str, of: str, *, but: bool = False) -> None:
    """Put in place of a view those of its rows whose `by` is among `of`'s, or all `but` those."""
    chosen = f"{'not ' if but else ''}({among(connection, by, of)})"
    connection.execute(f'create temp table "near_{table}" as select * from "{table}" where {chosen}')
    connection.execute(f'drop view "{table}"')
    connection.execute(f'create view "{table}" as from "near_{table}"')


def theirs_only(connection: duckdb.DuckDBPyConnection, table: str) -> None:
    """The same for rows of the touched customers that one query alone reads, and none may need."""
    connection.execute(f'alter view "{table}" rename to "all_{table}"')
    chosen = among(connection, "customer_id", "touched")
    connection.execute(f'create view "{table}" as select * from "all_{table}" where {chosen}')
