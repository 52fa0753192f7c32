"""The two lists: what a customer is likely to buy again, and what he might like that he never bought.

Formulas and constants: facts/scores.md §3.5. Three things of `discover` were changed after measuring on the
earlier tuning windows of both shops (Online Retail 2011-10-14, Complete Journey 2017-10-09): popularity
counts those who bought a product for the first time (NDCG@10 .0998 → .1156 and .0438 → .0450), products that
are no candidates are left out before the neighbours are cut, and the exponents are .4 and .6 (with the weight
1 of popularity: .1178 and .0470).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from octo_dagster.scoring.recommending.history import Bools, Days, Floats, History, Ints
from octo_dagster.scoring.recommending.neighbours import (
    Pool,
    dense,
    ease,
    inverse,
    keep,
    keep_open,
    maxima,
    owners,
    pool,
    scaled,
)
from octo_dagster.scoring.recommending.shelf import Shelf, shelf

SMOOTHING = 0.02
DAMPING = 0.6
TASTE_HALF_LIFE = 60
VIEW_HALF_LIFE = 7
VIEW_DAYS = 60
REGULARISATION = 300
EASE_PRODUCTS = 10_000


@dataclass(frozen=True, slots=True)
class Weights:
    """The settings of the two formulas."""

    half_life: int
    near: float
    near_customers: int
    near_among: int
    reorder_popularity: float
    discover_popularity: float
    views: float
    newness: float
    ease: float
    """0: without."""
    popularity_days: int
    new_days: int
    minimum_buyers: int
    country_buyers: int


@dataclass(frozen=True, slots=True)
class Given:
    """What some customers give products by themselves: customers × products."""

    total: sp.csr_array
    parts: Mapping[str, sp.csr_array]
    """Reason → how much of the total it explains."""
    closed: sp.csr_array
    """An entry for what they must not be shown; the total is 0 there."""


@dataclass(frozen=True)
class Lists:
    """Everything the lists of a shop's customers are made from."""

    history: History
    weights: Weights
    related: sp.csr_array
    """Products × products: how well the second goes with the first."""
    shelves: dict[tuple[str, int | None], Shelf] = field(default_factory=dict)

    @cached_property
    def popularity(self) -> Any:
        return self.history.popularity(self.weights.popularity_days)

    @cached_property
    def fresh(self) -> Bools:
        """Products that have not been on sale for long."""
        return self.history.catalogue.age < self.weights.new_days

    @cached_property
    def candidates(self) -> Bools:
        """What may be shown to people who never bought it for its own sake, not just to fill up."""
        return candidates(self.history, self.weights.minimum_buyers, self.weights.new_days)

    def popular(self, name: str, country: int | None) -> Floats:
        """What sells now, 0 to 1: among all customers, or those of a country."""
        counts = self.popularity.lately if name == "reorder" else self.popularity.new
        row = (
            counts[[country]].toarray()[0] if country is not None else np.asarray(counts.sum(axis=0)).ravel()
        )
        most = row[self.history.catalogue.sold].max(initial=0)
        found: Floats = row / most if most else row * 0.0
        return found

    def shelf(self, name: str, country: int | None) -> Shelf:
        """What everyone (of a country) gets in a list."""
        if (name, country) not in self.shelves:
            weight = getattr(self.weights, f"{name}_popularity")
            catalogue = self.history.catalogue
            self.shelves[name, country] = shelf(
                np.minimum(self.popular(name, country), 1) * weight,
                self.popularity.ever,
                (catalogue.sold, ~self.candidates),
                catalogue.category,
                len(catalogue.categories),
            )
        return self.shelves[name, country]

    def country(self, customer: Ints) -> Ints:
        """By whose popularity the customers see what they have no taste for: -1 for everybody's.

        Their own country's if they never bought, and enough customers of it bought lately."""
        country = self.history.people.country[customer]
        known = np.append(self.popularity.buyers[:-1] >= self.weights.country_buyers, False)
        cold = np.diff(self.history.bought.start)[customer] == 0
        return np.where(cold & known[country], country, -1)

    def given(self, name: str, low: int, high: int) -> Given:
        """What customers `low` to `high` give products in a list."""
        return self.reorder(low, high) if name == "reorder" else self.discover(low, high)

    @cached_property
    def pool(self) -> Pool:
        w = self.weights
        return pool(
            self.history.bought, self.candidates, self.history.people.draw, (w.near_among, w.half_life)
        )

    def reorder(self, low: int, high: int) -> Given:
        """(own + near × the mean own of those who buy alike) / max own. What came back last is closed."""
        own = self.history.bought.weighed(low, high, self.weights.half_life)
        voices = self.pool.voices(own, low, self.weights.near_customers) * self.weights.near
        both = sp.hstack([voices, sp.eye_array(high - low)]) @ sp.vstack([self.pool.tastes, own])
        total = scaled(sp.csr_array(both), inverse(maxima(own)))
        closed = self.history.returned.taken(low, high)
        if closed.nnz:
            keep_open(total, dense(closed))
        return Given(total, {"bought": own, "alike": total}, closed)

    @cached_property
    def goes_with(self) -> sp.csr_array:
        """`related`, damped by what is seldom discovered."""
        damped = self.related.copy()
        damped.data *= ((self.popular("discover", None) + SMOOTHING) ** DAMPING)[damped.indices]
        keep(damped, self.candidates)
        return damped

    @cached_property
    def new_of_category(self) -> sp.csr_array:
        """Categories × products: 1 for those new on sale."""
        catalogue = self.history.catalogue
        place = np.flatnonzero(
            self.fresh & self.candidates & (catalogue.category < len(catalogue.categories))
        )
        shape = (len(catalogue.categories), len(catalogue))
        return sp.csr_array(
            sp.coo_array((np.ones(len(place)), (catalogue.category[place], place)), shape=shape)
        )

    def discover(self, low: int, high: int) -> Given:
        """co / max co + weights × (views / max views, share of the category of new products, EASE)."""
        history, weights = self.history, self.weights
        closed = history.bought.taken(low, high) + history.returned.taken(low, high)
        table = dense(closed)
        parts = {"goes_with": taste_of(history.bought, low, high) @ self.goes_with}
        parts["viewed"] = history.viewed.weighed(low, high, VIEW_HALF_LIFE)
        keep(parts["viewed"], history.catalogue.sold)
        parts["new"] = self.newness(low, high)
        if weights.ease:
            parts["like_yours"] = self.eased(low, high, table)
        for part in parts.values():
            keep_open(part, table)
        by = {"goes_with": 1.0, "viewed": weights.views, "like_yours": weights.ease}
        for name in by.keys() & parts.keys():
            parts[name] = scaled(parts[name], by[name] * inverse(maxima(parts[name])))
        some = {name: part for name, part in parts.items() if part.nnz}
        empty = sp.csr_array(closed.shape)
        return Given(reduce(add, some.values()) if some else empty, some, closed)

    def newness(self, low: int, high: int) -> sp.csr_array:
        """New products by how much of a customer's purchases are of their category."""
        if not self.new_of_category.nnz:
            return sp.csr_array((high - low, len(self.history.catalogue)))
        own = self.history.bought.weighed(low, high, self.weights.half_life)
        shares = scaled(own, inverse(np.asarray(own.sum(axis=1)).ravel())) @ self.category_of_product
        return (shares * self.weights.newness) @ self.new_of_category

    @cached_property
    def category_of_product(self) -> sp.csr_array:
        catalogue = self.history.catalogue
        place = np.flatnonzero(catalogue.category < len(catalogue.categories))
        shape = (len(catalogue), len(catalogue.categories))
        return sp.csr_array(
            sp.coo_array((np.ones(len(place)), (place, catalogue.category[place])), shape=shape)
        )

    @cached_property
    def ease_weights(self) -> npt.NDArray[np.float64]:
        return ease(self.history.bought, REGULARISATION)

    @cached_property
    def owned(self) -> sp.csr_array:
        return owners(self.history.bought)

    def eased(self, low: int, high: int, closed: Bools) -> sp.csr_array:
        """EASE above zero."""
        found = np.maximum(self.owned[low:high] @ self.ease_weights, 0)
        found[closed | ~self.candidates] = 0
        return sp.csr_array(found)


def candidates(history: History, minimum_buyers: int, new_days: int) -> Bools:
    """What may be shown to people who never bought it: it has enough buyers, or is new."""
    firsts = history.bought.firsts()
    ever = np.bincount(history.bought.product[firsts], minlength=len(history.catalogue))
    found: Bools = history.catalogue.sold & ((ever >= minimum_buyers) | (history.catalogue.age < new_days))
    return found


def taste_of(bought: Days, low: int, high: int) -> sp.csr_array:
    """√own of customers `low` to `high`, with the half-life of tastes."""
    taste = bought.weighed(low, high, TASTE_HALF_LIFE)
    taste.data = np.sqrt(taste.data)
    return taste
