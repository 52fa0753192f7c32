"""What was delivered where, and how it went."""

from __future__ import annotations

import json
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from octo_dagster.api.customers import Asker, Ours, allowed, answer
from octo_dagster.api.errors import problem
from octo_dagster.api.keys import Key
from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import CHANGELOG, RUNS

router = APIRouter(prefix="/v1/syncs")

RUNS_TABLE, CHANGES_TABLE = "sync_runs", "sync_changelog"
"""The tables a key must be for to see runs, and to see single records' changes."""


async def for_runs(key: Asker) -> Key:
    allowed(key, RUNS_TABLE, RUNS.c.keys())
    return key


Many = Annotated[int, Query(ge=1, le=1_000)]
Name = Annotated[str, Path(max_length=200)]


@router.get("", summary="Every sync and its last run", dependencies=[Depends(for_runs)])
def syncs(project: Ours) -> Response:
    """Where each sync delivers to, and how its last run ended."""
    told = [
        {"name": name, "type": sync.destination.type, "mode": sync.mode, "last_run": last(project, name)}
        for name, sync in project.syncs.items()
    ]
    return answer({"syncs": told})


@router.get("/{name}/runs", summary="A sync's runs, newest first", dependencies=[Depends(for_runs)])
def runs(project: Ours, name: Name, limit: Many = 20) -> Response:
    """When each run was, how it ended, and its figures."""
    known(project, name)
    return answer({"runs": newest(project, name, limit)})


@router.get("/{name}/changes", summary="A sync's last changes, newest first")
def changes(
    key: Asker,
    project: Ours,
    name: Name,
    record: Annotated[str | None, Query(alias="key", max_length=200, description="Of this record.")] = None,
    limit: Many = 100,
) -> Response:
    """What was asked of which record, what became of it, and why it was refused."""
    allowed(key, CHANGES_TABLE, CHANGELOG.c.keys())
    known(project, name)
    query = sa.select(CHANGELOG).where(CHANGELOG.c.sync == name)
    if record is not None:
        query = query.where(CHANGELOG.c.key == record)
    found = project.ledger.read(query.order_by(CHANGELOG.c.id.desc()).limit(limit))
    return answer({"changes": [unpacked(dict(row), "fields") for row in found]})


def known(project: Project, name: str) -> None:
    if name not in project.syncs:
        raise problem(404, "there is no such sync")


def newest(project: Project, name: str, many: int) -> list[dict[str, Any]]:
    query = sa.select(RUNS).where(RUNS.c.sync == name).order_by(RUNS.c.started_at.desc()).limit(many)
    return [unpacked(dict(row), "counts") for row in project.ledger.read(query)]


def last(project: Project, name: str) -> dict[str, Any] | None:
    return next(iter(newest(project, name, 1)), None)


def unpacked(row: dict[str, Any], name: str) -> dict[str, Any]:
    """A row with this JSON text as values."""
    return {str(column): value for column, value in row.items()} | {name: json.loads(row[name] or "{}")}
