"""Running a score: its expression and settings in, a table with one row per customer and a report out."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import duckdb_sqlalchemy
import pyarrow as pa
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from octo_dagster import document
from octo_dagster.canonical import contracts as canonical
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.model import FieldType
from octo_dagster.score import Column, Score, Tables
from octo_dagster.warehouse import Warehouse

# `qmark`, because a dialect with percent-style parameters doubles every % of a literal, and
# the statement is executed natively: 'x%' would silently become 'x%%'.
DUCKDB = duckdb_sqlalchemy.Dialect(paramstyle="qmark")

FAR = date(9000, 1, 1)
"""A day no date among the settings is after: settings are tried before anybody knows the day of the run."""

TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    FieldType.TEXT: sa.Text(),
    FieldType.INTEGER: sa.BigInteger(),
    FieldType.BOOLEAN: sa.Boolean(),
    FieldType.DATE: sa.Date(),
    FieldType.DATETIME: sa.DateTime(),
}
"""What an output column is cast to. A decimal keeps the digits its score gave it."""


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


def load_settings(score: Score, path: Path) -> dict[str, Any]:
    """The settings of a score's YAML file, checked; none when there is no file or only comments in it."""
    if not path.exists() or is_bare(path.read_text("utf-8")):
        return {}
    return checked_settings(score, document.read(path), path.name)


def is_bare(text: str) -> bool:
    """Whether a YAML text holds nothing but comments."""
    return all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip())


def checked_settings(score: Score, raw: Mapping[str, Any], file: str) -> dict[str, Any]:
    """The given settings as the score's own types, tried on it; each mistake as `file: field: what`."""
    try:
        told = settings_model(score).model_validate(raw)
    except ValidationError as wrong:
        raise ConfigError(*(f"{file}: {line}" for line in document.mistakes(wrong))) from None
    settings = {name: getattr(told, name) for name in told.model_fields_set}
    if set(score.reads) <= set(canonical.CONTRACTS):
        tables = {name: canonical.sqlalchemy_table(name) for name in score.reads}
        expression(score, tables, FAR, settings, file)
    return settings


def expression(
    score: Score, tables: Tables, as_of: date, settings: Mapping[str, Any], said: str
) -> sa.Select[Any]:
    """What the score computes; a setting it refuses itself is told as `said: setting: what`."""
    try:
        return score.compute(tables, as_of=as_of, **settings)
    except ConfigError as wrong:
        raise ConfigError(*(f"{said}: {problem}" for problem in wrong.problems)) from None


def settings_model(score: Score) -> type[BaseModel]:
    """The score's keyword-only parameters as a strict YAML shape: types, ranges, defaults."""
    hints = typing.get_type_hints(score.compute, include_extras=True)
    fields: Any = {name: (hints[name], parameter.default) for name, parameter in score.settings.items()}
    return create_model(
        f"{score.name}_settings", __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )


def plain_settings(score: Score, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting in force, defaults included, as plain JSON values."""
    return settings_model(score)(**settings).model_dump(mode="json")


def table_of(name: str, schema: pa.Schema) -> sa.TableClause:
    """A table to select from, its columns typed as in the warehouse."""
    return sa.table(name, *(sa.column(field.name, sql_type(field.type)) for field in schema))


def sql_type(arrow: pa.DataType) -> sa.types.TypeEngine[Any]:
    """The SQL type of an Arrow column; what has no plain SQL type is left untyped."""
    kinds: tuple[tuple[Any, sa.types.TypeEngine[Any]], ...] = (
        (pa.types.is_boolean, sa.Boolean()),
        (pa.types.is_integer, sa.BigInteger()),
        (pa.types.is_floating, sa.Double()),
        (pa.types.is_date, sa.Date()),
        (pa.types.is_timestamp, sa.DateTime()),
        (pa.types.is_string, sa.Text()),
        (pa.types.is_large_string, sa.Text()),
        (pa.types.is_string_view, sa.Text()),
    )
    if pa.types.is_decimal(arrow):
        return sa.Numeric(arrow.precision, arrow.scale)
    return next((sql for is_it, sql in kinds if is_it(arrow)), sa.types.NullType())


def tables_for(score: Score, warehouse: Warehouse) -> Tables:
    """The tables the score reads; SourceError naming those the warehouse does not hold."""
    missing = sorted(set(score.reads) - set(warehouse.names()))
    if missing:
        raise SourceError(f"score {score.name} reads {', '.join(missing)}: no such table in the warehouse")
    return {name: table_of(name, warehouse.schema(name)) for name in score.reads}


def statement(score: Score, tables: Tables, as_of: date, settings: Mapping[str, Any]) -> sa.Select[Any]:
    """The score as one select: `customer_id`, then the declared columns in their declared types."""
    inner = expression(score, tables, as_of, settings, score.name).subquery(score.name)
    declared = ["customer_id", *(column.name for column in score.columns)]
    if inner.c.keys() != declared:
        raise ConfigError(f"{score.name}: columns: declares {declared}, selects {inner.c.keys()}")
    typed = [
        (
            sa.cast(inner.c[column.name], TYPES[column.type])
            if column.type in TYPES
            else inner.c[column.name]
        ).label(column.name)
        for column in score.columns
    ]
    return sa.select(sa.cast(inner.c.customer_id, sa.Text).label("customer_id"), *typed)


def compiled(query: sa.Executable | sa.ClauseElement) -> str:
    """The text DuckDB runs, every constant written out."""
    clause = typing.cast("sa.ClauseElement", query)
    return str(clause.compile(dialect=DUCKDB, compile_kwargs={"literal_binds": True}))


def rows_on(engine: sa.Engine, query: sa.Select[Any]) -> list[dict[str, Any]]:
    """The same score run by another database (PostgreSQL), one dict per customer, by customer_id."""
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return sorted(rows, key=lambda row: str(row["customer_id"]))


def run(score: Score, warehouse: Warehouse, as_of: date, settings: Mapping[str, Any] | None = None) -> Report:
    """Work the score out and write its table, named after it and sorted by customer_id.

    The version's note holds `as_of`, every setting in force and the versions read. Nothing is written when
    the score breaks its contract: a customer twice, or no customer_id (ConfigError)."""
    chosen = dict(settings or {})
    query = statement(score, tables_for(score, warehouse), as_of, chosen)
    plain = plain_settings(score, chosen)
    reads = {name: warehouse.table(name).version() for name in score.reads}
    note = {"as_of": as_of.isoformat(), "settings": plain, "reads": reads}
    with warehouse.connect(reads) as connection:
        connection.execute(f"create temp table scored as {compiled(query)}")
        rows = check_rows(score, connection)
        classes = tuple(figure for column in score.columns for figure in figures(connection, column))
        written = connection.sql("select * from scored order by customer_id").to_arrow_reader()
        version = warehouse.replace(score.name, written, note)
    return Report(score.name, as_of, plain, reads, rows, version, classes)


def check_rows(score: Score, connection: duckdb.DuckDBPyConnection) -> int:
    """How many rows there are; ConfigError unless each has a customer_id of its own."""
    found = connection.sql(
        "select count(*), count(distinct customer_id), count(customer_id) from scored"
    ).fetchall()
    rows, customers, named = found[0]
    if not rows == customers == named:
        raise ConfigError(
            f"{score.name}: {rows} rows for {customers} customers, {rows - named} without customer_id"
        )
    return int(rows)


def figures(connection: duckdb.DuckDBPyConnection, column: Column) -> list[ClassFigures]:
    """How customers spread over a classed column's values; nothing for a column that is not a class."""
    if column.of is None:
        return []
    found = connection.sql(
        f'select "{column.name}", count(*), min("{column.of}"), max("{column.of}"), sum("{column.of}")'
        f" from scored group by 1 order by 1"
    ).fetchall()
    total = sum(weight for *_, weight in found)
    return [
        ClassFigures(column.name, value, customers, low, high, weight, shared(weight, total))
        for value, customers, low, high, weight in found
    ]


def shared(weight: Any, total: Any) -> float | None:
    return round(float(weight / total), 4) if total > 0 else None
