"""A drawn plan as a person judges it: figures, a page of changes field by field, what is refused and why."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from octo_dagster.config import Project
from octo_dagster.delivery import guard
from octo_dagster.delivery.compare import same
from octo_dagster.delivery.plan import ADDED, CHANGED, REMOVED, Line, Plan
from octo_dagster.errors import PlanStale
from octo_dagster.sync import Sync

KINDS = (REMOVED, CHANGED, ADDED)
"""What takes away comes first: it is what a person must see."""
ON_A_PAGE = 25
INVALID = 100


@dataclass(frozen=True, slots=True)
class Change:
    """One record: what of it would move."""

    kind: str
    key: str
    moves: Sequence[tuple[str, Any, Any]]
    """Field, what is held, what would be."""


def changes(project: Project, plan: Plan, kind: str, page: int) -> tuple[list[Change], bool]:
    """A page of the plan's changes of one kind, in the plan's order; and whether there are more."""
    places = of_kind(project, plan, kind, page)
    sync = project.sync(plan.sync)
    wanted = [(at, at + 1) for at in places[:ON_A_PAGE]]
    told = [change(line, sync) for line in project.plans.lines(sync, plan.id, wanted)] if wanted else []
    return told, len(places) > ON_A_PAGE


def of_kind(project: Project, plan: Plan, kind: str, page: int) -> list[int]:
    """Where changes of this kind stand in the plan's file: those of a page, and the one after it."""
    file = project.plans.path(plan.sync, plan.id) / "changes.parquet"
    with pq.ParquetFile(file) as opened:
        kinds = opened.read(columns=["kind"]).column("kind")
    first = page * ON_A_PAGE
    places: list[int] = pc.indices_nonzero(pc.equal(kinds, kind)).slice(first, ON_A_PAGE + 1).to_pylist()
    return places


def change(line: Line, sync: Sync) -> Change:
    return Change(line.kind, line.spelled, tuple(moves(line, sync)))


def moves(line: Line, sync: Sync) -> Iterator[tuple[str, Any, Any]]:
    """The fields that move. Of a removal all that is held goes, so far as this sync brought it."""
    before = line.before or {}
    if line.kind == REMOVED:
        yield from ((name, value, None) for name, value in before.items())
        return
    for name, value in line.fields.items():
        if line.before is None or not same(before.get(name), value):
            yield name, before.get(name), value


@dataclass(frozen=True, slots=True)
class Judged:
    """What is to be known before a plan is approved."""

    drawn_at: datetime
    trips: tuple[str, ...]
    """What the guards say; empty when all is as usual."""
    stale: str | None
    """What moved since it was drawn; None while it still holds."""
    invalid: Sequence[tuple[str, str]]
    """Key and reason of rows that will not be sent, at most 100."""
    reasons: Sequence[tuple[str, int]]


def judged(project: Project, plan: Plan) -> Judged:
    """The guards' word, whether the world moved, and the rows that cannot be sent."""
    sync = project.sync(plan.sync)
    header = project.plans.path(plan.sync, plan.id) / "plan.json"
    refused = project.plans.invalid(plan.sync, plan.id) if plan.counts.invalid else []
    return Judged(
        drawn_at=datetime.fromtimestamp(header.stat().st_mtime, UTC).replace(tzinfo=None),
        trips=guard.trips(plan, sync.guards),
        stale=stale(project, sync, plan),
        invalid=[(row.key or "", row.reason) for row in refused[:INVALID]],
        reasons=Counter(row.reason for row in refused).most_common(20),
    )


def stale(project: Project, sync: Sync, plan: Plan) -> str | None:
    """Why this plan cannot be carried out any more."""
    try:
        guard.check_fresh(plan, sync, project.ledger, project.warehouse)
        guard.check_audience(plan, project.where(sync))
    except PlanStale as moved:
        return str(moved)
    return None


def kept(project: Project, sync: str) -> list[Plan]:
    """The plans that are kept, newest first."""
    found = sorted(project.plans.path(sync, "").glob("*/plan.json"), key=lambda path: -path.stat().st_mtime)
    return [project.plans.load(sync, path.parent.name) for path in found]


def refuse(project: Project, plan: Plan) -> None:
    """Take the plan away, so that nobody carries it out. Busy while a run has the sync.

    One that calls without an answer belong to stays: settling needs it, and it is stale in any case."""
    with project.ledger.lock(plan.sync):
        if plan.id not in {batch.plan for batch in project.ledger.unsettled(plan.sync)}:
            shutil.rmtree(project.plans.path(plan.sync, plan.id))
