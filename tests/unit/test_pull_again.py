"""What was read once and is read again: taken back, filled anew, asked for otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.registry import sources
from octo_dagster.canonical.conform import conform
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.warehouse import Warehouse

COLUMNS = {"order_id": "id", "ordered_at": "at", "net_amount": "total", "status": "state"}
MADE = (
    "create table o (id text, at text, total text, state text)",
    "insert into o values ('1', '2026-01-01 10:00:00', '5', 'completed')",
    "insert into o values ('2', '2026-01-02 10:00:00', '6', 'completed')",
)


@dataclass
class Desk:
    """A shop's database, and our orders of it."""

    folder: Path
    minutes: int = 0

    def run(self, *statements: str) -> None:
        engine = sa.create_engine(f"sqlite:///{self.folder / 'shop.db'}")
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()

    def pull(self, **told: Any) -> dict[str, str]:
        """Pull and judge: order → its state."""
        table = {"cursor": "at", "columns": COLUMNS} | ({} if "query" in told else {"from": "o"}) | told
        source = {"type": "sql", "url": f"sqlite:///{self.folder / 'shop.db'}"}
        made = {"name": "shop", "source": source, "tables": {"orders": table}}
        intake = Intake.model_validate(made, context={"sources": sources()})
        warehouse, self.minutes = Warehouse(self.folder / "warehouse"), self.minutes + 1
        now = datetime(2026, 11, 23) + timedelta(minutes=self.minutes)  # noqa: DTZ001
        pull(intake, "orders", warehouse, now)
        conform("orders", [intake], warehouse, now, "run")
        with warehouse.connect() as connection:
            return dict(connection.sql("select order_id, status from orders").fetchall())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    made.run(*MADE)
    return made


def test_a_table_caught_while_it_is_filled_anew_comes_back(desk: Desk) -> None:
    """Rows taken for deleted that are there again are there, although their cursor is of long ago."""
    whole = desk.pull(deletes="reconcile")
    desk.run("create table kept as select * from o", "delete from o")
    assert desk.pull(deletes="reconcile") == {}
    desk.run("insert into o select * from kept")
    assert desk.pull(deletes="reconcile") == whole == {"1": "completed", "2": "completed"}
    assert desk.pull(deletes="reconcile") == whole


def test_a_row_that_is_again_as_it_was_is_news(desk: Desk) -> None:
    """Cancelled and taken back within the overlap, an order is completed; and nothing is written twice."""
    for state in ("completed", "cancelled", "completed", "completed"):
        desk.run(f"update o set state = '{state}' where id = '2'")
        assert desk.pull(overlap=600)["2"] == state


def test_another_query_is_read_from_its_beginning(desk: Desk) -> None:
    """What an older query left out comes when it is asked for, however old its cursor."""
    assert set(desk.pull(query="select * from o where id = '2'")) == {"2"}
    assert set(desk.pull(query="select * from o")) == {"1", "2"}
