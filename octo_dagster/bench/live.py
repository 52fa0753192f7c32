"""From an order's commit in the shop's PostgreSQL to the column read back from a vendor, by the Dagster
daemon.

The shop and the sandbox are processes of their own; Dagster's real daemon runs this project with
`assets/dagster.yaml`. An order is committed at a random moment, the column `ORDERS` of that customer's
contact at Brevo is asked for every 50 ms until it has grown, and Dagster's and the ledger's own times
say where the time went: *seen* by the sensor, *launched*, *computed* to the profile, *planned*,
*delivered* and read back. A burst is 1,000 orders in a minute, none of which waits for another.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median

import dagster as dg
import psycopg
import requests
import sqlalchemy as sa
from dagster._core.scheduler.instigation import TickStatus

from assets.live.follow import FOLLOW
from connectors.sources.sql import trigger
from octo_dagster.bench import stage
from octo_dagster.bench.figure import Figure
from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import RUNS
from octo_dagster.demo.shop import Shop
from octo_dagster.demo.stay import end
from octo_dagster.demo.walk import CREDENTIALS, TOOLS
from octo_dagster.refresh import refresh
from octo_dagster.run import carry_out, new_run, prepare

ROOT = Path(__file__).parents[2]
SYNC = "brevo_contacts"
STEPS = ("seen", "launched", "computed", "planned", "delivered")
BUYERS = """select cast(customer_id as bigint) from customer_profile
    where email_consent and orders > 0 order by 1"""
LOST = 120.0
"""Seconds after which an order counts as lost."""


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """The demo's shop. Small: few orders, and no burst worth the name."""
    orders, burst, seconds = (3, 20, 2.0) if small else (20, 1_000, 60.0)
    with opened(folder) as world:
        took = [world.one_order() for _ in range(orders)]
        title = f"{world.customers():,} customers"
        yield from told(title, took)
        yield from world.burst(burst, seconds)


def told(title: str, took: Sequence[dict[str, float]]) -> Iterator[Figure]:
    """What half of the orders, and nineteen of twenty, took at most; and where the time went."""
    whole = sorted(sum(one.values()) for one in took)
    late = whole[min(len(whole) - 1, round(0.95 * len(whole)) - 1)]
    yield Figure(f"{title}: order to column, p50", median(whole), "s", "allowed", 3.0, 1.0)
    yield Figure(f"{title}: order to column, p95 of {len(whole)}", late, "s", "allowed", 6.0, 1.0)
    for step in STEPS:
        mine = [one[step] for one in took]
        yield Figure(f"{title}: {step}, p50", median(mine), "s", "the longest", max(mine))


@dataclass
class World:
    """A shop, a sandbox, and a daemon that follows one into the other."""

    shop: Shop
    project: Project
    sandbox: str
    instance: dg.DagsterInstance
    chance: random.Random

    def customers(self) -> int:
        return self.project.warehouse.table("customers").count()

    def held(self, household: int) -> int:
        """How many orders Brevo shows of a household."""
        address = f"{self.sandbox}/brevo/v3/contacts/household-{household}@example.com"
        key = {"api-key": CREDENTIALS["BREVO_API_KEY"]}
        return int(requests.get(address, headers=key, timeout=60).json()["attributes"].get("ORDERS") or 0)

    def households(self) -> list[int]:
        """Those who buy and agreed to be written to."""
        with self.project.warehouse.connect(only=["customer_profile"]) as connection:
            rows = connection.sql(BUYERS).fetchall()
        return [int(row[0]) for row in rows]

    def one_order(self) -> dict[str, float]:
        """Step → seconds it took, for an order placed at a random moment."""
        time.sleep(self.chance.uniform(2, 6))
        household = self.chance.choice(self.households())
        before = self.held(household)
        self.shop.place_order(household, Decimal("20.00"), now())
        committed = time.time()
        self.until(lambda: self.held(household) > before, f"the order of household {household}")
        return self.steps(committed, time.time())

    def until(self, there: Callable[[], bool], what: str) -> None:
        end = time.time() + LOST
        while not there():
            if time.time() > end:
                raise RuntimeError(f"{what} is lost")
            time.sleep(0.05)

    def steps(self, committed: float, ended: float) -> dict[str, float]:
        """Where the time went, as Dagster and the ledger tell."""
        run = self.run_of(committed).dagster_run.run_id
        self.until(lambda: self.finished(run), "the end of the run")
        record = self.run_of(committed)
        (step,) = self.instance.get_run_step_stats(run, ["follow"])
        told = (
            record.create_timestamp.timestamp(),
            record.start_time,
            step.end_time,
            self.planned(committed),
        )
        moments = [committed]
        for moment in (*told, ended):  # a run that had begun just before the order may take it along
            moments.append(max(moments[-1], float(moment or 0)))
        return {name: b - a for name, a, b in zip(STEPS, moments[:-1], moments[1:], strict=True)}

    def run_of(self, moment: float) -> dg.RunRecord:
        """The first run of the live lane that was not over at a moment."""
        runs = self.instance.get_run_records(dg.RunsFilter(job_name=FOLLOW), limit=5)
        return [run for run in runs if (run.end_time or moment) >= moment][-1]

    def finished(self, run: str) -> bool:
        record = self.instance.get_run_by_id(run)
        return record is not None and record.is_finished

    def runs(self, since: float) -> Sequence[dg.RunRecord]:
        """The runs of the live lane that were asked for since then."""
        asked = dg.RunsFilter(job_name=FOLLOW, created_after=datetime.fromtimestamp(since, UTC))
        return self.instance.get_run_records(asked)

    def planned(self, since: float) -> float:
        """When the first delivery after a moment had its plan."""
        moment = datetime.fromtimestamp(since, UTC).replace(tzinfo=None)
        began = sa.func.min(RUNS.c.started_at).label("began")
        (row,) = self.project.ledger.read(
            sa.select(began).where(RUNS.c.sync == SYNC, RUNS.c.started_at >= moment)
        )
        return float(row["began"].replace(tzinfo=UTC).timestamp())

    def burst(self, orders: int, seconds: float) -> Iterator[Figure]:
        """Orders one after another, waiting for none; every one must be in Brevo's figures in the end."""
        since, households = time.time(), self.households()
        chosen = [self.chance.choice(households) for _ in range(orders)]
        wanted = {one: self.held(one) + count for one, count in Counter(chosen).items()}
        for number, household in enumerate(chosen):
            time.sleep(max(0.0, since + number * seconds / orders - time.time()))
            self.shop.place_order(household, Decimal("20.00"), now())
        placed = time.time()
        for household, count in wanted.items():
            self.until(lambda: self.held(household) >= count, f"an order of household {household}")  # noqa: B023
        title = f"burst of {orders:,} orders in {placed - since:.0f} s"
        off = sum(self.held(household) != count for household, count in wanted.items())
        yield Figure(f"{title}: customers not as they should be", off, "", "customers", len(wanted), 0.0)
        yield Figure(f"{title}: runs", len(self.runs(since)), "", "orders", orders, 0.05)
        yield Figure(
            f"{title}: last column after the last order", time.time() - placed, "s", "allowed", 15.0, 1.0
        )


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@contextmanager
def opened(folder: Path) -> Iterator[World]:
    """Everything up and quiet: the shop loaded, both tools filled, the daemon waiting for an order."""
    with ExitStack() as stack:
        shop = stack.enter_context(Shop(folder / "shop", until=now()))
        sandbox, _ = stack.enter_context(stage.sandbox())
        told = {"SHOP_DATABASE_URL": shop.url, "OCTO_SANDBOX": sandbox, "OCTO_HOME": str(folder / "home")}
        os.environ.update(CREDENTIALS | told | {"OCTO_PROJECT": str(ROOT)})
        project = Project.here()
        fill(shop, project)
        instance = stack.enter_context(daemon(folder / "dagster"))
        yield World(shop, project, sandbox, instance, random.Random(5))


def fill(shop: Shop, project: Project) -> None:
    """The night before: every table, every score, every customer at both tools. And the trigger that
    rings."""
    with psycopg.connect(shop.url) as connection:
        connection.execute(trigger(["orders", "order_items"]))
    refresh(project, now(), new_run())
    for name in TOOLS:
        sync = project.sync(name)
        report = carry_out(prepare(sync, project), sync, project)
        if report.exit_code:
            raise RuntimeError(f"{name}: {report}")


@contextmanager
def daemon(home: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's daemon with our settings, once its sensor waits; ended with all its processes."""
    home.mkdir(parents=True)
    shutil.copyfile(ROOT / "assets" / "dagster.yaml", home / "dagster.yaml")
    os.environ |= {"DAGSTER_HOME": str(home), "OCTO_AUTOMATE": "1"}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")]
    with (home / "log").open("w") as log, dg.DagsterInstance.get() as instance:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for_sensor(instance, process)
            yield instance
        finally:
            end(process)


def wait_for_sensor(instance: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> None:
    """Return once a look has ended without news."""
    end = time.time() + LOST
    while time.time() < end and process.poll() is None:
        states = [one for one in instance.all_instigator_state() if one.name == "new_orders"]
        ticks = [t for one in states for t in instance.get_ticks(one.instigator_origin_id, one.selector_id)]
        if any(tick.status == TickStatus.SKIPPED for tick in ticks):
            return
        time.sleep(0.2)
    raise RuntimeError(f"the daemon did not look for orders; see {os.environ['DAGSTER_HOME']}/log")
