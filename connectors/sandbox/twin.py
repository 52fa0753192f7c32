"""A vendor's twin: a small real server with the vendor's rules, kept state and none of our assumptions.

A twin knows the vendor from its published specs, official SDKs and recorded traffic; it never imports
a destination. It answers as the vendor would: unknown fields, wrong types, bad e-mail addresses,
duplicate keys, size and batch limits, authentication, quotas, jobs that take time.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, TypeVar

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

Handler = TypeVar("Handler", bound=Callable[..., Response])


def route(method: str, path: str) -> Callable[[Handler], Handler]:
    """Answer `method path` (werkzeug rule syntax, below the twin's own prefix) with this method."""

    def mark(handler: Handler) -> Handler:
        rules = getattr(handler, "rules", ())
        handler.rules = (*rules, (method, path))  # type: ignore[attr-defined]
        return handler

    return mark


class Twin(ABC):
    """One vendor. Subclasses mark methods with `@route`; each gets the request and the path's parts."""

    name: ClassVar[str]
    """Path prefix in the sandbox, and the vendor's short name."""
    keys: ClassVar[Mapping[str, str]] = {}
    """What opens it, by the variables that `octo init` names, as a shell reads it."""
    settings: ClassVar[Mapping[str, str]] = {}
    """What else `octo init --tool` is to be told of it, setting by setting."""
    own_faults: ClassVar[frozenset[str]] = frozenset({"half_job"})
    """Faults only this vendor can have; its methods ask for them with `self.fault(name)`."""
    bookkeeping: ClassVar[frozenset[str]] = frozenset()
    """Columns of the holdings that say when and by whom; the page shows them last."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self.armed: Counter[str] = Counter()
        self.urls = urls(type(self))
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget everything: a new, empty account with the vendor's standard fields."""

    @abstractmethod
    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        """What the account holds now: a table name → its rows. Read by tests and by the page."""

    def fault(self, name: str) -> bool:
        """Whether this fault is due now. A fault that was asked for once is due once."""
        due = self.armed[name] > 0
        self.armed[name] -= due
        return due

    def authenticate(self, request: Request) -> Response | None:
        """A refusal in the vendor's own words, or None when the caller may go on."""
        return None

    def refusal(self, error: HTTPException) -> Response:
        """No such path or method, said as the vendor says it."""
        return Response(str(error.description), status=error.code)

    def expire(self) -> None:
        """End every session now, as if tokens had run out. Twins with tokens override this."""

    def throttled(self, wait: float) -> Response:
        """The vendor's answer to a caller over quota; `wait` seconds would be enough."""
        return Response("Too many requests", status=429, headers={"Retry-After": str(int(wait) or 1)})

    def broken(self, status: int) -> Response:
        """The vendor's answer when it is itself in trouble (500, 502, 503)."""
        return Response("Service unavailable", status=status)

    def answer(self, request: Request) -> Response:
        """Route one request to its method, one at a time."""
        try:
            handler, parts = self.urls.bind_to_environ(request.environ).match()
        except (NotFound, MethodNotAllowed) as error:
            return self.refusal(error)
        with self.lock:
            refused = self.authenticate(request)
            if refused is not None:
                return refused
            made: Response = handler(self, request, **parts)
            return made


@cache
def urls(twin: type[Twin]) -> Map:
    """Which method of a twin answers what: put together once a process, since that takes 20 ms."""
    marked = [getattr(twin, name, None) for name in dir(twin)]
    return Map(
        [
            Rule(path, methods=[method], endpoint=handler)
            for handler in marked
            for method, path in getattr(handler, "rules", ())
        ],
        strict_slashes=False,
        merge_slashes=False,
    )
