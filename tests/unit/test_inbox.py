"""The inbox: what is in it leaves it when everybody has it, and long after; nothing else does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.keys import Keys
from octo_dagster.canonical.pull import pull
from octo_dagster.config import Project
from octo_dagster.inbox import Inbox, Post

SOURCE = """
source: {type: push, resources: {lines: {of: orders, each: lines}}}
tables:
  orders: {from: orders, cursor: _post, columns: {order_id: id, net_amount: total, ordered_at: at}}
  order_lines:
    from: lines
    cursor: _post
    columns: {order_id: id, line_no: lines.no, product_id: lines.product, quantity: lines.n, net_amount: total}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A till whose orders two tables read."""
    folder = tmp_path / "assets" / "sources"
    folder.mkdir(parents=True)
    (folder / "till.yaml").write_text(SOURCE)
    return Project(tmp_path, tmp_path / ".octo")


@pytest.fixture
def inbox(project: Project) -> Iterator[Inbox]:
    """The project's inbox, with two orders."""
    made = Inbox(project.home)
    for name in ("o1", "o2"):
        made.keep(signed(name), "{}")
    yield made
    made.close()


def signed(name: str) -> Post:
    """A signed order."""
    line = {"no": 1, "product": "secret present", "n": 1}
    row = json.dumps({"id": name, "total": "1", "at": "2026-11-01T10:00:00Z", "lines": [line]})
    return Post("till", "orders", "hook", [(row, None)], row.encode(), signed=row.encode())


def held(inbox: Inbox) -> int:
    """How many rows are in the inbox."""
    return len(list(inbox.rows("till", "orders", 0, 100)))


def pulled(project: Project, table: str, days: int, *, live: bool = False) -> int:
    """Pull a table so many days from now; the rows that came."""
    now = datetime.now(UTC) + timedelta(days=days)
    return pull(project.intakes["till"], table, project.warehouse, now, reconcile=not live).rows


def test_a_post_leaves_when_all_have_it(project: Project, inbox: Inbox) -> None:
    """Ninety days after it came, once each table that reads it has pulled it, and by a nightly pull only; it is
    read by nobody twice, its text is not left in the file, and what was signed is known for ever."""
    assert (pulled(project, "orders", 400), held(inbox)) == (2, 2)
    assert (pulled(project, "order_lines", 400, live=True), held(inbox)) == (2, 2)
    assert (pulled(project, "order_lines", 89), held(inbox)) == (0, 2)
    assert (pulled(project, "orders", 91), held(inbox)) == (0, 0)
    assert (pulled(project, "orders", 91), pulled(project, "order_lines", 91)) == (0, 0)
    inbox.connection().execute("pragma wal_checkpoint(truncate)")
    assert b"secret present" not in inbox.path.read_bytes()
    again, new = inbox.keep(signed("o1"), "{}"), inbox.keep(signed("o3"), "{}")
    assert [(one.number, one.again) for one in (again, new)] == [(1, True), (3, False)]
    assert pulled(project, "orders", 0) == 1


def test_what_was_not_pulled_stays(project: Project, inbox: Inbox) -> None:
    """Posts nobody pulled, those of a table that shall be read anew, and those of who wants all kept."""
    assert (pulled(project, "orders", 1), pulled(project, "order_lines", 1)) == (2, 2)
    path = project.root / "assets" / "sources" / "till.yaml"
    told = yaml.safe_load(SOURCE)
    told["tables"]["order_lines"]["columns"]["unit_price"] = "lines.price?"
    path.write_text(yaml.safe_dump(told))
    changed = Project(project.root, project.home)
    assert (pulled(changed, "orders", 400), held(inbox)) == (0, 2)
    told["source"]["keep_days"] = None
    path.write_text(yaml.safe_dump(told))
    kept = Project(project.root, project.home)
    assert (pulled(kept, "order_lines", 400), pulled(kept, "orders", 400), held(inbox)) == (2, 0, 2)


def test_a_thousand_posts_and_more(tmp_path: Path) -> None:
    """They go a thousand at a time, up to the number named and no further, other streams left alone."""
    inbox, later = Inbox(tmp_path), datetime.now(UTC) + timedelta(days=1)
    posts = [(number, "visits" if number == 6 else "orders") for number in range(1, 1_004)]
    with inbox.writing() as file:  # all at once, for speed
        file.executemany(
            "insert into posts values (?, 'till', ?, '2026-11-01', 'key', null, '', '{}')", posts
        )
        file.executemany("insert into rows (number, stream, source, place) values (?, ?, 'till', 1)", posts)
    assert inbox.forget("till", "orders", 1_002, later) == 1_001
    assert [row.number for row in inbox.rows("till", "orders", 0, 9_999)] == [1_003]
    assert [row.number for row in inbox.rows("till", "visits", 0, 9_999)] == [6]
    assert inbox.forget("till", "orders", 9_999, datetime(2026, 10, 31, tzinfo=UTC)) == 0
    inbox.close()


def test_a_row_that_nobody_could_read(project: Project) -> None:
    """An object in an object, and so on for ever, is refused at the door: a pull would stumble over it each time."""
    secret = Keys(project.home).add("till", {"events": "*"})
    with TestClient(app(project), headers={"Authorization": f"Bearer {secret}"}) as client:
        start = '{"id": "o1", "total": 1, "at": "2026-11-01T10:00:00Z", "lines": [], "x": '
        for depth, status in ((49, 202), (50, 422), (900, 422)):
            text = start + "[" * depth + "]" * depth + "}"
            assert client.post("/v1/events/orders", content=text).status_code == status, depth
    assert pulled(project, "orders", 0) == 1
