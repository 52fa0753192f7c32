"""Audiences that collapse or swell: told, and told when they are as ever again; small ones never cry wolf."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from octo_dagster.audiences import memberships
from octo_dagster.config import Project
from octo_dagster.ops import alerts
from octo_dagster.ops.sizes import odd

FIRST = date(2026, 11, 1)


@pytest.mark.parametrize(
    ("size", "before", "fires"),
    [
        (400, [1000, 1010], True),
        (1000, [1010], False),
        (0, [9, 9, 9, 9], False),
        (0, [40, 41], True),
        (1300, [1000] * 8, True),
        (1300, [1000] * 7, False),
        (1200, [1000] * 8, False),
        (1300, [900, 1100, 800, 1200, 950, 1050, 990, 1010], False),
        (19, [10] * 30, False),
    ],
    ids=["halved", "one day", "nine", "emptied", "swollen", "too soon", "a fifth", "restless", "small"],
)
def test_what_is_odd_for_an_audience(size: int, before: list[int], fires: bool) -> None:
    """Halved is odd from the third day on, far from usual from the ninth; what chance does to few never is."""
    assert odd(size, before, 6) is fires


def project(folder: Path) -> Project:
    """Two audiences by the number of orders; only one of them has many in it."""
    (folder / "assets" / "audiences").mkdir(parents=True)
    for name, most in (("all", 0), ("few", 97)):
        told = {"description": name, "rule": f"orders >= {most}"}
        (folder / "assets" / "audiences" / f"{name}.yaml").write_text(yaml.safe_dump(told))
    (folder / "assets" / "alerts.yaml").write_text("steady: 0\n")
    return Project(folder, folder / ".octo")


def looked(made: Project, day: date, people: int) -> dict[str, str]:
    """The profile of a day with so many customers, and which alerts there are then: subject → state."""
    rows = [{"customer_id": f"c{n}", "orders": n} for n in range(100 - people, 100)]
    made.warehouse.replace("customer_profile", pa.Table.from_pylist(rows), {"as_of": day.isoformat()})
    memberships.track(made.warehouse, made.conditions(), day)
    alerts.watch(made, datetime.combine(day, datetime.min.time()))
    return {row["subject"]: row["state"] for row in alerts.listed(made.ledger)}


def test_an_audience_that_collapses_is_told_and_its_recovery(tmp_path: Path) -> None:
    """From a hundred to thirty fires, of the large audience alone; as many as ever again is a recovery."""
    made = project(tmp_path)
    for day in range(3):
        assert looked(made, FIRST + timedelta(day), 100 - day) == {}
    assert looked(made, FIRST + timedelta(3), 30) == {"audience all": "firing"}
    assert looked(made, FIRST + timedelta(4), 99) == {"audience all": "ok"}
    (row,) = alerts.listed(made.ledger)
    assert row["what"].startswith("99 customers; usual are 9")
