"""What takes more than a page's patience: drawing a plan, sending one. A process of its own each, so that
whoever asks the read API meanwhile does not wait; what became of it is kept for the page that asks."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from connectors import registry
from octo_dagster.config import Project
from octo_dagster.delivery.ledger import now
from octo_dagster.delivery.plan import Options, Plan
from octo_dagster.errors import Busy, ConfigError, GuardTripped, OctoError, PlanStale
from octo_dagster.pages.syncs.dagster import Dagster
from octo_dagster.run import Report, carry_out, prepare

AT_ONCE = 2
"""Errands of all syncs; further ones wait for their turn."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    sync: str
    by: str
    plan: str | None = None
    """This very plan; None: draw one."""
    only: tuple[str, ...] = ()
    """Of a plan to be drawn: these keys alone."""
    send: bool = False
    """Carry it out, too: by Dagster where that is configured, else here."""
    allow: bool = False
    """Although a guard refuses it."""


@dataclass(frozen=True, slots=True)
class Became:
    """How an errand ended."""

    plan: str | None = None
    changes: int = 0
    report: Report | None = None
    """Of a plan carried out here."""
    run: str | None = None
    """Dagster's run that carries it out."""
    trouble: str | None = None
    """busy, stale, guarded, wrong (of the files) or failed."""
    lines: tuple[str, ...] = ()
    """What the trouble is."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A wish on its way, or done."""

    wish: Wish
    began: datetime
    future: Future[Became]

    @property
    def became(self) -> Became | None:
        """How it ended; None while it goes on."""
        if not self.future.done():
            return None
        try:
            return self.future.result()
        except BrokenProcessPool:
            return Became(trouble="failed", lines=("the process that did it was ended from outside",))


@dataclass
class Errands:
    """The newest errand of each sync; one at a time for each."""

    project: Project
    held: dict[str, Errand] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    pool: ProcessPoolExecutor | None = None
    broken: bool = False

    def run(self, wish: Wish) -> Errand:
        """Set out. Busy while another errand of this sync goes on."""
        with self.lock:
            before = self.held.get(wish.sync)
            if before is not None and before.became is None:
                raise Busy(f"{wish.sync}: {before.wish.by} has just asked for something; it goes on")
            root, home = self.project.root, self.project.home
            future = self.workers().submit(done, root, home, wish, dict(os.environ))
            future.add_done_callback(self.heard)
            self.held[wish.sync] = Errand(wish, now(), future)
            return self.held[wish.sync]

    def heard(self, future: Future[Became]) -> None:
        """A pool that lost a process takes nothing more: the next errand makes a new one."""
        self.broken = self.broken or isinstance(future.exception(), BrokenProcessPool)

    def of(self, sync: str) -> Errand | None:
        """The newest errand of a sync since this server began."""
        return self.held.get(sync)

    def workers(self) -> ProcessPoolExecutor:
        """Processes forked from one that has everything imported and nothing at work: a fork of the server
        itself, with its threads, may hang, and one from nothing takes seconds to import it all."""
        if self.pool is None or self.broken:
            forked = multiprocessing.get_context("forkserver")
            forked.set_forkserver_preload([__name__, *registry.modules()])
            self.pool, self.broken = ProcessPoolExecutor(AT_ONCE, forked, max_tasks_per_child=1), False
        return self.pool


def done(root: Path, home: Path, wish: Wish, environment: Mapping[str, str]) -> Became:
    """Do it, in the server's environment of now; what stops it is told, not raised."""
    os.environ.clear()
    os.environ.update(environment)
    project = Project(root, home)
    try:
        return granted(project, wish)
    except OctoError as stopped:
        lines = stopped.problems if isinstance(stopped, ConfigError) else [str(stopped)]
        return Became(wish.plan, trouble=trouble(stopped), lines=tuple(lines))


def granted(project: Project, wish: Wish) -> Became:
    """The plan drawn, or loaded; and sent, where that was wished."""
    sync = project.sync(wish.sync)
    if wish.plan is None:
        plan = prepare(sync, project, Options(only=wish.only))
    else:
        plan = project.plans.load(sync.name, wish.plan)
    if not wish.send:
        return Became(plan.id, plan.changes)
    return sent(project, plan, wish)


def sent(
    project: Project, plan: Plan, wish: Wish, dagster: Callable[[], Dagster | None] = Dagster.here
) -> Became:
    """Carried out: Dagster's run is only started, one here is over when this returns."""
    desk = dagster()
    if desk is not None:
        run = desk.deliver(plan.sync, plan.id, wish.allow, wish.by)
        return Became(plan.id, plan.changes, run=run)
    sync = project.sync(plan.sync)
    report = carry_out(plan, sync, project, plan.id if wish.allow else None)
    return Became(plan.id, plan.changes, report=report)


def trouble(error: OctoError) -> str:
    """The kind of what stopped an errand, for the words of the page."""
    kinds = {Busy: "busy", PlanStale: "stale", GuardTripped: "guarded", ConfigError: "wrong"}
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "failed")
