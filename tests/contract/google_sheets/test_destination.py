"""What the Google Sheets destination alone promises: rows in place, nobody else's cells, values as values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from connectors.destinations.google_sheets.requests import letters, runs
from connectors.sandbox.google_sheets.ranges import letters as twin_letters
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import ConfigError, Fatal, Retryable
from octo_dagster.model import Fields, FieldType, Op, Outcome
from tests.contract.google_sheets.front import Front, people, person
from tests.vendors.google_sheets import GOOGLE_SHEETS


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOGLE_SHEETS.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(sandbox: Sandbox) -> Iterator[Front]:
    made = Front(sandbox)
    yield made
    made.close()


@pytest.fixture
def ranked(sandbox: Sandbox) -> Iterator[Front]:
    """A tab kept in the order of `rank`."""
    made = Front(sandbox, order_by="rank").ready()
    yield made
    made.close()


# calls ---------------------------------------------------------------------------------------------


def test_a_batch_is_one_call(front: Front) -> None:
    """Rows changed, added and emptied are one write each batch; the tab is read once, with its header."""
    front.ready().do(Op.UPSERT, people(*range(1, 21)))
    front.do(Op.UPSERT, people(*range(21, 41)))
    front.sign_in()
    front.calls.clear()
    front.do(Op.UPSERT, {"c2": person(2, orders=5), "c30": person(30, orders=6), "c99": person(99)})
    front.do(Op.UPSERT, {"c3": person(3, orders=7)})
    front.do(Op.CLEAR, {"c4": {"name": None}})
    assert [call for call in front.asked() if call.startswith("POST") and "token" not in call] == [
        "POST batchUpdate"
    ] * 3
    assert front.asked().count("GET batchGet") == 2


def test_a_full_batch_is_within_the_advice(front: Front) -> None:
    """A batch as large as the limits allow, with short names and values, stays at the advised 2 MB or so."""
    front.types = {"customer_id": FieldType.TEXT, **{f"f{n:02}": FieldType.TEXT for n in range(7)}}
    front.destination.expect(front.api, front.types)
    front.ready()
    rows = front.destination.limits(Op.UPSERT, 100_000).rows
    front.do(Op.UPSERT, {f"c{n}": {f"f{m:02}": f"v{n}" for m in range(7)} for n in range(rows)})
    assert rows == 5_000
    assert len(json.dumps(front.twin.bodies[-1])) < 2_500_000
    assert len(front.rows()) == 5_000


def test_nothing_to_do_is_no_call(front: Front) -> None:
    """Clearing and deleting what is not there, and what nothing is known of, write nothing."""
    front.ready().do(Op.UPSERT, people(1))
    front.calls.clear()
    assert front.do(Op.CLEAR, {"c7": {"name": None}})["c7"].outcome is Outcome.ACCEPTED
    assert front.do(Op.CLEAR, {"c1": {}})["c1"].outcome is Outcome.ACCEPTED
    assert front.do(Op.DELETE, {"c7": {}})["c7"].outcome is Outcome.ACCEPTED
    assert "POST batchUpdate" not in front.asked()


# whose is what -------------------------------------------------------------------------------------


def test_other_columns_notes_and_formats_stay(front: Front) -> None:
    """Between, left and right of ours: values, formulas, notes and formats are as they were."""
    front.types_in(["Caller", "customer_id", "orders", "Theirs", "name"], ["Ann", "c1", 1, "x", "Old"])
    front.formula(1, 3, "=C2*2")
    front.note(1, 2, "was 1 in May")
    front.tab.put(1, 4, replace(front.tab.cell(1, 4), format={"textFormat": {"bold": True}}))
    front.ready().do(Op.UPSERT, people(1, 2))
    assert front.rows() == [
        ["Ann", "c1", 1, "=C2*2", "Customer 1", 99],
        [None, "c2", 2, None, "Customer 2", 98],
    ]
    assert front.tab.cell(1, 2).note == "was 1 in May"
    assert front.tab.cell(1, 4).format == {"textFormat": {"bold": True}}


def test_no_text_is_ever_a_formula(front: Front) -> None:
    """Text that a sheet would take for a formula, a number, a date or a truth is kept as it is."""
    texts = [
        "=1+1",
        "+33 6 12",
        "-5",
        "@name",
        '=HYPERLINK("http://x")',
        "007",
        "2026-01-02",
        "TRUE",
        "'a",
        "1e5",
    ]
    records: dict[str, Fields] = {f"c{n}": {"name": text} for n, text in enumerate(texts)}
    front.ready().do(Op.UPSERT, records)
    assert [front.tab.cell(row, 1).value for row in range(1, 11)] == [{"stringValue": text} for text in texts]
    assert front.destination.read(front.api, [*records], ["name"]) == records


def test_values_a_cell_cannot_hold(front: Front) -> None:
    """A number with more digits than a cell keeps is rejected, never rounded; a neighbour goes."""
    bad: dict[str, Fields] = {
        "a": {"orders": 2**53 + 1},
        "b": {"rank": Decimal("0.12345678901234567891")},
        "c": {"name": ["x, y"]},
        "d": {"name": "x" * 50_001},
    }
    told = front.ready().do(Op.UPSERT, {**bad, "good": {"orders": 2**53}})
    assert [told[key].outcome for key in bad] == [Outcome.REJECTED] * 4
    assert [str(told[key].reason).partition(":")[0] for key in bad] == [
        "OCTO_TOO_PRECISE",
        "OCTO_TOO_PRECISE",
        "OCTO_LIST",
        "OCTO_TOO_LONG",
    ]
    assert front.destination.read(front.api, ["good"], ["orders"]) == {"good": {"orders": 2**53}}


def test_a_key_twice_is_told(front: Front) -> None:
    """A row somebody copied: what is meant for that key is refused with both rows named, and nothing guessed."""
    front.ready().do(Op.UPSERT, people(1, 2))
    front.types_in(["C1 ", "copied"], at=4)
    front.sign_in()
    for op in (Op.UPSERT, Op.CLEAR, Op.DELETE):
        told = front.do(op, {"c1": {"name": None}, "c2": {"name": None}})
        assert (told["c1"].outcome, told["c2"].outcome) == (Outcome.REJECTED, Outcome.ACCEPTED)
        assert "rows 2 and " in str(told["c1"].reason)
    assert front.destination.read(front.api, ["c1", "c2"], ["name"]) == {}
    assert front.rows()[0][:2] == ["c1", "Customer 1"]


def test_keys_typed_by_people(front: Front) -> None:
    """A row somebody typed is the key's row: a number for its digits, whatever the case and blanks."""
    front.types_in(["customer_id"], [4711], [" Ada@Example.com "])
    told = front.ready().do(Op.UPSERT, {"4711": person(1), "ada@example.com": person(2)})
    assert [receipt.created for receipt in told.values()] == [False, False]
    assert [row[:2] for row in front.rows()] == [[4711, "Customer 1"], [" Ada@Example.com ", "Customer 2"]]


# taking out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["a value", "a note", "a comment", "nothing", "a formula", "an empty box"])
def test_a_row_others_wrote_on_stays(front: Front, how: str) -> None:
    """A caller's word, note or comment keeps the row and its key; of ours it is emptied. A formula that is
    filled down and a box not ticked say nothing of the customer."""
    front.ready().do(Op.UPSERT, people(1, 2, 3))
    front.types_in(["Caller"], column=4)
    if how == "a value":
        front.types_in(["call again"], at=2, column=4)
    elif how == "a note":
        front.note(2, 0, "careful")
    elif how == "a comment":
        front.tab.put(2, 0, replace(front.tab.cell(2, 0), comments=("thread",)))
    elif how == "a formula":
        front.formula(2, 4, "=C3*2")
    elif how == "an empty box":
        front.types_in([False], at=2, column=4)
    assert front.do(Op.DELETE, {"c2": {}, "c3": {}})["c2"].outcome is Outcome.ACCEPTED
    stays = how in ("a value", "a note", "a comment")
    assert [row[:4] for row in front.rows()] == [
        ["c1", "Customer 1", 1, 99],
        *([["c2", None, None, None]] if stays else []),
    ]


def test_the_last_row_can_go(front: Front) -> None:
    """Sheets keeps one row below a frozen header; taking out all there are leaves an empty one."""
    front.ready()
    front.tab.rows = front.tab.rows[:1]
    front.do(Op.UPSERT, people(1, 2))
    assert len(front.tab.rows) == 3
    assert front.do(Op.DELETE, {"c1": {}, "c2": {}})["c2"].outcome is Outcome.ACCEPTED
    assert (front.rows(), len(front.tab.rows)) == ([], 2)


# order ---------------------------------------------------------------------------------------------


def test_rows_are_kept_in_order_with_all_that_is_on_them(ranked: Front) -> None:
    """New, changed and emptied customers: after each call the rows stand in order, and a caller's words,
    notes, formulas and formats with theirs."""
    ranked.do(Op.UPSERT, {"c1": person(1, rank=10), "c2": person(2, rank=20), "c3": person(3, rank=30)})
    ranked.types_in(["Caller"], ["about c1"], ["about c2"], ["about c3"], column=4)
    ranked.note(1, 1, "note c1")
    ranked.formula(1, 5, "=C2*2")
    ranked.do(Op.UPSERT, {"c4": person(4, rank=15), "c1": person(1, rank=25)})
    assert [row[0] for row in ranked.rows()] == ["c4", "c2", "c1", "c3"]
    assert ranked.rows()[2] == ["c1", "Customer 1", 1, 25, "about c1", "=C4*2"]
    assert ranked.tab.cell(3, 1).note == "note c1"
    ranked.do(Op.DELETE, {"c2": {}, "c4": {}})
    assert [row[0] for row in ranked.rows()] == ["c1", "c3", "c2"]
    ranked.do(Op.CLEAR, {"c1": {"rank": None, "name": None}})
    assert [row[0] for row in ranked.rows()] == ["c3", "c1", "c2"]


def test_the_highest_first(sandbox: Sandbox) -> None:
    """`descending` turns the order round; customers without a value are last in either, equals go by key."""
    front = Front(sandbox, order_by="rank", descending=True).ready()
    ranks = {"c1": 5, "c2": None, "c3": 7, "c4": 5}
    front.do(Op.UPSERT, {key: {"rank": rank} for key, rank in ranks.items()})
    front.do(Op.UPSERT, {"c5": {"rank": 6}})
    assert [row[0] for row in front.rows()] == ["c3", "c5", "c1", "c4", "c2"]
    front.close()


# tab and headers -----------------------------------------------------------------------------------


def test_headers_go_after_everything_there_is(front: Front) -> None:
    """A missing header is put after the last column with anything in it, and the grid grows first."""
    front.types_in(["customer_id", "name"])
    front.tab.columns = 4
    front.types_in(["no header here"], at=5, column=3)
    front.ready()
    assert [cell.value for _, cell in sorted(front.tab.rows[0].items())] == [
        {"stringValue": name} for name in ("customer_id", "name", "orders", "rank")
    ]
    assert sorted(front.tab.rows[0]) == [0, 1, 4, 5]
    assert front.tab.columns == 6


def test_two_columns_of_one_name(front: Front) -> None:
    """Which of them is meant nobody can say: told, and nothing is written."""
    front.types_in(["customer_id", "name", "orders", "name"])
    report = front.destination.ensure_fields(front.api, front.types, create=True)
    assert (report.created, report.problems) == ((), ("name: 2 columns have this header",))


def test_an_order_by_nothing_that_is_mapped(sandbox: Sandbox) -> None:
    """`order_by` names one of the mapped fields, or nothing is written."""
    front = Front(sandbox, order_by="priority")
    report = front.destination.ensure_fields(front.api, front.types, create=True)
    assert report.problems == ("priority: order_by names no mapped field",)
    front.close()


def test_a_tab_renamed_meanwhile(front: Front) -> None:
    """A tab that is gone by the time it is written to needs a person, not a hundred smaller batches."""
    front.ready().do(Op.UPSERT, people(1))
    front.tab.title = "Renamed"
    with pytest.raises(Fatal, match="Unable to parse range"):
        front.do(Op.UPSERT, people(1))


def test_what_there_is(front: Front) -> None:
    """A survey names the tabs and the tab's headers; without the tab, the tabs."""
    assert front.destination.survey(front.api).places == {"tab": ("Sheet1",)}
    front.types_in(["Email", "", "customer_id"])
    front.sign_in()
    found = front.destination.survey(front.api)
    assert (found.keys, [*found.fields], found.places) == (
        ("Email", "customer_id"),
        ["Email", "customer_id"],
        {"tab": ("Sheet1", "Octo")},
    )


# refusals ------------------------------------------------------------------------------------------


def test_who_may_only_look(sandbox: Sandbox) -> None:
    """A spreadsheet shared to look at, or not at all, is Fatal, and says with whom it must be shared."""
    viewer = Front(sandbox, spreadsheet="sandbox-spreadsheet-3")
    with pytest.raises(Fatal, match=r"403 .*as editor, with the service account"):
        viewer.ready()
    nowhere = Front(sandbox, spreadsheet="sandbox-spreadsheet-9")
    with pytest.raises(Fatal, match=r"404 .*as editor, with the service account"):
        nowhere.destination.account(nowhere.api)
    viewer.close()
    nowhere.close()


def test_a_key_that_is_none(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no service account's key is a mistake of the project, told by the variable's name alone."""
    for text in ("nothing", "[]", '{"type": "service_account"}'):
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", text)
        with pytest.raises(ConfigError, match=r"^GOOGLE_SERVICE_ACCOUNT does not hold"):
            Front(sandbox)


def test_a_quota_is_waited_for(front: Front) -> None:
    """Over 60 calls in a minute Google refuses; the wait lets five tries reach the next minute."""
    front.ready()
    front.twin.quota = 0
    with pytest.raises(Retryable) as refused:
        front.do(Op.UPSERT, people(1))
    assert 4 * float(refused.value.wait or 0) >= 60


def test_columns_have_names() -> None:
    """0 is A, 26 is AA, 702 is AAA, here and at the twin; neighbouring rows are one stretch."""
    assert [letters(n) for n in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
    assert [letters(n) for n in range(800)] == [twin_letters(n) for n in range(800)]
    assert [*runs([7, 1, 2, 3, 9])] == [(1, 4), (7, 8), (9, 10)]
    assert [*runs([1, 9, 30], 10)] == [(1, 10), (30, 31)]
