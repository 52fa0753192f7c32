"""What wakes the sensor: a database that rings, a knock at the inbox, and the clock for all that was missed."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from assets.live.watch import watching
from assets.resources import Setup
from connectors.sources.sql import Sql, trigger
from octo_dagster.config import Project
from octo_dagster.inbox import Inbox
from octo_dagster.source import Pull
from tests.postgres import postgres

__all__ = ["postgres"]

README = Path(__file__).parents[2] / "assets" / "README.md"
SOURCE = """
source: {type: sql, url: {env: SHOP}}
tables:
  orders:
    from: ringing
    cursor: changed
    columns: {order_id: id, customer_id: who, ordered_at: at, net_amount: total}
"""


def test_a_database_that_rings(postgres: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the trigger on every table PostgreSQL rings when a row is committed, once for many, and not before;
    without one it has no bell."""
    monkeypatch.setenv("SHOP", postgres.url.render_as_string(hide_password=False))
    source = Sql.model_validate({"type": "sql", "url": {"env": "SHOP"}})
    pulls = [Pull("bells"), Pull("lines")]
    with postgres.begin() as shop:
        shop.execute(sa.text("create table bells (id int); create table lines (id int)"))
        shop.execute(sa.text(trigger(["bells"])))
    with source.bell(pulls) as rings:
        assert rings is None
    with postgres.begin() as shop:
        shop.execute(sa.text(trigger(["bells", "lines"])))
        shop.execute(sa.text(trigger(["lines"])))
    with source.bell(pulls) as rings, postgres.connect() as shop:
        assert rings is not None
        assert not rings()
        shop.execute(sa.text("insert into lines values (1), (2); insert into bells values (1)"))
        assert not rings()
        shop.commit()
        # the server tells those who listen right after it answered the commit
        deadline = time.monotonic() + 20
        while not rings():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not rings()


def test_the_trigger_of_the_readme() -> None:
    """What the README says to run is what makes the bell."""
    (said,) = re.findall(r"```sql\n(.*?)```", README.read_text("utf-8"), re.S)
    assert said == trigger(["orders", "order_items"])


def test_a_knock_and_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source is asked at first, then not before its time, unless something knocked for it."""
    monkeypatch.setenv("SHOP", f"sqlite:///{tmp_path / 'shop.sqlite'}")
    folder = tmp_path / "assets" / "sources"
    folder.mkdir(parents=True)
    (folder / "shop.yaml").write_text(SOURCE)
    with sa.create_engine(f"sqlite:///{tmp_path / 'shop.sqlite'}").begin() as shop:
        shop.execute(sa.text("create table ringing (id, who, at, total, changed)"))
        shop.execute(sa.text("insert into ringing values (1, 'a', '2026-01-01', 1, 7)"))
    project = Project(tmp_path, tmp_path / ".octo")
    inbox = Inbox(project.home)
    with watching(Setup(project), project.intakes["shop"], inbox) as watch:
        assert watch.rings is None
        assert watch.due()
        assert watch.reached() == {"orders": 7}
        assert not watch.due()
        inbox.wake("shop")
        assert watch.due()
        assert not watch.due()
        watch.next = 0.0
        assert watch.due()
    inbox.close()
