"""What goes with what and who buys like whom, in blocks whose memory does not grow with the shop.

Values are rounded to millionths before anything is compared, and ties go to the lower number, so the
same rows give the same neighbours on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.linalg import lapack

from octo_dagster.scoring.recommending.history import Bools, Days, Floats, Ints

MILLION = 1_000_000
NONE = np.iinfo(np.int64).min // 2
"""The key of an empty place."""
CELLS = 8_000_000
"""Cells of a dense block: 64 MB of numbers at most, twice over."""


@dataclass(frozen=True, slots=True)
class Best:
    """The best columns of some rows, best first: one line per row and place."""

    row: Ints
    column: Ints
    millionths: Ints

    def matrix(self, shape: tuple[int, int]) -> sp.csr_array:
        """The values as a matrix."""
        found = sp.coo_array((self.millionths / MILLION, (self.row, self.column)), shape=shape)
        return sp.csr_array(found)


def rows_of(matrix: sp.csr_array) -> Ints:
    """The row of every entry."""
    found: Ints = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return found


def best(rows: sp.csr_array, most: int) -> Best:
    """The `most` greatest values above zero of every row; ties to the lower column."""
    width = max(rows.shape[1], 1)
    millionths = np.rint(rows.data * MILLION).astype(np.int64)
    above = millionths > 0
    keys = millionths[above] * width + (width - 1 - rows.indices[above])
    found = greatest(keys, starts(above, rows.indptr), most)
    row, place = np.nonzero(found != NONE)
    millionths, behind = np.divmod(found[row, place], width)
    return Best(row, width - 1 - behind, millionths)


def starts(kept: Bools, start: npt.NDArray[np.integer[Any]]) -> Ints:
    """Where each row starts when only these entries are kept."""
    before = np.concatenate([[0], np.cumsum(kept)])
    found: Ints = before[start]
    return found


def greatest(keys: Ints, start: Ints, most: int) -> Ints:
    """Rows × `most`: the greatest keys of every row in falling order, filled up with NONE.

    Rows of like length are laid side by side, so that one long row does not make all of them long."""
    lengths = np.diff(start)
    found = np.full((len(lengths), most), NONE)
    widest = int(lengths.max(initial=0))
    low, high = 0, max(most, 64)
    while low < widest:
        rows = np.flatnonzero((lengths > low) & (lengths <= high))
        if len(rows):
            width = int(lengths[rows].max())
            filled = np.arange(width) < lengths[rows, None]
            side = np.full(filled.shape, NONE)
            side[filled] = keys[ranges(start[rows], lengths[rows])]
            if width > most:
                side = np.partition(side, width - most, axis=1)[:, -most:]
            found[rows, : min(width, most)] = -np.sort(-side, axis=1)
        low, high = high, 2 * high
    return found


def ranges(start: Ints, lengths: Ints) -> Ints:
    """The places of several stretches, one after the other."""
    before = np.cumsum(lengths) - lengths
    found: Ints = np.arange(int(lengths.sum())) + np.repeat(start - before, lengths)
    return found


def scaled(rows: sp.csr_array, by: Floats) -> sp.csr_array:
    """Every row multiplied by its number; the pattern is kept."""
    data = rows.data * np.repeat(by, np.diff(rows.indptr))
    return sp.csr_array((data, rows.indices, rows.indptr), shape=rows.shape)


def maxima(rows: sp.csr_array) -> Floats:
    """The greatest value of every row; 0 for an empty one."""
    found = np.zeros(rows.shape[0])
    full = np.flatnonzero(np.diff(rows.indptr))
    if len(full):
        found[full] = np.maximum.reduceat(rows.data, rows.indptr[full])
    return found


def keep(rows: sp.csr_array, columns: Bools) -> None:
    """Make everything else zero."""
    rows.data[~columns[rows.indices]] = 0


def dense(rows: sp.csr_array) -> Bools:
    """Where there are entries."""
    table = np.zeros(rows.shape, bool)
    table[rows_of(rows), rows.indices] = True
    return table


def keep_open(rows: sp.csr_array, closed: Bools) -> None:
    """Make zero what is closed."""
    rows.data[closed[rows_of(rows), rows.indices]] = 0


def inverse(values: Floats) -> Floats:
    """1 by each value; 0 for 0."""
    return np.divide(1, values, out=np.zeros(len(values)), where=values > 0)


def owners(bought: Days) -> sp.csr_array:
    """Customers × products: 1 for what was ever bought."""
    firsts = bought.firsts()
    before = np.concatenate([[0], np.cumsum(firsts)])
    return sp.csr_array(
        (np.ones(int(before[-1])), bought.product[firsts], before[bought.start]),
        shape=(len(bought.start) - 1, bought.products),
    )


def related(bought: Days, candidates: Bools, keep: int, exponent: float) -> Iterator[Best]:
    """For every product the candidates that go with it: rows are products, in blocks.

    S_ij = G_ij / (G_ii^exponent · G_jj^(1-exponent)), 0 to 1, with G = X'X and X_uj = 1/√(products of u): an
    asymmetric cosine (Aiolli 2013) in which a wholesaler votes once (facts/scores.md §3.5)."""
    votes = owners(bought)
    votes.data = np.repeat(inverse(np.sqrt(np.diff(votes.indptr))), np.diff(votes.indptr))
    weight = np.bincount(votes.indices, votes.data**2, minlength=bought.products).astype(np.float64)
    columns = np.flatnonzero(candidates)
    target = sp.csr_array(votes[:, columns])
    target.data = target.data * (inverse(weight) ** (1 - exponent))[columns][target.indices]
    source = scaled(sp.csr_array(votes.T), inverse(weight) ** exponent)
    del votes
    step = max(CELLS // max(len(columns), 1), 1)
    for low in range(0, bought.products, step):
        block = source[low : low + step] @ target
        block.data[columns[block.indices] == rows_of(block) + low] = 0
        found = best(block, keep)
        yield Best(found.row + low, columns[found.column], found.millionths)


@dataclass(frozen=True, slots=True)
class Pool:
    """The customers among whom others find those who buy like them."""

    customers: Ints
    tastes: sp.csr_array
    """Their own-vectors, without what is no candidate."""
    directions: sp.csr_array
    """Products × customers of the pool: their whole own-vectors, each of length 1."""

    def voices(self, own: sp.csr_array, low: int, most: int) -> sp.csr_array:
        """Customers (numbered from `low`) × the pool: 1/`most` for the `most` most similar others.

        Fewer than `most` such others count as if the rest had bought nothing."""
        near = lengthened(own) @ self.directions
        near.data[self.customers[near.indices] == rows_of(near) + low] = 0
        found = best(near, most)
        shares = np.full(len(found.row), 1 / most)
        return sp.csr_array(sp.coo_array((shares, (found.row, found.column)), shape=near.shape))


def lengthened(rows: sp.csr_array) -> sp.csr_array:
    """Every row as a vector of length 1."""
    squares = sp.csr_array((rows.data**2, rows.indices, rows.indptr), shape=rows.shape)
    return scaled(rows, inverse(np.sqrt(np.asarray(squares.sum(axis=1)).ravel())))


def pool(bought: Days, candidates: Bools, draw: Ints, sizes: tuple[int, float]) -> Pool:
    """At most so many buyers drawn by lot, all of them in a shop that has no more; and a half-life.

    Looking at everybody would be quadratic. NDCG@10 of `reorder` on Complete Journey (2017-10-09, 2,469
    customers): .3929 among all, .3919 among 1,000, .3909 among 250, .3880 without neighbours."""
    size, half_life = sizes
    buyers = np.flatnonzero(np.diff(bought.start) > 0)
    chosen = np.sort(buyers[np.lexsort((buyers, draw[buyers]))[:size]])
    tastes = bought.of(chosen).weighed(0, len(chosen), half_life)
    directions = sp.csr_array(lengthened(tastes).T)
    keep(tastes, candidates)
    tastes.eliminate_zeros()
    return Pool(chosen, tastes, directions)


def ease(bought: Days, regularisation: float) -> npt.NDArray[np.float64]:
    """Products × products: how much owning one speaks for the other (EASE, Steck 2019), diagonal zero.

    Dense: for catalogues of at most ten thousand."""
    owned = owners(bought)
    gram = sp.csr_array(owned.T @ owned).toarray()
    gram[np.diag_indices_from(gram)] += regularisation
    factor, _ = lapack.dpotrf(gram, overwrite_a=True)  # symmetric and, by its diagonal, positive definite
    upper, _ = lapack.dpotri(factor, overwrite_c=True)
    inverted = np.triu(upper) + np.triu(upper, 1).T
    weights: npt.NDArray[np.float64] = -inverted / np.diag(inverted)
    np.fill_diagonal(weights, 0)
    return weights
