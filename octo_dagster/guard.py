"""Is this a plan a person would expect? Checked inside delivery, so that no way of starting it goes round."""

from __future__ import annotations

import math

from octo_dagster.errors import Fatal, GuardTripped, PlanStale
from octo_dagster.ledger import Ledger
from octo_dagster.plan import Plan, definition
from octo_dagster.sync import Guards, Sync
from octo_dagster.warehouse import Warehouse


def trips(plan: Plan, guards: Guards) -> tuple[str, ...]:
    """What a person would not expect of this plan, a line each; empty when all is as usual."""
    counts = plan.counts
    found = []
    if counts.rows == 0 and counts.held > 0 and guards.empty_source == "refuse":
        found.append(f"the source is empty and {counts.held:,} records are held")
    for what, many, of, most in (
        ("removed", counts.removed, counts.held, guards.max_removed),
        ("changed", counts.changed, counts.held, guards.max_changed),
        ("invalid", counts.invalid, counts.rows, guards.max_invalid),
    ):
        if many > allowed(most, of):
            found.append(f"{many:,} of {of:,} would be {what}; at most {told(most)} is usual")
    return tuple(found)


def allowed(most: int | float, of: int) -> int:
    """A share of `of`, rounded up so that one record of a small base may always move; or a count."""
    return most if isinstance(most, int) else math.ceil(most * of)


def told(most: int | float) -> str:
    return f"{most:,}" if isinstance(most, int) else f"{most:.0%}"


def check(plan: Plan, guards: Guards, allow: str | None = None) -> None:
    """GuardTripped unless the plan is as usual, or a person allowed this very plan by its id."""
    found = trips(plan, guards)
    if not found or allow == plan.id:
        return
    raise GuardTripped(
        f"{plan.sync}: plan {plan.id} is refused, nothing was written: {'; '.join(found)}. "
        f"If this is meant: octo deliver {plan.sync} --plan {plan.id} --allow {plan.id}"
    )


def check_fresh(plan: Plan, sync: Sync, ledger: Ledger, warehouse: Warehouse) -> None:
    """PlanStale when the sync's file, its table or the ledger moved since the plan was drawn."""
    moved = [
        what
        for what, was, is_ in (
            ("the sync's file", plan.definition, definition(sync)),
            (f"the table {plan.reads}", plan.version, warehouse.version(plan.reads)),
            ("the ledger", plan.revision, ledger.revision(sync.name)),
        )
        if was != is_
    ]
    if moved:
        raise PlanStale(
            f"{sync.name}: plan {plan.id} is stale: {' and '.join(moved)} moved since it was drawn"
        )


def check_account(sync: Sync, ledger: Ledger, account: str) -> None:
    """Fatal when the credentials belong to another account than the one first delivered to."""
    known = ledger.account(sync.name)
    if known is not None and known != account:
        raise Fatal(
            f"{sync.name}: these credentials belong to {sync.destination.type} account {account!r}, "
            f"but this sync delivers to {known!r}; nothing was written"
        )
    if known is None:
        ledger.bind(sync.name, account)
