"""Which products a customer is shown: the best of his own scores, filled up from what everybody gets.

A product's score is what is his alone (few products) plus what everyone gets (all products). Only the best
of either are looked at, and more of them where those might not be the whole truth: the result is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from octo_dagster.scoring.recommending.history import Bools, Floats, Ints
from octo_dagster.scoring.recommending.neighbours import MILLION, NONE, greatest, rows_of, starts

DEEPER = 8


@dataclass(frozen=True, slots=True)
class Shelf:
    """Every product that may be shown, in the order in which a customer without a taste sees them."""

    order: Ints
    """The products that may be shown."""
    standing: Ints
    """Of each product its place in `order`."""
    plain: Ints
    """Of each product what everyone gives it, in millionths."""
    fill: Ints
    """The same as compared where nothing is known of the customer: -1 for those that only fill up."""
    category: Ints
    categories: int

    def __len__(self) -> int:
        return len(self.standing)

    def key(self, millionths: Ints, product: Ints) -> Ints:
        """Greater for the better product; ties go to the more popular, then to the lower id."""
        return millionths * len(self) + (len(self) - 1 - self.standing[product])

    def shown(self, keys: Ints) -> tuple[Ints, Ints]:
        """The products (-1: none) and their millionths."""
        millionths, place = np.divmod(keys, len(self))
        empty = keys == NONE
        product = self.order[np.where(empty, 0, len(self) - 1 - place)]
        return np.where(empty, -1, product), np.where(empty, 0, np.maximum(millionths, 0))

    def cap(self, count: int, most: int | None) -> int:
        """`most`, or as many of one category as it takes to fill a list of `count` at all."""
        if most is None:
            return count
        sizes = np.bincount(self.category[self.order], minlength=self.categories + 1)
        return next(
            (c for c in range(most, count) if np.minimum(sizes[:-1], c).sum() + sizes[-1] >= count), count
        )

    def choose(
        self, own: sp.csr_array, closed: sp.csr_array, count: int, most: int | None = None
    ) -> tuple[Ints, Ints]:
        """Customers × `count`: the products to show (-1 for none), best first, and their millionths.

        `own`: what each customer gives by himself, 0 where `closed` has an entry: what he must not be shown.
        At most `most` of a category, unless the list would stay short."""
        if not len(self.order):
            nothing = np.zeros((own.shape[0], count), np.int64)
            return nothing - 1, nothing
        return self.shown(self.searched(own, closed, (count, self.cap(count, most)), 3 * count))

    def searched(self, own: sp.csr_array, closed: sp.csr_array, sizes: tuple[int, int], depth: int) -> Ints:
        """The keys of the best, looking at the best `depth` of either kind; deeper where that may not do."""
        common = self.key(self.fill[self.order[:depth]], self.order[:depth])
        floor = int(common[-1]) if len(self.order) > depth else NONE
        mine, below = self.mine(own, depth, floor)
        shared = np.where(self.shut(mine, closed, depth), NONE, common)
        keys = -np.sort(-np.concatenate([mine, shared], axis=1), axis=1)
        found = self.capped(keys, *sizes)
        fill_up(found, keys, np.flatnonzero((found[:, -1] == NONE) & (below == NONE)))
        doubtful = np.flatnonzero(found[:, -1] < below)
        if len(doubtful):
            found[doubtful] = self.searched(own[doubtful], closed[doubtful], sizes, depth * DEEPER)
        return found

    def mine(self, own: sp.csr_array, depth: int, floor: int) -> tuple[Ints, Ints]:
        """The best keys above `floor` of what is a customer's own, and what no key left out exceeds."""
        lowest = (
            floor // len(self) / MILLION - 1 / MILLION
        )  # a little lower: what is left is compared exactly
        open_ = (own.data > 0) & (own.data + self.attraction[own.indices] >= lowest)
        column = own.indices[open_]
        given = np.rint(own.data[open_] * MILLION).astype(np.int64)
        keys = np.where(given > 0, self.key(given + self.plain[column], column), NONE)
        start = starts(open_, own.indptr)
        found = greatest(keys, start, depth)
        return found, np.maximum(floor, np.where(np.diff(start) > depth, found[:, -1], NONE))

    @property
    def attraction(self) -> Floats:
        """`plain` as it is added to scores; nothing makes up for not being on sale."""
        return np.where(self.standing < len(self.order), self.plain / MILLION, -np.inf)

    def shut(self, mine: Ints, closed: sp.csr_array, depth: int) -> Bools:
        """Which of the first products a customer is not shown by what everyone gives them."""
        shut = np.zeros((len(mine), min(depth, len(self.order))), bool)
        place = self.standing[closed.indices]
        early = place < shut.shape[1]
        shut[rows_of(closed)[early], place[early]] = True
        place = self.standing[self.shown(mine)[0]]
        row, column = np.nonzero((mine != NONE) & (place < shut.shape[1]))
        shut[row, place[row, column]] = True
        return shut

    def capped(self, keys: Ints, count: int, most: int) -> Ints:
        """The first `count` keys of each row with at most `most` of a category."""
        product, _ = self.shown(keys)
        category = self.category[product]
        kept = np.full((len(keys), count), NONE)
        tally = np.zeros((len(keys), self.categories + 1), np.int32)
        taken = np.zeros(len(keys), np.int64)
        for place in range(keys.shape[1]):
            of, row = category[:, place], np.arange(len(keys))
            free = (tally[row, of] < most) | (of == self.categories)
            hit = np.flatnonzero((keys[:, place] != NONE) & (taken < count) & free)
            kept[hit, taken[hit]] = keys[hit, place]
            taken[hit] += 1
            tally[hit, of[hit]] += 1
            if (taken == count).all():
                break
        return kept


def fill_up(kept: Ints, keys: Ints, rows: Ints) -> None:
    """Fill these rows' empty places with the best keys that were passed over."""
    for row in rows:
        empty = np.flatnonzero(kept[row] == NONE)
        passed = keys[row][~np.isin(keys[row], kept[row])][: len(empty)]
        kept[row, empty[: len(passed)]] = passed


def shelf(popular: Floats, ever: Ints, may: tuple[Bools, Bools], category: Ints, categories: int) -> Shelf:
    """`popular`: what everyone gives each product. `may`: which may be shown, and which only fill up."""
    sold, filler = may
    plain = np.rint(popular * MILLION).astype(np.int64)
    fill = np.where(filler, -1, plain)
    by = np.lexsort((np.arange(len(ever)), -ever, -fill))
    by = np.concatenate([by[sold[by]], by[~sold[by]]])
    standing = np.empty(len(by), np.int64)
    standing[by] = np.arange(len(by))
    return Shelf(by[: int(sold.sum())], standing, plain, fill, category, categories)
