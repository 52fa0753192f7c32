"""How long the server listens to one request, and how long a head it hears. uvicorn ends neither."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD = 65_536
"""Bytes of a request's address and headers together."""


class TooLong(ValueError):
    """A head that has no end; the parser then gives the connection up."""


class Patient(HttpToolsProtocol):
    """A connection that is closed when a request does not come to its end in time, or its head not at all.

    What arrives in one piece, as nearly everything does, costs a comparison."""

    seconds: ClassVar[float] = 15.0
    """From a request's first byte, or the connection's beginning, to the request's last byte."""

    timer: asyncio.TimerHandle | None = None
    came: int = 0
    """Bytes since the last whole request."""
    head: int = 0
    within_head = within_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.wait()

    def data_received(self, data: bytes) -> None:
        self.came += len(data)
        super().data_received(data)
        if not self.within_request:
            self.came = 0
            self.rest()
        elif self.within_head and self.came > MOST_HEAD:
            self.send_400_response("The head of the request is too long.")
        elif self.timer is None:
            self.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self.rest()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self.within_head = self.within_request = True
        self.head = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.within_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.within_request = False
        super().on_message_complete()

    def measure(self, size: int) -> None:
        self.head += size
        if self.head > MOST_HEAD:
            raise TooLong

    def wait(self) -> None:
        """Close the connection later, unless `rest` comes first."""
        self.timer = self.loop.call_later(self.seconds, self.transport.close)

    def rest(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
