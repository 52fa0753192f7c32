"""RFM as expressions: what of a customer's orders counts, and the classes cut from it.

Equal customers always get equal classes: a class is the share of customers who are strictly lower,
never a position in a sorted list (which splits ties: facts/scores.md §2 and §3.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.measures.segments import Segment, check, segment_label
from octo_dagster.scoring.portable import (
    cents,
    class_by_cuts,
    class_by_rank,
    day,
    days,
    either,
    midnight_after,
    quantile_cuts,
    whole,
)
from octo_dagster.words import Language

Bins = Annotated[int, Field(ge=3, le=10)]
Method = Literal["repeat_aware", "strict", "r_rfm"]
Both = Literal["mean", "product_sextile"]
Days = Annotated[int, Field(ge=1, le=36_500)]
"""A stretch of days, up to a century."""
Cuts = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2, max_length=9)]
Money = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=2)]
MoneyCuts = Annotated[tuple[Money, ...], Field(min_length=2, max_length=9)]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the classes are cut and named: the settings of `assets/scores/rfm.yaml`.

    ConfigError unless each list of cuts rises and makes as many classes as there are bins, and every cell
    of the plane is in exactly one segment."""

    bins: int
    method: Method
    cuts: Mapping[str, Sequence[Any] | None]
    """Under `recency` (days), `frequency` (orders) and `monetary` (money)."""
    fxm: Both
    segments: Sequence[Segment]
    language: Language

    def __post_init__(self) -> None:
        check_cuts(self.cuts, self.bins)
        check(self.segments, self.bins)

    def label(self, recency: sa.ColumnElement[int], both: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
        """The segment of a pair of classes; null for a class that is null."""
        return segment_label(self.segments, recency, both, self.language)


def check_cuts(cuts: Mapping[str, Sequence[Any] | None], bins: int) -> None:
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


def is_purchase(orders: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether an order counts for recency and frequency: completed and above zero."""
    return sa.and_(orders.c.status == "completed", orders.c.net_amount > 0)


def money_of(orders: sa.FromClause) -> sa.ColumnElement[Any]:
    """What an order adds to revenue: what was paid, or given back for a return.

    A returned order above zero is one that was paid back whole: it adds nothing and takes nothing."""
    o = orders.c
    return either(sa.or_(o.status == "completed", o.net_amount < 0), o.net_amount, 0)


def is_someones(orders: sa.FromClause, before: datetime, start: date | None) -> sa.ColumnElement[bool]:
    """Whether an order is a known customer's, not cancelled, and of the time that counts."""
    o = orders.c
    known = sa.and_(o.customer_id.is_not(None), o.status.in_(("completed", "returned")))
    held = sa.and_(known, o.ordered_at < before)
    return held if start is None else sa.and_(held, o.ordered_at >= datetime.combine(start, time()))


def figures_of(orders: sa.FromClause, as_of: date, start: date | None) -> sa.Subquery:
    """One row per customer with a completed order above zero: what the classes are cut from."""
    o = orders.c
    bought = either(is_purchase(orders), o.ordered_at)
    totals = (
        sa.select(
            o.customer_id,
            sa.func.count(bought).label("rfm_orders"),
            sa.cast(sa.func.sum(money_of(orders)), sa.Numeric(18, 2)).label("rfm_revenue"),
            sa.func.max(bought).label("rfm_last_order_at"),
            sa.func.min(bought).label("rfm_first_order_at"),
        )
        .where(is_someones(orders, midnight_after(as_of), start))
        .group_by(o.customer_id)
        .having(sa.func.count(bought) > 0)
        .subquery("totals")
    )
    return sa.select(
        *totals.c,
        cents(totals.c.rfm_revenue).label("revenue_cents"),
        days(day(as_of), totals.c.rfm_last_order_at).label("rfm_recency_days"),
    ).subquery("figures")


def classes(figures: sa.Subquery, rules: Rules, within: str | None = None) -> sa.Subquery:
    """The figures with the three classes and `rfm_frequency_monetary`.

    Figures: `rfm_recency_days`, `rfm_orders`, `revenue_cents`. A negative revenue is class 1 whatever its
    rank. `within` names a figure that tells bases apart, each classed by itself."""
    by = by_quantile if rules.method == "r_rfm" else by_rank
    ranked = by(figures, rules, within) | by_cuts(figures, rules)
    classed = sa.select(
        *figures.c,
        ranked["recency"].label("rfm_recency"),
        ranked["frequency"].label("rfm_frequency"),
        either(figures.c.revenue_cents < 0, 1, ranked["monetary"]).label("rfm_monetary"),
    ).subquery("classed")
    return combined(classed, rules, within)


def by_cuts(figures: sa.Subquery, rules: Rules) -> dict[str, sa.ColumnElement[int]]:
    """The classes whose cuts are given."""
    f, cuts = figures.c, rules.cuts
    found: dict[str, sa.ColumnElement[int]] = {}
    if recency := cuts["recency"]:
        found["recency"] = rules.bins + 1 - class_by_cuts(f.rfm_recency_days, recency)
    if frequency := cuts["frequency"]:
        found["frequency"] = class_by_cuts(f.rfm_orders, frequency)
    if monetary := cuts["monetary"]:
        found["monetary"] = class_by_cuts(f.revenue_cents, [int(amount * 100) for amount in monetary])
    return found


def by_rank(figures: sa.Subquery, rules: Rules, within: str | None) -> dict[str, sa.ColumnElement[int]]:
    """Classes by the share of customers who are strictly lower; one-order customers apart if repeat-aware."""
    f, bins = figures.c, rules.bins
    base = [] if within is None else [f[within]]
    frequency = class_by_rank(f.rfm_orders, bins, within=base)
    if rules.method == "repeat_aware":
        again = [*base, either(f.rfm_orders > 1, 1, 0)]
        frequency = either(f.rfm_orders == 1, 1, class_by_rank(f.rfm_orders, bins - 1, within=again, first=2))
    return {
        "recency": class_by_rank(-f.rfm_recency_days, bins, within=base),
        "frequency": frequency,
        "monetary": class_by_rank(f.revenue_cents, bins, within=base),
    }


def classes_of(touched: sa.Subquery, everybody: sa.Subquery, rules: Rules) -> sa.Subquery:
    """`classes` of some customers alone, `everybody`'s figures (theirs among them) saying where they stand.

    By rank, or by given cuts; `fxm` by its mean: where each measure's values stand is worked out once a value
    and not once a customer."""
    f, joined = touched.c, sa.select(touched)
    ranked: dict[str, sa.ColumnElement[int]] = {}
    first, bins, again = 1, rules.bins, everybody
    if rules.method == "repeat_aware":
        first, bins = 2, rules.bins - 1
        again = sa.select(everybody).where(everybody.c.rfm_orders > 1).subquery("again")
    for name, measure, base, bins_, least in (
        ("recency", "rfm_recency_days", everybody, rules.bins, 1),
        ("frequency", "rfm_orders", again, bins, first),
        ("monetary", "revenue_cents", everybody, rules.bins, 1),
    ):
        falling = name == "recency"
        values = standing(base, measure, falling=falling).subquery(f"standing_{name}")
        joined = joined.outerjoin(values, values.c.value == f[measure])
        ranked[name] = least + whole(bins_ * values.c.below, values.c.customers)
    if rules.method == "repeat_aware":
        ranked["frequency"] = either(f.rfm_orders == 1, 1, ranked["frequency"])
    ranked |= by_cuts(touched, rules)
    classed = joined.add_columns(
        ranked["recency"].label("rfm_recency"),
        ranked["frequency"].label("rfm_frequency"),
        either(f.revenue_cents < 0, 1, ranked["monetary"]).label("rfm_monetary"),
    )
    return combined(classed.subquery("classed"), rules, None)


def standing(figures: sa.Subquery, measure: str, *, falling: bool) -> sa.Select[Any]:
    """One row per value of a measure: how many customers are `below` it, of how many `customers`."""
    value = figures.c[measure]
    rows = sa.func.count()
    counted = sa.select(value.label("value"), rows.label("held")).group_by(value).subquery()
    c = counted.c
    upto = sa.func.sum(c.held).over(order_by=c.value.desc() if falling else c.value)
    return sa.select(
        c.value,
        sa.cast(upto - c.held, sa.BigInteger).label("below"),
        sa.cast(sa.func.sum(c.held).over(), sa.BigInteger).label("customers"),
    )


def by_quantile(figures: sa.Subquery, rules: Rules, within: str | None) -> dict[str, sa.ColumnElement[int]]:
    """Classes as R's `rfm` package cuts them: quantile (type 7) + 1 day, 1 order, 1 unit of money."""

    def classed(measure: str, unit: int) -> sa.ColumnElement[int]:
        cuts = quantile_cuts(figures, measure, rules.bins, unit, within)
        mine = [] if within is None else [cuts.c[within] == figures.c[within]]
        values = [sa.select(cuts.c[f"c{i}"]).where(*mine).scalar_subquery() for i in range(1, rules.bins)]
        return class_by_cuts(rules.bins * figures.c[measure], values)

    return {
        "recency": rules.bins + 1 - classed("rfm_recency_days", 1),
        "frequency": classed("rfm_orders", 1),
        "monetary": classed("revenue_cents", 100),
    }


def combined(classed: sa.Subquery, rules: Rules, within: str | None) -> sa.Subquery:
    """Frequency and monetary as one class: their mean, halves upwards, or the rank of orders × revenue."""
    c = classed.c
    both: sa.ColumnElement[int] = whole(c.rfm_frequency + c.rfm_monetary + 1, 2)
    if rules.fxm == "product_sextile":
        base = [] if within is None else [c[within]]
        ranked = class_by_rank(c.rfm_orders * c.revenue_cents, rules.bins, within=base)
        both = either(c.revenue_cents < 0, 1, ranked)
    return sa.select(*c, both.label("rfm_frequency_monetary")).subquery("combined")
