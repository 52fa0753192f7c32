"""`new_orders`: sees an order within seconds and has exactly what it touches worked out and delivered."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets import keys
from assets.jobs import FOLLOW, ORDERS, touched
from assets.resources import Setup
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import state
from octo_dagster.errors import SourceError

EVERY = 5
"""Seconds between two looks; one look is one `max(cursor)` a table."""

SOURCE = "octo/source"
"""The tag of a run that says whose orders it follows."""

Reached = dict[str, Any]
"""Source → table → how far the source reaches."""


def sensors(setup: Setup) -> list[dg.SensorDefinition]:
    """One, where any source has orders."""
    return [new_orders(setup)] if any(watched(intake) for intake in setup.project.intakes.values()) else []


def watched(intake: Intake) -> list[str]:
    """The tables of a source that a new order writes to."""
    return sorted(ORDERS & set(intake.tables))


def new_orders(setup: Setup) -> dg.SensorDefinition:
    """Dagster keeps what was seen; what was pulled is kept with the rows, so a run that fails owes nothing:
    the next one pulls from where the rows end."""

    @dg.sensor(
        name="new_orders",
        job_name=FOLLOW,
        minimum_interval_seconds=EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING if setup.on else dg.DefaultSensorStatus.STOPPED,
        description="A new or changed order: pull it, score it, deliver what changed.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now: Reached = json.loads(context.cursor or "{}")
        requests, notes, troubles = [], [], []
        for intake in filter(watched, setup.project.intakes.values()):
            try:
                reached = look(setup, intake, now.get(intake.name))
            except SourceError as error:  # the other sources' orders shall not wait for this one
                troubles.append(f"{intake.name}: {error}")
                continue
            if isinstance(reached, str):
                notes.append(reached)
                continue
            now[intake.name] = reached
            if waiting(context.instance, intake):
                notes.append(f"{intake.name}: a run that is about to begin will take it along")
            else:
                requests.append(request(setup, intake, reached))
        if troubles and not requests:
            raise SourceError("; ".join(troubles))
        reason = None if requests else "; ".join(notes)
        return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=json.dumps(now))

    return sense


def waiting(instance: dg.DagsterInstance, intake: Intake) -> bool:
    """Whether a run for this source's orders was asked for and has not begun. Looked up after the source, so
    whatever was seen there is there for that run as well."""
    begun = dg.DagsterRunStatus
    statuses = [begun.NOT_STARTED, begun.QUEUED, begun.STARTING]
    mine = dg.RunsFilter(job_name=FOLLOW, statuses=statuses, tags={SOURCE: intake.name})
    return instance.get_runs_count(mine) > 0


def look(setup: Setup, intake: Intake, seen: Any) -> Reached | str:
    """How far the source reaches now, or why that is no reason to run. A table without a cursor cannot be
    asked, and waits for the night."""
    held = setup.project.warehouse.names()
    if missing := [table for table in watched(intake) if intake.raw(table) not in held]:
        return f"{intake.name}: {', '.join(missing)} never pulled; run the job refresh_base first"
    pulled = dict(kept(setup, intake))
    asked = {table: intake.tables[table].pull(pulled.get(table)) for table in watched(intake)}
    reached = {table: intake.source.reached(pull) for table, pull in asked.items()}
    return f"{intake.name}: nothing new" if reached == (seen or pulled) else reached


def kept(setup: Setup, intake: Intake) -> Iterator[tuple[str, Any]]:
    """How far the last pull of each table reached, as the rows themselves say."""
    for table in watched(intake):
        yield table, state(setup.project.warehouse, intake.raw(table), intake.tables[table])


def request(setup: Setup, intake: Intake, reached: Reached) -> dg.RunRequest:
    """A run of what this source's orders touch; the same state of the source asks for one run only."""
    others = {
        keys.raw(other, table)
        for other in setup.project.intakes.values()
        for table in other.tables
        if other.name != intake.name
    }
    said = json.dumps(reached, sort_keys=True)
    return dg.RunRequest(
        run_key=f"{intake.name}-{hashlib.sha256(said.encode()).hexdigest()[:16]}",
        asset_selection=[key for key in touched(setup.project) if key not in others],
        tags={SOURCE: intake.name},
    )
