"""Planning against an oracle: the same rows, ledger and file, worked out by hand in Python."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from octo_dagster.delivery.draw import draw
from octo_dagster.delivery.ledger import Entry, Ledger
from octo_dagster.delivery.ledger_tables import MAYBE, UNSURE
from octo_dagster.delivery.mapping import encoded
from octo_dagster.delivery.plan import Folder, Options, Plan
from octo_dagster.model import Mode
from octo_dagster.sync import Sync
from octo_dagster.warehouse import Warehouse
from tests.unit.test_mapping import sync_of

SCHEMA = pa.schema({"k": pa.string(), "n": pa.string(), "s": pa.string()})
KEYS = ["a", "b", "c", "d", "e", "f", "g", "h"]
FIELDS = (
    {"from": "n", "to": "n", "type": "integer", "nulls": "clear"},
    {"from": "s", "to": "s"},
    {"from": "s", "to": "first", "create_only": True},
)


class Case:
    """A few random rows, a random ledger, and what must come of them."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.mode = self.chance.choice([Mode.UPSERT, Mode.MIRROR])
        self.rows = [self.row() for _ in range(self.chance.randrange(10))]
        self.warehouse = Warehouse(folder / "warehouse")
        self.warehouse.replace("t", pa.Table.from_pylist(self.rows, SCHEMA))
        self.ledger = Ledger(f"sqlite:///{folder / 'l.sqlite'}", folder)
        self.folder = Folder(folder / "plans")
        self.held: dict[str, dict[str, Any]] = {}
        self.marks: dict[str, str | None] = {}
        self.owed: set[str] = set()
        for key in self.chance.sample(KEYS, 5):
            self.hold(key)

    def row(self) -> dict[str, Any]:
        pick = self.chance.choice
        return {
            "k": pick([*KEYS, " a ", None, "\t"]),
            "n": pick(["1", "2", None, "odd"]),
            "s": pick(["x", "y", None]),
        }

    def hold(self, key: str) -> None:
        """A state that the ledger may be in for this key."""
        mark = self.chance.choice(["print", "print", UNSURE, MAYBE, None])
        fields = {"n": self.chance.choice([1, 2, None]), "s": "x", "first": "x"}
        self.marks[key] = mark
        if mark is not None:
            self.held[key] = fields
        said = encoded(fields) if mark is not None else None
        entries = [Entry(key, key, "added", "accepted", mark, said)]
        if self.chance.random() < 0.3:
            self.owed.add(key)
            entries.append(Entry(key, key, "changed", "rejected", None, None, keep=True, reason="r"))
        self.ledger.settle("s", "r", "b", entries, None)

    @property
    def sync(self) -> Sync:
        return sync_of(*FIELDS, reads="t", mode=self.mode.value)

    def draw(self, options: Options) -> Plan:
        return draw(self.sync, self.warehouse, self.ledger, self.folder, None, options)

    def expected(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Key → what must happen to it, and the fields that go out."""
        keyed = [((found["k"] or "").strip(), found) for found in self.rows]
        names = [key for key, _ in keyed]
        wanted = {}
        for key, found in keyed:
            if not key or names.count(key) > 1 or found["n"] == "odd":
                continue
            change = self.change(key, found)
            if change is not None:
                wanted[key] = change
        if self.mode is Mode.MIRROR:
            wanted |= {key: ("removed", {}) for key in self.held if key not in names}
        return wanted

    def change(self, key: str, found: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
        fields: dict[str, Any] = {"n": None if found["n"] is None else int(found["n"])}
        fields |= {} if found["s"] is None else {"s": found["s"]}
        first = {} if found["s"] is None else {"first": found["s"]}
        if key not in self.held:
            return "added", fields | first
        if self.marks[key] == MAYBE:
            return "changed", fields | first
        differs = any(self.held[key].get(name) != value for name, value in fields.items())
        return ("changed", fields) if differs or self.marks[key] == UNSURE or key in self.owed else None


@pytest.mark.parametrize("seed", range(40))
def test_the_plan_is_what_the_oracle_says(seed: int, tmp_path: Path) -> None:
    """Whatever the rows and the ledger are, the plan has the oracle's changes, and counts that add up."""
    case = Case(seed, tmp_path)
    plan = case.draw(Options())
    lines = list(case.folder.lines(case.sync, plan.id))
    assert {line.key: (line.kind, dict(line.fields)) for line in lines} == case.expected()
    assert len({line.key for line in lines}) == len(lines) == plan.changes
    assert [line.position for line in lines] == list(range(len(lines)))
    kinds = [line.kind for line in lines]
    assert kinds == sorted(kinds, key=["removed", "changed", "added"].index), "removals go first"
    counts = plan.counts
    parts = counts.added, counts.changed, counts.unchanged, counts.invalid, counts.waiting, counts.left_out
    assert (sum(parts), min(parts) >= 0) == (len(case.rows), True), counts
    assert len(case.folder.invalid("s", plan.id)) == counts.invalid
    assert counts.held == len(case.held)


@pytest.mark.parametrize("seed", range(40, 50))
def test_narrowed_plans(seed: int, tmp_path: Path) -> None:
    """`limit`, `only` and `full` never plan what an ordinary plan of all rows could not, and never remove more."""
    case = Case(seed, tmp_path)
    ordinary = case.expected()
    few = case.draw(Options(limit=1))
    lines = list(case.folder.lines(case.sync, few.id))
    assert len(lines) == min(1, sum(kind != "removed" for kind, _ in ordinary.values()))
    chosen = case.draw(Options(only=("a", "b")))
    told = {line.key: line.kind for line in case.folder.lines(case.sync, chosen.id)}
    assert told == {key: kind for key, (kind, _) in ordinary.items() if key in ("a", "b")}
    full = case.draw(Options(full=True))
    assert full.counts.removed == 0
    assert full.counts.unchanged == 0
    assert full.counts.added + full.counts.changed + full.counts.invalid == len(case.rows)


def test_equal_worlds_equal_plans(tmp_path: Path) -> None:
    """The same rows, ledger and file give the same plan; any other option another one."""
    case = Case(1, tmp_path)
    assert case.draw(Options()) == case.draw(Options())
    ids = {case.draw(o).id for o in (Options(), Options(full=True), Options(limit=1), Options(only=("a",)))}
    assert len(ids) == 4
