"""Text cases of scenarios: tables in, several runs, and everybody's enrolments after each.

As `scoring_cases`, with a second part, `scenarios:` and `runs:` (the days, in order), and the expected rows of
`scenario_enrolments` after each run. A table `later DAY orders` holds rows that come in before the run of DAY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from octo_dagster.scenarios.enrolment import Report, advance
from octo_dagster.scenarios.scenario import Scenario
from octo_dagster.scoring import profile
from octo_dagster.warehouse import Warehouse
from tests.scoring_cases import Given, Spelled, arrow, cells, named, spelled, tables_in

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Story:
    """One file: what is given, what runs, and what must be there after each run."""

    tables: Given
    scenarios: Mapping[str, Mapping[str, Any]]
    runs: tuple[date, ...]
    columns: tuple[str, ...]
    rows: Spelled


def read(path: Path) -> Story:
    """The story a file holds."""
    given, then, expected = path.read_text("utf-8").split("----\n")
    told = yaml.safe_load(then)
    header, *rows = cells(expected.splitlines())
    return Story(tables_in(given), told["scenarios"], tuple(told["runs"]), tuple(header), named(header, rows))


def scenarios_of(told: Mapping[str, Mapping[str, Any]]) -> list[Scenario]:
    return [Scenario.model_validate({"name": name, **fields}) for name, fields in told.items()]


def run(
    warehouse: Warehouse, tables: Given, scenarios: Sequence[Scenario], as_of: date
) -> tuple[Report, Rows]:
    """One run over these tables: its report, and all enrolments after it."""
    fill(warehouse, tables)
    return run_again(warehouse, scenarios, as_of)


def run_again(warehouse: Warehouse, scenarios: Sequence[Scenario], as_of: date) -> tuple[Report, Rows]:
    """One run over the tables there are."""
    report = advance(warehouse, scenarios, profile.profile_sql((), as_of), as_of)
    return report, table(warehouse, "scenario_enrolments")


def fill(warehouse: Warehouse, tables: Given) -> None:
    """Make the warehouse hold these tables, and orders if none are given."""
    for name, rows in {"orders": (), **tables}.items():
        warehouse.replace(name, arrow(name, rows))


def table(warehouse: Warehouse, name: str) -> Rows:
    """All rows of a table, in the order they are kept in."""
    with warehouse.connect() as connection:
        found: Rows = connection.sql(f'select * from "{name}"').to_arrow_table().to_pylist()
    return found


def known(tables: Given, as_of: date) -> Given:
    """The tables as they are on the day: with the `later` rows that have come in."""
    there = {name: list(rows) for name, rows in tables.items() if not name.startswith("later ")}
    for name, rows in tables.items():
        if name.startswith("later ") and date.fromisoformat(name.split()[1]) <= as_of:
            there[name.split()[2]] += rows
    return there


def told(story: Story, root: Path) -> Spelled:
    """What the story's runs give, in the words of a case file."""
    warehouse, scenarios = Warehouse(root), scenarios_of(story.scenarios)
    rows: Spelled = []
    for as_of in story.runs:
        _, enrolments = run(warehouse, known(story.tables, as_of), scenarios, as_of)
        rows += spelled([{"run": as_of, **row} for row in enrolments], story.columns)
    return rows
