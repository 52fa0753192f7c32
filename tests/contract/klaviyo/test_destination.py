"""What Klaviyo's destination promises beyond the common exam: consent, emptying, memberships, few calls."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from octo_dagster.errors import Retryable
from octo_dagster.model import Fields, FieldType, Mode, Op, Outcome, Removal
from tests.contract.klaviyo.desk import ADA, BOB, EVE, Desk

# what must be impossible ---------------------------------------------------------------------------

FORBIDDEN = ("subscri", "consent", "suppress", "opt_in", "marketing", "merge", "privacy")


@pytest.mark.parametrize("op", [Op.UPSERT, Op.LEAVE, Op.CLEAR])
def test_who_unsubscribed_stays_so(desk: Desk, op: Op) -> None:
    """No operation changes consent or suppression, and no request can even speak of them."""
    desk.do(Op.UPSERT, {ADA: {"rfm": "champion"}, BOB: {"rfm": "lost"}})
    ada, bob = desk.profile(ADA), desk.profile(BOB)
    ada.consent, ada.suppressed, bob.consent = "UNSUBSCRIBED", "UNSUBSCRIBE", "SUBSCRIBED"
    desk.do(op, {ADA: {"rfm": None if op is Op.CLEAR else "loyal"}, BOB: {"rfm": None}})
    assert (ada.consent, ada.suppressed) == ("UNSUBSCRIBED", "UNSUBSCRIBE")
    assert (bob.consent, bob.suppressed) == ("SUBSCRIBED", None)
    said = json.dumps(desk.twin.bodies) + " ".join(call.path for call in desk.calls)
    assert [word for word in FORBIDDEN if word in said] == []


def test_the_list_gives_no_consent(desk: Desk) -> None:
    """A new customer is in the list and nowhere subscribed."""
    desk.do(Op.UPSERT, {ADA: {"rfm": "new"}})
    assert desk.lists(desk.profile(ADA)) == ["Octo customers"]
    assert desk.profile(ADA).consent == "NEVER_SUBSCRIBED"


def test_deleting_is_not_offered(desk: Desk, bare: Desk) -> None:
    """Nobody can be deleted; who is in no list of ours cannot leave one."""
    assert desk.destination.removals == {Removal.LEAVE, Removal.CLEAR}
    assert bare.destination.removals == {Removal.CLEAR}


def test_modes_that_need_to_know_who_is_new(desk: Desk, bare: Desk) -> None:
    """With a list, a profile outside it looks new: create_only and update_only are then not promised."""
    assert desk.destination.modes == {Mode.UPSERT, Mode.MIRROR}
    assert bare.destination.modes == set(Mode)


def test_taking_back_leaves_who_the_person_is(bare: Desk) -> None:
    """`clear` empties what Octo wrote, but neither address nor phone number nor id."""
    told: Fields = {"email": ADA, "phone_number": "+33612345678", "first_name": "Ada", "rfm": "best"}
    bare.do(Op.UPSERT, {"c1": told}, "external_id")
    bare.do(Op.CLEAR, {"c1": dict.fromkeys(told)}, "external_id")
    held = bare.profile("c1", "external_id")
    assert (held.plain["email"], held.plain["phone_number"]) == (ADA, "+33612345678")
    assert (held.plain["first_name"], held.properties) == (None, {})


# fields --------------------------------------------------------------------------------------------


def test_nothing_is_made_or_asked_for_fields(desk: Desk) -> None:
    """Properties need no creation, so that they exist is said without a call."""
    report = desk.destination.ensure_fields(desk.api, {"rfm": FieldType.LIST}, create=True)
    assert (report.existing, report.created, report.problems) == (("rfm",), (), ())
    assert desk.calls == []


@pytest.mark.parametrize(
    ("name", "kind", "why"),
    [
        ("$consent", FieldType.TEXT, "names with $ are Klaviyo's own"),
        ("$email", FieldType.TEXT, "names with $ are Klaviyo's own"),
        ("subscriptions", FieldType.TEXT, "is Klaviyo's own"),
        ("created", FieldType.DATETIME, "is Klaviyo's own"),
        ("location", FieldType.TEXT, "is Klaviyo's own"),
        ("location.floor", FieldType.TEXT, "location has no 'floor'; it has address1"),
        ("location.city", FieldType.INTEGER, "holds text, not integer"),
        ("first_name", FieldType.LIST, "holds text, not list"),
        ("phone_number", FieldType.INTEGER, "holds text, not integer"),
    ],
)
def test_fields_that_cannot_be_written_are_problems(desk: Desk, name: str, kind: FieldType, why: str) -> None:
    """What Klaviyo would refuse with every profile, or what is its own, is told of before the first batch."""
    report = desk.destination.ensure_fields(desk.api, {name: kind, "rfm": FieldType.TEXT}, create=True)
    (line,) = report.problems
    assert line.startswith(f"{name}: {why}")
    assert report.existing == ("rfm",)


def test_attributes_places_and_properties_go_where_they_belong(desk: Desk) -> None:
    """A profile's own attributes, its location and everything else: written, read back, emptied."""
    record: Fields = {
        "first_name": "Zoë",
        "phone_number": "+33612345678",
        "external_id": "c1",
        "location.city": "Paris",
        "location.latitude": Decimal("48.8566"),
        "city": "a property of this name",
        "rfm": "best",
    }
    kinds = {"location.latitude": FieldType.DECIMAL, "city": FieldType.TEXT, "location.city": FieldType.TEXT}
    assert desk.destination.ensure_fields(desk.api, kinds, create=True).problems == ()
    desk.do(Op.UPSERT, {ADA: record})
    assert desk.destination.read(desk.api, [ADA], record) == {ADA: record}
    held = desk.profile(ADA)
    assert (held.plain["first_name"], held.location["city"]) == ("Zoë", "Paris")
    assert held.properties == {"city": "a property of this name", "rfm": "best"}
    desk.do(Op.UPSERT, {ADA: dict.fromkeys(record)})
    assert desk.destination.read(desk.api, [ADA], record) == {ADA: dict.fromkeys(record)}


def test_numbers_stay_exact(desk: Desk) -> None:
    """A number goes as a number; one that a float would not hold goes as text, and reads back equal."""
    record: Fields = {
        "spent": Decimal("1234.56"),
        "whole": Decimal("3.00"),
        "long": Decimal("1234567890123456.789"),
        "order": 2**60 + 1,
        "vip": True,
    }
    desk.do(Op.UPSERT, {ADA: record})
    held = desk.profile(ADA).properties
    assert held == {
        "spent": 1234.56,
        "whole": 3,
        "long": "1234567890123456.789",
        "order": "1152921504606846977",
        "vip": True,
    }
    assert desk.destination.read(desk.api, [ADA], ["spent"]) == {ADA: {"spent": Decimal("1234.56")}}


# emptying ------------------------------------------------------------------------------------------


def test_emptying_costs_a_call_for_each_who_holds_something(desk: Desk) -> None:
    """A first sync with many empty values: one import, a look for each hundred, and no more updates than
    there are profiles with a value to be emptied."""
    desk.stranger("c7@example.com", rfm="theirs")
    people: dict[str, Fields] = {f"c{n}@example.com": {"rfm": None, "orders": n} for n in range(250)}
    told = desk.do(Op.UPSERT, people)
    assert {receipt.outcome for receipt in told.values()} == {Outcome.ACCEPTED}
    assert (desk.asked("POST", "import-jobs"), desk.asked("PATCH", ""), desk.asked("GET", "/profiles")) == (
        1,
        1,
        3,
    )
    assert "rfm" not in desk.profile("c7@example.com").properties
    assert len(desk.account.profiles) == 250


def test_emptying_touches_the_named_fields_only(desk: Desk) -> None:
    """Each profile loses what it sends as None; other people's properties and the other profiles keep theirs."""
    for email in (ADA, BOB, EVE):
        desk.stranger(email, theirs="kept", rfm="x", vip=True)
    desk.do(Op.UPSERT, {ADA: {"rfm": None, "vip": False}, BOB: {"rfm": "B", "vip": []}, EVE: {"rfm": "E"}})
    assert desk.profile(ADA).properties == {"theirs": "kept", "vip": False}
    assert desk.profile(BOB).properties == {"theirs": "kept", "rfm": "B"}
    assert desk.profile(EVE).properties == {"theirs": "kept", "rfm": "E", "vip": True}


def test_clear_leaves_profiles_outside_the_list_alone(desk: Desk) -> None:
    """A profile that is not in Octo's list is not emptied, not put into it, and not made anew."""
    theirs = desk.stranger(ADA, rfm="theirs")
    desk.do(Op.UPSERT, {BOB: {"rfm": "ours"}})
    told = desk.do(Op.CLEAR, {ADA: {"rfm": None}, BOB: {"rfm": None}, EVE: {"rfm": None}})
    assert {receipt.outcome for receipt in told.values()} == {Outcome.ACCEPTED}
    assert (theirs.properties, theirs.lists) == ({"rfm": "theirs"}, {})
    assert desk.profile(BOB).properties == {}
    assert desk.account.find("email", EVE) is None


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "throttle"])
def test_emptying_is_finished_whatever_happens(desk: Desk, kind: str) -> None:
    """A lost reply is a row nobody knows of, haste is told: looked at again, only what is left is emptied."""
    people = [ADA, BOB, EVE]
    desk.twin.job_looks = 0
    for email in people:
        desk.stranger(email, rfm="old")
    batch = desk.start(Op.UPSERT, {email: {"rfm": None} for email in people})
    desk.sandbox.fault("klaviyo", kind, method="PATCH", after=1, seconds=4)
    if kind == "throttle":
        with pytest.raises(Retryable) as haste:
            desk.destination.settle(desk.api, batch)
        assert haste.value.wait == 4
    else:
        answer = desk.destination.settle(desk.api, batch)
        assert answer is not None
        assert [receipt.outcome for receipt in answer.receipts].count(Outcome.UNKNOWN) == 1
    done = desk.asked("PATCH", "")
    answer = desk.destination.settle(desk.api, batch)
    assert answer is not None
    assert {receipt.outcome for receipt in answer.receipts} == {Outcome.ACCEPTED}
    assert [desk.profile(email).properties for email in people] == [{}, {}, {}]
    assert desk.asked("PATCH", "") - done == {"drop_after": 0, "drop_before": 1, "throttle": 2}[kind]


def test_who_was_merged_away_is_told_of(desk: Desk) -> None:
    """Where a profile is not found under its key after its import, what was to be emptied is not called done."""
    desk.twin.job_looks = 0
    batch = desk.start(Op.UPSERT, {ADA: {"rfm": None}, BOB: {"rfm": "b"}})
    desk.twin.work()
    desk.account.merge(desk.profile(ADA), desk.profile(BOB))
    answer = desk.destination.settle(desk.api, batch)
    assert answer is not None
    told = {receipt.key: receipt for receipt in answer.receipts}
    assert (told[ADA].outcome, told[BOB].outcome) == (Outcome.REJECTED, Outcome.ACCEPTED)
    assert "merged into another" in str(told[ADA].reason)


def test_a_refused_update_is_a_rejected_row(desk: Desk) -> None:
    """What Klaviyo will not empty is rejected in its words, and spoils no other row."""
    desk.stranger(ADA, rfm="x")
    desk.stranger(BOB, rfm="y")
    desk.sandbox.fault("klaviyo", "error_before", method="PATCH", status=409)
    told = desk.do(Op.UPSERT, {ADA: {"rfm": None}, BOB: {"rfm": None}})
    assert (told[ADA].outcome, told[ADA].reason) == (Outcome.REJECTED, "409: Service unavailable")
    assert (told[BOB].outcome, desk.profile(BOB).properties) == (Outcome.ACCEPTED, {})


# keys ----------------------------------------------------------------------------------------------


def test_a_key_klaviyo_cannot_look_for_is_refused(desk: Desk) -> None:
    """A sync's file that names any other field as its key is told so before anything runs."""
    assert desk.destination.key_problem("phone_number") == "must be email or external_id"
    assert desk.destination.key_problem("email") is None


AWKWARD = ["c1", 'a"b', "O'Brien", "50% & more, yes\\", "Zoë"]


@pytest.mark.parametrize("listed", [True, False])
def test_external_ids_as_keys(desk: Desk, bare: Desk, listed: bool) -> None:
    """Profiles known by external id, with an address, with a phone number or with neither, are written, read
    by who is in the list, and leave it."""
    at = desk if listed else bare
    people: dict[str, Fields] = {key: {"rfm": key} for key in AWKWARD}
    people["c1"] = {"rfm": "c1", "email": ADA}
    people['a"b'] = {"rfm": 'a"b', "phone_number": "+33612345678"}
    at.stranger(EVE, external_id="c9", rfm="theirs")
    told = at.do(Op.UPSERT, people, "external_id")
    assert {receipt.outcome for receipt in told.values()} == {Outcome.ACCEPTED}
    read = at.destination.read(at.api, [*AWKWARD, "c9"], ["rfm"])
    assert read == {key: {"rfm": key} for key in AWKWARD} | ({} if listed else {"c9": {"rfm": "theirs"}})
    if listed:
        at.do(Op.LEAVE, {key: {} for key in [*AWKWARD, "c9", "nobody"]}, "external_id")
        assert at.destination.read(at.api, AWKWARD, ["rfm"]) == {}
        assert at.asked("DELETE", "") == 1
    else:
        at.do(Op.CLEAR, {key: {"rfm": None} for key in AWKWARD}, "external_id")
        assert at.destination.read(at.api, AWKWARD, ["rfm"]) == {key: {"rfm": None} for key in AWKWARD}


def test_an_address_is_no_external_id(bare: Desk) -> None:
    """Keys are told apart by their look when they are read back, so such a row is refused, with the way out."""
    told = bare.do(Op.UPSERT, {ADA: {"rfm": "x"}, "c1": {"rfm": "y"}}, "external_id")
    assert told[ADA].reason == "external_id: an address; a sync of addresses has the key email"
    assert told["c1"].outcome is Outcome.ACCEPTED
