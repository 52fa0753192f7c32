"""An order to the customer profile within seconds: pull what is new, judge it, score whom it touches.

What one run of the live lane does. The night makes the tables anew; this lane only adds to them what the
touched customers need, and leaves to the night, by name, whatever would not come out the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from octo_dagster.canonical.conform import Conformed, conform
from octo_dagster.canonical.pull import Pulled, pull
from octo_dagster.config import Project
from octo_dagster.refresh import tables
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.source import OUTSIDE, Outside

TABLES = ("order_lines", "orders", "customers")
"""What an order writes to, in the order of pulling: whatever an order names is there by then."""


@dataclass(frozen=True, slots=True)
class Followed:
    """What one run of the live lane did."""

    run: str
    as_of: date
    pulled: tuple[Pulled, ...]
    rejected: int
    """Rows of this run that broke their contract."""
    customers: tuple[str, ...]
    """Whose rows were worked out anew, by id."""
    scored: tuple[str, ...]
    left: Mapping[str, str]
    """Score → why it keeps what the night made."""
    version: int | None
    """Of the customer profile; None when nothing was touched."""
    seconds: Mapping[str, float]
    """Step → how long it took."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for metadata; how many customers, not which."""
        told = asdict(self)
        return {**told, "as_of": self.as_of.isoformat(), "customers": len(self.customers)}


def follow(
    project: Project,
    now: datetime,
    run: str,
    sources: Collection[str] | None = None,
    as_of: date | None = None,
    progress: Callable[[str], None] = lambda step: None,
    outside: Outside = OUTSIDE,
) -> Followed:
    """Bring what the newest orders touch up to date, for the day `as_of` (default: that of `now`).

    `sources`: those to pull from; all without. SourceError and ConfigError stop it where they arise; what
    was written before stays, and the next run goes on from there."""
    day = as_of or now.date()
    clock = Clock(progress)
    pulled = [
        pull(intake, table, project.warehouse, now, outside)
        for table in TABLES
        for intake in project.intakes.values()
        if table in intake.tables and (sources is None or intake.name in sources)
        if clock.step(f"pull {intake.name}.{table}")
    ]
    judged: list[Conformed] = []
    for table in tables(project):
        if table in TABLES and clock.step(f"judge {table}"):
            judged.append(conform(table, list(project.intakes.values()), project.warehouse, now, run))
    left = {score.name: "learns from everybody" for score in project.scores.values() if score.by_frames}
    wanted = [score for score in project.scores.values() if score.name not in left]
    for score in wanted:
        clock.step(f"score {score.name}")
        scoring.run(score, project.warehouse, day)
    clock.step("profile")
    made = profile.build(project.warehouse, project.told_scores, day)
    clock.step("end")
    return Followed(
        run=run,
        as_of=day,
        pulled=tuple(pulled),
        rejected=sum(table.rejected for table in judged),
        customers=(),
        scored=tuple(score.name for score in wanted),
        left=left,
        version=made.version,
        seconds=clock.seconds,
    )


class Clock:
    """Tells each step as it begins, and keeps how long it took."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.open: tuple[str, float] | None = None

    def step(self, name: str) -> bool:
        """The step before is over, this one begins."""
        moment = time.perf_counter()
        if self.open:
            known, since = self.open
            self.seconds[known] = round(self.seconds.get(known, 0.0) + moment - since, 4)
        self.open = (name, moment)
        self.progress(name)
        return True
