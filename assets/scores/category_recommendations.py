"""Which categories a customer will buy from: how often he did, and what sells now (facts/scores.md §3.5)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Annotated

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from pydantic import Field

from octo_dagster.score import Frames, Picture, frame_score
from octo_dagster.scoring.recommending.history import Days, History, Ints, read, sorted_days
from octo_dagster.scoring.recommending.neighbours import MILLION, inverse, maxima, scaled
from octo_dagster.scoring.recommending.shelf import Shelf, shelf

FIRST = """select category as label, count(*) as customers from category_recommendations where rank = 1
    group by 1 order by 2 desc, 1"""

AT_ONCE = 100_000
"""Customers worked on together."""


@frame_score(
    reads=("customers", "orders", "order_lines"),
    optional=("products",),
    key=("customer_id", "rank"),
    columns={
        "customer_id": ("text", "Every customer, also those who never bought"),
        "rank": ("integer", "1 is recommended first"),
        "category": ("text", "A category with products on sale"),
        "score": ("decimal", "His own frequency, 1 for his most frequent, and a share of what sells now"),
    },
    settings_from="recommendations",
    picture=Picture("bars", FIRST, "Categories recommended first"),
)
def category_recommendations(
    tables: Frames,
    *,
    as_of: date,
    count: Annotated[int, Field(ge=1, le=100)] = 10,
    excluded_categories: tuple[str, ...] = (),
    half_life_days: Annotated[int, Field(ge=1, le=3650)] = 120,
    popularity_days: Annotated[int, Field(ge=1, le=3650)] = 30,
    category_popularity: Annotated[float, Field(ge=0, le=100)] = 0.3,
) -> Iterator[pa.Table]:
    """The categories a customer is likely to buy from next, also those he bought from before.

    Score: the days he bought from it, each counting half after `half_life_days`, by his greatest; and by
    `category_popularity` the customers who bought from it in the last `popularity_days`, by the greatest."""
    known = read(tables, as_of, excluded=excluded_categories)
    days = bought_from(known)
    recent = days.firsts() & (days.age < popularity_days)
    counts = np.bincount(days.product[recent], minlength=days.products)
    offered = np.zeros(days.products + 1, bool)
    offered[known.catalogue.category[known.catalogue.sold]] = True
    plain = shelf(
        category_popularity * counts / max(counts.max(initial=0), 1),
        counts,
        (offered[:-1], np.zeros(days.products, bool)),
        np.full(days.products, 1),
        1,
    )
    return listed(tables, known, (days, half_life_days), (plain, count))


def bought_from(known: History) -> Days:
    """Days with a purchase, by customer and category in the product's place."""
    category = known.catalogue.category[known.bought.product]
    size = (len(known.people), len(known.catalogue.categories))
    inside = category < size[1]
    customer = known.bought.customers()[inside]
    return sorted_days(customer, category[inside], known.bought.age[inside], size, once=True)


def listed(
    tables: Frames, known: History, own: tuple[Days, int], to_show: tuple[Shelf, int]
) -> Iterator[pa.Table]:
    """The best categories, a chunk of customers at a time."""
    (days, half_life), (plain, count) = own, to_show
    total = len(known.people)
    for low in range(0, total, AT_ONCE):
        high = min(low + AT_ONCE, total)
        frequency = days.weighed(low, high, half_life)
        given = scaled(frequency, inverse(maxima(frequency)))
        yield table(known, low, plain.choose(given, sp.csr_array(given.shape), count))
        tables.progress(high, total)


def table(known: History, low: int, chosen: tuple[Ints, Ints]) -> pa.Table:
    """The rows as they are kept."""
    category, millionths = chosen
    row, place = np.nonzero(category >= 0)
    return pa.table(
        {
            "customer_id": known.people.ids.take(pa.array(low + row)),
            "rank": place + 1,
            "category": known.catalogue.categories.take(pa.array(category[row, place])),
            "score": millionths[row, place] / MILLION,
        }
    )
