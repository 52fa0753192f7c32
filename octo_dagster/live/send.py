"""What was touched, to one tool: a plan of those customers alone, carried out.

How far a tool has been told is kept in a file, moved on only when everything that was planned was accepted or
refused row by row. So a run that stops anywhere leaves its customers owed to the next.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.delivery.mapping import compiled
from octo_dagster.delivery.plan import Options
from octo_dagster.delta import scan
from octo_dagster.live.follow import Followed
from octo_dagster.live.touched import among, put
from octo_dagster.run import Report, carry_out, prepare, surroundings
from octo_dagster.sync import Sync

HURRY = 20.0
"""Seconds to wait at most for a tool's quota, for all who wait behind it."""
PATIENCE = 60.0
"""Seconds to watch a tool's job at most, likewise."""

MOST = 20_000
"""Keys beyond which every customer is compared, as at night."""


def send(
    project: Project,
    sync: Sync,
    followed: Followed,
    around: Surroundings | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report | None:
    """Plan and deliver what changed of the customers touched by this run and by those whose delivery failed;
    None when there is nobody. Raises what `carry_out` raises: whoever is not delivered stays owed."""
    told = Told(project.home / "live" / f"{sync.name}.json")
    version = project.warehouse.existing(sync.reads)
    customers = {*followed.customers, *owed(project, sync, told.version())}
    keys = keys_of(project, sync, customers) if customers else ()
    if not keys:
        return None
    options = Options(near=tuple(sorted(keys))) if len(keys) <= MOST else Options()
    hurried = in_a_hurry(around or surroundings(project))
    plan = prepare(sync, project, options, hurried)
    report = carry_out(plan, sync, project, around=hurried, progress=progress)
    if report.exit_code in (0, 4):
        told.keep(min(version, plan.version))
    return report


def in_a_hurry(around: Surroundings) -> Surroundings:
    """The same, but no tool keeps the others waiting: what it cannot take now stays owed."""
    return replace(around, queue=min(HURRY, around.queue), patience=min(PATIENCE, around.patience))


def owed(project: Project, sync: Sync, since: int) -> set[str]:
    """The customers of whom the sync's table got a row after a version and since the night."""
    rows = project.warehouse.live(sync.reads, since)
    return set(rows.column("customer_id").to_pylist()) if "customer_id" in rows.column_names else set()


def keys_of(project: Project, sync: Sync, customers: Collection[str]) -> set[str]:
    """The keys, as they are compared, of every row these customers have or had since the night: whoever
    changed his address is found under the old one too, to be removed there."""
    warehouse = project.warehouse
    schema = warehouse.schema(sync.reads)
    if "customer_id" not in schema.names:
        return set()
    key = compiled(sync, schema).key
    files = warehouse.files(sync.reads)
    with warehouse.connect(only=()) as connection:
        put(connection, "touched", "customer_id", customers)
        found = connection.sql(
            f"select distinct {key} from {scan(files)} where {among(connection, 'customer_id', 'touched')}"
        ).fetchall()
    return {key for (key,) in found if key}


class Told:
    """Up to which version of its table a tool has been told of touched customers."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def version(self) -> int:
        """The version; -1 when nothing is known, and everything since the night is owed."""
        return int(json.loads(self.path.read_text())["version"]) if self.path.exists() else -1

    def keep(self, version: int) -> None:
        """Remember it, in one piece."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        draft.write_text(json.dumps({"version": version}))
        draft.replace(self.path)
