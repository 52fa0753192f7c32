"""The way in: who asks, how often, how much. Plain ASGI, so that it costs microseconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from octo_dagster.api.errors import refuse
from octo_dagster.api.keys import Key, Keys

Headers: TypeAlias = dict[bytes, bytes]

MOST_BYTES = 1_000_000
"""Of a request's body."""
OPEN = frozenset({"/openapi.json", "/healthz"})
"""Paths anyone may read: what the API is, and whether it is up."""
HOOKS = "/v1/hooks/"
"""Paths where a vendor's signature stands for a key."""
CROWD = 10_000
"""Strangers whose allowance is remembered, the last that came."""


class Bucket:
    """A key's allowance: it fills at `per_second` and holds two seconds of it."""

    def __init__(self, per_second: float, now: float) -> None:
        self.rate, self.most = per_second, 2.0 * per_second
        self.left, self.at = self.most, now

    def wait(self, now: float) -> float:
        """Take one; 0, or the seconds until there is one."""
        self.left = min(self.most, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return (1 - self.left) / self.rate
        self.left -= 1
        return 0.0


class Crowd:
    """An allowance for each of many strangers: a noisy one uses up his own."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self.buckets: OrderedDict[Hashable, Bucket] = OrderedDict()

    def wait(self, who: Hashable, now: float) -> float:
        """Take one of his; 0, or the seconds until there is one."""
        bucket = self.buckets.pop(who, None) or Bucket(self.per_second, now)
        self.buckets[who] = bucket
        if len(self.buckets) > CROWD:
            self.buckets.popitem(last=False)
        return bucket.wait(now)


class Gate:
    """Lets a request with a good key through, which `request.state.key` then holds."""

    def __init__(self, app: ASGIApp, keys: Keys, clock: Callable[[], float] = time.monotonic) -> None:
        self.app, self.keys, self.clock = app, keys, clock
        self.buckets: dict[str, Bucket] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if scope["path"].startswith(HOOKS):
            await self.knock(headers, scope, receive, send)
            return
        key = self.keys.who(bearer(headers))
        if key is None:
            message = "send `Authorization: Bearer KEY`; octo keys add makes one"
            await refuse(send, 401, "unauthorized", message, ((b"www-authenticate", b"Bearer"),))
        elif wait := self.wait(key):
            told = ((b"retry-after", str(max(1, round(wait))).encode()),)
            await refuse(send, 429, "too_many_requests", f"more than {key.per_second} a second", told)
        elif long(headers):
            await refuse(send, 413, "too_large", f"a body of more than {MOST_BYTES} bytes")
        else:
            scope.setdefault("state", {})["key"] = key
            await self.app(scope, receive, send)

    async def knock(self, headers: Headers, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a webhook come as far as its signature's check."""
        if long(headers):
            await refuse(send, 413, "too_large", f"a body of more than {MOST_BYTES} bytes")
        else:
            await self.app(scope, receive, send)

    def wait(self, key: Key) -> float:
        now = self.clock()
        bucket = self.buckets.get(key.digest)
        if bucket is None or bucket.rate != key.per_second:
            bucket = self.buckets[key.digest] = Bucket(key.per_second, now)
        return bucket.wait(now)


def bearer(headers: Headers) -> str:
    """The key a request brings; empty when it brings none."""
    kind, _, secret = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def long(headers: Headers) -> bool:
    """Whether the body is too long, or does not say how long it is."""
    length = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or not length.isdigit() or int(length) > MOST_BYTES
