"""The first page: what needs attention today, and how large everything is."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from octo_dagster.pages.home.attention import attention
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board, speaker
from octo_dagster.pages.render import page as shown

router = APIRouter()
page = Page("home", "/", router, "people", 0)

SIZES = """select count(*) as customers, count(*) filter (where orders > 0) as buyers, sum(revenue) as revenue
           from customer_profile"""
MONTH = """select count(*) as orders from orders
           where status = 'completed' and net_amount > 0
             and ordered_at >= cast($day as date) - 29 and ordered_at < cast($day as date) + 1"""


@router.get("/")
def home(request: Request) -> Response:
    """Sizes, and what somebody should look at."""
    told = board(request)
    day = told.as_of("customer_profile")
    if day is None:
        return shown(request, "home/home.html", sizes=None, day=None, notices=[], paths={})
    sizes = {**told.one(SIZES), **told.one(MONTH, {"day": day})}
    notices = attention(told, datetime.now(UTC).date(), speaker(request))
    paths = {one.name: one.path for one in request.app.state.pages}
    return shown(request, "home/home.html", sizes=sizes, day=day, notices=notices, paths=paths)
