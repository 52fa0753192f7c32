"""The risk that a contact unsubscribes: one pooled weekly hazard for all (facts/scores.md §3.3).

Unsubscriptions are rare, so nothing is fitted to a single contact: a logistic regression over all weeks with
messages says how the risk goes with the pressure of the week and of the last four, the rate of feedback, the
weeks of silence and how long the contact has been written to. It ranks modestly (AUC .57 to .64 on simulated
contacts), and what moves with pressure need not be caused by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from octo_dagster.scoring.measures.contact_weeks import Weeks

Floats = NDArray[np.float64]
ROWS = 300_000
"""About as many weeks are fitted at most: all of who left, every so many-th contact of the others."""
RIDGE = 1.0


def features(sent: Floats, recent: Floats, rate: Floats, silent: Floats, tenure: Floats) -> Floats:
    """One row each: a constant, messages of the week and of four, feedback a message, weeks of silence and of
    acquaintance."""
    columns = (np.ones_like(rate), np.log1p(sent), np.log1p(recent), rate, np.log1p(silent), np.log1p(tenure))
    return np.column_stack(columns)


def seen_so_far(part: Weeks, average: float) -> Floats:
    """The features of every week with messages, from what was known when it began."""
    contact, week = part.contact, part.week.astype(np.float64)
    first = part.starts[:-1][contact]
    sent, feedback = part.sent.astype(np.float64), part.feedback.astype(np.float64)
    recent = sent.copy()
    for lag in (1, 2, 3):
        near = (contact[lag:] == contact[:-lag]) & (week[lag:] - week[:-lag] <= 3)
        recent[lag:] += sent[:-lag] * near
    rate = (before(feedback, first) + 5 * average) / (before(sent, first) + 5)
    rows = np.arange(len(week))
    answered = np.maximum.accumulate(np.where(feedback > 0, rows, -1))
    last = np.maximum(np.append(-1, answered[:-1]), first)
    return features(sent, recent, rate, week - week[last], week - week[first])


def before(values: Floats, first: NDArray[np.int64]) -> Floats:
    """The sum of the contact's earlier weeks."""
    so_far = np.append(0.0, np.cumsum(values))
    found: Floats = so_far[:-1] - so_far[first]
    return found


def left_in(part: Weeks, leaving: Mapping[str, int]) -> NDArray[np.int64]:
    """The week in which each contact of the part left; -1 for who did not."""
    found = (leaving.get(customer, -1) for customer in part.ids.to_pylist())
    return np.fromiter(found, np.int64, len(part.ids))


def fit(parts: Sequence[Weeks], leaving: Mapping[str, int], average: float) -> Floats:
    """The coefficients of the hazard. Needs somebody who left."""
    step = max(1, sum(len(part.week) for part in parts) // ROWS)
    rows = [sampled(part, left_in(part, leaving), step, average) for part in parts]
    seen, left, weight = (np.concatenate(column) for column in zip(*rows, strict=True))
    return logistic(seen, left, weight)


def sampled(part: Weeks, left: NDArray[np.int64], step: int, average: float) -> tuple[Floats, Floats, Floats]:
    """Features, whether the contact left then, and how many weeks each row stands for.

    Who left did so in his last week with messages up to that; what came later is another story."""
    contact, chosen = part.contact, np.arange(len(part.ids)) % step == 0
    at_risk = (left[contact] < 0) | (part.week <= left[contact])
    kept = at_risk & (chosen | (left >= 0))[contact]
    rows = np.flatnonzero(kept)
    last = np.append(contact[rows][1:] != contact[rows][:-1], True)[: len(rows)]
    leavers = left[contact[rows]] >= 0
    weight = np.where(leavers, 1.0, float(step))
    return seen_so_far(part, average)[rows], (last & leavers).astype(np.float64), weight


def logistic(seen: Floats, left: Floats, weight: Floats) -> Floats:
    """Ridge logistic regression by Newton's method; the constant is not held back."""
    held = np.diag([0.0] + [RIDGE] * (seen.shape[1] - 1))
    found = np.zeros(seen.shape[1])
    found[0] = np.log((left @ weight + 0.5) / (weight.sum() - left @ weight + 0.5))
    for _ in range(12):
        chance = hazard(seen, found)
        slope = seen.T @ (weight * (left - chance)) - held @ found
        curve = (seen * (weight * chance * (1 - chance))[:, None]).T @ seen + held
        found = found + np.linalg.solve(curve, slope)
    return found


def hazard(seen: Floats, coefficients: Floats) -> Floats:
    """The chance to leave in a week with messages."""
    found: Floats = 1 / (1 + np.exp(-np.clip(seen @ coefficients, -30, 30)))
    return found
