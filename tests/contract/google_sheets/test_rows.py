"""Rows that move: people insert, sort and delete while Octo writes, and nobody's cells are lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal, Unanswered
from octo_dagster.model import Fields, Op, Outcome
from tests.contract.google_sheets.front import Front, people, person
from tests.vendors.google_sheets import GOOGLE_SHEETS


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOGLE_SHEETS.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["plain", "ranked"])
def front(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Front]:
    """Five customers held, each with a remark of a caller's beside, in a tab kept in order or not."""
    made = Front(sandbox, **({"order_by": "rank"} if request.param == "ranked" else {})).ready()
    made.do(Op.UPSERT, people(5, 4, 3, 2, 1))
    made.types_in(["Caller"], *([f"about {row[0]}"] for row in made.rows()), column=4)
    made.sign_in()
    made.calls.clear()
    yield made
    made.close()


def held(front: Front) -> dict[str, list[Any]]:
    """Key → the rest of its row; no key twice."""
    rows = {row[0]: row[1:] for row in front.rows() if row[0]}
    assert len(rows) == sum(bool(row[0]) for row in front.rows())
    return rows


def wanted(numbers: range, **changed: Fields) -> dict[str, list[Any]]:
    said = {key: {**fields, **changed.get(key, {})} for key, fields in people(*numbers).items()}
    return {key: [f["name"], f["orders"], f["rank"], f"about {key}"] for key, f in said.items()}


MOVES: dict[str, dict[str, Any]] = {
    "a row inserted": {"insertDimension": {"range": {"startIndex": 1, "endIndex": 2}}},
    "two rows inserted": {"insertDimension": {"range": {"startIndex": 3, "endIndex": 5}}},
    "a row moved": {"moveDimension": {"source": {"startIndex": 1, "endIndex": 2}, "destinationIndex": 5}},
    "the rows sorted": {
        "sortRange": {
            "range": {"startRowIndex": 1},
            "sortSpecs": [{"dimensionIndex": 4, "sortOrder": "DESCENDING"}],
        }
    },
}


def addressed(move: dict[str, Any], sheet: int) -> dict[str, Any]:
    """A move in this tab."""
    ((kind, said),) = move.items()
    place = "source" if "source" in said else "range"
    rows = {} if kind == "sortRange" else {"dimension": "ROWS"}
    return {kind: {**said, place: {"sheetId": sheet, **rows, **said[place]}}}


def again(front: Front, records: dict[str, Fields]) -> int:
    """Send until all arrived, as the engine does; how often that was."""
    for times in range(1, 5):
        told = front.do(Op.UPSERT, records)
        records = {
            key: fields for key, fields in records.items() if told[key].outcome is not Outcome.ACCEPTED
        }
        if not records:
            return times
    raise AssertionError(f"{sorted(records)} never arrived")


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("times", [1, 2])
def test_rows_moved_between_reading_and_writing(front: Front, move: str, times: int) -> None:
    """Whatever a person does to the rows in that moment, or in the next one, too: each customer ends with its
    own values, each remark beside its own customer, and a new row of the person's stays empty."""
    front.meanwhile(*[addressed(MOVES[move], front.tab.id)] * times)
    again(front, {"c2": person(2, orders=22), "c4": person(4, orders=44)})
    assert len(front.twin.meanwhile) < times
    front.twin.meanwhile.clear()
    assert held(front) == wanted(range(1, 6), c2={"orders": 22}, c4={"orders": 44})
    assert not [row for row in front.rows() if not row[0] and any(row)]
    assert again(front, {"c1": person(1, orders=11)}) == 1


def test_a_lost_answer_and_moved_rows(front: Front, sandbox: Sandbox) -> None:
    """A write that hit other rows and was not answered is found out and mended before the next one."""
    front.meanwhile(front.row_above())
    sandbox.fault("google_sheets", "drop_after", path="batchUpdate")
    with pytest.raises(Unanswered):
        front.do(Op.UPSERT, {"c3": person(3, orders=33)})
    again(front, {"c3": person(3, orders=33)})
    assert held(front) == wanted(range(1, 6), c3={"orders": 33})


def test_a_lost_answer_to_an_addition(front: Front, sandbox: Sandbox) -> None:
    """New rows whose answer was lost are found by their keys when they are sent again, and not doubled."""
    new = people(6, 7)
    sandbox.fault("google_sheets", "drop_after", path="batchUpdate")
    with pytest.raises(Unanswered):
        front.do(Op.UPSERT, new)
    assert all(
        r.outcome is Outcome.ACCEPTED and r.created is False for r in front.do(Op.UPSERT, new).values()
    )
    assert sorted(held(front)) == [f"c{n}" for n in range(1, 8)]


def test_rows_that_never_stand_still(front: Front) -> None:
    """Rows that move before every write are told of, as a person must look: nothing is called done."""
    front.meanwhile(*[front.row_above()] * 9)
    with pytest.raises(Fatal, match="moved all the time"):
        front.do(Op.UPSERT, {"c2": person(2, orders=22)})


def test_columns_moved_between_reading_and_writing(front: Front) -> None:
    """A column inserted in that moment is noticed in the answer, and told with the way back."""
    at = {"sheetId": front.tab.id, "dimension": "COLUMNS", "startIndex": 1, "endIndex": 2}
    front.do(Op.UPSERT, {"c1": person(1)})
    front.meanwhile({"insertDimension": {"range": at}})
    with pytest.raises(Fatal, match="Version history"):
        front.do(Op.UPSERT, {"c2": person(2, orders=22)})


def test_columns_moved_before_reading(front: Front) -> None:
    """Columns are found by their headers, wherever somebody put them."""
    front.tab.columns += 1
    front.tab.rows = [{column + 1: cell for column, cell in row.items()} for row in front.tab.rows]
    front.types_in(["Mine"], *([n] for n in range(1, 6)), column=0)
    front.do(Op.UPSERT, {"c2": person(2, orders=22), "c6": person(6)})
    found = {row[1]: row for row in front.rows()}
    assert (found["c2"][3], found["c6"][:5]) == (22, [None, "c6", "Customer 6", 6, 94])


def test_a_deletion_that_hit_another_row_is_told(front: Front) -> None:
    """Rows moved in the very moment of a deletion: Fatal, with the way to bring the row back."""
    front.do(Op.UPSERT, people(7))
    front.meanwhile(front.row_above())
    with pytest.raises(Fatal, match="Version history"):
        front.do(Op.DELETE, {"c7": {}})


def test_rows_moved_before_a_deletion(front: Front) -> None:
    """A deletion looks at its rows first: moved since they were read, they are found anew."""
    front.do(Op.UPSERT, people(7))
    front.sign_in()
    front.do(Op.UPSERT, {"c2": person(2)})  # the tab is read
    front.tab.rows.insert(1, {})
    assert front.do(Op.DELETE, {"c7": {}})["c7"].outcome is Outcome.UNSENT
    assert front.do(Op.DELETE, {"c7": {}})["c7"].outcome is Outcome.ACCEPTED
    assert held(front) == wanted(range(1, 6))
