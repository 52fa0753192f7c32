"""Who has been told by many identifiers is taken back by them all, though a member may have ten."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.destinations.google_audience.identifiers import ROWS, removals
from connectors.sandbox.server import Sandbox
from octo_dagster.model import Change, Op, Outcome
from tests.contract.sitting import Sitting
from tests.vendors.hashed import sha256

ADA, BOB = "ada@example.com", "bob@example.com"
NUMBERS = [f"+336123456{n:02}" for n in range(25)]
TOLD = tuple({"phone": number} for number in NUMBERS)


@pytest.fixture
def crowded(front: Sitting, sandbox: Sandbox) -> Sitting:
    """Ada, told by twenty-five numbers of whom no answer ever came, and Bob."""
    for number in NUMBERS:
        front.accepted.clear()
        front.upsert({ADA: {"phone": number}})
    front.accepted.clear()
    front.upsert({BOB: {}})
    return front


def numbers(sandbox: Sandbox) -> set[str]:
    members = sandbox.twin("google_audience").holdings()["members"]
    return {one for person in members for one in person["phones"].split(" | ") if one}


def test_who_leaves_leaves_by_all_of_them(crowded: Sitting, sandbox: Sandbox) -> None:
    """Twenty-six identifiers are three members of one request, and one receipt."""
    told = crowded.carry_out(Op.LEAVE, Change(BOB), Change(ADA, perhaps=TOLD))
    assert {key: one.outcome for key, one in told.items()} == dict.fromkeys((ADA, BOB), Outcome.ACCEPTED)
    assert sandbox.twin("google_audience").holdings()["members"] == []
    ((_, body),) = [one for one in sandbox.twin("google_audience").bodies if one[0].endswith(":remove")]
    sizes = [len(one["userData"]["userIdentifiers"]) for one in body["audienceMembers"]]
    assert sizes == [1, 10, 10, 6]


def test_who_changes_keeps_none_of_them(crowded: Sitting, sandbox: Sandbox) -> None:
    """One who is told anew, after many tries, is found by the new number alone."""
    told = crowded.carry_out(Op.UPSERT, Change(ADA, {"phone": "+33699999999"}, perhaps=TOLD))
    assert told[ADA].outcome is Outcome.ACCEPTED
    assert numbers(sandbox) == {sha256("+33699999999")}


def test_one_part_that_fails_is_the_whole_person_s(crowded: Sitting, sandbox: Sandbox) -> None:
    """Where Google finds fault with the last of somebody's members only, he is not taken for gone."""
    reason = "PROCESSING_ERROR_REASON_INVALID_FORMAT"
    sandbox.twin("google_audience").refuses = {sha256(NUMBERS[-1]): reason}
    told = crowded.carry_out(Op.LEAVE, Change(BOB), Change(ADA, perhaps=TOLD))
    assert (told[ADA].outcome, told[ADA].reason) == (Outcome.REJECTED, "INVALID_FORMAT")
    assert told[BOB].outcome is Outcome.ACCEPTED


def test_more_members_than_a_request_takes(front: Sitting) -> None:
    """Ten thousand people of whom one is in two members go in two requests, told from one another when asked."""
    found = [{"emailAddress": sha256(str(n))} for n in range(11)]
    gone = [("a", found), *((str(n), found[:1]) for n in range(ROWS - 1))]
    sizes = [[len(some), some[0][0]] for _, some in removals(gone)]
    assert sizes == [[ROWS, "a"], [1, str(ROWS - 2)]]


def test_a_token_of_other_requests_decides_nothing(front: Sitting) -> None:
    """A note of one request where the batch would now be two is of another time: nobody is judged by it."""
    batch = front.batch(Op.UPSERT, [Change(ADA, {"phone": NUMBERS[0]})])
    sent = front.destination.send(front.api, batch)
    token = f"{sent.token} {sent.token}"
    assert front.destination.settle(front.api, replace(batch, token=token)) is None
