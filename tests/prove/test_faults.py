"""The proof: whatever a vendor does wrong, and however often, one clean run puts all right, and nobody is told
otherwise in the meantime."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sandbox.faults import KINDS
from connectors.sandbox.server import Sandbox, twins
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.errors import DeliveryError
from octo_dagster.run import Report, carry_out
from tests.vendors.every import VENDORS
from tests.vendors.vendor import Held, Vendor
from tests.world import World, row

pytestmark = pytest.mark.prove

WHOLE = os.environ.get("OCTO_PROVE") == "all"
DAYS = 150 if WHOLE else 2
"""Days of mixed faults for each vendor: over 1,000 batches over the vendors in the whole proof."""

CUSTOMERS = 45

OWN = {twin.name: sorted(twin.own_faults) for twin in twins()}


@dataclass
class Shop:
    """A shop whose customers come, change, fall silent, withdraw consent and leave; and what must be held of it."""

    vendor: Vendor
    chance: random.Random
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    """Key → what the vendor holds once all is well."""
    newest: int = 0

    poison: float = 1.0
    """How readily rows become such as this vendor refuses."""

    def day(self) -> None:
        """One day later."""
        self.rows = {n: self.moved(found) for n, found in self.rows.items() if self.chance.random() > 0.08}
        while len(self.rows) < CUSTOMERS:
            self.newest += 1
            self.rows[self.newest] = self.poisoned(row(self.newest), 0.04)
        self.hold()

    def hour(self) -> None:
        """A while later, in the middle of a day: people go on, but nobody is spoilt, for what a vendor holds
        of who was spoilt between two runs only the first of them could say."""
        self.poison = 0.0
        self.day()
        self.poison = 1.0

    def moved(self, found: dict[str, Any]) -> dict[str, Any]:
        """One customer a day later: mostly as before."""
        turn = self.chance.random()
        if turn < 0.2:
            return found | {"orders": self.chance.randrange(1_000)}
        if turn < 0.28:
            return found | {"segment": None}
        if turn < 0.36:
            return found | {"segment": self.chance.choice(["best", "Zoë 🐙", 'a;b,"c"\nd'])}
        if turn < 0.44:
            return found | {"consent": not found["consent"]}
        return self.poisoned(found, 0.03)

    def poisoned(self, found: dict[str, Any], share: float) -> dict[str, Any]:
        """Sometimes a row this vendor refuses; it may be mended another day."""
        return found | self.vendor.poison(found) if self.chance.random() < share * self.poison else found

    def hold(self) -> None:
        """What is promised of today's rows: a refused one stays as it was, one without consent is taken back."""
        key = self.vendor.key_from
        promised = {}
        for found in self.rows.values():
            name = found[key]
            if found["consent"] and not self.vendor.refuses(found):
                promised[name] = (name, found["segment"], found["orders"])
            elif found["consent"] and name in self.held:
                promised[name] = self.held[name]
        self.held = promised

    def refused(self) -> set[str]:
        """Keys of the rows that this vendor refuses today."""
        kept = [found for found in self.rows.values() if found["consent"]]
        return {found[self.vendor.key_from] for found in kept if self.vendor.refuses(found)}


@dataclass
class Proof:
    """A shop, its sync, and the vendor it is delivered to."""

    world: World
    shop: Shop
    batches: int = 0
    exits: Counter[int] = field(default_factory=Counter)

    def run(self) -> Report | None:
        """Plan and deliver; None when the vendor could not even be asked what became of the last run."""
        try:
            plan = self.world.plan()
        except DeliveryError as error:
            self.exits[error.exit_code] += 1
            return None
        counts = plan.counts
        self.batches += bool(counts.added) + bool(counts.changed) + bool(counts.removed)
        report = carry_out(plan, self.world.sync, self.world.project, plan.id, self.world.around)
        self.exits[report.exit_code] += 1
        self.accounted(report)
        return report

    def accounted(self, report: Report) -> None:
        """Every planned change is in one figure; whoever says that all is well is right."""
        tally = report.tally
        parts = (
            tally.accepted,
            tally.rejected,
            tally.waiting,
            tally.unsent,
            tally.skipped,
            report.unaccounted,
        )
        assert min(parts) >= 0, report
        assert sum(parts) == report.planned, report
        if report.exit_code in (0, 4):
            assert report.unaccounted == tally.waiting == tally.unsent == 0, report
            assert self.found() == self.wanted(), report
        if report.exit_code == 0:
            assert tally.rejected == 0, report

    def found(self) -> list[Held]:
        return self.shop.vendor.held(self.world.sandbox.address)

    def wanted(self) -> list[Held]:
        return sorted(self.shop.held.values())

    def day(self, faults: list[Mapping[str, Any]]) -> None:
        """A day of which the vendor spoils the first run, and one clean run after it: of the same people, or
        of those they have become meanwhile."""
        vendor = self.world.sandbox.vendors[self.shop.vendor.name]
        self.shop.day()
        self.world.have(list(self.shop.rows.values()))
        for fault in faults:
            self.world.sandbox.fault(self.shop.vendor.name, **fault)
        self.run()
        vendor.faults.clear()
        if faults and self.shop.chance.random() < 0.5:
            self.shop.hour()
            self.world.have(list(self.shop.rows.values()))
        clean = self.run()
        assert clean is not None, faults
        assert self.found() == self.wanted(), faults
        assert clean.exit_code == (4 if self.shop.refused() else 0), (faults, clean)
        assert self.told(clean) == self.shop.refused(), faults

    def told(self, report: Report) -> set[str]:
        """The keys that the change log tells a reason for, of those this run saw refused."""
        query = sa.select(CHANGELOG).where(CHANGELOG.c.run == report.run, CHANGELOG.c.outcome == "rejected")
        return {line["key"] for line in self.world.project.ledger.read(query) if line["reason"]}


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def proof(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proof]:
    """A shop in front of one vendor, delivered to once without a fault."""
    vendor: Vendor = request.param
    for name, value in vendor.examinee.env.items():
        monkeypatch.setenv(name, value)
    vendor.prepare(sandbox.address)
    world = World(tmp_path, sandbox, vendor.name).say(**vendor.said(), consent="consent")
    made = Proof(world, Shop(vendor, random.Random(f"faults {request.node.name}")))
    made.day([])
    yield made
    print(vendor.name, made.batches, dict(made.exits))


ALONE: list[Mapping[str, Any]] = [
    {"after": 0},
    {"after": 2, "times": 2},
    {"after": 0, "method": "POST"},
    {"after": 1, "times": None},
]
"""How one kind of fault strikes when it is alone."""


@pytest.mark.parametrize("kind", [*KINDS, "own"] if WHOLE else ["own"])
def test_one_kind_of_fault(proof: Proof, kind: str) -> None:
    """Each kind of fault by itself, early and late, once and without end."""
    kinds = OWN[proof.shop.vendor.name] if kind == "own" else [kind]
    if not kinds:
        pytest.skip(f"{proof.shop.vendor.name} has no faults of its own")
    for name in kinds:
        for how in ALONE if WHOLE else ALONE[1:2]:
            proof.day([{"kind": name, "seconds": 0.01, **how}])


def test_all_kinds_at_random(proof: Proof) -> None:
    """Several faults of any kind, day after day, while customers come, change and leave."""
    chance = random.Random(f"mixed {proof.shop.vendor.name}")
    kinds = [*KINDS, *OWN[proof.shop.vendor.name]]
    for _ in range(DAYS):
        proof.day([one(chance, kinds) for _ in range(chance.randrange(1, 5))])
    assert proof.batches > DAYS
    assert proof.exits[0] + proof.exits[4] > DAYS


def one(chance: random.Random, kinds: list[str]) -> Mapping[str, Any]:
    """A fault of any kind that strikes at any time."""
    return {
        "kind": chance.choice(kinds),
        "after": chance.randrange(8),
        "times": chance.choice([1, 1, 1, 2, 3, None]),
        "probability": chance.choice([1.0, 0.5]),
        "seed": chance.randrange(1_000),
        "status": chance.choice([500, 502, 503]),
        "seconds": 0.01,
    }
