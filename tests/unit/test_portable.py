"""The portable words mean one thing on every database and refuse the ones nobody has tried."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import CompileError

from octo_dagster.scoring.compute import compiled
from octo_dagster.scoring.portable import cents, class_by_cuts, class_by_rank, day, days, quantile_cuts, whole
from tests.postgres import postgres

__all__ = ["postgres"]

MONEY = sa.Numeric(18, 2)
WORDS: list[tuple[sa.ColumnElement[Any], int]] = [
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
]  # fmt: skip


def ask(query: sa.Select[Any]) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.sql(compiled(query)).fetchall()


@pytest.mark.parametrize(("word", "meaning"), WORDS)
def test_duckdb_says_the_same(word: sa.ColumnElement[Any], meaning: int) -> None:
    """Each word has its exact meaning when DuckDB runs the compiled text."""
    assert ask(sa.select(word)) == [(meaning,)]


def test_postgres_says_the_same(postgres: sa.Engine) -> None:
    """Each word has its exact meaning when PostgreSQL runs it, bound parameters and all."""
    with postgres.connect() as connection:
        for word, meaning in WORDS:
            assert connection.execute(sa.select(word)).scalar() == meaning


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
