"""The words a score may use that databases spell differently, each with one meaning everywhere.

A database nobody has tried is refused when the statement is compiled, never guessed at: the wrong
spelling of a division gave 62,410 wrong segments out of 95,042 without any error (facts/engine.md §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import CompileError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

Number = sa.ColumnElement[Any]


class whole(FunctionElement[int]):  # noqa: N801 - reads as a SQL function
    """`whole(a, b)`: a divided by b, both integers, a not negative, b positive; the remainder dropped.

    Not SQLAlchemy's `//`: the DuckDB dialect compiles that to a floating division."""

    name = "whole"
    inherit_cache = True
    type = sa.BigInteger()


class days(FunctionElement[int]):  # noqa: N801 - reads as a SQL function
    """`days(later, earlier)`: calendar days from one date or timestamp to the other; negative if swapped."""

    name = "days"
    inherit_cache = True
    type = sa.BigInteger()


DIVISIONS = {
    "duckdb": "({0} // {1})",
    "postgresql": "({0} / {1})",
    "trino": "({0} / {1})",
    "databricks": "({0} div {1})",
    "bigquery": "div({0}, {1})",
    "snowflake": "trunc({0} / {1})",
}
"""Integer division by dialect. Run here on DuckDB and PostgreSQL; the rest from their makers' manuals."""

DIFFERENCES = {
    "duckdb": "date_diff('day', cast({1} as date), cast({0} as date))",
    "postgresql": "(cast({0} as date) - cast({1} as date))",
    "trino": "date_diff('day', cast({1} as date), cast({0} as date))",
    "databricks": "datediff(cast({0} as date), cast({1} as date))",
    "bigquery": "date_diff(cast({0} as date), cast({1} as date), day)",
    "snowflake": "datediff('day', cast({1} as date), cast({0} as date))",
}
"""Days between two days by dialect."""


@compiles(whole)
def _(element: whole, compiler: Any, **options: Any) -> str:
    return spelled(DIVISIONS, element, compiler, options)


@compiles(days)
def _(element: days, compiler: Any, **options: Any) -> str:
    return spelled(DIFFERENCES, element, compiler, options)


def spelled(spellings: dict[str, str], element: FunctionElement[int], compiler: Any, options: Any) -> str:
    """The element as this dialect writes it; CompileError for a dialect without a spelling."""
    dialect = compiler.dialect.name
    if dialect not in spellings:
        raise CompileError(f"{element.name}() has no spelling for {dialect}; known: {', '.join(spellings)}")
    one, two = (compiler.process(c, **options) for c in element.clauses)
    return spellings[dialect].format(f"({one})", f"({two})")


def day(value: date) -> sa.ColumnElement[date]:
    """A date as a typed constant: an untyped one is text to some databases."""
    return sa.cast(sa.literal(value.isoformat(), sa.Text), sa.Date)


def cents(amount: Number) -> sa.ColumnElement[int]:
    """A `decimal(18, 2)` amount as whole cents. Exact; DuckDB refuses amounts past 92 trillion."""
    return sa.cast(amount * 100, sa.BigInteger)


def either(condition: sa.ColumnElement[bool], then: Any, otherwise: Any = None) -> sa.ColumnElement[Any]:
    """`then` where the condition holds, `otherwise` where it does not or is unknown."""
    return sa.case((condition, then), else_=otherwise)


def class_by_rank(
    measure: Number, bins: int, *, within: Number | None = None, first: int = 1
) -> sa.ColumnElement[int]:
    """The measure's class, `first` the lowest: first + floor(bins × share of rows that are strictly lower).

    Equal values share a class, whatever the order of rows; `within` ranks each of its groups apart."""
    position = sa.func.rank().over(partition_by=within, order_by=measure) - 1
    rows = sa.func.count().over(partition_by=within)
    return first + whole(bins * position, rows)


def class_by_cuts(measure: Number, cuts: Sequence[Any]) -> sa.ColumnElement[int]:
    """1 + the number of cuts the measure has reached: a value equal to a cut is in the upper class."""
    reached = [either(measure >= cut, 1, 0) for cut in cuts]
    return sum(reached[1:], start=reached[0]) + 1 if reached else sa.literal(1)


def quantile_cuts(source: sa.FromClause, measure: str, bins: int, unit: int) -> sa.CTE:
    """One row, `c1` … : the inner quantiles (R type 7) plus one `unit`, all multiplied by `bins`.

    R's `rfm` package cuts at quantile(i / bins) + 1. Multiplying keeps it in integers: compare with
    `bins * measure`. `measure` is an integer column of `source`."""
    value = source.c[measure]
    ranked = sa.select(
        value.label("value"),
        sa.func.row_number().over(order_by=value).label("place"),
        sa.func.count().over().label("n"),
    ).subquery()
    columns = [quantile(ranked, i, bins, unit).label(f"c{i}") for i in range(1, bins)]
    return sa.select(*columns).cte(f"cuts_{measure}")


def quantile(ranked: sa.Subquery, i: int, bins: int, unit: int) -> sa.ColumnElement[int]:
    """bins × (type 7 quantile i/bins + unit) of the `value`s, of which `place` counts from 1 to `n`."""
    steps = (ranked.c.n - 1) * i
    below = whole(steps, bins)
    low = sa.func.max(either(ranked.c.place == below + 1, ranked.c.value))
    high = sa.func.max(either(ranked.c.place == below + 2, ranked.c.value))
    rest = sa.func.max(steps - bins * below)
    return bins * low + rest * (sa.func.coalesce(high, low) - low) + bins * unit
