"""The files shown for Salesforce in `connectors/README.md` do what is said of them, and so does the demo's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.contract.salesforce.front import Front
from tests.vendors.salesforce import SALESFORCE
from tests.world import World

ROOT = Path(__file__).parents[3]
README = (ROOT / "connectors" / "README.md").read_text("utf-8")
SHOWN = {
    name: yaml.safe_load(text)
    for name, text in re.findall(
        r"```yaml\n# assets/syncs/(salesforce_\w+)\.yaml\n(.*?)```", README, re.DOTALL
    )
}
PEOPLE: list[dict[str, Any]] = [
    {
        "customer_id": f"c{n}",
        "email": f"customer{n}@example.com",
        "first_name": "Customer",
        "last_name": str(n),
        "call_id": f"call-c{n}",
        "rfm_segment": "best",
        "rfm_recency": n,
        "rfm_frequency_monetary": n,
        "rfm_orders": n,
        "rfm_revenue": n * 10.5,
        "rfm_last_order_at": datetime.fromisoformat(f"2026-11-0{n}T18:30:00"),
        "rfi_label": "on time",
        "passive_segment": "active",
        "reactivation_rank": n,
        "scenario_action": "call",
        "scenario_next_action_on": "2026-12-01",
    }
    for n in range(1, 4)
]


@pytest.fixture
def front(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """An org that knows the three customers as contacts, and has the campaign."""
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setenv(name.replace("SF_", "SALESFORCE_"), value)
    with closing(Front(sandbox, {"object": "Contact"}, {})) as made:
        made.campaign("Winback")
        made.people("c1", "c2", "c3")
        yield made


@pytest.fixture
def shop(front: Front, tmp_path: Path) -> World:
    made = World(tmp_path, front.sandbox, "salesforce")
    return have(made, PEOPLE)


def have(shop: World, rows: list[dict[str, Any]]) -> World:
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist(rows))
    return shop


def say(shop: World, shown: dict[str, Any]) -> World:
    """This file, but for the domain, and the audience, which is another file."""
    said = {key: value for key, value in shown.items() if key != "audience"}
    shop.said.clear()
    return shop.say(**said | {"destination": {**said["destination"], "domain": "octo"}})


def test_the_segment_shown_is_delivered(shop: World, front: Front) -> None:
    """Everyone in the audience is a member with the status shown; who leaves it leaves the campaign."""
    assert set(SHOWN) == {"salesforce_winback", "salesforce_calls"}
    assert say(shop, SHOWN["salesforce_winback"]).deliver().exit_code == 0
    assert [(row["Status"], row["RFM_Segment__c"]) for row in front.rows("CampaignMember")] == [
        ("Sent", "best")
    ] * 3
    assert shop.deliver().planned == 0
    assert have(shop, PEOPLE[:2]).deliver(allow=True).exit_code == 0
    assert len(front.rows("CampaignMember")) == 2


def test_the_call_list_shown_is_delivered(shop: World, front: Front) -> None:
    """Every customer on the list has one open task, for the right contact, in words made of the profile."""
    assert say(shop, SHOWN["salesforce_calls"]).deliver().exit_code == 0
    assert shop.deliver().planned == 0
    names = {row["Id"]: row["LastName"] for row in front.rows("Contact")}
    told = {
        (t["Octo_Id__c"], t["Subject"], t["Description"], t["Status"], names[t["WhoId"]])
        for t in front.rows("Task")
    }
    assert told == {
        (f"call-c{n}", f"Call Customer {n}", f"{n} orders, best", "Not Started", f"C{n}") for n in (1, 2, 3)
    }


def test_the_contacts_of_the_demo_are_delivered(shop: World, front: Front) -> None:
    """The project's own sync finds the contacts by the shop's id, and fills in its columns."""
    demo = yaml.safe_load((ROOT / "assets" / "syncs" / "salesforce_contacts.yaml").read_text("utf-8"))
    assert say(shop, demo).deliver().exit_code == 0
    assert [(row["Name"], row["Orders__c"], row["Last_Order__c"]) for row in front.rows("Contact")] == [
        (f"Customer {n}", float(n), f"2026-11-0{n}") for n in (1, 2, 3)
    ]
    assert shop.deliver().planned == 0
