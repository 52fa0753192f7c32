"""The past days on which every customer's segment is known: the ends of `rfm_history`'s periods, and the days
that a backfill worked out beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from octo_dagster.errors import ConfigError
from octo_dagster.ops.backfill import done, mark, table_name
from octo_dagster.pages.board import Board

HISTORY, PAST = "rfm_history", table_name("rfm")


def ends(told: Board) -> list[date]:
    """The days, oldest first."""
    return sorted({*periods(told), *backfilled(told)})


def periods(told: Board) -> list[date]:
    """The ends of the periods `rfm_history` holds."""
    if not told.has(HISTORY):
        return []
    return [row["day"] for row in told.select(f"select distinct period_end as day from {HISTORY}")]


def backfilled(told: Board) -> list[date]:
    """The days a backfill worked out with the settings of today: others are of other segments."""
    try:
        score = told.project.scores.get("rfm")
        if score is None or not told.has(PAST):
            return []
        days = done(told.project.warehouse, score.name).get(mark(told.project, score), ())
    except ConfigError:
        return []
    return [date.fromisoformat(day) for day in days]


def days_of(told: Board, days: Sequence[date]) -> str:
    """SQL of the customer, the day and his segment on these days, each from one table."""
    early = {*periods(told)}
    parts = {
        f"select customer_id, period_end as day, rfm_segment as segment from {HISTORY} where period_end": [
            day for day in days if day in early
        ],
        f"select customer_id, as_of as day, rfm_segment as segment from {PAST} where as_of": [
            day for day in days if day not in early
        ],
    }
    return " union all ".join(
        f"{select} in ({', '.join(map(literal, chosen))})" for select, chosen in parts.items() if chosen
    )


def literal(day: date) -> str:
    return f"date '{day}'"
