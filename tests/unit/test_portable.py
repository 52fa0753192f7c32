"""The portable words mean one thing on every database and refuse the ones nobody has tried."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import CompileError

from octo_dagster.scoring.portable import (
    cents,
    class_by_cuts,
    class_by_rank,
    day,
    days,
    digest,
    exponential,
    in_units,
    joined,
    later,
    ln_millionths,
    quantile_cuts,
    rounded,
    share_digits,
    whole,
)
from octo_dagster.scoring.sql import compiled
from tests.postgres import postgres

__all__ = ["postgres"]

MONEY = sa.Numeric(18, 2)
WORDS: list[tuple[sa.ColumnElement[Any], Any]] = [
    (whole(sa.literal(7), sa.literal(2)), 3),
    (whole(sa.literal(9_007_199_254_740_993), sa.literal(1)), 9_007_199_254_740_993),
    (whole(sa.literal(6) * (sa.literal(5) - 1), sa.literal(5) + 1), 4),
    (days(day(date(2024, 3, 1)), day(date(2024, 2, 28))), 2),
    (days(sa.cast(sa.literal("2024-01-02 00:00:00"), sa.DateTime), sa.cast(sa.literal("2024-01-01 23:59:59"), sa.DateTime)), 1),
    (days(day(date(2024, 1, 1)), day(date(2024, 1, 31))), -30),
    (cents(sa.cast(sa.literal("12345678901234.56"), MONEY)), 1234567890123456),
    (cents(sa.cast(sa.literal("-0.29"), MONEY)), -29),
    (class_by_cuts(sa.literal(10), (5, 10, 15)), 3),
    (class_by_cuts(sa.literal(10), ()), 1),
    (later(day(date(2024, 2, 28)), sa.literal(2)), date(2024, 3, 1)),
    (later(day(date(2024, 3, 1)), sa.literal(-1)), date(2024, 2, 29)),
    (digest(sa.literal("c1")), "a9f7e97965d6cf799a529102a973b8b9"),
    (joined(sa.literal(", "), sa.literal("a"), sa.null(), sa.literal("b")), "a, b"),
    (rounded(sa.literal(2.5), 0), Decimal("3")),
    (rounded(sa.literal(-0.12345), 4), Decimal("-0.1234")),
    (rounded(sa.literal(1.005), 2), Decimal("1.00")),
    (in_units(sa.literal(12345), 4), Decimal("1.2345")),
    (ln_millionths(sa.literal(180)), 5_192_957),
    (ln_millionths(sa.literal(1)), 0),
    (rounded(exponential(sa.literal(5.192957)), 3), Decimal("180.000")),
]  # fmt: skip


def ask(query: sa.Executable) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.sql(compiled(query)).fetchall()


@pytest.mark.parametrize(("word", "meaning"), WORDS)
def test_duckdb_says_the_same(word: sa.ColumnElement[Any], meaning: Any) -> None:
    """Each word has its exact meaning when DuckDB runs the compiled text."""
    assert ask(sa.select(word)) == [(meaning,)]


def test_postgres_says_the_same(postgres: sa.Engine) -> None:
    """Each word has its exact meaning when PostgreSQL runs it, bound parameters and all."""
    with postgres.connect() as connection:
        for word, meaning in WORDS:
            assert connection.execute(sa.select(word)).scalar() == meaning


def test_a_share_of_digests_is_that_share() -> None:
    """A tenth of ten thousand ids lies below a tenth's digits, none below 0 and all below 1."""
    ids = sa.select(digest(sa.cast(sa.func.unnest(sa.func.range(10_000)), sa.Text)).label("d")).subquery()
    counts = [sa.func.count().filter(ids.c.d < share_digits(share)) for share in (0.0, 0.1, 1.0)]
    none, tenth, everyone = ask(sa.select(*counts))[0]
    assert (none, everyone) == (0, 10_000)
    assert 900 < tenth < 1100


def values(*given: int) -> sa.Subquery:
    return sa.union_all(*(sa.select(sa.literal(value).label("v")) for value in given)).subquery()


def test_equals_share_a_class() -> None:
    """Classes go by the share that is strictly lower: ties share, and a class may stay empty."""
    base = values(1, 1, 1, 2, 3, 9)
    found = ask(sa.select(base.c.v, class_by_rank(base.c.v, 6)).order_by(base.c.v))
    assert found == [(1, 1), (1, 1), (1, 1), (2, 4), (3, 5), (9, 6)]


def test_groups_are_ranked_apart() -> None:
    """With `within`, each group has its own lowest class, counted from `first`."""
    base = values(1, 1, 5, 6)
    group = sa.case((base.c.v > 1, 1), else_=0)
    found = ask(sa.select(base.c.v, class_by_rank(base.c.v, 2, within=group, first=2)).order_by(base.c.v))
    assert found == [(1, 2), (1, 2), (5, 2), (6, 3)]


@pytest.mark.parametrize(
    ("given", "cuts"),
    [((10, 20, 30, 40), (66, 96)), ((7,), (27, 27)), ((0, 1), (7, 8))],
)
def test_cuts_are_quantiles_plus_one(given: tuple[int, ...], cuts: tuple[int, int]) -> None:
    """The cuts are (type 7 quantile + 2 units) × bins, in whole numbers."""
    assert ask(sa.select(quantile_cuts(values(*given), "v", 3, 2))) == [cuts]


def test_an_untried_database_is_refused() -> None:
    """A dialect without a spelling is an error at compile time, never a guess."""
    with pytest.raises(CompileError, match=r"whole\(\) has no spelling for mysql"):
        sa.select(whole(sa.literal(7), sa.literal(2))).compile(dialect=mysql.dialect())
