"""An order to the customer profile within seconds: pull what is new, judge it, score whom it touches.

What one run of the live lane does. The night makes the tables anew; this lane only adds to them what the
touched customers need, and leaves to the night, by name, whatever would not come out the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

from octo_dagster.audiences import memberships
from octo_dagster.canonical.arrive import arrive
from octo_dagster.canonical.pull import Pulled, pull
from octo_dagster.config import Project
from octo_dagster.errors import SourceError
from octo_dagster.live.rejoin import reads, reenter, rejoin
from octo_dagster.live.rescore import rescore, tables_of
from octo_dagster.live.touched import TABLES, Few, near, touched
from octo_dagster.live.ways import SMALL, Ways, ways
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.serving.touch import touch
from octo_dagster.source import OUTSIDE, Outside


@dataclass(frozen=True, slots=True)
class Followed:
    """What one run of the live lane did."""

    run: str
    as_of: date
    pulled: tuple[Pulled, ...]
    judged: Mapping[str, int]
    """Canonical table → rows that came and were kept, older versions of theirs not counted."""
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


def follow(  # noqa: PLR0913 - every keyword is a choice of its own
    project: Project,
    now: datetime,
    run: str,
    sources: Collection[str] | None = None,
    as_of: date | None = None,
    progress: Callable[[str], None] = lambda step: None,
    *,
    outside: Outside = OUTSIDE,
    small: int = SMALL,
) -> Followed:
    """Bring what the newest orders touch up to date, for the day `as_of` (default: that of `now`).

    `sources`: those to pull from; all without. `small`: rows up to which a score is worked out whole.
    SourceError and ConfigError stop it where they arise; what was written before stays, and the next run goes
    on from there."""
    day = as_of or now.date()
    clock = Clock(progress)
    pulled = fetch(project, now, sources, clock, outside)
    # An order placed since this run began, and pulled by it, is not in the future.
    kept, rejected = judge(project, now + clock.passed(), run, clock)
    clock.step("look whom it touches")
    found = ways(list(project.scores.values()), project.warehouse, day, small)
    added = [PROFILE, *(name for name in found.live if project.scores[name].on_profile)]
    covered = versions(project, added)
    customers = touched(project.warehouse, added)
    few = Few(customers, day, covered)
    done, version = work(project, found, few, clock) if customers else ((), None)
    clock.step("")
    return Followed(
        run=run,
        as_of=day,
        pulled=pulled,
        judged=kept,
        rejected=rejected,
        customers=customers,
        scored=done,
        left=found.left,
        version=version,
        seconds=clock.seconds,
    )


def fetch(
    project: Project, now: datetime, sources: Collection[str] | None, clock: Clock, outside: Outside
) -> tuple[Pulled, ...]:
    """Pull the tables an order writes to, each before those it refers to: whatever a row names is there."""
    done = []
    for table in reversed(TABLES):
        for intake in project.intakes.values():
            if table in intake.tables and (sources is None or intake.name in sources):
                clock.step(f"pull {intake.name}.{table}")
                done.append(pull(intake, table, project.warehouse, now, outside, reconcile=False))
    return tuple(done)


def judge(project: Project, now: datetime, run: str, clock: Clock) -> tuple[dict[str, int], int]:
    """Judge what came, in every table an order writes to: rows kept by table, and rows rejected in all."""
    kept, rejected = {}, 0
    for table in TABLES:
        if table in project.fed:
            clock.step(f"judge {table}")
            came = arrive(table, list(project.intakes.values()), project.warehouse, now, run)
            kept[table] = came.kept if came else 0
            rejected += came.rejected if came else 0
    return kept, rejected


def versions(project: Project, scores: Collection[str]) -> dict[str, int]:
    """The versions this run takes into account, and those of what it will add to."""
    wanted = (*TABLES, *scores, PROFILE)
    held = {name: project.warehouse.version(name) for name in wanted}
    if held[PROFILE] is None:
        raise SourceError("there is no customer profile to add to yet: octo run --base makes it")
    return {name: version for name, version in held.items() if version is not None}


def work(project: Project, found: Ways, few: Few, clock: Clock) -> tuple[tuple[str, ...], int]:
    """Scores, profile rows, audiences and served rows of the touched customers: the scores that were worked
    out, and the profile's version. What waits for the night is told in `found.left`."""
    clock.step("score")
    wanted = reads(project).union(*(tables_of(project.scores[name]) for name in found.live))
    with near(project.warehouse, few.customers, wanted) as theirs:
        fresh = rescore(project.scores, found, project.warehouse, theirs, few)
        if project.scenarios:
            found.left["scenarios"] = "are followed day by day"
        clock.step("profile")
        rows, version = rejoin(project, theirs, fresh, few)
    clock.step("audiences")
    if why := reenter(project, few, rows, version):
        found.left["audiences"] = why
    if project.settings.serve:
        clock.step("serve")
        touch(project.warehouse, project.home)
    return tuple(fresh), version


def tidy(project: Project, done: Followed) -> None:
    """Merge the parts of the tables this run has added to, once the tools have been told."""
    added = {*(one.table for one in done.pulled), *done.judged, *done.scored, PROFILE, memberships.TABLE}
    for name in sorted(added & set(project.warehouse.names())):
        project.warehouse.tidy(name)


class Clock:
    """Tells each step as it begins, and keeps how long it took."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self.open: tuple[str, float] | None = None
        self.began = time.perf_counter()

    def passed(self) -> timedelta:
        """How long it has been since this clock began."""
        return timedelta(seconds=time.perf_counter() - self.began)

    def step(self, name: str) -> None:
        """The step before is over, this one begins; with an empty name, none does."""
        moment = time.perf_counter()
        if self.open and self.open[0]:
            known, since = self.open
            self.seconds[known] = round(self.seconds.get(known, 0.0) + moment - since, 4)
        self.open = (name, moment)
        if name:
            self.progress(name)
