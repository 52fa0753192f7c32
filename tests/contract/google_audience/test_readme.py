"""The file shown for Google in `connectors/README.md` does what is said of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.vendors.google_audience import KEY
from tests.vendors.hashed import sha256
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
(SHOWN,) = re.findall(r"```yaml\n# assets/syncs/google_\w+\.yaml\n(.*?)```", README, re.DOTALL)
PEOPLE = [
    {
        "email": f"customer{n}@example.com",
        "phone": f"06 12 34 56 7{n}",
        "first_name": "Zoë",
        "last_name": "O'Brien",
        "postal_code": f"7500{n}",
        "ad_consent": n != 2,
    }
    for n in (1, 2, 3)
]


def test_the_file_shown_is_delivered(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who consented is in the audience, by hashes of what is mapped; who withdraws is out, delivered again."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", KEY)
    shop = World(tmp_path, sandbox, "google_audience")
    said = {key: value for key, value in yaml.safe_load(SHOWN).items() if key != "audience"}
    shop.say(**said | {"destination": {**said["destination"], "ads_account": "1000000001"}})
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE))
    assert shop.deliver().exit_code == 0
    members = sandbox.twin("google_audience").holdings()["members"]
    assert [one["emails"] for one in members] == [sha256(f"customer{n}@example.com") for n in (1, 3)]
    place = {"givenName": "zoë", "familyName": "o'brien"}
    assert members[0] == {
        "list": "Octo best customers",
        "account": "1000000001",
        "emails": sha256("customer1@example.com"),
        "phones": sha256("+33612345671"),
        "addresses": json.dumps(
            {name: sha256(text) for name, text in place.items()}
            | {"postalCode": "75001", "regionCode": "FR"},
            sort_keys=True,
        ),
        "consent": "CONSENT_GRANTED, CONSENT_GRANTED",
    }
    shop.project.warehouse.replace(
        "customer_profile", pa.Table.from_pylist([PEOPLE[0] | {"ad_consent": False}, PEOPLE[2]])
    )
    assert shop.deliver(allow=True).exit_code == 0
    left = sandbox.twin("google_audience").holdings()["members"]
    assert [one["emails"] for one in left] == [sha256("customer3@example.com")]
