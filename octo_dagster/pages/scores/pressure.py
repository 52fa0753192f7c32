"""Marketing pressure: how much contacts are sent, where too little and too much begin, what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board, speaker
from octo_dagster.pages.scores.labels import Labels, in_force
from octo_dagster.pages.scores.links import is_, people
from octo_dagster.pages.scores.sheet import absent, sheet, total

router = APIRouter()
page = Page("pressure", "/pressure", router, "scores", 40)
SCORES = ("marketing_pressure", "responsiveness")

POSITIONS = """
select pressure_position as position, count(*) as customers, avg(response_rate) as response_rate,
    avg({pressure}) as pressure, min({pressure}) as low, max({pressure}) as high
from marketing_pressure group by 1 order by min(pressure_percentile), 1"""
SPREAD = """
select {pressure} as pressure, pressure_position as position, count(*) as customers
from marketing_pressure group by all order by all"""
CONSENTS = """
select pressure_consent as consent, count(*) as customers, {counts},
    max({pressure}) filter (where pressure_position = $under) as under_to,
    min({pressure}) filter (where pressure_position = $over) as over_from
from marketing_pressure group by 1 order by count(*) desc, 1"""
CHANNELS = ("email", "sms", "letter", "push", "call", "other")
ANSWERS = """
select responsiveness as label, count(*) as customers, avg(messages_per_week) as now,
    avg(recommended_messages_per_week) as advised, avg(marginal_feedback) as more
from responsiveness group by 1 order by avg(marginal_feedback) desc nulls last, 1"""
OUTER = {"en": ("under", "over"), "fr": ("sous-pression", "sur-pression")}
"""What the score calls the outer positions; `tests/pages` holds them against it."""
NORMAL = "#2c9d86"
COLOURS = {
    name: colour
    for words in OUTER.values()
    for name, colour in zip(words, ("#6b80d8", "#cf7c2a"), strict=True)
}
BARS = 24
"""Bars of the distribution, at most."""


@router.get("/pressure")
def pressure(request: Request) -> Response:
    """The distribution with its cut-offs, by consent and channel; and who can receive more."""
    told = board(request)
    if (instead := absent(request, "pressure", *SCORES)) is not None:
        return instead
    settings = in_force(told, "marketing_pressure")
    label = Labels(told, speaker(request).language, *SCORES)
    positions = of_pressure(told, POSITIONS, settings)
    answers = told.select(ANSWERS) if told.has("responsiveness") else []
    return sheet(
        request, "scores/pressure.html", "pressure", *SCORES,
        positions=linked(positions, "pressure_position", "position"), contacts=total(positions, "customers"),
        settings=settings, spread=spread(of_pressure(told, SPREAD, settings), positions, label),
        consents=consents(told, settings, [row["position"] for row in positions]),
        channels=channels(told, settings), answers=linked(answers, "responsiveness", "label"),
        answered=total(answers, "customers"),
    )  # fmt: skip


def column(settings: Mapping[str, Any]) -> str:
    """The column of pressure: its name carries its days."""
    return f"pressure_{int(settings['pressure_days'])}d"


def of_pressure(told: Board, sql: str, settings: Mapping[str, Any]) -> list[Row]:
    return told.select(sql.format(pressure=column(settings))) if settings else []


def linked(rows: Sequence[Row], by: str, name: str) -> list[Row]:
    """The rows, each with where its customers are."""
    return [{**row, "href": people(is_(by, row[name]))} for row in rows]


def spread(rows: Sequence[Row], positions: Sequence[Row], label: Labels) -> Mapping[str, Any]:
    """The bars of the distribution: contacts by pressure, one colour a position, so that the cut-offs show.

    A bar is from its number up to the next one's, that not included."""
    width = step(max((row["pressure"] for row in rows), default=0))
    bins = sorted({int(row["pressure"] // width) for row in rows})
    starts = range(bins[0], bins[-1] + 1) if bins else range(0)
    counts: dict[tuple[int, str], int] = {}
    for row in rows:
        at = (int(row["pressure"] // width), row["position"])
        counts[at] = counts.get(at, 0) + row["customers"]
    names = [row["position"] for row in positions]
    series = [
        {
            "label": label(name),
            "backgroundColor": COLOURS.get(str(name), NORMAL),
            "data": [counts.get((start, name), 0) for start in starts],
        }
        for name in names
    ]
    return {"labels": [str(start * width) for start in starts], "series": series}


def step(most: float | Decimal) -> int:
    """The width of a bar: a round number that makes at most `BARS` of them."""
    widths = (int(f"{size}{'0' * zeros}") for zeros in range(12) for size in (1, 2, 5))
    return next(width for width in widths if most < width * BARS)


def consents(told: Board, settings: Mapping[str, Any], positions: Sequence[str]) -> list[Row]:
    """The cut-offs among contacts of equal consent: where under ends, where over begins, and how many are
    in each position."""
    if not settings:
        return []
    counts = ", ".join(
        f"count(*) filter (where pressure_position = $p{at}) as p{at}" for at in range(len(positions))
    )
    words = OUTER[settings.get("language", "en")]
    bound = {f"p{at}": name for at, name in enumerate(positions)}
    sql = CONSENTS.format(pressure=column(settings), counts=counts or "0 as none")
    rows = told.select(sql, {**bound, "under": words[0], "over": words[1]})
    return [{**row, "cells": cells(row, positions)} for row in rows]


def cells(row: Row, positions: Sequence[str]) -> list[tuple[int, str]]:
    """How many of a consent are in each position, and where they are."""
    consent = is_("pressure_consent", row["consent"])
    return [
        (row[f"p{at}"], people(consent, is_("pressure_position", one))) for at, one in enumerate(positions)
    ]


def channels(told: Board, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Messages that arrived, by channel and window; channels nothing arrived by are left out."""
    if not settings:
        return {"windows": [], "rows": []}
    windows = [int(one) for one in settings["windows"]]
    columns = [f"messages_{name}_{window}d" for name in CHANNELS for window in windows]
    sums = told.one(
        f"select {', '.join(f'coalesce(sum({one}), 0) as {one}' for one in columns)} from marketing_pressure"
    )
    rows = [(name, [int(sums[f"messages_{name}_{window}d"]) for window in windows]) for name in CHANNELS]
    weights = settings.get("weights") or {}
    held = [
        {"name": name, "counts": counts, "weight": weights.get(name)} for name, counts in rows if any(counts)
    ]
    return {"windows": windows, "rows": held}
