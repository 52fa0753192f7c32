"""A newcomer connects HubSpot: `octo init` looks at the account and writes a sync that fits it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from connectors.sandbox.hubspot.fields import Property
from connectors.sandbox.server import Sandbox
from octo_dagster.cli import app
from tests.vendors.hubspot import HUBSPOT, KEY


@pytest.mark.parametrize("key", ["email", "shop_id"])
def test_a_file_is_written_that_fits(
    key: str, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keyed as its settings say, with the account's own properties where they are, in HubSpot's spelling else."""
    monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
    for name, value in HUBSPOT.env.items():
        monkeypatch.setenv(name, value)
    account = sandbox.twin("hubspot").accounts[KEY]
    account.properties["rfm_segment"] = Property("rfm_segment", "RFM", "string", "text", "octo")
    words = ["--tool", "hubspot", "--set", f"id_property={key}", "--set", "list=Best"]
    ran = CliRunner().invoke(app, ["init", str(tmp_path), *words, "--json"])
    assert ran.exit_code == 0, ran.output or ran.exception
    assert json.loads(ran.stdout)
    said = yaml.safe_load((tmp_path / "assets" / "syncs" / "hubspot.yaml").read_text("utf-8"))
    assert said["key"] == {"from": "email" if key == "email" else "customer_id", "to": key}
    assert {one["to"]: one["type"] for one in said["fields"]}["rfm_segment"] == "text"
    assert (account.lists, list(account.there())) == ({}, [])
