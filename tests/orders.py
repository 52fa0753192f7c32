"""Orders for tests of scores: a warehouse from rows, and the same rows in PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.sql import table_of
from octo_dagster.warehouse import Warehouse

SCHEMA = pa.schema(
    [
        ("order_id", pa.string()),
        ("customer_id", pa.string()),
        ("ordered_at", pa.timestamp("us")),
        ("status", pa.string()),
        ("net_amount", pa.decimal128(18, 2)),
    ]
)

Rows = list[dict[str, Any]]


def scored(
    score: Score, orders: Sequence[Mapping[str, Any]], root: Path, as_of: date, **settings: Any
) -> Rows:
    """The score's rows over these orders, run by DuckDB through a warehouse under `root`."""
    warehouse = Warehouse(root)
    warehouse.replace("orders", pa.Table.from_pylist(list(orders), schema=SCHEMA))
    scoring.run(score, warehouse, as_of, settings)
    return rows_of(warehouse, score.name)


def rows_of(warehouse: Warehouse, table: str) -> Rows:
    with warehouse.connect() as connection:
        found: Rows = connection.sql(f'select * from "{table}"').to_arrow_table().to_pylist()
    return found


def select(score: Score, as_of: date, **settings: Any) -> sa.Select[Any]:
    """The score's statement over the table `orders`."""
    return scoring.statement(score, {"orders": table_of("orders", SCHEMA)}, as_of, settings)


def fill(engine: sa.Engine, orders: pa.Table) -> None:
    """Make PostgreSQL's table `orders` hold exactly these rows."""
    kept = pa.table({name: orders[name] for name in SCHEMA.names}).cast(SCHEMA)
    with engine.begin() as connection:
        connection.execute(sa.text("drop table if exists orders"))
        connection.execute(
            sa.text(
                "create table orders (order_id text, customer_id text, ordered_at timestamp,"
                " status text, net_amount numeric(18, 2))"
            )
        )
        driver = connection.connection.driver_connection
        assert driver is not None
        with driver.cursor().copy("copy orders from stdin") as copy:
            for row in zip(*(column.to_pylist() for column in kept.columns), strict=True):
                copy.write_row(row)
