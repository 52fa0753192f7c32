"""A whole small world for a story: a project with one sync, a table to read, a sandbox to deliver to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from connectors.sandbox.server import Sandbox
from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.delivery.plan import ORDINARY, Options, Plan
from octo_dagster.run import Report, carry_out, prepare
from octo_dagster.sync import Sync
from tests.vendors.examinee import Examinee

SCHEMA = pa.schema(
    {
        "customer_id": pa.string(),
        "email": pa.string(),
        "segment": pa.string(),
        "orders": pa.int64(),
        "revenue": pa.decimal128(18, 2),
        "consent": pa.bool_(),
    }
)


def row(number: int, **changed: Any) -> dict[str, Any]:
    """The n-th customer, with whatever is said otherwise."""
    return {
        "customer_id": f"c{number}",
        "email": f"customer{number}@example.com",
        "segment": ["best", "new", "lost"][number % 3],
        "orders": number,
        "revenue": None,
        "consent": True,
    } | changed


@dataclass
class World:
    """A project folder, its sandbox and one sync called `customers`."""

    folder: Path
    sandbox: Sandbox
    vendor: str = "webhook"
    said: dict[str, Any] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    pace_store: Path | None = None
    """Where calls are counted; None counts them in memory."""

    @property
    def project(self) -> Project:
        """Loaded anew each time, as a new process would."""
        return Project(self.folder, self.folder / ".octo")

    @property
    def sync(self) -> Sync:
        return self.project.sync("customers")

    @property
    def around(self) -> Surroundings:
        return Surroundings(self.pace_store, self.sandbox.address, self.slept.append)

    def say(self, **changed: Any) -> World:
        """Write the sync's file, with these keys changed from what it said before."""
        self.said |= changed
        path = self.folder / "assets" / "syncs" / "customers.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(self.said, allow_unicode=True))
        return self

    def have(self, rows: Sequence[Mapping[str, Any]]) -> World:
        """Make the customer profile hold these rows."""
        self.project.warehouse.replace("customer_profile", pa.Table.from_pylist(list(rows), SCHEMA))
        return self

    def plan(self, options: Options = ORDINARY) -> Plan:
        return prepare(self.sync, self.project, options, self.around)

    def deliver(self, options: Options = ORDINARY, allow: bool = False) -> Report:
        """Plan and deliver, as one run does; `allow` is a person's word for whatever plan it is."""
        plan = self.plan(options)
        return carry_out(plan, self.sync, self.project, plan.id if allow else None, self.around)

    def holdings(self, table: str) -> dict[str, dict[str, Any]]:
        """What the twin holds: key → row."""
        rows = self.sandbox.twin(self.vendor).holdings().get(table, [])
        return {str(found["key"]): dict(found) for found in rows}


FIELDS = [
    {"from": "segment", "to": "segment", "nulls": "clear"},
    {"from": "orders", "to": "orders"},
    {"from": "revenue", "to": "revenue"},
]


def world(folder: Path, sandbox: Sandbox, examinee: Examinee, **said: Any) -> World:
    """A world whose sync delivers to this examinee's vendor."""
    made = World(folder, sandbox, examinee.name)
    made.say(
        **{
            "reads": "customer_profile",
            "destination": dict(examinee.settings),
            "key": {"from": "email", "to": examinee.key_field},
            "fields": FIELDS,
        }
        | said
    )
    return made
