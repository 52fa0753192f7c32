"""The promise: syncs do not wait for one another, and one sync never runs twice at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import yaml

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.errors import Busy, PlanStale
from octo_dagster.run import carry_out, prepare
from tests.processes import PROCESSES
from tests.vendors.webhook import WEBHOOK
from tests.world import World, row

CUSTOMERS = 1_200


@dataclass(frozen=True)
class Errand:
    """One delivery in a process of its own."""

    folder: Path
    address: str
    env: Mapping[str, str]

    def __call__(self, name: str) -> str:
        os.environ.update(self.env)
        project = Project(self.folder, self.folder / ".octo")
        around = Surroundings(sandbox=self.address)
        try:
            sync = project.sync(name)
            plan = prepare(sync, project, around=around)
            report = carry_out(plan, sync, project, plan.id, around)
        except (Busy, PlanStale) as turned_away:
            return type(turned_away).__name__
        return f"{report.tally.accepted} accepted, exit {report.exit_code}"


def errand(shop: World) -> Errand:
    return Errand(shop.folder, shop.sandbox.address, WEBHOOK.env)


def test_different_syncs_at_once(shop: World) -> None:
    """Four syncs in four processes, one ledger in a file: every one delivers everyone."""
    shop.have([row(n) for n in range(CUSTOMERS)])
    names = [f"sync{n}" for n in range(4)]
    for name in names:
        said = {
            **shop.said,
            "destination": {**shop.said["destination"], "url": f"https://hooks.example.com/{name}"},
        }
        (shop.folder / "assets" / "syncs" / f"{name}.yaml").write_text(yaml.safe_dump(said))
    with ProcessPoolExecutor(4, PROCESSES) as pool:
        told = list(pool.map(errand(shop), names))
    assert told == [f"{CUSTOMERS} accepted, exit 0"] * 4
    assert [len(shop.holdings(name)) for name in names] == [CUSTOMERS] * 4


def test_one_sync_at_once(shop: World) -> None:
    """Four runs of one sync at the same moment: each customer is sent once, all others are turned away or idle."""
    shop.have([row(n) for n in range(CUSTOMERS)])
    with ProcessPoolExecutor(4, PROCESSES) as pool:
        told = sorted(pool.map(errand(shop), ["customers"] * 4))
    assert told.count(f"{CUSTOMERS} accepted, exit 0") == 1
    assert set(told) <= {f"{CUSTOMERS} accepted, exit 0", "0 accepted, exit 0", "Busy", "PlanStale"}
    writes = [call for call in shop.sandbox.calls("webhook") if call.path == "/octo"]
    assert (len(writes), len(shop.holdings("octo"))) == (3, CUSTOMERS)
