"""What pages show of syncs: runs whose figures add up, changes, and what is owed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.ledger_tables import BATCHES, CHANGELOG, RUNS, SNAPSHOT
from octo_dagster.sync import Sync

Row = Mapping[Any, Any]
ON_A_PAGE = 50
PARTS = ("accepted", "rejected", "waiting", "skipped")
"""What became of planned changes, beside those that were not carried out."""
OUTCOMES = ("accepted", "rejected", "unknown", "invalid", "skipped")
OPS = ("added", "changed", "removed")


@dataclass(frozen=True, slots=True)
class Run:
    """One delivery. `planned` = accepted + rejected + waiting + skipped + left."""

    id: str
    plan: str
    started: datetime
    ended: datetime | None
    status: str
    error: str | None
    planned: int
    parts: Mapping[str, int]
    left: int
    """Not carried out, in spite of several tries or because the run stopped before."""
    invalid: int
    calls: int
    drifted: int

    @property
    def sums(self) -> bool:
        """Whether every planned change is in one figure. A run that is not over tells none yet."""
        return self.planned == sum(self.parts.values()) + self.left

    @property
    def good(self) -> bool:
        return self.status == "done" and not (self.parts["rejected"] or self.left or self.drifted)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sync stands."""

    name: str
    sync: Sync
    last: Run | None
    held: int
    """Records the tool is known to hold."""
    owed: int
    unsettled: int
    """Calls that were never answered."""

    @property
    def state(self) -> str:
        """The worst thing first: never, running, failed, unsettled, owed, good."""
        if self.last is None:
            return "never"
        if self.last.status == "running":
            return "running"
        if self.last.status in ("failed", "interrupted"):
            return "failed"
        if self.unsettled:
            return "unsettled"
        return "owed" if self.owed else "good"


def standings(project: Project) -> list[Standing]:
    """Every sync, in the order of the files' names."""
    return [standing(project.ledger, sync) for sync in project.syncs.values()]


def standing(ledger: Ledger, sync: Sync) -> Standing:
    mine = SNAPSHOT.c.sync == sync.name
    held = sa.func.count().filter(SNAPSHOT.c.fingerprint.is_not(None))
    wanted: list[sa.ColumnElement[Any]] = [held.label("held"), sa.func.count(SNAPSHOT.c.owed).label("owed")]
    (counted,) = ledger.read(sa.select(*wanted).where(mine))
    (open_,) = ledger.read(sa.select(sa.func.count().label("n")).where(BATCHES.c.sync == sync.name))
    last = next(iter(runs(ledger, sync.name, 1)), None)
    return Standing(sync.name, sync, last, counted["held"], counted["owed"], open_["n"])


def runs(ledger: Ledger, sync: str, most: int = 20) -> list[Run]:
    """The newest deliveries first."""
    query = sa.select(RUNS).where(RUNS.c.sync == sync).order_by(RUNS.c.started_at.desc()).limit(most)
    return [run(row) for row in ledger.read(query)]


def run(row: Row) -> Run:
    """A line of `sync_runs`; of a run under way, the figures it has told."""
    counts: dict[str, int] = json.loads(row["counts"] or "{}")
    return Run(
        id=row["run"],
        plan=row["plan"],
        started=row["started_at"],
        ended=row["ended_at"],
        status=row["status"],
        error=row["error"],
        planned=counts.get("planned", sum(counts.get(name, 0) for name in (*PARTS, "unsent"))),
        parts={name: counts.get(name, 0) for name in PARTS},
        left=counts.get("unsent", 0) + counts.get("unaccounted", 0),
        invalid=counts.get("invalid", 0),
        calls=counts.get("calls", 0),
        drifted=counts.get("drifted", 0),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines of the change log."""

    outcome: str = ""
    op: str = ""
    run: str = ""
    key: str = ""
    before: int | None = None


def changes(ledger: Ledger, sync: str, asked: Asked) -> tuple[list[dict[str, Any]], int | None]:
    """A page of changes, newest first, each with its fields as (name, before, after); and where the next page
    begins."""
    query = sa.select(CHANGELOG).where(CHANGELOG.c.sync == sync)
    for column, value in (("outcome", asked.outcome), ("op", asked.op), ("run", asked.run)):
        if value:
            query = query.where(CHANGELOG.c[column] == value)
    if asked.key:
        query = query.where(CHANGELOG.c.key == asked.key.strip().lower())
    if asked.before is not None:
        query = query.where(CHANGELOG.c.id < asked.before)
    rows = ledger.read(query.order_by(CHANGELOG.c.id.desc()).limit(ON_A_PAGE + 1))
    told = [dict(row) | {"moved": moved(row["fields"])} for row in rows[:ON_A_PAGE]]
    return told, told[-1]["id"] if len(rows) > ON_A_PAGE else None


def moved(fields: str | None) -> list[tuple[str, Any, Any]]:
    """Name, before and after of each field a log line tells of."""
    return [(name, before, after) for name, (before, after) in json.loads(fields or "{}").items()]


def owed(ledger: Ledger, sync: str, most: int | None = None) -> Sequence[Row]:
    """What the tool refused the last time, the oldest refusals first: key, reason, tries."""
    query = (
        sa.select(SNAPSHOT.c.spelled, SNAPSHOT.c.owed, SNAPSHOT.c.attempts, SNAPSHOT.c.fingerprint)
        .where(SNAPSHOT.c.sync == sync, SNAPSHOT.c.owed.is_not(None))
        .order_by(SNAPSHOT.c.attempts.desc(), SNAPSHOT.c.key)
    )
    return ledger.read(query.limit(most) if most else query)


def reasons(ledger: Ledger, sync: str) -> Sequence[Mapping[str, Any]]:
    """Why rows are owed: the vendor's code, which is what its reason begins with; most frequent first."""
    count: dict[str, int] = {}
    query = (
        sa.select(SNAPSHOT.c.owed, sa.func.count().label("n"))
        .where(SNAPSHOT.c.sync == sync, SNAPSHOT.c.owed.is_not(None))
        .group_by(SNAPSHOT.c.owed)
    )
    for row in ledger.read(query):
        code = str(row["owed"]).partition(":")[0]
        count[code] = count.get(code, 0) + int(row["n"])
    return [{"reason": name, "rows": n} for name, n in sorted(count.items(), key=lambda one: -one[1])]


def progress(ledger: Ledger, sync: str, since: datetime) -> int | None:
    """How many changes the delivery under way has heard of; None while none is under way."""
    query = sa.select(RUNS.c.run).where(
        RUNS.c.sync == sync, RUNS.c.status == "running", RUNS.c.started_at >= since
    )
    going = ledger.read(query)
    if not going:
        return None
    counted = sa.select(sa.func.count().label("n")).where(
        CHANGELOG.c.sync == sync, CHANGELOG.c.run == going[-1]["run"]
    )
    return int(ledger.read(counted)[0]["n"])
