"""Whole numbers in place of floating ones: sums that are the same in any order and on any database."""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

from octo_dagster.scoring.portable import exponential, whole

UNIT = 1_000_000
"""What 1 is in whole millionths."""


def millionths(value: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
    """A floating value to the nearest whole millionth, halves upwards."""
    return sa.cast(sa.func.floor(value * UNIT + 0.5), sa.BigInteger)


def weight_of_age(age: sa.ColumnElement[int], half_life: int) -> sa.ColumnElement[int]:
    """0.5 to the power of age / half_life, both in days, in whole millionths."""
    return millionths(exponential(age * sa.cast(sa.literal(-math.log(2) / half_life), sa.Double)))


def floating(value: Any) -> sa.ColumnElement[float]:
    """A whole number as a floating one. By way of 64 bits: databases' sums are wider, each in its way."""
    return sa.cast(sa.cast(value, sa.BigInteger), sa.Double)


def nearest(part: sa.ColumnElement[int], of: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
    """part ÷ of, both whole and not negative, to the nearest whole number, halves upwards."""
    return whole(2 * part + of, 2 * of)
