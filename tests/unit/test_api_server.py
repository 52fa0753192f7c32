"""The server as others reach it, by real connections: slow ones, endless ones, and what it writes down of them."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from octo_dagster.api.app import app
from octo_dagster.api.keys import Keys
from octo_dagster.api.patience import MOST_HEAD, Patient
from octo_dagster.api.server import settings
from tests.reading import EVERYTHING, published

HELD = 0.5


class Hasty(Patient):
    """As patient as a test can be."""

    seconds: ClassVar[float] = HELD


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """A server's port, and a key to it."""
    project = published(tmp_path_factory.mktemp("served"))
    key = Keys(project.home).add("web", EVERYTHING)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        running = uvicorn.Server(settings(app(project), Hasty))
        thread = threading.Thread(target=running.run, args=([bound],))
        thread.start()
        yield bound.getsockname()[1], key
        running.should_exit = True
        thread.join(10)
    assert not thread.is_alive()


@contextmanager
def connected(server: tuple[int, str]) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server[0]), timeout=10) as link:
        yield link


def heard(link: socket.socket) -> bytes:
    """Everything until the server hangs up."""
    told = b""
    with suppress(ConnectionError):
        while part := link.recv(65_536):
            told += part
    return told


def head(server: tuple[int, str], path: str = "/v1/customers/c1", *more: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {server[1]}", *more]
    return "\r\n".join([*lines, "", ""]).encode()


def test_an_ordinary_request_in_pieces(server: tuple[int, str]) -> None:
    """However it is cut up on its way, a request that comes in time is answered, and so is the next one."""
    with connected(server) as link:
        for _ in range(2):
            for piece in (text := head(server))[:20], text[20:60], text[60:]:
                link.sendall(piece)
                time.sleep(0.02)
            reply = link.recv(65_536)
            assert b"200 OK" in reply
            assert b"Customer1@example.com" in reply


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /v1/customers/c1",
        b"GET / HTTP/1.1\r\nX: ",
        b"POST /v1/events/orders HTTP/1.1\r\nContent-Length: 99\r\n\r\n{",
    ],
)
def test_who_never_ends_is_hung_up_on(server: tuple[int, str], begun: bytes) -> None:
    """A request that is drawn out a byte at a time, head or body, holds its connection for so long and no more."""
    since = time.monotonic()
    with connected(server) as link:
        link.sendall(begun)
        with suppress(ConnectionError):
            while begun and time.monotonic() - since < 5 * HELD:
                link.sendall(b"a")
                time.sleep(HELD / 5)
        heard(link)
    assert HELD * 0.8 < time.monotonic() - since < 4 * HELD


@pytest.mark.parametrize(
    "shape", ["one long header", "many headers", "a long address", "a header without end"]
)
def test_a_head_that_is_too_long(server: tuple[int, str], shape: str) -> None:
    """It is refused, whatever it is made of, and the connection is closed; the server goes on."""
    long = "x" * (2 * MOST_HEAD)
    sent = {
        "one long header": head(server, "/v1/customers/c1", f"X-Long: {long}"),
        "many headers": head(server, "/v1/customers/c1", *(f"X-{n}: {'y' * 100}" for n in range(2_000))),
        "a long address": head(server, f"/v1/customers/c1?include={long}"),
        "a header without end": b"GET / HTTP/1.1\r\nX: " + b"z" * (3 * MOST_HEAD),
    }[shape]
    with connected(server) as link:
        with suppress(ConnectionError):
            link.sendall(sent)
        assert b" 200 " not in heard(link)
    with connected(server) as link:
        link.sendall(head(server))
        assert b"200 OK" in link.recv(65_536)


def test_a_body_that_is_too_long_is_not_read(server: tuple[int, str]) -> None:
    """Its length alone has it refused, before a byte of it is kept; so does one without a length."""
    for length in ("Content-Length: 1000001", "Transfer-Encoding: chunked"):
        with connected(server) as link:
            text = head(server, "/v1/customers/lookup", length).replace(b"GET", b"POST")
            link.sendall(text)
            assert b" 413 " in link.recv(65_536)


def test_nothing_personal_is_written_down(server: tuple[int, str], caplog: pytest.LogCaptureFixture) -> None:
    """Not by the server either, whatever it is asked and however badly."""
    caplog.set_level(logging.DEBUG)
    for sent in (
        head(server, "/v1/customers/customer1@example.com?by=email", "Connection: close"),
        head(
            server,
            "/v1/customers/customer1@example.com?by=email",
            "Connection: upgrade",
            "Upgrade: websocket",
        ),
        b"GET /v1/customers/customer1@example.com\x00 HTTP/1.1\r\n\r\n",
        b"POST /v1/customers/lookup HTTP/1.1\r\ncustomer1@example.com\r\n\r\n",
    ):
        with connected(server) as link:
            link.sendall(sent)
            assert link.recv(65_536)
    assert "example.com" not in caplog.text
    assert server[1] not in caplog.text


@pytest.mark.parametrize(
    ("proxies", "seen"), [(None, "203.0.113.9"), ("10.0.0.7", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.9")]
)
def test_only_a_known_proxy_says_for_whom_it_asks(
    monkeypatch: pytest.MonkeyPatch, proxies: str | None, seen: str
) -> None:
    """A proxy on this machine is believed; when others are named, only they are."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if proxies is not None:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", proxies)

    async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(scope["client"][0])(scope, receive, send)

    made = settings(mirror)
    made.load()
    client = TestClient(made.loaded_app, client=("127.0.0.1", 5))
    assert client.get("/", headers={"x-forwarded-for": "198.51.100.1, 203.0.113.9"}).text == seen
