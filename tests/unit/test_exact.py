"""Whole numbers in place of floating ones: the same on DuckDB and on PostgreSQL."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from octo_dagster.scoring.measures.exact import UNIT, floating, nearest, weight_of_age
from octo_dagster.scoring.sql import compiled
from tests.postgres import postgres

__all__ = ["postgres"]

SERIES = sa.text("select cast(generate_series as bigint) as n from generate_series(0, 4000)")
NUMBERS = SERIES.columns(sa.column("n", sa.BigInteger)).subquery("t")


def both(postgres: sa.Engine, *columns: sa.ColumnElement[Any]) -> list[tuple[Any, ...]]:
    """The columns for n = 0 … 4000, after seeing that both databases give the same."""
    query = sa.select(NUMBERS.c.n, *columns).order_by(NUMBERS.c.n)
    with duckdb.connect() as connection:
        ours = connection.sql(compiled(query)).fetchall()
    with postgres.connect() as connection_:
        theirs = [tuple(row) for row in connection_.execute(query)]
    assert ours == theirs
    return [row[1:] for row in ours]


@pytest.mark.parametrize("half_life", [7, 90, 365])
def test_weights_halve_and_agree(postgres: sa.Engine, half_life: int) -> None:
    """Every age up to eleven years has the same weight on both; today's is a million, and it halves on time."""
    weights = [weight for (weight,) in both(postgres, weight_of_age(NUMBERS.c.n, half_life))]
    assert (weights[0], weights[half_life], weights[2 * half_life]) == (UNIT, UNIT // 2, UNIT // 4)
    assert weights == sorted(weights, reverse=True)


def test_nearest_rounds_halves_upwards(postgres: sa.Engine) -> None:
    """n ÷ 4 to the nearest whole number: 2 becomes 1, 1 becomes 0, 6 becomes 2."""
    rounded = [value for (value,) in both(postgres, nearest(NUMBERS.c.n, sa.literal(4)))]
    assert rounded[:8] == [0, 0, 1, 1, 1, 1, 2, 2]


def test_floating_quotients_agree(postgres: sa.Engine) -> None:
    """A quotient of whole numbers has the same bits on both databases."""
    thirds = [
        value for (value,) in both(postgres, floating(NUMBERS.c.n * 1_000_003) / floating(NUMBERS.c.n + 7))
    ]
    assert thirds[1] == 1_000_003 / 8
