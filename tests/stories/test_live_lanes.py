"""Two lanes and a tool: a run that stops owes nothing it has forgotten, and neither lane loses the other's rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.errors import GuardTripped
from octo_dagster.live.follow import follow
from octo_dagster.live.send import send
from octo_dagster.refresh import refresh
from octo_dagster.run import Report, carry_out, prepare
from octo_dagster.serving.reading import Copy
from octo_dagster.serving.touch import touch
from octo_dagster.warehouse import Warehouse
from tests.live_shop import NOW, LiveShop
from tests.vendors.webhook import WEBHOOK

SYNC = {
    "reads": "customer_profile",
    "consent": "email_consent",
    "destination": dict(WEBHOOK.settings),
    "mode": "mirror",
    "guards": {"max_removed": "50%", "max_invalid": "50%"},
    "key": {"from": "email", "to": "email"},
    "fields": [
        {"from": "orders", "to": "orders"},
        {"from": "rfm_segment", "to": "segment", "nulls": "clear"},
    ],
}
STEPS = (
    "pull shop.order_lines", "pull shop.orders", "pull shop.customers", "judge customers", "judge orders",
    "judge order_lines", "look whom it touches", "score", "profile", "audiences",
)  # fmt: skip


class Stopped(BaseException):
    """Nobody catches it: the run ends where it is raised."""


def small(root: Path, **syncs: Any) -> LiveShop:
    made = LiveShop(root, syncs=syncs)
    for number in range(8):
        made.person(number)
        made.order(number, who=number, day=f"2024-05-{1 + number:02}")
    made.night()
    return made


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """Eight customers with an order each, as the night left them."""
    return small(tmp_path / "shop")


@pytest.fixture
def told(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> LiveShop:
    """The same, and a tool that was told of all of them."""
    for name, value in WEBHOOK.env.items():
        monkeypatch.setenv(name, value)
    made = small(tmp_path / "shop", tool=SYNC)
    around = Surroundings(None, sandbox.address)
    carry_out(prepare(made.project.sync("tool"), made.project, around=around),
              made.project.sync("tool"), made.project, around=around)  # fmt: skip
    return made


def sent(shop: LiveShop, sandbox: Sandbox) -> Report | None:
    """Follow, then send."""
    project = shop.project
    return send(project, project.sync("tool"), shop.follow(), Surroundings(None, sandbox.address))


def holdings(sandbox: Sandbox) -> dict[str, Any]:
    return {str(row["key"]): row for row in sandbox.twin("webhook").holdings()["octo"]}


def test_an_order_reaches_the_tool_and_nobody_else_is_sent(told: LiveShop, sandbox: Sandbox) -> None:
    """One change is planned, of one customer, out of all rows and all records held; nobody else is read back,
    and a second run sends none."""
    told.order(100, who=3, day="2024-06-30")
    report = sent(told, sandbox)
    assert report is not None
    plan = told.project.plans.load("tool", report.plan)
    assert (plan.counts.rows, plan.counts.held, plan.counts.changed, plan.counts.left_out) == (8, 8, 1, 7)
    assert (report.tally.accepted, report.verified, report.exit_code) == (1, None, 0)
    assert holdings(sandbox)["c3@example.com"]["orders"] == 2
    assert sent(told, sandbox) is None


def test_withdrawn_moved_and_shared_addresses(told: LiveShop, sandbox: Sandbox) -> None:
    """Who withdraws consent is removed; who changes his address is moved; two who share one are sent nothing."""
    told.person(1, agreed=0)
    told.person(2, mail="new@example.com")
    told.person(3, mail="c4@example.com")
    told.order(100, who=3, day="2024-06-30")
    report = sent(told, sandbox)
    assert report is not None
    held = holdings(sandbox)
    assert report.tally.accepted == 4
    assert [held[f"c{n}@example.com"]["segment"] for n in (1, 2, 3)] == [None] * 3
    assert held["new@example.com"]["orders"] == 1
    assert held["c4@example.com"]["orders"] == 1
    assert report.invalid == 2


def test_when_nobody_may_be_written_to_any_more(told: LiveShop, sandbox: Sandbox) -> None:
    """One who withdraws consent is taken back; when suddenly all have, a person must say that it is meant."""
    told.person(1, agreed=0)
    told.order(100, who=1, day="2024-06-30")
    report = sent(told, sandbox)
    assert report is not None
    counts = told.project.plans.load("tool", report.plan).counts
    assert (counts.rows, counts.held, counts.removed, counts.left_out) == (8, 8, 1, 8)
    for number in range(8):
        told.person(number, agreed=0)
    told.order(101, who=2, day="2024-06-30")
    with pytest.raises(GuardTripped, match="the source is empty and 7 records are held"):
        sent(told, sandbox)


def test_what_was_followed_and_not_sent_stays_owed(told: LiveShop, sandbox: Sandbox) -> None:
    """A run that ends between the profile and the tool owes its customers to the next, which has none itself."""
    told.order(100, who=3, day="2024-06-30")
    told.follow()
    report = sent(told, sandbox)
    assert report is not None
    assert holdings(sandbox)["c3@example.com"]["orders"] == 2


def test_a_run_that_stops_loses_nothing(shop: LiveShop) -> None:
    """Wherever a run stops, the next one brings the same rows to the profile as if it had not."""
    for number, step in enumerate(STEPS, 1):

        def stop(begun: str, here: str = step) -> None:
            if begun == here:
                raise Stopped

        shop.order(100 + number, who=3, day="2024-06-30")
        shop.change(5, "state", ["completed", "cancelled"][number % 2])
        with pytest.raises(Stopped):
            follow(shop.project, NOW, "stopped", progress=stop)
        shop.follow()
        profile = shop.rows("customer_profile")
        assert (profile[("c3",)]["orders"], profile[("c5",)]["orders"]) == (1 + number, 1 - number % 2), step
        assert profile[("c3",)]["rfm_orders"] == 1 + number, step
        assert profile[("c5",)]["rfm_orders"] == (None if number % 2 else 1), step


class Interrupted(Warehouse):
    """A warehouse in which something happens just after a table's inputs were pinned, and before it is written."""

    def __init__(self, root: Path, table: str, then: Callable[[], object]) -> None:
        super().__init__(root)
        self.waiting = {table: then}

    def connect(self, versions: Mapping[str, int] | None = None, *said: Any, **more: Any) -> Any:
        connection = super().connect(versions, *said, **more)
        for table in set(versions or ()) & self.waiting.keys():
            self.waiting.pop(table)()
        return connection


SLOW = [
    pytest.param(table, marks=pytest.mark.whole) for table in ("raw_shop_order_lines", "customers", "rfm")
]


@pytest.mark.parametrize("pinned", ["raw_shop_orders", "orders", *SLOW])
def test_the_night_loses_nothing_of_the_live_lane(shop: LiveShop, pinned: str) -> None:
    """Orders followed while the night works on what it read before are in every table after the next live run."""

    def live() -> None:
        shop.order(100, who=3, day="2024-06-30")
        shop.change(5, "state", "cancelled")
        shop.follow()

    project = Project(shop.root, shop.root / ".octo")
    vars(project)["warehouse"] = Interrupted(project.home / "warehouse", pinned, live)
    refresh(project, NOW, "night")
    assert ("o100",) in shop.rows("orders")
    shop.follow()
    profile = shop.rows("customer_profile")
    assert (profile[("c3",)]["orders"], profile[("c5",)]["orders"]) == (2, 0)
    assert (profile[("c3",)]["rfm_orders"], profile[("c5",)]["rfm_orders"]) == (2, None)
    assert ("o100", 1) in shop.rows("order_lines")
    assert shop.rows("delay_between_purchases")[("c3",)]["delay_orders"] == 2


def test_the_serving_copy_is_touched_while_it_is_read(shop: LiveShop) -> None:
    """Readers that never stop see the customer as he was or as he is, whole, and no error; his new address finds
    him and the old one nobody; a copy published anew gets what came while it was made."""
    shop.write("project", {"serve": True})
    project = shop.project
    project.publish()
    stop, seen, wrong = threading.Event(), set(), []

    def read() -> None:
        copy = Copy(project.home)
        while not stop.is_set():
            row = copy.fresh().customer("c3")
            whole = row and (row["orders"], row["rfm_orders"], row["email"])
            seen.add(whole) if row else wrong.append(row)

    reader = threading.Thread(target=read)
    reader.start()
    shop.order(100, who=3, day="2024-06-30")
    shop.person(3, mail=" New@example.com")
    shop.follow()
    for _ in range(3):
        touch(project.warehouse, project.home)
    stop.set()
    reader.join()
    assert (wrong, seen - {(1, 1, "c3@example.com"), (2, 2, "New@example.com")}) == ([], set())
    copy = Copy(project.home).fresh()
    assert (copy.whose("email", "new@example.com"), copy.whose("email", "c3@example.com")) == ("c3", None)
    project.publish()
    assert touch(project.warehouse, project.home) == 0
    assert (Copy(project.home).customer("c3") or {})["orders"] == 2
