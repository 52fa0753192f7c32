"""A twin and what the sandbox keeps round it: its faults, the calls it got, what it held before."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from werkzeug.wrappers import Request, Response

from connectors.sandbox.faults import Faults
from connectors.sandbox.twin import Twin

CALLS_KEPT = 10_000
QUIET_SECONDS = 3.0
"""After so long a silence a call begins a new visit, a run of Octo's for instance."""

Holdings: TypeAlias = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Call:
    """One call a twin got: what was asked, what was answered, which fault struck."""

    method: str
    path: str
    status: int | None
    """None when the connection was closed without a reply."""
    at: float
    """Seconds since 1970, by the sandbox's clock."""
    seconds: float
    bytes: int
    """Size of the request's body."""
    fault: str | None = None


class Vendor:
    """One twin as the sandbox serves it."""

    def __init__(self, twin: Twin, wait: Callable[[float], object]) -> None:
        self.twin = twin
        self.faults = Faults(twin, wait)
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.before = self.began = self.holdings()

    def reset(self) -> None:
        """A new, empty account; no faults, no calls."""
        with self.twin.lock:
            self.twin.reset()
        self.faults.clear()
        self.calls.clear()
        self.before = self.began = self.holdings()

    def holdings(self) -> Holdings:
        """A copy of every table, safe to read while calls go on."""
        with self.twin.lock:
            return {table: [dict(row) for row in rows] for table, rows in self.twin.holdings().items()}

    def begin_visit(self) -> None:
        """Remember what is held now, and what was held before the last visit that changed anything."""
        held = self.holdings()
        if held != self.began:
            self.before, self.began = self.began, held

    def compared(self) -> tuple[Holdings, Holdings]:
        """What was held before the last visit that changed anything, and what is held now."""
        held = self.holdings()
        return (self.began if held != self.began else self.before), held

    def answer(self, request: Request) -> Response | None:
        """The twin's reply, faults and all; None when the connection is to be closed without one."""
        at, started = self.twin.clock(), time.monotonic()
        if self.calls and at - self.calls[-1].at > QUIET_SECONDS:
            self.begin_visit()
        reply, fault = self.faults.answer(request)
        self.calls.append(
            Call(
                method=request.method,
                path=request.path,
                status=None if reply is None else reply.status_code,
                at=at,
                seconds=time.monotonic() - started,
                bytes=request.content_length or 0,
                fault=fault,
            )
        )
        return reply
