"""What pages read: the newest tables by SQL, one customer by the serving copy. No lock, no write."""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import Any

import duckdb
from deltalake.exceptions import DeltaError

from octo_dagster.config import Project, Settings
from octo_dagster.errors import ConfigError
from octo_dagster.serving.reading import Copy

Row = Mapping[str, Any]
Params = Mapping[str, Any] | Sequence[Any]
MEMORY = "512MB"
"""What all questions of all visitors together may hold; beyond it DuckDB spills to disk."""
ANSWERS = 200
"""Answers kept while the tables stay as they are,"""
KEPT_ROWS = 2_000
"""each of so many rows at most."""
MOMENTS = 30
"""States of the tables that are remembered: a page is made while fewer go by."""


@dataclass
class Moment:
    """One version of every table, and where its views are."""

    versions: Mapping[str, int]
    schema: str
    made: set[str] = field(default_factory=set)
    """The tables somebody asked for, which have a view."""


SEEN: ContextVar[dict[int, Moment]] = ContextVar("seen")
"""What the page that is being made sees, by board."""


@contextmanager
def one_page() -> Iterator[None]:
    """Within it every board is asked of one moment."""
    token = SEEN.set({})
    try:
        yield
    finally:
        SEEN.reset(token)


class Board:
    """A project as pages see it: its files as they are now, its tables' newest versions.

    Safe to ask from many threads. A table that changed is seen by the next page; one page sees one version of
    each table, so that its sums and its lists agree. Versions of several tables are as a run left them: it
    writes them one after the other."""

    def __init__(self, project: Project) -> None:
        self.first = project
        self.held: tuple[Any, Project] = (None, project)
        self.lock = threading.Lock()
        self.moments: OrderedDict[Any, Moment] = OrderedDict()
        self.number = 0
        self.answers: OrderedDict[Any, list[Row]] = OrderedDict()
        self.mine = threading.local()

    @property
    def project(self) -> Project:
        """The project, read anew when one of its files changed. Its parts raise ConfigError when wrong."""
        files = sorted(path for path in (self.first.root / "assets").rglob("*.*") if path.suffix in READ)
        mark = [(path, path.stat().st_mtime_ns) for path in files]
        if mark != self.held[0]:
            self.held = (mark, replace(self.first))
        return self.held[1]

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        spill = f"{tempfile.gettempdir()}/octo-spill-{uuid.uuid4().hex}"
        made = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spill})
        made.execute("set global TimeZone = 'UTC'")
        made.execute("set enable_progress_bar = false")
        return made

    def select(self, sql: str, params: Params = ()) -> list[Row]:
        """The rows a DuckDB query answers over the newest tables, `$name` in it bound from `params`, or `?`
        one after the other.

        The answer is remembered until a table it names changes. duckdb.CatalogException for a table that is
        not there: ask `has` first."""
        named = sql.lower()
        marks = tuple(mark for mark in self.moment().versions.items() if mark[0].lower() in named)
        bound = tuple(sorted(params.items())) if isinstance(params, Mapping) else tuple(params)
        key = (sql, bound, marks)
        with self.lock:
            if key in self.answers:
                self.answers.move_to_end(key)
                return self.answers[key]
        rows = self.asked(sql, params, [name for name, _ in marks])
        if len(rows) <= KEPT_ROWS:
            with self.lock:
                self.answers[key] = rows
                if len(self.answers) > ANSWERS:
                    self.answers.popitem(last=False)
        return rows

    def asked(self, sql: str, params: Params, names: Collection[str]) -> list[Row]:
        try:
            return self.told(sql, params, names)
        except (duckdb.IOException, DeltaError):  # files were taken away since this page looked: look again
            SEEN.get({}).pop(id(self), None)
            return self.told(sql, params, names)

    def told(self, sql: str, params: Params, names: Collection[str]) -> list[Row]:
        with self.at(self.moment(), names) as cursor:
            found = executed(cursor, sql, params)
            columns = [told[0] for told in found.description or ()]
            return [dict(zip(columns, row, strict=True)) for row in found.fetchall()]

    def parts(self, sql: str, params: Params = ()) -> Iterator[list[tuple[Any, ...]]]:
        """The same rows by and by, for an answer of any length; not remembered."""
        with self.cursor() as cursor:
            found = executed(cursor, sql, params)
            while rows := found.fetchmany(KEPT_ROWS):
                yield rows

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor over the tables as this page sees them, for code that asks for itself; close it."""
        moment = self.moment()
        return self.at(moment, moment.versions)

    def one(self, sql: str, params: Params = ()) -> Row:
        """The only row of an answer, as of a query of sums; IndexError without one."""
        return self.select(sql, params)[0]

    def moment(self) -> Moment:
        """The tables as this page sees them: as they were when it first asked. Outside of a page, as they
        are now."""
        seen = SEEN.get({})
        if id(self) not in seen:
            seen[id(self)] = self.look()
        return seen[id(self)]

    def look(self) -> Moment:
        """The newest version of every table."""
        warehouse = self.first.warehouse
        held = {name: warehouse.version(name) for name in warehouse.names()}
        now = tuple((name, version) for name, version in held.items() if version is not None)
        with self.lock:
            if now not in self.moments:
                self.number += 1
                self.moments[now] = Moment(dict(now), f"moment_{self.number}")
                self.connection.execute(f"create schema {self.moments[now].schema}")
            self.moments.move_to_end(now)
            if len(self.moments) > MOMENTS:
                _, old = self.moments.popitem(last=False)
                self.connection.execute(f"drop schema {old.schema} cascade")
            return self.moments[now]

    def at(self, moment: Moment, names: Collection[str]) -> duckdb.DuckDBPyConnection:
        """A cursor that finds these tables as they were at a moment."""
        cursor = self.connection.cursor()
        cursor.execute(f"use {moment.schema}")
        with self.lock:
            for name in [one for one in names if one not in moment.made]:
                self.first.warehouse.view(cursor, name, moment.versions[name])
                moment.made.add(name)
        return cursor

    def has(self, *tables: str) -> bool:
        """Whether all these tables are there."""
        return {*tables} <= self.moment().versions.keys()

    def columns(self, table: str) -> dict[str, Any]:
        """Column → Arrow type; empty without such a table."""
        version = self.moment().versions.get(table)
        if version is None:
            return {}
        return {field.name: field.type for field in self.first.warehouse.schema(table, version)}

    def as_of(self, table: str) -> date | None:
        """The day a table was worked out for; None when it is not there or not for a day."""
        version = self.moment().versions.get(table)
        said = None if version is None else self.first.warehouse.note(table, version).get("as_of")
        return date.fromisoformat(said) if said else None

    @property
    def copy(self) -> Copy:
        """The serving copy, for look-ups of one customer or product; this thread's own connection.
        ConfigError, when asked, while nothing is published."""
        if not hasattr(self.mine, "copy"):
            self.mine.copy = Copy(self.first.home)
        made: Copy = self.mine.copy
        return made

    @property
    def published(self) -> bool:
        """Whether there is a serving copy."""
        return self.copy.path.exists()

    @property
    def settings(self) -> Settings:
        """What `assets/project.yaml` says; the defaults while it is wrong, for the page that says so."""
        try:
            return self.project.settings
        except ConfigError:
            return Settings()

    @property
    def currency(self) -> str:
        """The currency all sources report in; empty when they differ, or are wrong."""
        try:
            said = {intake.currency for intake in self.project.intakes.values()}
        except ConfigError:
            return ""
        return said.pop() if len(said) == 1 else ""


def executed(cursor: duckdb.DuckDBPyConnection, sql: str, params: Params) -> duckdb.DuckDBPyConnection:
    return cursor.execute(sql, dict(params) if isinstance(params, Mapping) else list(params))


READ = {".yaml", ".py", ".sql"}
