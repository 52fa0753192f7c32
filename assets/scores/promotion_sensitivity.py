"""Promotion sensitivity: how much of what a customer buys is bought at a discount.

Two measures side by side. The documented one (facts/octolis.md §1.4): 80 % discount value, 20 %
discounted orders, and its decile. And `promophilia` (facts/scores.md §3.4): the same two shares, drawn
towards the shop's average by so many orders' weight, so that one lucky order makes nobody a deal hunter.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures.exact import UNIT, floating, nearest, weight_of_age
from octo_dagster.scoring.portable import (
    cents,
    class_by_rank,
    day,
    days,
    either,
    in_units,
    midnight_after,
    rounded,
    whole,
)
from octo_dagster.words import Language, Speaker

Percent = Annotated[int, Field(ge=0, le=100)]
Ratio = Annotated[Decimal, Field(ge=0, le=10, max_digits=6, decimal_places=4)]

CLASSES: Mapping[Language, tuple[str, str, str]] = {
    "en": ("promophile", "average", "averse"),
    "fr": ("promophile", "moyen", "réfractaire"),
}
"""Buys clearly more at a discount than the shop's average, about as much, clearly less."""


WEIGHED = ("orders", "promo", "gross", "discount")
"""The sums promophilia is made of, in which old orders may count less."""


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """Both measures, step by step."""
    speaker, left_out = Speaker(language), row["promophilia_orders_left_out"]
    told = [
        speaker.tell(
            "because.promotions",
            **{name: settings[name] for name in ("weight_value", "weight_count")},
            value=row["discount_value_percent"],
            count=row["discount_count_percent"],
            both=row["weighted_discount_percent"],
            tenth=row["discount_sensitivity"],
        ),
        speaker.tell(
            "because.promotions.orders",
            n=row["promophilia_promo_orders"],
            orders=row["promophilia_orders"],
            percent=settings["promo_order_percent"],
        ),
        speaker.tell(
            "because.promotions.class",
            shares=shares_told(row, settings, speaker),
            ratio=row["promophilia_ratio"],
            percent=row["promophilia"],
            label=row["promophilia_class"],
        ),
    ]
    return told + [speaker.tell("because.promotions.left_out", orders=left_out)] * (left_out > 0)


def shares_told(row: Mapping[str, Any], settings: Mapping[str, Any], speaker: Speaker) -> str:
    """The two shrunken shares; or that no order is young enough to weigh anything."""
    value, order = row["promophilia_value_percent"], row["promophilia_order_percent"]
    if value is None:
        return speaker.tell("because.promotions.old")
    return speaker.tell("because.promotions.drawn", n=settings["shrinkage_orders"], value=value, order=order)


@score(
    because=because,
    reads=("orders",),
    columns={
        "discount_count_percent": ("decimal", "Orders with a discount, percent of all orders"),
        "discount_value_percent": ("decimal", "Discounts, percent of the value before discounts"),
        "weighted_discount_percent": (
            "decimal",
            "The two percentages in one, by default 80 % value and 20 % count",
        ),
        "discount_sensitivity": (
            "integer",
            "1 … 10 by tenths of customers, 10 the most sensitive; without any discount always 1",
            "weighted_discount_percent",
        ),
        "promophilia": ("integer", "Percent of customers less drawn to promotions, 0 … 100"),
        "promophilia_class": ("text", "promophile, average or averse", "promophilia_ratio"),
        "promophilia_ratio": ("decimal", "Times as drawn to promotions as the average customer"),
        "promophilia_value_percent": (
            "decimal",
            "Discounts, percent of value, drawn towards the shop's average",
        ),
        "promophilia_order_percent": (
            "decimal",
            "Promotion orders, percent of orders, drawn towards the average",
        ),
        "promophilia_orders": (
            "integer",
            "Completed orders of known price above zero: what all this rests on",
        ),
        "promophilia_promo_orders": (
            "integer",
            "Those of them with a large discount, by default 10 % or more",
        ),
        "promophilia_orders_left_out": (
            "integer",
            "Completed orders left out: price unknown, or nothing before discounts",
        ),
    },
    picture=Picture(
        "bars",
        "select discount_sensitivity as label, count(*) as customers,"
        " round(avg(discount_value_percent), 1) as discount_value_percent,"
        " round(avg(discount_count_percent), 1) as discount_count_percent"
        " from promotion_sensitivity group by 1 order by 1",
        "Promotion sensitivity: 10 buys most at a discount",
    ),
)
def promotion_sensitivity(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    minimum_orders: Annotated[int, Field(ge=1)] = 1,
    weight_value: Percent = 80,
    weight_count: Percent = 20,
    promo_order_percent: Annotated[int, Field(ge=1, le=100)] = 10,
    shrinkage_orders: Annotated[int, Field(ge=0, le=1000)] = 4,
    promophilia_weight_value: Percent = 70,
    promophile_from: Ratio = Decimal("1.25"),
    averse_to: Ratio = Decimal("0.75"),
    half_life_days: Annotated[int | None, Field(ge=1, le=36_500)] = None,
    window_days: Annotated[int | None, Field(ge=1, le=36_500)] = None,
    without_amounts: Literal["left_out", "full_price"] = "left_out",
    language: Language = "en",
) -> sa.Select[Any]:
    """How much of a customer's buying is bought at a discount, as documented and, better, as promophilia.

    Completed orders before the midnight (UTC) that ends `as_of` count; returns and cancelled ones do not.
    An order's value before discounts is `gross_amount`, or net + discount without one; its discount is
    `discount_amount`, or gross − net, kept between nothing and the whole value: an order that a coupon
    paid for entirely counts. With neither gross nor discount, or nothing before discounts, an order is left
    out and counted. Guests, and customers with fewer than `minimum_orders`, have no row."""
    check(weight_value, weight_count, promophile_from, averse_to)
    start = None if window_days is None else as_of - timedelta(days=window_days - 1)
    priced = priced_orders(tables["orders"], as_of, start, without_amounts)
    weight = None if half_life_days is None else weight_of_age(days(day(as_of), priced.c.at), half_life_days)
    summed = customers_of(priced, promo_order_percent, weight)
    unit = 1 if weight is None else UNIT
    figures = figures_of(summed, minimum_orders, shrinkage_orders * unit)
    ranked = measures_of(figures, weight_value, promophilia_weight_value)
    return labelled(ranked, promophile_from, averse_to, language)


def check(weight_value: int, weight_count: int, promophile_from: Decimal, averse_to: Decimal) -> None:
    """ConfigError unless the two weights make 100 and averse is below promophile."""
    problems = []
    if weight_value + weight_count != 100:
        total = weight_value + weight_count
        problems.append(f"weight_value: with weight_count it must make 100, not {total}")
    if averse_to >= promophile_from:
        problems.append(f"averse_to: {averse_to} must be below promophile_from, {promophile_from}")
    if problems:
        raise ConfigError(*problems)


def priced_orders(
    orders: sa.FromClause, as_of: date, start: date | None, without_amounts: str
) -> sa.Subquery:
    """Customers' completed orders: gross and discount in cents; gross null where it is not known."""
    o = orders.c
    known = (o.gross_amount, o.net_amount + o.discount_amount)
    gross = sa.func.coalesce(*known, *((o.net_amount,) if without_amounts == "full_price" else ()))
    given = sa.func.coalesce(o.discount_amount, gross - o.net_amount)
    query = (
        sa.select(
            o.customer_id, o.ordered_at.label("at"), cents(gross).label("gross"), cents(given).label("given")
        )
        .where(o.customer_id.is_not(None), o.status == "completed")
        .where(o.ordered_at < midnight_after(as_of))
    )
    if start is not None:
        query = query.where(o.ordered_at >= datetime.combine(start, time()))
    read = query.subquery("read")
    clipped = sa.case((read.c.given < 0, 0), (read.c.given > read.c.gross, read.c.gross), else_=read.c.given)
    return sa.select(read.c.customer_id, read.c.at, read.c.gross, clipped.label("discount")).subquery(
        "priced"
    )


def customers_of(
    priced: sa.Subquery, promo_order_percent: int, weight: sa.ColumnElement[Any] | None
) -> sa.Subquery:
    """One row per customer: orders and cents, plain and (`w_…`) each order by its weight."""
    p = priced.c
    known = p.gross > 0
    promo = sa.and_(known, 100 * p.discount >= promo_order_percent * p.gross)
    sums: dict[str, tuple[Any, Any]] = {
        "orders": (known, 1),
        "discounted": (sa.and_(known, p.discount > 0), 1),
        "promo": (promo, 1),
        "gross": (known, p.gross),
        "discount": (known, p.discount),
        "left_out": (sa.func.coalesce(p.gross, 0) <= 0, 1),
    }
    if weight is not None:
        sums |= {f"w_{name}": (sums[name][0], weight * sums[name][1]) for name in WEIGHED}
    totals = [
        sa.cast(sa.func.sum(either(condition, what, 0)), sa.BigInteger).label(name)
        for name, (condition, what) in sums.items()
    ]
    summed = sa.select(p.customer_id, *totals).group_by(p.customer_id).subquery("summed")
    if weight is not None:
        return summed
    same = [summed.c[name].label(f"w_{name}") for name in WEIGHED]
    return sa.select(*summed.c, *same).subquery("weighed")


def figures_of(summed: sa.Subquery, minimum_orders: int, shrinkage: int) -> sa.Subquery:
    """The percentages in units of a ten-thousandth, and the shares drawn towards those of the shop.

    The shop's are over all its customers, also those with too few orders for a row. Floating values come
    of whole numbers by the same few steps everywhere, and are rounded before anything is compared."""
    shop = [floating(sa.func.sum(summed.c[f"w_{name}"]).over()).label(f"shop_{name}") for name in WEIGHED]
    t = sa.select(*summed.c, *shop).subquery("beside_shop").c
    per_order = {name: t[f"shop_{name}"] / sa.func.nullif(t.shop_orders, 0) for name in WEIGHED[1:]}
    value = (floating(t.w_discount) + shrinkage * per_order["discount"]) / sa.func.nullif(
        floating(t.w_gross) + shrinkage * per_order["gross"], 0
    )
    order = (floating(t.w_promo) + shrinkage * per_order["promo"]) / sa.func.nullif(
        floating(t.w_orders) + shrinkage, 0
    )
    return (
        sa.select(
            t.customer_id, t.orders, t.promo, t.left_out,
            nearest(1_000_000 * t.discounted, t.orders).label("count_units"),
            nearest(1_000_000 * t.discount, t.gross).label("value_units"),
            value.label("value_share"),
            order.label("order_share"),
            (t.shop_discount / sa.func.nullif(t.shop_gross, 0)).label("shop_value_share"),
            per_order["promo"].label("shop_order_share"),
        )
        .where(t.orders >= minimum_orders)
        .subquery("figures")
    )  # fmt: skip


def measures_of(figures: sa.Subquery, weight_value: int, promophilia_weight: int) -> sa.Subquery:
    """The two measures: the documented average, and how many times the shop's own shares."""
    f = figures.c
    both = weight_value * f.value_units + (100 - weight_value) * f.count_units
    # Where the shop itself gives no discount, or no promotion, everybody is like the average: 1.
    value = sa.func.coalesce(f.value_share / sa.func.nullif(f.shop_value_share, 0), 1)
    order = sa.func.coalesce(f.order_share / sa.func.nullif(f.shop_order_share, 0), 1)
    ratio = (promophilia_weight * value + (100 - promophilia_weight) * order) / 100
    return sa.select(
        *f, whole(both + 50, 100).label("weighted_units"), rounded(ratio, 6).label("ratio")
    ).subquery("measures")


def labelled(
    measures: sa.Subquery, promophile_from: Decimal, averse_to: Decimal, language: Language
) -> sa.Select[Any]:
    """The score's columns, in their declared order."""
    m = measures.c
    promophile, average, averse = CLASSES[language]
    lower = sa.func.rank().over(order_by=m.ratio) - 1
    return sa.select(
        m.customer_id,
        in_units(m.count_units, 4).label("discount_count_percent"),
        in_units(m.value_units, 4).label("discount_value_percent"),
        in_units(m.weighted_units, 4).label("weighted_discount_percent"),
        class_by_rank(m.weighted_units, 10).label("discount_sensitivity"),
        nearest(100 * lower, sa.func.count().over()).label("promophilia"),
        sa.case(
            (m.ratio >= promophile_from, promophile), (m.ratio <= averse_to, averse), else_=average
        ).label("promophilia_class"),
        m.ratio.label("promophilia_ratio"),
        rounded(100 * m.value_share, 4).label("promophilia_value_percent"),
        rounded(100 * m.order_share, 4).label("promophilia_order_percent"),
        m.orders.label("promophilia_orders"),
        m.promo.label("promophilia_promo_orders"),
        m.left_out.label("promophilia_orders_left_out"),
    )
