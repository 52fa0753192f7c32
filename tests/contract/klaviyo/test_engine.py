"""Klaviyo under the whole engine, and what users of other tools complain of there: none of it holds here."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.destinations.klaviyo.api import REVISION
from connectors.sandbox.klaviyo.account import Account
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.model import Op
from tests.contract.klaviyo.desk import Desk
from tests.vendors.klaviyo import KLAVIYO
from tests.world import World, row, world

FIELDS = [
    {"from": "segment", "to": "segment", "nulls": "clear"},
    {"from": "orders", "to": "orders"},
    {"from": "revenue", "to": "revenue", "nulls": "clear"},
]
EVERYTHING = {"max_removed": 1.0, "max_changed": 1.0}


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, credentials: None) -> World:
    """A mirror of the customers in one list; who leaves the audience leaves the list."""
    return world(tmp_path, sandbox, KLAVIYO, fields=FIELDS, mode="mirror", guards=EVERYTHING)


def account(shop: World) -> Account:
    held: Account = shop.sandbox.twin("klaviyo").accounts["pk_sandbox"]
    return held


def held(shop: World) -> dict[str, dict[str, Any]]:
    """E-mail → profile, of those in the list."""
    rows = shop.sandbox.twin("klaviyo").holdings()["profiles"]
    return {found["email"]: found for found in rows if found["lists"] == "Octo customers"}


def writes(shop: World) -> list[str]:
    """`METHOD path` of every call that wrote, ids left out."""
    calls = shop.sandbox.calls("klaviyo")
    return [
        f"{call.method} {re.sub(r'/(01|L)[A-Z0-9]+', '/…', call.path)}"
        for call in calls
        if call.method != "GET"
    ]


JOB, UPDATE = "POST /api/profile-bulk-import-jobs", "PATCH /api/profiles/…"
REMOVE = "DELETE /api/lists/…/relationships/profiles"


def test_who_leaves_the_audience_leaves_the_list_only(shop: World) -> None:
    """The profile stays, with its properties and its suppression; the others stay in the list."""
    shop.have([row(n) for n in range(5)]).deliver()
    gone = account(shop).find("email", "customer1@example.com")
    assert gone is not None
    gone.consent, gone.suppressed = "UNSUBSCRIBED", "UNSUBSCRIBE"
    report = shop.have([row(n) for n in range(5) if n != 1]).deliver()
    assert set(held(shop)) == {f"customer{n}@example.com" for n in (0, 2, 3, 4)}
    assert (gone.lists, gone.suppressed, gone.properties["segment"]) == ({}, "UNSUBSCRIBE", "new")
    assert (report.tally.accepted, report.exit_code) == (1, 0)


def test_the_fewest_writes(shop: World) -> None:
    """One job for everyone and for what changed; one update for each profile in which something is to be
    emptied, though three hundred rows have empty values; one call for all who leave. That is the minimum."""
    people = [row(n) for n in range(300)]
    assert shop.have(people).deliver().exit_code == 0
    assert writes(shop) == ["POST /api/lists", JOB]
    changed = [row(n, segment=None if n < 3 else "x" if n < 10 else row(n)["segment"]) for n in range(300)]
    assert shop.have(changed).deliver().tally.accepted == 10
    assert writes(shop)[2:] == [JOB, UPDATE, UPDATE, UPDATE]
    assert shop.deliver().calls == 0
    assert shop.have(changed[100:]).deliver(allow=True).tally.accepted == 100
    assert writes(shop)[6:] == [REMOVE]
    assert len(held(shop)) == 200


@pytest.mark.parametrize("kind", ["half_job", "drop_after", "drop_before", "error_after", "throttle"])
def test_a_job_gone_wrong_is_made_good(shop: World, kind: str) -> None:
    """Cancelled, cut off or refused for haste: every customer is held as wanted, once, and the run is green."""
    how = {} if kind == "half_job" else {"path": "import-jobs$"}
    shop.sandbox.fault("klaviyo", kind, **how)
    report = shop.have([row(n) for n in range(1, 9)]).deliver()
    assert (report.tally.accepted, report.unaccounted, report.exit_code) == (8, 0, 0)
    assert {found["orders"] for found in held(shop).values()} == set(range(1, 9))
    assert len(account(shop).profiles) == 8
    assert shop.plan().changes == 0


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "error_after", "throttle"])
def test_an_update_gone_wrong_is_made_good(shop: World, kind: str) -> None:
    """Whatever becomes of the call that empties a field: the field is empty after the run, which is green."""
    shop.have([row(n) for n in range(4)]).deliver()
    shop.sandbox.fault("klaviyo", kind, method="PATCH", after=1)
    report = shop.have([row(n, segment=None) for n in range(4)]).deliver()
    assert (report.tally.accepted, report.exit_code) == (4, 0)
    assert all("segment" not in found for found in held(shop).values())
    assert shop.plan().changes == 0


def test_an_update_that_never_answers_is_finished_by_the_next_run(shop: World) -> None:
    """Klaviyo away in the middle of emptying: the run says so, and the next one finishes the sentence."""
    shop.have([row(n) for n in range(4)]).deliver()
    shop.sandbox.fault("klaviyo", "throttle", method="PATCH", after=1, times=None, seconds=9)
    report = shop.have([row(n, segment=None) for n in range(4)]).deliver()
    assert (report.exit_code, report.tally.accepted) == (5, 0)
    assert {seconds for seconds in shop.slept if seconds >= 1} >= {9}
    shop.sandbox.vendors["klaviyo"].faults.clear()
    assert shop.deliver().exit_code == 0
    assert all("segment" not in found for found in held(shop).values())
    assert shop.plan().changes == 0


def test_one_bad_row_where_klaviyo_refuses_whole_jobs(shop: World) -> None:
    """The job is halved until the row stands alone: rejected in Klaviyo's words, the others delivered."""
    shop.sandbox.twin("klaviyo").checks_values = True
    shop.say(fields=[*FIELDS, {"template": "+33612{orders}", "to": "phone_number"}])
    people = [row(n, orders=10_000 + n) for n in range(8)]
    people[5]["email"] = "bad(mail@example.com"
    report = shop.have(people).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (7, 1, 4)
    (line,) = shop.project.ledger.read(sa.select(CHANGELOG).where(CHANGELOG.c.outcome == "rejected"))
    assert (line["key"], "Invalid email address" in line["reason"]) == ("bad(mail@example.com", True)


def test_rows_klaviyo_refuses_without_saying_which(shop: World) -> None:
    """Nothing is called delivered that is not there: the good row is found, the bad one is still owed."""
    shop.sandbox.twin("klaviyo").keeps_payload = False
    shop.say(fields=[*FIELDS, {"template": "+{orders}", "to": "phone_number"}])
    report = shop.have([row(1, orders=9_990_000_000_000), row(2, orders=33_612_345_678)]).deliver()
    assert (report.tally.accepted, report.tally.unsent, report.exit_code) == (1, 1, 5)
    assert set(held(shop)) == {"customer2@example.com"}
    assert shop.plan().changes == 1


def test_the_account_is_asked_for_once_an_hour(shop: World) -> None:
    """Order upon order is delivered; whose account it is, which few calls may ask, is known from the first."""
    for number in range(1, 5):
        assert shop.have([row(n) for n in range(1, number + 1)]).deliver(allow=True).exit_code == 0
    asked = [call.path for call in shop.sandbox.calls("klaviyo") if call.path == "/api/accounts"]
    assert (len(asked), len(held(shop))) == (1, 4)


def test_a_row_an_import_passes_over_is_not_green(shop: World) -> None:
    """Neither stored nor refused by the job: the run says so, and the next one delivers it."""
    shop.sandbox.twin("klaviyo").forgets = {"customer2@example.com"}
    report = shop.have([row(1), row(2)]).deliver()
    assert (report.tally.accepted, report.tally.unsent, report.exit_code) == (1, 1, 5)
    shop.sandbox.twin("klaviyo").forgets.clear()
    assert (shop.deliver().exit_code, set(held(shop))) == (
        0,
        {"customer1@example.com", "customer2@example.com"},
    )


def test_a_life_by_external_id(tmp_path: Path, sandbox: Sandbox, credentials: None) -> None:
    """Keyed by the shop's id and without a list: entered, changed, emptied, lost on the way, verified, taken
    back by emptying; profiles that others keep are neither found nor touched."""
    key = {"from": "customer_id", "to": "external_id"}
    fields = [*FIELDS, {"from": "email", "to": "email"}]
    bare = {"type": "klaviyo", "api_key": {"env": "KLAVIYO_API_KEY"}}
    said = {"mode": "mirror", "guards": EVERYTHING, "verify": 1.0, "key": key, "fields": fields}
    shop = world(tmp_path, sandbox, KLAVIYO, **said, destination=bare)
    theirs = account(shop).upsert({"attributes": {"external_id": "C1", "email": "x@y.io"}}, 0.0, nulls=True)[
        0
    ]
    people = [row(n, customer_id=name) for n, name in enumerate(["c 1", "50% & more\\", 'a"b', "Zoë"])]
    assert shop.have(people).deliver().exit_code == 0
    sandbox.fault("klaviyo", "drop_after", path="import-jobs$")
    assert shop.have([people[0] | {"segment": None}, *people[1:]]).deliver().exit_code == 0
    assert shop.have(people[1:]).deliver().exit_code == 0
    rows = {one.plain["external_id"]: one.properties for one in account(shop).profiles.values()}
    assert rows == {"c 1": {}, "C1": {}} | {
        told["customer_id"]: {"segment": told["segment"], "orders": told["orders"]} for told in people[1:]
    }
    assert (theirs.plain["email"], account(shop).lists) == ("x@y.io", {})
    assert shop.say(mode="create_only").have([*people, row(9)]).deliver().tally.skipped == 1


# what users of other tools complain of (facts/reverse_etl.md) ---------------------------------------


def test_a_profile_that_exists_is_changed_not_refused(shop: World) -> None:
    """Multiwoven only creates: a profile that is there already fails with 409. Here it is changed and joined."""
    account(shop).upsert({"attributes": {"email": "customer1@example.com"}}, 0.0, nulls=True)
    assert shop.have([row(1), row(2)]).deliver().exit_code == 0
    assert len(account(shop).profiles) == 2
    assert {found["orders"] for found in held(shop).values()} == {1, 2}


def test_the_revision_is_a_recent_one() -> None:
    """Multiwoven sends a revision of 2023, which is no longer served. Ours is served until July 2028."""
    assert date.fromisoformat(REVISION).year == 2026


def test_a_job_that_is_accepted_is_a_success(shop: World) -> None:
    """Multiwoven does not count 202 as a success. Here every row is, once the job's own errors are read."""
    report = shop.have([row(n) for n in range(3)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.unaccounted) == (3, 0, 0)


def test_no_address_stands_in_a_path(shop: World) -> None:
    """drt writes the id into the address unescaped. No key stands in a path here: only Klaviyo's own ids do."""
    people = [row(1, email="o'brien+1/2?x=%41@example.com"), row(2)]
    shop.have(people).deliver()
    shop.have([row(1, email=people[0]["email"], segment=None)]).deliver()
    paths = {call.path for call in shop.sandbox.calls("klaviyo")}
    assert not [path for path in paths if not re.fullmatch(r"(/[a-z-]+|/(01|L)[A-Z0-9]+)+", path)]
    assert "segment" not in held(shop)[str(people[0]["email"])]


def test_writing_and_joining_is_one_call(desk: Desk) -> None:
    """drt makes a call for each record, and one more to join the list. Here both are one, for 10,000 at once."""
    desk.do(Op.UPSERT, {f"c{n}@example.com": {"orders": n} for n in range(2_500)})
    assert (desk.asked("POST", "import-jobs"), desk.asked("POST", "relationships")) == (1, 0)
    assert sum(bool(one.lists) for one in desk.account.profiles.values()) == 2_500


def test_empty_columns_overwrite_nothing_unless_told_to(shop: World) -> None:
    """Amperity's customers lose phone numbers to empty columns. Here that needs `nulls: clear`."""
    account(shop).upsert(
        {"attributes": {"email": "customer1@example.com", "properties": {"orders": 7, "revenue": 9}}},
        0.0,
        nulls=True,
    )
    shop.have([row(1, orders=None, revenue=None)]).deliver()
    assert (
        held(shop)["customer1@example.com"]["orders"],
        "revenue" in held(shop)["customer1@example.com"],
    ) == (
        7,
        False,
    )
