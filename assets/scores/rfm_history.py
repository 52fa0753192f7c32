"""RFM as it was: every customer's classes at the end of every past period.

Every past day is classed on the base of that day: only orders before its midnight, and only the customers
who had bought by then. An order's status is today's: what has been cancelled since never happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures.past import calendar, figures_at
from octo_dagster.scoring.measures.recency import (
    Bins,
    Both,
    Cuts,
    Days,
    Method,
    MoneyCuts,
    Rules,
    classes,
    start_of,
)
from octo_dagster.scoring.measures.segments import Segment, default_segments
from octo_dagster.scoring.portable import either
from octo_dagster.words import Language

Periodicity = Literal["month", "quarter", "year"]
Column = sa.ColumnElement[Any]

MONTHS: Mapping[Periodicity, int] = {"month": 1, "quarter": 3, "year": 12}
SIZES = """with best as (select rfm_segment, max(10 * rfm_frequency_monetary + rfm_recency) as place
    from rfm_history group by 1)
select rfm_segment as "row", period_end as "column", count(*) as customers
from rfm_history join best using (rfm_segment) group by 1, 2, place order by place desc, 1, 2"""


@score(
    reads=("orders",),
    key=("customer_id", "period_end"),
    columns={
        "customer_id": ("text", "The customer"),
        "period_start": ("date", "The first day of the period"),
        "period_end": ("date", "Its last day: everything is as of the midnight that ends it"),
        "rfm_recency": ("integer", "1 the sixth that had bought longest ago … 6 the most recent"),
        "rfm_frequency_monetary": ("integer", "Frequency and monetary in one class, 1 … 6"),
        "rfm_segment": ("text", "The segment at the end of the period"),
        "rfm_previous_segment": ("text", "The segment a period earlier; null: not a buyer yet"),
    },
    settings_from="rfm",
    picture=Picture("matrix", SIZES, "RFM segments over time"),
)
def rfm_history(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    periodicity: Periodicity = "month",
    periods: Annotated[int, Field(ge=1, le=120)] = 12,
    bins: Bins = 6,
    method: Method = "repeat_aware",
    since: date | None = None,
    window_days: Days | None = None,
    cuts_recency: Cuts | None = None,
    cuts_frequency: Cuts | None = None,
    cuts_monetary: MoneyCuts | None = None,
    fxm: Both = "mean",
    segments: tuple[Segment, ...] | None = None,
    language: Language = "en",
) -> sa.Select[Any]:
    """RFM at the end of each of the last periods that were over by `as_of`, a row per customer and period.

    A row is what RFM gives when run for that day. Customers have rows from their first purchase on. How
    RFM is cut is said in `rfm.yaml`; a window moves along with the period."""
    start_of(as_of, since, window_days)
    cuts = {"recency": cuts_recency, "frequency": cuts_frequency, "monetary": cuts_monetary}
    rules = Rules(bins, method, cuts, fxm, segments or default_segments(bins), language)
    told = last_periods(as_of, periodicity, periods + 1)
    figures = figures_at(tables["orders"], [end for _, end in told], since, window_days)
    return with_periods(with_previous(classes(figures, rules, within="moment")), told, rules)


def last_periods(as_of: date, periodicity: Periodicity, periods: int) -> list[tuple[date, date]]:
    """First and last day of each of the last calendar periods that end by `as_of`, oldest first."""
    months = MONTHS[periodicity]
    tomorrow = as_of + timedelta(days=1)
    running = (12 * tomorrow.year + tomorrow.month - 1) // months
    firsts = [first_of(months * (running - back)) for back in range(periods, -1, -1)]
    return [(first, after - timedelta(days=1)) for first, after in pairwise(firsts)]


def first_of(month: int) -> date:
    """The first day of a month, months counted from year 0."""
    return date(month // 12, month % 12 + 1, 1)


def with_previous(classed: sa.Subquery) -> sa.Subquery:
    """The classes, and those of the moment before; null for who had none then."""
    c = classed.c

    def earlier(figure: Column) -> Column:
        return sa.func.lag(figure).over(partition_by=c.customer_id, order_by=c.moment)

    return sa.select(
        c.customer_id,
        c.moment,
        c.rfm_recency,
        c.rfm_frequency_monetary,
        either(earlier(c.moment) == c.moment - 1, earlier(c.rfm_recency)).label("recency_before"),
        earlier(c.rfm_frequency_monetary).label("both_before"),
    ).subquery("beside")


def with_periods(held: sa.Subquery, told: Sequence[tuple[date, date]], rules: Rules) -> sa.Select[Any]:
    """The score's columns. The oldest period is left out: it only says what came before."""
    h = held.c
    ends = calendar([end for _, end in told]).subquery("ends")
    starts = calendar([start for start, _ in told]).subquery("starts")
    return (
        sa.select(
            h.customer_id,
            starts.c.day.label("period_start"),
            ends.c.day.label("period_end"),
            h.rfm_recency,
            h.rfm_frequency_monetary,
            rules.label(h.rfm_recency, h.rfm_frequency_monetary).label("rfm_segment"),
            rules.label(h.recency_before, h.both_before).label("rfm_previous_segment"),
        )
        .join(ends, ends.c.moment == h.moment)
        .join(starts, starts.c.moment == h.moment)
        .where(h.moment > 0)
    )
