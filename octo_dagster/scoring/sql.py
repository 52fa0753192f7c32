"""Scores as SQL text: the types of tables and columns, and what DuckDB is given to run."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import duckdb_sqlalchemy
import pyarrow as pa
import sqlalchemy as sa

from octo_dagster.model import FieldType

# `qmark`, because a dialect with percent-style parameters doubles every % of a literal, and
# the statement is executed natively: 'x%' would silently become 'x%%'.
DUCKDB = duckdb_sqlalchemy.Dialect(paramstyle="qmark")

TYPES: Mapping[str, sa.types.TypeEngine[Any]] = {
    FieldType.TEXT: sa.Text(),
    FieldType.INTEGER: sa.BigInteger(),
    FieldType.BOOLEAN: sa.Boolean(),
    FieldType.DATE: sa.Date(),
    FieldType.DATETIME: sa.DateTime(),
}
"""What an output column is cast to. A decimal keeps the digits its score gave it."""


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


def compiled(query: sa.Executable | sa.ClauseElement) -> str:
    """The text DuckDB runs, every constant written out."""
    clause = typing.cast("sa.ClauseElement", query)
    return str(clause.compile(dialect=DUCKDB, compile_kwargs={"literal_binds": True}))
