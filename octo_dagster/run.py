"""The verbs in order: settle → plan → guard → deliver → verify. What the CLI, a test and an asset call."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from octo_dagster.config import Project
from octo_dagster.delivery import guard
from octo_dagster.delivery.courier import Courier, Surroundings
from octo_dagster.delivery.deliver import Delivery, Tally, deliver
from octo_dagster.delivery.draw import draw
from octo_dagster.delivery.guard import allowed
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.mapping import compiled
from octo_dagster.delivery.plan import ORDINARY, Options, Plan
from octo_dagster.delivery.settle import settle
from octo_dagster.delivery.verify import Verified, verify
from octo_dagster.destination import FieldReport
from octo_dagster.errors import ConfigError, DeliveryError, Fatal, OctoError
from octo_dagster.model import FieldType
from octo_dagster.sync import Sync


@dataclass(frozen=True, slots=True)
class Report:
    """What a delivery did. `exit_code` is 0 only when every change was accepted or lawfully left, and
    nothing that was read back differs."""

    run: str
    sync: str
    plan: str
    planned: int
    tally: Tally
    invalid: int
    unaccounted: int
    """Planned changes that are in no other figure, because the run stopped before them."""
    verified: Verified | None = None
    fields: FieldReport = field(default_factory=FieldReport)
    calls: int = 0
    writes: int = 0
    """Of the calls, those that were not GET."""
    error: str | None = None
    exit_code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json` and for asset metadata."""
        return asdict(self)

    def over(self, sync: Sync) -> bool:
        """Whether more was rejected than the sync's guards call usual."""
        return self.tally.rejected > allowed(sync.guards.max_rejected, self.planned)


@contextmanager
def courier(sync: Sync, project: Project, around: Surroundings | None = None) -> Iterator[Courier]:
    """A connection to the sync's destination, closed at the end."""
    types = types_of(sync, project) if sync.destination.untyped else {}
    made = Courier(sync.destination, around or surroundings(project), types)
    try:
        yield made
    finally:
        made.close()


def types_of(sync: Sync, project: Project) -> Mapping[str, FieldType]:
    """Field → type as a delivery would send it; only the types the file gives while there is no table."""
    if project.warehouse.version(sync.reads) is not None:
        return compiled(sync, project.warehouse.schema(sync.reads)).types
    return {sync.key.to: FieldType.TEXT} | {m.to: m.type for m in sync.fields if m.type is not None}


def alone(sync: Sync, project: Project) -> AbstractContextManager[None]:
    """Held while this sync writes, where its destination bears one writer. Busy when there is another."""
    name = sync.destination.alone()
    return project.ledger.lock(name) if name else nullcontext()


def surroundings(project: Project) -> Surroundings:
    """Pacing is shared by every process of the project."""
    return Surroundings(pace_store=project.home / "pace.sqlite")


def new_run() -> str:
    """A name for one run."""
    return uuid.uuid4().hex[:12]


def finish(sync: Sync, project: Project, link: Courier) -> Counter[str]:
    """Settle what earlier runs left open; nothing is called when nothing is open."""
    if not project.ledger.unsettled(sync.name):
        return Counter()
    guard.check_account(sync, project.ledger, whose(sync, project.ledger, link))
    return settle(sync, project.ledger, project.plans, link, new_run())


def whose(sync: Sync, ledger: Ledger, link: Courier) -> str:
    """The account these credentials open: as the vendor says, or said lately where asking it is dear."""
    destination = sync.destination
    if not destination.knows_for:
        return link.account()
    seal = destination.seal()
    known = ledger.signed_in(seal, timedelta(seconds=destination.knows_for))
    if known is None:
        known = link.account()
        ledger.sign_in(seal, known)
    return known


def prepare(
    sync: Sync, project: Project, options: Options = ORDINARY, around: Surroundings | None = None
) -> Plan:
    """What must change for the destination to hold what the sync promises.

    Finishes yesterday's sentences first: what was sent and never answered is settled. Busy when
    another run has the sync; DeliveryError when something must be settled and cannot be; ConfigError while
    there is no table to plan from."""
    if project.warehouse.version(sync.reads) is None:
        raise ConfigError(f"there is no table {sync.reads!r} to plan from yet: octo run --base makes it")
    with project.ledger.lock(sync.name), courier(sync, project, around) as link:
        guard.check_place(sync, project.ledger)
        finish(sync, project, link)
        keep = {batch.plan for batch in project.ledger.unsettled(sync.name)}
        project.plans.prune(sync.name, keep)
        return draw(sync, project.warehouse, project.ledger, project.plans, project.where(sync), options)


def carry_out(
    plan: Plan,
    sync: Sync,
    project: Project,
    allow: str | None = None,
    around: Surroundings | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report:
    """Make it so; refuse, before the first call, a plan no person would expect.

    PlanStale and GuardTripped are raised, with nothing written. What the destination could not do is
    in the report (`error`, `exit_code`), with everything that was done before it."""
    with project.ledger.lock(sync.name), alone(sync, project), courier(sync, project, around) as link:
        guard.check_place(sync, project.ledger)
        guard.check_fresh(plan, sync, project.ledger, project.warehouse)
        guard.check_audience(plan, project.where(sync))
        guard.check(plan, sync.guards, allow)
        run = new_run()
        project.ledger.begin_run(sync.name, run, plan.id)
        delivery = Delivery(sync, plan, project.plans, project.ledger, link, run, Tally(), progress)
        return attempt(delivery)


def attempt(delivery: Delivery) -> Report:
    """One delivery from signing in to verifying, and its line in `sync_runs` whatever happens."""
    error: DeliveryError | None = None
    fields, checked = FieldReport(), None
    try:
        if delivery.plan.changes:
            fields = make_ready(delivery)
        deliver(delivery)
        if delivery.plan.changes:
            checked = check_some(delivery)
    except DeliveryError as stopped:
        error = stopped
    except OctoError as stopped:
        delivery.ledger.end_run(delivery.run, "failed", asdict(delivery.tally), str(stopped))
        raise
    report = summed(delivery, fields, checked, error)
    status = "failed" if error or report.exit_code in (5, 6) else "done"
    wished = delivery.plan.options
    part = bool(wished.near or wished.only or wished.limit is not None)
    told = figures(report) | {"full": int(wished.full), "part": int(part), "rows": delivery.plan.counts.rows}
    delivery.ledger.end_run(delivery.run, status, told, report.error)
    return report


def make_ready(delivery: Delivery) -> FieldReport:
    """The right account, with every field in place. Fatal when a field cannot be used as mapped."""
    sync, link = delivery.sync, delivery.courier
    guard.check_account(sync, delivery.ledger, whose(sync, delivery.ledger, link))
    fields = link.ensure_fields(delivery.plan.types, create=sync.create_fields)
    if fields.problems:
        raise Fatal(f"{sync.name}: nothing was written: {'; '.join(fields.problems)}")
    return fields


def check_some(delivery: Delivery) -> Verified | None:
    """Read a sample of everybody back, as the sync's `verify` says. Not for one order: in a large shop that
    takes minutes by a vendor's quota, and the night does it."""
    sync = delivery.sync
    if sync.verify == 0 or delivery.plan.options.near or not sync.destination.can_read():
        return None
    return verify(sync, delivery.ledger, delivery.courier, delivery.run, sync.verify)


def summed(
    delivery: Delivery, fields: FieldReport, checked: Verified | None, error: DeliveryError | None
) -> Report:
    """What was done, in figures that add up, and the exit code that follows from them."""
    tally, plan = delivery.tally, delivery.plan
    done = tally.accepted + tally.rejected + tally.waiting + tally.unsent + tally.skipped
    calls = delivery.courier.calls
    return Report(
        run=delivery.run,
        sync=plan.sync,
        plan=plan.id,
        planned=plan.changes,
        tally=tally,
        invalid=plan.counts.invalid,
        unaccounted=plan.changes - done,
        verified=checked,
        fields=fields,
        calls=len(calls),
        writes=sum(call.method not in ("GET", "HEAD") for call in calls),
        error=str(error) if error else None,
        exit_code=exit_code(tally, plan, error, plan.changes - done)
        or (4 if checked and checked.drifts else 0),
    )


def exit_code(tally: Tally, plan: Plan, error: DeliveryError | None, unaccounted: int) -> int:
    """The worst thing first: what stopped the run, then what is unknown, unsent, rejected."""
    if error is not None:
        return error.exit_code
    if tally.waiting or plan.counts.waiting:
        return 6
    if tally.unsent or unaccounted:
        return 5
    return 4 if tally.rejected else 0


def figures(report: Report) -> dict[str, int]:
    """The report's numbers, for `sync_runs`."""
    return {
        "planned": report.planned,
        **asdict(report.tally),
        "invalid": report.invalid,
        "unaccounted": report.unaccounted,
        "calls": report.calls,
        "writes": report.writes,
        "drifted": len(report.verified.drifts) if report.verified else 0,
    }


def settle_only(sync: Sync, project: Project, around: Surroundings | None = None) -> Counter[str]:
    """Settle, and nothing else."""
    with project.ledger.lock(sync.name), courier(sync, project, around) as link:
        return finish(sync, project, link)


def verify_only(
    sync: Sync, project: Project, how_much: int | float, around: Surroundings | None = None
) -> Verified:
    """Compare the destination with the ledger, and nothing else. Fatal where it cannot tell what it holds."""
    if not sync.destination.can_read():
        raise Fatal(f"{sync.destination.type}: does not tell what it holds: there is nothing to compare")
    with project.ledger.lock(sync.name), courier(sync, project, around) as link:
        guard.check_account(sync, project.ledger, whose(sync, project.ledger, link))
        return verify(sync, project.ledger, link, new_run(), how_much)
