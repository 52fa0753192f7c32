"""Rows that others post to `POST /v1/events/{table}`, or a vendor's webhook brings: nobody is asked for them.

A table's `from` is what the address ends in. A row is the JSON object as it was sent, its columns paths into
it (`customer.id`); every value is text, as it was spelled. `resources` make rows of parts of it, as of a
`rest` source's records: the lines of an order.

source:
  type: push
  resources: {order_lines: {of: orders, each: lines, sum: {net: [lines.price * lines.quantity]}}}
tables:
  orders: {from: orders, cursor: _post, columns: {order_id: id, net_amount: total, ordered_at: at}}

What every table has pulled is let go of after `keep_days` (90), by a pull of the nightly lane.

Versions of a row are ordered by `cursor`: `_post`, the number of the post that brought it, or a column of
the sender's own (`updated_at`) where posts may overtake one another. How far a pull got is always a number
of a post.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import requests
from pydantic import Field, PrivateAttr

from connectors.sources.rest.listing import Listing
from connectors.sources.rest.resource import Resource, Told
from connectors.sources.rest.spool import Line, Spool
from octo_dagster.errors import ConfigError
from octo_dagster.inbox import Arrived, Inbox
from octo_dagster.source import Pull, Reading, Source

POST = "_post"
"""The column that holds the number of the post."""


class Part(Told):
    """Rows made of what is posted under another name; the keys mean what they mean for `rest`."""

    of: str
    """What is posted: the last part of the address."""
    where: Mapping[str, tuple[str, ...]] = {}
    unless: Mapping[str, tuple[str, ...]] = {}
    each: str | None = None
    empty: Mapping[str, tuple[str, ...]] = {}
    add: Mapping[str, str | tuple[str, ...]] = {}
    sum: Mapping[str, tuple[str, ...]] = {}

    @property
    def resource(self) -> Resource:
        """As the list of an API would be told."""
        return Resource(path=self.of, **self.model_dump(exclude={"of"}))


class Push(Source):
    """What is posted to this project for one source, in the order in which it came."""

    type: Literal["push"] = "push"
    resources: Mapping[str, Part] = {}
    keep_days: int | None = Field(default=90, ge=1)
    """How long a post is kept in the inbox once every table has pulled it; null: for ever. A column that is
    mapped later is filled from the posts that are still there."""

    lists_keys: ClassVar = False
    posted: ClassVar = True
    arrivals: ClassVar = POST
    glance: ClassVar = 0.25

    _name: str = PrivateAttr("")
    _home: Path | None = PrivateAttr(None)

    def model_post_init(self, context: Any) -> None:
        """Whose inbox it is, and which source's: what `Project` says when it loads the file."""
        told = context or {}
        self._name, self._home = told.get("name", ""), told.get("home")

    def stream(self, table: str) -> str:
        """What is posted for a table's `from`."""
        part = self.resources.get(table)
        return part.of if part else table

    def problem(self, pull: Pull) -> str | None:
        if pull.query:
            return "query: a push source has none; say from"
        if pull.cursor is None:
            return f"cursor: say {POST} (newest post wins), or the column by which the sender orders versions"
        return "overlap: nothing of a push source is late" if pull.overlap else None

    def columns(self, pull: Pull) -> tuple[str, ...]:
        """Nobody can know them before something came."""
        return ()

    def read(self, pull: Pull) -> Reading:
        upto = self.reached(pull)
        spool = Spool(pull.columns)
        spool.fill(self.lines(pull, upto) if upto is not None else iter(()))
        return Reading(spool.schema, spool.batches(), upto)

    def reached(self, pull: Pull) -> int | None:
        newest = self.inbox().reached(self._name, self.stream(pull.table))
        return pull.after if newest is None else newest

    def forget(self, pulled: Sequence[tuple[str, Any]], now: datetime) -> int:
        if self.keep_days is None:
            return 0
        before = now.replace(tzinfo=now.tzinfo or UTC) - timedelta(days=self.keep_days)
        read = [(self.stream(table), after) for table, after in pulled]
        waited = {stream for stream, after in read if after is None}
        return sum(
            self.inbox().forget(self._name, stream, min(a for s, a in read if s == stream), before)
            for stream in {stream for stream, _ in read} - waited
        )

    def keys(self, pull: Pull, key: tuple[str, ...]) -> Reading | None:
        return None

    def inbox(self) -> Inbox:
        """The project's. ConfigError for a source that was not loaded as part of one."""
        if self._home is None:
            raise ConfigError("a push source has an inbox only as part of a project")
        return opened(self._home)

    def lines(self, pull: Pull, upto: int) -> Iterator[Line]:
        part = self.resources.get(pull.table)
        stream = self.stream(pull.table)
        made = part.resource if part else Resource(path=stream)
        shaping = Listing("", made, None, pull, requests.Session(), None)
        for arrived in self.inbox().rows(self._name, stream, pull.after or 0, upto):
            origin = f"{stream}/{arrived.number}.{arrived.place}"
            yield from (
                shaping.rows(record(arrived), origin)
                if arrived.told
                else [shaping.fault(origin, arrived.fault or "")]
            )


def record(arrived: Arrived) -> Any:
    """The row as it was posted, and the number of its post."""
    told = json.loads(arrived.told or "null", parse_float=str, parse_int=str, parse_constant=str)
    return {**told, POST: str(arrived.number)} if isinstance(told, dict) else told


@lru_cache(maxsize=16)
def opened(home: Path) -> Inbox:
    """The inbox of a project folder, opened once a process."""
    return Inbox(home)
