"""From a shop's own tables to ours: nothing is lost, nothing comes twice, everything refused is counted."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sources.files import Files
from connectors.sources.sql import Sql
from octo_dagster.canonical.conform import Conformed, conform, rejected_rows, retire
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.warehouse import Warehouse
from tests.postgres import postgres

__all__ = ["postgres"]
NOW = datetime(2024, 6, 1)  # noqa: DTZ001
LATER = NOW + timedelta(hours=1)
COLUMNS = {"order_id": "id", "ordered_at": "placed", "net_amount": "total", "customer_id": "who"}


class World:
    """A shop's table `buys` in PostgreSQL, its source file, and a warehouse."""

    def __init__(self, engine: sa.Engine, folder: Path) -> None:
        self.engine = engine
        self.warehouse = Warehouse(folder)
        self.url = engine.url.render_as_string(hide_password=False)
        self.run(
            "drop table if exists buys",
            "create table buys (id int, who int, placed timestamp, total numeric(9, 2), note text, changed int)",
            "insert into buys values (1, null, '2024-01-01', 10, 'a', 1), (2, null, '2024-01-02', 20, 'b', 2)",
        )

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    def intake(self, **table: Any) -> Intake:
        told = {"from": "buys", "cursor": "changed", "columns": COLUMNS} | table
        return intake({"orders": told}, Sql(url=self.url))

    def pull(self, at: datetime = LATER, **table: Any) -> int:
        return pull(self.intake(**table), "orders", self.warehouse, at).rows

    def orders(self) -> dict[str, str]:
        """Conform, and what the canonical table then holds: id → amount."""
        conform("orders", [self.intake()], self.warehouse, LATER, "run")
        return held(self.warehouse)


def intake(tables: dict[str, Any], source: Any, **settings: Any) -> Intake:
    return Intake.model_validate({"name": "shop", "source": source, "tables": tables} | settings)


def held(warehouse: Warehouse) -> dict[str, str]:
    with warehouse.connect() as connection:
        return dict(connection.sql("select order_id, net_amount::text from orders order by 1").fetchall())


@pytest.fixture
def world(postgres: sa.Engine, tmp_path: Path) -> Iterator[World]:
    made = World(postgres, tmp_path / "warehouse")
    made.pull(NOW)
    yield made
    made.run("drop table if exists buys")


def test_nothing_new_writes_nothing(world: World) -> None:
    """A pull that finds only what is here leaves the table's version alone, with and without a cursor."""
    assert (world.pull(), world.pull(), world.warehouse.version("raw_shop_orders")) == (0, 0, 0)
    world.pull(cursor=None)
    version = world.warehouse.version("raw_shop_orders")
    assert world.pull(cursor=None) == 0
    assert world.warehouse.version("raw_shop_orders") == version


def test_an_update_supersedes_and_an_equal_cursor_is_not_lost(world: World) -> None:
    """A changed row replaces its older version; a row committed late with the last cursor still comes."""
    world.run(
        "insert into buys values (3, null, '2024-01-03', 30, 'c', 2)",
        "update buys set total = 11, changed = 3 where id = 1",
    )
    assert world.pull() == 2
    assert world.orders() == {"1": "11.00", "2": "20.00", "3": "30.00"}
    report = conform("orders", [world.intake()], world.warehouse, LATER, "run")
    assert (report.read, report.kept, report.superseded) == (4, 3, 1)


def test_a_late_commit_is_found_by_an_overlap(world: World) -> None:
    """A row that appears behind the cursor is missed without an overlap and found with one, once."""
    world.run("insert into buys values (3, null, '2024-01-03', 30, 'c', 1)")
    assert world.pull() == 0
    assert (world.pull(overlap=1), world.pull(overlap=1)) == (1, 0)
    assert world.orders()["3"] == "30.00"


def test_a_deleted_row_is_found_by_reconciling(world: World) -> None:
    """What the shop no longer has is gone here too, and is back when the shop has it again."""
    world.run("delete from buys where id = 2")
    done = pull(world.intake(deletes="reconcile"), "orders", world.warehouse, LATER)
    assert (done.rows, done.deleted) == (0, 1)
    assert world.orders() == {"1": "10.00"}
    assert pull(world.intake(deletes="reconcile"), "orders", world.warehouse, LATER).deleted == 0
    world.run("insert into buys values (2, null, '2024-01-02', 22, 'b', 9)")
    world.pull(LATER + timedelta(hours=1), deletes="reconcile")
    assert world.orders() == {"1": "10.00", "2": "22.00"}


def test_a_row_that_left_its_file_is_deleted(tmp_path: Path) -> None:
    """Where files are reconciled, a row its file no longer has is gone; other files and an emptied one keep theirs."""
    told = {"from": "*.csv", "deletes": "reconcile", "columns": {"customer_id": "id"}}
    shop = intake({"customers": told}, Files(folder=tmp_path))
    warehouse = Warehouse(tmp_path / "warehouse")
    steps = (
        {"a.csv": "id\n1\n2\n", "b.csv": "id\n3\n4\n"},
        {"a.csv": "id\n1\n"},
        {"b.csv": "id\n"},
        {"a.csv": "id\n1\n2\n5\n"},
    )
    held = []
    for hour, files in enumerate(steps):
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        at = NOW + timedelta(hours=hour)
        pull(shop, "customers", warehouse, at)
        made = conform("customers", [shop], warehouse, at, f"r{hour}")
        with warehouse.connect() as connection:
            rows = connection.execute("select customer_id from customers order by 1").fetchall()
        held.append(("".join(key for (key,) in rows), made.deleted))
    assert held == [("1234", 0), ("134", 1), ("134", 1), ("12345", 0)]


def test_a_deletion_shows_where_cursors_are_text(tmp_path: Path) -> None:
    """SQLite's values come as text: a row changed at 10 and then deleted is gone, though 9 reads greater."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    told = {"from": "c", "cursor": "changed", "deletes": "reconcile", "columns": {"customer_id": "id"}}
    shop = intake({"customers": told}, Sql(url=str(engine.url)))
    warehouse = Warehouse(tmp_path / "warehouse")
    steps = (
        ("create table c (id integer, changed integer)", "insert into c values (1, 9), (2, 9)"),
        ("update c set changed = 10 where id = 1",),
        ("delete from c where id = 1",),
    )
    for hour, statements in enumerate(steps):
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        pull(shop, "customers", warehouse, NOW + timedelta(hours=hour))
    engine.dispose()
    report = conform("customers", [shop], warehouse, LATER, "run")
    assert (report.read, report.kept, report.deleted, report.superseded) == (4, 1, 1, 2)


def test_without_a_cursor_the_table_is_what_the_shop_has(world: World) -> None:
    """Every pull reads all of it, so changes and deletions both show."""
    world.run("delete from buys where id = 1", "update buys set total = 21 where id = 2")
    world.pull(cursor=None)
    conform("orders", [world.intake(cursor=None)], world.warehouse, LATER, "run")
    assert held(world.warehouse) == {"2": "21.00"}


def test_a_newly_mapped_column_reaches_old_rows(world: World) -> None:
    """Mapping one more column reads the table again: no old row keeps a null for it."""
    told: dict[str, Any] = {"columns": COLUMNS | {"note": "note"}}
    assert (world.pull(**told), world.pull(**told)) == (2, 0)
    conform("orders", [world.intake(**told)], world.warehouse, LATER, "run")
    with world.warehouse.connect() as connection:
        assert connection.sql("select note from orders order by 1").fetchall() == [("a",), ("b",)]


def test_a_compaction_does_not_forget_where_we_were(world: World) -> None:
    """The state is found behind versions that carry none."""
    world.run("insert into buys values (3, null, '2024-01-03', 30, 'c', 3)")
    world.pull()
    world.warehouse.compact("raw_shop_orders")
    assert world.pull() == 0
    world.run("insert into buys values (4, null, '2024-01-04', 40, 'd', 4)")
    assert world.pull() == 1


def test_a_changed_type_is_refused(world: World) -> None:
    """A column that turns into something else stops the pull and says which; nothing is written."""
    world.run("alter table buys alter total type text using 'ten'", "update buys set changed = 5")
    with pytest.raises(SourceError, match="column total was decimal128"):
        world.pull()
    assert world.warehouse.version("raw_shop_orders") == 0


def test_a_source_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    """Half a pull is no pull: the second file is bad, so the first is not kept and comes again."""
    source = Files(folder=tmp_path)
    (tmp_path / "1.csv").write_text("id,at,total\n" + "\n".join(f"{n},2024-01-01,1" for n in range(50_000)))
    (tmp_path / "2.csv").write_text("id,at\n1,2024-01-01\n")
    told = {"from": "*.csv", "columns": {"order_id": "id", "ordered_at": "at", "net_amount": "total"}}
    shop, warehouse = intake({"orders": told}, source), Warehouse(tmp_path / "warehouse")
    with pytest.raises(SourceError, match=r"2\.csv: no column total"):
        pull(shop, "orders", warehouse, NOW)
    assert warehouse.names() == []
    (tmp_path / "2.csv").write_text("id,at,total\n50000,2024-01-01,1\n")
    assert pull(shop, "orders", warehouse, NOW).rows == 50_001


def test_too_many_rejected_rows_change_nothing(world: World) -> None:
    """Over `max_rejected` the canonical table keeps what it had, and the reasons are there to read."""
    assert world.orders() == {"1": "10.00", "2": "20.00"}
    world.run("update buys set placed = '2099-01-01', changed = 9 where id = 2")
    world.pull()
    with pytest.raises(
        SourceError, match=r"shop: orders: 1 of 2 rows rejected.*ordered_at: in the future \(1\)"
    ):
        world.orders()
    assert held(world.warehouse) == {"1": "10.00", "2": "20.00"}
    assert rejected(world.warehouse) == [("shop", "orders", "2", "in the future")]
    world.run("update buys set placed = '2024-01-05', changed = 10 where id = 2")
    world.pull(LATER + timedelta(hours=1))
    assert world.orders() == {"1": "10.00", "2": "20.00"}
    assert rejected(world.warehouse) == []


def rejected(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    query = 'select source, "table", key, reason from rejected_rows order by all'
    with warehouse.connect() as connection:
        return connection.sql(query).fetchall()


CUSTOMERS = {"from": "c.csv", "columns": {"customer_id": "id"}}
ORDERS = {
    "from": "o.csv",
    "columns": {"order_id": "id", "customer_id": "who", "ordered_at": "at", "net_amount": "total"},
}


def test_an_order_of_nobody_is_refused_and_a_guest_is_not(tmp_path: Path) -> None:
    """A customer we do not know is refused; no customer at all is a guest. With no customers, all fail."""
    (tmp_path / "c.csv").write_text("id\n1\n")
    (tmp_path / "o.csv").write_text("id,who,at,total\n1,1,2024-01-01,1\n2,,2024-01-01,1\n3,7,2024-01-01,1\n")
    shop = intake({"customers": CUSTOMERS, "orders": ORDERS}, Files(folder=tmp_path), max_rejected=1)
    warehouse = Warehouse(tmp_path / "warehouse")
    for table in shop.tables:
        pull(shop, table, warehouse, NOW)
        report = conform(table, [shop], warehouse, NOW, "run")
    assert set(held(warehouse)) == {"1", "2"}
    assert report.reasons == {"customer_id: unknown": 1}
    warehouse.replace("customers", warehouse.table("customers").to_pyarrow_table()[:0])
    with pytest.raises(SourceError, match=r"2 of 3 rows rejected.*customer_id: unknown"):
        conform("orders", [shop], warehouse, NOW, "run")


def test_strangers_stop_nothing_and_a_broken_column_does(tmp_path: Path) -> None:
    """Messages to people who never bought are refused and told, as many as the file allows; what is wrong with
    those of customers counts among theirs alone, and the table keeps what it had."""
    (tmp_path / "c.csv").write_text("id,mail\n1,a@example.com\n")
    customers = {"from": "c.csv", "columns": {"customer_id": "id", "email": "mail"}}
    columns = {
        "message_id": "id",
        "customer_id": {"from": "mail", "by": "email"},
        "channel": {"value": "email"},
        "sent_at": "at",
    }
    tables = {"customers": customers, "messages": {"from": "m.csv", "columns": columns}}
    shop = intake(tables, Files(folder=tmp_path), max_strangers="100%")
    warehouse = Warehouse(tmp_path / "warehouse")

    def judge(at: datetime, *sent: str) -> Conformed:
        (tmp_path / "m.csv").write_text("\n".join(["id,mail,at", *sent, ""]))
        for table in tables:
            pull(shop, table, warehouse, at)
            told = conform(table, [shop], warehouse, at, "run")
        return told

    strangers = ["2,x@example.com,2024-01-02", "3,y@example.com,2024-01-02"]
    done = judge(NOW, "1,a@example.com,2024-01-01", *strangers)
    assert (done.kept, done.rejected, done.reasons) == (1, 2, {"customer_id: unknown": 2})
    with pytest.raises(SourceError, match=r"messages: 1 of 1 rows rejected.*sent_at: not a date \(1\)"):
        judge(LATER, "1,a@example.com,never", *strangers, "4,z@example.com,never")
    assert warehouse.table("messages").count() == 1


def test_two_sources_make_one_table(tmp_path: Path) -> None:
    """Their rows stand side by side with each one's own columns; a key both claim is refused in both."""
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, rows in ((one, "id,a\nx,1\ny,2\n"), (two, "id,b\ny,3\nz,4\n")):
        folder.mkdir()
        (folder / "c.csv").write_text(rows)
    warehouse = Warehouse(tmp_path / "warehouse")
    intakes = []
    for folder, extra in ((one, "a"), (two, "b")):
        table = {"from": "c.csv", "columns": {"customer_id": "id", extra: extra}}
        told = {"name": folder.name, "source": Files(folder=folder), "tables": {"customers": table}}
        intakes.append(Intake.model_validate(told | {"max_rejected": 1}))
        pull(intakes[-1], "customers", warehouse, NOW)
    report = conform("customers", intakes, warehouse, NOW, "run")
    with warehouse.connect() as connection:
        found = connection.sql("select customer_id, a, b from customers order by 1").fetchall()
    assert found == [("x", "1", None), ("z", None, "4")]
    assert (report.read, report.kept, report.rejected) == (4, 2, 2)
    assert {row[0] for row in rejected(warehouse)} == {"one", "two"}


def test_an_empty_source_makes_an_empty_table(tmp_path: Path) -> None:
    """No rows is a table without rows, with the contract's columns, and nothing rejected."""
    (tmp_path / "c.csv").write_text("")
    shop = intake({"customers": CUSTOMERS}, Files(folder=tmp_path))
    warehouse = Warehouse(tmp_path / "warehouse")
    assert pull(shop, "customers", warehouse, NOW).rows == 0
    report = conform("customers", [shop], warehouse, NOW, "run")
    assert (report.read, report.kept) == (0, 0)
    assert warehouse.schema("customers").names[0] == "customer_id"


def test_a_table_no_source_feeds_is_emptied(tmp_path: Path) -> None:
    """Taken out of the YAML, a table holds nothing any more and its refused rows are forgotten; another
    table and its refused rows stay, and a second time there is nothing to do."""
    (tmp_path / "orders.csv").write_text("id,placed,total\n1,2024-01-01,10\n2,2024-01-01,much\n")
    (tmp_path / "products.csv").write_text("id,price\n1,10\n2,much\n")
    orders = {
        "from": "orders.csv",
        "columns": {"order_id": "id", "ordered_at": "placed", "net_amount": "total"},
    }
    products = {"from": "products.csv", "columns": {"product_id": "id", "price": "price"}}
    warehouse, source = Warehouse(tmp_path / "warehouse"), Files(folder=tmp_path)
    both = intake({"orders": orders, "products": products}, source, max_rejected=1)
    for table in ("products", "orders"):
        pull(both, table, warehouse, NOW)
        conform(table, [both], warehouse, NOW, "run")
    less = intake({"products": products}, source, max_rejected=1)
    assert retire([less], warehouse) == ["orders"]
    assert retire([less], warehouse) == []
    assert (warehouse.table("orders").count(), warehouse.table("products").count()) == (0, 1)
    assert [row["table"] for row in rejected_rows(warehouse)] == ["products"]


def test_before_the_first_pull_there_is_nothing_to_judge(tmp_path: Path) -> None:
    """Conforming what was never pulled is a mistake of order, said so."""
    shop = intake({"customers": CUSTOMERS}, Files(folder=tmp_path))
    with pytest.raises(ConfigError, match=r"shop\.yaml: tables\.customers: never pulled"):
        conform("customers", [shop], Warehouse(tmp_path / "warehouse"), NOW, "run")


def test_a_field_of_ten_megabytes_goes_through(tmp_path: Path) -> None:
    """A huge text is kept whole; were it refused, a hundred characters would be kept of it."""
    (tmp_path / "p.csv").write_text(f'id,text,price\n1,"{"x" * 10_000_000}",1\n2,a,{"y" * 10_000_000}\n')
    columns = {"product_id": "id", "description": "text", "price": "price"}
    shop = intake({"products": {"from": "p.csv", "columns": columns}}, Files(folder=tmp_path), max_rejected=1)
    warehouse = Warehouse(tmp_path / "warehouse")
    pull(shop, "products", warehouse, NOW)
    conform("products", [shop], warehouse, NOW, "run")
    with warehouse.connect() as connection:
        assert connection.sql("select length(description) from products").fetchall() == [(10_000_000,)]
        assert connection.sql("select length(value) from rejected_rows").fetchall() == [(100,)]


def conform_often(folder: Path, name: str) -> None:
    """In a process of its own: refuse one row, four times over."""
    told = {
        "name": name,
        "source": Files(folder=folder),
        "max_rejected": 1,
        "tables": {"customers": CUSTOMERS},
    }
    shop, warehouse = Intake.model_validate(told), Warehouse(folder / "warehouse" / name)
    pull(shop, "customers", warehouse, NOW)
    shared = Warehouse(folder / "warehouse")
    shared.replace(shop.raw("customers"), warehouse.table(shop.raw("customers")).to_pyarrow_table())
    for _ in range(4):
        conform("customers", [shop], shared, NOW, name)


def test_two_sources_may_be_judged_at_once(tmp_path: Path) -> None:
    """Rejected rows of two sources written by two processes at the same time are all there."""
    (tmp_path / "c.csv").write_text("id\n1\n \n")
    spawn = multiprocessing.get_context("spawn")
    running = [spawn.Process(target=conform_often, args=(tmp_path, name)) for name in ("one", "two")]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0]
    assert [row[0] for row in rejected(Warehouse(tmp_path / "warehouse"))] == ["one", "two"]
