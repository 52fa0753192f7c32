"""The one way out: where calls go, what a failure means, what the log keeps."""

from __future__ import annotations

import socket
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import requests

from connectors.destinations.webhook import Webhook
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import READ_TRIES, Call, session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.destination import AnyDestination
from octo_dagster.errors import ConfigError, Expired, Fatal, Retryable, Unanswered

HOST = "https://hooks.example.com"


@pytest.fixture
def destination() -> AnyDestination:
    return Webhook.model_validate({"type": "webhook", "url": f"{HOST}/octo", "secret": {"env": "SECRET"}})


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def log() -> list[Call]:
    return []


@pytest.fixture
def out(
    destination: AnyDestination, sandbox: Sandbox, log: list[Call], slept: list[float]
) -> Iterator[requests.Session]:
    """The session of a destination whose host leads to the sandbox."""
    with closing(session(destination, UNPACED, log.append, sandbox.address, slept.append)) as made:
        yield made


def test_calls_to_a_vendor_s_host_go_to_its_twin(out: requests.Session, sandbox: Sandbox) -> None:
    """With a sandbox, a vendor's https address leads to the twin, path and query kept."""
    with pytest.raises(Expired):
        out.post(f"{HOST}/octo/read?deep=1")
    assert sandbox.calls("webhook")[0].path == "/octo/read"


@pytest.mark.parametrize("url", ["https://other.example.com/", f"{HOST}.evil.example/octo"])
def test_no_call_leaves_the_sandbox(out: requests.Session, url: str) -> None:
    """With a sandbox, a host the destination did not name is refused before anything is sent."""
    with pytest.raises(Fatal, match="is not among its hosts"):
        out.get(url)


def test_the_sandbox_is_on_this_machine(destination: AnyDestination, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OCTO_SANDBOX elsewhere would be given real credentials: it is refused."""
    for address in (
        "http://sandbox.example.com",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil:80",
    ):
        monkeypatch.setenv("OCTO_SANDBOX", address)
        with pytest.raises(ConfigError, match="loopback"):
            session(destination, UNPACED)


def test_the_log_keeps_no_secret_and_no_person(out: requests.Session, log: list[Call]) -> None:
    """A logged call is method, path, status and time: no query, no header, no body."""
    with pytest.raises(Expired):
        out.post(f"{HOST}/octo?email=ada@example.com", data="ada", headers={"Authorization": "token"})
    (call,) = log
    assert (call.method, call.path, call.status) == ("POST", "/octo", 401)
    assert "ada" not in repr(call)
    assert "token" not in repr(call)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("throttle", 0, Retryable),
        ("error_before", 503, Retryable),
        ("error_before", 500, Unanswered),
        ("error_before", 502, Unanswered),
        ("error_before", 403, Fatal),
        ("drop_before", 0, Unanswered),
        ("drop_after", 0, Unanswered),
    ],
)
def test_a_write_goes_once_and_its_failure_has_a_name(
    out: requests.Session, sandbox: Sandbox, kind: str, status: int, error: type[Exception]
) -> None:
    """A write is never repeated here; what its failure means is said by the exception's type."""
    sandbox.fault("webhook", kind, times=None, status=status, seconds=3)
    with pytest.raises(error) as raised:
        out.post(f"{HOST}/octo")
    assert type(raised.value) is error
    assert len(sandbox.calls("webhook")) == 1
    if kind == "throttle":
        assert isinstance(raised.value, Retryable)
        assert raised.value.wait == 3


def test_a_read_goes_again_by_itself(
    out: requests.Session, sandbox: Sandbox, log: list[Call], slept: list[float]
) -> None:
    """A GET without an answer is repeated, waiting longer each time, under one and the same path."""
    sandbox.fault("webhook", "drop_before", times=2)
    with pytest.raises(Fatal, match="405"):
        out.get(f"{HOST}/octo")
    assert slept == [0.4, 0.8]
    assert {call.path for call in log} == {"/octo"}


def test_a_read_gives_up_at_last(out: requests.Session, sandbox: Sandbox, log: list[Call]) -> None:
    """After its tries a GET fails as a write would."""
    sandbox.fault("webhook", "error_before", times=None)
    with pytest.raises(Unanswered):
        out.get(f"{HOST}/octo")
    assert len(log) == READ_TRIES


def test_nobody_there_is_certainly_not_sent(destination: AnyDestination) -> None:
    """A refused connection means not sent."""
    with socket.socket() as deaf:  # bound, so that nobody else answers there, but not listening
        deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with closing(session(destination, UNPACED, sandbox=address)) as out, pytest.raises(Retryable):
            out.post(f"{HOST}/octo")


def told(raised: pytest.ExceptionInfo[BaseException]) -> str:
    """What a log or Dagster's page shows of an error: its own words, and those of all it came from."""
    return "".join(traceback.format_exception(raised.value))


def test_no_traceback_tells_of_a_person(destination: AnyDestination) -> None:
    """An address that was asked for stands in no traceback, whether it was never reached or never answered."""
    asked = f"{HOST}/octo?email=ada%40example.com"
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with (
            closing(session(destination, UNPACED, sandbox=address)) as out,
            pytest.raises(Retryable) as away,
        ):
            out.post(asked)
    with hearing(destination, b"") as out, pytest.raises(Unanswered) as silent:
        out.post(asked)
    assert "ada%40" not in told(away) + told(silent)


@contextmanager
def hearing(destination: AnyDestination, words: bytes) -> Iterator[requests.Session]:
    """A session whose vendor says these words to its first caller, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(words)

        vendor = threading.Thread(target=answer)
        vendor.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with closing(session(destination, UNPACED, sandbox=address)) as made:
            yield made
        vendor.join()


def test_a_body_cut_short_is_no_answer(destination: AnyDestination) -> None:
    """A reply that breaks off in its body says nothing sure, whatever its status."""
    cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    with hearing(destination, cut) as out, pytest.raises(Unanswered):
        out.post(f"{HOST}/octo")


def test_a_write_is_not_sent_elsewhere(destination: AnyDestination) -> None:
    """A redirected POST would be repeated as a GET and seem done: it is Fatal, a person mends the address."""
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example\r\nContent-Length: 0\r\n\r\n"
    with hearing(destination, moved) as out, pytest.raises(Fatal, match="moved to https://elsewhere"):
        out.post(f"{HOST}/octo")
