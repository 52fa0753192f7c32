"""Which of an account's lists is filled, and what it must be able to do."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import Change, Op, Outcome
from tests.conftest import Clock
from tests.contract.sitting import Sitting
from tests.vendors.google_audience import GOOGLE

ADA, BOB = "ada@example.com", "bob@example.com"


def test_the_list_is_found_by_its_name(front: Sitting, sandbox: Sandbox) -> None:
    """A list of the name is used, whatever signs are in it; one that takes no contacts is refused."""
    google = sandbox.twin("google_audience")
    info = {"uploadKeyTypes": ["CONTACT_ID"]}
    wanted = google.add_list("1000000001", {"displayName": 'Best "of" all\\', "ingestedUserListInfo": info})
    google.add_list("1000000001", {"displayName": "Best", "ingestedUserListInfo": info})
    named = Sitting(GOOGLE, front.address, {"list": 'Best "of" all\\'})
    with closing(named.http):
        named.upsert({ADA: {}})
    assert (len(wanted.people), len(google.accounts["1000000001"])) == (1, 2)
    wanted.body["ingestedUserListInfo"] = {"uploadKeyTypes": ["MOBILE_ID"]}
    with pytest.raises(Fatal, match="takes no contacts"):
        Sitting(GOOGLE, front.address, {"list": 'Best "of" all\\'}).upsert({BOB: {}})


def test_a_name_with_an_asterisk_is_no_pattern(front: Sitting, sandbox: Sandbox) -> None:
    """Google's filter would find other people's list by it; theirs is left alone, and one of the name made."""
    google = sandbox.twin("google_audience")
    info = {"uploadKeyTypes": ["CONTACT_ID"]}
    theirs = google.add_list("1000000001", {"displayName": "Best of 2025", "ingestedUserListInfo": info})
    named = Sitting(GOOGLE, front.address, {"list": "Best*"})
    with closing(named.http):
        named.upsert({ADA: {}})
    assert (theirs.people, len(google.accounts["1000000001"])) == ([], 2)


def test_a_new_list_keeps_people_as_long_as_can_be(front: Sitting, sandbox: Sandbox) -> None:
    """A list that is made keeps members 540 days, of the shop's own data."""
    front.upsert({ADA: {}})
    (made,) = sandbox.twin("google_audience").accounts["1000000001"].values()
    assert (made.body["membershipDuration"], made.name) == ("46656000s", "Octo customers")
    assert made.body["ingestedUserListInfo"]["contactIdInfo"] == {
        "dataSourceType": "DATA_SOURCE_TYPE_FIRST_PARTY"
    }


def test_nobody_leaves_a_list_there_is_not(front: Sitting, sandbox: Sandbox) -> None:
    """A removal makes no list, and is as good as done where there is none."""
    assert front.carry_out(Op.LEAVE, Change(ADA))[ADA].outcome is Outcome.ACCEPTED
    assert sandbox.twin("google_audience").accounts["1000000001"] == {}


@pytest.mark.parametrize(("reason", "told"), [({}, "is closed and"), ({"closingReason": "UNUSED"}, "unused")])
def test_a_closed_list_is_not_filled(
    front: Sitting, sandbox: Sandbox, reason: dict[str, Any], told: str
) -> None:
    """Google adds nobody to a closed list and says nothing: who is told to fill one stops before any request,
    and who leaves it leaves."""
    front.upsert({ADA: {}, BOB: {}})
    google = sandbox.twin("google_audience")
    (found,) = google.accounts["1000000001"].values()
    assert front.destination.survey(front.api).missing == ()
    found.body |= {"membershipStatus": "CLOSED", **reason}
    (shown,) = front.destination.survey(front.api).missing
    assert told in shown
    later = Sitting(GOOGLE, front.address)
    with closing(later.http):
        assert later.carry_out(Op.LEAVE, Change(ADA))[ADA].outcome is Outcome.ACCEPTED
        with pytest.raises(Fatal, match=told):
            later.upsert({ADA: {}})
    assert len(google.holdings()["members"]) == 1


def test_a_list_that_forgets_early_is_not_filled(front: Sitting, sandbox: Sandbox) -> None:
    """A list people made that keeps members thirty days would lose whom the ledger holds: it says what to set."""
    google = sandbox.twin("google_audience")
    google.clock = Clock()
    info = {"uploadKeyTypes": ["CONTACT_ID"]}
    body = {"displayName": "Octo customers", "ingestedUserListInfo": info, "membershipDuration": "2592000s"}
    made = google.add_list("1000000001", body)
    with pytest.raises(Fatal, match="forgets people after 30 days"):
        front.upsert({ADA: {}})
    made.body["membershipDuration"] = "46656000s"
    later = Sitting(GOOGLE, front.address)
    with closing(later.http):
        later.upsert({ADA: {}, BOB: {}})
    google.clock.sleep(539 * 86_400.0)
    assert len(google.holdings()["members"]) == 2
    google.clock.sleep(86_400.0)
    assert google.holdings()["members"] == []
