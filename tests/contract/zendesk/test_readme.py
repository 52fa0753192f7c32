"""The files shown for Zendesk in `connectors/README.md` do what is said of them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.vendors.zendesk import ZENDESK
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
SHOWN = {
    name: yaml.safe_load(text)
    for name, text in re.findall(r"```yaml\n# assets/syncs/(zendesk_\w+)\.yaml\n(.*?)```", README, re.DOTALL)
}
PEOPLE: list[dict[str, Any]] = [
    {
        "customer_id": f"c{n}",
        "email": f"customer{n}@example.com",
        "first_name": "Customer",
        "last_name": str(n),
        "call_id": f"call-c{n}",
        "rfm_segment": "best",
        "rfm_orders": n,
        "rfm_last_order_at": datetime.fromisoformat(f"2026-11-0{n}T18:30:00"),
        "call_consent": n % 2 == 0,
    }
    for n in range(1, 4)
]


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project whose sync is one of the files shown, at the twin's subdomain."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    made = World(tmp_path, sandbox, "zendesk")
    made.project.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE))
    return made


def say(shop: World, name: str) -> World:
    """This file, but for the subdomain, and the audience, which is another file."""
    said = {key: value for key, value in SHOWN[name].items() if key != "audience"}
    shop.said.clear()
    return shop.say(**said | {"destination": {**said["destination"], "subdomain": "octo"}})


def test_the_files_shown_are_delivered(shop: World) -> None:
    """Users first, then a ticket each for them; delivered again, nothing is left to do."""
    assert set(SHOWN) == {"zendesk_users", "zendesk_calls"}
    assert say(shop, "zendesk_users").deliver().exit_code == 0
    users = shop.sandbox.twin("zendesk").holdings()["users"]
    assert {row["external_id"]: (row["name"], row["orders"], row["tags"]) for row in users} == {
        "c1": ("Customer 1", 1, ""),
        "c2": ("Customer 2", 2, "may_be_called"),
        "c3": ("Customer 3", 3, ""),
    }
    assert users[0]["last_order"] == "2026-11-01T00:00:00+00:00"


def test_the_call_list_shown_is_delivered(shop: World) -> None:
    """Every customer on the list has one ticket, tagged, in words made of the profile."""
    account = shop.sandbox.twin("zendesk").accounts[0]
    for person in PEOPLE:
        account.create({"name": person["email"], "external_id": person["customer_id"]}, 0.0)
    assert say(shop, "zendesk_calls").deliver().exit_code == 0
    assert shop.deliver().planned == 0
    tickets = shop.sandbox.twin("zendesk").holdings()["tickets"]
    assert {
        (t["external_id"], t["subject"], t["description"], t["priority"], t["tags"]) for t in tickets
    } == {(f"call-c{n}", f"Call Customer {n}", f"{n} orders, best", "high", "octo_calls") for n in (1, 2, 3)}
