"""Salesforce under the whole engine: plan, deliver, settle and verify contacts against the twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.run import carry_out, verify_only
from tests.vendors.salesforce import SALESFORCE
from tests.world import World, row, world

FIELDS = [
    {"constant": "Customer", "to": "LastName"},
    {"from": "segment", "to": "Octo_Segment__c", "nulls": "clear"},
    {"from": "orders", "to": "Octo_Orders__c"},
    {"from": "revenue", "to": "Octo_Revenue__c", "nulls": "clear"},
    {"from": "consent", "to": "Octo_Vip__c"},
]
EVERYTHING = {"max_removed": 1.0, "max_changed": 1.0}
WAYS = {"collections": 2_000, "jobs": 1}


def shop_of(folder: Path, sandbox: Sandbox, **settings: Any) -> World:
    """A mirror of the customers among the contacts of a fresh org."""
    sandbox.twin("salesforce").job_seconds = 0.0
    told = {**SALESFORCE.settings, "object": "Contact", **settings}
    return world(
        folder, sandbox, replace(SALESFORCE, settings=told), fields=FIELDS, mode="mirror", guards=EVERYTHING
    )


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=list(WAYS))
def shop(tmp_path: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> World:
    """The same shop, delivering by collections and by jobs."""
    return shop_of(tmp_path, sandbox, bulk_from=WAYS[request.param])


@pytest.fixture
def jobs(tmp_path: Path, sandbox: Sandbox) -> World:
    """A shop that delivers everything by bulk jobs."""
    return shop_of(tmp_path, sandbox, bulk_from=1)


def held(shop: World) -> dict[str, Mapping[str, Any]]:
    """Key → contact."""
    rows = shop.sandbox.twin("salesforce").holdings().get("Contact", [])
    assert len({found["Octo_Id__c"] for found in rows}) == len(rows), "no customer is there twice"
    return {found["Octo_Id__c"]: found for found in rows}


def test_first_delivery_changes_and_verification(shop: World) -> None:
    """Fields are made, contacts created, then only what changed is sent; what is held is as wanted."""
    shop.have([row(n) for n in range(30)])
    first = shop.deliver()
    assert (first.tally.accepted, first.exit_code) == (30, 0)
    shop.have([row(n, segment=None if n == 3 else row(n)["segment"]) for n in range(30)])
    second = shop.deliver()
    assert (second.tally.accepted, second.exit_code) == (1, 0)
    assert held(shop)["customer3@example.com"]["Octo_Segment__c"] is None
    assert held(shop)["customer4@example.com"]["Octo_Orders__c"] == 4
    verified = verify_only(shop.sync, shop.project, 1.0, shop.around)
    assert (verified.compared, verified.drifts) == (30, ())


def test_a_refused_customer_is_owed(shop: World) -> None:
    """One row over the vendor's limits is rejected with its reason and goes again when it is mended."""
    shop.have([row(1), row(2, segment="x" * 256), row(3)])
    report = shop.deliver()
    assert (report.tally.accepted, report.tally.rejected) == (2, 1)
    shop.have([row(n) for n in (1, 2, 3)])
    assert shop.deliver().tally.accepted == 1
    assert len(held(shop)) == 3


def test_taking_back_by_clearing(shop: World) -> None:
    """Who leaves keeps a contact with its name; everything else that Octo wrote is empty."""
    shop.say(on_remove="clear").have([row(1), row(2)]).deliver()
    report = shop.have([row(2)]).deliver()
    assert (report.tally.accepted, report.exit_code) == (1, 0)
    left = held(shop)["customer1@example.com"]
    assert (left["LastName"], left["Octo_Segment__c"], left["Octo_Vip__c"]) == ("Customer", None, False)
    assert shop.plan().changes == 0


def test_taking_back_by_deleting(shop: World) -> None:
    """Only contacts that Octo created are deleted; one that was there before is cleared."""
    twin = shop.sandbox.twin("salesforce")
    twin.add_key("Contact", "Octo_Id__c")
    twin.orgs[0].add("Contact", {"LastName": "Old", "Octo_Id__c": "customer2@example.com"})
    shop.say(on_remove="delete").have([row(n) for n in (1, 2, 3)]).deliver()
    assert shop.have([row(3)]).deliver().exit_code == 0
    assert set(held(shop)) == {"customer2@example.com", "customer3@example.com"}
    assert held(shop)["customer2@example.com"]["Octo_Segment__c"] is None


def test_what_people_merged_into_theirs_is_not_deleted(shop: World) -> None:
    """A contact that Octo made is theirs once it was merged into an older one: it loses what Octo wrote."""
    org = shop.sandbox.twin("salesforce").orgs[0]
    shop.say(on_remove="delete").have([row(n) for n in (1, 2, 3)]).deliver()
    made = held(shop)["customer2@example.com"]
    org.delete("Contact", made["Id"])
    theirs = {name: made[name] for name in made if name.endswith("__c")}
    org.add("Contact", {"LastName": "Old", "Title": "CEO", **theirs})
    report = shop.have([row(3)]).deliver(allow=True)
    assert (report.tally.accepted, report.exit_code) == (2, 0)
    assert set(held(shop)) == {"customer2@example.com", "customer3@example.com"}
    left = held(shop)["customer2@example.com"]
    assert (left["LastName"], left["Title"], left["Octo_Segment__c"]) == ("Old", "CEO", None)
    assert shop.plan().changes == 0


STEPS = {
    "open": ("POST", "jobs/ingest"),
    "upload": ("PUT", "batches"),
    "start": ("PATCH", "jobs/ingest"),
    "look": ("GET", "jobs/ingest/[^/]+$"),
    "results": ("GET", "Results"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    "kind", ["drop_before", "drop_after", "error_before", "error_after", "throttle", "expire"]
)
def test_a_job_gone_wrong_is_made_good(jobs: World, step: str, kind: str) -> None:
    """Whatever one call of a job suffers, every customer is there once and the run is green."""
    method, path = STEPS[step]
    jobs.sandbox.fault("salesforce", kind, method=method, path=path)
    report = jobs.have([row(n) for n in range(1, 21)]).deliver()
    assert (report.tally.accepted, report.unaccounted, report.exit_code) == (20, 0, 0)
    assert {found["Octo_Orders__c"] for found in held(jobs).values()} == set(range(1, 21))
    assert jobs.plan().changes == 0


def test_half_a_job_is_finished_by_another(jobs: World) -> None:
    """A job that failed half way is believed where it wrote, and repeated where it did not."""
    jobs.sandbox.fault("salesforce", "half_job")
    report = jobs.have([row(n) for n in range(20)]).deliver()
    assert (report.tally.accepted, report.unaccounted, report.exit_code) == (20, 0, 0)
    assert len(held(jobs)) == 20


def test_a_slow_job_is_left_to_the_next_run(jobs: World) -> None:
    """A run that loses patience with a job leaves it; the next one finds it done and sends nothing again."""
    twin = jobs.sandbox.twin("salesforce")
    twin.job_looks = 3
    jobs.have([row(n) for n in range(20)])
    hasty = Surroundings(sandbox=jobs.sandbox.address, sleep=jobs.slept.append, patience=0.0)
    report = carry_out(jobs.plan(), jobs.sync, jobs.project, None, hasty)
    assert (report.tally.waiting, report.tally.accepted) == (20, 0)
    twin.job_looks = 0
    for _, job in twin.jobs.values():
        job.looks = 0
    again = jobs.deliver()
    assert (again.planned, again.exit_code, len(twin.jobs)) == (0, 0, 1)
    assert len(held(jobs)) == 20
