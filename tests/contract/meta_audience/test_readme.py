"""The file shown for Meta in `connectors/README.md` does what is said of it."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.vendors.hashed import sha256
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")
(SHOWN,) = re.findall(r"```yaml\n# assets/syncs/meta_\w+\.yaml\n(.*?)```", README, re.DOTALL)
PEOPLE = [
    {
        "email": f"customer{n}@example.com",
        "phone": f"06 12 34 56 7{n}",
        "first_name": "Zoë",
        "last_name": "O'Brien",
        "postal_code": "75001",
        "ad_consent": n != 2,
    }
    for n in (1, 2, 3)
]


def test_the_file_shown_is_delivered(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who consented is in the audience, by hashes of what is mapped; who withdraws is out, delivered again."""
    monkeypatch.setenv("META_TOKEN", "sandbox-token")
    shop = World(tmp_path, sandbox, "meta_audience")
    said = {key: value for key, value in yaml.safe_load(SHOWN).items() if key != "audience"}
    shop.say(**said | {"destination": {**said["destination"], "ad_account": "1001"}})
    shop.project.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE))
    assert shop.deliver().exit_code == 0
    members = sandbox.twin("meta_audience").holdings()["members"]
    assert [one["EMAIL"] for one in members] == [sha256(f"customer{n}@example.com") for n in (1, 3)]
    assert members[0] == {
        "audience": "Octo best customers",
        "account": "1001",
        "EMAIL": sha256("customer1@example.com"),
        "PHONE": sha256("33612345671"),
        "FN": sha256("zoë"),
        "LN": sha256("obrien"),
        "ZIP": sha256("75001"),
        "COUNTRY": sha256("fr"),
    }
    shop.project.warehouse.replace(
        "customer_profile", pa.Table.from_pylist([PEOPLE[0] | {"ad_consent": False}, PEOPLE[2]])
    )
    assert shop.deliver(allow=True).exit_code == 0
    left = sandbox.twin("meta_audience").holdings()["members"]
    assert [one["EMAIL"] for one in left] == [sha256("customer3@example.com")]
