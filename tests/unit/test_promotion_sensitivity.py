"""Promotion sensitivity's promises: exact, fair between equals, and blind to what must not matter."""

from __future__ import annotations

import tempfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.promotion_sensitivity import promotion_sensitivity
from octo_dagster.bench import promotion as bench
from octo_dagster.errors import ConfigError
from octo_dagster.scoring.settings import checked_settings, load_settings
from tests import scoring_cases
from tests.postgres import postgres, scores_only

__all__ = ["postgres", "scores_only"]
AS_OF = date(2024, 6, 30)
CASES = scoring_cases.paths("promotion_sensitivity")
YAML = Path(__file__).parents[2] / "assets/scores/promotion_sensitivity.yaml"
Rows = list[dict[str, Any]]
shared = pytest.mark.skipif(not bench.SHARED.exists(), reason="../shared, the data sets, is not here")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_duckdb_gives_the_expected_table(path: Path, tmp_path: Path) -> None:
    """The rows of the case, run by DuckDB and written to the warehouse, are the expected ones in order."""
    case = scoring_cases.read(path)
    assert scoring_cases.on_duckdb(promotion_sensitivity, case, tmp_path) == list(case.rows)


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statement run by PostgreSQL gives the expected rows of every case."""
    for path in CASES:
        case = scoring_cases.read(path)
        found = scoring_cases.on_postgres(promotion_sensitivity, case, scores_only)
        assert (path.stem, found) == (path.stem, case.rows)


def order(
    customer: str | None, day: int, status: str, gross: int | None, discount: int | None
) -> dict[str, Any]:
    net = (gross or 1000) - (discount or 0)
    return {
        "customer_id": customer,
        "ordered_at": datetime.fromisoformat("2024-05-20") + timedelta(hours=7 * day),
        "status": status,
        "gross_amount": None if gross is None else Decimal(gross) / 100,
        "discount_amount": None if discount is None else Decimal(discount) / 100,
        "net_amount": Decimal(net) / 100,
    }


BASES = st.lists(
    st.builds(
        order,
        st.sampled_from(["a", "b", "c", "d", "e", None]),
        st.integers(0, 160),
        st.sampled_from(["completed", "completed", "completed", "returned", "cancelled"]),
        st.none() | st.integers(-500, 20000),
        st.none() | st.integers(-500, 9000),
    ),
    max_size=25,
)
small = settings(max_examples=6)


def outcome(orders: Rows, as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return scoring_cases.computed(promotion_sensitivity, {"orders": orders}, Path(root), as_of, **chosen)


@small
@given(BASES, st.randoms(use_true_random=False), st.sampled_from([None, 30]))
def test_the_order_of_rows_changes_nothing(orders: Rows, dice: Any, half_life: int | None) -> None:
    """Shuffled orders give the same table, byte for byte in the same order."""
    shuffled = dice.sample(orders, len(orders))
    assert outcome(shuffled, half_life_days=half_life) == outcome(orders, half_life_days=half_life)


@small
@given(BASES)
def test_later_orders_are_never_seen(orders: Rows) -> None:
    """A score as of the 10th is the same whether or not the later orders are in the table."""
    as_of = date(2024, 6, 10)
    assert outcome(orders, as_of) == outcome([o for o in orders if o["ordered_at"].date() <= as_of], as_of)


OWN = ("discount_count_percent", "discount_value_percent", "weighted_discount_percent", "promophilia_orders")


@small
@given(BASES)
def test_another_customer_changes_nobodys_own_figures(orders: Rows) -> None:
    """The documented percentages are the customer's own; only his place among all may move."""
    other = [order("z", 3, "completed", 5000, 2500)]
    before = {row["customer_id"]: [row[name] for name in OWN] for row in outcome(orders)}
    after = {row["customer_id"]: [row[name] for name in OWN] for row in outcome(orders + other)}
    assert before == {customer: own for customer, own in after.items() if customer != "z"}


@small
@given(BASES)
def test_values_are_in_range_and_ties_share(orders: Rows) -> None:
    """Percentages are 0 to 100, classes 1 to 10, more is never a lower class, equals share."""
    rows = outcome(orders)
    for row in rows:
        assert all(0 <= row[name] <= 100 for name in (*OWN[:3], "promophilia", "promophilia_value_percent"))
        assert 1 <= row["discount_sensitivity"] <= 10
        assert row["weighted_discount_percent"] > 0 or row["discount_sensitivity"] == 1
    for measure, place in (
        ("weighted_discount_percent", "discount_sensitivity"),
        ("promophilia_ratio", "promophilia"),
    ):
        pairs = {(row[measure], row[place]) for row in rows}
        assert [p for _, p in sorted(pairs)] == sorted(p for _, p in pairs)
        assert len({m for m, _ in pairs}) == len(pairs)


@small
@given(BASES)
def test_written_by_hand_it_is_the_same(orders: Rows) -> None:
    """The DuckDB SQL the score's cost is held against gives the same rows."""
    with tempfile.TemporaryDirectory() as root:
        by_hand = scoring_cases.by_hand("promotion_sensitivity", {"orders": orders}, AS_OF, Path(root))
    assert by_hand == outcome(orders)


def test_the_shipped_settings_are_the_defaults() -> None:
    """`promotion_sensitivity.yaml` shows the defaults, so that deleting it changes nothing."""
    told = load_settings(promotion_sensitivity, YAML)
    assert told == {name: promotion_sensitivity.settings[name].default for name in told}
    assert len(told) >= 9


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"weight_value": 70}, "weight_value: with weight_count it must make 100, not 90"),
        ({"averse_to": 1.25}, "averse_to: 1.25 must be below promophile_from, 1.25"),
        ({"minimum_orders": 0}, "minimum_orders: .*greater than or equal to 1"),
        ({"half_life_days": 0}, "half_life_days: .*greater than or equal to 1"),
        ({"promo_percent": 5}, "promo_percent"),
    ],
)
def test_wrong_settings_are_named(chosen: dict[str, Any], message: str) -> None:
    """Weights that do not make 100, crossed cuts, values out of range and unknown words are refused."""
    with pytest.raises(ConfigError, match=message):
        checked_settings(promotion_sensitivity, chosen, "promotion_sensitivity.yaml")


def test_because_tells_the_arithmetic() -> None:
    """`octo explain` shows both measures with their figures, and orders that could not be priced."""
    orders = [order("a", 1, "completed", 10000, 2000), order("a", 2, "completed", None, None)]
    (row,) = outcome(orders)
    assert promotion_sensitivity.because is not None
    told = promotion_sensitivity.because(row, promotion_sensitivity.in_force)
    assert told == [
        "80 % × 20.0 % of value given as discount + 20 % × 100.0 % of orders discounted = 36.0 %, class 1 of 10",
        "1 of 1 orders had 10 % off or more",
        "drawn to the shop's average by the weight of 4 orders: 20.0 % of value, 100.0 % of orders: 1.00 times"
        " the average, more than 0 % of customers: average",
        "orders left out, their price not known or zero: 1",
    ]


@shared
def test_real_orders_give_the_same_on_both_databases(scores_only: sa.Engine, tmp_path: Path) -> None:
    """Every figure of 300 households of Complete Journey is the same on DuckDB and PostgreSQL, and by hand."""
    with duckdb.connect() as connection:
        found = connection.sql(
            f"select * from ({bench.ORDERS}) where cast(customer_id as bigint) <= 300"
        ).to_arrow_table()
    as_of, chosen = date(2017, 12, 31), {"half_life_days": 180}
    case = scoring_cases.Case(
        "real", {"orders": found.to_pylist()}, as_of, chosen, promotion_sensitivity.output, []
    )
    ours = scoring_cases.on_duckdb(promotion_sensitivity, case, tmp_path / "half_life")
    assert len(ours) == 297
    assert ours == scoring_cases.on_postgres(promotion_sensitivity, case, scores_only)
    plain = scoring_cases.computed(promotion_sensitivity, case.tables, tmp_path / "plain", as_of)
    assert scoring_cases.by_hand("promotion_sensitivity", case.tables, as_of, tmp_path / "hand") == plain
