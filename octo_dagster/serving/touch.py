"""A point update of the serving copy: the customers whose profile row the live lane brought.

The copy is in WAL mode: readers go on while it is written, and each of them sees a customer as he was or as
he is, never a part. The copy itself says up to which version of the profile it was touched; one that was just
published says nothing yet, and gets everything since the night.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import orjson

from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.serving.publish import (
    FILE,
    MEMBERSHIPS,
    array_of,
    identifier_of,
    replacing,
    told_of,
    tuples,
)
from octo_dagster.warehouse import Warehouse

TOUCHED = "touched"
"""The fact that says up to which version of the profile a copy was touched."""


def touch(warehouse: Warehouse, home: Path) -> int | None:
    """Bring the copy's rows of customers the live lane touched up to date; how many customers. None without a
    copy, or when it has other columns than the profile has now: the next publication mends both."""
    with replacing(home):
        if not (home / FILE).exists():
            return None
        with closing(sqlite3.connect((home / FILE).resolve(), timeout=60)) as copy:
            copy.execute("pragma synchronous = normal")
            about = {name: json.loads(told) for name, told in copy.execute("select name, told from about")}
            version = warehouse.existing(PROFILE)
            if list(about["profile"].items()) != list(told_of(warehouse.schema(PROFILE)).items()):
                return None
            ids = warehouse.live(PROFILE, about.get(TOUCHED, -1)).column("customer_id").unique().to_pylist()
            if ids:
                kinds = about.get("identifiers", ["email", "phone"])
                with near(warehouse, ids) as rows, copy:
                    copy.execute("begin immediate")
                    forget(copy, rows, ids, (kinds, list(about["profile"])))
                    tell_anew(copy, rows, warehouse, kinds)
                    told = (TOUCHED, json.dumps(version))
                    copy.execute("insert or replace into about values (?, ?)", told)
            return len(ids)


def near(warehouse: Warehouse, ids: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """The profile and the memberships of these customers."""
    rows = warehouse.connect(only=[PROFILE, MEMBERS])
    for table in {PROFILE, MEMBERS} & set(warehouse.names()):
        marks = ", ".join("?" * len(ids))
        rows.execute(f"create temp table theirs as select * from {table} where customer_id in ({marks})", ids)
        rows.execute(f"drop view {table}; create table {table} as from theirs; drop table theirs")
    return rows


def forget(
    copy: sqlite3.Connection,
    rows: duckdb.DuckDBPyConnection,
    ids: Sequence[str],
    known: tuple[Sequence[str], Sequence[str]],
) -> None:
    """Take what the copy says of these customers out of it: by index, whatever its size."""
    kinds, columns = known
    for customer in ids:
        found = copy.execute("select told from customers where customer_id = ?", (customer,)).fetchone()
        row = dict(zip(columns, orjson.loads(found[0]), strict=True)) if found else {}
        for kind in kinds:
            if row.get(kind) is not None:
                value = rows.execute("select lower(trim(?))", [str(row[kind])]).fetchall()[0][0]
                copy.execute(
                    "delete from identifiers where kind = ? and value = ? and customer_id = ?",
                    (kind, value, customer),
                )
        copy.execute("delete from customers where customer_id = ?", (customer,))
        copy.execute("delete from members where customer_id = ?", (customer,))


def tell_anew(
    copy: sqlite3.Connection, rows: duckdb.DuckDBPyConnection, warehouse: Warehouse, kinds: Sequence[str]
) -> None:
    """Put in what the profile and the memberships say of them now."""
    schema = warehouse.schema(PROFILE)
    fill(copy, rows, "customers", array_of(PROFILE, schema, "customer_id"))
    for kind in kinds:
        fill(copy, rows, "identifiers", identifier_of(kind))
    if MEMBERS in warehouse.names():
        fill(copy, rows, "members", MEMBERSHIPS)


def fill(copy: sqlite3.Connection, rows: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    found: Iterator[tuple[object, ...]] = (
        line for batch in rows.sql(query).to_arrow_reader() for line in tuples(batch)
    )
    for line in found:
        copy.execute(f"insert into {table} values ({', '.join('?' * len(line))})", line)
