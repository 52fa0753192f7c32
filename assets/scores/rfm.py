"""RFM: how recently a customer bought, how often, how much, and the segment that makes of it.

Equal customers always get equal classes: a class is the share of customers who are strictly lower,
never a position in a sorted list (which splits ties: facts/scores.md §2 and §3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.portable import (
    cents,
    class_by_cuts,
    class_by_rank,
    day,
    days,
    either,
    quantile_cuts,
    whole,
)
from octo_dagster.scoring.segments import Language, Segment, check, default_segments, segment_label

Method = Literal["repeat_aware", "strict", "r_rfm"]
Cuts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2, max_length=9)]
Money = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=2)]
MoneyCuts = Annotated[tuple[Money, ...], Field(min_length=2, max_length=9)]
CutsOf = Mapping[str, Sequence[Any] | None]


PLANE = """select rfm_recency, rfm_frequency_monetary, rfm_segment, count(*) as customers,
    sum(rfm_revenue) as rfm_revenue from rfm group by all order by all"""
"""The rows of the picture, at most one per cell, however many customers there are."""


def because(row: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """The arithmetic of frequency × monetary, and the cells of the segment."""
    recency, both = row["rfm_recency"], row["rfm_frequency_monetary"]
    f, m = row["rfm_frequency"], row["rfm_monetary"]
    told = f"frequency × monetary: the mean of {f} and {m}, halves upwards, is {both}"
    if settings["fxm"] != "mean":
        told = f"frequency × monetary: class {both} of orders × revenue"
    given = settings["segments"]
    segments = [Segment(**segment) for segment in given] if given else default_segments(settings["bins"])
    mine = next(segment for segment in segments if (recency, both) in segment.cells())
    return [
        told,
        f"{row['rfm_segment']}: recency in {list(mine.recency)} and frequency × monetary in"
        f" {list(mine.frequency_monetary)}",
    ]


@score(
    because=because,
    picture=Picture("plane", PLANE, "RFM"),
    reads=("orders",),
    columns={
        "rfm_recency": (
            "integer",
            "1 the sixth that bought longest ago … 6 the most recent",
            "rfm_recency_days",
        ),
        "rfm_frequency": ("integer", "1 a single order; 2 … 6 fifths of those who came back", "rfm_orders"),
        "rfm_monetary": ("integer", "1 the sixth that spent least … 6 the most", "rfm_revenue"),
        "rfm_frequency_monetary": ("integer", "Frequency and monetary in one class, 1 … 6", "rfm_revenue"),
        "rfm_segment": ("text", "The named segment of the two classes", "rfm_revenue"),
        "rfm_recency_days": ("integer", "Days (UTC) from the last order to the day of the score"),
        "rfm_orders": ("integer", "Completed orders above zero"),
        "rfm_revenue": ("decimal", "What completed orders and returns add up to, net"),
        "rfm_last_order_at": ("datetime", "The last completed order above zero"),
        "rfm_first_order_at": ("datetime", "The first completed order above zero"),
    },
)
def rfm(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    bins: Annotated[int, Field(ge=3, le=10)] = 6,
    method: Method = "repeat_aware",
    since: date | None = None,
    window_days: Annotated[int | None, Field(ge=1)] = None,
    cuts_recency: Cuts | None = None,
    cuts_frequency: Cuts | None = None,
    cuts_monetary: MoneyCuts | None = None,
    fxm: Literal["mean", "product_sextile"] = "mean",
    segments: tuple[Segment, ...] | None = None,
    language: Language = "en",
) -> sa.Select[Any]:
    """How recently, how often and how much every customer bought, and the segment that makes of it.

    Orders before the midnight (UTC) that ends `as_of` count, none later. Recency and frequency count
    completed orders above zero; revenue adds up completed orders less what returns gave back. Customers
    without such an order, and guests, have no row."""
    cuts: CutsOf = {"recency": cuts_recency, "frequency": cuts_frequency, "monetary": cuts_monetary}
    check_cuts(cuts, bins)
    chosen = segments or default_segments(bins)
    check(chosen, bins)
    figures = figures_of(tables["orders"], as_of, start_of(as_of, since, window_days))
    classed = classes(figures, bins, method, cuts)
    both = combined(classed, bins, fxm)
    return labelled(both, chosen, language)


def check_cuts(cuts: CutsOf, bins: int) -> None:
    """Each list of cuts rises and makes as many classes as there are bins; else ConfigError."""
    problems = []
    for name, values in cuts.items():
        if values is None:
            continue
        if list(values) != sorted(set(values)):
            problems.append(f"cuts_{name}: must rise from cut to cut")
        if len(values) != bins - 1:
            problems.append(f"cuts_{name}: {bins} bins need {bins - 1} cuts, not {len(values)}")
    if problems:
        raise ConfigError(*problems)


def start_of(as_of: date, since: date | None, window_days: int | None) -> date | None:
    """The first day that counts: the later of `since` and the last `window_days` days, `as_of` included.

    ConfigError if `since` is after `as_of`: nobody would have a class."""
    if since is not None and since > as_of:
        raise ConfigError(f"since: {since} is after the day of the score, {as_of}")
    window = None if window_days is None else as_of - timedelta(days=window_days - 1)
    return max((start for start in (since, window) if start is not None), default=None)


def figures_of(orders: sa.FromClause, as_of: date, start: date | None) -> sa.Subquery:
    """One row per customer with a completed order above zero: what the classes are cut from."""
    o = orders.c
    counted = sa.and_(o.status == "completed", o.net_amount > 0)
    bought = either(counted, o.ordered_at)
    # A returned order above zero is one that was paid back whole: it adds nothing and takes nothing.
    money = either(sa.or_(o.status == "completed", o.net_amount < 0), o.net_amount, 0)
    query = (
        sa.select(
            o.customer_id,
            sa.func.count(bought).label("rfm_orders"),
            sa.cast(sa.func.sum(money), sa.Numeric(18, 2)).label("rfm_revenue"),
            sa.func.max(bought).label("rfm_last_order_at"),
            sa.func.min(bought).label("rfm_first_order_at"),
        )
        .where(o.customer_id.is_not(None), o.status.in_(("completed", "returned")))
        .where(o.ordered_at < datetime.combine(as_of + timedelta(days=1), time()))
        .group_by(o.customer_id)
        .having(sa.func.count(bought) > 0)
    )
    if start is not None:
        query = query.where(o.ordered_at >= datetime.combine(start, time()))
    totals = query.subquery("totals")
    return sa.select(
        *totals.c,
        cents(totals.c.rfm_revenue).label("revenue_cents"),
        days(day(as_of), totals.c.rfm_last_order_at).label("rfm_recency_days"),
    ).subquery("figures")


def classes(figures: sa.Subquery, bins: int, method: Method, cuts: CutsOf) -> sa.Subquery:
    """The figures with the three classes. A negative revenue is class 1 whatever its rank."""
    ranked = by_quantile(figures, bins) if method == "r_rfm" else by_rank(figures, bins, method)
    f = figures.c
    if cuts["recency"]:
        ranked["recency"] = bins + 1 - class_by_cuts(f.rfm_recency_days, cuts["recency"])
    if cuts["frequency"]:
        ranked["frequency"] = class_by_cuts(f.rfm_orders, cuts["frequency"])
    if cuts["monetary"]:
        ranked["monetary"] = class_by_cuts(f.rfm_revenue, cuts["monetary"])
    return sa.select(
        *f,
        ranked["recency"].label("rfm_recency"),
        ranked["frequency"].label("rfm_frequency"),
        either(f.rfm_revenue < 0, 1, ranked["monetary"]).label("rfm_monetary"),
    ).subquery("classed")


def by_rank(figures: sa.Subquery, bins: int, method: Method) -> dict[str, sa.ColumnElement[int]]:
    """Classes by the share of customers who are strictly lower; one-order customers apart if repeat-aware."""
    f = figures.c
    frequency = class_by_rank(f.rfm_orders, bins)
    if method == "repeat_aware":
        again = either(f.rfm_orders > 1, 1, 0)
        frequency = either(f.rfm_orders == 1, 1, class_by_rank(f.rfm_orders, bins - 1, within=again, first=2))
    return {
        "recency": class_by_rank(-f.rfm_recency_days, bins),
        "frequency": frequency,
        "monetary": class_by_rank(f.revenue_cents, bins),
    }


def by_quantile(figures: sa.Subquery, bins: int) -> dict[str, sa.ColumnElement[int]]:
    """Classes as R's `rfm` package cuts them: quantile (type 7) + 1 day, 1 order, 1 unit of money."""

    def classed(measure: str, unit: int) -> sa.ColumnElement[int]:
        cuts = quantile_cuts(figures, measure, bins, unit)
        values: Sequence[Any] = [sa.select(cut).scalar_subquery() for cut in cuts.c]
        return class_by_cuts(bins * figures.c[measure], values)

    return {
        "recency": bins + 1 - classed("rfm_recency_days", 1),
        "frequency": classed("rfm_orders", 1),
        "monetary": classed("revenue_cents", 100),
    }


def combined(classed: sa.Subquery, bins: int, fxm: str) -> sa.Subquery:
    """Frequency and monetary as one class: their mean, halves upwards, or the rank of orders × revenue."""
    c = classed.c
    both: sa.ColumnElement[int] = whole(c.rfm_frequency + c.rfm_monetary + 1, 2)
    if fxm == "product_sextile":
        both = either(c.rfm_revenue < 0, 1, class_by_rank(c.rfm_orders * c.revenue_cents, bins))
    return sa.select(*c, both.label("rfm_frequency_monetary")).subquery("combined")


def labelled(both: sa.Subquery, segments: Sequence[Segment], language: Language) -> sa.Select[Any]:
    """The score's columns, in their declared order."""
    b = both.c
    label = segment_label(segments, b.rfm_recency, b.rfm_frequency_monetary, language)
    return sa.select(
        b.customer_id,
        b.rfm_recency,
        b.rfm_frequency,
        b.rfm_monetary,
        b.rfm_frequency_monetary,
        label.label("rfm_segment"),
        b.rfm_recency_days,
        b.rfm_orders,
        b.rfm_revenue,
        b.rfm_last_order_at,
        b.rfm_first_order_at,
    )
