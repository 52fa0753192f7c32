"""Google Sheets under the whole engine: a plain tab, people who work in it, and two syncs at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Busy
from octo_dagster.run import verify_only
from tests.vendors.google_sheets import GOOGLE_SHEETS, the_tab
from tests.world import World, row, world

FIELDS = [{"from": "segment", "to": "segment", "nulls": "clear"}, {"from": "orders", "to": "orders"}]
EVERYTHING = {"max_removed": 1.0, "max_changed": 1.0}


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A mirror of the customers in a tab in no order."""
    for name, value in GOOGLE_SHEETS.env.items():
        monkeypatch.setenv(name, value)
    key = {"from": "customer_id", "to": "customer_id"}
    return world(tmp_path, sandbox, GOOGLE_SHEETS, key=key, fields=FIELDS, mode="mirror", guards=EVERYTHING)


def held(shop: World) -> dict[str, tuple[Any, Any]]:
    rows = shop.sandbox.twin("google_sheets").holdings()["Octo"]
    assert len({found["customer_id"] for found in rows}) == len(rows), "nobody is there twice"
    return {found["customer_id"]: (found["segment"], found["orders"]) for found in rows}


def writes(shop: World) -> int:
    calls = shop.sandbox.calls("google_sheets")
    return sum(call.path.endswith(":batchUpdate") and call.status == 200 for call in calls)


def test_the_calls_of_a_large_first_delivery(shop: World) -> None:
    """7,000 customers are two calls of up to 5,000 after the one that makes the tab; read once, then sampled."""
    report = shop.say(verify=1).have([row(n) for n in range(7_000)]).deliver()
    assert (report.tally.accepted, report.exit_code, writes(shop)) == (7_000, 0, 3)
    reads = [call.path for call in shop.sandbox.calls("google_sheets") if "batchGet" in call.path]
    assert len(reads) == 4  # the header and the columns, once to write and once to verify
    rows = [row(n, orders=n + 7 * (n % 100 == 0)) for n in range(7_000)]
    changed = shop.have(rows).deliver()
    assert (changed.tally.accepted, writes(shop)) == (70, 4)
    assert held(shop)["c100"] == (row(100)["segment"], 107)


def test_people_at_work_in_the_tab(shop: World) -> None:
    """Rows inserted above ours in the very moments of the writes: the run itself puts all right, and is green."""
    shop.have([row(n) for n in range(1, 31)]).deliver()
    tab, twin = the_tab(shop.sandbox.twin("google_sheets")), shop.sandbox.twin("google_sheets")
    at = {"sheetId": tab.id, "dimension": "ROWS", "startIndex": 4, "endIndex": 5}
    twin.meanwhile += [[{"insertDimension": {"range": at}}] for _ in range(2)]
    report = shop.have([row(n, orders=n + 50 * (n % 3 == 0)) for n in range(1, 31)]).deliver()
    assert (report.tally.accepted, report.exit_code) == (10, 0)
    found = {key: values for key, values in held_of_rows(shop).items() if key}
    assert found == {f"c{n}": (row(n)["segment"], n + 50 * (n % 3 == 0)) for n in range(1, 31)}
    assert verify_only(shop.sync, shop.project, 1.0, shop.around).drifts == ()


def held_of_rows(shop: World) -> dict[Any, tuple[Any, Any]]:
    rows = shop.sandbox.twin("google_sheets").holdings()["Octo"]
    return {found["customer_id"]: (found["segment"], found["orders"]) for found in rows}


def test_one_writer_a_spreadsheet(shop: World) -> None:
    """While one sync writes to a spreadsheet, another one to the same is Busy, whatever its tab."""
    plan = shop.have([row(1)]).plan()
    with (
        shop.project.ledger.lock(str(shop.sync.destination.alone())),
        pytest.raises(Busy, match="google_sheets-sandbox-spreadsheet-1"),
    ):
        shop.deliver()
    assert writes(shop) == 0
    assert (shop.deliver().exit_code, plan.changes, writes(shop)) == (0, 1, 2)


def test_a_row_copied_by_somebody(shop: World) -> None:
    """Two rows of one key are told with their numbers; once one is gone, the customer is written again."""
    shop.have([row(1), row(2)]).deliver()
    tab = the_tab(shop.sandbox.twin("google_sheets"))
    tab.rows[3] = dict(tab.rows[1])
    report = shop.have([row(1, orders=77), row(2, orders=78)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (1, 1, 4)
    tab.rows[3] = {}
    assert shop.deliver().exit_code == 0
    assert held(shop)["c1"][1] == 77
