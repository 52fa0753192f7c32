"""A table in real databases: what is made, what is written, what is refused, and what a lost COMMIT does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.destinations.sql_table.database import address
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.delivery.verify import Verified
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType
from octo_dagster.run import Report, courier, verify_only
from tests.contract.sql_table.servers import Door, mysql  # noqa: F401 - a fixture
from tests.contract.test_engine import COLUMNS, customer, customers
from tests.postgres import postgres  # noqa: F401 - a fixture
from tests.world import World

SAID: dict[str, Any] = {
    "reads": "customer_profile",
    "destination": {"type": "sql_table", "address": {"env": "SHOP_DATABASE"}, "table": "customers"},
    "mode": "mirror",
    "on_remove": "delete",
    "key": {"from": "email", "to": "email"},
    "fields": [
        {"from": "segment", "to": "segment", "nulls": "clear"},
        {"from": "orders", "to": "Orders placed"},
        *({"from": k.value, "to": f"o_{k.value}", "type": k.value, "nulls": "clear"} for k in FieldType),
    ],
    "guards": {"max_removed": "100%", "max_changed": "100%"},
    "verify": 1.0,
}


class Shop(World):
    """A world without a sandbox, and the database it writes to."""

    database: sa.Engine

    @property
    def around(self) -> Surroundings:
        return Surroundings(sleep=self.slept.append)

    def told(self) -> Shop:
        """With its sync's file written."""
        self.say(**SAID)
        return self

    def day(self, rows: list[dict[str, Any]]) -> Report:
        """A day on which these are the customers."""
        self.project.warehouse.replace("customer_profile", pa.Table.from_pylist(rows, COLUMNS))
        return self.deliver(allow=True)

    def run(self, statement: str) -> list[Any]:
        """What somebody else says to the database."""
        with self.database.begin() as connection:
            result = connection.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def reasons(self) -> dict[str, str]:
        query = sa.select(CHANGELOG).where(CHANGELOG.c.outcome == "rejected")
        return {line["key"]: line["reason"] for line in self.project.ledger.read(query)}


@pytest.fixture(params=["sqlite", "postgres", "mysql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """A shop in front of an empty database of each kind."""
    if request.param == "sqlite":
        with closing(sqlite3.connect(tmp_path / "shop.sqlite")):
            url = sa.URL.create("sqlite", database=str(tmp_path / "shop.sqlite"))
    elif request.param == "postgres":
        url = request.getfixturevalue("postgres").url.update_query_dict({"options": "-csearch_path=shop"})
    else:
        url = request.getfixturevalue("mysql")
    made = Shop(tmp_path, None).told()  # type: ignore[arg-type]
    made.database = sa.create_engine(url, poolclass=sa.NullPool)
    monkeypatch.setenv("SHOP_DATABASE", url.render_as_string(hide_password=False))
    if request.param == "postgres":
        made.run("drop schema if exists shop cascade; create schema shop")
    if request.param == "mysql":
        made.run("drop table if exists customers")
    yield made
    made.database.dispose()


def quote(shop: Shop) -> str:
    """The column with a blank in its name, as this database spells it."""
    return str(shop.database.dialect.identifier_preparer.quote_identifier("Orders placed"))


def test_a_table_is_made_and_kept(shop: Shop) -> None:
    """Made with the right types; every value reads back equal, empty ones too; who leaves is deleted."""
    first = shop.day(customers(30))
    assert (first.exit_code, first.tally.accepted, first.verified) == (0, 30, Verified(30, ()))
    assert shop.day(customers(30)).planned == 0
    empty = {kind.value: None for kind in FieldType} | {"segment": None}
    assert shop.day([customer(1) | empty, *customers(30)[2:]]).verified == Verified(29, ())
    shown = shop.run(f"select email, segment, {quote(shop)} from customers order by {quote(shop)} limit 2")
    assert shown == [("customer1@example.com", None, 1), ("customer3@example.com", "best", 3)]
    assert verify_only(shop.sync, shop.project, 1.0, shop.around) == Verified(29, ())
    types = {c["name"]: type(c["type"]).__name__ for c in sa.inspect(shop.database).get_columns("customers")}
    assert (types["o_decimal"], types["o_date"], types["Orders placed"]) in {
        ("NUMERIC", "DATE", "INTEGER"),
        ("NUMERIC", "DATE", "BIGINT"),
        ("DECIMAL", "DATE", "BIGINT"),
    }


def test_what_is_there_already(shop: Shop) -> None:
    """On a shop's own table columns are added, others' are as they were, and a row that was there is emptied
    where one of Octo's is deleted."""
    shop.run("create table customers (email varchar(99) primary key, note varchar(9) default 'new')")
    if shop.database.dialect.name == "mysql":
        shop.run("alter table customers modify email varchar(99) character set utf8mb4 collate utf8mb4_bin")
    shop.run("insert into customers values ('customer1@example.com', 'theirs'), ('stranger', 'theirs')")
    report = shop.day(customers(2))
    assert (report.exit_code, "Orders placed" in report.fields.created) == (0, True)
    assert shop.day([customer(3)]).exit_code == 0
    shown = shop.run(f"select email, note, {quote(shop)} from customers order by email")
    assert shown == [
        ("customer1@example.com", "theirs", None),
        ("customer3@example.com", "new", 3),
        ("stranger", "theirs", None),
    ]


def test_a_row_the_database_refuses(shop: Shop) -> None:
    """It is told in the database's words and spoils no other; another unique column never leads to another row."""
    shop.day(customers(3))
    shop.run(f"create unique index one_number on customers ({quote(shop)})")
    rows = [*customers(3), *(customer(n) for n in range(4, 20)), customer(20, orders=2)]
    report = shop.day(rows)
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (16, 1, 4)
    ((key, reason),) = shop.reasons().items()
    assert (key, "uni" in reason.lower() or "duplicate" in reason.lower()) == ("customer20@example.com", True)
    assert shop.run(f"select email from customers where {quote(shop)} = 2") == [("customer2@example.com",)]
    assert shop.day(customers(20)).exit_code == 0


def test_a_key_that_is_not_unique(shop: Shop) -> None:
    """A column that may hold a key twice is refused, with what to do; nothing is written."""
    shop.run("create table customers (id integer primary key, email varchar(99))")
    report = shop.day(customers(1))
    assert (report.exit_code, "unique index" in str(report.error)) == (7, True)
    assert shop.run("select * from customers") == []


@pytest.mark.parametrize("kind", ["bigint", "uuid"])
def test_a_key_that_is_no_text(shop: Shop, kind: str) -> None:
    """Rows of a table keyed by numbers or UUIDs are written and read back; a key that would be another's there
    (`007`) is refused."""
    if kind == "uuid" and shop.database.dialect.name != "postgresql":
        pytest.skip("a type of PostgreSQL's")
    numbers = ["7", "12"] if kind == "bigint" else [f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2)]
    other = "007" if kind == "bigint" else "{00000000-0000-4000-8000-000000000001}"
    shop.run(f"create table customers (email {kind} primary key, note varchar(9))")
    rows = [customer(n) | {"email": key} for n, key in enumerate([*numbers, other], start=1)]
    report = shop.day(rows)
    assert (report.exit_code, report.tally.accepted, report.verified) == (4, 2, Verified(2, ()))
    assert list(shop.reasons()) == [other]
    assert [str(key) for (key,) in shop.run("select email from customers order by 1")] == numbers
    assert shop.day(rows[:1]).exit_code == 0
    assert [str(key) for (key,) in shop.run("select email from customers order by 1")] == numbers[:1]


def test_a_column_that_keeps_another_value(shop: Shop) -> None:
    """A row of which a column would round a number, drop a text's zeros or a moment's hour is refused by name; the
    others stand, and so does what the shop's column held."""
    binary = "character set utf8mb4 collate utf8mb4_bin" if shop.database.dialect.name == "mysql" else ""
    shop.run(
        f"create table customers (email varchar(40) {binary} primary key,"
        " segment integer, o_decimal decimal(6, 1), o_datetime date)"
    )
    shop.run("insert into customers (email, segment) values ('customer2@example.com', 1)")
    nothing = {"decimal": None, "datetime": None}
    rows = [
        customer(1) | nothing | {"segment": "75"},
        customer(2) | nothing | {"segment": "075"},
        customer(3) | {"segment": None, "decimal": Decimal("1.20"), "datetime": None},
        customer(4) | {"segment": None, "decimal": Decimal("1.25"), "datetime": None},
        customer(5) | {"segment": None, "decimal": None, "datetime": "2026-03-01T10:00:00Z"},
    ]
    report = shop.day(rows)
    sqlite = shop.database.dialect.name == "sqlite"  # which keeps whatever a column is given, but for zeros
    bent = (
        {2: "segment: INTEGER"} if sqlite else {2: "segment: INT", 4: "o_decimal: ", 5: "o_datetime: DATE "}
    )
    told = shop.reasons()
    assert {key: reason[: len(bent.get(int(key[8]), ""))] for key, reason in told.items()} == {
        f"customer{n}@example.com": reason for n, reason in bent.items()
    }
    assert (report.exit_code, report.verified) == (4, Verified(5 - len(bent), ()))
    shown = shop.run("select email, segment from customers where segment is not null order by email")
    assert shown == [("customer1@example.com", 75), ("customer2@example.com", 1)]
    assert len(shop.run("select email from customers")) == (5 if sqlite else 3)


def test_a_collation_without_accents(mysql: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """In MariaDB a key's column that takes é for e is refused too: two customers would share a row."""
    monkeypatch.setenv("SHOP_DATABASE", mysql.render_as_string(hide_password=False))
    world = Shop(tmp_path, None).told()  # type: ignore[arg-type]
    world.database = sa.create_engine(mysql, poolclass=sa.NullPool)
    world.run("drop table if exists customers")
    key = "varchar(99) character set utf8mb4 collate utf8mb4_uca1400_ai_cs"
    world.run(f"create table customers (email {key} primary key)")
    report = world.day(customers(1))
    assert (report.exit_code, "share a row" in str(report.error)) == (7, True)
    assert world.run("select * from customers") == []


@pytest.mark.parametrize("shop", ["postgres"], indirect=True)
def test_a_collation_that_is_not_deterministic(shop: Shop) -> None:
    """In PostgreSQL such a key's column takes two keys for one as well. (The server of these tests knows no ICU,
    which alone makes such collations, so one is only called so.)"""
    shop.run("create collation loose (provider = libc, locale = 'C')")
    shop.run("create table customers (email text collate loose primary key)")
    shop.run("update pg_collation set collisdeterministic = false where collname = 'loose'")
    report = shop.day(customers(1))
    assert (report.exit_code, "share a row" in str(report.error)) == (7, True)


def test_columns_of_a_fixed_width(shop: Shop) -> None:
    """Blanks that a `char(n)` is filled up with are no part of a key or a value; a row that was there is found."""
    binary = "character set utf8mb4 collate utf8mb4_bin" if shop.database.dialect.name == "mysql" else ""
    shop.run(f"create table customers (email char(40) {binary} primary key, segment char(9), note char(3))")
    shop.run("insert into customers (email, note) values ('customer1@example.com', 'own')")
    report = shop.day(customers(3))
    assert (report.exit_code, report.tally.accepted, report.verified) == (0, 3, Verified(3, ()))
    assert shop.day([customer(2)]).exit_code == 0
    shown = shop.run("select trim(email), trim(segment), trim(note) from customers order by email")
    assert shown == [("customer1@example.com", None, "own"), ("customer2@example.com", "lost", None)]


def test_a_sqlite_file_is_the_one_that_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `#` in its name does not lead to another file, and a key that ignores case is refused as in MySQL."""
    with closing(sqlite3.connect(tmp_path / "shop #1.sqlite")) as file:
        file.execute("create table customers (email text collate nocase primary key)")
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{tmp_path / 'shop #1.sqlite'}")
    report = Shop(tmp_path, None).told().day(customers(1))  # type: ignore[arg-type]
    assert (report.exit_code, "upper and lower case" in str(report.error)) == (7, True)
    assert not (tmp_path / "shop ").exists()


def test_a_database_that_is_not_there(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such database, no such user, no such kind: a person must act; the password is never shown."""
    there = shop.database.url
    elsewhere = [there.set(database=f"{there.database}-none"), sa.make_url("oracle://octo:pass-word@h/d")]
    for url in elsewhere:
        monkeypatch.setenv("SHOP_DATABASE", url.render_as_string(hide_password=False))
        told = Shop(shop.folder / url.get_backend_name(), None).told().day(customers(1))  # type: ignore[arg-type]
        assert (told.exit_code, "pass-word" in str(told.error)) == (7, False)
    with pytest.raises(Fatal, match="no SQLAlchemy address"):
        address("pass-word")


def test_a_delivery_is_a_few_statements(shop: Shop) -> None:
    """A batch is one transaction with one UPDATE or INSERT, however many rows it has: the fewest there can be."""
    asked: list[str] = []

    def note(_: Any, cursor: Any, statement: str, *rest: Any) -> None:
        words = statement.replace('"', "").replace("`", "").split()
        if "customers" in words[1:3] and words[0] in ("insert", "update", "delete"):
            asked.append(words[0])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        for rows, wanted in (
            (customers(300), ["insert"]),
            ([customer(n, orders=n + 1_000 * (n % 100 == 0)) for n in range(1, 301)], ["update"]),
            ([customer(n, orders=n + 1_000 * (n % 100 == 0)) for n in range(2, 301)], ["delete"]),
        ):
            asked.clear()
            assert shop.day(rows).exit_code == 0
            assert asked == wanted
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_what_is_in_a_database_is_told(shop: Shop) -> None:
    """For `octo check --connect`: its tables, the table's columns and their types, what may be the key."""
    shop.day(customers(1))
    with courier(shop.sync, shop.project, shop.around) as link:
        survey = link.survey()
    assert survey.keys == ("email",)
    assert (survey.fields["segment"], survey.fields["o_date"]) == (FieldType.TEXT, FieldType.DATE)
    assert "customers" in survey.places["table"]


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_commit_that_is_not_answered(
    postgres: sa.Engine,  # noqa: F811 - the fixture
    fault: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Done or not, it is settled by reading back within the run, and every row is there once."""
    with postgres.begin() as connection:
        connection.exec_driver_sql("drop schema if exists shop cascade; create schema shop")
    with Door(f"{postgres.url.query['host']}/.s.PGSQL.5432") as door:
        url = postgres.url.set(host="127.0.0.1", port=door.port, query={"options": "-csearch_path=shop"})
        monkeypatch.setenv("SHOP_DATABASE", url.render_as_string(hide_password=False))
        world = Shop(tmp_path, None).told()  # type: ignore[arg-type]
        world.database = postgres
        assert world.day(customers(5)).exit_code == 0
        door.faults.append(fault)
        report = world.day([customer(n, orders=n + 50) for n in range(3, 9)])
        assert (report.exit_code, report.unaccounted, door.faults) == (0, 0, [])
    shown = world.run('select "Orders placed" from shop.customers order by 1')
    assert shown == [(n + 50,) for n in range(3, 9)]


def test_in_the_sandbox_no_real_database_is_touched(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sandbox a database is one of the sandbox's own, whatever the address says."""
    with closing(sqlite3.connect(tmp_path / "real.sqlite")) as real:
        real.execute("create table customers (email text primary key)")
    monkeypatch.setenv("SHOP_DATABASE", f"sqlite:///{tmp_path / 'real.sqlite'}")
    world = World(tmp_path, sandbox, "sql_table").say(**SAID)
    world.project.warehouse.replace("customer_profile", pa.Table.from_pylist(customers(1), COLUMNS))
    refused = world.deliver()
    assert (refused.exit_code, "authentication" in str(refused.error)) == (7, True)
    monkeypatch.setenv("SHOP_DATABASE", "mysql://octo:sandbox-password@db.example.com/shop")
    other = World(tmp_path / "two", sandbox, "sql_table").say(**SAID)
    other.project.warehouse.replace("customer_profile", pa.Table.from_pylist(customers(1), COLUMNS))
    assert other.deliver().exit_code == 0
    assert [row["email"] for row in sandbox.twin("sql_table").holdings()["shop.customers"]] == [
        "customer1@example.com"
    ]
    with closing(sqlite3.connect(tmp_path / "real.sqlite")) as real:
        assert real.execute("select count(*) from customers").fetchall() == [(0,)]
