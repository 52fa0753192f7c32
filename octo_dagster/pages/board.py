"""What pages read: the newest tables by SQL, one customer by the serving copy. No lock, no write."""

from __future__ import annotations

import tempfile
import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from typing import Any

import duckdb

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


class Board:
    """A project as pages see it: its files as they are now, its tables' newest versions.

    Safe to ask from many threads. A file or a table that changed is seen by the next question."""

    def __init__(self, project: Project) -> None:
        self.first = project
        self.held: tuple[Any, Project] = (None, project)
        self.lock = threading.Lock()
        self.marks: dict[str, str] = {}
        self.answers: OrderedDict[Any, list[Row]] = OrderedDict()
        self.types: dict[str, tuple[str, dict[str, Any]]] = {}
        self.days: dict[str, tuple[str, date | None]] = {}
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
        marks = tuple(mark for mark in self.fresh() if mark[0].lower() in named)
        bound = tuple(sorted(params.items())) if isinstance(params, Mapping) else tuple(params)
        key = (sql, bound, marks)
        with self.lock:
            if key in self.answers:
                self.answers.move_to_end(key)
                return self.answers[key]
        rows = self.asked(sql, params)
        if len(rows) <= KEPT_ROWS:
            with self.lock:
                self.answers[key] = rows
                if len(self.answers) > ANSWERS:
                    self.answers.popitem(last=False)
        return rows

    def asked(self, sql: str, params: Params) -> list[Row]:
        with self.cursor() as cursor:
            try:
                found = executed(cursor, sql, params)
            except duckdb.IOException:  # a file was taken away between looking and reading: look again
                self.marks.clear()
                self.fresh()
                found = executed(cursor, sql, params)
            names = [told[0] for told in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def parts(self, sql: str, params: Params = ()) -> Iterator[list[tuple[Any, ...]]]:
        """The same rows by and by, for an answer of any length; not remembered."""
        with self.cursor() as cursor:
            found = executed(cursor, sql, params)
            while rows := found.fetchmany(KEPT_ROWS):
                yield rows

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor over the newest tables, for code that asks for itself; close it."""
        self.fresh()
        return self.connection.cursor()

    def one(self, sql: str, params: Params = ()) -> Row:
        """The only row of an answer, as of a query of sums; IndexError without one."""
        return self.select(sql, params)[0]

    def fresh(self) -> tuple[tuple[str, str], ...]:
        """Make every table's view show its newest version; table and version of each."""
        warehouse = self.first.warehouse
        now = {name: version_of(warehouse.root / name) for name in warehouse.names()}
        with self.lock:
            for name in now.keys() | self.marks.keys():
                if now.get(name) == self.marks.get(name):
                    continue
                with self.connection.cursor() as cursor:
                    cursor.execute("begin")
                    cursor.execute(f'drop view if exists "{name}"')
                    if name in now:
                        warehouse.view(cursor, name)
                    cursor.execute("commit")
            self.marks = now
        return tuple(sorted(now.items()))

    def has(self, *tables: str) -> bool:
        """Whether all these tables are there."""
        return {*tables} <= {*self.first.warehouse.names()}

    def columns(self, table: str) -> dict[str, Any]:
        """Column → Arrow type of the newest version; empty without such a table."""
        mark = version_of(self.first.warehouse.root / table)
        if not mark:
            return {}
        if self.types.get(table, ("", {}))[0] != mark:
            schema = self.first.warehouse.schema(table)
            self.types[table] = (mark, {field.name: field.type for field in schema})
        return self.types[table][1]

    def as_of(self, table: str) -> date | None:
        """The day a table was worked out for; None when it is not there or not for a day."""
        mark = version_of(self.first.warehouse.root / table)
        if not mark:
            return None
        if self.days.get(table, ("", None))[0] != mark:
            self.days[table] = (mark, self.first.day_of(table))
        return self.days[table][1]

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


def version_of(folder: Any) -> str:
    """The newest commit of a Delta table, by its name: a listing costs a tenth of opening the table."""
    return max((path.name for path in (folder / "_delta_log").glob("*.json")), default="")
