"""The files shown for Brevo and for a webhook in `connectors/README.md` do what is said of them."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
SHOWN = {
    name: yaml.safe_load(text)
    for name, text in re.findall(
        r"```yaml\n# assets/syncs/((?:brevo|webhook)_\w+)\.yaml\n(.*?)```", README, re.DOTALL
    )
}
PEOPLE: list[dict[str, Any]] = [
    {
        "customer_id": f"c{n}",
        "email": f"customer{n}@example.com",
        "email_consent": n < 3,
        "first_name": "Zoé",
        "rfm_segment": "Best active customers",
        "rfm_revenue": Decimal("12.50") * n,
        "rfm_last_order_at": datetime.fromisoformat(f"2026-11-0{n}T18:30:00"),
    }
    for n in range(1, 4)
]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox) -> World:
    """A project with three customers, of whom one does not consent."""
    monkeypatch = request.getfixturevalue("monkeypatch")
    for name in ("BREVO_API_KEY", "WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "sandbox-key")
    return World(tmp_path, sandbox, request.param)


def day(shop: World, name: str, *people: dict[str, Any]) -> int:
    """A day with these customers, delivered by this file, but for its audience, which is another file."""
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist(list(people)))
    shop.say(**{key: value for key, value in SHOWN[name].items() if key != "audience"})
    return shop.deliver(allow=True).exit_code


@pytest.mark.parametrize("shop", ["brevo"], indirect=True)
def test_the_list_shown_is_delivered(shop: World) -> None:
    """Who consents is in the list with his attributes; who withdraws leaves it; again, nothing is left."""
    assert day(shop, "brevo_winback", *PEOPLE) == 0
    rows = {row["email"]: row for row in shop.sandbox.twin("brevo").holdings()["contacts"]}
    assert rows.keys() == {"customer1@example.com", "customer2@example.com"}
    held = rows["customer2@example.com"]
    assert (held["RFM_SEGMENT"], held["REVENUE"], held["LAST_ORDER"]) == (
        "Best active customers",
        25,
        "2026-11-02",
    )
    assert day(shop, "brevo_winback", PEOPLE[0], PEOPLE[1] | {"email_consent": False}) == 0
    rows = {row["email"]: row for row in shop.sandbox.twin("brevo").holdings()["contacts"]}
    assert [email for email, row in rows.items() if "Octo winback" in row["lists"]] == [
        "customer1@example.com"
    ]
    assert shop.deliver().planned == 0


@pytest.mark.parametrize("shop", ["webhook"], indirect=True)
def test_the_receiver_shown_is_kept_equal(shop: World) -> None:
    """Every customer is told; who is gone is deleted, for the receiver said that Octo made him."""
    assert day(shop, "webhook_segments", *PEOPLE) == 0
    assert day(shop, "webhook_segments", *PEOPLE[1:]) == 0
    assert shop.holdings("octo") == {
        f"c{n}": {
            "key": f"c{n}",
            "email": f"customer{n}@example.com",
            "segment": "Best active customers",
        }
        for n in (2, 3)
    }
