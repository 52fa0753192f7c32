"""What the sandbox itself promises: faults that strike as asked, kept connections, nothing left behind."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import requests
from werkzeug.wrappers import Request, Response

from connectors.sandbox.faults import Fault, Faults
from connectors.sandbox.server import Sandbox
from connectors.sandbox.twin import Twin, route
from connectors.sandbox.vendor import Vendor
from tests.conftest import Clock


class Tally(Twin):
    """Counts what it carried out."""

    name = "tally"

    def reset(self) -> None:
        self.done = 0
        self.expired = False

    def holdings(self) -> dict[str, list[dict[str, Any]]]:
        return {"tally": [{"done": self.done}]}

    def expire(self) -> None:
        self.expired = True

    @route("POST", "/one")
    def one(self, request: Request) -> Response:
        if self.expired:
            return Response("sign in again", status=401)
        self.done += 1
        return Response(str(self.done))


@pytest.fixture
def tally() -> Tally:
    return Tally()


@pytest.fixture
def with_tally(sandbox: Sandbox, tally: Tally) -> Sandbox:
    """A sandbox that has one more vendor."""
    sandbox.vendors["tally"] = Vendor(tally, sandbox.stopping.wait)
    return sandbox


@pytest.fixture
def caller() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


CARRIED_OUT = {
    "throttle": (429, 0),
    "error_before": (500, 0),
    "error_after": (500, 1),
    "slow": (200, 1),
    "expire": (401, 0),
    "drop_before": (None, 0),
    "drop_after": (None, 1),
}


@pytest.mark.parametrize("kind", CARRIED_OUT)
def test_a_fault_does_what_its_name_says(
    kind: str, with_tally: Sandbox, tally: Tally, caller: requests.Session
) -> None:
    """Each kind of fault answers, or does not, and carries the call out, or does not."""
    status, done = CARRIED_OUT[kind]
    with_tally.fault("tally", kind, seconds=0.05)
    if status is None:
        with pytest.raises(requests.exceptions.ConnectionError):
            caller.post(f"{with_tally.address}/tally/one")
    else:
        assert caller.post(f"{with_tally.address}/tally/one").status_code == status
    call = with_tally.calls("tally")[-1]
    assert (call.status, call.fault, tally.done) == (status, kind, done)


def test_a_slow_answer_comes_late(with_tally: Sandbox, caller: requests.Session) -> None:
    """`slow` keeps the caller waiting for as long as it says."""
    with_tally.fault("tally", "slow", seconds=0.2)
    started = time.monotonic()
    assert caller.post(f"{with_tally.address}/tally/one").text == "1"
    assert time.monotonic() - started >= 0.2


def strikes(fault: Fault, calls: int) -> list[int]:
    """Which of `calls` equal calls a fault strikes."""
    faults = Faults(Tally(), wait=lambda seconds: None)
    faults.add(fault)
    call = Request.from_values(path="/one", method="POST")
    return [n for n in range(calls) if faults.answer(call)[1]]


def test_a_fault_waits_its_turn_and_ends() -> None:
    """`after` calls go well first, then `times` calls are struck and no more."""
    assert strikes(Fault(kind="drop_before", after=2, times=3), 9) == [2, 3, 4]
    assert strikes(Fault(kind="drop_before"), 9) == [0]
    assert strikes(Fault(kind="drop_before", times=None), 4) == [0, 1, 2, 3]


def test_chance_is_repeatable() -> None:
    """A fault with a probability strikes the same calls for the same seed and others for another."""
    first = strikes(Fault(kind="drop_before", times=None, probability=0.3, seed=1), 200)
    assert first == strikes(Fault(kind="drop_before", times=None, probability=0.3, seed=1), 200)
    assert first != strikes(Fault(kind="drop_before", times=None, probability=0.3, seed=2), 200)
    assert 30 < len(first) < 90


def test_a_fault_strikes_only_its_calls(with_tally: Sandbox, caller: requests.Session) -> None:
    """Method and path pick the calls; others pass and are not counted."""
    with_tally.fault("tally", "error_before", method="POST", path="^/one$")
    assert caller.get(f"{with_tally.address}/tally/one").status_code == 405
    assert caller.post(f"{with_tally.address}/tally/two").status_code == 404
    assert caller.post(f"{with_tally.address}/tally/one").status_code == 500
    assert caller.post(f"{with_tally.address}/tally/one").status_code == 200


def test_a_vendor_s_own_fault_is_consumed(tally: Tally) -> None:
    """A fault only the vendor can have is due as often as it was asked for."""
    Faults(tally, wait=lambda seconds: None).add(Fault(kind="half_job", times=2))
    assert [tally.fault("half_job") for _ in range(3)] == [True, True, False]


def test_an_unknown_fault_is_refused(with_tally: Sandbox, caller: requests.Session) -> None:
    """A mistyped kind is an error, at the call and over HTTP, and never a test that injects nothing."""
    with pytest.raises(ValueError, match="no fault 'trottle'; known: drop_after"):
        with_tally.fault("tally", "trottle")
    control = f"{with_tally.address}/_sandbox/tally/faults"
    assert caller.post(control, json={"kind": "trottle"}).status_code == 400
    assert caller.post(control, json={"kind": "slow", "second": 1}).status_code == 400


def test_the_sandbox_is_controlled_over_http(with_tally: Sandbox, caller: requests.Session) -> None:
    """Faults, reset, expire, holdings and calls are there for tests in another process."""
    vendor, control = f"{with_tally.address}/tally/one", f"{with_tally.address}/_sandbox/tally"
    caller.post(f"{control}/faults", json={"kind": "throttle", "times": None})
    assert caller.post(vendor).status_code == 429
    caller.delete(f"{control}/faults")
    assert caller.post(vendor).status_code == 200
    assert caller.get(f"{control}/holdings").json() == {"tally": [{"done": 1}]}
    calls = caller.get(f"{control}/calls").json()
    assert [(c["method"], c["path"], c["status"]) for c in calls] == [
        ("POST", "/one", 429),
        ("POST", "/one", 200),
    ]
    caller.post(f"{control}/expire")
    assert caller.post(vendor).status_code == 401
    caller.post(f"{control}/reset")
    assert caller.get(f"{control}/calls").json() == []
    assert caller.post(vendor).text == "1"


def test_no_such_vendor_is_said_so(sandbox: Sandbox, caller: requests.Session) -> None:
    """A mistyped vendor or path is a 404 that names the vendors there are."""
    reply = caller.get(f"{sandbox.address}/_sandbox/webhok/calls")
    assert reply.status_code == 404
    assert "webhook" in reply.text
    assert caller.get(f"{sandbox.address}/webhok/octo").status_code == 404


def test_connections_are_kept(with_tally: Sandbox, caller: requests.Session) -> None:
    """Calls of one session share a connection, every reply says its length, and none takes 40 ms."""
    started = time.monotonic()
    for _ in range(50):
        reply = caller.post(f"{with_tally.address}/tally/one", data=iter([b"in ", b"pieces"]))
        assert int(reply.headers["Content-Length"]) == len(reply.content)
    assert time.monotonic() - started < 1.6
    assert len(with_tally.server.open) == 1
    assert caller.head(f"{with_tally.address}/").content == b""
    assert with_tally.calls("tally")[-1].bytes == len("in pieces")


def test_a_hundred_callers_at_once(with_tally: Sandbox, tally: Tally) -> None:
    """Calls in parallel are all answered, one at a time by the vendor."""

    def call() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", with_tally.server.port)) as connection:
            connection.request("POST", "/tally/one")
            connection.getresponse().read()

    threads = [threading.Thread(target=call) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.done == 100


def test_stopping_leaves_nothing_behind(caller: requests.Session) -> None:
    """Two sandboxes run side by side; stopping them ends their threads, waiting callers included."""
    before = set(threading.enumerate())
    with Sandbox() as one, Sandbox() as two:
        assert one.address != two.address
        two.fault("webhook", "slow", seconds=60)
        late = threading.Thread(target=lambda: caller.post(f"{two.address}/webhook/octo"))
        late.start()
        while not two.server.open:
            time.sleep(0.005)
        assert caller.get(f"{one.address}/").ok
    late.join()
    assert set(threading.enumerate()) == before
    with pytest.raises(requests.exceptions.ConnectionError):
        caller.get(f"{one.address}/")


def test_the_sandbox_runs_in_a_process_of_its_own(sandbox_process: str, caller: requests.Session) -> None:
    """A test that kills its own process finds the vendor as that left it."""
    assert caller.get(f"{sandbox_process}/_sandbox/webhook/holdings").json() == {}


def test_the_vendor_s_clock_is_the_test_s(clock: Clock) -> None:
    """A twin tells the time by the clock it was given."""
    with Sandbox(clock=clock) as sandbox:
        clock.sleep(60)
        assert sandbox.twin("webhook").clock() == clock()
