"""Running a score: its expression and settings in, a table with one row per key and a report out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb
import sqlalchemy as sa
from pydantic import TypeAdapter

from octo_dagster.canonical import contracts as canonical
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.model import FieldType
from octo_dagster.score import Column, Score, Tables
from octo_dagster.scoring.frames import Progress, Reading, collect, discreet
from octo_dagster.scoring.settings import expression, plain_settings
from octo_dagster.scoring.sql import TYPES, compiled, table_of
from octo_dagster.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class of a classed column: how many customers, and what it is cut from or weighs."""

    column: str
    value: int | str | None
    customers: int
    low: Any
    """The smallest value in the class of the column it is cut from: the cut point, if classes rise."""
    high: Any
    total: Any
    """What `of` adds up to in the class, if it is money."""
    share: float | None
    """Of the total over all classes, 0 to 1; None when there is no total above zero."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run of a score made. Settings are plain JSON values."""

    score: str
    as_of: date
    settings: Mapping[str, Any]
    reads: Mapping[str, int]
    """The version of every table that was read."""
    rows: int
    version: int
    classes: tuple[ClassFigures, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: dates as text, decimals as text."""
        return dict(TypeAdapter(dict[str, Any]).dump_python(asdict(self), mode="json"))


def tables_for(score: Score, warehouse: Warehouse) -> Tables:
    """The tables the score reads; SourceError naming those the warehouse does not hold."""
    there = set(warehouse.names())
    missing = sorted(set(score.reads) - there)
    if missing:
        raise SourceError(f"score {score.name} reads {', '.join(missing)}: no such table in the warehouse")
    held = [name for name in (*score.reads, *score.optional) if name in there]
    absent = {name: canonical.sqlalchemy_table(name) for name in score.optional if name not in there}
    return absent | {name: table_of(name, warehouse.schema(name)) for name in held}


def statement(
    score: Score, tables: Tables, as_of: date, settings: Mapping[str, Any] | None = None
) -> sa.Select[Any]:
    """The score as one select: its columns, in their declared order and types."""
    told = score if settings is None else score.given_settings(settings)
    return typed(told, expression(told, tables, as_of, told.given, told.name))


def typed(told: Score, query: sa.Select[Any]) -> sa.Select[Any]:
    """A select of the score's columns in their declared order and types; ConfigError if it has others."""
    inner = query.subquery(told.name)
    if tuple(inner.c.keys()) != told.output:
        raise ConfigError(f"{told.name}: columns: declares {list(told.output)}, selects {inner.c.keys()}")
    return sa.select(
        *(
            sa.cast(inner.c[name], type_).label(name) if type_ is not None else inner.c[name]
            for name, type_ in output_types(told)
        )
    )


def output_types(score: Score) -> list[tuple[str, sa.types.TypeEngine[Any] | None]]:
    """Every output column and what it is cast to; None for a decimal, which keeps its digits."""
    types = {"customer_id": "text"} | {column.name: column.type for column in score.columns}
    return [(name, TYPES.get(types[name])) for name in score.output]


def rows_on(engine: sa.Engine, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """The same score run by another database (PostgreSQL), one dict per customer, by customer_id."""
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return sorted(rows, key=lambda row: str(row["customer_id"]))


def run(
    score: Score,
    warehouse: Warehouse,
    as_of: date,
    settings: Mapping[str, Any] | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Work the score out and write its table, named after it and sorted by its key.

    `settings` replace those the score was given. The version's note holds `as_of`, every setting in force and
    the versions read. Nothing is written when the score breaks its contract: a key twice, or an empty one
    (ConfigError)."""
    told = score if settings is None else score.given_settings(settings)
    tables = tables_for(told, warehouse)
    plain = plain_settings(told, told.given)
    reads = {name: version for name in tables if (version := warehouse.version(name)) is not None}
    note = {"as_of": as_of.isoformat(), "settings": plain, "reads": reads}
    with warehouse.connect(reads, only=reads) as connection:
        for name in tables.keys() - reads.keys():
            connection.register(name, canonical.CONTRACTS[name].arrow.empty_table())
        rows = work_out(told, connection, tables, as_of, progress)
        money = {column.name for column in told.columns if column.type == FieldType.DECIMAL}
        classes = tuple(figure for column in told.columns for figure in figures(connection, column, money))
        written = connection.sql(f"select * from scored order by {listed(told.key)}").to_arrow_reader()
        version = warehouse.replace(told.name, written, note)
    return Report(told.name, as_of, plain, reads, rows, version, classes)


def work_out(
    score: Score,
    connection: duckdb.DuckDBPyConnection,
    tables: Tables,
    as_of: date,
    progress: Progress = lambda done, total: None,
) -> int:
    """Make the connection's table `scored` hold the score's rows; how many. ConfigError when the score breaks
    its contract."""
    if score.by_frames:
        collect(score, Reading(connection, tables, as_of, progress))
    else:
        query = compiled(statement(score, tables, as_of))
        with discreet(score):
            connection.execute(f"create temp table scored as {query}")
    return check_rows(score, connection)


def check_rows(score: Score, connection: duckdb.DuckDBPyConnection) -> int:
    """How many rows there are; ConfigError unless each has a key of its own."""
    empty = " or ".join(f'"{name}" is null' for name in score.key)
    rows, distinct, unnamed = connection.sql(
        f"select count(*), count(distinct ({listed(score.key)})), count(*) filter (where {empty}) from scored"
    ).fetchall()[0]
    if unnamed or rows != distinct:
        what = "customers" if score.on_profile else " × ".join(score.key)
        raise ConfigError(
            f"{score.name}: {rows} rows for {distinct} {what}, {unnamed} without {', '.join(score.key)}"
        )
    return int(rows)


def listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def figures(
    connection: duckdb.DuckDBPyConnection, column: Column, money: Collection[str]
) -> list[ClassFigures]:
    """How customers spread over a classed column's values; nothing for a column that is not a class. What
    adds up, `money`, is added up: a sum of days says nothing."""
    if column.of is None:
        return []
    total = f'sum("{column.of}")' if column.of in money else "null"
    found = connection.sql(
        f'select "{column.name}", count(*), min("{column.of}"), max("{column.of}"), {total}'
        f" from scored group by 1 order by 1"
    ).fetchall()
    whole = sum(weight or 0 for *_, weight in found)
    return [
        ClassFigures(column.name, value, customers, low, high, weight, shared(weight or 0, whole))
        for value, customers, low, high, weight in found
    ]


def shared(weight: Any, total: Any) -> float | None:
    return round(float(weight / total), 4) if total > 0 else None
