"""Every run's log as tables of the warehouse, for SQL and the read API: `sync_runs` and `sync_changelog`, and
`step_runs` of what was pulled, judged and scored, in either lane.

Only appended to, and once a day rid of what is older than the project keeps. How far the log got is part of
the very commit that writes its rows, so a line is there once, though killed in between. Keys are there, for a
log without them answers no question; the fields that changed are not: they are personal, and the ledger and
the tools have them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from octo_dagster import steps
from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import CHANGELOG, RUNS
from octo_dagster.ops.status import look
from octo_dagster.steps import STEPS

SYNC_RUNS, SYNC_CHANGELOG, STEP_RUNS = "sync_runs", "sync_changelog", "step_runs"
KEYS = {SYNC_RUNS: ("run",), SYNC_CHANGELOG: ("id",), STEP_RUNS: ("id",)}
"""Table → the columns that tell its rows apart."""
WHEN = {SYNC_RUNS: "started_at", SYNC_CHANGELOG: "at", STEP_RUNS: "started_at"}
"""Table → the moment by which a row is old."""
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
STEP = pa.schema(
    [
        ("id", pa.string()),
        ("run", pa.string()),
        ("lane", pa.string()),
        ("kind", pa.string()),
        ("source", pa.string()),
        ("name", pa.string()),
        ("as_of", pa.date32()),
        ("started_at", pa.timestamp("us")),
        ("ended_at", pa.timestamp("us")),
        ("seconds", pa.float64()),
        ("outcome", pa.string()),
        ("rows", pa.int64()),
        ("kept", pa.int64()),
        ("rejected", pa.int64()),
        ("deleted", pa.int64()),
        ("error", pa.string()),
    ]
)
PAGE = 50_000
"""Lines in one commit."""
PRUNED = "pruned"
"""In a table's note: the day it was last rid of what is old."""


def write(project: Project) -> tuple[int, int]:
    """Append the runs and steps that ended and the lines that the tables have not; how many runs of syncs,
    how many lines. Busy when another process is at it."""
    with project.ledger.lock("_runlog"):
        write_steps(project)
        made = write_runs(project), write_lines(project)
        for name in KEYS:
            prune(project, name)
        return made


def prune(project: Project, name: str) -> None:
    """Take the rows out that are older than the project keeps, once a day; of steps, in the ledger too."""
    house, now = project.warehouse, project.ledger.clock()
    note, today = house.note(name), now.date().isoformat()
    if note.get(PRUNED) == today:
        return
    before = oldest(project)
    if name == STEP_RUNS:
        steps.prune(project.ledger, before)
    none = house.schema(name).empty_table()
    house.write(name, none, "overwrite", note | {PRUNED: today}, f"{WHEN[name]} < '{before}'")


def oldest(project: Project) -> datetime:
    """The moment before which nothing is kept."""
    return project.ledger.clock() - timedelta(days=project.settings.keep_log)


def added(project: Project, name: str, rows: pa.Table, note: Mapping[str, Any] | None = None) -> None:
    """Append, and keep the table's files few."""
    house = project.warehouse
    house.append(name, rows, note_of(project, name) | dict(note or {}))
    house.tidy(name)


def write_steps(project: Project) -> int:
    """The steps that ended, with those whose process was killed."""
    steps.look(project.ledger)
    ended = sa.select(STEPS).where(STEPS.c.outcome != "running").order_by(STEPS.c.started_at)
    found = unwritten(project, STEP_RUNS, ended, STEPS.c.ended_at)
    new = [timed(dict(row)) for row in found.rows]
    if new or project.warehouse.version(STEP_RUNS) is None:
        added(project, STEP_RUNS, pa.Table.from_pylist(new, STEP), found.note)
    steps.shipped(project.ledger, found.names)
    return len(new)


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What a table has not got yet."""

    rows: Sequence[sa.RowMapping]
    names: Sequence[str]
    """Of all that was looked at: the table has them when `rows` are written."""
    note: Mapping[str, Any]
    """What to keep with them: up to which end they go."""


def unwritten(project: Project, table: str, query: sa.Select[Any], end: sa.ColumnElement[Any]) -> Unwritten:
    """Of what a query tells of the ledger, what the table has not got: told apart by name, for one that began
    early may end late; of those alone that ended since shortly before the last that were written, or nobody
    knows when, for there may be millions."""
    (key,) = KEYS[table]
    reached: str | None = note_of(project, table).get(REACHED)
    since = datetime.fromisoformat(reached) - SLACK if reached else oldest(project)
    rows = project.ledger.read(query.where(end.is_(None) | (end >= since)))
    known = there(project, table, key, since)
    ends = [row["ended_at"] for row in rows if row["ended_at"] is not None]
    note = {REACHED: max(ends).isoformat()} if ends else {}
    return Unwritten([row for row in rows if row[key] not in known], [row[key] for row in rows], note)


REACHED = "reached_end"
"""In a table's note: when the last of its rows ended."""
SLACK = timedelta(days=1)
"""What clocks of machines may differ by, and the time between an end and its being written down."""


def note_of(project: Project, table: str) -> dict[str, Any]:
    return project.warehouse.note(table) if project.warehouse.version(table) is not None else {}


def there(project: Project, table: str, key: str, since: datetime) -> set[str]:
    """The keys a table has of what ended since then, or nobody knows when."""
    if project.warehouse.version(table) is None:
        return set()
    query = f'select "{key}" from "{table}" where ended_at >= $1 or ended_at is null'
    with project.warehouse.connect(only=[table]) as connection:
        return {name for (name,) in connection.execute(query, [since]).fetchall()}


def timed(row: dict[str, Any]) -> dict[str, Any]:
    """A row with how long it took; of what was killed nobody knows."""
    end: datetime | None = row["ended_at"]
    return row | {"seconds": (end - row["started_at"]).total_seconds() if end else None}


def write_runs(project: Project) -> int:
    """The runs that ended, by name: one that began early may end late."""
    look(project.ledger)
    kept = RUNS.c.started_at >= oldest(project)
    over = sa.select(RUNS).where(RUNS.c.status != "running", kept).order_by(RUNS.c.started_at)
    found = unwritten(project, SYNC_RUNS, over, RUNS.c.ended_at)
    new = [told(row) for row in found.rows]
    if new or project.warehouse.version(SYNC_RUNS) is None:
        added(project, SYNC_RUNS, pa.Table.from_pylist(new, RUN), found.note)
    return len(new)


def told(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A run, its figures each in a column; one that was interrupted has none."""
    counts: dict[str, int] = json.loads(row["counts"])
    own = {name: row[name] for name in ("run", "sync", "plan", "started_at", "ended_at", "status")}
    error = row["error"] and steps.discreet(row["error"])
    return timed(own) | {"error": error} | {name: counts.get(name) for name in FIGURES}


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
            added(project, SYNC_CHANGELOG, pa.Table.from_pylist(rows, LINE), {"reached": reached})
            count += len(rows)
    return count


def page(project: Project, sync: str, after: int) -> Sequence[dict[str, Any]]:
    columns = [CHANGELOG.c[name] for name in LINE.names]
    query = sa.select(*columns).where(CHANGELOG.c.sync == sync, CHANGELOG.c.id > after)
    return [dict(row) for row in project.ledger.read(query.order_by(CHANGELOG.c.id).limit(PAGE))]
