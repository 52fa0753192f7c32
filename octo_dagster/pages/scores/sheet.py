"""A score's page: its template, or what is missing to show it."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.responses import Response

from octo_dagster.pages.render import board, speaker
from octo_dagster.pages.render import page as shown
from octo_dagster.pages.scores.labels import Labels
from octo_dagster.pages.scores.lacks import lacks

SHADES = 9
"""The darkest shade of a cell in `static/scores.css`."""


def absent(request: Request, name: str, *scores: str) -> Response | None:
    """The page that says what would feed these scores, when none of them is there; None when one is."""
    told = board(request)
    missing = lacks(told, *scores)
    if len(missing) < len(scores):
        return None
    return shown(request, "scores/absent.html", name=name, missing=missing)


def sheet(request: Request, template: str, name: str, *scores: str, **told: Any) -> Response:
    """A score's page: what the template is told, its scores' labels, their day, and which are missing."""
    have = board(request)
    day = max((day for score in scores if (day := have.as_of(score))), default=None)
    label = Labels(have, speaker(request).language, *scores)
    missing = lacks(have, *scores)
    return shown(request, template, name=name, as_of=day, label=label, missing=missing, **told)


def shade(share: float) -> int:
    """The shade of a share of 1: the square root, so that small ones differ too; 0 for none."""
    return min(SHADES, max(1, round(SHADES * max(share, 0.0) ** 0.5))) if share > 0 else 0


def part(some: Any, whole: Any) -> float:
    """The share `some` is of the `whole`; 0 of nothing."""
    return float(some) / float(whole) if some and whole and whole > 0 else 0.0


def total(rows: Any, name: str) -> Any:
    """The sum of a figure of all rows; what is empty adds nothing."""
    return sum(row[name] for row in rows if row[name] is not None)
