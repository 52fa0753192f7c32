"""A shop, both tools' sandbox, and Dagster's real daemon that follows one into the other."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import dagster as dg
import psutil
import psycopg
import requests
import sqlalchemy as sa
from dagster._core.scheduler.instigation import TickStatus

from assets.live.follow import FOLLOW
from connectors.sources.sql import trigger
from octo_dagster.bench import stage
from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import RUNS
from octo_dagster.delivery.pace import Lane, bucket
from octo_dagster.demo.shop import Shop
from octo_dagster.demo.stay import end
from octo_dagster.demo.walk import CREDENTIALS, TOOLS
from octo_dagster.destination import Rate
from octo_dagster.refresh import refresh
from octo_dagster.run import carry_out, new_run, prepare

ROOT = Path(__file__).parents[2]
SYNC = "brevo_contacts"
STEPS = ("seen", "launched", "computed", "planned", "delivered")
BUYERS = """select cast(customer_id as bigint) from customer_profile
    where email_consent and orders > 0 order by 1"""
TWIN = """from collections import deque; brevo = sandbox.twin("brevo"); \
    brevo.job_polls = 0; brevo.bodies = deque((), 0); import gc; gc.disable()"""
"""Said to the sandbox. An import is over at the first look, of which Brevo allows a hundred an hour and the
night before would use up more; what is written is not kept, which only tests read; and Python does not walk
a million contacts for a second or two, looking for garbage, in the middle of an answer."""
LOOK = 0.05
"""Seconds between two looks at what a vendor holds."""
LOST = 120.0
"""Seconds without any progress after which an order counts as lost."""


class Lost(RuntimeError):
    """Something that was waited for did not come; the message says what is under way instead."""


@dataclass
class World:
    """Everything up and quiet until an order comes."""

    shop: Shop
    project: Project
    sandbox: str
    instance: dg.DagsterInstance
    daemon: psutil.Process
    patience: float = LOST
    chance: random.Random = field(default_factory=lambda: random.Random(5))
    link: requests.Session = field(default_factory=requests.Session)
    households: list[int] = field(init=False)
    """Those who buy and agreed to be written to."""

    def __post_init__(self) -> None:
        with self.project.warehouse.connect(only=["customer_profile"]) as connection:
            self.households = [int(row[0]) for row in connection.sql(BUYERS).fetchall()]

    def customers(self) -> int:
        return self.project.warehouse.table("customers").count()

    def held(self, household: int) -> int:
        """How many orders Brevo shows of a household."""
        address = f"{self.sandbox}/brevo/v3/contacts/household-{household}@example.com"
        key = {"api-key": CREDENTIALS["BREVO_API_KEY"]}
        return int(self.link.get(address, headers=key, timeout=60).json()["attributes"].get("ORDERS") or 0)

    def order(self, household: int) -> None:
        self.shop.place_order(household, Decimal("20.00"), now())

    def one_order(self) -> dict[str, float]:
        """Step → seconds it took, for an order placed at a random moment. Lost when it never arrives."""
        time.sleep(self.chance.uniform(2, 6))
        household = self.chance.choice(self.households)
        before, since = self.held(household), time.time()
        self.order(household)
        committed = time.time()
        self.until(lambda: self.held(household) > before, "an order", since)
        return self.steps(committed, time.time())

    def until(self, there: Callable[[], bool], what: str, since: float) -> None:
        """Wait for it. Lost when it takes too long, with what the runs since then say."""
        end = time.time() + self.patience
        while not there():
            if time.time() > end:
                raise Lost(f"{what} is lost after {self.patience:g} s: {'; '.join(self.words(since))}")
            time.sleep(LOOK)

    def steps(self, committed: float, ended: float) -> dict[str, float]:
        """Where the time went, as Dagster and the ledger tell."""
        run = self.run_of(committed).dagster_run.run_id
        self.until(lambda: self.finished(run), "the end of the run", committed)
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
        """The runs of the live lane that were asked for since then, newest first."""
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

    def words(self, since: float) -> list[str]:
        """What became of each run since then, and which of the tool's quotas is used up."""
        told = [self.word(record) for record in self.runs(since)]
        full = [self.spent(rate) for rate in self.quotas() if self.calls(*rate) >= rate[1].calls]
        return (told or ["no run was asked for"]) + full

    def word(self, record: dg.RunRecord) -> str:
        """A run's status; of one that failed why, of one under way in which step and since when."""
        run, stats = record.dagster_run, self.instance.get_run_step_stats(record.dagster_run.run_id)
        if not run.is_finished:
            inside = next((one.step_key for one in stats if one.end_time is None), "no step")
            since = time.time() - record.create_timestamp.timestamp()
            return f"{run.status.value} for {since:.0f} s, in {inside}"
        failed = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        errors = [one.dagster_event.step_failure_data.error for one in failed if one.dagster_event]
        why = [(error.cause or error).message.strip().splitlines()[0] for error in errors if error]
        return ": ".join([run.status.value, *why])

    def quotas(self) -> list[tuple[int, Rate]]:
        """The rates by which Octo paces its calls to Brevo, each with its number."""
        return list(enumerate(self.project.sync(SYNC).destination.rates))

    def calls(self, number: int, rate: Rate) -> int:
        """The calls a rate counts now."""
        name = f"{self.project.sync(SYNC).destination.type}_{number}"
        lane = Lane(rate, bucket(rate, self.project.home / "pace.sqlite", name))
        try:
            lane.bucket.leak(lane.bucket.now())  # type: ignore[no-untyped-call]
            return int(lane.bucket.count())  # type: ignore[arg-type] # ours is no asynchronous one
        finally:
            lane.limiter.close()

    def spent(self, numbered: tuple[int, Rate]) -> str:
        rate = numbered[1]
        return f"the quota of {rate.calls:,} calls in {rate.seconds:g} s ({rate.paths}) is used up"


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


@contextmanager
def opened(folder: Path, shop: Shop, progress: Callable[[str], None] = lambda step: None) -> Iterator[World]:
    """Everything up and quiet: the shop loaded, both tools filled, the daemon waiting for an order."""
    with ExitStack() as stack:
        stack.enter_context(shop)
        sandbox, _ = stack.enter_context(stage.sandbox(TWIN))
        told = {"SHOP_DATABASE_URL": shop.url, "OCTO_SANDBOX": sandbox, "OCTO_HOME": str(folder / "home")}
        os.environ.update(CREDENTIALS | told | {"OCTO_PROJECT": str(ROOT)})
        project = Project.here()
        fill(shop, project, progress)
        for used in project.home.glob(
            "pace.sqlite*"
        ):  # the night, and what it used of a quota, is hours past
            used.unlink()
        instance, process = stack.enter_context(daemon(folder / "dagster"))
        yield World(shop, project, sandbox, instance, process)


def fill(shop: Shop, project: Project, progress: Callable[[str], None] = lambda step: None) -> None:
    """The night before: every table, every score, every customer at both tools. And the trigger that
    rings."""
    with psycopg.connect(shop.url) as connection:
        connection.execute(trigger(["orders", "order_items"]))
    refresh(project, now(), new_run(), progress=progress)
    for name in TOOLS:
        progress(f"deliver {name}")
        sync = project.sync(name)
        report = carry_out(prepare(sync, project), sync, project)
        if report.exit_code:
            raise RuntimeError(f"{name}: {report}")


@contextmanager
def daemon(home: Path) -> Iterator[tuple[dg.DagsterInstance, psutil.Process]]:
    """Dagster's daemon with our settings, once its sensor waits; ended with all its processes."""
    home.mkdir(parents=True)
    shutil.copyfile(ROOT / "assets" / "dagster.yaml", home / "dagster.yaml")
    os.environ |= {"DAGSTER_HOME": str(home), "OCTO_AUTOMATE": "1"}
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(ROOT / "workspace.yaml")]
    with (home / "log").open("w") as log, dg.DagsterInstance.get() as instance:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for_sensor(instance, process)
            yield instance, psutil.Process(process.pid)
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
