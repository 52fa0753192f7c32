"""Data quality: the source rows that were refused, and how whole what was kept is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from octo_dagster.pages.page import Page
from octo_dagster.pages.quality import refused, tables
from octo_dagster.pages.render import board
from octo_dagster.pages.render import page as shown

router = APIRouter()
page = Page("quality", "/quality", router, "tools", 20)
FAULT = ("source", "table", "field", "reason")


@router.get("/quality")
def quality(request: Request) -> Response:
    """Everything at one look: refused rows by table and reason, over time; fill, freshness, duplicates."""
    told = board(request)
    return shown(
        request,
        "quality/quality.html",
        parts=refused.parts(told),
        reasons=refused.reasons(told),
        days=refused.over_time(told),
        tables=tables.filled(told),
        twice=tables.twice(told),
        strangers=tables.strangers(told),
    )


@router.get("/quality/refused")
def rows(request: Request) -> Response:
    """Some of the rows with one fault, and where it is mended."""
    fault = {name: request.query_params.get(name, "") for name in FAULT}
    found = refused.sample(board(request), fault)
    many = [one for one in refused.reasons(board(request)) if all(one[name] == fault[name] for name in FAULT)]
    if not found or not many:
        raise HTTPException(404)
    return shown(
        request,
        "quality/refused.html",
        fault=fault,
        rows=found,
        many=many[0]["refused"],
        place=refused.place(fault),
        hint=hint(fault["reason"]),
    )


HINTS = {
    "missing": "missing",
    "unknown": "unknown",
    "not allowed": "values",
    "not a date": "date",
    "in the future": "date",
    "not a number": "number",
    "not an amount": "number",
    "unknown currency": "currency",
    "no key": "key",
    "conflicting duplicates": "twice",
}
"""Reason → the words `quality.hint.<name>` that say what mends it."""


def hint(reason: str) -> str:
    """Which words say what mends a fault of this reason."""
    return HINTS.get(reason, "other")
