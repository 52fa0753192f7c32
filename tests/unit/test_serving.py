"""The serving copy: all of it is published, however much there is, and others' drafts are left alone."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from octo_dagster.api.customers import told
from octo_dagster.api.keys import Keys
from octo_dagster.api.swift import Asked
from octo_dagster.config import Project
from octo_dagster.serving.publish import STALE, ranges
from octo_dagster.serving.reading import Copy
from octo_dagster.serving.touch import touch
from octo_dagster.warehouse import Warehouse
from tests.reading import EVERYTHING, PROFILE, published
from tests.reading import PEOPLE as PEOPLE_TOLD

PEOPLE = ["", "O'Brien", "a", "b", "b!", "c1", "c10", "c2", "Zoë", "é", "🎁"]


@pytest.mark.parametrize("at_once", [1, 3, 7, 50, 1_000])
def test_recommendations_are_parted_whole(at_once: int) -> None:
    """However few are put together at once, every customer's are in exactly one part; strangers' too."""
    with closing(sqlite3.connect(":memory:")) as copy, duckdb.connect() as rows:
        copy.execute("create table customers (customer_id text primary key)")
        copy.executemany("insert into customers values (?)", [(p,) for p in sorted(PEOPLE, key=str.encode)])
        rows.execute("create table recommendations (customer_id text)")
        for person in [*PEOPLE, "A stranger", "zz"]:
            rows.execute("insert into recommendations select ? from range(5)", [person])
        found = [
            person
            for part in ranges(copy, rows, at_once)
            for (person,) in rows.sql(
                f"select distinct customer_id from recommendations where {part}"
            ).fetchall()
        ]
    assert sorted(found) == sorted([*PEOPLE, "A stranger", "zz"])


def test_what_is_left_behind_goes(tmp_path: Path) -> None:
    """A publication takes away the copies before it and drafts that were begun long ago; not a fresh one, which
    another process may be writing. Who reads the old copy reads on."""
    project = published(tmp_path)
    reader = Copy(project.home)
    edition = reader.fresh()
    assert edition.customer("c1") is not None
    lost, fresh = project.home / ".serving.sqlite-lost", project.home / ".serving.sqlite-fresh"
    lost.touch()
    fresh.touch()
    os.utime(lost, (time.time() - 2 * STALE, time.time() - 2 * STALE))
    Project(project.root, project.home).publish()
    names = {path.name for path in project.home.glob("*serving*.sqlite*")}
    assert len([name for name in names if name.startswith("serving-") and name.endswith(".sqlite")]) == 1
    assert (lost.exists(), fresh.exists()) == (False, True)
    assert edition.customer("c2") is not None
    assert edition.recommendations("c1") != {}
    assert edition.audiences("c1") == {"best": "2026-11-01"}
    assert reader.customer("c1") is not None


class Late(Warehouse):
    """A warehouse in which something happens just after what is read was pinned."""

    then: Callable[[], object] | None = None

    def connect(self, *said: Any, **more: Any) -> Any:
        connection, then, self.then = super().connect(*said, **more), self.then, None
        if then:
            then()
        return connection


def test_what_comes_while_a_copy_is_written(tmp_path: Path) -> None:
    """A live row that is told the copy there is, while the next is written without it, is in the next too."""
    project = published(tmp_path)
    warehouse = Late(project.home / "warehouse")

    def live() -> None:
        row = {**PEOPLE_TOLD[0], "orders": 100}
        warehouse.append_live("customer_profile", pa.Table.from_pylist([row], PROFILE), ["customer_id"])
        touch(warehouse, project.home)

    warehouse.then = live
    again = Project(project.root, project.home)
    vars(again)["warehouse"] = warehouse
    again.publish()
    row = Copy(project.home).customer("c1")
    assert row is not None
    assert row["orders"] == 100


def test_one_answer_is_of_one_moment(tmp_path: Path) -> None:
    """A customer who changes between two questions of one answer is told as he was, all of him."""
    project = published(tmp_path)
    key = Keys(project.home).who(Keys(project.home).add("web", EVERYTHING))
    assert key is not None
    edition = Copy(project.home).fresh()
    asked = Asked(key, edition, "c1", {}, project)
    before = told(asked, None, ["audiences"])

    def write(statement: str) -> None:
        if "from members" in statement:
            edition.connection.set_trace_callback(None)
            with closing(sqlite3.connect((project.home / "serving.sqlite").resolve())) as other, other:
                other.execute("delete from members where customer_id = 'c1'")
                other.execute("update customers set told = json_set(told, '$[4]', 100)")

    edition.connection.set_trace_callback(write)
    during, after = told(asked, None, ["audiences"]), told(asked, None, ["audiences"])
    assert during == before
    assert (after["audiences"], after["profile"]["orders"]) == ({}, 100)


ELSEWHERE = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
import pyarrow as pa
from octo_dagster.serving.tables import Query, Tables
from octo_dagster.warehouse import Warehouse
moments = [datetime(2026, 11, 1, 23, 30, tzinfo=UTC), datetime(2026, 11, 2, 0, 0, tzinfo=UTC)]
warehouse = Warehouse(Path(sys.argv[1]))
seen = pa.array(moments, pa.timestamp("us", tz="UTC"))
warehouse.replace("visits", pa.table({"visit_id": ["v1", "v2"], "seen": seen}))
tables, found, after = Tables(warehouse, {"visits": ("visit_id",)}), [], None
while after is not None or not found:
    page = tables.page(Query("visits", ("seen",), (), "seen", after, 1), ["visit_id", "seen"])
    found += [str(row["seen"]) for row in page.rows.to_pylist()]
    after = page.next
before = Query("visits", ("visit_id",), ("seen:lt:2026-11-02T00:00:00",))
print(json.dumps([found, tables.page(before, ["visit_id", "seen"]).rows.to_pylist()]))
"""


def test_moments_with_a_zone_on_a_machine_elsewhere(tmp_path: Path) -> None:
    """In Tokyo, too, filters and pages take a moment for what it is, and answers are in UTC."""
    told = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, str(tmp_path)],
        env={**os.environ, "TZ": "Asia/Tokyo"},
        capture_output=True,
        check=True,
        text=True,
        timeout=60,
    ).stdout
    assert json.loads(told) == [
        ["2026-11-01 23:30:00+00:00", "2026-11-02 00:00:00+00:00"],
        [{"visit_id": "v1"}],
    ]
