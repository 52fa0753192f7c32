"""RFM's past is what RFM said then: exactly, whatever the settings, and never knowing what came after."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.rfm import rfm
from assets.scores.rfm_history import Periodicity, last_periods, rfm_history
from assets.scores.rfm_trend import rfm_transitions, rfm_trend
from octo_dagster.errors import ConfigError
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.settings import load_settings
from tests.scoring_cases import by_hand, computed, fill_warehouse

Rows = list[dict[str, Any]]
SCORES = Path(__file__).parents[2] / "assets/scores"
AS_OF = date(2024, 6, 30)


def order(customer: str | None, day: int, status: str, cents: int) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "ordered_at": datetime.fromisoformat("2024-01-01") + timedelta(hours=7 * day),
        "status": status,
        "net_amount": Decimal(cents) / 100,
    }


BASES = st.lists(
    st.builds(
        order,
        st.sampled_from(["a", "b", "c", "d", "e", None]),
        st.integers(0, 700),
        st.sampled_from(["completed", "completed", "completed", "returned", "cancelled"]),
        st.integers(-5000, 20000),
    ),
    max_size=25,
)
CUTS = st.fixed_dictionaries(
    {"method": st.sampled_from(["repeat_aware", "strict", "r_rfm"])},
    optional={
        "window_days": st.integers(1, 90),
        "since": st.just("2024-03-05"),
        "fxm": st.just("product_sextile"),
        "cuts_monetary": st.just([1, 20, 50, 100, 200]),
    },
)
small = settings(max_examples=6)


def outcome(score: Score, orders: Sequence[dict[str, Any]], as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return computed(score, {"orders": orders}, Path(root), as_of, **chosen)


def segments_at(orders: Sequence[dict[str, Any]], day: date, **chosen: Any) -> dict[str, tuple[Any, ...]]:
    """What RFM says when it is run for the day; nothing of a day before `since`."""
    if "since" in chosen and day < date.fromisoformat(chosen["since"]):
        return {}
    rows = outcome(rfm, orders, day, **chosen)
    names = ("rfm_recency", "rfm_frequency_monetary", "rfm_segment")
    return {row["customer_id"]: tuple(row[name] for name in names) for row in rows}


@small
@given(BASES, CUTS, st.sampled_from(["month", "quarter"]))
def test_a_period_is_what_rfm_says_run_for_its_last_day(
    orders: Rows, chosen: dict[str, Any], periodicity: Periodicity
) -> None:
    """Every row equals RFM's of that day, with each method, window and cut, and nobody has more or fewer."""
    rows = outcome(rfm_history, orders, periods=3, periodicity=periodicity, **chosen)
    for (_, before), (_, end) in pairwise(last_periods(AS_OF, periodicity, 4)):
        then, now = segments_at(orders, before, **chosen), segments_at(orders, end, **chosen)
        mine = {row["customer_id"]: row for row in rows if row["period_end"] == end}
        assert {
            customer: (row["rfm_recency"], row["rfm_frequency_monetary"], row["rfm_segment"])
            for customer, row in mine.items()
        } == now
        previous = {customer: segment for customer, (*_, segment) in then.items()}
        assert all(row["rfm_previous_segment"] == previous.get(name) for name, row in mine.items())


@small
@given(BASES, CUTS)
def test_the_trend_compares_what_rfm_said(orders: Rows, chosen: dict[str, Any]) -> None:
    """The segments 30 and 90 days ago are RFM's of those days, and points are the classes moved since."""
    now, recent, earlier = (segments_at(orders, AS_OF - timedelta(back), **chosen) for back in (0, 30, 90))
    rows = outcome(rfm_trend, orders, **chosen)
    assert {row["customer_id"] for row in rows} == set(now)
    for row in rows:
        name = row["customer_id"]
        assert row["rfm_segment_30d_ago"] == recent.get(name, (None,))[-1]
        assert row["rfm_segment_90d_ago"] == earlier.get(name, (None,))[-1]
        if name in earlier:
            moved = [now[name][i] - earlier[name][i] for i in (0, 1)]
            assert row["rfm_trend_points"] == sum(moved)
            assert row["rfm_trend"] == told(sum(moved))
        else:
            assert (row["rfm_trend"], row["rfm_trend_points"]) == ("new", None)


def told(points: int) -> str:
    return "rising" if points >= 2 else "falling" if points <= -2 else "steady"


@small
@given(BASES, CUTS)
def test_transitions_count_every_customer_once(orders: Rows, chosen: dict[str, Any]) -> None:
    """The matrix's margins are the segments of both days, and the new and the gone are the difference."""
    now, then = (segments_at(orders, AS_OF - timedelta(back), **chosen) for back in (0, 90))
    cells = {
        (row["from_segment"], row["to_segment"]): row["customers"]
        for row in outcome(rfm_transitions, orders, **chosen)
    }
    expected: dict[tuple[str, str], int] = {}
    for name in now.keys() | then.keys():
        cell = (then.get(name, ("(new)",))[-1], now.get(name, ("(gone)",))[-1])
        expected[cell] = expected.get(cell, 0) + 1
    assert cells == expected


@small
@given(BASES, st.randoms(use_true_random=False), st.sampled_from([rfm_history, rfm_trend, rfm_transitions]))
def test_what_must_not_matter_does_not(orders: Rows, dice: Any, score: Score) -> None:
    """Shuffled rows, a guest's order and orders after the day change nothing."""
    later = [order("a", 900, "completed", 100), order("z", 730, "completed", 100)]
    noise = [*orders, *later, order(None, 10, "completed", 900)]
    assert outcome(score, dice.sample(noise, len(noise))) == outcome(score, orders)


@pytest.mark.parametrize("score", [rfm_history, rfm_trend, rfm_transitions], ids=lambda score: score.name)
def test_by_hand_is_the_same(score: Score, tmp_path: Path) -> None:
    """The DuckDB SQL that the bench compares with gives the score's rows."""
    orders = [
        order(f"c{i * i % 23}", i * 37 % 720, "returned" if i % 9 == 0 else "completed", 7 * i - 200)
        for i in range(140)
    ]
    given = {"orders": orders}
    assert by_hand(score.name, given, AS_OF, tmp_path / "hand") == computed(score, given, tmp_path, AS_OF)


@pytest.mark.parametrize("score", [rfm_history, rfm_trend, rfm_transitions], ids=lambda score: score.name)
def test_the_shipped_settings_are_the_defaults(score: Score) -> None:
    """The YAML file shows the score's own settings with their defaults; the rest follows rfm.yaml."""
    shown = load_settings(score, SCORES / f"{score.name}.yaml")
    assert shown == {name: score.settings[name].default for name in shown}
    assert set(score.settings) - set(shown) == set(rfm.settings)
    assert score.settings_from == "rfm"


def test_periods_are_over_by_the_day() -> None:
    """A month that ends on the day is over, one that does not is not; quarters and years begin in January."""
    assert last_periods(date(2024, 3, 31), "month", 2) == [
        (date(2024, 2, 1), date(2024, 2, 29)),
        (date(2024, 3, 1), date(2024, 3, 31)),
    ]
    assert last_periods(date(2024, 3, 30), "month", 1) == [(date(2024, 2, 1), date(2024, 2, 29))]
    assert last_periods(date(2024, 3, 30), "quarter", 1) == [(date(2023, 10, 1), date(2023, 12, 31))]
    assert last_periods(date(2024, 12, 31), "year", 1) == [(date(2024, 1, 1), date(2024, 12, 31))]


def test_look_backs_must_be_apart() -> None:
    """Two equal look-backs would be one column twice: refused with the setting's name."""
    with pytest.raises(ConfigError, match="recent_days: 90 is not below earlier_days, 90"):
        outcome(rfm_trend, [], recent_days=90)


def test_the_trend_is_explained_by_its_figures(tmp_path: Path) -> None:
    """The sentence holds both movements, their sum and the bar; a new customer's says why there are none."""
    warehouse = fill_warehouse(
        tmp_path, {"orders": [order("a", 1, "completed", 100), order("b", 700, "completed", 100)]}
    )
    scoring.run(rfm_trend, warehouse, date(2024, 8, 30))
    with warehouse.connect() as connection:
        rows = connection.sql("select * from rfm_trend").to_arrow_table().to_pylist()
    assert rfm_trend.because is not None
    assert [rfm_trend.because(row, rfm_trend.in_force) for row in rows] == [
        [
            "steady: since 90 days ago recency moved by +0 and frequency × monetary by +0: +0 in all;"
            " from +2 on rising, from -2 on falling"
        ],
        ["new: no order that counted 90 days ago"],
    ]


@pytest.mark.parametrize("score", [rfm_history, rfm_trend, rfm_transitions], ids=lambda score: score.name)
def test_the_picture_has_its_columns(score: Score, tmp_path: Path) -> None:
    """The picture's query runs over the score's table and gives what its kind is drawn from."""
    warehouse = fill_warehouse(tmp_path, {"orders": [order("a", 1, "completed", 100)]})
    scoring.run(score, warehouse, AS_OF)
    assert score.picture is not None
    with warehouse.connect() as connection:
        drawn = connection.sql(score.picture.query).to_arrow_table()
    wanted = ["row", "column", "customers"] if score.picture.kind == "matrix" else ["label", "customers"]
    assert drawn.column_names[: len(wanted)] == wanted
    assert sum(drawn["customers"].to_pylist()) == (6 if score is rfm_history else 1)
