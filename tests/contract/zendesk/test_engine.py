"""Zendesk under the whole engine: jobs that go wrong, replies that are lost, bulk import that is off."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import Surroundings
from tests.conftest import Clock
from tests.vendors.zendesk import ZENDESK
from tests.world import World, row, world

FIELDS = [
    {"from": "customer_id", "to": "name", "create_only": True},
    {"from": "email", "to": "email", "create_only": True},
    {"from": "segment", "to": "octo_segment", "nulls": "clear"},
    {"from": "orders", "to": "octo_orders"},
    {"from": "consent", "to": "octo_wants_mail"},
]
EVERYTHING = {"max_removed": 1.0, "max_changed": 1.0}


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A mirror of the customers among the helpdesk's users."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    key = {"from": "customer_id", "to": "external_id"}
    return world(tmp_path, sandbox, ZENDESK, key=key, fields=FIELDS, mode="mirror", guards=EVERYTHING)


def held(shop: World) -> dict[str, dict[str, Any]]:
    return {row["external_id"]: row for row in shop.sandbox.twin("zendesk").holdings()["users"]}


def posts(shop: World, path: str) -> int:
    calls = shop.sandbox.calls("zendesk")
    return sum(call.method != "GET" and path in call.path and (call.status or 500) < 300 for call in calls)


@pytest.mark.parametrize(
    "kind", ["half_job", "drop_after", "drop_before", "error_after", "throttle", "expire"]
)
def test_a_job_gone_wrong_is_made_good(shop: World, kind: str) -> None:
    """Failed, cut off, refused for haste or signed out: every customer is held as wanted, once, and green."""
    how = {} if kind == "half_job" else {"path": "_many"}
    shop.sandbox.fault("zendesk", kind, **how)
    report = shop.have([row(n) for n in range(1, 9)]).deliver()
    assert (report.tally.accepted, report.unaccounted, report.exit_code) == (8, 0, 0)
    assert {found["octo_orders"] for found in held(shop).values()} == set(range(1, 9))
    assert len(shop.sandbox.twin("zendesk").holdings()["users"]) == 8
    assert shop.plan().changes == 0


@dataclass
class Impatient(World):
    """A run that looks at a job once and leaves it."""

    @property
    def around(self) -> Surroundings:
        return Surroundings(sandbox=self.sandbox.address, sleep=self.slept.append, patience=0.0)


def test_a_job_that_is_not_done_is_left_to_the_next_run(shop: World) -> None:
    """A job the run has no patience for is asked for by its id next time; nothing is sent twice or lost."""
    twin = shop.sandbox.twin("zendesk")
    twin.job_seconds = 1e9
    hasty = Impatient(shop.folder, shop.sandbox, "zendesk", shop.said)
    report = hasty.have([row(n) for n in range(1, 5)]).deliver()
    assert (report.tally.waiting, report.tally.accepted, report.exit_code, held(shop)) == (4, 0, 6, {})
    for job in twin.jobs.values():
        job.due = 0.0
    again = shop.deliver()
    assert (again.planned, again.exit_code, len(held(shop))) == (0, 0, 4)
    assert posts(shop, "create_or_update_many") == 1


def test_without_bulk_import_everyone_goes_alone(shop: World) -> None:
    """Bulk import off: one refusal, then one call a customer and none in vain; taking back likewise."""
    shop.sandbox.twin("zendesk").bulk_import = False
    report = shop.have([row(n) for n in range(1, 31)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (30, 0, 0)
    assert posts(shop, "users/create_or_update.json") == 30
    refused = [call for call in shop.sandbox.calls("zendesk") if call.status == 403]
    assert len(refused) == 1
    assert len(held(shop)) == 30
    back = shop.have([row(n) for n in range(1, 21)]).deliver()
    assert (back.tally.accepted, back.exit_code) == (10, 0)
    assert {key for key, found in held(shop).items() if found["octo_orders"] is None} == {
        f"c{n}" for n in range(21, 31)
    }


def test_without_bulk_import_a_bad_row_is_only_its_own(shop: World) -> None:
    """One by one, too, the refused row keeps Zendesk's reason and the others go."""
    shop.sandbox.twin("zendesk").bulk_import = False
    rows = [row(n) for n in range(1, 6)]
    rows[2]["email"] = "badmail"
    report = shop.have(rows).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (4, 1, 4)
    assert set(held(shop)) == {"c1", "c2", "c4", "c5"}


@dataclass
class Patient(World):
    """A run whose waiting is the clock's."""

    clock: Clock = field(default_factory=Clock)

    @property
    def around(self) -> Surroundings:
        return Surroundings(sandbox=self.sandbox.address, sleep=self.clock.sleep)


@pytest.mark.parametrize("bulk", [True, False])
def test_a_quota_is_used_to_the_full(
    bulk: bool, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a quota of ten calls a minute, no run takes a minute more than its calls fill: everyone arrives."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    with Sandbox(clock=clock) as sandbox:
        destination = {**ZENDESK.settings, "calls_a_minute": 2_500}
        key, twin = {"from": "customer_id", "to": "external_id"}, sandbox.twin("zendesk")
        shop = Patient(tmp_path, sandbox, "zendesk", clock=clock)
        fields = [FIELDS[0], *FIELDS[2:]]
        shop.say(reads="customer_profile", destination=destination, key=key, fields=fields, verify=0)
        twin.quota, twin.bulk_import, began = 10, bulk, clock()
        report = shop.have([row(n) for n in range(1_000 if bulk else 60)]).deliver()
        calls = sum(call.status != 429 for call in sandbox.calls("zendesk"))
        assert (report.tally.rejected, report.tally.unsent, report.exit_code) == (0, 0, 0)
        assert calls > 10
        assert clock() - began <= 60 * -(-calls // 10)


def test_one_look_is_at_all_jobs(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thirty jobs of a second each, ten at once, nearly all are looked at with others: looks spend the quota."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    with Sandbox(clock=clock) as sandbox:
        key, twin = {"from": "customer_id", "to": "external_id"}, sandbox.twin("zendesk")
        shop = Patient(tmp_path, sandbox, "zendesk", clock=clock)
        fields = [FIELDS[0], *FIELDS[2:]]
        settings = {**ZENDESK.settings, "calls_a_minute": 2_500}
        shop.say(reads="customer_profile", destination=settings, key=key, fields=fields, verify=0)
        twin.job_seconds = 1.0
        report = shop.have([row(n) for n in range(3_000)]).deliver()
        assert (report.tally.accepted, len(held(shop)), report.exit_code) == (3_000, 3_000, 0)
        looks = sum("job_statuses" in call.path for call in sandbox.calls("zendesk"))
        assert looks <= 10


def test_who_leaves_stays_a_user(shop: World) -> None:
    """Taken back, a user keeps name, address, tags and other people's fields; ours are empty."""
    shop.have([row(n) for n in range(1, 4)]).deliver()
    account = shop.sandbox.twin("zendesk").accounts[0]
    account.add_field({"key": "theirs", "type": "text", "title": "Theirs"})
    user = account.by_external_id("c2")
    user.values["theirs"], user.tags = "kept", ["vip"]
    report = shop.have([row(1), row(3)]).deliver()
    left = held(shop)["c2"]
    assert (report.tally.accepted, report.exit_code) == (1, 0)
    assert (left["name"], left["email"], left["theirs"], left["tags"]) == (
        "c2",
        "customer2@example.com",
        "kept",
        "vip",
    )
    assert (left["octo_segment"], left["octo_orders"], left["octo_wants_mail"]) == (None, None, False)


def test_a_segment_is_entered_and_left(shop: World) -> None:
    """A mirror of one constant: who enters gets the checkbox and its tag, who leaves loses both and no more."""
    twin = shop.sandbox.twin("zendesk")
    for n in range(1, 5):
        twin.accounts[0].create({"name": f"n{n}", "external_id": f"c{n}", "tags": ["vip"]}, 0.0)
    destination = {**ZENDESK.settings, "tag_people": True}
    shop.say(destination=destination, fields=[{"constant": True, "to": "best_customer"}])
    for members in ((1, 2, 3), (2, 3, 4), (4,)):
        assert shop.have([row(n) for n in members]).deliver().exit_code == 0
        found = {key: (user["best_customer"], user["tags"]) for key, user in held(shop).items()}
        assert found == {
            f"c{n}": (n in members, "vip, best_customer" if n in members else "vip") for n in range(1, 5)
        }


def test_a_job_sent_for_more_than_the_least(shop: World) -> None:
    """Two hundred and fifty customers are three jobs, each asked for until done, and nothing is read."""
    shop.say(fields=[FIELDS[0], *FIELDS[2:]], verify=0)
    shop.have([row(n) for n in range(250)]).deliver()
    asked = [f"{call.method} {call.path}" for call in shop.sandbox.calls("zendesk")]
    assert sum("create_or_update_many" in call for call in asked) == 3
    assert not [call for call in asked if "users/show_many" in call]
