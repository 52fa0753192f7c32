"""Live rows in a table: the newest of a key hides the night's, in every version, however many parts there are."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from octo_dagster.delta import GONE
from octo_dagster.errors import Busy
from octo_dagster.warehouse import MANY, Warehouse


def rows(warehouse: Warehouse, version: int | None = None) -> dict[str, int]:
    with warehouse.connect(None if version is None else {"t": version}) as connection:
        return dict(connection.sql("select k, v from t order by k").fetchall())


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """A table of the night, in a folder with a blank in its name."""
    made = Warehouse(tmp_path / "my tables")
    made.replace("t", pa.table({"k": ["a", "b", "c"], "v": [1, 2, 3]}), {"as_of": "today"})
    return made


def test_the_newest_row_of_a_key_is_seen(warehouse: Warehouse) -> None:
    """A live row stands for its key from its version on; one that is gone takes the key away; older versions,
    the schema and the count are as a reader expects."""
    warehouse.append_live("t", pa.table({"k": ["a", "d"], "v": [10, 40]}), ["k"])
    warehouse.append_live("t", pa.table({"k": ["a", "b"], "v": [100, None], GONE: [False, True]}), ["k"])
    assert rows(warehouse) == {"a": 100, "c": 3, "d": 40}
    assert rows(warehouse, 1) == {"a": 10, "b": 2, "c": 3, "d": 40}
    assert rows(warehouse, 0) == {"a": 1, "b": 2, "c": 3}
    assert (warehouse.schema("t").names, warehouse.count("t"), warehouse.count("t", 1)) == (["k", "v"], 3, 4)
    assert warehouse.note("t") == {"as_of": "today", "key": ["k"]}
    warehouse.replace("t", pa.table({"k": ["z"], "v": [9]}))
    assert rows(warehouse) == {"z": 9}


def test_many_parts_are_merged_and_nothing_is_new_by_that(warehouse: Warehouse) -> None:
    """After many appends there are few files; what is seen and what was added since stay the same."""
    for number in range(MANY + 3):
        warehouse.append_live("t", pa.table({"k": ["a"], "v": [number]}), ["k"])
        warehouse.tidy("t")
    assert len(warehouse.files("t")) < MANY
    assert rows(warehouse) == {"a": MANY + 2, "b": 2, "c": 3}
    assert len(warehouse.added("t", 0) or []) == MANY + 3
    assert warehouse.note("t")["as_of"] == "today"
    warehouse.replace("t", pa.table({"k": ["z"], "v": [9]}))
    assert warehouse.added("t", 0) is None


def test_what_no_version_needs_is_removed(warehouse: Warehouse, tmp_path: Path) -> None:
    """A night's version can be read for as long as nights are kept, one of the day for as long as those are;
    the newest always, and nothing else is left on the disk."""
    warehouse.append_live("t", pa.table({"k": ["a"], "v": [2]}), ["k"])
    warehouse.compact("t")
    warehouse.replace("t", pa.table({"k": ["a"], "v": [9]}))
    newest = warehouse.append_live("t", pa.table({"k": ["b"], "v": [4]}), ["k"])
    assert warehouse.sweep("t") == 0
    assert rows(warehouse, 1) == {"a": 2, "b": 2, "c": 3}

    assert warehouse.sweep("t", parts=timedelta(0)) == 2
    assert (rows(warehouse, 0), rows(warehouse, 3)) == ({"a": 1, "b": 2, "c": 3}, {"a": 9})
    with pytest.raises(FileNotFoundError):
        rows(warehouse, 2)

    assert warehouse.sweep("t", timedelta(0), timedelta(0)) == 1
    assert rows(warehouse, newest) == {"a": 9, "b": 4}
    assert len(list((tmp_path / "my tables" / "t").glob("*.parquet"))) == 2


def test_rows_beside_a_table_made_anew_are_refused(warehouse: Warehouse) -> None:
    """What was worked out beside a version that is no more is not written over the newer one."""
    warehouse.replace("t", pa.table({"k": ["z"], "v": [9]}))
    with pytest.raises(Busy):
        warehouse.append_live("t", pa.table({"k": ["z"], "v": [1]}), ["k"], seen=0)
    assert rows(warehouse) == {"z": 9}
