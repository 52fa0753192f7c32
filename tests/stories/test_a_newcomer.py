"""From an empty folder to one customer in a tool, offline, as somebody does who has just installed Octo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.sandbox.server import Sandbox
from octo_dagster.cli import app
from octo_dagster.errors import ConfigError, OctoError


def octo(*words: str) -> Any:
    ran = CliRunner().invoke(app, [*words, "--json"])
    assert ran.exit_code == 0, ran.output or ran.exception
    return json.loads(ran.stdout)


def refused(error: type[OctoError], *words: str) -> None:
    """Asked for what cannot be meant, it says so and does nothing."""
    assert isinstance(CliRunner().invoke(app, words).exception, error)


def test_from_init_to_one_customer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> None:
    """`octo sandbox --shop` has a shop to begin with: init, check, run, plan, and one customer delivered first."""
    (shop,) = [one for one in sandbox.shops if one.name == "shopify"]
    bought = shop.stock()
    for name, value in {**shop.keys, "BREVO_API_KEY": "sandbox-key"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
    octo("init", str(tmp_path), "--source", "shopify", "--tool", "brevo", "--set", "list=Octo customers")
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    octo("check", "--connect")
    made = {one["table"]: (one["kept"], one["rejected"]) for one in octo("run", "--base", "--live")["tables"]}
    assert made["orders"] == (bought, 0)
    assert made["customers"] == (len(shop.records["customers"]), 0)
    assert octo("plan", "brevo", "--limit", "5")["counts"]["added"] == 5
    refused(ConfigError, "deliver", "brevo", "--only", "Customer3@example.com")
    key = "customer3@example.com"
    drawn = octo("plan", "brevo", "--only", key)["id"]
    refused(ConfigError, "deliver", "brevo", "--plan", drawn, "--limit", "5")
    assert sandbox.twin("brevo").holdings().get("contacts", []) == []
    done = octo("deliver", "brevo", "--limit", "5", "--only", key)
    assert (done["tally"]["accepted"], done["exit_code"]) == (1, 0)
    (held,) = sandbox.twin("brevo").holdings()["contacts"]
    assert (held["email"], held["RFM_ORDERS"] > 0) == (key, True)
