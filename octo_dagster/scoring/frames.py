"""Scores worked out from data frames: what they may read, and how what they return becomes a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from octo_dagster.errors import ConfigError
from octo_dagster.score import Chunk, Frames, Score, Tables
from octo_dagster.scoring.portable import midnight_after
from octo_dagster.scoring.sql import compiled

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""

HAPPENED = {
    "orders": "ordered_at",
    "messages": "sent_at",
    "message_events": "occurred_at",
    "visits": "visited_at",
}
"""When a row of a canonical table happened: what is later than the score's day is not seen."""

TYPES = {
    "text": "varchar",
    "integer": "bigint",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp",
}
"""DuckDB's name for a column's type. A decimal keeps its digits; a float in its place gets four."""


class Reading(Frames):
    """The tables of one run, read through the DuckDB connection that holds them as views."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, tables: Tables, as_of: date, progress: Progress
    ) -> None:
        self.connection = connection
        self.tables = tables
        self.as_of = as_of
        self.end = midnight_after(as_of)
        self.report = progress

    def __getitem__(self, name: str) -> sa.TableClause:
        return self.tables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __len__(self) -> int:
        return len(self.tables)

    def query(self, query: sa.Select[Any] | str) -> pa.Table:
        text = query if isinstance(query, str) else compiled(query)
        return self.connection.sql(text).to_arrow_table()

    def frame(self, name: str) -> pd.DataFrame:
        before = f"timestamp '{self.end}'"
        self.tables[name]  # KeyError for a table the score does not name
        where = f'where "{HAPPENED[name]}" < {before}' if name in HAPPENED else ""
        if name == "order_lines":
            where = f"semi join (select order_id from orders where ordered_at < {before}) using (order_id)"
        found: pd.DataFrame = self.query(f'select * from "{name}" {where}').to_pandas()
        return found

    def progress(self, done: int, total: int) -> None:
        self.report(done, total)


def collect(score: Score, reading: Reading) -> None:
    """Run the score and keep what it returns in the connection's table `scored`, in the declared types."""
    made = score.compute(reading, as_of=reading.as_of, **score.given)
    types = {"customer_id": "text"} | {column.name: column.type for column in score.columns}
    columns = ", ".join(f'"{name}" {TYPES.get(types[name], "decimal(18, 4)")}' for name in score.output)
    reading.connection.execute(f"create temp table scored ({columns})")
    for chunk in chunks(made):
        reading.connection.register("chunk", arrow(score, chunk))
        with discreet(score):
            reading.connection.execute("insert into scored by name select * from chunk")
        reading.connection.unregister("chunk")


@contextmanager
def discreet(score: Score) -> Iterator[None]:
    """ConfigError if a value is beyond what can be worked out or kept: a text where a number belongs, a
    division by zero. DuckDB's own words would show the value, which may be a customer's."""
    try:
        yield
    except (duckdb.DataError, duckdb.InvalidInputException) as wrong:
        kind = str(wrong).partition(":")[0]
        raise ConfigError(f"{score.name}: some customer's value cannot be worked out ({kind})") from None


def chunks(made: Any) -> Iterator[Chunk]:
    return iter([made]) if isinstance(made, pd.DataFrame | pa.Table) else iter(made)


def arrow(score: Score, chunk: Chunk) -> pa.Table:
    """The chunk as Arrow; ConfigError unless its columns are the declared ones."""
    if tuple(str(name) for name in columns_of(chunk)) != score.output:
        raise ConfigError(
            f"{score.name}: columns: declares {list(score.output)}, returns {list(columns_of(chunk))}"
        )
    return chunk if isinstance(chunk, pa.Table) else pa.Table.from_pandas(chunk, preserve_index=False)


def columns_of(chunk: Chunk) -> list[Any]:
    return list(chunk.columns) if isinstance(chunk, pd.DataFrame) else list(chunk.column_names)
