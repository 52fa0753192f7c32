"""What can go wrong between a caller and a vendor, on demand: one `Fault` round one twin's answers.

| kind | carried out | the caller sees |
|---|---|---|
| `throttle` | no | the vendor's own "too many requests", asking to wait `seconds` |
| `error_before`, `error_after` | no, yes | the vendor's own `status` (5xx) |
| `drop_before`, `drop_after` | no, yes | the connection closed without a reply |
| `slow` | yes | the reply, `seconds` late |
| `expire` | as the vendor says | every session ended before this call |
| a twin's own (`half_job`) | as the vendor says | see the twin |
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field
from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import Twin


class Fault(BaseModel):
    """One thing to go wrong, and for which calls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    method: str | None = None
    """Only calls of this method; None means all."""
    path: str = ""
    """Only calls whose path below the vendor's prefix matches this regex."""
    after: int = Field(default=0, ge=0)
    """How many matching calls go well first."""
    times: int | None = Field(default=1, ge=1)
    """How many calls it strikes at most; None means every one that matches."""
    probability: float = Field(default=1.0, ge=0, le=1)
    """The chance to strike a matching call; drawn from `seed`, so equal runs get equal faults."""
    seed: int = 0
    status: int = 500
    """Of `error_before` and `error_after`."""
    seconds: float = 1.0
    """Of `slow` and `throttle`."""


class Armed:
    """A fault waiting for its calls."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.path = re.compile(fault.path)
        self.chance = random.Random(fault.seed)  # noqa: S311  repeatable on purpose
        self.seen = 0
        self.struck = 0

    def strikes(self, method: str, path: str) -> bool:
        """Whether this call is one to strike; every matching call is counted."""
        fault = self.fault
        if fault.method not in (None, method) or not self.path.search(path):
            return False
        self.seen += 1
        if self.seen <= fault.after or self.spent or self.chance.random() >= fault.probability:
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        return self.fault.times is not None and self.struck >= self.fault.times


class Faults:
    """All faults armed against one twin. The first that strikes a call is the only one to."""

    def __init__(self, twin: Twin, wait: Callable[[float], object]) -> None:
        self.twin = twin
        self.wait = wait
        self.lock = threading.Lock()
        self.armed: list[Armed] = []

    def add(self, fault: Fault) -> None:
        """Arm a fault. ValueError when neither the sandbox nor this twin knows its kind."""
        if fault.kind in self.twin.own_faults:
            self.twin.armed[fault.kind] += fault.times or 1
        elif fault.kind in KINDS:
            with self.lock:
                self.armed.append(Armed(fault))
        else:
            known = sorted({*KINDS, *self.twin.own_faults})
            raise ValueError(f"{self.twin.name} has no fault {fault.kind!r}; known: {', '.join(known)}")

    def clear(self) -> None:
        with self.lock:
            self.armed.clear()
        self.twin.armed.clear()

    def active(self) -> list[Armed]:
        """The faults that may still strike."""
        with self.lock:
            return [armed for armed in self.armed if not armed.spent]

    def answer(self, request: Request) -> tuple[Response | None, str | None]:
        """The reply (None: close the connection without one) and the kind of fault that struck, if any."""
        with self.lock:
            struck = (armed.fault for armed in self.armed if armed.strikes(request.method, request.path))
            fault = next(struck, None)
        if fault is None:
            return self.twin.answer(request), None
        return KINDS[fault.kind](self, fault, request), fault.kind

    def throttle(self, fault: Fault, request: Request) -> Response:
        return self.twin.throttled(fault.seconds)

    def error_before(self, fault: Fault, request: Request) -> Response:
        return self.twin.broken(fault.status)

    def error_after(self, fault: Fault, request: Request) -> Response:
        self.twin.answer(request)
        return self.twin.broken(fault.status)

    def drop_before(self, fault: Fault, request: Request) -> None:
        pass

    def drop_after(self, fault: Fault, request: Request) -> None:
        self.twin.answer(request)

    def slow(self, fault: Fault, request: Request) -> Response:
        self.wait(fault.seconds)
        return self.twin.answer(request)

    def expire(self, fault: Fault, request: Request) -> Response:
        self.twin.expire()
        return self.twin.answer(request)


Strike = Callable[[Faults, Fault, Request], Response | None]

KINDS: dict[str, Strike] = {
    "throttle": Faults.throttle,
    "error_before": Faults.error_before,
    "error_after": Faults.error_after,
    "drop_before": Faults.drop_before,
    "drop_after": Faults.drop_after,
    "slow": Faults.slow,
    "expire": Faults.expire,
}
