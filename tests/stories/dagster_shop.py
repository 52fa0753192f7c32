"""A small shop under Dagster: a SQLite database, RFM, one sync to the webhook's twin."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from assets.factory import definitions
from assets.resources import Setup
from connectors.sandbox.server import Sandbox
from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings

TODAY = datetime(2026, 4, 1, tzinfo=UTC)
DAY = "2026-03-31"
SCORES = Path(__file__).parents[2] / "assets" / "scores"

TABLES = """
    create table people (id text primary key, email text, first_name text, agreed text, changed integer);
    create table buys (id text primary key, who text, at text, total text, changed integer);
    create table items (buy text, position integer, product text, paid text, changed integer);
"""
SOURCE = {
    "source": {"type": "sql"},
    "max_rejected": "50%",
    "tables": {
        "customers": {
            "from": "people",
            "columns": {
                "customer_id": "id",
                "email": "email",
                "first_name": "first_name",
                "email_consent": "agreed",
            },
        },
        "orders": {
            "from": "buys",
            "cursor": "changed",
            "columns": {"order_id": "id", "customer_id": "who", "ordered_at": "at", "net_amount": "total"},
        },
        "order_lines": {
            "from": "items",
            "cursor": "changed",
            "columns": {
                "order_id": "buy",
                "line_no": "position",
                "product_id": "product",
                "net_amount": "paid",
            },
        },
    },
}
SYNC = {
    "description": "RFM for the people who write to customers",
    "destination": {
        "type": "webhook",
        "url": "https://hooks.example.com/octo",
        "secret": {"env": "WEBHOOK_SECRET"},
        "readable": True,
    },
    "mode": "mirror",
    "key": {"from": "email", "to": "email"},
    "fields": [
        {"from": "rfm_segment", "to": "segment", "nulls": "clear"},
        {"from": "orders", "to": "orders"},
        {"from": "revenue", "to": "revenue"},
        {"template": "{first_name} ({orders})", "to": "greeting"},
        {"constant": "Octo", "to": "by"},
    ],
    "guards": {"max_changed": "100%"},  # of eight customers, half are soon changed
    "verify": 1.0,
    "owners": ["team:crm"],
}


@dataclass
class Shop:
    """A project folder with a database beside it, its sandbox, and Dagster's memory of it."""

    folder: Path
    sandbox: Sandbox
    instance: dg.DagsterInstance
    said: dict[str, Any] = field(default_factory=dict)
    pause: float = 30
    """Seconds before what failed is tried again."""

    @property
    def project(self) -> Project:
        """Loaded anew each time, as a new process would."""
        return Project(self.folder, self.folder / ".octo")

    @property
    def setup(self) -> Setup:
        around = Surroundings(sandbox=self.sandbox.address, sleep=lambda seconds: None)
        return Setup(self.project, around, lambda: TODAY, as_of=DAY, pause=self.pause, patience=0)

    @property
    def definitions(self) -> dg.Definitions:
        return definitions(self.setup)

    def open(self, customers: int) -> Shop:
        """Write the project's files and fill the database: customer n bought n times, on n days."""
        (self.folder / "assets" / "scores").mkdir(parents=True)
        shutil.copy(SCORES / "rfm.py", self.folder / "assets" / "scores")
        url = f"sqlite:///{self.folder / 'shop.sqlite'}"
        self.write("sources/shop", {**SOURCE, "source": {"type": "sql", "url": url}})
        self.say(**SYNC)
        with closing(sqlite3.connect(self.folder / "shop.sqlite")) as database:
            database.executescript(TABLES)
        self.join(range(1, customers + 1))
        for number in range(1, customers + 1):
            self.buy(number, *(f"2026-01-{number + i:02d}" for i in range(number)))
        return self

    def write(self, name: str, said: dict[str, Any]) -> None:
        path = self.folder / "assets" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(said, allow_unicode=True))

    def say(self, **changed: Any) -> None:
        """Write the sync's file, with these keys changed from what it said before."""
        self.said |= changed
        self.write("syncs/letters", self.said)

    def sql(self, statement: str, rows: Iterable[Sequence[Any]] = ((),)) -> None:
        with closing(sqlite3.connect(self.folder / "shop.sqlite")) as database, database:
            database.executemany(statement, list(rows))

    def join(self, numbers: Iterable[int]) -> None:
        """New customers."""
        people = [(f"c{n}", address(n), f"Name{n}", "yes", n) for n in numbers]
        self.sql("insert into people values (?, ?, ?, ?, ?)", people)

    def buy(self, customer: int, *days: str, total: str = "10.00") -> None:
        """New orders, one a day, each of one line."""
        with closing(sqlite3.connect(self.folder / "shop.sqlite")) as database:
            first = database.execute("select count(*) from buys").fetchone()[0] + 1
        numbered = [(f"o{first + i}", first + i, day) for i, day in enumerate(days)]
        self.sql(
            "insert into buys values (?, ?, ?, ?, ?)",
            [(order, f"c{customer}", day, total, changed) for order, changed, day in numbered],
        )
        self.sql(
            "insert into items values (?, 1, 'p1', ?, ?)",
            [(order, total, changed) for order, changed, _ in numbered],
        )

    def run(
        self, job: str, only: Sequence[dg.AssetKey] | None = None, **config: dict[str, Any]
    ) -> dg.ExecuteInProcessResult:
        """Run a job, or part of it; `letters_plan={...}` is the run config of an asset."""
        return run(self.setup, self.instance, job, only, **config)

    def obey(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """The run a sensor asks for."""
        job = self.definitions.resolve_job_def("follow_orders")
        return job.execute_in_process(
            instance=self.instance, run_config=request.run_config, tags=request.tags, raise_on_error=False
        )

    @property
    def held(self) -> dict[str, dict[str, Any]]:
        """What the tool holds: address → fields."""
        rows = self.sandbox.twin("webhook").holdings().get("octo", [])
        return {str(row["key"]): {k: v for k, v in row.items() if k != "key"} for row in rows}

    def profile(self, column: str) -> dict[str, Any]:
        """What the profile says: address → value."""
        with self.project.warehouse.connect() as connection:
            rows = connection.sql(f"select email, {column} from customer_profile").fetchall()
        return dict(rows)


PLAN = dg.AssetKey(["letters_plan"])
DELIVERY = dg.AssetKey(["letters_delivery"])


def run(
    setup: Setup,
    instance: dg.DagsterInstance,
    job: str,
    only: Sequence[dg.AssetKey] | None = None,
    **config: dict[str, Any],
) -> dg.ExecuteInProcessResult:
    """Run a job, or part of it, in this process; a step that fails is in the result."""
    said = {"ops": {name: {"config": values} for name, values in config.items()}}
    return (
        definitions(setup)
        .resolve_job_def(job)
        .execute_in_process(instance=instance, run_config=said, asset_selection=only, raise_on_error=False)
    )


def address(number: int) -> str:
    return f"customer{number}@example.com"


def checks(result: dg.ExecuteInProcessResult) -> dict[str, tuple[bool, str]]:
    """Check → whether it passed, and how severe it is."""
    return {
        e.check_name: (e.passed, e.severity.value)
        for e in sorted(result.get_asset_check_evaluations(), key=lambda e: -e.passed)  # a red one is shown
    }


def metadata(result: dg.ExecuteInProcessResult, key: dg.AssetKey) -> dict[str, Any]:
    """What the asset's materialisation says."""
    (event,) = [e for e in result.get_asset_materialization_events() if e.asset_key == key]
    return dict(event.materialization.metadata)


def failure(result: dg.ExecuteInProcessResult) -> str:
    """Why the first step that failed did."""
    event = next(e for e in result.all_events if e.is_step_failure)
    data = event.step_failure_data
    said = data.user_failure_data.description if data.user_failure_data else None
    return str(said or data.error)
