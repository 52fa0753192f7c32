"""What a sync would change: its plans that are kept, their figures, and their changes page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from octo_dagster.api.customers import Asker, Ours, allowed, answer
from octo_dagster.api.errors import problem
from octo_dagster.api.syncs import CHANGES_TABLE, RUNS_TABLE, Many, Name, known
from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import CHANGELOG, RUNS
from octo_dagster.delivery.plan import Line, Plan
from octo_dagster.errors import PlanStale

router = APIRouter(prefix="/v1/syncs/{name}/plans")

Id = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{1,64}$")]


@router.get("", summary="A sync's plans that are kept, newest first")
def plans(key: Asker, project: Ours, name: Name) -> Response:
    """When each was drawn, and how much it would add, change and remove."""
    allowed(key, RUNS_TABLE, RUNS.c.keys())
    known(project, name)
    folders = sorted(project.plans.path(name, "").glob("*/plan.json"), key=lambda p: -p.stat().st_mtime)
    told = [header(project, loaded(project, name, file.parent.name)) for file in folders]
    return answer({"plans": told})


@router.get("/{plan}", summary="A plan's figures and a page of its changes")
def plan(
    key: Asker,
    project: Ours,
    name: Name,
    plan: Id,
    after: Annotated[int, Query(ge=-1, le=10**9, description="`next` of the page before.")] = -1,
    limit: Many = 100,
) -> Response:
    """What would be written to which record, and what it is said to hold now; then the rows that cannot be
    sent, and why, with the first page."""
    allowed(key, CHANGES_TABLE, CHANGELOG.c.keys())
    known(project, name)
    one = loaded(project, name, plan)
    try:
        page = list(lines(project, one, after, limit))
        invalid = project.plans.invalid(name, plan) if after < 0 else []
    except FileNotFoundError:
        raise problem(404, "the plan was taken away meanwhile") from None
    last = page[-1]["position"] if page else after
    more = {"changes": page, "next": last if last + 1 < one.changes else None}
    return answer(header(project, one) | more | {"invalid": [asdict(row) for row in invalid[:limit]]})


def loaded(project: Project, name: str, plan: str) -> Plan:
    try:
        return project.plans.load(name, plan)
    except PlanStale:
        raise problem(404, "there is no such plan (any more)") from None


def header(project: Project, one: Plan) -> dict[str, Any]:
    """A plan without its changes."""
    file = project.plans.path(one.sync, one.id) / "plan.json"
    drawn = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    return {
        "plan": one.id,
        "drawn_at": drawn.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "mode": one.mode,
        "reads": one.reads,
        "version": one.version,
        "changes_in_all": one.changes,
        "counts": asdict(one.counts),
    }


def lines(project: Project, one: Plan, after: int, limit: int) -> Iterator[dict[str, Any]]:
    """The changes after a position."""
    found = project.plans.lines(project.syncs[one.sync], one.id, [(after + 1, after + 1 + limit)])
    for line in islice(found, limit):
        yield told(line)


def told(line: Line) -> dict[str, Any]:
    return {
        "position": line.position,
        "kind": line.kind,
        "key": line.spelled,
        "fields": line.fields,
        "before": line.before,
    }
