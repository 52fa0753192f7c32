"""Is this a plan a person would expect? Checked inside delivery, so that no way of starting it goes round."""

from __future__ import annotations

import math

from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.plan import Plan, definition
from octo_dagster.errors import Fatal, GuardTripped, PlanRefused, PlanStale
from octo_dagster.sync import Guards, Sync
from octo_dagster.warehouse import Warehouse

AT = " ⟶ "
"""Between account and place, as the ledger keeps them."""


def trips(plan: Plan, guards: Guards) -> tuple[str, ...]:
    """What a person would not expect of this plan, a line each; empty when all is as usual."""
    counts = plan.counts
    found = []
    if counts.rows == 0 and counts.held > 0 and guards.empty_source == "refuse":
        found.append(f"the source is empty and {counts.held:,} records are held")
    for what, many, of, most in (
        ("removed", counts.removed, counts.held, guards.max_removed),
        ("changed", counts.changed - counts.renewed, counts.held, guards.max_changed),
        ("invalid", counts.invalid, counts.rows, guards.max_invalid),
    ):
        if many > allowed(most, of):
            found.append(f"{many:,} of {of:,} would be {what}; at most {told(most)} is usual")
    return tuple(found)


def allowed(most: int | float, of: int) -> int:
    """A share of `of`, rounded up so that one record of a small base may always move; or a count."""
    return most if isinstance(most, int) else math.ceil(round(most * of, 9))


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


def check_audience(plan: Plan, where: str | None) -> None:
    """PlanStale when the audience's rule was edited since the plan was drawn."""
    if plan.where != where:
        raise PlanStale(f"{plan.sync}: plan {plan.id} is stale: its audience moved since it was drawn")


def place(sync: Sync) -> str:
    """Where in the account these records are, by which field they are found: `key=EMAIL; list=News`; and
    last how their values are read, where they are found by those: `calling_code=33`."""
    settings = sync.destination.model_dump(mode="json")
    return "; ".join([f"key={sync.key.to}", *(f"{name}={settings[name]}" for name in sync.destination.place)])


def check_place(sync: Sync, ledger: Ledger) -> None:
    """PlanRefused when the file names another place than the one first delivered to.

    The ledger knows nothing of what is held there: all would seem done, and nothing be sent. What an older
    version kept without a setting that has come since says nothing against it."""
    known = ledger.account(sync.name)
    was = place(sync) if known is None else known.partition(AT)[2]
    if place(sync) != was and not place(sync).startswith(f"{was}; "):
        raise PlanRefused(
            f"{sync.name}: delivers to {was!r}, but its file now says {place(sync)!r}; nothing was written. "
            f"Give the sync for the new place a name of its own"
        )


def check_account(sync: Sync, ledger: Ledger, account: str) -> None:
    """Fatal when the credentials belong to another account than the one delivered to."""
    check_place(sync, ledger)
    known = ledger.account(sync.name)
    if known is None:
        ledger.bind(sync.name, f"{account}{AT}{place(sync)}")
    elif (was := known.partition(AT)[0]) != account:
        raise Fatal(
            f"{sync.name}: these credentials belong to {sync.destination.type} account {account!r}, "
            f"but this sync delivers to {was!r}; nothing was written. "
            f"Give the sync for the new account a name of its own"
        )
