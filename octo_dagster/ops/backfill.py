"""History worked out afterwards: what a score gives for each past day, beside the table it has for today.

`<score>_past` has the score's columns and `as_of`, the day they are for. A past day is worked out from what
had happened by then, and so is every score that it reads; an order's status, a product and a customer's
consent are today's, for no other is known. A day is one commit, which says itself that the day is done:
killed in between, the next run goes on after it. The scores' own tables are neither read nor written.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import duckdb

from octo_dagster.canonical import contracts as canonical
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.score import Score, Tables
from octo_dagster.scoring.compute import listed, work_out
from octo_dagster.scoring.settings import plain_settings
from octo_dagster.scoring.sql import table_of
from octo_dagster.warehouse import Warehouse

AS_OF = "as_of"
DAY = timedelta(days=1)


class Every(StrEnum):
    """Which past days: the last ones of each month, of each week (Sundays), or all of them."""

    MONTH = "month"
    WEEK = "week"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which past days of which scores."""

    scores: tuple[str, ...] = ()
    """By name; none: every score with one row a customer."""
    since: date | None = None
    """Left out, or earlier than it: the day of the first order. Before it there is nothing to work out."""
    until: date | None = None
    """Left out: yesterday."""
    every: Every = Every.MONTH
    again: bool = False
    """Whether days that are done are done again: orders came late, or were mended."""


@dataclass(frozen=True, slots=True)
class Past:
    """One score's rows for one past day, as they were just written."""

    score: str
    table: str
    as_of: date
    rows: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self) | {"as_of": self.as_of.isoformat()}


@dataclass(frozen=True, slots=True)
class Work:
    """What is still to do: day → the scores, each after those it reads."""

    days: Mapping[date, tuple[Score, ...]]
    skipped: int
    """Days of a score that were done before."""

    @property
    def steps(self) -> int:
        """Days of a score to work out."""
        return sum(len(scores) for scores in self.days.values())


def table_name(score: str) -> str:
    """The table of a score's past days."""
    return f"{score}_past"


def keys_of(project: Project) -> dict[str, tuple[str, ...]]:
    """Table → the columns that tell its rows apart, of every score's past."""
    return {table_name(score.name): (AS_OF, *score.key) for score in project.scores.values()}


def work(project: Project, wish: Wish, today: date) -> Work:
    """What the wish comes to. ConfigError for a score there is not, and for days that are not past."""
    chosen = wished(project, wish.scores)
    days = past_days(project, wish, today)
    marks = {score.name: mark(project, score) for score in chosen}
    known = {score.name: done(project.warehouse, score.name) for score in chosen}
    left = {
        day: tuple(
            s for s in chosen if wish.again or day.isoformat() not in known[s.name].get(marks[s.name], ())
        )
        for day in days
    }
    every = sum(len(scores) for scores in left.values())
    return Work({day: scores for day, scores in left.items() if scores}, len(days) * len(chosen) - every)


def backfill(
    project: Project, found: Work, progress: Callable[[Past], None] = lambda past: None
) -> list[Past]:
    """Work it out, oldest day first. Busy while another backfill is under way; what is written stays, and is
    not done again. ConfigError when a score breaks its contract, SourceError when a table is not there."""
    made: list[Past] = []
    with project.ledger.lock("_backfill"):
        for day, scores in found.days.items():
            for past in of_day(project, scores, day):
                made.append(past)
                progress(past)
    return made


def wished(project: Project, names: Sequence[str]) -> list[Score]:
    """The scores, each after those it reads."""
    if unknown := [name for name in names if name not in project.scores]:
        known = ", ".join(project.scores) or "none"
        raise ConfigError(f"there is no score {unknown[0]!r}; there are {known}")
    chosen = [s for s in project.scores.values() if (s.name in names if names else s.on_profile)]
    if taken := [table_name(s.name) for s in chosen if table_name(s.name) in project.scores]:
        raise ConfigError(f"{taken[0]}: a score has the name that the past of another needs")
    return chosen


def past_days(project: Project, wish: Wish, today: date) -> list[date]:
    """The days asked for, oldest first: those that end a period, none of them today or later."""
    first, until = first_order(project.warehouse), wish.until or today - DAY
    since = max(wish.since or first, first)
    if until >= today:
        raise ConfigError(f"the last day, {until}, is not over yet; the last that is over is {today - DAY}")
    if wish.since and wish.since > until:
        raise ConfigError(f"the first day, {wish.since}, is after the last, {until}")
    every = (since + timedelta(days=n) for n in range((until - since).days + 1))
    return [day for day in every if ends(day, wish.every)]


def ends(day: date, every: Every) -> bool:
    """Whether the day is the last of its period."""
    tomorrow = day + DAY
    return {Every.MONTH: tomorrow.day == 1, Every.WEEK: tomorrow.isoweekday() == 1, Every.DAY: True}[every]


def first_order(warehouse: Warehouse) -> date:
    warehouse.existing("orders")
    with warehouse.connect(only=["orders"]) as connection:
        (found,) = connection.execute("select min(ordered_at)::date from orders").fetchone() or (None,)
    if found is None:
        raise ConfigError("there is no order yet, and no day to begin at")
    return date.fromisoformat(str(found))


def mark(project: Project, score: Score) -> str:
    """What tells apart days worked out otherwise: the settings of the score and of those it reads."""
    said = {one.name: plain_settings(one, one.given) for one in needed(project, [score])}
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]


def needed(project: Project, scores: Sequence[Score]) -> list[Score]:
    """The scores and all they are worked out through, each after those it reads."""
    names = {score.name for score in scores}
    for score in reversed(list(project.scores.values())):
        if score.name in names:
            names |= {*score.reads, *score.optional}
    return [score for score in project.scores.values() if score.name in names]


def done(warehouse: Warehouse, score: str) -> dict[str, list[str]]:
    """Mark → the days that are done with it."""
    name = table_name(score)
    found: dict[str, list[str]] = warehouse.note(name)["done"] if warehouse.version(name) is not None else {}
    return found


def of_day(project: Project, scores: Sequence[Score], day: date) -> Iterator[Past]:
    """One past day of these scores, in one connection: what is read twice is the same both times."""
    through = needed(project, scores)
    names = {name for score in through for name in (*score.reads, *score.optional)} - project.scores.keys()
    versions = {name: v for name in sorted(names) if (v := project.warehouse.version(name)) is not None}
    with project.warehouse.connect(versions, only=versions) as connection:
        for score in through:
            began = time.monotonic()
            rows = work_out(score, connection, tables_at(score, connection), day)
            connection.execute(f'alter table scored rename to "{score.name}"')
            if score in scores:
                keep(project, score, connection, day)
                took = round(time.monotonic() - began, 3)
                yield Past(score.name, table_name(score.name), day, rows, took)


def tables_at(score: Score, connection: duckdb.DuckDBPyConnection) -> Tables:
    """The tables it reads, as the connection has them; one that is optional and unfed is put there empty."""
    there = {name for (name,) in connection.execute("select table_name from duckdb_tables()").fetchall()}
    there |= {name for (name,) in connection.execute("select view_name from duckdb_views()").fetchall()}
    if missing := sorted(set(score.reads) - there):
        raise SourceError(f"score {score.name} reads {', '.join(missing)}: no such table in the warehouse")
    for name in set(score.optional) - there:
        connection.register(name, canonical.CONTRACTS[name].arrow.empty_table())
    schemas = {
        name: connection.sql(f'select * from "{name}" limit 0').to_arrow_table().schema
        for name in (*score.reads, *score.optional)
    }
    return {name: table_of(name, schema) for name, schema in schemas.items()}


def keep(project: Project, score: Score, connection: duckdb.DuckDBPyConnection, day: date) -> None:
    """Write the day's rows and that it is done, in one commit, in place of what was there of the day."""
    house, name, own = project.warehouse, table_name(score.name), mark(project, score)
    rows = connection.sql(
        f"select date '{day}' as {AS_OF}, * from \"{score.name}\" order by {listed(score.key)}"
    ).to_arrow_reader()
    known = done(house, score.name)
    fresh = not any(day.isoformat() in days for days in known.values())
    others = {which: [one for one in days if one != day.isoformat()] for which, days in known.items()}
    mine = sorted([*others.get(own, ()), day.isoformat()])
    note = {"done": {which: days for which, days in others.items() if days} | {own: mine}}
    if fresh:
        house.append(name, rows, note)
    else:
        house.write(name, rows, "overwrite", note, f"{AS_OF} = '{day}'")
