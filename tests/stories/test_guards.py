"""The promise: nothing no person would expect is ever written without a person's word."""

from __future__ import annotations

import pytest

from octo_dagster.errors import Busy, GuardTripped, PlanStale
from octo_dagster.run import carry_out
from tests.world import World, row


def test_a_runaway_removal_is_refused(shop: World) -> None:
    """A plan that would take back half of what is held is refused, with the sandbox untouched."""
    shop.say(mode="mirror").have([row(n) for n in range(40)]).deliver()
    shop.have([row(n) for n in range(20)])
    with pytest.raises(GuardTripped, match="20 of 40 would be removed"):
        shop.deliver()
    assert all(found["segment"] for found in shop.holdings("octo").values())


def test_a_person_allows_one_plan(shop: World) -> None:
    """A person's word is for one plan by its id; it opens the guard for no other."""
    shop.say(mode="mirror").have([row(n) for n in range(40)]).deliver()
    plan = shop.have([row(n) for n in range(20)]).plan()
    with pytest.raises(GuardTripped):
        carry_out(plan, shop.sync, shop.project, "another", shop.around)
    report = carry_out(plan, shop.sync, shop.project, plan.id, shop.around)
    assert report.tally.accepted == 20


def test_an_empty_source_is_refused(shop: World) -> None:
    """An empty table is a broken source, not a shop without customers."""
    shop.say(mode="mirror", guards={"max_removed": 1.0}).have([row(1)]).deliver()
    with pytest.raises(GuardTripped, match="the source is empty"):
        shop.have([]).deliver()


def test_no_customers_yet(shop: World) -> None:
    """A new shop with nobody in it has nothing to send, and that is no error."""
    report = shop.have([]).deliver()
    assert (report.planned, report.exit_code) == (0, 0)


def test_too_many_changes_and_too_many_invalid(shop: World) -> None:
    """Most records changing at once, or many rows without a key, is refused."""
    shop.have([row(n) for n in range(10)]).deliver()
    with pytest.raises(GuardTripped, match="9 of 10 would be changed"):
        shop.have([row(n, segment="odd") for n in range(9)] + [row(9)]).deliver()
    with pytest.raises(GuardTripped, match="2 of 10 would be invalid"):
        shop.have([row(n) for n in range(8)] + [row(8, email=None), row(9, email="")]).deliver()


def test_a_stale_plan_is_refused(shop: World) -> None:
    """A plan is for the world it was drawn in: not once the ledger, the table or the file moved."""
    plan = shop.have([row(1)]).plan()
    shop.deliver()
    with pytest.raises(PlanStale, match="the ledger"):
        carry_out(plan, shop.sync, shop.project, None, shop.around)
    plan = shop.have([row(1), row(2)]).plan()
    shop.have([row(1), row(2), row(3)])
    with pytest.raises(PlanStale, match="the table customer_profile"):
        carry_out(plan, shop.sync, shop.project, None, shop.around)
    plan = shop.plan()
    shop.say(description="edited")
    with pytest.raises(PlanStale, match="the sync's file"):
        carry_out(plan, shop.sync, shop.project, None, shop.around)


def test_equal_inputs_give_an_equal_plan(shop: World) -> None:
    """The same world gives the same plan under the same id."""
    shop.have([row(n) for n in range(5)])
    assert shop.plan() == shop.plan()


def test_the_wrong_account_is_refused(shop: World) -> None:
    """Credentials of another account than the first one delivered to are refused before any write."""
    shop.have([row(1)]).deliver()
    shop.said["destination"] = {**shop.said["destination"], "url": "https://hooks.example.com/octo-two"}
    shop.say().have([row(1), row(2)])
    report = shop.deliver(allow=True)
    assert (report.exit_code, report.tally.accepted) == (7, 0)
    assert "belong to" in (report.error or "")
    assert not shop.holdings("octo-two")


def test_two_runs_never_overlap(shop: World) -> None:
    """While one run has a sync, another one is turned away and does nothing."""
    shop.have([row(1)])
    with shop.project.ledger.lock("customers"), pytest.raises(Busy):
        shop.deliver()
    assert shop.deliver().tally.accepted == 1


def test_mirror_takes_back_only_what_octo_sent(shop: World) -> None:
    """A departed customer's fields are emptied; records of other people are not touched."""
    shop.say(mode="mirror", guards={"max_removed": 1.0})
    shop.have([row(1), row(2)]).deliver()
    shop.have([row(1)]).deliver()
    gone = shop.holdings("octo")["customer2@example.com"]
    assert gone.get("segment") is None
    assert shop.holdings("octo")["customer1@example.com"]["segment"] == "new"
    assert shop.have([row(1), row(2)]).deliver().tally.accepted == 1
    assert shop.holdings("octo")["customer2@example.com"]["segment"] == "lost"


def test_consent_withdrawn_is_a_departure(shop: World) -> None:
    """A customer who withdraws consent is taken back like one who left."""
    shop.say(mode="mirror", consent="consent", guards={"max_removed": 1.0})
    shop.have([row(1), row(2), row(3, consent=None)]).deliver()
    assert set(shop.holdings("octo")) == {"customer1@example.com", "customer2@example.com"}
    shop.have([row(1), row(2, consent=False)]).deliver()
    assert shop.holdings("octo")["customer2@example.com"].get("segment") is None
