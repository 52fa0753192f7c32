"""The words a score may use that databases spell differently, each with one meaning everywhere.

A database nobody has tried is refused when the statement is compiled, never guessed at: the wrong
spelling of a division gave 62,410 wrong segments out of 95,042 without any error (facts/engine.md §3).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
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


class later(FunctionElement[date]):  # noqa: N801 - reads as a SQL function
    """`later(day, n)`: the date n days after a date; n an integer, negative for before."""

    name = "later"
    inherit_cache = True
    type = sa.Date()


class digest(FunctionElement[str]):  # noqa: N801 - reads as a SQL function
    """`digest(text)`: its MD5 as 32 lower-case hex digits. For a share of customers that never changes:
    the first eight digits lie below `share_digits(share)` for that share of texts."""

    name = "digest"
    inherit_cache = True
    type = sa.Text()


class joined(FunctionElement[str]):  # noqa: N801 - reads as a SQL function
    """`joined(", ", a, b, …)`: the texts that are not null with the first between them; all null: ''."""

    name = "joined"
    inherit_cache = True
    type = sa.Text()


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

LATER = {
    "duckdb": "({0} + cast({1} as integer))",
    "postgresql": "({0} + cast({1} as integer))",
    "trino": "date_add('day', {1}, {0})",
    "databricks": "date_add({0}, cast({1} as int))",
    "bigquery": "date_add({0}, interval {1} day)",
    "snowflake": "dateadd('day', {1}, {0})",
}
DIGESTS = {
    "duckdb": "md5({0})",
    "postgresql": '(md5({0}) collate "C")',
    "trino": "lower(to_hex(md5(to_utf8({0}))))",
    "databricks": "md5({0})",
    "bigquery": "to_hex(md5({0}))",
    "snowflake": "md5({0})",
}
JOINS = dict.fromkeys(("duckdb", "postgresql", "trino", "databricks"), "concat_ws")
"""Databases whose `concat_ws` leaves nulls out."""


@compiles(whole)
def _(element: whole, compiler: Any, **options: Any) -> str:
    return spelled(DIVISIONS, element, compiler, options)


@compiles(days)
def _(element: days, compiler: Any, **options: Any) -> str:
    return spelled(DIFFERENCES, element, compiler, options)


@compiles(later)
def _(element: later, compiler: Any, **options: Any) -> str:
    return spelled(LATER, element, compiler, options)


@compiles(digest)
def _(element: digest, compiler: Any, **options: Any) -> str:
    return spelled(DIGESTS, element, compiler, options)


@compiles(joined)
def _(element: joined, compiler: Any, **options: Any) -> str:
    parts = [compiler.process(clause, **options) for clause in element.clauses]
    return f"{known(JOINS, element, compiler)}({', '.join(parts)})"


def spelled(spellings: dict[str, str], element: FunctionElement[Any], compiler: Any, options: Any) -> str:
    """The element as this dialect writes it; CompileError for a dialect without a spelling."""
    parts = (compiler.process(c, **options) for c in element.clauses)
    return known(spellings, element, compiler).format(*(f"({part})" for part in parts))


def known(spellings: dict[str, str], element: FunctionElement[Any], compiler: Any) -> str:
    dialect = compiler.dialect.name
    if dialect not in spellings:
        raise CompileError(f"{element.name}() has no spelling for {dialect}; known: {', '.join(spellings)}")
    return spellings[dialect]


def midnight_after(as_of: date) -> datetime:
    """The midnight (UTC) that ends the day: what is before it has happened as of the day."""
    return datetime.combine(as_of + timedelta(days=1), time())


def day(value: date) -> sa.ColumnElement[date]:
    """A date as a typed constant: an untyped one is text to some databases."""
    return sa.cast(sa.literal(value.isoformat(), sa.Text), sa.Date)


def cents(amount: Number) -> sa.ColumnElement[int]:
    """A `decimal(18, 2)` amount as whole cents. Exact; DuckDB refuses amounts past 92 trillion."""
    return sa.cast(amount * 100, sa.BigInteger)


def rounded(value: Number, places: int) -> sa.ColumnElement[Decimal]:
    """A floating value of at most a trillion as `numeric(18, places)`, halves upwards: databases' own
    `round` differs (to even, away from zero)."""
    units = sa.cast(sa.func.floor(sa.cast(value, sa.Double) * 10**places + 0.5), sa.BigInteger)
    return in_units(units, places)


def in_units(units: Number, places: int) -> sa.ColumnElement[Decimal]:
    """An integer number of 10^-places as an exact `numeric(18, places)`."""
    unit: Number = sa.literal_column(f"{Decimal(1).scaleb(-places):f}")
    return sa.cast(sa.cast(units, sa.Numeric(18, 0)) * unit, sa.Numeric(18, places))


def ln_millionths(value: Number) -> sa.ColumnElement[int]:
    """The natural logarithm of a positive number in whole millionths: sums of it are exact in any order."""
    return sa.cast(sa.func.floor(sa.func.ln(sa.cast(value, sa.Double)) * 1_000_000 + 0.5), sa.BigInteger)


def exponential(value: Number) -> sa.ColumnElement[float]:
    """e to the power of a number: a floating value, to be `rounded` before it is stored or compared."""
    return sa.func.exp(sa.cast(value, sa.Double))


def share_digits(share: float) -> str:
    """The eight hex digits below which the `digest` of that share (0 to 1) of all texts begins."""
    return "g" if share >= 1 else f"{int(share * 16**8):08x}"


def either(condition: sa.ColumnElement[bool], then: Any, otherwise: Any = None) -> sa.ColumnElement[Any]:
    """`then` where the condition holds, `otherwise` where it does not or is unknown."""
    return sa.case((condition, then), else_=otherwise)


def class_by_rank(
    measure: Number, bins: int, *, within: Number | Sequence[Number] | None = None, first: int = 1
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


def quantile_cuts(
    source: sa.FromClause, measure: str, bins: int, unit: int, within: str | None = None
) -> sa.CTE:
    """One row, `c1` … : the inner quantiles (R type 7) plus one `unit`, all multiplied by `bins`.

    R's `rfm` package cuts at quantile(i / bins) + 1. Multiplying keeps it in integers: compare with
    `bins * measure`. `measure` is an integer column of `source`. One row for each value of the column
    `within`, if it is given, beside that value."""
    value = source.c[measure]
    base = [] if within is None else [source.c[within]]
    ranked = sa.select(
        *base,
        value.label("value"),
        sa.func.row_number().over(partition_by=base, order_by=value).label("place"),
        sa.func.count().over(partition_by=base).label("n"),
    ).subquery()
    columns = [quantile(ranked, i, bins, unit).label(f"c{i}") for i in range(1, bins)]
    bases = [] if within is None else [ranked.c[within]]
    return sa.select(*bases, *columns).group_by(*bases).cte(f"cuts_{measure}")


def quantile(ranked: sa.Subquery, i: int, bins: int, unit: int) -> sa.ColumnElement[int]:
    """bins × (type 7 quantile i/bins + unit) of the `value`s, of which `place` counts from 1 to `n`."""
    steps = (ranked.c.n - 1) * i
    below = whole(steps, bins)
    low = sa.func.max(either(ranked.c.place == below + 1, ranked.c.value))
    high = sa.func.max(either(ranked.c.place == below + 2, ranked.c.value))
    rest = sa.func.max(steps - bins * below)
    return bins * low + rest * (sa.func.coalesce(high, low) - low) + bins * unit
