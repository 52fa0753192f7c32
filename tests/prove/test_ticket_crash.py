"""The proof for the one thing that cannot be taken back by sending again: a ticket made twice."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.prove.test_crash import Errand, run
from tests.vendors.zendesk import ZENDESK
from tests.world import World, row

pytestmark = pytest.mark.prove

KILLS = 40 if os.environ.get("OCTO_PROVE") == "all" else 3
CALLED = 4
"""New customers on the list every day."""

SAID: dict[str, Any] = {
    "reads": "customer_profile",
    "destination": {**ZENDESK.settings, "object": "tickets", "ticket_tags": ["octo_calls"]},
    "key": {"from": "customer_id", "to": "external_id"},
    "fields": [
        {"template": "Call {email}", "to": "subject"},
        {"template": "{orders} orders", "to": "body", "create_only": True},
    ],
    "guards": {"max_changed": "100%"},
    "verify": 1.0,
}


def tickets(address: str) -> list[dict[str, Any]]:
    """What the twin holds."""
    held: dict[str, Any] = requests.get(f"{address}/_sandbox/zendesk/holdings", timeout=60).json()
    found: list[dict[str, Any]] = held["tickets"]
    return found


def test_killed_anywhere_nobody_is_called_twice(tmp_path: Path, sandbox_process: str) -> None:
    """Each day the list grows and a delivery is killed; after the next one everybody has one ticket."""
    chance = random.Random("20261122 tickets")
    env, witness, died = dict(ZENDESK.env), tmp_path / "witness", Counter[str]()
    world = World(tmp_path, None, "zendesk").say(**SAID)  # type: ignore[arg-type]
    longest = 30
    for day in range(1, KILLS + 1):
        world.have([row(n) for n in range(day * CALLED)])
        code = run(Errand(tmp_path, sandbox_process, env, chance.randrange(1, longest + 1), witness))
        seen, _, where = witness.read_text().partition(" ")
        assert code in (0, -9), where
        died[where] += 1
        longest = int(seen) if where == "survived" else max(longest, int(seen) + 3)
        assert run(Errand(tmp_path, sandbox_process, env, 0, witness)) == 0, where
        held = sorted((t["external_id"], t["subject"], t["description"]) for t in tickets(sandbox_process))
        wanted = [(f"c{n}", f"Call customer{n}@example.com", f"{n} orders") for n in range(day * CALLED)]
        assert held == sorted(wanted), where
    assert len(died) >= min(4, KILLS // 2), died
