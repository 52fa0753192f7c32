"""What is worth an alert, and `assets/alerts.yaml`, which says how much of it."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster import document
from octo_dagster.config import Project
from octo_dagster.delivery.guard import allowed
from octo_dagster.delivery.ledger_tables import RUNS
from octo_dagster.ops.channels import AnyChannel
from octo_dagster.ops.sizes import SPREAD, odd, sizes
from octo_dagster.ops.status import Status, status
from octo_dagster.sync import Share

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
    what: str
    """In words and numbers, without anything of a customer."""
    todo: str = ""
    """What to do while it fires."""

    @property
    def said(self) -> str:
        """What is told of it."""
        return f"{self.what} {self.todo}".strip() if self.fires else self.what


def facts(project: Project, alerts: Alerts, now: datetime) -> list[Fact]:
    """Every rule of every subject there is something to say of."""
    found = [fact for one in status(project, now) for fact in looked_at(project, alerts, one, now)]
    found += of_audiences(project, alerts)
    return [fact for fact in found if fact.rule in alerts.rules and fact.subject not in alerts.mute]


def looked_at(project: Project, alerts: Alerts, one: Status, now: datetime) -> Iterator[Fact]:
    """What can be said of one source, score or sync."""
    if one.good:
        hours = (now - one.good).total_seconds() / 3600
        yield Fact(
            "stale", one.subject, one.stale, f"last went well {hours:,.1f} hours ago; {limit(one)}", LATE
        )
    if one.kind in ("source", "score") and one.outcome != "running":
        failed = one.outcome in ("failed", "interrupted")
        what = f"{one.error}." if failed else "its last run went well."
        yield Fact("failed", one.subject, failed, what, REMADE)
    if one.kind == "source":
        yield from of_source(alerts, one)
    if one.kind == "sync":
        yield from of_sync(project, alerts, one)


def limit(one: Status) -> str:
    within = one.within.total_seconds() / 3600
    return f"expected within {within:,.1f}."


LATE = "See whether Dagster's daemon runs, and the last run's log."


def of_source(alerts: Alerts, one: Status) -> Iterator[Fact]:
    if "rejected" in one.counts:
        refused, rows = one.counts["rejected"], one.counts["rows"]
        what, many = (
            f"{refused:,} of {rows:,} rows break their contract.",
            allowed(alerts.source_rows_over, rows),
        )
        yield Fact("source_rows", one.subject, refused > many, what, NAMED)


NAMED = "`octo rejected` names each with its reason."


def of_audiences(project: Project, alerts: Alerts) -> Iterator[Fact]:
    """Whether an audience is far from its usual size."""
    for name, (*before, size) in sizes(project).items():
        if before:
            usual = statistics.median(before)
            what, fires = (
                f"{size:,} customers; usual are {usual:,.0f}.",
                odd(size, before, alerts.volume_over),
            )
            yield Fact("audience", f"audience {name}", fires, what, MOVED)


MOVED = "Its rule, a score's settings or a source may have changed; `octo audiences` shows who came and left."


def of_sync(project: Project, alerts: Alerts, one: Status) -> Iterator[Fact]:
    """A run under way says nothing yet of how it ends; what it sent is under way, and not unsettled."""
    if one.outcome in ("never", "running"):
        return
    name, counts = one.name, one.counts
    failed = one.outcome in ("failed", "interrupted")
    yield Fact("failed", one.subject, failed, f"run {one.run} {one.outcome}.", REPAIR.format(name))
    rejected, planned = counts.get("rejected", 0), counts.get("planned", 0)
    what, todo = (
        f"{rejected:,} of {planned:,} changes rejected by the tool.",
        f"`octo log {name} --outcome rejected` says which and why.",
    )
    yield Fact("rejected", one.subject, rejected > allowed(alerts.rejected_over, planned), what, todo)
    what, todo = f"{one.unsettled:,} calls were never answered.", f"`octo settle {name}` asks again."
    yield Fact("unsettled", one.subject, one.unsettled > 0, what, todo)
    full = bool(counts.get("full"))
    what = f"{planned:,} changes planned in a {'full resync' if full else 'run that was no full resync'}."
    yield Fact("full_resync", one.subject, full, what, "Nothing to do, if it was meant.")
    yield from volume(project, alerts, one)


REMADE = "`octo status` says since when, the run's page in Dagster where; `octo run --base` tries again."
REPAIR = "`octo status` and the run's page in Dagster say why; `octo deliver {0}` tries again."


def volume(project: Project, alerts: Alerts, one: Status) -> Iterator[Fact]:
    """Whether the last run that was no full resync changed far more or fewer records than is usual."""
    query = (
        sa.select(RUNS.c.counts)
        .where(RUNS.c.sync == one.name, RUNS.c.status == "done")
        .order_by(RUNS.c.started_at.desc())
        .limit(HISTORY + 1)
    )
    runs = [json.loads(row["counts"]) for row in project.ledger.read(query)]
    planned = [counts.get("planned", 0) for counts in runs if not counts.get("full")]
    if one.outcome == "done" and len(planned) > ENOUGH and not one.counts.get("full"):
        last, usual = planned[0], statistics.median(planned[1:])
        what, odd_one = (
            f"{last:,} changes planned; usual are {usual:,.0f}.",
            far(last, planned[1:], alerts.volume_over),
        )
        yield Fact("volume", one.subject, odd_one, what, f"`octo plan {one.name}` shows the next.")


def far(value: int, usual: Sequence[int], deviations: float) -> bool:
    """Whether a number is out of the usual, by median and median deviation: a few odd runs move neither."""
    middle = statistics.median(usual)
    spread = SPREAD * statistics.median(abs(one - middle) for one in usual)
    return abs(value - middle) > max(deviations * spread, FLOOR * middle, 10)


def link(subject: str) -> str | None:
    """The page of a sync or an audience, where OCTO_PAGES says at which address the pages are."""
    address, (kind, _, name) = os.environ.get("OCTO_PAGES", "").rstrip("/"), subject.partition(" ")
    return f"{address}/{kind}s/{name}" if address and kind in ("sync", "audience") else None
