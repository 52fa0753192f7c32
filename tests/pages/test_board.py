"""The board: the newest tables, values bound, nothing held up by a run and no run held up by it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from octo_dagster.config import Project
from octo_dagster.pages.board import ANSWERS, MOMENTS, Board, one_page


@pytest.fixture
def board(tmp_path: Path) -> Board:
    made = Board(Project(tmp_path, tmp_path / ".octo"))
    made.first.warehouse.replace("people", pa.table({"id": ["a", "b"], "orders": [1, 2]}))
    return made


def test_a_new_version_is_seen_by_the_next_question(board: Board) -> None:
    """What was asked is remembered until a table changes, comes or goes; then it is asked anew."""
    query = "select sum(orders) as n from people"
    assert board.one(query)["n"] == 3
    assert board.select(query) is board.select(query)
    board.first.warehouse.append("people", pa.table({"id": ["c"], "orders": [4]}))
    assert board.one(query)["n"] == 7
    assert not board.has("others")
    board.first.warehouse.replace("others", pa.table({"id": ["x"]}))
    assert board.one("select count(*) as n from others")["n"] == 1
    board.first.warehouse.replace("people", pa.table({"id": ["d"], "name": ["Ada"]}))
    assert list(board.columns("people")) == ["id", "name"]
    assert board.select("select name from people") == [{"name": "Ada"}]


def test_an_order_forgets_only_what_it_touches(board: Board) -> None:
    """An answer over other tables is remembered when one table changes, whatever case names it."""
    board.first.warehouse.replace("others", pa.table({"id": ["x"]}))
    people, others = "select count(*) as n from PEOPLE", "select count(*) as n from others"
    before = board.select(others)
    assert board.one(people)["n"] == 2
    board.first.warehouse.append("people", pa.table({"id": ["c"], "orders": [4]}))
    assert board.select(others) is before
    assert board.one(people)["n"] == 3


def test_a_page_sees_one_state(board: Board) -> None:
    """While a page is made its tables stay as they were when it first asked, their columns too, whatever is
    written or taken away below it; the next page sees what is new."""
    board.first.warehouse.replace("others", pa.table({"id": ["x"]}))
    with one_page():
        assert board.one("select count(*) as n from people")["n"] == 2
        board.first.warehouse.append("people", pa.table({"id": ["c"], "orders": [4]}))
        board.first.warehouse.replace("others", pa.table({"id": ["x", "y"], "name": ["Ada", "Bo"]}))
        board.first.warehouse.replace("more", pa.table({"id": ["x"]}))
        assert board.one("select count(*) as n, 1 as again from people, others")["n"] == 2
        assert (list(board.columns("others")), board.has("more")) == (["id"], False)
        with board.cursor() as cursor:
            assert cursor.execute("select count(*) from people").fetchall() == [(2,)]
        assert next(board.parts("select count(*) from people")) == [(2,)]
    with one_page():
        assert board.one("select count(*) as n from people, others")["n"] == 6
        shutil.rmtree(board.first.warehouse.root / "people")
        board.first.warehouse.replace("people", pa.table({"id": ["d"], "orders": [1]}))
        assert board.one("select count(*) as n, 2 as again from people")["n"] == 1
    assert len(board.moments) <= MOMENTS


def test_states_are_not_kept_for_ever(board: Board) -> None:
    """However often the tables change, what is kept of the past has an end."""
    for version in range(MOMENTS + 3):
        board.first.warehouse.replace("people", pa.table({"id": ["a"] * version, "orders": [1] * version}))
        assert board.one("select count(*) as n from people")["n"] == version
    kept = "select count(*) as n from duckdb_schemas() where schema_name like 'moment%'"
    assert board.one(kept)["n"] == len(board.moments) == MOMENTS


def test_values_are_values(board: Board) -> None:
    """What is bound is never read as SQL, by name or by place."""
    evil = "a' or 1 = 1 --"
    assert board.select("select id from people where id = $id", {"id": evil}) == []
    assert board.select("select id from people where id = ? or orders = ?", [evil, 2]) == [{"id": "b"}]


def test_it_never_writes(board: Board) -> None:
    """A question cannot change a table: what it sees are views."""
    with pytest.raises(duckdb.Error):
        board.select("delete from people")
    assert board.one("select count(*) as n from people")["n"] == 2


def test_many_ask_while_a_run_writes(board: Board) -> None:
    """Answers of many threads are each of one whole version while tables are replaced below them; what is
    remembered has an end."""
    wrong: list[object] = []

    def ask(of: int) -> None:
        for number in range(60):
            row = board.one(
                f"select min(orders) as low, max(orders) as high, {of} as o, {number} as n from people"
            )
            if row["low"] != row["high"] and (row["low"], row["high"]) != (1, 2):
                wrong.append(row)

    threads = [threading.Thread(target=ask, args=(of,)) for of in range(4)]
    for thread in threads:
        thread.start()
    for version in range(3, 12):
        board.first.warehouse.replace("people", pa.table({"id": ["a", "b"], "orders": [version, version]}))
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(board.answers) <= ANSWERS


def test_a_file_that_changes_is_read_anew(board: Board) -> None:
    """The project's files are those of now, not those of when the server started."""
    assert spoken(board) == "en"
    place = board.first.root / "assets" / "project.yaml"
    place.parent.mkdir()
    place.write_text("language: fr\n", encoding="utf-8")
    assert spoken(board) == "fr"
    place.write_text("language: nothing\n", encoding="utf-8")
    assert spoken(board) == "en", "a wrong file must not take the page away that says so"


def spoken(board: Board) -> str:
    return board.settings.language
