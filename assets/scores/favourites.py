"""What a customer buys most, where he buys most, and how long he waits between two orders.

A purchase is a completed order above zero, as for RFM; a line that came back is none. The methods are the
documented ones (facts/octolis.md §1.6, §1.7, §1.8).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures.recency import Days, is_purchase, is_someones, start_of
from octo_dagster.scoring.portable import day, days, either, joined, known, midnight_after, whole
from octo_dagster.words import Language, Speaker

Held = Mapping[str, Any]

PLURALS = {"category": "categories", "brand": "brands"}
STEPS = 4
"""Steps in which a half-life goes down: a weight is exact, and no order jumps by half from day to day."""
HEAVIEST = 1024
"""The weight of an order of today; after ten half-lives it is 1, and stays so."""

CATEGORIES = """select label, count(*) as customers from favorite_categories t(customer_id, label)
where label is not null group by 1 order by 2 desc, 1"""
STORES = """select coalesce(favorite_store_name, favorite_store_id) as label, count(*) as customers,
    avg(favorite_store_orders) as mean_orders from favorite_store group by 1 order by 2 desc, 1"""
DELAYS = """select case when d is null then 'one order' when d < 7 then 'under a week'
    when d < 30 then '7 to 29 days' when d < 90 then '30 to 89 days' when d < 180 then '90 to 179 days'
    when d < 365 then '180 to 364 days' else 'a year or more' end as label, count(*) as customers
from (select avg_delay_between_orders as d from delay_between_purchases)
group by 1 order by min(d) nulls last"""


class bytewise(FunctionElement[str]):  # noqa: N801 - reads as a SQL function
    """`bytewise(text)`: the text, to be ordered by its bytes: databases order letters each their own way."""

    name = "bytewise"
    inherit_cache = True
    type = sa.Text()


ORDERINGS = {"duckdb": "{}", "postgresql": '({} collate "C")'}


@compiles(bytewise)
def _(element: bytewise, compiler: Any, **options: Any) -> str:
    return known(ORDERINGS, element, compiler).format(compiler.process(element.clauses, **options))


def purchases(orders: sa.FromClause, as_of: date, start: date | None) -> list[sa.ColumnElement[bool]]:
    """What an order must be to be a customer's purchase in the time that counts."""
    return [is_someones(orders, midnight_after(as_of), start), is_purchase(orders)]


def category_columns(settings: Held) -> dict[str, Any]:
    """One column for each place, or one for all; and how many purchases each stands for."""
    field, top = settings["field"], settings["top"]
    if not settings["split"]:
        names = f"favorite_{PLURALS[field]}"
        return {
            names: ("text", f"The {top} favourites, best first, with commas between"),
            f"{names}_orders": ("text", "The purchases with something of each, in the same order"),
        }
    names = f"favorite_{field}"
    return {
        **{f"{names}_{i}": ("text", f"Favourite {field} no. {i}") for i in places(top)},
        **{f"{names}_{i}_orders": ("integer", f"Purchases with something of no. {i}") for i in places(top)},
    }


def places(top: int) -> range:
    return range(1, top + 1)


def because_categories(row: Held, settings: Held, language: Language = "en", /) -> list[str]:
    """How many purchases speak for each favourite."""
    field, tell = settings["field"], Speaker(language).tell
    if not settings["split"]:
        names = f"favorite_{PLURALS[field]}"
        return [tell("because.favourites.listed", names=row[names], counts=row[f"{names}_orders"])]
    one = f"favorite_{field}"
    held = [(row[f"{one}_{i}"], row[f"{one}_{i}_orders"]) for i in places(settings["top"])]
    told = [tell("because.favourite", name=name, orders=n) for name, n in held if name is not None]
    return [tell(f"because.favourites.{field}", counts=", ".join(told))]


@score(
    reads=("orders", "order_lines", "products"),
    columns=category_columns,
    because=because_categories,
    live="own",
    picture=Picture("bars", CATEGORIES, "Favourites"),
)
def favorite_categories(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    top: Annotated[int, Field(ge=1, le=10)] = 3,
    field: Literal["category", "brand"] = "category",
    split: bool = True,
    exclude: tuple[Annotated[str, Field(min_length=1)], ...] = (),
    since: date | None = None,
    window_days: Days | None = None,
) -> sa.Select[Any]:
    """The product categories (or brands) a customer buys most often.

    What counts is in how many of his purchases there is something of a category, not how much. Between
    equals the one bought last is first, then the first by name. Lines that came back, lines without a
    category and those of a category in `exclude` (postage, deposits) do not count; customers without any
    other have no row."""
    o, lines, products = tables["orders"], tables["order_lines"], tables["products"]
    start = start_of(as_of, since, window_days)
    bought = baskets(lines, products, field, exclude)
    counts = (
        sa.select(
            o.c.customer_id,
            bought.c.thing,
            sa.func.count().label("orders"),
            sa.func.max(o.c.ordered_at).label("last_at"),
        )
        .join(bought, bought.c.order_id == o.c.order_id)
        .where(*purchases(o, as_of, start))
        .group_by(o.c.customer_id, bought.c.thing)
        .subquery("counts")
    )
    best = ranked(counts, [counts.c.orders.desc(), counts.c.last_at.desc(), bytewise(counts.c.thing)], top)
    return in_slots(best, top, field, split)


def baskets(lines: sa.FromClause, products: sa.FromClause, field: str, exclude: Sequence[str]) -> sa.Subquery:
    """Each order's categories (or brands), each once."""
    thing = products.c[field]
    kept = [
        sa.func.coalesce(lines.c.is_return, sa.false()).is_(False),
        sa.or_(lines.c.quantity.is_(None), lines.c.quantity > 0),
        thing.is_not(None),
    ]
    if exclude:
        kept.append(thing.not_in(exclude))
    return (
        sa.select(lines.c.order_id, thing.label("thing"))
        .join(products, products.c.product_id == lines.c.product_id)
        .where(*kept)
        .distinct()
        .subquery("baskets")
    )


def ranked(counts: sa.Subquery, by: Sequence[sa.ColumnElement[Any]], top: int) -> sa.Subquery:
    """The first rows of every customer, with their `place` from 1."""
    place = sa.func.row_number().over(partition_by=counts.c.customer_id, order_by=by).label("place")
    placed = sa.select(*counts.c, place).subquery("placed")
    return sa.select(*placed.c).where(placed.c.place <= top).subquery("best")


def in_slots(best: sa.Subquery, top: int, field: str, split: bool) -> sa.Select[Any]:
    """The score's columns: a customer's places side by side, or as lists."""

    def at(place: int, figure: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return sa.func.max(either(best.c.place == place, figure))

    things = [at(i, best.c.thing) for i in places(top)]
    orders = [at(i, best.c.orders) for i in places(top)]
    query = sa.select(best.c.customer_id).group_by(best.c.customer_id)
    if not split:
        names = f"favorite_{PLURALS[field]}"
        texts = [sa.cast(count, sa.Text) for count in orders]
        return query.add_columns(
            joined(", ", *things).label(names), joined(", ", *texts).label(f"{names}_orders")
        )
    named = [thing.label(f"favorite_{field}_{i}") for i, thing in enumerate(things, 1)]
    return query.add_columns(
        *named, *(count.label(f"favorite_{field}_{i}_orders") for i, count in enumerate(orders, 1))
    )


def because_store(row: Held, settings: Held, language: Language = "en", /) -> list[str]:
    """How many orders speak for the store, and how they were weighed."""
    tell, half = Speaker(language).tell, settings["half_life_days"]
    name = row["favorite_store_name"] or row["favorite_store_id"]
    last = row["favorite_store_last_order_at"]
    told = tell("because.store", name=name, n=row["favorite_store_orders"], last=last)
    return [told + tell("because.store.weighed", n=half) if half else told]


@score(
    reads=("orders",),
    optional=("stores",),
    columns={
        "favorite_store_id": ("text", "The store with most purchases"),
        "favorite_store_name": ("text", "Its name, where `stores` has it"),
        "favorite_store_orders": ("integer", "Purchases there"),
        "favorite_store_last_order_at": ("datetime", "The last of them"),
    },
    because=because_store,
    live="own",
    picture=Picture("bars", STORES, "Favourite stores"),
)
def favorite_store(
    tables: Tables,
    *,
    as_of: date,
    half_life_days: Days | None = None,
    since: date | None = None,
    window_days: Days | None = None,
) -> sa.Select[Any]:
    """The store where a customer buys most often; a web shop is none.

    Between equals the store with the latest purchase, then the first by id. With `half_life_days` recent
    purchases weigh more: half as much after that many days, in four steps. Which stores are web shops is
    said by `stores.is_online`; without `stores` every store counts. Customers who never bought in a store
    have no row."""
    o, stores = tables["orders"], tables["stores"]
    online = sa.select(stores.c.store_id).where(stores.c.is_online)
    counts = (
        sa.select(
            o.c.customer_id,
            o.c.store_id,
            sa.func.count().label("orders"),
            sa.func.max(o.c.ordered_at).label("last_at"),
            weight(o.c.ordered_at, as_of, half_life_days).label("weight"),
        )
        .where(*purchases(o, as_of, start_of(as_of, since, window_days)))
        .where(o.c.store_id.is_not(None), o.c.store_id.not_in(online))
        .group_by(o.c.customer_id, o.c.store_id)
        .subquery("counts")
    )
    best = ranked(counts, [counts.c.weight.desc(), counts.c.last_at.desc(), bytewise(counts.c.store_id)], 1)
    return sa.select(
        best.c.customer_id,
        best.c.store_id.label("favorite_store_id"),
        stores.c.name.label("favorite_store_name"),
        best.c.orders.label("favorite_store_orders"),
        best.c.last_at.label("favorite_store_last_order_at"),
    ).join(stores, stores.c.store_id == best.c.store_id, isouter=True)


def weight(
    ordered_at: sa.ColumnElement[Any], as_of: date, half_life_days: int | None
) -> sa.ColumnElement[int]:
    """What purchases weigh together, a whole number: their count, or with a half-life by age in steps."""
    if half_life_days is None:
        return sa.func.count()
    age = STEPS * days(day(as_of), ordered_at)
    steps = range(1, STEPS * (HEAVIEST.bit_length() - 1) + 1)
    weights = [(age < step * half_life_days, round(HEAVIEST * 2 ** ((1 - step) / STEPS))) for step in steps]
    return sa.func.sum(sa.case(*weights, else_=1))


def because_delay(row: Held, settings: Held, language: Language = "en", /) -> list[str]:
    """The division."""
    tell, orders = Speaker(language).tell, row["delay_orders"]
    counted = "days" if settings["merge_same_day"] else "orders"
    if row["avg_delay_between_orders"] is None:
        return [tell(f"because.delay.one.{counted}")]
    return [tell(f"because.delay.{counted}", n=row["delay_days"], orders=orders, gaps=orders - 1)]


@score(
    reads=("orders",),
    columns={
        "avg_delay_between_orders": ("integer", "Mean days between two orders, rounded; null for one order"),
        "delay_orders": ("integer", "The orders that were counted"),
        "delay_days": ("integer", "Days from the first of them to the last"),
    },
    because=because_delay,
    live="own",
    picture=Picture("bars", DELAYS, "Days between two orders"),
)
def delay_between_purchases(tables: Tables, *, as_of: date, merge_same_day: bool = False) -> sa.Select[Any]:
    """How many days pass between two purchases on average, in all channels; null for a single one.

    Rounded, halves upwards. `merge_same_day` takes the orders of one day (UTC) for one."""
    o = tables["orders"].c
    counted = sa.distinct(sa.cast(o.ordered_at, sa.Date)) if merge_same_day else o.order_id
    spans = (
        sa.select(
            o.customer_id,
            sa.func.count(counted).label("orders"),
            days(sa.func.max(o.ordered_at), sa.func.min(o.ordered_at)).label("span"),
        )
        .where(*purchases(tables["orders"], as_of, None))
        .group_by(o.customer_id)
        .subquery("spans")
    )
    gaps = spans.c.orders - 1
    return sa.select(
        spans.c.customer_id,
        either(gaps > 0, whole(2 * spans.c.span + gaps, 2 * gaps)).label("avg_delay_between_orders"),
        spans.c.orders.label("delay_orders"),
        spans.c.span.label("delay_days"),
    )
