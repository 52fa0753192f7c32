"""HubSpot under the whole engine, where its ways differ from other vendors'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.hubspot.account import Account
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import Surroundings
from tests.conftest import Clock
from tests.vendors.hubspot import HUBSPOT, KEY
from tests.world import World, row

FIELDS = [
    {"from": "email", "to": "email"},
    {"from": "segment", "to": "octo_segment", "nulls": "clear"},
    {"from": "orders", "to": "octo_orders", "nulls": "clear"},
]
BY_ID: dict[str, Any] = {
    "reads": "customer_profile",
    "destination": {**HUBSPOT.settings, "id_property": "octo_id", "list": None},
    "mode": "mirror",
    "key": {"from": "customer_id", "to": "octo_id"},
    "fields": FIELDS,
    "guards": {"max_removed": "100%", "max_changed": "100%", "max_rejected": "100%"},
    "verify": 0,
}
BY_EMAIL = BY_ID | {
    "destination": {**HUBSPOT.settings, "list": None},
    "key": {"from": "email", "to": "email"},
    "fields": FIELDS[1:],
}


@dataclass
class Patient(World):
    """A run whose waiting is the clock's."""

    clock: Clock = field(default_factory=Clock)

    @property
    def around(self) -> Surroundings:
        return Surroundings(sandbox=self.sandbox.address, sleep=self.clock.sleep)

    @property
    def account(self) -> Account:
        found: Account = self.sandbox.twin("hubspot").accounts[KEY]
        return found

    def held(self) -> dict[str, str | None]:
        """Address → segment, of everybody there."""
        return {one.properties["email"]: one.properties.get("octo_segment") for one in self.account.there()}

    def asked(self, part: str) -> int:
        """How many calls had this in their path."""
        return sum(part in call.path for call in self.sandbox.calls("hubspot"))


@pytest.fixture
def shop(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    """A shop whose sync mirrors customers by their id, nothing delivered yet."""
    for name, value in HUBSPOT.env.items():
        monkeypatch.setenv(name, value)
    with Sandbox(clock=clock) as sandbox:
        made = Patient(tmp_path, sandbox, "hubspot", clock=clock)
        made.say(**BY_ID)
        yield made


@pytest.mark.parametrize("how", [BY_ID, BY_EMAIL], ids=["id", "email"])
def test_people_who_were_there_keep_what_is_theirs(shop: Patient, how: dict[str, Any]) -> None:
    """Contacts with names, stages and an unsubscription from before are written to, and lose none of it."""
    shop.say(**how)
    for n in range(1, 4):
        before = {"email": f"customer{n}@example.com", "firstname": f"N{n}", "lifecyclestage": "lead"}
        shop.account.create(before | {"hs_email_optout": "true"}, 0.0)
    assert shop.have([row(n) for n in range(1, 6)]).deliver().exit_code == 0
    assert shop.have([row(n) for n in range(2, 6)]).deliver().exit_code == 0
    people = [one.properties for one in shop.account.there()]
    assert [(one["firstname"], one["hs_email_optout"]) for one in people[:3]] == [
        (f"N{n}", "true") for n in (1, 2, 3)
    ]
    assert [one.get("octo_segment") for one in people] == [None, "lost", "best", "new", "lost"]


@pytest.mark.parametrize("how", [BY_ID, BY_EMAIL], ids=["id", "email"])
def test_where_one_bad_row_fails_its_batch(shop: Patient, how: dict[str, Any]) -> None:
    """The culprits are found by halving, told with HubSpot's reason, and everybody else is there."""
    shop.say(**how, create_fields=True)
    shop.sandbox.twin("hubspot").multi_status = False
    shop.account.rules = {"octo_segment": "[a-z]+"}
    rows = [row(n, segment="BAD" if n in (7, 131) else "good") for n in range(1, 151)]
    report = shop.have(rows).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.unaccounted) == (148, 2, 0)
    assert set(shop.held().values()) == {"good"}
    assert len(shop.held()) == 148
    shop.account.rules = {}
    assert shop.deliver().exit_code == 0
    assert len(shop.held()) == 150


def test_a_bad_row_in_a_listed_thousand(shop: Patient) -> None:
    """With a list the refused hundred is halved by itself: the others are written once."""
    shop.say(destination={**HUBSPOT.settings, "id_property": "octo_id", "list": "Best"})
    shop.sandbox.twin("hubspot").multi_status = False
    shop.account.rules = {"octo_segment": "[a-z]+"}
    rows = [row(n, segment="BAD" if n == 250 else "good") for n in range(400)]
    report = shop.have(rows).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.unaccounted) == (399, 1, 0)
    (best,) = shop.account.lists.values()
    assert len(best.members) == 399
    # Four hundreds, and of the refused one: itself again, then halves of halves down to the row: six or
    # seven times, by its place in the hundred.
    assert shop.asked("batch/upsert") - 4 - 1 in (2 * 6, 2 * 7)


def test_a_segment_is_entered_and_left(shop: Patient) -> None:
    """A mirror with a list: members are exactly the audience, and whoever leaves stays a contact."""
    shop.say(destination={**HUBSPOT.settings, "id_property": "octo_id", "list": "Best"})
    for members in ((1, 2, 3), (2, 3, 4), (4,)):
        assert shop.have([row(n) for n in members]).deliver().exit_code == 0
        (best,) = shop.account.lists.values()
        inside = {shop.account.contacts[one].properties["octo_id"] for one in best.members}
        assert inside == {f"c{n}" for n in members}
    assert len(shop.held()) == 4


def test_who_withdraws_consent_leaves_the_list_where_octo_may_not_delete(shop: Patient) -> None:
    """Under `on_remove: delete` a contact Octo made is archived; one that people made is kept, but on no list."""
    shop.account.create({"email": "customer1@example.com"}, 0.0)
    listed = {**HUBSPOT.settings, "list": "Best"}
    shop.say(**BY_EMAIL | {"destination": listed}, consent="consent", on_remove="delete")
    shop.have([row(1), row(2), row(3)]).deliver()
    report = shop.have([row(1, consent=False), row(2, consent=False), row(3)]).deliver()
    assert (report.tally.accepted, report.exit_code) == (2, 0)
    assert set(shop.held()) == {"customer1@example.com", "customer3@example.com"}
    (best,) = shop.account.lists.values()
    assert [shop.account.contacts[one].properties["email"] for one in best.members] == [
        "customer3@example.com"
    ]


def test_two_customers_who_became_one(shop: Patient) -> None:
    """Merged in HubSpot, one customer's row goes on and the other's is told of, in every run, and nothing flips."""
    shop.say(**BY_EMAIL)
    shop.have([row(1), row(2)]).deliver()
    one, two = shop.account.there()
    shop.account.merge(one, two, 0.0)
    report = shop.have([row(1, orders=10), row(2, orders=20)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (1, 1, 4)
    assert [(c.properties["email"], c.properties["octo_orders"]) for c in shop.account.there()] == [
        ("customer1@example.com", "10")
    ]


@pytest.mark.parametrize("kind", ["slow", "drop_after"])
def test_an_address_in_capitals_is_no_drift(shop: Patient, kind: str) -> None:
    """HubSpot keeps addresses in lower case: read back, by `verify` or after a lost reply, it is the one sent."""
    shop.say(**BY_ID | {"verify": 1.0}).sandbox.fault("hubspot", kind, path="upsert$")
    report = shop.have([row(1, email="Ada@Example.com"), row(2)]).deliver()
    assert (report.tally.accepted, report.exit_code, shop.plan().changes) == (2, 0, 0)
    assert report.verified is not None
    assert (report.verified.compared, report.verified.drifts) == (2, ())
    assert set(shop.held()) == {"ada@example.com", "customer2@example.com"}


@pytest.mark.parametrize("leaves", [1, 2])
def test_who_leaves_takes_nothing_of_whom_he_was_merged_with(shop: Patient, leaves: int) -> None:
    """Of two customers who became one contact the one who stays is written again, and is whole in the end."""
    shop.say(**BY_EMAIL)
    shop.have([row(1), row(2), row(3)]).deliver()
    one, two, _ = shop.account.there()
    shop.account.merge(one, two, 0.0)
    stays = 3 - leaves
    shop.have([row(stays), row(3)]).deliver(allow=True)
    report = shop.deliver()
    assert (report.exit_code, shop.held()["customer1@example.com"]) == (0, row(stays)["segment"])
    assert shop.plan().changes == 0


def test_merged_customers_are_told_of_however_they_are_sent(shop: Patient) -> None:
    """One after the other, in runs of their own, they never take turns behind anybody's back."""
    shop.say(**BY_EMAIL)
    shop.have([row(1), row(2)]).deliver()
    one, two = shop.account.there()
    shop.account.merge(one, two, 0.0)
    for report in (shop.have([row(1), row(2, orders=20)]).deliver(), shop.deliver(), shop.deliver()):
        assert (report.tally.rejected, report.exit_code) == (1, 4)
    (left,) = shop.account.there()
    assert (left.properties["email"], left.properties["octo_orders"]) == ("customer1@example.com", "1")


def test_a_rule_of_the_accounts_administrator(shop: Patient) -> None:
    """From 2026-09 on the account's own rules hold for the API: who breaks one is told of, alone."""
    shop.account.rules = {"octo_orders": r"\d{1,2}"}
    report = shop.have([row(5), row(500)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (1, 1, 4)
    shop.say(destination={**BY_ID["destination"], "version": "2026-03"})
    assert shop.deliver().exit_code == 0


def test_who_is_refused_for_one_value_can_be_taken_back(shop: Patient) -> None:
    """A stage that will not go back is told of, and stays; without consent the columns beside it go."""
    stage = {"constant": "lead", "to": "lifecyclestage"}
    shop.account.create({"email": "customer1@example.com", "lifecyclestage": "customer"}, 0.0)
    shop.say(**BY_EMAIL | {"fields": [*BY_EMAIL["fields"], stage], "consent": "consent"})
    report = shop.have([row(1), row(2)]).deliver()
    assert (report.tally.rejected, shop.held()["customer1@example.com"]) == (1, "new")
    report = shop.have([row(1, consent=False), row(2)]).deliver(allow=True)
    assert (report.planned, shop.held()["customer1@example.com"]) == (1, None)
    assert next(iter(shop.account.there())).properties["lifecyclestage"] == "customer"


@pytest.mark.parametrize("how", [BY_ID, BY_EMAIL], ids=["id", "email"])
def test_a_quota_is_used_to_the_full(shop: Patient, how: dict[str, Any]) -> None:
    """At five calls in ten seconds a run takes hardly longer than its calls fill, and nobody is left out."""
    destination = {**how["destination"], "calls_per_10_seconds": 250}
    shop.say(**how | {"destination": destination})
    twin = shop.sandbox.twin("hubspot")
    twin.quota, began = 5, shop.clock()
    report = shop.have([row(n) for n in range(1_500)]).deliver()
    calls = sum(call.status != 429 for call in shop.sandbox.calls("hubspot"))
    assert (report.tally.accepted, report.exit_code) == (1_500, 0)
    assert shop.clock() - began <= 10 * -(-calls // 5)


def test_the_day_is_over(shop: Patient) -> None:
    """When the day's calls are used up the run ends as unavailable, keeps what it did, and the next goes on."""
    twin = shop.sandbox.twin("hubspot")
    shop.have([row(n) for n in range(250)])
    twin.daily = 6  # who am I, properties thrice, the group: then one hundred contacts less than needed
    report = shop.deliver()
    assert (report.exit_code, report.tally.rejected) == (5, 0)
    twin.daily = 250_000
    assert shop.deliver().exit_code == 0
    assert len(shop.held()) == 250


def test_nothing_but_what_is_mapped_is_ever_written(shop: Patient) -> None:
    """Over a whole life of a sync, no write names a property that is not mapped, nor any path of consent."""
    shop.say(destination={**HUBSPOT.settings, "id_property": "octo_id", "list": "Best"}, on_remove="delete")
    shop.have([row(n) for n in range(4)]).deliver()
    shop.have([row(n, segment=None) for n in range(3)]).deliver()
    bodies = shop.sandbox.twin("hubspot").bodies
    named = {
        name
        for _, _, body in bodies
        if "inputs" in body
        for one in body["inputs"]
        for name in properties(one)
    }
    assert named == {"email", "octo_segment", "octo_orders"}
    assert not [path for _, path, _ in bodies if "communication" in path or "gdpr" in path]


def properties(one: dict[str, Any]) -> set[str]:
    """The properties an input writes."""
    return set(one.get("properties", ()))


def test_who_was_written_but_not_listed_can_be_taken_back(shop: Patient) -> None:
    """Contacts written while the list was out of reach are Octo's to empty, should they leave meanwhile."""
    shop.say(destination={**HUBSPOT.settings, "id_property": "octo_id"}, on_remove="delete")
    shop.sandbox.fault("hubspot", "throttle", path="/memberships/add$", times=None)
    assert shop.have([row(1), row(2)]).deliver().exit_code == 5
    assert set(shop.held().values()) == {"new", "lost"}
    shop.sandbox.vendors["hubspot"].faults.clear()
    assert shop.have([row(2)]).deliver(allow=True).exit_code == 0
    assert shop.held() == {"customer1@example.com": None, "customer2@example.com": "lost"}
