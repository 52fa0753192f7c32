"""The proof: killed at any moment of a delivery, one clean rerun makes the destination equal the profile."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.run import carry_out, prepare
from tests.postgres import postgres  # noqa: F401 - a fixture
from tests.processes import PROCESSES
from tests.prove.boundaries import Doom
from tests.vendors.every import VENDORS
from tests.vendors.vendor import Vendor
from tests.world import World, row

pytestmark = pytest.mark.prove

WHOLE = os.environ.get("OCTO_PROVE") == "all"
KILLS = 55 if WHOLE else 1
"""Kills for each vendor and ledger."""

PAIRS = [(v, "sqlite") for v in VENDORS] + [(v, "postgres") for v in (VENDORS if WHOLE else VENDORS[-1:])]
"""In CI's slice the ledger on PostgreSQL is killed over one vendor: it is the same code over all."""

CUSTOMERS = 60


@dataclass(frozen=True)
class Errand:
    """One run in a process of its own, and where it shall die."""

    folder: Path
    address: str
    env: dict[str, str]
    at: int
    witness: Path

    def __call__(self) -> None:
        os.environ.update(self.env)
        project = Project(self.folder, self.folder / ".octo")
        around = Surroundings(sandbox=self.address, sleep=lambda seconds: None)
        with Doom(self.at, self.witness):
            sync = project.sync("customers")
            plan = prepare(sync, project, around=around)
            report = carry_out(plan, sync, project, plan.id, around)
        assert report.exit_code == 0, report.error


def run(errand: Errand) -> int | None:
    """The exit code of an errand: 0 it came home, -9 it was killed."""
    process = PROCESSES.Process(target=errand)
    process.start()
    process.join(120)
    return process.exitcode


@pytest.fixture
def ledger_env(kind: str, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the ledger is: a file in the project, or a database of its own on a real PostgreSQL."""
    if kind == "sqlite":
        yield {}
        return
    engine: sa.Engine = request.getfixturevalue("postgres")
    name = f"ledger_{os.getpid()}_{random.randrange(10**9)}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"create database {name}"))
    yield {"OCTO_LEDGER": engine.url.set(database=name).render_as_string(hide_password=False)}


def moved(rows: dict[int, dict[str, Any]], chance: random.Random) -> dict[int, dict[str, Any]]:
    """The shop a day later: some customers are new, some changed, some lost a value, some left."""
    later = {n: dict(r) for n, r in rows.items() if chance.random() > 0.1}
    for n, found in later.items():
        if chance.random() < 0.3:
            later[n] = found | {"orders": chance.randrange(1_000)}
        elif chance.random() < 0.1:
            later[n] = found | {"segment": None}
    new = max(rows) + 1
    return later | {n: row(n) for n in range(new, new + CUSTOMERS + 1 - len(later))}


@pytest.mark.parametrize(("vendor", "kind"), PAIRS, ids=[f"{kind}-{vendor.name}" for vendor, kind in PAIRS])
def test_killed_anywhere(
    vendor: Vendor, kind: str, ledger_env: dict[str, str], tmp_path: Path, sandbox_process: str
) -> None:
    """Each day the shop moves, a delivery is killed at a boundary, and the next one puts all right."""
    chance = random.Random(f"20261122 {vendor.name} {len(ledger_env)}")
    env = dict(vendor.examinee.env) | ledger_env
    vendor.prepare(sandbox_process)
    world = World(tmp_path, None, vendor.name).say(**vendor.said())  # type: ignore[arg-type]
    witness = tmp_path / "witness"
    rows = {n: row(n) for n in range(CUSTOMERS)}
    died: Counter[str] = Counter()
    longest = 40
    for _ in range(KILLS):
        world.have(list(rows.values()))
        at = chance.randrange(1, longest + 1)
        code = run(Errand(tmp_path, sandbox_process, env, at, witness))
        seen, _, where = witness.read_text().partition(" ")
        assert code in (0, -9), where
        died[where] += 1
        if chance.random() < 0.5:  # people go on before anybody sees that the run died
            rows = moved(rows, chance)
            world.have(list(rows.values()))
        longest = int(seen) if where == "survived" else max(longest, int(seen) + 3)
        assert run(Errand(tmp_path, sandbox_process, env, 0, witness)) == 0, where
        wanted = sorted((r[vendor.key_from], r["segment"], r["orders"]) for r in rows.values())
        assert vendor.held(sandbox_process) == wanted, where
        rows = moved(rows, chance)
    print(vendor.name, sorted(ledger_env), dict(died))
    assert len(died) >= min(8, KILLS // 2), died
