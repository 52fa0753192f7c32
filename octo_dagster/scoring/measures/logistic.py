"""Logistic regression: the chance of a yes from a row of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RIDGE = 1.0
"""Penalty on the squared weights: nothing against thousands of rows, and no weight runs away on a few."""

STEPS = 100


@dataclass(frozen=True)
class Logistic:
    """Weights on standardised columns."""

    centre: Floats
    spread: Floats
    weights: Floats
    """The intercept first."""

    def chances(self, rows: Floats) -> Floats:
        """The chance of each row, 0 to 1, to four places."""
        leaning = self.weights[0] + ((rows - self.centre) / self.spread) @ self.weights[1:]
        return np.round(chance(leaning), 4)


def chance(leaning: Floats) -> Floats:
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(leaning / 2))


def fitted(rows: Floats, yes: Floats) -> Logistic:
    """The weights of most likelihood less the penalty, by Newton's steps from zero: no chance in it.

    Columns that never change get no weight."""
    centre, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    design = np.column_stack([np.ones(len(rows)), (rows - centre) / spread])
    ridge = np.diag([0.0] + [RIDGE] * rows.shape[1])
    weights = np.zeros(design.shape[1])
    for _ in range(STEPS):
        p = chance(design @ weights)
        slope = design.T @ (yes - p) - ridge @ weights
        bend = design.T @ (design * (p * (1 - p))[:, None]) + ridge
        step = np.linalg.solve(bend, slope)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    return Logistic(centre, spread, weights)
