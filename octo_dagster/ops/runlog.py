"""Every run's log as tables of the warehouse: `sync_runs` and `sync_changelog`, for SQL and the read API.

Only appended to. How far the log got is part of the very commit that writes its rows, so a line is there
once, though killed in between. Keys are there, for a log without them answers no question; the fields that
changed are not: they are personal, and the ledger and the tools have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import CHANGELOG, RUNS

SYNC_RUNS, SYNC_CHANGELOG = "sync_runs", "sync_changelog"
FIGURES = (
    "planned",
    "accepted",
    "rejected",
    "waiting",
    "unsent",
    "skipped",
    "invalid",
    "unaccounted",
    "calls",
    "writes",
    "drifted",
    "rows",
    "full",
)
RUN = pa.schema(
    [
        ("run", pa.string()),
        ("sync", pa.string()),
        ("plan", pa.string()),
        ("started_at", pa.timestamp("us")),
        ("ended_at", pa.timestamp("us")),
        ("seconds", pa.float64()),
        ("status", pa.string()),
        ("error", pa.string()),
        *((name, pa.int64()) for name in FIGURES),
    ]
)
LINE = pa.schema(
    [
        ("id", pa.int64()),
        ("run", pa.string()),
        ("sync", pa.string()),
        ("key", pa.string()),
        ("op", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("at", pa.timestamp("us")),
    ]
)
PAGE = 50_000
"""Lines in one commit."""


def write(project: Project) -> tuple[int, int]:
    """Append the runs that ended and the lines that the tables have not; how many of each. Busy when another
    process is at it."""
    with project.ledger.lock("_runlog"):
        return write_runs(project), write_lines(project)


def write_runs(project: Project) -> int:
    """The runs that ended, by name: one that began early may end late."""
    house = project.warehouse
    known: set[str] = set()
    if house.version(SYNC_RUNS) is not None:
        with house.connect(only=[SYNC_RUNS]) as connection:
            known = {name for (name,) in connection.execute(f"select run from {SYNC_RUNS}").fetchall()}
    ended = project.ledger.read(sa.select(RUNS).where(RUNS.c.status != "running").order_by(RUNS.c.started_at))
    new = [told(row) for row in ended if row["run"] not in known]
    if new or house.version(SYNC_RUNS) is None:
        house.append(SYNC_RUNS, pa.Table.from_pylist(new, RUN))
    return len(new)


def told(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A run, its figures each in a column; one that was interrupted has none."""
    counts: dict[str, int] = json.loads(row["counts"])
    end: datetime | None = row["ended_at"]
    seconds = (end - row["started_at"]).total_seconds() if end else None
    own = {name: row[name] for name in ("run", "sync", "plan", "started_at", "ended_at", "status", "error")}
    return own | {"seconds": seconds} | {name: counts.get(name) for name in FIGURES}


def write_lines(project: Project) -> int:
    """The lines of each sync after the last one that is there. One run of a sync writes at a time, so they
    come in order within a sync; between syncs they need not."""
    house, count = project.warehouse, 0
    if house.version(SYNC_CHANGELOG) is None:
        house.append(SYNC_CHANGELOG, LINE.empty_table(), {"reached": {}})
    reached: dict[str, int] = house.note(SYNC_CHANGELOG)["reached"]
    syncs = [row["sync"] for row in project.ledger.read(sa.select(CHANGELOG.c.sync).distinct())]
    for sync in sorted(syncs):
        while rows := page(project, sync, reached.get(sync, 0)):
            reached[sync] = rows[-1]["id"]
            house.append(SYNC_CHANGELOG, pa.Table.from_pylist(rows, LINE), {"reached": reached})
            count += len(rows)
    return count


def page(project: Project, sync: str, after: int) -> Sequence[dict[str, Any]]:
    columns = [CHANGELOG.c[name] for name in LINE.names]
    query = sa.select(*columns).where(CHANGELOG.c.sync == sync, CHANGELOG.c.id > after)
    return [dict(row) for row in project.ledger.read(query.order_by(CHANGELOG.c.id).limit(PAGE))]
