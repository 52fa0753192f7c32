"""The promise: what was sent and never answered is found out, not guessed; nobody is lost or doubled."""

from __future__ import annotations

import pytest

from octo_dagster.errors import DeliveryError
from octo_dagster.run import verify_only
from tests.world import World, row


@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "error_before", "error_after", "throttle"])
def test_one_bad_moment(shop: World, kind: str) -> None:
    """A lost call, a lost reply, a 500 or a 429 in the middle is got over within the run."""
    shop.have([row(n) for n in range(1_200)])
    shop.sandbox.fault("webhook", kind, path="^/octo$", after=1, seconds=1)
    report = shop.deliver()
    assert (report.tally.accepted, report.unaccounted, report.exit_code) == (1_200, 0, 0)
    assert len(shop.holdings("octo")) == 1_200
    assert shop.plan().changes == 0


def test_a_destination_that_is_down(shop: World) -> None:
    """When no call succeeds the run stops, is not green, and says what is not accounted for."""
    shop.have([row(n) for n in range(3)])
    shop.sandbox.fault("webhook", "drop_before", path="^/octo$", times=None)
    shop.sandbox.fault("webhook", "error_before", path="/read$", times=None)
    report = shop.deliver()
    assert report.exit_code in (5, 6)
    assert report.error
    assert report.unaccounted == 3


def test_it_resumes_where_it_stopped(shop: World) -> None:
    """The run after an outage settles what was open, then sends what is missing."""
    shop.have([row(n) for n in range(3)])
    shop.sandbox.fault("webhook", "drop_after", path="^/octo$", times=1)
    shop.sandbox.fault("webhook", "error_before", path="/read$", times=1)
    report = shop.deliver()
    assert report.error
    assert len(shop.project.ledger.unsettled("customers")) == 1
    again = shop.deliver()
    assert (again.exit_code, again.planned) == (0, 0)
    assert len(shop.holdings("octo")) == 3


def test_settling_before_planning_removes_who_left(shop: World) -> None:
    """Sent, never answered, then gone from the shop: settling first, the record is taken back."""
    shop.say(mode="mirror", on_remove="clear", guards={"max_removed": 1.0})
    shop.have([row(1)]).deliver()
    shop.have([row(1), row(2)])
    shop.sandbox.fault("webhook", "drop_after", path="^/octo$", times=1)
    shop.sandbox.fault("webhook", "error_before", path="/read$", times=1)
    assert shop.deliver().error
    shop.have([row(1)])
    assert shop.deliver().exit_code == 0
    assert shop.holdings("octo")["customer2@example.com"].get("segment") is None


def test_planning_waits_for_an_answer(shop: World) -> None:
    """While the destination cannot be asked what became of a batch, nothing new is planned."""
    shop.have([row(1)])
    shop.sandbox.fault("webhook", "drop_after", path="^/octo$", times=1)
    shop.sandbox.fault("webhook", "error_before", path="/read$", times=2)
    shop.deliver()
    with pytest.raises(DeliveryError):
        shop.plan()
    assert shop.plan().changes == 0


def test_verify_finds_and_heals_another_hand(shop: World) -> None:
    """A record somebody changed is found by reading back, reported, and put right by the next run."""
    shop.have([row(n) for n in range(5)]).deliver()
    shop.sandbox.twin("webhook").hooks["octo"]["customer3@example.com"]["segment"] = "theirs"
    found = verify_only(shop.sync, shop.project, 1.0, shop.around)
    assert [(drift.key, drift.fields) for drift in found.drifts] == [("customer3@example.com", ("segment",))]
    assert shop.deliver().tally.accepted == 1
    assert shop.holdings("octo")["customer3@example.com"]["segment"] == "best"
