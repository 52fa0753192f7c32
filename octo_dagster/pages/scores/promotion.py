"""Promotion sensitivity: who buys at a discount, from who never does to who does nothing else."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board
from octo_dagster.pages.scores.labels import in_force
from octo_dagster.pages.scores.links import is_, people
from octo_dagster.pages.scores.sheet import absent, sheet, total

router = APIRouter()
page = Page("promotion", "/promotion", router, "scores", 50)

FIGURES = """
select {by} as label, count(*) as customers, {revenue} as revenue,
    avg(discount_value_percent) / 100 as value_share, avg(discount_count_percent) / 100 as order_share,
    avg(promophilia) as position, sum(promophilia_orders_left_out) as left_out
from promotion_sensitivity {joined} group by 1 order by {order} nulls last"""


@router.get("/promotion")
def promotion(request: Request) -> Response:
    """The three classes, and the ten tenths."""
    told = board(request)
    if (instead := absent(request, "promotion", "promotion_sensitivity")) is not None:
        return instead
    classes = figures(told, "promophilia_class", "avg(promophilia_ratio) desc")
    tenths = figures(told, "discount_sensitivity", "1")
    return sheet(
        request, "scores/promotion.html", "promotion", "promotion_sensitivity",
        classes=classes, tenths=tenths, people=total(tenths, "customers"), revenue=total(tenths, "revenue"),
        settings=in_force(told, "promotion_sensitivity"), left_out=total(tenths, "left_out"),
    )  # fmt: skip


def figures(told: Board, by: str, order: str) -> list[Row]:
    """How many of each label of a column, their revenue where RFM is there, and how much is at a discount."""
    priced = told.has("rfm")
    sql = FIGURES.format(
        by=by,
        order=order,
        revenue="sum(rfm_revenue)" if priced else "null",
        joined="left join rfm using (customer_id)" if priced else "",
    )
    return [{**row, "href": people(is_(by, row["label"]))} for row in told.select(sql)]
