"""The live lane in the log of steps: what an order had pulled, judged and scored, as the warehouse tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.errors import OctoError
from octo_dagster.live.logged import follow_logged
from octo_dagster.ops import runlog
from octo_dagster.ops.rules import Alerts, facts
from octo_dagster.ops.status import status
from octo_dagster.steps import STEPS
from tests.live_shop import NOW, LiveShop
from tests.orders import rows_of

TOLD = ("lane", "kind", "source", "name", "outcome", "rows", "kept")


def logged(project: Project, run: str) -> list[tuple[Any, ...]]:
    """The steps of a run, in the order they began."""
    runlog.write(project)
    rows = [row for row in rows_of(project.warehouse, runlog.STEP_RUNS) if row["run"] == run]
    return [tuple(row[name] for name in TOLD) for row in sorted(rows, key=lambda row: row["id"])]


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """Eight customers with an order each, worked out whole."""
    made = LiveShop(tmp_path)
    for number in range(8):
        made.person(number)
        made.order(number, who=number, day="2024-05-01")
    made.night()
    return made


PULLED = {"customers": 0, "orders": 1, "order_lines": 2}


def test_an_order_is_in_the_log(shop: LiveShop) -> None:
    """Each pull, judgement and score of a live run is a row of `step_runs`, once, in the lane `live`."""
    shop.order(100, who=3, day="2024-06-30")
    done = follow_logged(shop.project, NOW, "run1")
    pulls = {("live", "pull", "shop", name, "done", rows, None) for name, rows in PULLED.items()}
    judged = {("live", "judge", None, name, "done", None, rows) for name, rows in PULLED.items()}
    scored = {("live", "score", None, name, "done", 1, None) for name in done.scored}
    assert len(scored) > 1
    for _ in range(2):
        told = logged(shop.project, "run1")
        assert {*told} == pulls | judged | scored
        assert len(told) == len({*told})
    follow_logged(shop.project, NOW, "run2")
    assert {kind for _, kind, *_ in logged(shop.project, "run2")} == {"pull", "judge"}


def test_what_a_live_run_cannot_pull_is_told_and_is_no_failure_of_the_night(shop: LiveShop) -> None:
    """Its step failed, with the reason; the source stands as the night left it."""
    shop.database.rename(shop.root / "away")
    with pytest.raises(OctoError):
        follow_logged(shop.project, NOW, "run1")
    ((_, kind, source, _, outcome, _, _),) = logged(shop.project, "run1")
    assert (kind, source, outcome) == ("pull", "shop", "failed")
    (stands,) = [one for one in status(shop.project, NOW) if one.kind == "source"]
    assert stands.outcome == "done"
    assert not [one for one in facts(shop.project, Alerts(), NOW) if one.rule == "failed" and one.fires]


def test_the_ledger_keeps_no_more_of_it_than_the_warehouse_lacks(shop: LiveShop) -> None:
    """Thousands of live runs a day are no weight on the database that every page asks."""
    follow_logged(shop.project, NOW, "run1")
    runlog.write(shop.project)
    kept = shop.project.ledger.read(sa.select(STEPS.c.lane).distinct())
    assert [row["lane"] for row in kept] == ["night"]
