"""What is worth an alert, and `assets/alerts.yaml`, which says how much of it."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster import document
from octo_dagster.config import Project
from octo_dagster.delivery.guard import allowed
from octo_dagster.delivery.ledger_tables import RUNS, SNAPSHOT
from octo_dagster.ops.channels import AnyChannel
from octo_dagster.ops.sizes import SPREAD, odd, sizes
from octo_dagster.ops.status import Status, status
from octo_dagster.sync import Share
from octo_dagster.words import Speaker

Rule = Literal["failed", "rejected", "unsettled", "full_resync", "volume", "stale", "source_rows", "audience"]
HISTORY = 30
"""Earlier runs a volume is compared with."""
ENOUGH = 8
"""Runs from which on there is a usual volume."""
FLOOR = 0.25
"""Of the median: what a volume may differ by however steady it was, and ten besides."""


class Alerts(BaseModel):
    """`assets/alerts.yaml`. Without the file states are kept and nobody is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "alerts"
    channels: Mapping[str, AnyChannel] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = get_args(Rule)
    """Those that are looked at."""
    mute: tuple[str, ...] = ()
    """Subjects nobody is told of, as `octo alerts` spells them: `sync customers`."""
    rejected_over: Share = 0.05
    """Of the changes planned, or as a whole number a count: what a tool may refuse in one run."""
    source_rows_over: Share = 0.02
    """Of a source's rows, or a count: how many may break their contract."""
    volume_over: float = Field(default=6, gt=0)
    """Deviations from the median of the last thirty runs; of an audience's size, of its last thirty days."""
    steady: float = Field(default=10, ge=0)
    """Minutes all must be well before a recovery is told: what comes and goes is told once."""
    remind_after: float | None = Field(default=None, gt=0)
    """Hours after which what still fires is told again; left out, never."""

    @classmethod
    def of(cls, project: Project) -> Alerts:
        """The project's file, or the defaults without it. ConfigError for a mistake in it."""
        path = project.root / "assets" / "alerts.yaml"
        return document.load(path, cls) if path.exists() else cls()


@dataclass(frozen=True, slots=True)
class Fact:
    """Whether a rule holds of a subject now. What cannot be told (a run under way) is no fact."""

    rule: str
    subject: str
    fires: bool
    key: str
    """Of the words `alert.KEY`, and while it fires `alert.KEY.todo`."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What the words want: numbers and names of files, nothing of a customer."""

    @property
    def told(self) -> str:
        """What is kept of it, to be said in anybody's language: JSON."""
        return json.dumps({"key": self.key, "fires": self.fires, "values": dict(self.values)})


def said(told: str, speaker: Speaker) -> str:
    """What was kept of a fact, in words; with what to do while it fires."""
    kept = json.loads(told)
    keys = [f"alert.{kept['key']}"]
    if kept["fires"] and speaker.knows(f"{keys[0]}.todo"):
        keys.append(f"{keys[0]}.todo")
    return " ".join(speaker.say(key, **kept["values"]) for key in keys)


def facts(project: Project, alerts: Alerts, now: datetime) -> list[Fact]:
    """Every rule of every subject there is something to say of."""
    found = [fact for one in status(project, now) for fact in looked_at(project, alerts, one, now)]
    found += of_audiences(project, alerts)
    return [fact for fact in found if fact.rule in alerts.rules and fact.subject not in alerts.mute]


def looked_at(project: Project, alerts: Alerts, one: Status, now: datetime) -> Iterator[Fact]:
    """What can be said of one source, score or sync."""
    if one.good:
        hours, within = (span.total_seconds() / 3600 for span in (now - one.good, one.within))
        ages = {"hours": round(hours, 1), "within": round(within, 1)}
        yield Fact("stale", one.subject, one.stale, "stale", ages)
    if one.kind in ("source", "score") and one.outcome != "running":
        failed = one.outcome in ("failed", "interrupted")
        yield Fact("failed", one.subject, failed, "failed" if failed else "well", {"error": one.error})
    if one.kind == "source":
        yield from of_source(alerts, one)
    if one.kind == "sync":
        yield from of_sync(project, alerts, one)


def of_source(alerts: Alerts, one: Status) -> Iterator[Fact]:
    if "rejected" in one.counts:
        many = allowed(alerts.source_rows_over, one.counts["rows"])
        fires = one.counts["rejected"] > many
        yield Fact("source_rows", one.subject, fires, "source_rows", one.counts)


def of_audiences(project: Project, alerts: Alerts) -> Iterator[Fact]:
    """Whether an audience is far from its usual size."""
    for name, (*before, size) in sizes(project).items():
        if before:
            fires = odd(size, before, alerts.volume_over)
            values = {"n": size, "usual": round(statistics.median(before))}
            yield Fact("audience", f"audience {name}", fires, "audience", values)


def of_sync(project: Project, alerts: Alerts, one: Status) -> Iterator[Fact]:
    """A run under way says nothing yet of how it ends; what it sent is under way, and not unsettled."""
    if one.outcome in ("never", "running"):
        return
    name, of = one.name, one.subject
    failed = one.outcome in ("failed", "interrupted")
    run = {"run": one.run, "sync": name}
    yield Fact("failed", of, failed, f"sync_{one.outcome if failed else 'well'}", run)
    yield Fact("unsettled", of, one.unsettled > 0, "unsettled", {"n": one.unsettled, "sync": name})
    full = bool(one.counts.get("full"))
    many = {"planned": one.counts.get("planned", 0)}
    yield Fact("full_resync", of, full, "full_resync" if full else "no_resync", many)
    yield from of_runs(project, alerts, one)


def of_runs(project: Project, alerts: Alerts, one: Status) -> Iterator[Fact]:
    """What one run is held against others for. One of a part of the base (an order of the live lane, a
    careful try) has no usual volume, and no share of its few rows that would mean anything: its rejections
    count with those of the last whole run. What was rejected and accepted since counts no more."""
    whole = whole_runs(project, one.name)
    after = sa.select(RUNS.c.counts).where(RUNS.c.sync == one.name, RUNS.c.status != "running")
    since = after.where(RUNS.c.started_at >= whole[0]["started_at"]) if whole else after
    lately = [json.loads(row["counts"]) for row in project.ledger.read(since)]
    rejected, planned = (sum(counts.get(name, 0) for counts in lately) for name in ("rejected", "planned"))
    rejected = min(rejected, still_owed(project, one.name))
    fires = rejected > allowed(alerts.rejected_over, planned)
    values = {"rejected": rejected, "planned": planned, "sync": one.name}
    yield Fact("rejected", one.subject, fires, "rejected", values)
    yield from volume(alerts, one, whole)


def still_owed(project: Project, sync: str) -> int:
    """How many records of a sync were refused when they were sent last."""
    owed = (SNAPSHOT.c.sync == sync) & SNAPSHOT.c.owed.is_not(None)
    [found] = project.ledger.read(sa.select(sa.func.count().label("owed")).where(owed))
    return int(found["owed"])


def whole_runs(project: Project, sync: str) -> list[sa.RowMapping]:
    """The last runs of the whole base that ended, newest first."""
    mine = (RUNS.c.sync == sync) & (RUNS.c.status != "running") & RUNS.c.counts.not_like(PART)
    query = sa.select(RUNS.c.started_at, RUNS.c.status, RUNS.c.counts).where(mine)
    return project.ledger.read(query.order_by(RUNS.c.started_at.desc()).limit(HISTORY + 1))


PART = '%"part": 1%'
"""In the figures of a run of a part of the base."""


def volume(alerts: Alerts, one: Status, whole: Sequence[sa.RowMapping]) -> Iterator[Fact]:
    """Whether the last run that was no full resync changed far more or fewer records than is usual."""
    told = [json.loads(run["counts"]) for run in whole if run["status"] == "done"]
    planned = [counts.get("planned", 0) for counts in told if not counts.get("full")]
    if whole and whole[0]["status"] == "done" and len(planned) > ENOUGH and not told[0].get("full"):
        last, usual = planned[0], planned[1:]
        values = {"planned": last, "usual": round(statistics.median(usual)), "sync": one.name}
        yield Fact("volume", one.subject, far(last, usual, alerts.volume_over), "volume", values)


def far(value: int, usual: Sequence[int], deviations: float) -> bool:
    """Whether a number is out of the usual, by median and median deviation: a few odd runs move neither."""
    middle = statistics.median(usual)
    spread = SPREAD * statistics.median(abs(one - middle) for one in usual)
    return abs(value - middle) > max(deviations * spread, FLOOR * middle, 10)


def link(subject: str) -> str | None:
    """The page of a sync or an audience, where OCTO_PAGES says at which address the pages are."""
    address, (kind, _, name) = os.environ.get("OCTO_PAGES", "").rstrip("/"), subject.partition(" ")
    return f"{address}/{kind}s/{name}" if address and kind in ("sync", "audience") else None
