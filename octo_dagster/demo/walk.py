"""The path, walked: a real shop's orders become true columns in two tools, and one new order follows.

Everything is real but the vendors, whose sandbox runs on this machine: the data (Complete Journey), the
PostgreSQL it lies in, the pull, the scores, the deliveries. State lies in `.octo/demo`, made anew each time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from connectors.sandbox.server import Sandbox
from octo_dagster import show
from octo_dagster.config import Project
from octo_dagster.delivery.plan import Plan
from octo_dagster.demo.shop import Shop
from octo_dagster.refresh import Refreshed, refresh
from octo_dagster.run import Report, carry_out, new_run, prepare
from octo_dagster.scoring.explain import explain
from octo_dagster.scoring.pictures.draw import draw

CREDENTIALS = {
    "SALESFORCE_CLIENT_ID": "octo-app",
    "SALESFORCE_CLIENT_SECRET": "octo-secret",
    "BREVO_API_KEY": "sandbox-key",
}
"""What the sandbox's twins accept. They open nothing anywhere else."""

PLACES = ("OCTO_HOME", "OCTO_SANDBOX", "SHOP_DATABASE_URL")
"""What says where the demo keeps its state, its tools and its shop."""

TOOLS = {
    "salesforce_contacts": ("salesforce", "Contact", "Octo_Id__c", "customer_id"),
    "brevo_contacts": ("brevo", "contacts", "email", "email"),
}
"""Sync → its twin, the twin's table, that table's key, and the profile's column it comes from."""

SPENT = Decimal("249.90")

BEST = """select customer_id, email from customer_profile
          where email_consent and rfm_recency = 6 and rfm_frequency = 6 and rfm_monetary = 6
          order by rfm_revenue desc, customer_id limit 1"""
"""The customer who orders. Classes are relative: one who moves up a class moves a neighbour down one, as
it should be. This customer is in the highest of each already, so that nobody else's columns move."""

MOVED_TOO = 25
"""Records an order may move: a hundredth of the base. Some classes are relative to everybody's average."""

Records = dict[str, dict[str, Any]]


@dataclass
class Demo:
    """One walk: the shop, the project, the sandbox, and where to tell of it."""

    project: Project
    shop: Shop
    sandbox: Sandbox
    console: Console

    def walk(self) -> bool:
        """Every step in turn; whether each did what it promises."""
        first = self.refresh("Pull the shop's tables, judge every row, score, build the profile")
        self.show_base(first)
        good = self.deliver("First delivery: every customer")
        self.refresh("A moment later: the same again, nothing has changed", learn=False)
        good &= self.deliver("Second delivery: nothing to send")
        return self.one_order() and good

    def refresh(self, title: str, *, learn: bool = True) -> Refreshed:
        self.console.rule(f"[bold]{title}", align="left")
        now = datetime.now(UTC).replace(tzinfo=None)
        with steps(self.console) as told:
            return refresh(self.project, now, new_run(), progress=told, learn=learn)

    def show_base(self, made: Refreshed) -> None:
        """What came in, and what the scores say of it."""
        tables = show.grid("Judged rows", "table", "read", "kept", "rejected")
        for table in made.conformed:
            tables.add_row(table.table, f"{table.read:,}", f"{table.kept:,}", f"{table.rejected:,}")
        self.console.print(tables)
        segments = show.grid("RFM segments", "segment", "customers", "share of revenue")
        for one in (figure for score in made.scored for figure in score.classes):
            if one.column == "rfm_segment":
                share = "" if one.share is None else f"{one.share:.1%}"
                segments.add_row(str(one.value), f"{one.customers:,}", share)
        self.console.print(segments)

    def deliver(self, title: str) -> bool:
        """Plan and deliver every sync; whether all of them ended well."""
        self.console.rule(f"[bold]{title}", align="left")
        table = show.grid("", "sync", "planned", "accepted", "rejected", "unchanged", "calls", "seconds")
        good = True
        for name in TOOLS:
            started = time.monotonic()
            plan, report = self.deliver_one(name)
            figures = (plan.changes, report.tally.accepted, report.tally.rejected, plan.counts.unchanged)
            told = [f"{figure:,}" for figure in (*figures, report.calls)]
            table.add_row(name, *told, f"{time.monotonic() - started:.1f}")
            good &= report.exit_code == 0
            if report.error:
                self.console.print(f"[red]{name}: {report.error}")
        self.console.print(table)
        return good

    def deliver_one(self, name: str) -> tuple[Plan, Report]:
        sync = self.project.sync(name)
        plan = prepare(sync, self.project)
        return plan, carry_out(plan, sync, self.project)

    def one_order(self) -> bool:
        """One customer orders; whether exactly that customer's columns move, in every tool."""
        with self.project.warehouse.connect() as connection:
            customer, email = connection.execute(BEST).fetchall()[0]
        before = {name: self.records(name) for name in TOOLS}
        at = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        number = self.shop.place_order(int(customer), SPENT, at)
        self.console.rule(f"[bold]One new order: customer {customer} spends {SPENT}", align="left")
        self.console.print(f"Order {number} is in the shop's database, as its own software would write it.")
        self.refresh("Pull the increment, and work out what an order moves", learn=False)
        good = self.deliver("Third delivery: one customer")
        for name, (vendor, _, _, column) in TOOLS.items():
            moved = movements(before[name], self.records(name))
            mine = customer if column == "customer_id" else email
            good &= mine in moved and len(moved) <= MOVED_TOO
            self.show_movements(vendor, mine, moved)
        self.console.rule("[bold]Why? octo explain", align="left")
        scores = self.project.chosen(["rhythm", "reactivation"])
        for line in explain(self.project.warehouse, customer, scores).lines():
            self.console.print(f"  {line}", highlight=False)
        return good

    def records(self, name: str) -> Records:
        """What a tool holds now: key → record."""
        vendor, table, key, _ = TOOLS[name]
        return {row[key]: dict(row) for row in self.sandbox.twin(vendor).holdings()[table]}

    def show_movements(
        self, vendor: str, mine: str, moved: Mapping[str, Mapping[str, tuple[Any, Any]]]
    ) -> None:
        table = show.grid(f"What moved in {vendor}", "record", "column", "before", "after")
        for column, (was, is_) in moved.get(mine, {}).items():
            table.add_row(mine, column, str(was), str(is_))
        self.console.print(table)
        if others := len(moved.keys() - {mine}):
            self.console.print(f"  and {others} at the border of a class that is relative to everybody")

    def save_picture(self) -> Path:
        """The RFM plane as a picture beside the demo's state."""
        rfm = self.project.scores["rfm"]
        path = self.project.home / "rfm.png"
        if rfm.picture:
            with self.project.warehouse.connect() as connection:
                path.write_bytes(draw(rfm, connection.sql(rfm.picture.query).to_arrow_table().to_pylist()))
        return path


IGNORED = frozenset({"LastModifiedDate", "SystemModstamp", "modifiedAt"})
"""Columns a vendor keeps for itself."""


def movements(before: Records, after: Records) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Key → column → (before, after), for every record that differs, appeared or went."""
    return {
        key: moved
        for key in sorted(before.keys() | after.keys())
        if (moved := differences(before.get(key, {}), after.get(key, {})))
    }


def differences(was: Mapping[str, Any], is_: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    columns = [column for column in {**was, **is_} if column not in IGNORED]
    return {c: (was.get(c), is_.get(c)) for c in columns if was.get(c) != is_.get(c)}


@contextmanager
def steps(console: Console) -> Iterator[Any]:
    """A spinner that names the step under way."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda step: progress.update(task, description=step)


@contextmanager
def opened(root: Path, console: Console, port: int) -> Iterator[Demo]:
    """A new demo with its database and sandbox running; both are stopped at the end, whatever happens."""
    home = root / ".octo" / "demo"
    shutil.rmtree(home, ignore_errors=True)
    console.rule("[bold]A shop's PostgreSQL, filled with a real grocer's year", align="left")
    with ExitStack() as stack:
        stock = show.grid("", "table", "rows")
        with steps(console) as told:
            told("start PostgreSQL and load it")
            loaded = lambda name, rows: stock.add_row(name, f"{rows:,}")  # noqa: E731
            now = datetime.now(UTC).replace(tzinfo=None)
            shop = stack.enter_context(Shop(home / "shop", loaded, until=now))
        console.print(stock)
        sandbox = stack.enter_context(Sandbox(port))
        os.environ.update(CREDENTIALS, SHOP_DATABASE_URL=shop.url, OCTO_SANDBOX=sandbox.address)
        os.environ["OCTO_HOME"] = str(home)
        yield Demo(Project(root, home), shop, sandbox, console)


def demo(root: Path, console: Console, port: int = 0) -> bool:
    """Walk the path once and leave nothing running; whether every step did what it promises."""
    started = time.monotonic()
    with opened(root, console, port) as walk:
        good = walk.walk()
        picture = walk.save_picture()
    console.rule(align="left")
    took = f"{time.monotonic() - started:.0f} s"
    console.print(f"[bold green]Done in {took}." if good else f"[bold red]Not as promised ({took}).")
    console.print(f"The RFM plane:     {picture}")
    console.print(f"Plans and ledger:  {picture.parent}")
    console.print("Keep it running:   [bold]make dev[/bold]  (Dagster http://127.0.0.1:3000 · sandbox")
    console.print("                   http://127.0.0.1:4100 shows what each tool holds)")
    return good
