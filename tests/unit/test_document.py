"""YAML files as values, and where plans and projects are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.config import Project
from octo_dagster.delivery.plan import Folder, overlaps
from octo_dagster.errors import ConfigError, PlanStale
from octo_dagster.model import FieldType
from octo_dagster.run import carry_out
from tests.stories.conftest import shop  # noqa: F401 - a fixture
from tests.vendors.webhook import WEBHOOK
from tests.world import World, row, world


def test_ranges_that_overlap() -> None:
    """The part of each wanted range that lies in a row group, in order."""
    assert overlaps([(0, 3), (5, 9)], 2, 6) == [(2, 3), (5, 6)]
    assert overlaps([(0, 2)], 2, 6) == []


def test_a_plan_on_disk_is_the_same_plan(shop: World) -> None:  # noqa: F811
    """A plan read back is equal to the one drawn, its types and options included; any range of it is its lines."""
    plan = shop.have([row(n) for n in range(50)]).plan()
    kept = shop.project.plans.load("customers", plan.id)
    assert kept == plan
    assert all(isinstance(kind, FieldType) for kind in kept.types.values())
    every = list(shop.project.plans.lines(shop.sync, plan.id))
    some = list(shop.project.plans.lines(shop.sync, plan.id, [(40, 42), (3, 5)]))
    assert some == [*every[3:5], *every[40:42]]
    with pytest.raises(PlanStale, match="there is no plan"):
        shop.project.plans.load("customers", "none")


def test_old_plans_are_deleted_but_for_those_needed(tmp_path: Path) -> None:
    """Plans hold personal data: only the newest few stay, and those whose batches have no answer yet."""
    folder = Folder(tmp_path)
    for n in range(9):
        folder.path("s", f"p{n}").mkdir(parents=True)
        (folder.path("s", f"p{n}") / "plan.json").write_text("{}")
        stamp = 1_000_000 + n
        os.utime(folder.path("s", f"p{n}"), (stamp, stamp))
    folder.prune("s", keep={"p1"})
    assert sorted(path.name for path in (tmp_path / "s").iterdir()) == ["p1", "p4", "p5", "p6", "p7", "p8"]


def test_two_projects_in_one_process(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Projects share nothing but the vendor: each has its own ledger and plans."""
    monkeypatch.setenv("WEBHOOK_SECRET", "sandbox-key")
    one, two = (world(tmp_path / name, sandbox, WEBHOOK).have([row(1)]) for name in ("one", "two"))
    plan = one.plan()
    with pytest.raises(PlanStale):
        two.project.plans.load("customers", plan.id)
    assert carry_out(plan, one.sync, one.project, None, one.around).tally.accepted == 1
    assert two.plan().counts.added == 1


def test_there_is_no_such_sync(tmp_path: Path) -> None:
    """An unknown sync is told with those there are."""
    with pytest.raises(ConfigError, match="there is no sync 'x'; there are none"):
        Project(tmp_path, tmp_path).sync("x")
