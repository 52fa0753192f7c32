"""What delivering must never do: make what a mode forbids, forget a field, drop a row in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import CHANGELOG, RUNS
from octo_dagster.run import verify_only
from tests.vendors.examinee import Examinee
from tests.vendors.salesforce import SALESFORCE
from tests.vendors.webhook import WEBHOOK
from tests.world import World, row, world

FIRST = [{"from": "segment", "to": "first", "create_only": True}, {"from": "orders", "to": "orders"}]
ALL = {"max_removed": 1.0, "max_changed": 1.0, "max_invalid": 1.0}


def credentials(monkeypatch: pytest.MonkeyPatch, examinee: Examinee) -> None:
    for name, value in examinee.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """In front of a destination that cannot promise that nothing lands late."""
    credentials(monkeypatch, WEBHOOK)
    return world(tmp_path, sandbox, WEBHOOK, fields=FIRST, guards=ALL)


@pytest.fixture
def org(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """In front of a destination that has every mode."""
    credentials(monkeypatch, SALESFORCE)
    sandbox.twin("salesforce").job_seconds = 0.0
    sandbox.twin("salesforce").add_key("Customer__c", "Octo_Id__c")
    fields = [{"from": "orders", "to": "Octo_Orders__c"}]
    return world(tmp_path, sandbox, SALESFORCE, fields=fields, guards=ALL)


def customers(org: World) -> dict[str, Any]:
    """Key → orders, of the records the org holds."""
    rows = org.sandbox.twin("salesforce").holdings().get("Customer__c", [])
    return {found["Octo_Id__c"]: found.get("Octo_Orders__c") for found in rows}


def remove(org: World, key: str) -> None:
    """Somebody deletes a record at the vendor."""
    tables = org.sandbox.twin("salesforce").orgs[0]
    for id_ in list(tables.index("Customer__c", "Octo_Id__c").get(key.lower(), ())):
        tables.delete("Customer__c", id_)


def test_what_was_maybe_created_goes_again_whole(shop: World) -> None:
    """A new record whose sending was never heard of is sent again with its create-only fields."""
    shop.sandbox.fault("webhook", "drop_before", path="^/octo$")
    shop.sandbox.fault("webhook", "error_before", path="/read$")
    assert shop.have([row(1)]).deliver().exit_code == 6
    assert shop.deliver().exit_code == 0
    assert shop.holdings("octo")["customer1@example.com"]["first"] == "new"


def test_what_is_gone_is_made_anew_whole(shop: World) -> None:
    """A record that verifying finds gone is sent again with its create-only fields; a changed one without."""
    shop.have([row(1), row(2)]).deliver()
    hook = shop.sandbox.twin("webhook").hooks["octo"]
    del hook["customer1@example.com"]
    hook["customer2@example.com"] |= {"first": "theirs", "orders": 77}
    assert len(verify_only(shop.sync, shop.project, 1.0, shop.around).drifts) == 2
    assert shop.deliver().tally.accepted == 2
    assert hook["customer1@example.com"] == {"first": "new", "orders": 1}
    assert hook["customer2@example.com"] == {"first": "theirs", "orders": 2}


def test_what_is_doubtful_can_be_taken_back(shop: World) -> None:
    """A customer who left while it was unknown whether she had been created is taken back."""
    shop.say(mode="mirror", on_remove="delete").have([row(1)]).deliver()
    shop.sandbox.fault("webhook", "drop_after", path="^/octo$")
    shop.sandbox.fault("webhook", "error_before", path="/read$")
    shop.have([row(1), row(2)]).deliver()
    shop.have([row(1)])
    assert shop.deliver().exit_code == 0
    held = shop.holdings("octo").get("customer2@example.com", {})
    assert (held.get("first"), held.get("orders")) == (None, None)


def test_update_only_never_creates(org: World) -> None:
    """Neither a customer the vendor does not know nor one whom somebody deleted there is created."""
    org.sandbox.twin("salesforce").orgs[0].add("Customer__c", {"Octo_Id__c": "customer1@example.com"})
    report = org.say(mode="update_only").have([row(1), row(2)]).deliver()
    assert (report.tally.accepted, report.tally.skipped, report.exit_code) == (1, 1, 0)
    assert customers(org) == {"customer1@example.com": 1}
    remove(org, "customer1@example.com")
    report = org.have([row(1, orders=9), row(2)]).deliver()
    assert (report.tally.accepted, report.tally.skipped, customers(org)) == (0, 2, {})


def test_create_only_never_touches_but_never_forgets(org: World) -> None:
    """A record that is there is left alone; one whose creation was lost is created by the next run."""
    org.sandbox.twin("salesforce").orgs[0].add("Customer__c", {"Octo_Id__c": "customer1@example.com"})
    report = org.say(mode="create_only").have([row(1), row(2)]).deliver()
    assert (report.tally.accepted, report.tally.skipped, report.exit_code) == (1, 1, 0)
    assert customers(org) == {"customer1@example.com": None, "customer2@example.com": 2}
    org.have([row(1), row(2, orders=5)]).deliver()
    assert customers(org)["customer2@example.com"] == 2
    remove(org, "customer2@example.com")
    verify_only(org.sync, org.project, 1.0, org.around)
    org.deliver()
    assert customers(org)["customer2@example.com"] == 5


def test_mixed_removals_go_in_full_batches(org: World) -> None:
    """Records to delete and records to clear, however they are mixed, cost one call of each sort."""
    org.say(mode="mirror", on_remove="delete")
    for n in range(0, 20, 2):
        key = f"customer{n}@example.com"
        org.sandbox.twin("salesforce").orgs[0].add("Customer__c", {"Octo_Id__c": key})
    org.have([row(n) for n in range(21)]).deliver()
    before = len(org.sandbox.calls("salesforce"))
    report = org.have([row(20)]).deliver()
    calls = org.sandbox.calls("salesforce")[before:]
    writes = [call.method for call in calls if "composite/sobjects" in call.path]
    assert (report.tally.accepted, writes.count("DELETE"), writes.count("PATCH")) == (20, 1, 1)
    assert set(customers(org)) == {f"customer{n}@example.com" for n in range(0, 21, 2)}
    assert {n for n in customers(org).values() if n is not None} == {20}


def test_a_file_that_cannot_be_delivered_ends_its_run(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is missing stops the run before any call, and the run's line says so."""
    from octo_dagster.errors import ConfigError  # noqa: PLC0415

    monkeypatch.delenv("WEBHOOK_SECRET")
    with pytest.raises(ConfigError, match="WEBHOOK_SECRET is not set"):
        shop.have([row(1)]).deliver()
    (line,) = shop.project.ledger.read(sa.select(RUNS))
    assert (line["status"], "WEBHOOK_SECRET" in line["error"]) == ("failed", True)
    assert not shop.project.ledger.unsettled("customers")
    assert not shop.project.ledger.read(sa.select(CHANGELOG))
