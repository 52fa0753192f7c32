"""What the pages of scores say is what the scores say: descriptions, labels, arithmetic by hand."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from assets.scores import marketing_pressure, promotion_sensitivity, reactivation, responsiveness
from octo_dagster.config import Project
from octo_dagster.pages.board import Board
from octo_dagster.pages.page import pages
from octo_dagster.pages.scores import pressure
from octo_dagster.pages.scores.addresses import SHOWN, page_of
from octo_dagster.pages.scores.calls import day
from octo_dagster.pages.scores.labels import Labels, written
from octo_dagster.pages.scores.movement import flowed, moves
from octo_dagster.pages.scores.rfm import advice, borders, plane, segments_of, sized, strength
from octo_dagster.pages.scores.rhythm import days_of
from octo_dagster.words import catalogue

ROOT = Path(__file__).parents[2]
PAGES = {
    **{"rfm": "rfm", "rhythm": "rhythm", "pressure": "marketing_pressure"},
    **{"promotion": "promotion_sensitivity", "recommendations": "recommendations", "calls": "reactivation"},
}


def test_measures_are_told_as_their_scores_tell_them(tmp_path: Path) -> None:
    """The English line of every measure is a score's description of the column; a page's, the score's own."""
    shipped = {score.name: score for score in Project(ROOT, tmp_path).shipped()}
    told = {(column.name, column.description) for score in shipped.values() for column in score.columns}
    measures = {
        key.removeprefix("measure."): said for key, said in catalogue().items() if key.startswith("measure.")
    }
    assert measures
    assert [name for name, said in measures.items() if (name, said["en"]) not in told] == []
    for page, score in PAGES.items():
        first = " ".join(shipped[score].description.split("\n\n")[0].split())
        assert catalogue()[f"page.{page}"]["en"] == first


def test_labels_are_those_the_scores_write() -> None:
    """Every label that is written in a score's code is known in both languages, as the code has it."""
    known = {(pair["en"], pair["fr"]) for pair in written()}
    pairs = {
        *zip(marketing_pressure.POSITIONS["en"], marketing_pressure.POSITIONS["fr"], strict=True),
        *zip(marketing_pressure.CONSENTS["en"], marketing_pressure.CONSENTS["fr"], strict=True),
        *zip(promotion_sensitivity.CLASSES["en"], promotion_sensitivity.CLASSES["fr"], strict=True),
        *zip(responsiveness.LABELS["en"], responsiveness.LABELS["fr"], strict=True),
        *((label.en, label.fr) for label in (*reactivation.WHY.values(), *reactivation.EXCLUDED.values())),
    }
    assert pairs <= known
    for language, words in pressure.OUTER.items():
        positions = marketing_pressure.POSITIONS["fr" if language == "fr" else "en"]
        assert words == (positions[0], positions[2])


def test_a_project_may_name_things_itself(tmp_path: Path) -> None:
    """A label of a table's settings is said in the visitor's language, one nobody knows as it is."""
    project = Project(tmp_path, tmp_path / "home")
    note = {"settings": {"stages": [{"en": "dormant", "fr": "endormi", "below": None}]}}
    project.warehouse.replace("rhythm", pa.table({"rfi_label": ["dormant"]}), note)
    label = Labels(Board(project), "fr", "rhythm")
    assert [label("dormant"), label("over"), label("mine"), label(None)] == [
        "endormi",
        "sur-pression",
        "mine",
        None,
    ]


def test_the_plane_by_hand() -> None:
    """Two cells of four customers: their shares, the segments' sums and what to do next."""
    places = segments_of({})
    cells = [
        {"recency": 1, "size": 6, "segment": places[1, 6], "customers": 1, "revenue": Decimal(75), "orders": 5, "days": 90},
        {"recency": 6, "size": 1, "segment": places[6, 1], "customers": 3, "revenue": Decimal(25), "orders": 3, "days": 6},
    ]  # fmt: skip
    rows = plane(cells, places)
    assert (rows[0][0].customers, rows[0][0].share, rows[5][5].customers, rows[5][5].share) == (
        1,
        0.75,
        3,
        0.25,
    )
    assert rows[0][0].href == "/customers?where=rfm_recency%3Aeq%3A1&where=rfm_frequency_monetary%3Aeq%3A6"
    best, small = sized(cells, places)
    assert (best.name, best.share, best.revenue_share, best.days) == (
        "Best customers becoming passive",
        0.25,
        0.75,
        90,
    )
    assert (small.average, small.days, small.advice) == (Decimal(25) / 3, 2, "rfm.next.20")
    assert (best.advice, advice("unheard of", places)) == ("rfm.next.02", "rfm.next.other")


def test_borders_are_where_segments_end() -> None:
    """A cell inside its segment has none; one in its corner has two."""
    places = segments_of({"bins": 9})
    assert borders((2, 2), places) == []
    assert sorted(borders((4, 4), places)) == ["edge-bottom", "edge-left"]


def test_moves_by_hand(tmp_path: Path) -> None:
    """Of five customers between two ends one rose, one fell, one stayed, one came and one went."""
    project = Project(tmp_path, tmp_path / "home")
    then, now = date(2025, 1, 31), date(2025, 2, 28)
    best, passive, small = (
        "Best active customers",
        "Best customers becoming passive",
        "Recent small customers",
    )
    rows = [
        *(("a", then, small), ("a", now, best), ("b", then, best), ("b", now, passive)),
        *(("c", then, best), ("c", now, best), ("d", now, small), ("e", then, small)),
    ]
    names = ("customer_id", "period_end", "rfm_segment")
    project.warehouse.replace("rfm_history", pa.table(dict(zip(names, zip(*rows, strict=True), strict=True))))
    money = pa.array([Decimal("1.50"), Decimal(2)], pa.decimal128(18, 2))
    project.warehouse.replace("rfm", pa.table({"customer_id": ["a", "b"], "rfm_revenue": money}))
    board = Board(project)
    ways = {flow.way: (flow.customers, flow.revenue) for flow in flowed(board, (then, now), segments_of({}))}
    assert ways == {
        "up": (1, Decimal("1.50")),
        "down": (1, Decimal(2)),
        "stayed": (1, None),
        "new": (1, None),
        "gone": (1, None),
    }
    assert moves(board, None) == []


def test_segments_rise_with_both_classes() -> None:
    """The best active are highest and the small passive lowest."""
    up = strength(segments_of({}))
    assert max(up, key=up.__getitem__) == "Best active customers"
    assert min(up, key=up.__getitem__) == "Passive small customers"


@pytest.mark.parametrize(
    ("cohort", "first", "last"),
    [
        ("2024-Q1", date(2024, 1, 1), date(2024, 3, 31)),
        ("2024-Q4", date(2024, 10, 1), date(2024, 12, 31)),
        ("2024-02", date(2024, 2, 1), date(2024, 2, 29)),
        ("2023-12", date(2023, 12, 1), date(2023, 12, 31)),
    ],
)
def test_days_of_a_cohort(cohort: str, first: date, last: date) -> None:
    """A quarter or a month, to its last day."""
    assert days_of(cohort) == (first, last)


@pytest.mark.parametrize(("most", "width"), [(0, 1), (23, 1), (24, 2), (Decimal("59.5"), 5), (1_000, 50)])
def test_bars_are_round_and_few(most: float, width: int) -> None:
    """The width of a bar is round, and there are at most twenty-four."""
    assert pressure.step(most) == width


def test_the_file_of_calls_tells_the_day() -> None:
    """Of a moment its day, which is enough on the telephone; all else is as it is."""
    told = (datetime(2025, 3, 1, 9), Decimal("12.50"), "+33 6 12 00 00 01", None)  # noqa: DTZ001
    assert tuple(map(day, told)) == (date(2025, 3, 1), *told[1:])


def test_dagster_leads_to_pages_there_are(tmp_path: Path) -> None:
    """Every page scores are linked to is in the menu, and every score it names is one that is shipped."""
    paths = {page.path for page in pages()}
    assert {*SHOWN} <= paths
    shipped = {score.name for score in Project(ROOT, tmp_path).shipped()}
    assert {name for names in SHOWN.values() for name in names} <= shipped
    assert (page_of("rfm"), page_of("favorite_store")) == ("/rfm", None)
