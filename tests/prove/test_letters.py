"""The proof for what cannot be taken back once it is picked up: a letter printed twice, or never."""

from __future__ import annotations

import csv
import os
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.run import carry_out, prepare
from tests.processes import PROCESSES
from tests.prove.boundaries import Doom
from tests.world import World, row

pytestmark = pytest.mark.prove

KILLS = 40 if os.environ.get("OCTO_PROVE") == "all" else 3
ENTERING = 4
"""New customers every day."""


@dataclass(frozen=True)
class Errand:
    """One delivery to a real folder, in a process of its own, and where it shall die."""

    folder: Path
    at: int
    witness: Path

    def __call__(self) -> None:
        os.environ.pop("OCTO_SANDBOX", None)  # of whichever test began the server that forks
        project = Project(self.folder, self.folder / ".octo")
        around = Surroundings(sleep=lambda seconds: None)
        with Doom(self.at, self.witness):
            sync = project.sync("customers")
            plan = prepare(sync, project, around=around)
            report = carry_out(plan, sync, project, plan.id, around)
        assert report.exit_code == 0, report.error

    def run(self) -> int | None:
        """The exit code: 0 it came home, -9 it was killed."""
        process = PROCESSES.Process(target=self)
        process.start()
        process.join(120)
        return process.exitcode


def said(exports: Path, **destination: Any) -> dict[str, Any]:
    return {
        "reads": "customer_profile",
        "destination": {"type": "file", "name": "a.csv", "to": {"folder": str(exports)}, **destination},
        "key": {"from": "customer_id", "to": "id"},
        "fields": [{"from": "email", "to": "email"}],
        "guards": {"max_removed": "100%", "max_changed": "100%"},
    }


def picked_up(exports: Path) -> list[str]:
    """The printer takes every file that is there, and prints who is in it."""
    printed = []
    for path in sorted(exports.glob("[!.]*.csv")):
        printed += [found["id"] for found in csv.DictReader(path.read_text("utf-8").splitlines())]
        path.unlink()
    return printed


@pytest.mark.parametrize("holds", ["changes", "everyone"])
def test_killed_anywhere_each_letter_is_printed_once(tmp_path: Path, holds: str) -> None:
    """Each day some are new and a delivery is killed; files of entrants are picked up at once, after the kill
    too. In the end everybody was printed once; and a file of everyone is whole, with everybody in it."""
    chance = random.Random(f"20261122 {holds}")
    exports, witness, died = tmp_path / "exports", tmp_path / "witness", Counter[str]()
    exports.mkdir()
    mode = "create_only" if holds == "changes" else "mirror"
    world = World(tmp_path, None, "file").say(**said(exports, holds=holds), mode=mode)  # type: ignore[arg-type]
    printed: list[str] = []
    longest = 25
    for day in range(1, KILLS + 1):
        world.have([row(n) for n in range(day * ENTERING)])
        code = Errand(tmp_path, chance.randrange(1, longest + 1), witness).run()
        seen, _, where = witness.read_text().partition(" ")
        assert code in (0, -9), where
        died[where] += 1
        longest = int(seen) if where == "survived" else max(longest, int(seen) + 3)
        printed = printed + picked_up(exports) if holds == "changes" else printed
        assert Errand(tmp_path, 0, witness).run() == 0, where
        printed = printed + picked_up(exports) if holds == "changes" else held(exports / "a.csv")
        assert sorted(printed) == sorted(f"c{n}" for n in range(day * ENTERING)), where
    print(holds, dict(died))
    assert len(died) >= min(4, KILLS // 2), died


def held(path: Path) -> list[str]:
    return [found["id"] for found in csv.DictReader(path.read_text("utf-8").splitlines())]
