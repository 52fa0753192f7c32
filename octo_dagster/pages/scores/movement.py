"""Movement between RFM segments: from which to which, in the last days or between any two days known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from octo_dagster.ops.backfill import Every
from octo_dagster.ops.backfill import ends as ends_period
from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board, speaker
from octo_dagster.pages.scores.ends import days_of, ends
from octo_dagster.pages.scores.heat import lines
from octo_dagster.pages.scores.labels import Labels, in_force
from octo_dagster.pages.scores.links import here, is_, people
from octo_dagster.pages.scores.rfm import At, advice, segments_of, strength
from octo_dagster.pages.scores.sheet import absent, part, sheet
from octo_dagster.pages.scores.who import Chosen, listed

router = APIRouter()
page = Page("movement", "/movement", router, "scores", 20)
SCORES = ("rfm_transitions", "rfm_history")

LATELY = """
select case when from_place = 0 then null else from_segment end as was,
    case when to_place = 0 then null else to_segment end as now, customers, revenue
from rfm_transitions order by customers desc, was, now"""
BETWEEN = """
with days as ({days}), earlier as (select customer_id, segment as was from days where day = $since),
    later as (select h.customer_id, h.segment as now, {revenue} as revenue
              from days as h {joined} where h.day = $until)
select was, now, count(*) as customers, sum(revenue) as revenue
from earlier full join later using (customer_id) group by all order by customers desc, was, now"""
"""Revenue is joined to one end before the ends are joined: half the time of doing it after."""
MOVED = """
with days as ({days})
select customer_id from (select customer_id, segment as was from days where day = $since)
full join (select customer_id, segment as now from days where day = $until)
using (customer_id) where was is not distinct from $was and now is not distinct from $now"""
SIZES = "select day, segment, count(*) as customers from ({days}) group by all order by all"
BARS = 60
"""Days in the chart; of more, those that end a month."""
WAYS = ("up", "down", "aside", "stayed", "new", "gone")
FLOWS = 12
"""Moves in the table of the largest."""

COLOURS = {
    **{"22": "#0b5a4c", "12": "#2c9d86", "02": "#8fd3c3"},
    **{"21": "#33459c", "11": "#6b80d8", "01": "#b3c0f2"},
    **{"20": "#8a430c", "10": "#cf7c2a", "00": "#ecc08a"},
}
"""Of a segment in the chart, by its ninth of the plane: a hue for how big, paler for longer gone."""
OTHER = "#8d9894"

Period = tuple[date, date]


@dataclass(frozen=True, slots=True)
class Flow:
    """Customers who went one way."""

    was: str | None
    now: str | None
    customers: int
    revenue: Any
    way: str
    """One of `WAYS`."""
    href: str | None


@router.get("/movement")
def movement(request: Request, since: date | None = None, until: date | None = None) -> Response:
    """The heatmap of the period asked for; of the last days, where none is."""
    told = board(request)
    if (instead := absent(request, "movement", *SCORES)) is not None:
        return instead
    days = ends(told)
    period = chosen(days, since, until, lately=told.has("rfm_transitions"))
    places = known(told)
    flows = flowed(told, period, places)
    label = Labels(told, speaker(request).language, *SCORES)
    return sheet(
        request, "scores/movement.html", "movement", *SCORES,
        ends=days, period=period, days=in_force(told, "rfm_transitions").get("days"),
        ways={way: tally(flows, way) for way in WAYS}, people=sum(flow.customers for flow in flows),
        across=[label(one) or speaker(request).say("movement.gone") for one in order(places, flows)[1]],
        rows=matrix(flows, places, lambda one: label(one) or speaker(request).say("movement.new")),
        flows=[flow for flow in flows if flow.was != flow.now][:FLOWS],
        sizes=sizes(told, charted(days), places, label) if days else None,
    )  # fmt: skip


@router.get("/movement/who")
def who(
    request: Request, since: date, until: date, was: str | None = None, now: str | None = None, skip: int = 0
) -> Response:
    """The customers of one cell between two periods' ends."""
    told = board(request)
    if not {since, until} <= {*ends(told)} or skip < 0:
        raise HTTPException(404)
    say, label = speaker(request), Labels(told, speaker(request).language, *SCORES)
    names = [label(was) or say.say("movement.new"), label(now) or say.say("movement.gone")]
    title = say.say("movement.who", was=names[0], now=names[1], since=since, until=until)
    asked = {"since": since, "until": until, "was": was, "now": now}
    back = here("/movement", since=since, until=until)
    moved = MOVED.format(days=days_of(told, (since, until)))
    return listed(request, "movement", Chosen(moved, asked, title, back, "/movement/who", asked), skip)


def chosen(days: Sequence[date], since: date | None, until: date | None, *, lately: bool) -> Period | None:
    """The two periods' ends asked for, the earlier first; None for the last days. 404 for one there is not.
    Without the table of the last days, the last two ends."""
    if since is None and until is None:
        return None if lately or len(days) < 2 else (days[-2], days[-1])
    first, last = (since or days[0], until or days[-1]) if days else (None, None)
    if first is None or last is None or not {first, last} <= {*days}:
        raise HTTPException(404)
    return min(first, last), max(first, last)


def known(told: Board) -> dict[At, str]:
    """The segments of the plane, as the tables of movement were worked out with."""
    return segments_of(in_force(told, "rfm_transitions") or in_force(told, "rfm_history"))


def flowed(told: Board, period: Period | None, places: Mapping[At, str]) -> list[Flow]:
    """All moves of a period, largest first."""
    up, then = strength(places), column(told)
    return [
        Flow(**row, way=way(row["was"], row["now"], up), href=link(then, period, row["was"], row["now"]))
        for row in moves(told, period)
    ]


def moves(told: Board, period: Period | None) -> list[Row]:
    """From which segment to which, how many, and their revenue now; None for no segment at all."""
    if period is None:
        return told.select(LATELY) if told.has("rfm_transitions") else []
    priced = told.has("rfm")
    sql = BETWEEN.format(
        revenue="rfm.rfm_revenue" if priced else "null",
        days=days_of(told, period),
        joined="left join rfm on rfm.customer_id = h.customer_id" if priced else "",
    )
    return told.select(sql, dict(zip(("since", "until"), period, strict=True)))


def way(was: str | None, now: str | None, up: Mapping[str, float]) -> str:
    """Up: to a segment of more recent or bigger customers, its two classes added up."""
    if was is None or now is None:
        return "new" if was is None else "gone"
    change = up.get(now, 0.0) - up.get(was, 0.0)
    if not change:
        return "stayed" if was == now else "aside"
    return "up" if change > 0 else "down"


def column(told: Board) -> str | None:
    """The profile's column of the segment as many days ago as the table of the last days looks back; None
    where it has none."""
    name = f"rfm_segment_{in_force(told, 'rfm_transitions').get('days')}d_ago"
    return name if name in told.columns("customer_profile") else None


def link(then: str | None, period: Period | None, was: str | None, now: str | None) -> str | None:
    """The customers of a cell: by their columns where the profile looks as far back, else a list."""
    if period is not None:
        return here("/movement/who", since=period[0], until=period[1], was=was, now=now)
    if then is None or now is None:
        return None
    return people(is_(then, was), is_("rfm_segment", now))


def tally(flows: Sequence[Flow], one: str) -> Mapping[str, Any]:
    """How many went one of the ways, and their share of all."""
    mine = sum(flow.customers for flow in flows if flow.way == one)
    return {"customers": mine, "share": part(mine, sum(flow.customers for flow in flows))}


def order(places: Mapping[At, str], flows: Sequence[Flow]) -> tuple[list[str | None], list[str | None]]:
    """The labels down and across; who had none, or has none, last."""
    named = {name for flow in flows for name in (flow.was, flow.now) if name is not None}
    ranked: list[str | None] = [*ranked_by(places, named | {*places.values()})]
    before = [None] if any(flow.was is None for flow in flows) else []
    after = [None] if any(flow.now is None for flow in flows) else []
    return [*ranked, *before], [*ranked, *after]


def ranked_by(places: Mapping[At, str], names: Iterable[str]) -> list[str]:
    """Segments in the order people read them: biggest customers first, of equals the most recent."""
    upper = {
        name: max((at[1], at[0]) for at, one in places.items() if one == name) for name in places.values()
    }
    return sorted(names, key=lambda name: (*(-one for one in upper.get(name, (0, 0))), name))


def matrix(flows: Sequence[Flow], places: Mapping[At, str], name: Any) -> Any:
    """The heatmap: from downwards, to across."""
    links = {(flow.was, flow.now): flow.href for flow in flows}
    counts = {(flow.was, flow.now): flow.customers for flow in flows}
    down, across = order(places, flows)
    return lines(counts, down, across, lambda was, now: links.get((was, now)), name)


def charted(days: Sequence[date]) -> Sequence[date]:
    """The days a chart has room for: of very many those that end a month."""
    return days if len(days) <= BARS else [day for day in days if ends_period(day, Every.MONTH)][-BARS:]


def sizes(told: Board, days: Sequence[date], places: Mapping[At, str], label: Labels) -> Mapping[str, Any]:
    """The chart of how large the segments were on these days."""
    rows = told.select(SIZES.format(days=days_of(told, days))) if days else []
    counts = {(row["day"], row["segment"]): row["customers"] for row in rows}
    names = ranked_by(places, {row["segment"] for row in rows})
    series = [
        {
            "label": label(name),
            "backgroundColor": COLOURS.get(advice(name, places)[-2:], OTHER),
            "data": [counts.get((day, name), 0) for day in days],
        }
        for name in names
    ]
    return {"days": days, "series": series}
