"""Recommendations: what goes with what, what a customer will buy again, and what he might like next.

Two lists, always, because they are two questions (facts/scores.md §3.5): in a single one 95–98 % of the
best ten are products the customer already has. `reorder` may hold them; `discover` never does. Guests' orders
count for neither: as baskets of their own they made `discover` worse (Online Retail: NDCG@10 .1178 → .1093).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Frames, Picture, frame_score
from octo_dagster.scoring.recommending import history, neighbours, reasons
from octo_dagster.scoring.recommending.history import History, Ints
from octo_dagster.scoring.recommending.lists import (
    EASE_PRODUCTS,
    VIEW_DAYS,
    Lists,
    Weights,
    candidates,
)
from octo_dagster.scoring.recommending.neighbours import MILLION
from octo_dagster.scoring.recommending.reasons import CODES, Reasons, Shown
from octo_dagster.words import Language

CELLS = 24_000_000
"""Customers × products worked on at once."""
PER_CENT = 10_000
"""Millionths in a hundredth: a strength is told as 0 to 100."""

Days = Annotated[int, Field(ge=1, le=3650)]
Count = Annotated[int, Field(ge=1, le=100)]
Weight = Annotated[float, Field(ge=0, le=100)]


@frame_score(
    reads=("customers", "orders", "order_lines"),
    optional=("products",),
    key=("product_id", "rank"),
    columns={
        "product_id": ("text", "The product that was bought, on sale or not"),
        "rank": ("integer", "1 goes best with it"),
        "related_product_id": ("text", "A product on sale that goes with it"),
        "strength": ("decimal", "0 … 100: how much more often than by chance the same customers buy both"),
    },
    settings_from="recommendations",
    picture=Picture(
        "bars",
        "select case when strength >= 10 then '10 and more' when strength >= 3 then '3 to 10'"
        " when strength >= 1 then '1 to 3' else 'below 1' end as label, count(*) as customers"
        " from related_products where rank = 1 group by 1 order by min(strength) desc",
        "Products by the strength of their closest neighbour",
    ),
)
def related_products(
    tables: Frames,
    *,
    as_of: date,
    keep: Count = 50,
    exponent: Annotated[float, Field(ge=0, le=1)] = 0.4,
    minimum_buyers: Annotated[int, Field(ge=1)] = 5,
    new_days: Days = 60,
    excluded_categories: tuple[str, ...] = (),
) -> pa.Table:
    """For every product that was bought, the products on sale that the same customers buy.

    An asymmetric cosine over customers, each voting once however much he buys; known customers only, orders
    before the midnight (UTC) that ends `as_of`. Related products have at least `minimum_buyers` or are new,
    are in stock and not of an excluded category."""
    known = history.read(tables, as_of, excluded=excluded_categories)
    may = candidates(known, minimum_buyers, new_days)
    blocks = list(neighbours.related(known.bought, may, keep, exponent))
    row, column, millionths = (
        np.concatenate([getattr(block, name) for block in blocks] or [np.empty(0, np.int64)])
        for name in ("row", "column", "millionths")
    )
    first = np.searchsorted(row, row)
    return pa.table(
        {
            "product_id": known.catalogue.ids.take(pa.array(row)),
            "rank": np.arange(len(row)) - first + 1,
            "related_product_id": known.catalogue.ids.take(pa.array(column)),
            "strength": millionths / PER_CENT,
        }
    )


def matrix_of(tables: Frames, known: History) -> sp.csr_array:
    """`related_products` as products × products, 0 to 1."""
    found = tables.query("select product_id, related_product_id, strength from related_products order by all")
    ids = known.catalogue.ids
    row, column = (
        pa.compute.index_in(found[name], ids).to_numpy() for name in ("product_id", "related_product_id")
    )
    strength = pa.compute.cast(found["strength"], pa.float64()).to_numpy() / 100
    size = len(known.catalogue)
    return sp.csr_array(sp.coo_array((strength, (row, column)), shape=(size, size)))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the lists look like."""

    count: int
    per_category: int
    at_once: int | None

    def steps(self, known: History) -> Iterator[tuple[int, int]]:
        """From and before which customer each chunk goes."""
        step = self.at_once or max(CELLS // max(len(known.catalogue), 1), 1)
        total = len(known.people)
        return ((low, min(low + step, total)) for low in range(0, total, step))


@frame_score(
    reads=("customers", "orders", "order_lines", "related_products"),
    optional=("products", "visits"),
    key=("customer_id", "list", "rank"),
    columns={
        "customer_id": ("text", "Every customer, also those who never bought"),
        "list": ("text", "reorder: may hold what he bought; discover: only what he never bought"),
        "rank": ("integer", "1 is recommended first"),
        "product_id": ("text", "The product"),
        "category": ("text", "Its category"),
        "score": ("decimal", "What the list is ordered by; comparable within a customer's list only"),
        "reason": ("text", f"What weighs most: {', '.join(CODES)}"),
        "reason_text": ("text", "The same as a sentence"),
    },
    picture=Picture(
        "matrix",
        'select "list" as "row", reason as "column", count(distinct customer_id) as customers'
        " from recommendations group by all order by all",
        "What leads to a recommendation",
    ),
)
def recommendations(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Frames,
    *,
    as_of: date,
    count: Count = 10,
    per_category: Count = 3,
    excluded_categories: tuple[str, ...] = (),
    minimum_buyers: Annotated[int, Field(ge=1)] = 5,
    new_days: Days = 60,
    half_life_days: Days = 120,
    popularity_days: Days = 30,
    near: Weight = 0.3,
    near_customers: Annotated[int, Field(ge=1)] = 100,
    near_among: Annotated[int, Field(ge=1)] = 10_000,
    reorder_popularity: Weight = 0.2,
    discover_popularity: Weight = 1.0,
    views: Weight = 2.0,
    newness: Weight = 0.5,
    ease: bool = False,
    ease_weight: Weight = 0.3,
    country_buyers: Annotated[int, Field(ge=1)] = 50,
    customers_at_once: Annotated[int | None, Field(ge=1)] = None,
    language: Language = "en",
) -> Iterator[pa.Table]:
    """Two lists of products for every customer: `reorder`, and `discover` without what he bought before.

    Orders and views before the midnight (UTC) that ends `as_of` count. Recommended is what the shop lists,
    in stock, not of an excluded category, not given back last; somebody who never bought it is shown it if
    it has enough buyers or is new. `discover` holds at most `per_category` products of a category. Who never
    bought sees what is popular in his country. Every list has `count` products if the shop has as many."""
    known = history.read(tables, as_of, excluded=excluded_categories, view_days=VIEW_DAYS)
    if ease and len(known.catalogue) > EASE_PRODUCTS:
        raise ConfigError(
            f"ease: the catalogue has {len(known.catalogue)} products, more than {EASE_PRODUCTS}"
        )
    weights = Weights(
        half_life=half_life_days,
        near=near,
        near_customers=near_customers,
        near_among=near_among,
        reorder_popularity=reorder_popularity,
        discover_popularity=discover_popularity,
        views=views,
        newness=newness,
        ease=ease_weight if ease else 0,
        popularity_days=popularity_days,
        new_days=new_days,
        minimum_buyers=minimum_buyers,
        country_buyers=country_buyers,
    )
    lists = Lists(known, weights, matrix_of(tables, known))
    return listed(tables, Reasons(lists, as_of, language), Shape(count, per_category, customers_at_once))


def listed(tables: Frames, told: Reasons, shape: Shape) -> Iterator[pa.Table]:
    """Both lists, a chunk of customers at a time."""
    total = len(told.lists.history.people)
    for low, high in shape.steps(told.lists.history):
        for name, most in (("discover", shape.per_category), ("reorder", None)):
            yield chunk(told, name, (low, high), (shape.count, most))
        tables.progress(high, total)


def chunk(told: Reasons, name: str, customers: tuple[int, int], sizes: tuple[int, int | None]) -> pa.Table:
    """One list of some customers."""
    lists, (low, high) = told.lists, customers
    given = lists.given(name, low, high)
    country = lists.country(np.arange(low, high))
    product = np.full((high - low, sizes[0]), -1, np.int64)
    score, base = np.zeros_like(product), np.zeros_like(product)
    for one in np.unique(country):
        rows = np.flatnonzero(country == one)
        shelf = lists.shelf(name, None if one < 0 else int(one))
        total, closed = given.total, given.closed
        if len(rows) < high - low:
            total, closed = total[rows], closed[rows]
        product[rows], score[rows] = shelf.choose(total, closed, *sizes)
        base[rows] = np.minimum(shelf.plain[product[rows]], score[rows])  # what only fills up gets nothing
    row, place = np.nonzero(product >= 0)
    shown = Shown(low, row, product[row, place], base[row, place])
    codes = told.codes(given, shown)
    return table(told, name, (shown, codes), (place + 1, score[row, place]))


def table(told: Reasons, name: str, what: tuple[Shown, Ints], order: tuple[Ints, Ints]) -> pa.Table:
    """The rows as they are kept."""
    (shown, codes), (rank, score) = what, order
    known = told.lists.history
    category = known.catalogue.category[shown.product]
    missing = category == len(known.catalogue.categories)
    return pa.table(
        {
            "customer_id": known.people.ids.take(pa.array(shown.low + shown.row)),
            "list": pa.repeat(pa.scalar(name), len(rank)),
            "rank": rank,
            "product_id": known.catalogue.ids.take(pa.array(shown.product)),
            "category": known.catalogue.categories.take(pa.array(category, mask=missing)),
            "score": score / MILLION,
            "reason": reasons.code_names(codes),
            "reason_text": told.sentences(codes, shown),
        }
    )
