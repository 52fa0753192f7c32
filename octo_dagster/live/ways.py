"""How each score the newest rows can change is brought up to date within seconds, or why it is not.

Three ways. A score of `own` rows is run, expression and settings the same, over the touched customers' rows.
A `whole` one, in a small shop, is worked out for everybody. A `ranked` one declares itself how to set the
touched customers against the night's rows of all others (RFM). Everything else keeps what the night made: no
column ever holds something a whole run would not have put there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import sqlalchemy as sa

from octo_dagster.live.touched import TABLES
from octo_dagster.score import Score
from octo_dagster.scoring.compute import tables_for
from octo_dagster.scoring.settings import plain_settings
from octo_dagster.scoring.sql import table_of
from octo_dagster.warehouse import Warehouse

SMALL = 300_000
"""A score that reads no more rows than this is worked out whole: a tenth of a second or two."""

Way = Literal["own", "whole", "ranked"]


@dataclass(frozen=True)
class Ways:
    """The scores of the profile that an order can change, each after those it reads."""

    live: dict[str, Way] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    """Score → why it waits for the night."""


def ways(scores: Sequence[Score], warehouse: Warehouse, day: date, small: int = SMALL) -> Ways:
    """The way of every score that the rows of an order can change. `small`: rows up to which a score is
    worked out whole."""
    made = Ways()
    for score in affected(scores):
        found = way(score, warehouse, (day, small), made)
        if found in ("own", "whole", "ranked"):
            made.live[score.name] = found  # type: ignore[assignment]
        else:
            made.left[score.name] = found
    return made


def way(score: Score, warehouse: Warehouse, when: tuple[date, int], known: Ways) -> str:
    """A `Way`, or why there is none."""
    day, small = when
    if why := not_now(score, warehouse):
        return why
    if score.live == "own":
        return "own"
    if late := [name for name in score.reads if name in known.left]:
        return f"reads {', '.join(late)}, which waits for the night"
    names = [name for name in (*score.reads, *score.optional) if name in warehouse.names()]
    halves = [name for name in names if known.live.get(name) == "ranked"]
    if not halves and sum(warehouse.table(name).count() for name in names) <= small:
        return "whole"
    if not callable(score.live):
        return "sets customers against one another"
    if warehouse.note(score.name)["as_of"] != day.isoformat():
        return "was worked out for another day"
    return "ranked" if ranked(score, warehouse, day) is not None else "its settings need everybody"


def ranked(score: Score, warehouse: Warehouse, day: date) -> sa.Select[Any] | None:
    """The score by its own way of setting a few against all others; None where its settings forbid it."""
    own = table_of(score.name, warehouse.schema(score.name))
    tables = {**tables_for(score, warehouse), score.name: own}
    return score.live(tables, as_of=day, **score.given) if callable(score.live) else None


def affected(scores: Sequence[Score]) -> list[Score]:
    """The scores of the profile that an order can change, and those they are worked out through."""
    moving: set[str] = {*TABLES}
    for score in scores:
        if moving & {*score.reads, *score.optional}:
            moving.add(score.name)
    wanted: set[str] = set()
    for score in reversed(scores):
        if score.on_profile or score.name in wanted:
            wanted |= {score.name, *score.reads}
    return [score for score in scores if score.name in moving & wanted]


def not_now(score: Score, warehouse: Warehouse) -> str | None:
    """Why the night's table cannot be added to; None when it can."""
    if score.by_frames:
        return "learns from everybody"
    if not score.on_profile:
        return None
    if warehouse.version(score.name) is None:
        return "was never worked out"
    if tuple(warehouse.schema(score.name).names) != score.output:
        return "has other columns than its settings ask for now"
    same = warehouse.note(score.name).get("settings") == plain_settings(score, score.given)
    return None if same else "was worked out with other settings"
