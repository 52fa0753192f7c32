"""One source, watched for new orders: asked how far it reaches, and woken where something rings by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from assets.resources import Setup
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import state
from octo_dagster.errors import SourceError
from octo_dagster.inbox import Inbox
from octo_dagster.source import Pull

Reached = dict[str, Any]
"""Table → how far the source reaches."""
Tips = dict[str, int | None]
"""Table → how many rows are there, at the newest point."""

ORDERS = frozenset({"orders", "order_lines"})
"""The tables a new order writes to, and the sensor looks at."""

SHARE = 20
"""A source that takes long to answer is asked more seldom: a twentieth of its time at most."""
DEAF = 5.0
"""Seconds between two askings of a source that rings by itself, lest a ring was missed."""


@dataclass
class Watch:
    """What is known of a source from one asking to the next."""

    setup: Setup
    intake: Intake
    rings: Callable[[], bool] | None
    """Whether the source has rung since this was asked last; None where it cannot ring."""
    inbox: Inbox
    knocks: int | None = None
    """How often something had knocked for it when it was looked at last; None before the first time."""
    next: float = 0.0
    """When to ask next, by the clock that never goes back."""
    pulled: Reached = field(default_factory=dict)
    """How far its rows reached here, as of the last time somebody looked at them."""

    def due(self) -> bool:
        """Whether it is time to ask: by the clock, or because something rang or knocked."""
        knocks = self.inbox.wakes().get(self.intake.name, 0)
        rang = self.rings is not None and self.rings()
        if not rang and knocks == self.knocks and time.monotonic() < self.next:
            return False
        self.knocks = knocks
        return True

    def reached(self) -> Reached:
        """How far the source reaches now. SourceError when it cannot be reached."""
        began = time.monotonic()
        try:
            return {table: self.intake.source.reached(pull) for table, pull in self.pulls().items()}
        finally:
            ended = time.monotonic()
            least = DEAF if self.rings else self.intake.source.glance
            self.next = ended + max(least, SHARE * (ended - began))

    def tips(self, reached: Reached) -> Tips:
        """How many rows are at that point. SourceError when the source cannot be asked."""
        source = self.intake.source
        return {
            table: source.tip(replace(pull, after=reached[table])) for table, pull in self.pulls().items()
        }

    def pulls(self) -> Mapping[str, Pull]:
        """What is asked for: whatever comes after the rows that are here."""
        return pulls(self.intake, self.pulled)

    def look_at_rows(self) -> None:
        """See how far the rows that are here reach, as they say themselves."""
        warehouse = self.setup.project.warehouse
        self.pulled = {
            table: state(warehouse, self.intake.raw(table), self.intake.tables[table])
            for table in watched(self.intake)
        }


def watched(intake: Intake) -> list[str]:
    """The tables of a source that a new order writes to."""
    return sorted(ORDERS & set(intake.tables))


def pulls(intake: Intake, pulled: Reached) -> dict[str, Pull]:
    """Table → what to ask for."""
    return {table: intake.tables[table].pull(pulled.get(table)) for table in watched(intake)}


@contextmanager
def watching(setup: Setup, intake: Intake, inbox: Inbox) -> Iterator[Watch]:
    """A watch, with the source's bell at hand where it has one. One that cannot be reached has none now."""
    bell = intake.source.bell(list(pulls(intake, {}).values()))
    try:
        rings = bell.__enter__()
    except SourceError:
        yield Watch(setup, intake, None, inbox)
        return
    try:
        yield Watch(setup, intake, rings, inbox)
    finally:
        bell.__exit__(None, None, None)


def never_pulled(setup: Setup, intake: Intake) -> list[str]:
    """The tables that wait for their first load, which is the night's."""
    held = setup.project.warehouse.names()
    return [table for table in watched(intake) if intake.raw(table) not in held]
