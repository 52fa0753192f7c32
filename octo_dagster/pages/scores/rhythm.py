"""The rhythm of purchases: who is early, late or gone, by category and by cohort."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board, speaker
from octo_dagster.pages.scores.heat import Line, lines
from octo_dagster.pages.scores.labels import Labels
from octo_dagster.pages.scores.links import here, is_, people
from octo_dagster.pages.scores.sheet import absent, sheet, total
from octo_dagster.pages.scores.who import Chosen, listed

router = APIRouter()
page = Page("rhythm", "/rhythm", router, "scores", 30)
SCORES = ("rhythm", "rhythm_by_category", "rhythm_shares_by_category", "rhythm_shares_by_cohort")

STAGES = """
select rfi_label as label, count(*) as customers, {revenue} as revenue, min(rfi_ratio) as low,
    max(rfi_ratio) as high, count(*) filter (where rfi_purchase_days = 1) as single
from rhythm {joined} group by 1 order by min(rfi_ratio) nulls last, 1"""
CATEGORIES = """
select category as row, rfi_label as label, customers, least_ratio as low
from rhythm_shares_by_category order by sum(customers) over (partition by category) desc, category"""
COHORTS = """select cohort as row, rfi_label as label, customers, least_ratio as low
             from rhythm_shares_by_cohort order by cohort desc"""
IN_CATEGORY = "select customer_id from rhythm_by_category where category = $category and rfi_label = $label"
CHECK = "select fifth, customers, predicted, observed from return_chance_check order by fifth"
MOST = 25
"""Categories shown before one asks for all."""


@router.get("/rhythm")
def rhythm(request: Request, every: bool = False) -> Response:
    """The stages, and the same within categories and cohorts."""
    told = board(request)
    if (instead := absent(request, "rhythm", *SCORES)) is not None:
        return instead
    label = Labels(told, speaker(request).language, *SCORES)
    stages = staged(told)
    categories = told.select(CATEGORIES) if told.has("rhythm_shares_by_category") else []
    cohorts = told.select(COHORTS) if told.has("rhythm_shares_by_cohort") else []
    order = ordered([*stages, *cohorts, *categories])
    shown = by_category(categories, order)
    return sheet(
        request, "scores/rhythm.html", "rhythm", *SCORES,
        stages=stages, people=total(stages, "customers"), revenue=total(stages, "revenue"),
        across=[label(one) for one in order], cohorts=by_cohort(cohorts, order),
        categories=shown if every else shown[:MOST], left_out=0 if every else max(0, len(shown) - MOST),
        check=told.select(CHECK) if told.has("return_chance_check") else [],
    )  # fmt: skip


@router.get("/rhythm/who")
def who(request: Request, category: str, label: str, skip: int = 0) -> Response:
    """The customers of one category and stage."""
    told = board(request)
    if not told.has("rhythm_by_category") or skip < 0:
        raise HTTPException(404)
    asked = {"category": category, "label": label}
    title = f"{category}: {Labels(told, speaker(request).language, *SCORES)(label)}"
    return listed(request, "rhythm", Chosen(IN_CATEGORY, asked, title, "/rhythm", "/rhythm/who", asked), skip)


def staged(told: Board) -> list[Row]:
    """Each stage of the cycle: how many are in it, and their revenue where RFM is there; earliest first."""
    if not told.has("rhythm"):
        return []
    priced = told.has("rfm")
    rows = told.select(
        STAGES.format(
            revenue="sum(rfm_revenue)" if priced else "null",
            joined="left join rfm using (customer_id)" if priced else "",
        )
    )
    return [{**row, "href": people(is_("rfi_label", row["label"]))} for row in rows]


def ordered(rows: Sequence[Row]) -> list[str]:
    """The labels by how far into the cycle they begin; what has no cycle of its own last."""
    whole = {row["label"] for row in rows if "single" in row and row["single"] == row["customers"]}
    lows: dict[str, float] = {}
    for row in rows:
        low = float("inf") if row["low"] is None else float(row["low"])
        lows[row["label"]] = min(low, lows.get(row["label"], low))
    return sorted(lows, key=lambda label: (label in whole, lows[label], label))


def by_category(rows: Sequence[Row], order: Sequence[str]) -> list[Line]:
    """A line a category, that with most customers first."""
    counts = {(row["row"], row["label"]): row["customers"] for row in rows}
    down = list(dict.fromkeys(row["row"] for row in rows))
    return lines(counts, down, order, lambda one, label: here("/rhythm/who", category=one, label=label), str)


def by_cohort(rows: Sequence[Row], order: Sequence[str]) -> list[Line]:
    """A line a cohort, the youngest first."""
    counts = {(row["row"], row["label"]): row["customers"] for row in rows}
    return lines(counts, list(dict.fromkeys(row["row"] for row in rows)), order, cohort_link, str)


def cohort_link(cohort: str, label: str) -> str:
    """The customers of a cohort and stage, by the day of their first purchase."""
    first, last = days_of(cohort)
    between = (("rfi_first_purchase_date", "gte", first), ("rfi_first_purchase_date", "lte", last))
    return people(*between, is_("rfi_label", label))


def days_of(cohort: str) -> tuple[date, date]:
    """The first and the last day of 2024-Q1, or of 2024-01."""
    year, told = cohort.split("-")
    months = 3 if told.startswith("Q") else 1
    month = 3 * (int(told[1:]) - 1) + 1 if months == 3 else int(told)
    after = 12 * int(year) + month - 1 + months
    return date(int(year), month, 1), date(after // 12, after % 12 + 1, 1) - timedelta(days=1)
