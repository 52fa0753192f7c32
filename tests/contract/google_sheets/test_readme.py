"""The file shown for Google Sheets in `connectors/README.md` does what is said of it."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.google_sheets.grid import Cell, Tab, plain
from connectors.sandbox.server import Sandbox
from tests.vendors.google_sheets import GOOGLE_SHEETS
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
(SHOWN,) = re.findall(r"```yaml\n# assets/syncs/sheet_calls\.yaml\n(.*?)```", README, re.DOTALL)


def person(number: int, rank: int | None, **changed: Any) -> dict[str, Any]:
    """The n-th customer of a shop, as `customer_profile` has him with the score `reactivation`."""
    return {
        "customer_id": f"c{number}",
        "first_name": "Customer",
        "last_name": str(number),
        "phone": f"+33 6 00 00 00 0{number}",
        "call_consent": True,
        "reactivation_rank": rank,
        "reactivation_priority": Decimal("333.333333") * number,
        "passive_because": "4 usual cycles without a purchase",
        "reactivation_last_contact_on": date(2026, 11, number),
    } | changed


SCHEMA = pa.schema(
    {
        **dict.fromkeys(["customer_id", "first_name", "last_name", "phone", "passive_because"], pa.string()),
        "call_consent": pa.bool_(),
        "reactivation_rank": pa.int64(),
        "reactivation_priority": pa.decimal128(18, 6),
        "reactivation_last_contact_on": pa.date32(),
    }
)


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project whose sync is the file shown, but for the spreadsheet and the audience, which is another file."""
    for name, value in GOOGLE_SHEETS.env.items():
        monkeypatch.setenv(name, value)
    said = {key: value for key, value in yaml.safe_load(SHOWN).items() if key != "audience"}
    destination = said["destination"] | {"spreadsheet": "sandbox-spreadsheet-1"}
    return World(tmp_path, sandbox, "google_sheets").say(**said | {"destination": destination})


def have(shop: World, *people: dict[str, Any]) -> World:
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist([*people], SCHEMA))
    return shop


def called(shop: World) -> Tab:
    found: Tab = shop.sandbox.twin("google_sheets").books["sandbox-spreadsheet-1"].named("Call list")
    return found


def seen(shop: World) -> list[list[Any]]:
    """The list as the callers see it, from its header on."""
    tab = called(shop)
    return [[plain(tab.cell(row, column).value) for column in range(8)] for row in range(tab.used())]


def test_the_call_list_shown_is_kept_in_order(shop: World) -> None:
    """First come, ranks turned round, one gone: callers see the list in order, their words beside the right one."""
    assert have(shop, person(1, 3), person(2, 1), person(3, 2)).deliver().exit_code == 0
    header = ["Customer", "Rank", "Name", "Phone", "Why", "Priority", "Last contact"]
    assert seen(shop)[0] == [*header, None]
    why = "4 usual cycles without a purchase"
    assert seen(shop)[1] == ["c2", 1, "Customer 2", "+33 6 00 00 00 02", why, 666.67, "2026-11-02", None]
    tab = called(shop)
    tab.put(0, 7, Cell({"stringValue": "Caller"}))
    tab.put(3, 7, Cell({"stringValue": "c1: not at home"}, note="twice"))
    assert have(shop, person(1, 1), person(2, 2), person(4, 3)).deliver(allow=True).exit_code == 0
    assert [row[:2] + row[7:] for row in seen(shop)[1:]] == [
        ["c1", 1, "c1: not at home"],
        ["c2", 2, None],
        ["c4", 3, None],
    ]
    assert tab.cell(1, 7).note == "twice"
    assert have(shop, person(1, 1, call_consent=False), person(4, 1)).deliver(allow=True).exit_code == 0
    assert [row[:3] + row[7:] for row in seen(shop)[1:]] == [
        ["c4", 1, "Customer 4", None],
        ["c1", None, None, "c1: not at home"],
    ]
    assert shop.deliver().planned == 0
