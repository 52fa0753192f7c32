"""The call list: big passive customers, whom to call first, why, and who must not be called."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board, speaker
from octo_dagster.pages.scores.labels import Labels, in_force
from octo_dagster.pages.scores.links import is_, people
from octo_dagster.pages.scores.sheet import absent, sheet
from octo_dagster.spreadsheet import MARK, line
from octo_dagster.words import Speaker

router = APIRouter()
page = Page("calls", "/calls", router, "scores", 70)
SCORES = ("reactivation",)

SIZES = """
select count(*) filter (where is_big_passive) as big, count(*) filter (where is_small_passive) as small,
    count(reactivation_rank) as listed, count(*) filter (where is_in_top) as top, {revenue} as revenue
from reactivation {joined}"""
EXCLUDED = """
select reactivation_excluded_because as why, count(*) as customers, {revenue} as revenue
from reactivation {joined} where is_big_passive and reactivation_excluded_because is not null
group by 1 order by 2 desc, 1"""
LIST = """
select r.reactivation_rank as rank, r.customer_id, r.passive_because, r.reactivation_priority,
    r.reactivation_last_contact_on, {profile}
from reactivation as r left join customer_profile as p on p.customer_id = r.customer_id
where r.reactivation_rank is not null order by r.reactivation_rank, r.customer_id limit $most offset $skip"""
PROFILE = (
    *("first_name", "last_name", "phone", "rfm_revenue", "rfm_orders", "rfm_last_order_at", "rfi_days_late"),
    *("favorite_category_1", "recommended_product_names", "rfm_segment"),
)
MOST = 100
"""Customers on a page."""
FAR = 10**9
"""How far into the list a page may begin."""
EXPORT = (
    *("rank", "customer_id", "first_name", "last_name", "phone", "passive_because", "rfm_revenue"),
    *("rfm_orders", "rfm_last_order_at", "rfi_days_late", "favorite_category_1"),
    *("recommended_product_names", "reactivation_last_contact_on"),
)
"""The columns of the file, by their own names."""


@router.get("/calls")
def calls(request: Request, skip: Annotated[int, Query(le=FAR)] = 0) -> Response:
    """Whom to call first, and who is left out and why."""
    told = board(request)
    if (instead := absent(request, "calls", *SCORES)) is not None:
        return instead
    if skip < 0:
        raise HTTPException(404)
    sizes, settings = told.one(priced(told, SIZES)), in_force(told, "reactivation")
    return sheet(
        request, "scores/calls.html", "calls", *SCORES,
        sizes=sizes, settings=settings, rows=listed(told, MOST, skip), skip=skip,
        more=f"/calls?skip={skip + MOST}" if skip + MOST < sizes["listed"] else None,
        excluded=[{**row, "href": excluded(row["why"])} for row in told.select(priced(told, EXCLUDED))],
        links={"big": people(is_("is_big_passive", "true")), "small": people(is_("is_small_passive", "true")),
               "listed": people(("reactivation_rank", "gte", 1)), "top": people(is_("is_in_top", "true"))},
    )  # fmt: skip


@router.get("/calls.csv")
def export(request: Request) -> Response:
    """The first places of the list as a file for spreadsheets: with `;` in French, as Excel wants it."""
    told, said = board(request), speaker(request)
    if not told.has(*SCORES):
        raise HTTPException(404)
    most = told.one("select count(*) filter (where is_in_top) as n from reactivation")["n"]
    text = written(listed(told, most, 0), said, Labels(told, said.language, *SCORES))
    name = {"content-disposition": 'attachment; filename="calls.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=name)


def priced(told: Board, sql: str) -> str:
    """A query with the revenue of those it counts, where RFM is there."""
    there = told.has("rfm")
    return sql.format(
        revenue="sum(rfm_revenue) filter (where is_big_passive)" if there else "null",
        joined="left join rfm using (customer_id)" if there else "",
    )


def excluded(why: str) -> str:
    return people(is_("is_big_passive", "true"), is_("reactivation_excluded_because", why))


def listed(told: Board, most: int, skip: int) -> list[Row]:
    """The list from a place on, with what a caller wants to know of each."""
    there = told.columns("customer_profile")
    shown = ", ".join(f"p.{name}" if name in there else f"null as {name}" for name in PROFILE)
    sql = LIST.format(profile=shown)
    if not there:
        sql = sql.replace("left join customer_profile as p on p.customer_id = r.customer_id", "")
    return told.select(sql, {"most": most, "skip": skip})


def written(rows: list[Row], said: Speaker, label: Labels) -> str:
    """The rows as CSV, headed in the reader's language."""
    head = line((said.say(f"calls.column.{name}") for name in EXPORT), said.language)
    told = ({**one, "passive_because": label(one["passive_because"])} for one in rows)
    return MARK + head + "".join(line((day(one[name]) for name in EXPORT), said.language) for one in told)


def day(value: Any) -> Any:
    """A moment as its day, which is enough on the telephone; anything else as it is."""
    return value.date() if isinstance(value, datetime) else value
