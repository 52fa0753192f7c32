"""Customers a score counts who cannot be told by a column of the profile: a list of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.render import board
from octo_dagster.pages.scores.links import here
from octo_dagster.pages.scores.sheet import sheet

MOST = 100
"""Customers on a page."""
PROFILE = ("first_name", "last_name", "rfm_segment", "rfm_revenue", "rfm_last_order_at")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which customers, and where one comes from."""

    sql: str
    """Selects their `customer_id`."""
    params: Mapping[str, Any]
    title: str
    back: str
    path: str
    """The list's own address, without how many to skip."""
    asked: Mapping[str, Any]
    """What its address asks for."""


def listed(request: Request, name: str, chosen: Chosen, skip: int) -> Response:
    """A page of them, those with most revenue first."""
    told = board(request)
    rows = customers(told, chosen, skip)
    count = told.one(f"select count(*) as n from ({chosen.sql})", chosen.params)["n"]
    more = here(chosen.path, **{**chosen.asked, "skip": skip + MOST}) if skip + MOST < count else None
    return sheet(
        request, "scores/who.html", name, "rfm", title=chosen.title, back=chosen.back, rows=rows, count=count,
        more=more, skip=skip,
    )  # fmt: skip


def customers(told: Board, chosen: Chosen, skip: int) -> list[Row]:
    """The customers after the first `skip`, with what the profile has of them."""
    there = told.columns("customer_profile")
    shown = ", ".join(f"p.{name}" if name in there else f"null as {name}" for name in PROFILE)
    order = "p.rfm_revenue desc nulls last, " if "rfm_revenue" in there else ""
    profile = "left join customer_profile as p on p.customer_id = chosen.customer_id" if there else ""
    return told.select(
        f"""select chosen.customer_id, {shown} from ({chosen.sql}) as chosen {profile}
            order by {order}chosen.customer_id limit {MOST} offset $skip""",
        {**chosen.params, "skip": skip},
    )
