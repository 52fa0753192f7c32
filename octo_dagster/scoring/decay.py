"""What happened long ago counts less: exact weights that halve with every half-life.

The weights are whole millionths, so that sums of them are the same in any order and on any database.
"""

from __future__ import annotations

import math
from typing import Any

import sqlalchemy as sa

from octo_dagster.scoring.portable import exponential

UNIT = 1_000_000
"""The weight of what happened today."""


def weight_of_age(age: sa.ColumnElement[int], half_life: int) -> sa.ColumnElement[Any]:
    """0.5 to the power of age / half_life, both in days, in whole millionths."""
    faded = exponential(age * sa.cast(sa.literal(-math.log(2) / half_life), sa.Double))
    return sa.cast(sa.func.floor(faded * UNIT + 0.5), sa.BigInteger)
