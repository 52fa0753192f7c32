"""Google forgets who is not sent again within 540 days: he is, before."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import RUNS
from octo_dagster.delivery.plan import Options
from tests.vendors.google_audience import GOOGLE, VENDOR
from tests.world import World, row


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A list in which three people are, under the guards that every sync has."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", GOOGLE.env["GOOGLE_SERVICE_ACCOUNT"])
    shop = World(tmp_path, sandbox, "google_audience").say(**VENDOR.said() | {"guards": {}})
    shop.have([row(1), row(2), row(3)]).deliver()
    return shop


def days_pass(shop: World, days: int) -> None:
    """Every run was so many days earlier."""
    ledger = shop.project.ledger
    for run in ledger.read(sa.select(RUNS)):
        with ledger.engine.begin() as connection:
            earlier = sa.update(RUNS).where(RUNS.c.run == run["run"])
            connection.execute(earlier.values(started_at=run["started_at"] - timedelta(days=days)))


def test_everybody_is_sent_again_before_he_is_forgotten(shop: World) -> None:
    """Whom nothing changed goes again some weeks ahead, which no guard takes for a change, and then not."""
    days_pass(shop, 480)
    assert shop.plan().changes == 0
    days_pass(shop, 10)
    plan = shop.plan()
    assert (plan.counts.changed, plan.counts.renewed, plan.counts.unchanged) == (3, 3, 0)
    sent = len(shop.sandbox.twin("google_audience").bodies)
    report = shop.deliver()
    assert (report.tally.accepted, report.exit_code) == (3, 0)
    bodies = shop.sandbox.twin("google_audience").bodies[sent:]
    assert [len(body["audienceMembers"]) for *_, body in bodies] == [3]
    assert shop.plan().changes == 0


def test_only_who_was_sent_long_ago(shop: World) -> None:
    """Who changed meanwhile, or came, is not due yet; who leaves leaves."""
    days_pass(shop, 300)
    shop.have([row(1), row(2, orders=9), row(3), row(4)]).deliver(allow=True)
    days_pass(shop, 190)
    shop.have([row(1), row(2, orders=9), row(4)])
    counts = shop.plan().counts
    assert (counts.changed, counts.renewed, counts.removed, counts.unchanged) == (1, 1, 1, 2)
    near = shop.plan(Options(near=("customer1@example.com",)))  # an order is no reason to wait for it
    assert near.changes == 0
