"""The first page: what needs attention today, what was sent and is due, what moved, and where to go."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from octo_dagster.pages.home.attention import attention
from octo_dagster.pages.home.lately import deliveries, moved
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


WAYS = ("customers", "audiences", "movement", "syncs", "quality")
"""The pages most visits are for, each with a line that says for what: `home.way.<name>`."""


@router.get("/")
def home(request: Request) -> Response:
    """What somebody should look at, and the ways on from here."""
    told = board(request)
    day = told.as_of("customer_profile")
    paths = {one.name: one.path for one in request.app.state.pages}
    seen: dict[str, Any] = {"day": day, "paths": paths, "ways": WAYS}
    if day is None:
        return shown(request, "home/home.html", sizes=None, **seen)
    notices = attention(told, datetime.now(UTC).date(), speaker(request))
    readable = all(notice.key != "files" for notice in notices)
    return shown(
        request,
        "home/home.html",
        sizes={**told.one(SIZES), **told.one(MONTH, {"day": day})},
        notices=notices,
        deliveries=deliveries(told.project) if readable else [],
        moved=moved(told),
        **seen,
    )
