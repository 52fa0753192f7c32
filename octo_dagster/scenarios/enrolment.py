"""Who is in which scenario, and how far: worked out day by day from the day before, never by hand.

`scenario_enrolments` is the memory: one row for every time a customer entered a scenario. A run starts from
the table as it stood before its day, so that running twice on one day does nothing twice; a run for a day
before the newest leaves everything as it is. A step comes on its day, counted from entering: days without a
run are caught up with, the customer then being at the last step that is due. What a step does is settled
on the day it is first seen, except that a consent that is withdrawn ends it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import duckdb

from octo_dagster.delta import quoted
from octo_dagster.scenarios.followed import scenario_state, scenario_uplift
from octo_dagster.scenarios.journey import lay_out, look_up, move, with_events
from octo_dagster.scenarios.scenario import Scenario, in_order
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.measures.inbox import ALL_TYPES, EventTypes
from octo_dagster.warehouse import Warehouse
from octo_dagster.words import Language

TABLE = "scenario_enrolments"

COLUMNS = {
    "scenario": "varchar",
    "customer_id": "varchar",
    "entered_on": "date",
    "holdout": "boolean",  # followed, and left alone
    "measured_days": "bigint",  # purchases within so many days of entering are compared
    "last_order_at": "timestamp",  # as known on entering: what is later stops it, if it came in late too
    "last_unsubscribe_at": "timestamp",
    "step": "bigint",  # the last one that was due; 0 before the first, and in the holdout
    "step_on": "date",  # the day it was due
    "action": "varchar",  # the channel it uses; null if it was left out
    "action_name": "varchar",
    "skipped": "varchar",  # why it was left out
    "actions": "bigint",  # steps so far that did something
    "next_action_on": "date",
    "left_on": "date",
    "left_because": "varchar",  # bought · unsubscribed · finished · gone · removed
}
"""The columns of `scenario_enrolments` and their DuckDB types."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What one run did in one scenario. Holdout customers are among `entered` and `enrolled`."""

    scenario: str
    enrolled: int
    """Customers in it now."""
    holdout: int
    """Of them, those who get no step."""
    entered: int
    left: Mapping[str, int]
    """Reason → customers who left in this run."""
    actions: Mapping[str, int]
    """Channel → customers whose step of this run uses it."""
    skipped: Mapping[str, int]
    """Reason → customers whose step of this run was left out."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one run did. With `left_alone` nothing was written: it says why."""

    as_of: date
    version: int
    """Of `scenario_enrolments`."""
    scenarios: tuple[Moved, ...]
    left_alone: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "as_of": self.as_of.isoformat()}


@dataclass(frozen=True, slots=True)
class Words:
    """What the project calls things."""

    language: Language = "en"
    """Of the verdicts of `scenario_uplift`."""
    event_types: EventTypes = ALL_TYPES
    """What its sources call an unsubscription: the setting of `marketing_pressure`."""


DEFAULT = Words()


def advance(
    warehouse: Warehouse, scenarios: Sequence[Scenario], base: str, as_of: date, words: Words = DEFAULT
) -> Report:
    """Bring every customer's scenario to the end of `as_of`; call it after the scores, before the profile.

    `base`: a DuckDB select over the warehouse's tables, one row per customer, holding the columns of
    `customers` and of all scores with one row per customer (`profile.profile_sql(scores, as_of)`). Also
    reads `orders` and, if there, `message_events`. Writes `scenario_enrolments` (the history) and, from it,
    the tables of two scores: `followed.scenario_state` (one row per customer now in a scenario, for the
    profile) and `followed.scenario_uplift`. ConfigError, with nothing written, when a rule is wrong."""
    before, newest = start(warehouse, as_of)
    if newest is not None and newest > as_of.isoformat():
        why = f"the scenarios stand at {newest}: a run for {as_of} does not rewrite what came after"
        return Report(as_of, warehouse.existing(TABLE), (), why)
    with warehouse.connect({TABLE: before} if before is not None else None) as connection:
        if before is None:
            connection.execute(f"drop view if exists {TABLE}; create temp table {TABLE} ({declared()})")
        lay_out(connection, scenarios)
        with_events(connection, "message_events" in warehouse.names(), words.event_types, as_of)
        look_up(connection, scenarios, base, as_of)
        move(connection, as_of)
        removed = counted(connection, "scenario from stood where left_because = 'removed'")
        moved = tuple(moves(connection, name) for name in (*(s.name for s in in_order(scenarios)), *removed))
        listed = ", ".join(COLUMNS)
        rows = connection.sql(f"select {listed} from moved order by customer_id, entered_on, scenario")
        note = {"as_of": as_of.isoformat(), "before": before}
        version = warehouse.replace(TABLE, rows.to_arrow_reader(), note)
    scoring.run(scenario_state, warehouse, as_of)
    scoring.run(scenario_uplift, warehouse, as_of, {"language": words.language})
    return Report(as_of, version, moved)


def start(warehouse: Warehouse, as_of: date) -> tuple[int | None, str | None]:
    """The version to start from, the last one before the day; and the day of the newest version."""
    newest = warehouse.version(TABLE)
    if newest is None:
        return None, None
    note = warehouse.note(TABLE, newest)
    same_day = note["as_of"] == as_of.isoformat()
    return (note["before"] if same_day else newest), note["as_of"]


def declared() -> str:
    return ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())


def moves(connection: duckdb.DuckDBPyConnection, scenario: str) -> Moved:
    """What the run did in one scenario."""
    mine = f"and scenario = {quoted(scenario)}"
    enrolled = counted(connection, f"holdout from moved where left_on is null {mine}")
    return Moved(
        scenario,
        sum(enrolled.values()),
        enrolled.get(True, 0),
        sum(counted(connection, f"scenario from entering where true {mine}").values()),
        counted(connection, f"left_because from stood where left_on is not null {mine}"),
        counted(connection, f"action from moved where fresh {mine}"),
        counted(connection, f"skipped from moved where fresh {mine}"),
    )


def counted(connection: duckdb.DuckDBPyConnection, what: str) -> dict[Any, int]:
    """How often each value that is not null occurs, sorted."""
    name = what.split(maxsplit=1)[0]
    query = f"select {name}, count(*) from (select {what}) where {name} is not null group by all order by all"
    return dict(connection.sql(query).fetchall())
