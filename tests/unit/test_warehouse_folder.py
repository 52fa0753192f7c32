"""A warehouse works wherever the project lies."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from octo_dagster.warehouse import Warehouse


@pytest.mark.parametrize("folder", ["My shop", "Été", "l'atelier", "a#b"])
def test_a_folder_may_have_any_name(folder: str, tmp_path: Path) -> None:
    """What is written is read again from a folder with spaces, accents and signs in its name."""
    warehouse = Warehouse(tmp_path / folder)
    warehouse.replace("orders", pa.table({"order_id": ["1"]}))
    with warehouse.connect() as connection:
        assert connection.sql("select * from orders").fetchall() == [("1",)]
