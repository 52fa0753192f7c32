"""The promise: green in Dagster is true at the tool, and no way of starting a run goes round a guard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from assets.factory import definitions
from assets.resources import Setup
from assets.told import discreet, stopped
from octo_dagster.errors import Busy, ConfigError, Fatal, GuardTripped, PlanStale, Retryable, Unanswered
from tests.stories.dagster_shop import checks, failure, metadata, run
from tests.world import World, row

PLAN, DELIVERY = dg.AssetKey(["customers_plan"]), dg.AssetKey(["customers_delivery"])
LONG = "x" * 1_001
"""A value the twin refuses, for its row only."""


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


class Desk:
    """A person at Dagster's desk, in front of one world."""

    def __init__(self, world: World, instance: dg.DagsterInstance) -> None:
        self.world, self.instance = world, instance

    def run(self, *only: dg.AssetKey, **config: dict[str, Any]) -> dg.ExecuteInProcessResult:
        """The sync's job, or these assets of it."""
        said = {f"customers_{name}": values for name, values in config.items()}
        setup = Setup(self.world.project, self.world.around, pause=0)
        return run(setup, self.instance, "deliver_customers", list(only) or None, **said)

    def held(self) -> dict[str, Any]:
        return {key: found.get("segment") for key, found in self.world.holdings("octo").items()}


@pytest.fixture
def desk(shop: World, instance: dg.DagsterInstance) -> Desk:
    return Desk(shop, instance)


def rows(*numbers: int, **changed: Any) -> list[dict[str, Any]]:
    return [row(n, **changed) for n in numbers]


def test_first_delivery_then_nothing(desk: Desk) -> None:
    """A first run sends everyone, with every check green; a second calls nobody and reads nothing back."""
    desk.world.have(rows(*range(10)))
    first = desk.run()
    assert first.success, failure(first)
    assert desk.held() == {f"customer{n}@example.com": row(n)["segment"] for n in range(10)}
    assert checks(first) == {name: (True, severity) for name, (_, severity) in checks(first).items()}
    assert set(checks(first)) == {"guards", "rejected", "unsettled", "verified"}
    calls = len(desk.world.sandbox.calls("webhook"))
    again = desk.run()
    assert (again.success, metadata(again, DELIVERY)["accepted"].value) == (True, 0)
    assert len(desk.world.sandbox.calls("webhook")) == calls
    assert "verified" not in checks(again)


def test_a_refused_row_is_a_warning(desk: Desk) -> None:
    """One row refused of fifty: the asset is made, its check is red as a warning, and the code is told."""
    desk.world.have(rows(*range(1, 50)) + rows(0, segment=LONG))
    done = desk.run()
    assert done.success, failure(done)
    assert checks(done)["rejected"] == (False, "WARN")
    said = metadata(done, DELIVERY)
    assert (said["accepted"].value, said["rejected"].value) == (49, 1)
    assert [record.data for record in said["rejected_for"].value.records] == [{"": "TOO LONG", "rows": 1}]


def test_too_many_refused_rows_fail(desk: Desk) -> None:
    """Over `max_rejected` the delivery fails with a red check, is not tried again, and the rest is there."""
    desk.world.have(rows(1, 2) + rows(3, 4, segment=LONG))
    done = desk.run()
    assert (done.success, checks(done)["rejected"]) == (False, (False, "ERROR"))
    assert "2 of 4 changes were rejected" in failure(done)
    assert not done.get_asset_materialization_events()[1:]
    assert len(desk.held()) == 2


def test_a_guard_stops_the_run(desk: Desk) -> None:
    """A plan that would take back half is shown with a red guard, and the delivery after it never starts."""
    desk.world.say(mode="mirror").have(rows(*range(40)))
    assert desk.run().success
    desk.world.have(rows(*range(20)))
    done = desk.run()
    assert (done.success, checks(done)) == (False, {"guards": (False, "ERROR")})
    assert all(desk.held().values())


def test_a_delivery_by_itself_is_guarded(desk: Desk) -> None:
    """Materialised alone, the delivery draws its own plan, and the guard refuses that as well."""
    desk.world.say(mode="mirror").have(rows(*range(40)))
    assert desk.run(DELIVERY).success
    desk.world.have(rows(*range(20)))
    done = desk.run(DELIVERY)
    assert not done.success
    assert "20 of 40 would be removed" in failure(done)
    assert all(desk.held().values())


def test_a_person_allows_one_plan(desk: Desk) -> None:
    """The id of the plan that was refused, given as `allow`, delivers it; another id does not."""
    desk.world.say(mode="mirror").have(rows(*range(40)))
    assert desk.run().success
    desk.world.have(rows(*range(20)))
    plan = str(metadata(desk.run(PLAN), PLAN)["plan"].value)
    assert not desk.run(DELIVERY, delivery={"allow": "another"}).success
    assert all(desk.held().values())
    done = desk.run(DELIVERY, delivery={"plan": plan, "allow": plan})
    assert done.success, failure(done)
    assert sum(value is None for value in desk.held().values()) == 20


def test_a_named_plan_is_delivered_or_nothing(desk: Desk) -> None:
    """A plan asked for by id that is stale is not replaced by another behind the person's back."""
    desk.world.have(rows(1))
    plan = str(metadata(desk.run(PLAN), PLAN)["plan"].value)
    desk.world.have(rows(1, 2))
    done = desk.run(DELIVERY, delivery={"plan": plan})
    assert (done.success, desk.held()) == (False, {})
    assert "stale" in failure(done)


def test_a_dry_run_writes_nothing(desk: Desk) -> None:
    """A dry run says what would be sent, calls nobody, and leaves the asset as never materialised."""
    desk.world.have(rows(1, 2))
    done = desk.run(DELIVERY, delivery={"dry_run": True})
    assert (done.success, desk.held(), desk.world.sandbox.calls("webhook")) == (True, {}, [])
    (observed,) = done.get_asset_observation_events()
    data: Any = observed.event_specific_data
    assert data.asset_observation.metadata["changes"].value == 2
    assert not done.get_asset_materialization_events()
    assert not done.get_asset_check_evaluations()


def test_dagster_leads_to_the_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OCTO_PAGES says where the pages are, a plan and a delivery lead to theirs."""
    monkeypatch.setenv("OCTO_PAGES", "https://octo.example.org")
    desk.world.have(rows(1))
    done = desk.run()
    plan = metadata(done, PLAN)
    assert plan["page"].value == f"https://octo.example.org/syncs/customers/plans/{plan['plan'].value}"
    assert metadata(done, DELIVERY)["page"].value == "https://octo.example.org/syncs/customers"


def test_careful_first_try_and_full_resync(desk: Desk) -> None:
    """`limit`, `only` and `scope` of the launchpad reach the tool; a full resync needs a person's word."""
    desk.world.have(rows(*range(10)))
    assert desk.run(plan={"limit": 3}).success
    assert len(desk.held()) == 3
    assert desk.run(plan={"only": ["customer9@example.com"]}).success
    assert len(desk.held()) == 4
    assert desk.run().success
    done = desk.run(PLAN, plan={"scope": "everything"})
    plan = metadata(done, PLAN)
    assert (plan["changes"].value, checks(done)["guards"][0]) == (10, False)
    done = desk.run(DELIVERY, delivery={"allow": plan["plan"].value})
    assert metadata(done, DELIVERY)["accepted"].value == 10


def test_a_lost_reply_is_settled_by_the_next_try(desk: Desk) -> None:
    """A delivery that was not answered is tried again within the run, settles first, and sends nobody twice."""
    desk.world.have(rows(*range(5)))
    desk.world.sandbox.fault("webhook", "drop_after", path="^/octo$", times=1)
    desk.world.sandbox.fault("webhook", "error_before", path="/read$", times=1)
    done = desk.run()
    assert done.success, failure(done)
    assert [event.is_step_up_for_retry for event in done.all_events].count(True) == 1
    assert len(desk.held()) == 5
    assert metadata(done, DELIVERY)["accepted"].value == 0
    unsettled = [e.passed for e in done.get_asset_check_evaluations() if e.check_name == "unsettled"]
    assert unsettled == [False, True]


def test_a_check_by_itself_delivers_nothing(desk: Desk) -> None:
    """Executing one of a delivery's checks alone is refused: it must not deliver behind a person's back."""
    desk.world.have(rows(1))
    defs = definitions(Setup(desk.world.project, desk.world.around))
    job = dg.define_asset_job("only", dg.AssetSelection.checks(dg.AssetCheckKey(DELIVERY, "verified")))
    merged = dg.Definitions.merge(defs, dg.Definitions(jobs=[job]))
    done = merged.resolve_job_def("only").execute_in_process(instance=desk.instance, raise_on_error=False)
    assert (done.success, desk.held()) == (False, {})
    assert "materialise it" in failure(done)


def test_wrong_credentials_fail_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials the tool refuses fail the delivery without a second try."""
    monkeypatch.setenv("WEBHOOK_SECRET", "not-the-key")
    desk.world.have(rows(1))
    done = desk.run()
    assert (done.success, "401" in failure(done)) == (False, True)
    assert not any(event.is_step_up_for_retry for event in done.all_events)


def test_what_is_tried_again() -> None:
    """Only an error that may go well the next time asks Dagster for another try."""
    again = (Retryable("down"), Unanswered("silence"), Busy("another run"))
    never = (Fatal("key"), GuardTripped("many"), PlanStale("moved"), ConfigError("file"))
    assert [stopped(error).allow_retries for error in again + never] == [True] * 3 + [False] * 4


def test_no_customer_in_the_event_log(desk: Desk) -> None:
    """No address of a customer is in anything Dagster keeps: not in samples, reasons or failures."""
    desk.world.have(rows(*range(1, 30)) + rows(0, segment=LONG))
    events = desk.run().all_events
    desk.world.have(rows(1, 2, segment=LONG) + rows(3) + rows(3))
    events = [*events, *desk.run().all_events]
    assert len(events) > 20
    assert "c…@example.com" in str(events)
    assert not [event for event in events if re.search(r"customer\d", str(event))]


def test_a_vendors_words_quote_nobody() -> None:
    """An address in a vendor's reply is shown by its first letter only."""
    assert discreet("no such person <jo@example.org>, sorry") == "no such person <j…@example.org>, sorry"
