"""What a key can be for: the tables that are served, their columns, and what may be posted."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from octo_dagster.api.app import keys_of
from octo_dagster.api.events import SCOPE, streams
from octo_dagster.api.keys import EVERYTHING
from octo_dagster.api.syncs import CHANGES_TABLE, RUNS_TABLE
from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import CHANGELOG, RUNS
from octo_dagster.errors import ConfigError
from octo_dagster.serving.tables import Tables


def doubts(project: Project, wanted: Mapping[str, str | list[str]]) -> Iterator[str]:
    """What a key would be for that is not there yet. ConfigError for what never can be: a table that is not
    served, a column its table has not; a key for a misspelled one would be refused for ever."""
    for table, columns in wanted.items():
        there = offered(project, table)
        if there is None:
            yield f"{table}: there is no such table yet; its columns were not looked at"
            continue
        unknown = [name for name in columns if name not in there] if columns != EVERYTHING else []
        if unknown:
            known = ", ".join(there) or "none"
            raise ConfigError(f"--table: {table} has no {unknown[0]!r}; there is {known}")


def offered(project: Project, table: str) -> Collection[str] | None:
    """The columns of a table a key can be for; None while the table is not there. ConfigError for one that
    is never served."""
    ledger = {RUNS_TABLE: RUNS.c.keys(), CHANGES_TABLE: CHANGELOG.c.keys()}
    if table in ledger:
        return ledger[table]
    if table == SCOPE:
        return sorted(streams(project))
    tables = Tables(project.warehouse, keys_of(project))
    if table not in tables.keys:
        known = ", ".join(sorted([*tables.keys, *ledger, SCOPE]))
        raise ConfigError(f"--table: no table {table!r} is served; there are {known}")
    return tables.columns(table) if project.warehouse.version(table) is not None else None
