"""The file shown for SQL tables in `connectors/README.md` does what is said of it."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from connectors.sandbox.server import Sandbox
from tests.vendors.sql_table import SQL_TABLE
from tests.world import World

README = (Path(__file__).parents[3] / "connectors" / "README.md").read_text("utf-8")


def test_the_file_shown_is_delivered(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table is made and filled, and who leaves is deleted from it; delivered again, nothing is left."""
    (text,) = re.findall(r"```yaml\n# assets/syncs/sql_customers\.yaml\n(.*?)```", README, re.DOTALL)
    for name, value in SQL_TABLE.env.items():
        monkeypatch.setenv(name, value)
    world = World(tmp_path, sandbox, "sql_table").say(**yaml.safe_load(text), guards={"max_removed": "100%"})
    people = [
        {
            "customer_id": f"c{n}",
            "email": "ada@example.com",
            "score": n,
            "last_order_at": datetime.fromisoformat(f"2026-11-0{n}"),
        }
        for n in (1, 2, 3)
    ]
    for rows in (people, people, people[1:]):
        world.project.warehouse.replace("customer_profile", pa.Table.from_pylist(rows))
        report = world.deliver()
        assert report.exit_code == 0
    assert report.planned == 1
    assert sandbox.twin("sql_table").holdings()["shop.marketing.customers"] == [
        {"id": f"c{n}", "email": "ada@example.com", "score": n, "last_order_at": f"2026-11-0{n} 00:00:00"}
        for n in (2, 3)
    ]
