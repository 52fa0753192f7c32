"""The files shown for HubSpot in `connectors/README.md` do what is said of them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.vendors.hubspot import HUBSPOT, KEY
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
SHOWN = {
    name: yaml.safe_load(text)
    for name, text in re.findall(r"```yaml\n# assets/syncs/(hubspot_\w+)\.yaml\n(.*?)```", README, re.DOTALL)
}
PEOPLE: list[dict[str, Any]] = [
    {
        "customer_id": f"c{n}",
        "email": f"customer{n}@example.com",
        "first_name": f"Customer {n}",
        "rfm_segment": "best",
        "rfm_orders": n,
        "rfm_last_order_at": datetime.fromisoformat(f"2026-11-0{n}T18:30:00"),
    }
    for n in range(1, 4)
]


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project with three customers, one of whom HubSpot knows already."""
    for name, value in HUBSPOT.env.items():
        monkeypatch.setenv(name, value)
    made = World(tmp_path, sandbox, "hubspot")
    made.project.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE))
    sandbox.twin("hubspot").accounts[KEY].create({"email": "customer1@example.com", "phone": "123"}, 0.0)
    return made


@pytest.mark.parametrize("name", ["hubspot_customers", "hubspot_by_email"])
def test_the_files_shown_are_delivered(shop: World, name: str) -> None:
    """Everybody is there once with what is mapped, in the list where there is one; then nothing is left to do."""
    assert set(SHOWN) == {"hubspot_customers", "hubspot_by_email"}
    shop.say(**{key: value for key, value in SHOWN[name].items() if key != "audience"})
    report = shop.deliver()
    assert (report.tally.accepted, report.exit_code) == (3, 0)
    assert shop.deliver().planned == 0
    rows = {row["email"]: row for row in shop.sandbox.twin("hubspot").holdings()["contacts"]}
    assert len(rows) == 3
    assert {row["rfm_segment"] for row in rows.values()} == {"best"}
    assert rows["customer1@example.com"]["phone"] == "123"
    if name == "hubspot_customers":
        second = rows["customer2@example.com"]
        assert (second["shop_customer_id"], second["last_order"]) == ("c2", "2026-11-02")
        assert {row["lists"] for row in rows.values()} == {"Best customers"}
