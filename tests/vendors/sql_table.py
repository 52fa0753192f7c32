"""A table of a database, as the exams and the proofs meet it: SQLite, behind the sandbox's door.

What only PostgreSQL and MySQL can do or break is in `contract/sql_table/`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

ADDRESS = "postgresql://octo:{}@db.example.com/{}"

SQL_TABLE = Examinee(
    settings={"type": "sql_table", "address": {"env": "SHOP_DATABASE"}, "table": "customers"},
    env={"SHOP_DATABASE": ADDRESS.format("sandbox-password", "shop")},
    second={"SHOP_DATABASE": ADDRESS.format("sandbox-password", "other")},
    wrong={"SHOP_DATABASE": ADDRESS.format("not-the-password", "shop")},
    key_field="email",
    types={f"octo_{kind.value}": kind for kind in FieldType},
    poison={},
    poison_key="somebody@nowhere",
    sessions=False,
    by_http=False,
)


def others(twin: Any) -> None:
    """The shop keeps a row of its own, a note on ours, and another table."""
    with closing(sqlite3.connect(twin.file("shop"))) as database, database:
        database.execute("insert into customers (email, note) values ('stranger@example.com', 'theirs')")
        database.execute("update customers set note = 'theirs ' || email")
        database.execute("create table orders (id integer primary key, total numeric)")
        database.execute("insert into orders values (1, 12.5)")


def theirs(twin: Any) -> Any:
    """Those notes, that row, that table."""
    held = twin.holdings()
    return [{row["email"]: row["note"] for row in held["shop.customers"]}, held["shop.orders"]]


VENDOR = Vendor(
    examinee=SQL_TABLE,
    table="shop.customers",
    key="email",
    segment="segment",
    orders="orders",
    # Statements are no calls; `contract/sql_table/` counts transactions: one for each 50,000 changes.
    writes=(),
    least=(0, 0, 0),
    lost="shop",
    may_call=(r"GET /(shop|other)",),
    others=others,
    theirs=theirs,
)
