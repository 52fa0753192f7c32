"""What Klaviyo refuses, row by row or as a whole, and what is not even asked of it."""

from __future__ import annotations

import pytest

from octo_dagster.errors import BatchRejected, Fatal, Retryable
from octo_dagster.model import Fields, Op, Outcome
from tests.contract.klaviyo.desk import ADA, BOB, EVE, Desk


def test_identifiers_of_two_profiles_reject_their_row(desk: Desk) -> None:
    """A phone number that is another profile's is that row's rejection, in Klaviyo's words."""
    desk.stranger(EVE, phone_number="+33612345678")
    told = desk.do(Op.UPSERT, {ADA: {"external_id": "a"}, BOB: {"rfm": "b"}})
    told = desk.do(Op.UPSERT, {ADA: {"phone_number": "+33612345678"}, BOB: {"rfm": "c"}})
    assert told[ADA].outcome is Outcome.REJECTED
    assert str(told[ADA].reason).startswith("duplicate_profile: A profile already exists with one of these")
    assert told[BOB].outcome is Outcome.ACCEPTED


def test_every_page_of_the_errors_is_read(desk: Desk) -> None:
    """Of 250 refused rows and 3 good ones each is told for itself."""
    bad: dict[str, Fields] = {f"c{n}@example.com": {"phone_number": "+9990000000000"} for n in range(250)}
    good: dict[str, Fields] = {email: {"rfm": "x"} for email in (ADA, BOB, EVE)}
    told = desk.do(Op.UPSERT, bad | good)
    assert {key for key, receipt in told.items() if receipt.outcome is Outcome.REJECTED} == set(bad)
    assert {key for key, receipt in told.items() if receipt.outcome is Outcome.ACCEPTED} == set(good)
    assert desk.asked("GET", "import-errors") == 3


def test_errors_that_name_nobody_leave_all_unknown(desk: Desk) -> None:
    """Where Klaviyo does not say which row it refused, none is called accepted: they are read back."""
    desk.twin.keeps_payload = False
    told = desk.do(Op.UPSERT, {ADA: {"phone_number": "+9990000000000"}, BOB: {"rfm": "b"}})
    assert {receipt.outcome for receipt in told.values()} == {Outcome.UNKNOWN}


def test_a_job_that_counts_fewer_than_it_was_given(desk: Desk) -> None:
    """A row that is neither done nor refused by the job's own count: none is called accepted, all are read back."""
    desk.twin.forgets = {BOB}
    told = desk.do(Op.UPSERT, {ADA: {"rfm": "a"}, BOB: {"rfm": "b"}, EVE: {"phone_number": "+9990000000000"}})
    assert {key: one.outcome for key, one in told.items()} == {
        ADA: Outcome.UNKNOWN,
        BOB: Outcome.UNKNOWN,
        EVE: Outcome.REJECTED,
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_job_that_ends_otherwise_is_read_back(desk: Desk, known: bool) -> None:
    """A cancelled job may have stored some rows, and a forgotten one all: nothing is said of any of them."""
    desk.twin.job_looks = 0
    desk.sandbox.fault("klaviyo", "half_job")
    batch = desk.start(Op.UPSERT, {ADA: {"rfm": "a"}, BOB: {"rfm": "b"}})
    desk.twin.work()
    if not known:
        desk.twin.jobs.clear()
    assert desk.destination.settle(desk.api, batch) is None
    assert desk.destination.read(desk.api, batch.keys, ["rfm"]) == {ADA: {"rfm": "a"}}


def test_a_running_job_keeps_its_token(desk: Desk) -> None:
    """While the job runs, one look is one call and nothing is decided."""
    desk.twin.job_looks = 3
    batch = desk.start(Op.UPSERT, {ADA: {"rfm": "a"}})
    desk.calls.clear()
    answer = desk.destination.settle(desk.api, batch)
    assert answer is not None
    assert (answer.token, answer.receipts, len(desk.calls)) == (batch.token, (), 1)


def test_unfit_rows_are_refused_before_the_call(desk: Desk) -> None:
    """What is no address, no phone number or too large is rejected alone, at once and when it is settled."""
    people: dict[str, Fields] = {
        "nowhere@example": {"rfm": "a"},
        BOB: {"phone_number": "0612345678"},
        EVE: {"rfm": "x" * 100_001},
    }
    alone = desk.do(Op.UPSERT, people)
    assert desk.calls == []
    together = desk.do(Op.UPSERT, {**people, ADA: {"rfm": "a"}})
    assert {key: receipt.reason for key, receipt in alone.items()} == {
        "nowhere@example": "email: not an address",
        BOB: "phone_number: not in the form +33612345678",
        EVE: "the profile has 100,084 bytes; Klaviyo takes 100,000",
    }
    assert [together[key] for key in people] == list(alone.values())
    assert (together[ADA].outcome, len(desk.account.profiles)) == (Outcome.ACCEPTED, 1)


def test_a_job_refused_for_a_row_is_to_be_halved(desk: Desk) -> None:
    """Where one bad value has the whole job refused, it is the batch that is refused, not the account."""
    desk.twin.checks_values = True
    with pytest.raises(BatchRejected, match="Invalid phone number"):
        desk.start(Op.UPSERT, {ADA: {"rfm": "a"}, BOB: {"phone_number": "+9990000000000"}})
    assert desk.account.profiles == {}


def test_a_refusal_of_the_call_needs_a_person(desk: Desk) -> None:
    """A list that was deleted meanwhile stops the delivery: no row is to blame."""
    desk.start(Op.UPSERT, {ADA: {"rfm": "a"}})
    desk.account.lists.clear()
    with pytest.raises(Fatal, match="A list with id"):
        desk.start(Op.UPSERT, {ADA: {"rfm": "b"}})


def test_a_profile_that_vanishes_while_it_leaves(desk: Desk) -> None:
    """A call refused for one id is halved by the engine; looked for again, who is gone has left."""
    desk.do(Op.UPSERT, {ADA: {}, BOB: {}})
    desk.sandbox.fault("klaviyo", "error_before", method="DELETE", status=404)
    with pytest.raises(BatchRejected):
        desk.do(Op.LEAVE, {ADA: {}, BOB: {}})
    desk.account.delete(desk.profile(ADA))
    assert {r.outcome for r in desk.do(Op.LEAVE, {ADA: {}, BOB: {}}).values()} == {Outcome.ACCEPTED}
    assert desk.profile(BOB).lists == {}


def test_the_guard_before_the_api_is_waited_for(desk: Desk) -> None:
    """A 403 in HTML comes from the guard before Klaviyo and goes again; one in JSON is a missing scope."""
    desk.sandbox.fault("klaviyo", "error_before", status=403)
    with pytest.raises(Retryable, match="guard"):
        desk.destination.account(desk.api)
    desk.twin.withheld = {"accounts:read", "profiles:write"}
    with pytest.raises(Fatal, match="accounts:read"):
        desk.destination.account(desk.api)
    with pytest.raises(Fatal, match="profiles:write"):
        desk.start(Op.UPSERT, {ADA: {}})
