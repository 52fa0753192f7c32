"""`customer_profile`: everything known of each customer in one row, for audiences, syncs and pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pyarrow as pa

from octo_dagster.delta import quoted
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.score import Score
from octo_dagster.warehouse import GROUP, Warehouse

TABLE = "customer_profile"

Origin = tuple[str, str]
"""(table, column)."""

FIGURES: Mapping[str, tuple[str, ...]] = {
    "first_order_at": ("ordered_at", "status", "net_amount"),
    "last_order_at": ("ordered_at", "status", "net_amount"),
    "orders": ("status", "net_amount"),
    "revenue": ("status", "net_amount"),
    "average_order": ("status", "net_amount"),
}
"""What the profile works out of `orders` itself, and the columns that go into it."""

AT_ONCE = GROUP
"""Customers joined at a time: a join of a dozen wide tables holds all of them but one in memory."""


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """What one building of the profile made."""

    as_of: date
    rows: int
    version: int
    buyers: int
    """Customers with at least one order that counts."""
    strangers: int
    """Customer ids that orders name and `customers` does not hold: they have no row."""
    reads: Mapping[str, int]
    """The version of every table that was read."""
    lineage: Mapping[str, tuple[Origin, ...]]
    """Profile column → the columns it comes from."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "as_of": self.as_of.isoformat()}


def build(
    warehouse: Warehouse, scores: Sequence[Score], as_of: date, at_once: int = AT_ONCE
) -> ProfileReport:
    """Join `customers`, the order figures and every table of `scores` that has one row per customer; the
    rows lie together by customer.

    Order figures follow the rules of RFM: orders before the midnight (UTC) that ends `as_of`, completed
    and above zero; revenue less what returns gave back; `average_order` is revenue by orders. A customer
    without an order has `orders` 0 and the rest empty. Extra columns of `customers` are carried."""
    joined = [score for score in scores if score.on_profile]
    reads = versions(warehouse, joined)
    lineage = lineage_of(warehouse, joined)
    with warehouse.connect(reads, only=reads) as connection:
        connection.execute(f"create temp view profile as {profile_sql(joined, as_of)}")
        rows, buyers, strangers = counts(connection)
        note = {"as_of": as_of.isoformat(), "reads": reads}
        version = warehouse.replace(TABLE, reader(connection, at_once), note)
    return ProfileReport(as_of, rows, version, buyers, strangers, reads, lineage)


def reader(connection: duckdb.DuckDBPyConnection, at_once: int) -> pa.RecordBatchReader:
    """The profile by customer, joined a stretch of customers at a time."""
    schema = connection.sql("select * from profile limit 0").to_arrow_reader().schema
    batches = (
        batch
        for stretch in stretches(connection, at_once)
        for batch in connection.sql(
            f"select * from profile where {stretch} order by customer_id"
        ).to_arrow_reader()
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def stretches(connection: duckdb.DuckDBPyConnection, at_once: int) -> Iterator[str]:
    """Conditions, in order, of which each customer meets one."""
    numbered = "select customer_id, row_number() over (order by customer_id) as number from customers"
    borders = connection.sql(
        f"select customer_id from ({numbered}) where number % {at_once} = 0 order by customer_id"
    ).fetchall()
    ends = ["", *(quoted(customer) for (customer,) in borders), ""]
    for low, high in pairwise(ends):
        above = f"customer_id > {low}" if low else "true"
        yield f"{above} and customer_id <= {high}" if high else above


def versions(warehouse: Warehouse, scores: Sequence[Score]) -> dict[str, int]:
    """The newest version of every table the profile reads; SourceError naming those that are missing, or were
    worked out with other columns."""
    found = {name: warehouse.version(name) for name in ("customers", "orders", *(s.name for s in scores))}
    missing = sorted(name for name, version in found.items() if version is None)
    if missing:
        raise SourceError(f"{TABLE} reads {', '.join(missing)}: no such table in the warehouse")
    other = [s.name for s in scores if not {*warehouse.schema(s.name).names} >= {*s.output}]
    if other:
        raise SourceError(
            f"{TABLE} reads {', '.join(other)}, whose settings ask for other columns: run it again"
        )
    return {name: version for name, version in found.items() if version is not None}


def lineage_of(warehouse: Warehouse, scores: Sequence[Score]) -> dict[str, tuple[Origin, ...]]:
    """Profile column → where it comes from, in the profile's order; ConfigError if two claim a name."""
    return origins(warehouse.schema("customers").names, scores)


def origins(customers: Iterable[str], scores: Iterable[Score]) -> dict[str, tuple[Origin, ...]]:
    """The same for a table `customers` of these columns, before there is one."""
    claims: list[tuple[str, tuple[Origin, ...]]] = [(name, (("customers", name),)) for name in customers]
    claims += [
        (name, tuple(("orders", column) for column in ("customer_id", *columns)))
        for name, columns in FIGURES.items()
    ]
    claims += [(c.name, ((s.name, c.name),)) for s in scores if s.on_profile for c in s.columns]
    taken: dict[str, tuple[Origin, ...]] = {}
    for name, origin in claims:
        if name in taken:
            raise ConfigError(f"{TABLE}: {name} comes from both {taken[name][0][0]} and {origin[0][0]}")
        taken[name] = origin
    return taken


def profile_sql(scores: Sequence[Score], as_of: date) -> str:
    """The profile as one DuckDB select over the warehouse's views."""
    columns = "".join(f', "{score.name}"."{column.name}"' for score in scores for column in score.columns)
    joins = " ".join(f'left join "{score.name}" using (customer_id)' for score in scores)
    return f"""
        with counted as (
            select customer_id, status = 'completed' and net_amount > 0 as counts, ordered_at,
                   case when status = 'completed' or net_amount < 0 then net_amount else 0 end as money
            from orders
            where customer_id is not null and status in ('completed', 'returned')
              and ordered_at < date '{as_of + timedelta(days=1)}'),
        figures as (
            select customer_id, min(ordered_at) filter (where counts) as first_order_at,
                   max(ordered_at) filter (where counts) as last_order_at,
                   count(*) filter (where counts) as orders,
                   cast(sum(money) as decimal(18, 2)) as revenue
            from counted group by customer_id having count(*) filter (where counts) > 0)
        select customers.*, first_order_at, last_order_at, coalesce(orders, 0) as orders, revenue,
               cast(cast(round(cast(revenue * 100 as double) / orders) as bigint) * 0.01 as decimal(18, 2))
                   as average_order{columns}
        from customers left join figures using (customer_id) {joins}"""


def counts(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Rows, buyers and strangers; AssertionError unless there is exactly one row per customer."""
    rows, ids, buyers, customers, strangers = connection.sql(
        """select count(*), count(distinct customer_id), count(*) filter (where orders > 0),
                  (select count(*) from customers),
                  (select count(distinct o.customer_id) from orders o anti join customers using (customer_id)
                   where o.customer_id is not null)
           from profile"""
    ).fetchall()[0]
    if not rows == ids == customers:
        raise AssertionError(f"{TABLE}: {rows} rows, {ids} ids for {customers} customers")
    return int(rows), int(buyers), int(strangers)
