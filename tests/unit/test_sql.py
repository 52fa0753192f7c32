"""What the `sql` source promises, on a real PostgreSQL and on SQLite."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from connectors.sources.sql import Sql, arrow_types, relation
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.source import Pull
from tests.postgres import postgres

__all__ = ["postgres"]

TABLE = """create table kinds (id integer, big bigint, money numeric(12, 2), free numeric, share float8,
    yes boolean, day date, at timestamp, zoned timestamptz, who uuid, doc jsonb, tags text[], note varchar(9))"""
ROW = """insert into kinds values (1, 9007199254740993, 0.10, 123.4567890123456789, 0.5, true, '2024-02-29',
    '2024-02-29 23:59:59.123456', '2024-02-29 23:59:59+05:30', '00000000-0000-0000-0000-000000000001',
    '{"a": 1}', '{x,y}', 'é 🎁')"""
ALL = ("id", "big", "money", "free", "share", "yes", "day", "at", "zoned", "who", "doc", "tags", "note")


@pytest.fixture
def kinds(postgres: sa.Engine) -> Sql:
    """A table with a value of every kind, and one row of nulls."""
    with postgres.begin() as connection:
        connection.exec_driver_sql("drop table if exists kinds")
        connection.exec_driver_sql(TABLE)
        connection.exec_driver_sql(ROW)
        connection.exec_driver_sql("insert into kinds (id) values (2)")
    return address(postgres)


def address(engine: sa.Engine) -> Sql:
    return Sql(url=engine.url.render_as_string(hide_password=False))


def rows(source: Sql, pull: Pull) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = source.read(pull).table().to_pylist()
    return found


def test_every_postgres_type_arrives_exactly(kinds: Sql) -> None:
    """Money is decimal, a free numeric is text, what ADBC calls opaque is text, nothing is rounded."""
    one, two = sorted(rows(kinds, Pull("kinds", columns=ALL)), key=lambda row: row["id"])
    assert one["big"] == 9007199254740993
    assert one["money"] == Decimal("0.10")
    assert one["free"] == "123.4567890123456789"
    assert one["at"] == datetime(2024, 2, 29, 23, 59, 59, 123456)  # noqa: DTZ001
    assert one["zoned"].isoformat() == "2024-02-29T18:29:59+00:00"
    assert (one["who"], one["doc"]) == ("00000000-0000-0000-0000-000000000001", '{"a": 1}')
    assert (one["tags"], one["note"], one["_origin"]) == ("{x,y}", "é 🎁", "kinds")
    assert [value for name, value in two.items() if name not in {"id", "_origin"}] == [None] * 13


def test_money_that_is_no_number_is_null(kinds: Sql, postgres: sa.Engine) -> None:
    """A NaN in a money column does not stop the pull."""
    with postgres.begin() as connection:
        connection.exec_driver_sql("insert into kinds (id, money) values (3, 'NaN')")
    found = {row["id"]: row["money"] for row in rows(kinds, Pull("kinds", columns=("id", "money")))}
    assert found == {1: Decimal("0.10"), 2: None, 3: None}


def test_both_roads_bring_the_same_values(kinds: Sql, postgres: sa.Engine) -> None:
    """The plain SQLAlchemy road, which other databases take, agrees with ADBC on what both can type."""
    pull = Pull("kinds", columns=("id", "big", "money", "share", "yes", "day", "at", "zoned", "note"))
    with postgres.connect() as connection:
        types = arrow_types(connection, pull)
    plain = kinds.by_sqlalchemy(pull, types).table()
    assert plain.equals(kinds.read(pull).table())


def test_rows_at_the_cursor_come_again(kinds: Sql) -> None:
    """An increment begins at the last cursor, not after it: equal ones may have been committed late."""
    first = kinds.read(Pull("kinds", columns=("id",), cursor="id"))
    again = Pull("kinds", columns=("id",), cursor="id", after=first.state)
    assert first.state == 2
    assert [row["id"] for row in rows(kinds, again)] == [2]


def test_an_overlap_begins_earlier(kinds: Sql, postgres: sa.Engine) -> None:
    """`overlap` is seconds for timestamps and units for numbers; a null cursor always comes."""
    numbers = Pull("kinds", columns=("id",), cursor="id", after=2, overlap=1)
    assert len(rows(kinds, numbers)) == 2
    with postgres.begin() as connection:
        connection.exec_driver_sql("insert into kinds (id, at) values (3, '2024-03-01 00:05')")
    state = kinds.read(Pull("kinds", columns=("id",), cursor="at")).state
    near = Pull("kinds", columns=("id",), cursor="at", after=state, overlap=600)
    assert {row["id"] for row in rows(kinds, near)} == {1, 2, 3}
    assert {row["id"] for row in rows(kinds, Pull("kinds", None, ("id",), "at", state))} == {2, 3}


@pytest.mark.parametrize(
    ("column", "ahead"), [("at", "9999-12-31"), ("zoned", "2062-01-01"), ("day", "2062-01-01")]
)
def test_a_time_far_ahead_hides_nothing(kinds: Sql, postgres: sa.Engine, column: str, ahead: str) -> None:
    """A row dated in another century is read, and so is what changes before that date."""
    with postgres.begin() as connection:
        connection.exec_driver_sql(f"insert into kinds (id, {column}) values (3, '{ahead}')")
    first = kinds.read(Pull("kinds", columns=("id",), cursor=column))
    assert first.table().num_rows == 3
    with postgres.begin() as connection:
        connection.exec_driver_sql(f"insert into kinds (id, {column}) values (4, '2026-11-01')")
    again = Pull("kinds", columns=("id",), cursor=column, after=first.state)
    assert 4 in {row["id"] for row in rows(kinds, again)}


def test_text_that_is_no_time_may_be_any_cursor(tmp_path: Path) -> None:
    """Of SQLite's texts only what is spelled as a time is one: `9999-x` and `99991231` are taken as they are."""
    engine = sa.create_engine(url := f"sqlite:///{tmp_path / 'shop.db'}")
    states = []
    for greatest in ("9999-x", "99991231", "9999-12-31 00:00:00", "9999-12-31T00:00:00Z"):
        with engine.begin() as connection:
            connection.exec_driver_sql("drop table if exists o")
            connection.exec_driver_sql("create table o (at text)")
            connection.exec_driver_sql(f"insert into o values ('2024-01-01'), ('{greatest}')")
        states.append(Sql(url=url).read(Pull("o", columns=("at",), cursor="at")).state)
    engine.dispose()
    assert states == ["9999-x", "99991231", "2024-01-01", "2024-01-01"]


def test_a_query_is_a_table(kinds: Sql) -> None:
    """A user's own query is read with exact types, colons and percent signs included."""
    query = "select id as n, money * 2 as double, '%s :x'::text as odd from kinds where id = 1;"
    pull = Pull("", query, ("n", "double", "odd"), cursor="n", after=1)
    assert kinds.columns(pull) == ("n", "double", "odd")
    row = rows(kinds, pull)[0]
    assert (row["n"], Decimal(row["double"]), row["odd"]) == (1, Decimal("0.20"), "%s :x")


def test_an_empty_table_has_no_cursor(kinds: Sql, postgres: sa.Engine) -> None:
    """Nothing to read is not an error, and the state stays what it was."""
    with postgres.begin() as connection:
        connection.exec_driver_sql("truncate kinds")
    reading = kinds.read(Pull("kinds", columns=("id", "money"), cursor="id"))
    assert reading.state is None
    assert reading.table().num_rows == 0


def test_sqlite_values_come_as_they_are_spelled(tmp_path: Path) -> None:
    """SQLite holds no column to its type, so every value is text and none is lost."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table o (id integer, total numeric(12,2), at datetime)")
        connection.exec_driver_sql("insert into o values (1, 0.1, '2024-01-01 10:00:00'), (2, 'free', null)")
    engine.dispose()
    source = Sql(url=url)
    found = rows(source, Pull("o", columns=("id", "total", "at"), cursor="id"))
    assert [(r["id"], r["total"], r["at"]) for r in found] == [
        ("1", "0.1", "2024-01-01 10:00:00"),
        ("2", "free", None),
    ]
    assert source.read(Pull("o", None, ("id",), "id")).state == 2


def test_a_column_that_is_gone_is_told_by_the_reading(tmp_path: Path) -> None:
    """SQLite takes a quoted name it does not know for a text of that name; no row is ever read so."""
    engine = sa.create_engine(url := f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("create table o (id integer)")
        connection.exec_driver_sql("insert into o values (1)")
    engine.dispose()
    with pytest.raises(SourceError, match="o: no column Total Paid"):
        Sql(url=url).read(Pull("o", columns=("id", "Total Paid"), cursor="id"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (sa.Numeric(10, 4), pa.decimal128(10, 4)),
        (sa.Numeric(), pa.string()),
        (sa.Numeric(60, 2), pa.string()),
        (sa.Double(), pa.float64()),
        (sa.DateTime(timezone=True), pa.timestamp("us", tz="UTC")),
        (sa.JSON(), pa.string()),
    ],
)
def test_declared_types_are_kept_exactly(kind: sa.types.TypeEngine[Any], expected: pa.DataType) -> None:
    """A declared type has one Arrow type; what has none is text."""
    from connectors.sources.sql import arrow_type  # noqa: PLC0415

    assert arrow_type(kind) == expected


def test_a_schema_goes_before_the_dot() -> None:
    """`sales.orders` is the table `orders` of the schema `sales`."""
    table = relation(Pull("sales.orders"))
    assert str(sa.select(sa.text("1")).select_from(table)).endswith("FROM sales.orders")


def test_a_password_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unreachable is a SourceError without the password; a password in the file is refused unseen."""
    monkeypatch.setenv("SHOP", "postgresql://octo:hunter2@127.0.0.1:1/shop")
    source = Sql.model_validate({"type": "sql", "url": {"env": "SHOP"}})
    with pytest.raises(SourceError) as caught:
        source.read(Pull("t", columns=("id",)))
    assert "hunter2" not in str(caught.value) + repr(source)
    with pytest.raises(ValidationError, match="holds a password") as refused:
        Sql(url="postgresql://octo:hunter2@h/shop")
    assert "hunter2" not in str(refused.value.errors(include_input=False, include_url=False))


def test_a_missing_secret_says_its_name() -> None:
    """The address is read from the environment only when it is used."""
    source = Sql.model_validate({"type": "sql", "url": {"env": "NO_SUCH_SHOP"}})
    with pytest.raises(ConfigError, match="NO_SUCH_SHOP is not set"):
        source.columns(Pull("t"))
