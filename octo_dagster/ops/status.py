"""How everything stands, in one value: what pages, `octo status` and alerts look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from octo_dagster import steps
from octo_dagster.config import Project
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.ledger_tables import BATCHES, RUNS, SNAPSHOT
from octo_dagster.errors import Busy
from octo_dagster.hours import due, patience
from octo_dagster.ops.alert_tables import ALERTS, TABLES
from octo_dagster.steps import STEPS
from octo_dagster.sync import Sync


@dataclass(frozen=True, slots=True)
class Status:
    """How one sync, source or score stands. Moments are UTC, without a zone."""

    kind: str
    """sync, source, score."""
    name: str
    outcome: str
    """never, running, done, failed, interrupted. Of a source: of the worst of its tables' last pulls and
    judgements."""
    last: datetime | None
    """When the last run ended; began, while it is running. Of a table, when it was last written."""
    good: datetime | None
    """When the last run that went well ended."""
    next: datetime
    """When it is due by its hours."""
    within: timedelta
    """How old `good` may be."""
    stale: bool
    """Whether it is older. What never was is not stale."""
    run: str | None = None
    error: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    """The last run's figures; of a source, `rejected` of how many raw `rows`."""
    owed: int = 0
    """Records the tool refused the last time."""
    unsettled: int = 0
    """Calls that were never answered."""
    alerts: tuple[str, ...] = ()
    """The rules that are firing."""

    @property
    def subject(self) -> str:
        """`sync customers`: what alerts call it."""
        return f"{self.kind} {self.name}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON: moments in ISO 8601, `within` in hours."""
        told = asdict(self)
        for name in ("last", "good", "next"):
            told[name] = told[name] and told[name].isoformat()
        return told | {"within": self.within.total_seconds() / 3600}


def status(project: Project, now: datetime) -> list[Status]:
    """Every source, score and sync, in this order, each by name. Changes nothing but that whatever was killed
    is `interrupted`; a project that never ran has it all at `never`."""
    firing = alerted(project)
    steps.look(project.ledger)
    look(project.ledger)
    hours = {name: project.hours.get(name) for name in project.scores}
    return [
        *(of_source(project, name, now, firing) for name in project.intakes),
        *(of_score(project, name, hours[name], (now, firing)) for name in sorted(hours)),
        *(of_sync(project, sync, now, firing) for sync in project.syncs.values()),
    ]


Firing = Mapping[str, tuple[str, ...]]
"""Subject → the rules that fire for it."""


def alerted(project: Project) -> Firing:
    with project.ledger.engine.begin() as connection:
        TABLES.create_all(connection)
    found: dict[str, tuple[str, ...]] = {}
    for row in project.ledger.read(sa.select(ALERTS).where(ALERTS.c.state == "firing").order_by("rule")):
        found[row["subject"]] = (*found.get(row["subject"], ()), row["rule"])
    return found


def of_source(project: Project, name: str, now: datetime, firing: Firing) -> Status:
    """A source, by the tables it feeds, their last pulls and judgements, and its refused rows."""
    tables = list(project.intakes[name].tables)
    made = of_table(project, ("source", name), tables, None, (now, firing))
    steps = [last_step(project, "pull", table, name) for table in tables]
    steps += [last_step(project, "judge", table, None) for table in tables]
    made = after(made, [step for step in steps if step is not None])
    if project.warehouse.version("rejected_rows") is None:
        return made
    raws = [project.intakes[name].raw(table) for table in project.intakes[name].tables]
    known = [raw for raw in raws if project.warehouse.version(raw) is not None]
    with project.warehouse.connect(only=["rejected_rows"]) as connection:
        query = "select count(*) from rejected_rows where source = $1"
        (refused,) = connection.execute(query, [name]).fetchone() or (0,)
    rows = sum(counted(project, raw) for raw in known)
    return replace(made, counts={"rejected": refused, "rows": rows})


def of_score(project: Project, name: str, own: str | None, when: tuple[datetime, Firing]) -> Status:
    """A score, by its table and its last step."""
    made = of_table(project, ("score", name), [name], own, when)
    step = last_step(project, "score", name, None)
    return after(made, [] if step is None else [step])


def last_step(project: Project, kind: str, name: str, source: str | None) -> sa.RowMapping | None:
    """The step of this kind that began last and made the whole table: how an order is followed says nothing
    of that, and the job that does is a subject of its own."""
    mine = (STEPS.c.kind == kind) & (STEPS.c.name == name) & STEPS.c.source.is_not_distinct_from(source)
    mine &= STEPS.c.lane == "night"
    query = sa.select(STEPS).where(mine).order_by(STEPS.c.started_at.desc()).limit(1)
    return next(iter(project.ledger.read(query)), None)


BAD_FIRST = ("failed", "interrupted", "running")


def after(made: Status, last: Sequence[sa.RowMapping]) -> Status:
    """The status of something whose last steps these are: as bad as the worst of them."""
    for outcome in BAD_FIRST:
        for step in last:
            if step["outcome"] == outcome:
                error = f"{step['name']}: {step['error'] or outcome}" if outcome != "running" else None
                ended = step["ended_at"] or step["started_at"]
                return replace(made, outcome=outcome, last=ended, run=step["run"], error=error)
    return made


def counted(project: Project, table: str) -> int:
    """How many rows the table's files hold, as its log tells without reading one."""
    files = pa.table(project.warehouse.table(table).get_add_actions(flatten=True))
    return sum(files.column("num_records").to_pylist())


def of_table(
    project: Project, who: tuple[str, str], tables: list[str], own: str | None, when: tuple[datetime, Firing]
) -> Status:
    """Something that keeps these tables at its own hours or in the night: as old as the oldest of them."""
    now, firing = when
    line, zone = own or project.settings.nightly, project.settings.timezone
    moments = [written(project, table) for table in tables]
    known = [moment for moment in moments if moment is not None]
    last = min(known) if known and len(known) == len(moments) else None
    within = project.windows.get(" ".join(who)) or patience(line, zone, now)
    return Status(
        kind=who[0],
        name=who[1],
        outcome="done" if last else "never",
        last=last,
        good=last,
        next=due(line, zone, now),
        within=within,
        stale=last is not None and now - last > within,
        alerts=firing.get(" ".join(who), ()),
    )


def written(project: Project, table: str) -> datetime | None:
    """When the table's newest version was made; None when there is no such table."""
    if project.warehouse.version(table) is None:
        return None
    made = project.warehouse.table(table).history(1)[0]["timestamp"]
    return datetime.fromtimestamp(made / 1000, UTC).replace(tzinfo=None)


def look(ledger: Ledger) -> None:
    """Find the deliveries whose process was killed: nobody holds their sync's lock."""
    for row in ledger.read(sa.select(RUNS.c.run, RUNS.c.sync).where(RUNS.c.status == "running")):
        with suppress(Busy), ledger.lock(row["sync"]), ledger.engine.begin() as connection:
            mine = (RUNS.c.run == row["run"]) & (RUNS.c.status == "running")
            connection.execute(sa.update(RUNS).where(mine).values(status="interrupted"))


def of_sync(project: Project, sync: Sync, now: datetime, firing: Firing) -> Status:
    """A sync, by its runs in the ledger and what it owes."""
    line, zone, ledger = sync.schedule or project.settings.nightly, project.settings.timezone, project.ledger
    runs = sa.select(RUNS).where(RUNS.c.sync == sync.name).order_by(RUNS.c.started_at.desc()).limit(1)
    last = next(iter(ledger.read(runs)), None)
    well = next(iter(ledger.read(runs.where(RUNS.c.status == "done"))), None)
    owing = sa.select(sa.func.count(SNAPSHOT.c.owed).label("n")).where(SNAPSHOT.c.sync == sync.name)
    waiting = sa.select(sa.func.count().label("n")).where(BATCHES.c.sync == sync.name)
    within = project.windows.get(f"sync {sync.name}") or patience(line, zone, now)
    good = well["ended_at"] if well else None
    return Status(
        kind="sync",
        name=sync.name,
        outcome=last["status"] if last else "never",
        last=(last["ended_at"] or last["started_at"]) if last else None,
        good=good,
        next=due(line, zone, now),
        within=within,
        stale=good is not None and now - good > within,
        run=last["run"] if last else None,
        error=last["error"] if last else None,
        counts=json.loads(last["counts"]) if last else {},
        owed=ledger.read(owing)[0]["n"],
        unsettled=ledger.read(waiting)[0]["n"],
        alerts=firing.get(f"sync {sync.name}", ()),
    )
