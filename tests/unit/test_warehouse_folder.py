"""A warehouse works wherever the project lies."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from octo_dagster.delivery.pace import Pace
from octo_dagster.destination import Rate
from octo_dagster.warehouse import Warehouse


@pytest.mark.parametrize("folder", ["My shop", "Été", "l'atelier", "a#b"])
def test_a_folder_may_have_any_name(folder: str, tmp_path: Path) -> None:
    """What is written is read again from a folder with spaces, accents and signs in its name."""
    warehouse = Warehouse(tmp_path / folder)
    warehouse.replace("orders", pa.table({"order_id": ["1"]}))
    with warehouse.connect() as connection:
        assert connection.sql("select * from orders").fetchall() == [("1",)]


def test_the_folder_it_makes_is_its_users_only(tmp_path: Path) -> None:
    """The home that a first table, or a first paced call, makes holds customers' data: others cannot enter it."""
    Warehouse(tmp_path / "one" / "warehouse").replace("orders", pa.table({"order_id": ["1"]}))
    Pace([Rate(5, 0.5)], tmp_path / "two" / "pace.sqlite", "shop").close()
    assert [(tmp_path / home).stat().st_mode & 0o777 for home in ("one", "two")] == [0o700, 0o700]
