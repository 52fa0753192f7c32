"""What RFM is cut from as of several days at once, in one reading of the orders.

Every order is an event of the first day that sees it, and with a window of the first day that no longer
does. A customer's figures on a day are the sum of his events up to it. So the work grows with the orders
and with the rows that come out, not with their product.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from octo_dagster.scoring.measures.recency import is_purchase, is_someones, money_of
from octo_dagster.scoring.portable import cents, day, days, either, midnight_after

Query = sa.Select[Any]


def figures_at(
    orders: sa.FromClause, moments: Sequence[date], since: date | None, window_days: int | None
) -> sa.Subquery:
    """One row per customer and moment with a completed order above zero: what the classes are cut from.

    `moments` are days that rise; `moment` counts them from 0. A row holds what `figures_of` gives for the
    same day: only orders before the midnight that ends it, and those `since` or in its window alone."""
    held = running(events(orders, moments, since, window_days))
    h, m = held.c, calendar(moments).subquery("moments").c
    return (
        sa.select(
            h.customer_id,
            m.moment,
            h.orders.label("rfm_orders"),
            h.revenue_cents,
            days(m.day, h.last_order_at).label("rfm_recency_days"),
        )
        .select_from(held)
        .join(m.moment.table, sa.and_(h.step <= m.moment, sa.or_(h.until.is_(None), m.moment < h.until)))
        .where(h.orders > 0)
        .subquery("figures")
    )


def calendar(moments: Sequence[date]) -> sa.CompoundSelect[Any]:
    """The days as rows: their number `moment`, and `day`."""
    return sa.union_all(
        *(
            sa.select(sa.cast(sa.literal(place), sa.BigInteger).label("moment"), day(moment).label("day"))
            for place, moment in enumerate(moments)
        )
    )


def events(
    orders: sa.FromClause, moments: Sequence[date], since: date | None, window_days: int | None
) -> sa.Subquery:
    """What changes a customer's figures: the `step` (a moment) from which on it does, and by how much."""
    begins = None if window_days is None else [first_day(moment, window_days) for moment in moments]
    starts = [start for start in (since, begins[0] if begins else None) if start is not None]
    seen = is_someones(orders, midnight_after(moments[-1]), max(starts, default=None))
    enter = changes(orders, [midnight_after(moment) for moment in moments], 1).where(seen)
    if begins is None:
        return enter.subquery("events")
    midnights = [datetime.combine(begin, time()) for begin in begins]
    left = orders.c.ordered_at < midnights[-1]
    return sa.union_all(enter, changes(orders, midnights, -1).where(seen, left)).subquery("events")


def first_day(moment: date, window_days: int) -> date:
    return moment - timedelta(days=window_days - 1)


def changes(orders: sa.FromClause, ends: Sequence[datetime], sign: int) -> Query:
    """Every order at the first of the rising `ends` that is after it, added (1) or taken away (-1)."""
    o = orders.c
    bought = is_purchase(orders)
    return sa.select(
        o.customer_id,
        sa.case(
            *((o.ordered_at < end, place) for place, end in enumerate(ends[:-1])), else_=len(ends) - 1
        ).label("step"),
        either(bought, sign, 0).label("orders"),
        (sign * cents(money_of(orders))).label("revenue_cents"),
        either(bought if sign > 0 else sa.false(), o.ordered_at).label("last_order_at"),
    )


def running(events: sa.Subquery) -> sa.Subquery:
    """A customer's figures from `step` on and before the step `until`; null: for good.

    The last order is the last that ever entered: while any is in the window, that one is."""
    e = events.c
    steps = (
        sa.select(
            e.customer_id,
            e.step,
            sa.func.sum(e.orders).label("orders"),
            sa.func.sum(e.revenue_cents).label("revenue_cents"),
            sa.func.max(e.last_order_at).label("last_order_at"),
        )
        .group_by(e.customer_id, e.step)
        .subquery("steps")
    )
    s = steps.c

    def so_far(figure: sa.Function[Any]) -> sa.ColumnElement[Any]:
        return figure.over(partition_by=s.customer_id, order_by=s.step)

    return sa.select(
        s.customer_id,
        s.step,
        sa.cast(so_far(sa.func.sum(s.orders)), sa.BigInteger).label("orders"),
        sa.cast(so_far(sa.func.sum(s.revenue_cents)), sa.BigInteger).label("revenue_cents"),
        so_far(sa.func.max(s.last_order_at)).label("last_order_at"),
        so_far(sa.func.lead(s.step)).label("until"),
    ).subquery("running")
