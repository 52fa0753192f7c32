"""Pulling a PostgreSQL table into the warehouse: ours against dlt, first load and a small increment."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from connectors.sources.sql import Sql
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.demo.shop import server
from octo_dagster.warehouse import Warehouse

TABLE = """create table orders as select i as id, i % 100000 as customer_id,
    timestamp '2017-01-01' + i * interval '1 second' as created_at, 'paid' as state,
    (i % 5000 / 100.0)::numeric(12, 2) as total, (i % 700 / 100.0)::numeric(12, 2) as savings,
    'USD' as currency, timestamptz '2017-01-01 00:00Z' + i * interval '1 second' as updated_at
    from generate_series(1, {rows}) as i"""
INDEX = "create index on orders (updated_at)"
TOUCH = "update orders set state = 'void', updated_at = '2030-01-01' where id <= 100"


def figures(folder: Path, rows: int = 1_000_000) -> dict[str, float]:
    """Seconds and rows a second, by name. Needs dlt with `sql_database`; `folder` must be empty."""
    found: dict[str, float] = {}
    with postgres(folder / "pg") as url:
        run(url, TABLE.format(rows=rows), INDEX)
        ours, theirs = our_pull(url, folder), dlt_pull(url, folder)
        for name, go in (("octo", ours), ("dlt", theirs)):
            found[f"{name} first load seconds"] = first = timed(go)
            found[f"{name} first load rows a second"] = rows / first
        run(url, TOUCH)
        for name, go in (("octo", ours), ("dlt", theirs)):
            found[f"{name} increment of 100 seconds"] = timed(go)
            found[f"{name} nothing new seconds"] = timed(go)
    return found


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own, stopped afterwards."""
    database = server(folder)
    database.start()
    try:
        yield str(database.get_uri())
    finally:
        database.stop()


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def timed(go: Callable[[], object]) -> float:
    started = time.perf_counter()
    go()
    return time.perf_counter() - started


def our_pull(url: str, folder: Path) -> Callable[[], object]:
    columns = {"order_id": "id", "customer_id": "customer_id", "ordered_at": "created_at", "status": "state"}
    columns |= {"net_amount": "total", "discount_amount": "savings", "currency": "currency"}
    orders = {"from": "orders", "cursor": "updated_at", "columns": columns}
    intake = Intake.model_validate({"name": "bench", "source": Sql(url=url), "tables": {"orders": orders}})
    return lambda: pull(intake, "orders", Warehouse(folder / "octo"), datetime.now(UTC))


def dlt_pull(url: str, folder: Path) -> Callable[[], object]:
    """dlt at its quickest here: the pyarrow backend, Parquet files in a folder."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import dlt  # noqa: PLC0415
        from dlt.sources.sql_database import sql_table  # noqa: PLC0415
    logging.getLogger("dlt").setLevel(logging.CRITICAL)
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(folder / "dlt-state"),
        destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/dlt"),
        dataset_name="bench",
    )

    def go() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = sql_table(
                credentials=url.replace("postgresql://", "postgresql+psycopg://"),
                table="orders",
                backend="pyarrow",
                chunk_size=100_000,
                incremental=dlt.sources.incremental("updated_at"),
            )
            return pipeline.run(table, loader_file_format="parquet", write_disposition="append")

    return go
