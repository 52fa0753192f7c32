"""The courier: how often it asks again, how long it waits, and when it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import LONGEST_WAIT, TRIES, Courier, Surroundings
from octo_dagster.errors import BatchRejected, DeliveryError, Expired, Fatal, Retryable, Unanswered
from octo_dagster.run import carry_out
from tests.conftest import Clock
from tests.contract.sitting import build
from tests.vendors.webhook import WEBHOOK
from tests.vendors.zendesk import VENDOR, ZENDESK
from tests.world import World, row


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def courier(slept: list[float], monkeypatch: pytest.MonkeyPatch) -> Iterator[Courier]:
    """To a destination that needs no signing in; what it waits is written down."""
    monkeypatch.setenv("WEBHOOK_SECRET", "secret")
    made = Courier(build(WEBHOOK), Surroundings(sandbox="http://127.0.0.1:9", sleep=slept.append))
    yield made
    made.close()


def failing(*errors: DeliveryError) -> tuple[Callable[[], str], list[int]]:
    """A call that ends so each time, then well; and how often it was made."""
    left, made = list(errors), [0]

    def call() -> str:
        made[0] += 1
        if left:
            raise left.pop(0)
        return "done"

    return call, made


def test_what_was_not_done_goes_again(courier: Courier, slept: list[float]) -> None:
    """A call that certainly was not carried out is repeated, after the wait the vendor asks for, or longer ones."""
    call, made = failing(Retryable("busy", 7.0), Retryable("busy"), Retryable("busy"))
    assert courier.again(call) == "done"
    assert (made[0], slept) == (4, [7.0, 1.0, 2.0])


def test_no_wait_is_longer_than_a_minute(courier: Courier, slept: list[float]) -> None:
    """A vendor that asks for an hour is asked again after a minute, a few times, and then the run gives up."""
    call, made = failing(*[Retryable("quota", 3_600.0)] * 20)
    with pytest.raises(Retryable, match="quota"):
        courier.again(call)
    assert (made[0], slept) == (TRIES, [LONGEST_WAIT] * (TRIES - 1))


def test_a_session_is_renewed_once(courier: Courier) -> None:
    """A session that ended is begun anew; one that ends again at once needs a person."""
    call, made = failing(Expired("401"))
    assert (courier.again(call), made[0]) == ("done", 2)
    call, made = failing(Expired("401"), Expired("401"), Expired("401"))
    with pytest.raises(Expired):
        courier.again(call)
    assert made[0] == 2


@pytest.mark.parametrize("error", [Unanswered("?"), BatchRejected("400"), Fatal("gone")])
def test_what_may_have_been_done_never_goes_again(courier: Courier, error: DeliveryError) -> None:
    """What was perhaps carried out, refused, or is hopeless is told to the engine after one call."""
    call, made = failing(error)
    with pytest.raises(type(error)):
        courier.again(call)
    assert made[0] == 1


def test_nobody_there_is_not_sent(courier: Courier) -> None:
    """A destination that cannot be reached was sent nothing: the call may go again."""
    with pytest.raises(Retryable, match="cannot connect"):
        courier.read(["a"], ["f"])
    assert {call.status for call in courier.calls} == {None}


def test_stuck_jobs_cost_one_patience(
    tmp_path: Path, sandbox: Sandbox, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no job of several ends, the run waits for the first and looks at the others once; all are told."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    sandbox.twin("zendesk").job_seconds = 10**9
    world = World(tmp_path, sandbox, "zendesk").say(**VENDOR.said()).have([row(n) for n in range(300)])
    around = Surroundings(sandbox=sandbox.address, sleep=clock.sleep, clock=clock, patience=60.0)
    began = clock()
    report = carry_out(world.plan(), world.sync, world.project, around=around)
    assert (report.tally.waiting, report.unaccounted, report.exit_code) == (300, 0, 6)
    assert 60 <= clock() - began < 120
