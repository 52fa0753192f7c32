"""What recommendations promise for any shop: complete, allowed, repeatable, blind to what comes later."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.recommendations import recommendations
from octo_dagster.scoring.recommending.neighbours import MILLION
from octo_dagster.scoring.recommending.shelf import shelf
from tests.baskets import ANY, bought, product, run, shop
from tests.orders import Rows

small = settings(max_examples=5)

CUSTOMERS = [{"customer_id": name} for name in ("a", "b", "c", "d", "e", "cold")]
SHELF = [product(f"p{n}", category=("X", "Y", None)[n % 3], in_stock=n != 7) for n in range(9)]
LINES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "d", "e", None]),
        st.sampled_from([f"p{n}" for n in range(9)]),
        st.integers(-20, 80),
    ),
    max_size=30,
    unique=True,
)
VISITS = st.lists(
    st.tuples(st.sampled_from("abcde"), st.sampled_from([f"p{n}" for n in range(9)]), st.integers(0, 70)),
    max_size=8,
)


def outcome(lines: Sequence[Any], visits: Sequence[Any] = (), **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        warehouse = shop(Path(root), bought(*lines), SHELF, customers=CUSTOMERS, visits=visits)
        return run(warehouse, recommendations, **{**ANY, "count": 4, **chosen})


@small
@given(LINES, VISITS)
def test_every_list_is_complete_and_allowed(lines: list[Any], visits: list[Any]) -> None:
    """Every customer gets four of the eight products on sale, or in `discover` all he never bought; no product
    twice, none he has in `discover`, scores falling from rank 1."""
    rows = outcome(lines, visits, per_category=4)
    had = {(customer, what) for customer, what, ago in lines if ago >= 0}
    for customer in (row["customer_id"] for row in CUSTOMERS):
        for name in ("reorder", "discover"):
            mine = sorted(
                (row for row in rows if (row["customer_id"], row["list"]) == (customer, name)),
                key=lambda row: int(row["rank"]),
            )
            shown = [row["product_id"] for row in mine]
            free = {f"p{n}" for n in range(9) if n != 7}
            free -= {what for what in free if name == "discover" and (customer, what) in had}
            assert len(shown) == min(4, len(free))
            assert set(shown) <= free
            assert len(set(shown)) == len(shown)
            assert [row["rank"] for row in mine] == list(range(1, len(mine) + 1))
            assert [row["score"] for row in mine] == sorted((row["score"] for row in mine), reverse=True)
            assert all(row["reason"] and row["reason_text"] for row in mine)


@small
@given(LINES, VISITS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(lines: list[Any], visits: list[Any], dice: Any) -> None:
    """Shuffled orders and views give the same table."""
    shuffled = dice.sample(lines, len(lines)), dice.sample(visits, len(visits))
    assert outcome(*shuffled) == outcome(lines, visits)


@small
@given(LINES, st.integers(1, 6))
def test_the_size_of_the_chunks_changes_nothing(lines: list[Any], at_once: int) -> None:
    """Working on one customer at a time gives the same table as working on all together."""
    assert outcome(lines, customers_at_once=at_once) == outcome(lines)


@small
@given(LINES, st.integers(0, 60))
def test_a_guest_changes_nothing(lines: list[Any], ago: int) -> None:
    """An order without a customer moves nobody's list, whatever was bought."""
    assert outcome([*lines, (None, "p1", ago), (None, "p4", ago)]) == outcome(lines)


@small
@given(LINES)
def test_later_orders_are_never_seen(lines: list[Any]) -> None:
    """What was bought after the day of the score is as if it were not in the tables."""
    assert outcome(lines) == outcome([line for line in lines if line[2] >= 0])


@small
@given(LINES)
def test_no_category_is_over_its_share(lines: list[Any]) -> None:
    """At most two of a category in `discover` for who never bought: the shop has enough of each."""
    rows = [row for row in outcome(lines, per_category=2) if row["customer_id"] == "cold"]
    counts = Counter(row["category"] for row in rows if row["list"] == "discover" and row["category"])
    assert max(counts.values(), default=0) <= 2


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 5), st.integers(2, 60))
def test_looking_at_few_finds_the_best_of_all(seed: int, count: int, most: int, products: int) -> None:
    """What is chosen by looking at the best few is what sorting all products gives, with caps, ties and all."""
    dice = np.random.default_rng(seed)
    popular = dice.integers(0, 4, products) / 4
    sold, filler = dice.random(products) < 0.8, dice.random(products) < 0.2
    category = dice.integers(0, 4, products)
    plain = shelf(popular, dice.integers(0, 3, products), (sold, filler), category, 3)
    own = sp.random_array((5, products), density=0.5, rng=dice).tocsr()
    own.data = np.rint(own.data * 3) / 3
    closed = dice.random((5, products)) < 0.2
    own = sp.csr_array(np.where(closed, 0, own.toarray()))
    found, scores = plain.choose(own, sp.csr_array(closed), count, most)
    cap = plain.cap(count, most)
    for row in range(5):
        given_ = np.rint(own[[row]].toarray()[0] * MILLION).astype(int)
        value = np.where(given_ > 0, given_ + plain.plain, plain.fill)
        expected: list[int] = []
        passed: list[int] = []
        tally = Counter[int]()
        for j in sorted(range(products), key=lambda j: (-value[j], plain.standing[j])):
            if not sold[j] or closed[row, j]:
                continue
            full = category[j] < 3 and tally[category[j]] >= cap
            (passed if full else expected).append(j)
            tally[category[j]] += not full
        expected = [*expected, *passed][:count] if len(expected) < count else expected[:count]
        assert [j for j in found[row] if j >= 0] == expected
        assert [scores[row, k] for k in range(len(expected))] == [max(value[j], 0) for j in expected]


def test_neighbours_drawn_by_lot_are_the_same_at_every_run() -> None:
    """With two of five customers as possible neighbours the lists are complete and repeatable."""
    lines = [(name, f"p{n}", n) for n, name in enumerate("abcdeabc")]
    once, again = outcome(lines, near_among=2), outcome(lines[::-1], near_among=2)
    assert once == again
    assert len(once) == 6 * 2 * 4


def test_ease_gives_a_share_to_what_belongs_together() -> None:
    """With EASE the lists are as complete, and its reason can lead."""
    lines = [(name, f"p{n}", 5) for name in "abcd" for n in (0, 1)] + [("e", "p0", 5)]
    rows = outcome(lines, ease=True, ease_weight=5.0, popularity_days=1)
    first = next(r for r in rows if (r["customer_id"], r["list"], r["rank"]) == ("e", "discover", 1))
    assert (first["product_id"], first["reason"]) == ("p1", "like_yours")
