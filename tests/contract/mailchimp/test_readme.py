"""The files shown for Mailchimp in `connectors/README.md` do what is said of them."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.mailchimp.audience import Audience
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import ConfigError
from tests.vendors.mailchimp import MAILCHIMP
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
FILE = r"```yaml\n# assets/syncs/(mailchimp_\w+)\.yaml\n(.*?)```"
SHOWN = {name: yaml.safe_load(text) for name, text in re.findall(FILE, README, re.DOTALL)}


def people(**changed: Any) -> list[dict[str, Any]]:
    """Four customers, of whom the last did not opt in."""
    return [
        {
            "email": f"customer{n}@shop.example",
            "first_name": f"Customer {n}",
            "email_consent": n < 4,
            "rfm_segment": "best",
            "rfm_orders": n,
            "rfm_last_order_at": datetime.fromisoformat(f"2026-11-0{n}T18:30:00"),
        }
        | changed
        for n in range(1, 5)
    ]


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project whose sync is one of the files shown."""
    for name, value in MAILCHIMP.env.items():
        monkeypatch.setenv(name, value)
    return World(tmp_path, sandbox, "mailchimp")


def say(shop: World, name: str, rows: list[dict[str, Any]]) -> World:
    """This file, about these people; people said to have left may."""
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist(rows))
    shop.said.clear()
    return shop.say(**SHOWN[name], guards={"max_removed": "100%", "max_changed": "100%"})


@pytest.fixture
def audience(sandbox: Sandbox) -> Audience:
    """Acme, to which the second customer belongs already, who left it."""
    (found,) = sandbox.twin("mailchimp").accounts["sandboxkey-us21"]
    assert isinstance(found, Audience)
    found.create("customer2@shop.example", "unsubscribed", 0.0).reason = "SPAM"
    return found


def test_the_customers_shown_are_delivered(shop: World, audience: Audience) -> None:
    """Who opted in is subscribed if new, tagged in any case, and nothing is left to do; who leaves is untagged."""
    assert say(shop, "mailchimp_customers", people()).deliver().exit_code == 0
    assert shop.deliver().planned == 0
    held = {row["email"][8]: row for row in shop.sandbox.twin("mailchimp").holdings()["members"]}
    assert {number: (row["status"], row["tags"]) for number, row in held.items()} == {
        "1": ("subscribed", "Octo customers"),
        "2": ("unsubscribed", "Octo customers"),
        "3": ("subscribed", "Octo customers"),
    }
    assert (held["2"]["RFM_SEG"], held["2"]["ORDERS"], held["2"]["LAST_ORDER"]) == ("best", 2, "2026-11-02")
    assert say(shop, "mailchimp_customers", people(email_consent=False)).deliver(allow=True).exit_code == 0
    statuses = {member.email[8]: (member.status, member.tags) for member in audience.members.values()}
    assert statuses == {"1": ("subscribed", []), "2": ("unsubscribed", []), "3": ("subscribed", [])}


def test_the_columns_shown_make_nobody(shop: World, audience: Audience) -> None:
    """Only who is there gets the column, without a tag and in the status he had; the others are skipped."""
    report = say(shop, "mailchimp_columns", people()).deliver()
    assert (report.exit_code, report.tally.accepted, report.tally.skipped) == (0, 1, 3)
    ((email, member),) = ((one.email, one) for one in audience.members.values())
    assert (email, member.status, member.tags) == ("customer2@shop.example", "unsubscribed", [])
    assert member.merge["RFM_SEG"] == "best"


def test_nobody_is_subscribed_without_a_column_of_consent(shop: World) -> None:
    """A file that subscribes whoever is new, and says nothing of who opted in, is refused before any call."""
    said = {name: value for name, value in SHOWN["mailchimp_customers"].items() if name != "consent"}
    shop.said.clear()
    with pytest.raises(ConfigError, match="consent: say which column tells who opted in"):
        shop.say(**said).deliver()
    assert shop.sandbox.calls("mailchimp") == []


def test_every_file_shown_is_tried() -> None:
    """No file is shown here that the tests above do not deliver."""
    assert set(SHOWN) == {"mailchimp_customers", "mailchimp_columns"}
