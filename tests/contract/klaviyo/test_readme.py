"""The files shown for Klaviyo in `connectors/README.md` do what is said of them."""

from __future__ import annotations

import re
from datetime import datetime
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
    for name, text in re.findall(r"```yaml\n# assets/syncs/(klaviyo_\w+)\.yaml\n(.*?)```", README, re.DOTALL)
}
PEOPLE: list[dict[str, Any]] = [
    {
        "customer_id": f"c{n}",
        "email": f"customer{n}@example.com",
        "first_name": "Ada",
        "city": "Paris" if n == 1 else None,
        "email_consent": n < 3,
        "rfm_segment": "best",
        "rfm_orders": n,
        "rfm_last_order_at": datetime.fromisoformat(f"2026-11-0{n}T18:30:00"),
    }
    for n in range(1, 4)
]


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, credentials: None) -> World:
    """A project with three customers, of whom one does not consent."""
    made = World(tmp_path, sandbox, "klaviyo")
    made.project.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE))
    return made


def say(shop: World, name: str) -> World:
    """This file, but for the audience, which is another file."""
    shop.said.clear()
    return shop.say(**{key: value for key, value in SHOWN[name].items() if key != "audience"})


def rows(shop: World) -> dict[str, dict[str, Any]]:
    return {row["email"]: row for row in shop.sandbox.twin("klaviyo").holdings()["profiles"]}


def test_the_list_shown_is_delivered(shop: World) -> None:
    """Who consents is in the list with fields and properties, and nobody is subscribed; again, nothing is left."""
    assert set(SHOWN) == {"klaviyo_best", "klaviyo_scores"}
    assert say(shop, "klaviyo_best").deliver().exit_code == 0
    assert shop.deliver().planned == 0
    held = rows(shop)
    assert set(held) == {"customer1@example.com", "customer2@example.com"}
    one = held["customer1@example.com"]
    assert (one["first_name"], one["location.city"], one["RFM segment"]) == ("Ada", "Paris", "best")
    assert (one["Orders"], one["Last order"]) == (1, "2026-11-01T18:30:00Z")
    assert {(row["lists"], row["consent"]) for row in held.values()} == {
        ("Octo best customers", "NEVER_SUBSCRIBED")
    }


def test_the_scores_shown_are_delivered(shop: World) -> None:
    """Profiles known by the shop's id are changed; none is made, and no list."""
    account = shop.sandbox.twin("klaviyo").accounts["pk_sandbox"]
    account.upsert({"attributes": {"email": "customer2@example.com", "external_id": "c2"}}, 0.0, nulls=True)
    report = say(shop, "klaviyo_scores").deliver()
    assert (report.exit_code, report.tally.accepted, report.tally.skipped) == (0, 1, 2)
    assert {key: row["RFM segment"] for key, row in rows(shop).items()} == {"customer2@example.com": "best"}
    assert account.lists == {}
