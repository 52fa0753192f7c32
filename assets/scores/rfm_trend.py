"""Where customers move on RFM's plane: each one's trend, and how many went from which segment to which.

Every past day is classed on the base of that day, as `assets/scores/rfm_history.py` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures.past import figures_at
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
from octo_dagster.scoring.portable import either, in_units
from octo_dagster.words import Language, Speaker

TRENDS = {
    "rising": {"en": "rising", "fr": "en hausse"},
    "steady": {"en": "steady", "fr": "stable"},
    "falling": {"en": "falling", "fr": "en baisse"},
    "new": {"en": "new", "fr": "nouveau"},
}
NEW = {"en": "(new)", "fr": "(nouveaux)"}
GONE = {"en": "(gone)", "fr": "(partis)"}

TREND = """select rfm_trend as label, count(*) as customers, avg(rfm_trend_points) as mean_points
from rfm_trend group by 1 order by mean_points desc nulls last"""
MOVES = """with starts as (select distinct from_place, from_segment from rfm_transitions),
    ends as (select distinct to_place, to_segment from rfm_transitions)
select from_segment as "row", to_segment as "column", coalesce(customers, 0) as customers
from starts cross join ends left join rfm_transitions using (from_segment, to_segment)
order by starts.from_place, ends.to_place"""


def trend_columns(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Named after the look-backs."""
    recent, earlier = settings["recent_days"], settings["earlier_days"]
    return {
        f"rfm_segment_{recent}d_ago": ("text", f"The RFM segment {recent} days ago; null: not a buyer yet"),
        f"rfm_segment_{earlier}d_ago": ("text", f"The RFM segment {earlier} days ago; null: not a buyer yet"),
        "rfm_trend": ("text", "rising, steady, falling, or new since the earlier day", "rfm_trend_points"),
        "rfm_trend_points": ("integer", f"The two changes since {earlier} days ago, added up"),
        "rfm_recency_change": ("integer", f"Recency class now less that of {earlier} days ago"),
        "rfm_frequency_monetary_change": (
            "integer",
            f"Frequency × monetary class now less that of {earlier} days ago",
        ),
    }


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """How far each class has moved, and what that is called."""
    tell, trend, earlier = Speaker(language).tell, row["rfm_trend"], settings["earlier_days"]
    if row["rfm_trend_points"] is None:
        return [tell("because.trend.new", trend=trend, n=earlier)]
    moved = {
        "recency": row["rfm_recency_change"],
        "both": row["rfm_frequency_monetary_change"],
        "points": row["rfm_trend_points"],
    }
    steps = {"up": settings["steps"], "down": -settings["steps"]}
    return [tell("because.trend", trend=trend, earlier=earlier, **moved, **steps)]


@score(
    reads=("orders",),
    columns=trend_columns,
    settings_from="rfm",
    because=because,
    picture=Picture("bars", TREND, "RFM trend"),
)
def rfm_trend(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    recent_days: Days = 30,
    earlier_days: Days = 90,
    steps: Annotated[int, Field(ge=1, le=18)] = 2,
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
    """Every customer's RFM segment `recent_days` and `earlier_days` ago, and where he is moving.

    Points: how many classes recency moved since the earlier day plus how many frequency × monetary did.
    `steps` points or more is rising, as many below zero falling, the rest steady; new is who had no row
    then. The segments are what RFM gives when run for those days."""
    if recent_days >= earlier_days:
        raise ConfigError(f"recent_days: {recent_days} is not below earlier_days, {earlier_days}")
    start_of(as_of, since, window_days)
    cuts = {"recency": cuts_recency, "frequency": cuts_frequency, "monetary": cuts_monetary}
    rules = Rules(bins, method, cuts, fxm, segments or default_segments(bins), language)
    moments = [as_of - timedelta(days=back) for back in (earlier_days, recent_days, 0)]
    figures = figures_at(tables["orders"], moments, since, window_days)
    held = side_by_side(classes(figures, rules, within="moment"), len(moments))
    return trended(
        held, rules, (f"rfm_segment_{recent_days}d_ago", f"rfm_segment_{earlier_days}d_ago"), steps
    )


def side_by_side(classed: sa.Subquery, places: int) -> sa.Subquery:
    """One row per customer: classes and revenue at each place, as `recency_0`, `both_0`, `cents_0` …"""
    c = classed.c
    told = {"recency": c.rfm_recency, "both": c.rfm_frequency_monetary, "cents": c.revenue_cents}
    figures = [
        sa.func.max(either(c.moment == place, figure)).label(f"{name}_{place}")
        for place in range(places)
        for name, figure in told.items()
    ]
    return sa.select(c.customer_id, *figures).group_by(c.customer_id).subquery("side_by_side")


def trended(held: sa.Subquery, rules: Rules, names: tuple[str, str], steps: int) -> sa.Select[Any]:
    """The score's columns for customers who have a row today."""
    h = held.c
    recency, both = h.recency_2 - h.recency_0, h.both_2 - h.both_0
    points = recency + both
    words = {trend: sa.literal(word[rules.language]) for trend, word in TRENDS.items()}
    trend = sa.case(
        (points >= steps, words["rising"]),
        (points <= -steps, words["falling"]),
        (points.is_not(None), words["steady"]),
        else_=words["new"],
    )
    return sa.select(
        h.customer_id,
        rules.label(h.recency_1, h.both_1).label(names[0]),
        rules.label(h.recency_0, h.both_0).label(names[1]),
        trend.label("rfm_trend"),
        points.label("rfm_trend_points"),
        recency.label("rfm_recency_change"),
        both.label("rfm_frequency_monetary_change"),
    ).where(h.recency_2.is_not(None))


@score(
    reads=("orders",),
    key=("from_segment", "to_segment"),
    columns={
        "from_segment": ("text", "The segment then; (new): no buyer yet"),
        "to_segment": ("text", "The segment now; (gone): no order in the window any more"),
        "customers": ("integer", "How many went this way, or stayed"),
        "revenue": ("decimal", "Their RFM revenue now; of those who are gone, then"),
        "from_place": ("integer", "The place of the segment then among the segments of rfm.yaml; 0 new"),
        "to_place": ("integer", "The place of the segment now; 0 gone"),
    },
    settings_from="rfm",
    picture=Picture("matrix", MOVES, "From segment to segment"),
)
def rfm_transitions(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    days: Days = 90,
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
    """How many customers went from which RFM segment to which in the last `days` days, and their revenue.

    Each customer is in one cell: those whose first purchase is since then come from `(new)`; those whose
    last purchase has left RFM's window, where there is one, are `(gone)`."""
    start_of(as_of, since, window_days)
    cuts = {"recency": cuts_recency, "frequency": cuts_frequency, "monetary": cuts_monetary}
    rules = Rules(bins, method, cuts, fxm, segments or default_segments(bins), language)
    figures = figures_at(tables["orders"], [as_of - timedelta(days=days), as_of], since, window_days)
    h = side_by_side(classes(figures, rules, within="moment"), 2).c
    moved = sa.select(
        sa.func.coalesce(rules.label(h.recency_0, h.both_0), NEW[language]).label("from_segment"),
        sa.func.coalesce(rules.label(h.recency_1, h.both_1), GONE[language]).label("to_segment"),
        sa.func.coalesce(h.cents_1, h.cents_0).label("revenue_cents"),
    ).subquery("moved")
    return counted(moved, rules)


def counted(moved: sa.Subquery, rules: Rules) -> sa.Select[Any]:
    """The matrix, a row for each cell somebody is in."""
    m = moved.c
    cents = sa.cast(sa.func.sum(m.revenue_cents), sa.BigInteger)
    return sa.select(
        m.from_segment,
        m.to_segment,
        sa.func.count().label("customers"),
        in_units(cents, 2).label("revenue"),
        place_of(m.from_segment, rules).label("from_place"),
        place_of(m.to_segment, rules).label("to_place"),
    ).group_by(m.from_segment, m.to_segment)


def place_of(segment: sa.ColumnElement[str], rules: Rules) -> sa.ColumnElement[int]:
    labels = [told.label(rules.language) for told in rules.segments]
    return sa.case({label: place for place, label in enumerate(labels, 1)}, value=segment, else_=0)
