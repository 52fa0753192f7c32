"""The promise: a destination holds what the profile says, and nothing is sent that need not be."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from tests.contract.examinees import WEBHOOK
from tests.world import World, row, world


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in WEBHOOK.env.items():
        monkeypatch.setenv(name, value)
    return world(tmp_path, sandbox, WEBHOOK)


def held(shop: World) -> dict[str, object]:
    return {key: found.get("segment") for key, found in shop.holdings("octo").items()}


def test_first_sync_then_nothing(shop: World) -> None:
    """A first delivery sends everyone; a second one sends nobody and calls nobody."""
    shop.have([row(n) for n in range(10)])
    first = shop.deliver()
    assert (first.tally.accepted, first.exit_code, first.unaccounted) == (10, 0, 0)
    assert held(shop) == {f"customer{n}@example.com": row(n)["segment"] for n in range(10)}
    again = shop.deliver()
    assert (again.planned, again.calls, again.exit_code) == (0, 0, 0)


def test_only_what_changed(shop: World) -> None:
    """A changed customer is the only one sent; the counts say what happened to every row."""
    shop.have([row(n) for n in range(10)]).deliver()
    shop.have([row(n) for n in range(9)] + [row(9, segment="best", orders=99)])
    plan = shop.plan()
    assert (plan.counts.changed, plan.counts.unchanged, plan.counts.added) == (1, 9, 0)
    report = shop.deliver()
    assert (report.tally.accepted, report.writes) == (1, 2)
    assert shop.holdings("octo")["customer9@example.com"]["orders"] == 99
