"""The gamma-Poisson model with a fatigue grid (facts/scores.md §3.3): what one more message a week brings.

A contact answers a message with strength q, which every message over one a week wears down by the factor
exp(-d): the expected feedback of week t is q · w_t · n_t · exp(-d · max(x_t - 1, 0)), where
x_t = n_t + 0.3 n_(t-1) is the pressure felt and w_t the week's own effect on everybody. d lies on a grid, q
has a gamma prior; the prior is learnt from all contacts together, so a contact with few messages is taken to
be like the others.

Where everybody is sent the same, the week effects take up what pressure does to all: then only how contacts
differ is told, and a random share of contacts left out of each campaign would tell more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

Floats = NDArray[np.float64]

GRID: Floats = np.array([-0.10, 0, 0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.55, 0.75, 1.0, 1.4])
"""Values of d. Below zero: messages that help one another."""
CARRIED = 0.3
"""How much of last week's messages is still felt."""
STEPS, ROUNDS = 40, 3
"""EM steps for the weights of the grid, and how often they take turns with the gamma prior."""
FELT_MOST = 50.0
"""Pressure beyond this is felt no more: it keeps exponentials finite."""
ENOUGH = 20_000
"""Contacts the prior is learnt from at most: evenly spaced ones of the list. More do not move it."""


@dataclass(frozen=True, slots=True)
class Sums:
    """All the model needs of each contact, one row each."""

    feedback: Floats
    """K: opens, clicks and the like, each once a message."""
    strain: Floats
    """A: the feedback of each week times its pressure above one."""
    exposure: Floats
    """E(d), a column for each d of the grid: messages as they would be answered at strength 1."""

    def thinned(self, most: int) -> Sums:
        """At most so many contacts, evenly spaced."""
        step = -(-len(self.feedback) // most)
        return Sums(self.feedback[::step], self.strain[::step], self.exposure[::step])


@dataclass(frozen=True, slots=True)
class Prior:
    """What all contacts together say of one nobody has written to yet."""

    a: float
    b: float
    """Strength q is Gamma(a, b)."""
    weights: Floats
    """How likely each d of the grid is."""


def learn(all_sums: Sums) -> Prior:
    """The prior under which what was seen is likeliest. Needs some feedback of somebody."""
    sums = all_sums.thinned(ENOUGH)
    rate = float(sums.feedback.sum() / sums.exposure[:, 1].sum())
    prior = Prior(1.0, 1.0 / rate, np.full(len(GRID), 1 / len(GRID)))
    for _ in range(ROUNDS):
        prior = with_weights(sums, with_strength(sums, prior))
    return prior


def with_strength(sums: Sums, prior: Prior) -> Prior:
    """The likeliest gamma prior, the weights of the grid as they are."""

    def unlikely(logs: Floats) -> float:
        a, b = np.exp(logs)
        return -float(evidence(sums, Prior(a, b, prior.weights)).sum())

    start = np.log([prior.a, prior.b])
    found = minimize(
        unlikely, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 0.1, "maxfev": 200}
    )
    a, b = np.exp(np.clip(found.x, -12, 12))
    return Prior(float(a), float(b), prior.weights)


def with_weights(sums: Sums, prior: Prior) -> Prior:
    """The weights of the grid after so many EM steps, the gamma prior as it is."""
    likelihood = log_likelihood(sums, prior.a, prior.b)
    likelihood = np.exp(likelihood - likelihood.max(axis=1, keepdims=True))
    weights = prior.weights
    for _ in range(STEPS):
        joint = likelihood * weights
        weights = (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
    return Prior(prior.a, prior.b, weights)


def log_likelihood(sums: Sums, a: float, b: float) -> Floats:
    """Of each contact (row) under each d (column), q integrated out, up to a constant of the contact."""
    worn: Floats = -GRID * sums.strain[:, None] - (a + sums.feedback)[:, None] * np.log(b + sums.exposure)
    return worn


def evidence(sums: Sums, prior: Prior) -> Floats:
    """The log likelihood of each contact, d and q integrated out."""
    a, b, feedback = prior.a, prior.b, sums.feedback
    joint = log_likelihood(sums, a, b) + np.log(np.maximum(prior.weights, 1e-300))
    top = joint.max(axis=1)
    over_grid = top + np.log(np.exp(joint - top[:, None]).sum(axis=1))
    whole: Floats = over_grid + gammaln(a + feedback) - gammaln(a) + a * np.log(b)
    return whole


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of each contact once his messages have been seen, one row each, a column for each d."""

    chance: Floats
    """Of each d."""
    strength: Floats
    """Mean of q, were d the one."""
    square: Floats
    """Mean of q squared, were d the one."""

    def marginal(self, pressure: Floats) -> tuple[Floats, Floats]:
        """What one more message a week adds to the feedback a week, at so many messages a week now; and its
        standard deviation."""
        gain = returns(pressure + 1) - returns(pressure)
        mean = (self.chance * self.strength * gain).sum(axis=1)
        square = (self.chance * self.square * gain**2).sum(axis=1)
        return mean, np.sqrt(np.maximum(square - mean**2, 0))

    def efficiency(self, pressure: Floats) -> Floats:
        """What one more brings ÷ what a message brings now: 1 no fatigue, 0 saturated, below it backfires."""
        gain = returns(pressure + 1) - returns(pressure)
        average = returns(pressure) / pressure[:, None]
        found: Floats = (self.chance * gain / average).sum(axis=1)
        return found

    def saturated(self, pressure: Floats) -> Floats:
        """The chance that one more message a week brings less feedback in all."""
        less = returns(pressure + 1) < returns(pressure)
        found: Floats = (self.chance * less).sum(axis=1)
        return found

    def feedback(self, messages: int) -> Floats:
        """Expected feedback a week at so many messages a week."""
        found: Floats = (self.chance * self.strength * returns(np.array([float(messages)]))).sum(axis=1)
        return found


def posterior(sums: Sums, prior: Prior) -> Posterior:
    """The prior, and what each contact did."""
    joint = log_likelihood(sums, prior.a, prior.b) + np.log(np.maximum(prior.weights, 1e-300))
    chance = np.exp(joint - joint.max(axis=1, keepdims=True))
    chance /= chance.sum(axis=1, keepdims=True)
    shape, rate = (prior.a + sums.feedback)[:, None], prior.b + sums.exposure
    return Posterior(chance, shape / rate, shape * (shape + 1) / rate**2)


def returns(pressure: Floats) -> Floats:
    """R(m) under each d: feedback of strength 1 at a steady m messages a week, last week's still felt."""
    found: Floats = pressure[:, None] * np.exp(-GRID * excess((1 + CARRIED) * pressure)[:, None])
    return found


def excess(felt: Floats) -> Floats:
    """The pressure above one message a week, which wears down."""
    found: Floats = np.clip(felt - 1, 0, FELT_MOST)
    return found
