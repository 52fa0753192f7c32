"""The chance to return is learnt from the past only, the same at every run, or not told at all."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from assets.scores.return_chance import return_chance, return_chance_check
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.measures import logistic
from octo_dagster.scoring.pictures.draw import draw
from octo_dagster.scoring.settings import load_settings
from octo_dagster.warehouse import Warehouse
from tests.orders import SCHEMA, rows_of

AS_OF = date(2024, 12, 31)
START = datetime.fromisoformat("2023-07-01T12:00")

Rows = list[dict[str, Any]]


def purchases(customers: int, seed: int = 1) -> Rows:
    """Customers who each buy at a pace of their own until the end of 2024 and after; a third stop early."""
    dice = np.random.default_rng(seed)
    rows: Rows = []
    for n in range(customers):
        pace, day = dice.uniform(5, 120), dice.uniform(0, 200)
        end = dice.uniform(day, 600) if n % 3 == 0 else 700
        while day < end:
            at = START + timedelta(days=int(day))
            rows.append({"customer_id": f"c{n}", "ordered_at": at, "status": "completed"})
            day += dice.exponential(pace)
    return [{**row, "order_id": str(n), "net_amount": Decimal(10)} for n, row in enumerate(rows)]


def outcome(score: Any, orders: Rows, root: Path, as_of: date = AS_OF, **chosen: Any) -> Rows:
    warehouse = Warehouse(root)
    warehouse.replace("orders", pa.Table.from_pylist(orders, schema=SCHEMA))
    scoring.run(score, warehouse, as_of, chosen)
    return rows_of(warehouse, score.name)


@pytest.fixture(scope="module")
def orders() -> Rows:
    return purchases(1_300)


@pytest.fixture(scope="module")
def chances(orders: Rows, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return outcome(return_chance, orders, tmp_path_factory.mktemp("chances"))


def test_everybody_has_a_chance_learnt_from_the_past(chances: Rows, orders: Rows) -> None:
    """Each customer with a purchase has one row, a chance between 0 and 1, and what it was learnt from."""
    bought = {row["customer_id"] for row in orders if row["ordered_at"].date() <= AS_OF}
    assert [row["customer_id"] for row in chances] == sorted(bought)
    assert all(0 < row["p_return"] < 1 for row in chances)
    (basis,) = {row["p_return_basis"] for row in chances}
    assert basis.startswith("learnt from 3,")


def test_those_who_return_had_the_higher_chances(chances: Rows, orders: Rows) -> None:
    """Of the customers with chances above one half, far more came back than of the others."""
    later = range(1, 61)
    came = {r["customer_id"] for r in orders if (r["ordered_at"].date() - AS_OF).days in later}
    high = [row["customer_id"] in came for row in chances if row["p_return"] > 0.5]
    low = [row["customer_id"] in came for row in chances if row["p_return"] <= 0.5]
    assert np.mean(high) > np.mean(low) + 0.4


def test_later_orders_and_the_order_of_rows_change_nothing(
    chances: Rows, orders: Rows, tmp_path: Path
) -> None:
    """Shuffled, and without the orders after the day, the same chances come out."""
    before = [row for row in orders if row["ordered_at"].date() <= AS_OF]
    np.random.default_rng(2).shuffle(before)
    assert outcome(return_chance, before, tmp_path) == chances


@pytest.mark.parametrize(
    ("customers", "chosen", "basis"),
    [
        (40, {}, "too few customers: 40 of 1,000"),
        (40, {"language": "fr"}, "trop peu de clients : 40 sur 1 000"),
        (0, {}, None),
    ],
)
def test_too_few_customers_have_no_chance(
    customers: int, chosen: dict[str, Any], basis: str | None, tmp_path: Path
) -> None:
    """A shop with too little of a past gets no chances, and is told why."""
    rows = outcome(return_chance, purchases(customers), tmp_path, **chosen)
    assert {row["p_return"] for row in rows} <= {None}
    assert {row["p_return_basis"] for row in rows} == ({basis} if basis else set())


def test_too_few_who_came_back_or_stayed_away(tmp_path: Path) -> None:
    """A hundred of either outcome are needed, however many customers there are."""
    once = [
        {
            "order_id": str(n),
            "customer_id": f"c{n}",
            "ordered_at": START,
            "status": "completed",
            "net_amount": 1,
        }
        for n in range(1_000)
    ]
    again = [
        {**row, "order_id": f"a{n}", "ordered_at": START + timedelta(days=1)} for n, row in enumerate(once)
    ]
    rows = outcome(return_chance, [*once, *again[:99]], tmp_path)
    assert {row["p_return_basis"] for row in rows} == {"too few who came back: 0 of 100"}
    daily = [
        {**row, "order_id": f"{n}-{day}", "ordered_at": START + timedelta(days=day)}
        for n, row in enumerate(once)
        for day in range(0, 60, 10)
    ]
    as_of = START.date() + timedelta(days=50)
    rows = outcome(return_chance, daily, tmp_path, as_of, within_days=10)
    assert {row["p_return_basis"] for row in rows} == {"too few who stayed away: 0 of 100"}


def test_of_many_customers_it_learns_from_some(tmp_path: Path) -> None:
    """Everybody has a chance, near the one learnt from all; those learnt from are always the same."""
    orders = purchases(2_500)
    of_all = outcome(return_chance, orders, tmp_path)
    rows = outcome(return_chance, orders, tmp_path, learners=2_000)
    assert outcome(return_chance, orders[::-1], tmp_path, learners=2_000) == rows
    assert rows[0]["p_return_basis"] < of_all[0]["p_return_basis"]
    for row, other in zip(rows, of_all, strict=True):
        assert row["customer_id"] == other["customer_id"]
        assert row["p_return"] == pytest.approx(other["p_return"], abs=Decimal("0.05"))


def test_the_check_sets_chances_beside_what_came(orders: Rows, tmp_path: Path) -> None:
    """Five rising fifths whose chances, told two months ago, are near the shares that came back since."""
    rows = outcome(return_chance_check, orders, tmp_path)
    assert [row["fifth"] for row in rows] == [1, 2, 3, 4, 5]
    assert sorted(row["predicted"] for row in rows) == [row["predicted"] for row in rows]
    assert all(abs(row["predicted"] - row["observed"]) < Decimal("0.12") for row in rows)
    assert outcome(return_chance_check, purchases(40), tmp_path) == []


@pytest.mark.parametrize("customers", [1_300, 40])
def test_pictures_are_drawn_with_and_without_chances(customers: int, tmp_path: Path) -> None:
    """Bars of tenths in their order, or one of why there is no chance; and the check's, which may be empty."""
    labels = []
    for score in (return_chance, return_chance_check):
        outcome(score, purchases(customers), tmp_path)
        assert score.picture is not None
        with Warehouse(tmp_path).connect() as connection:
            rows = connection.sql(score.picture.query).to_arrow_table().to_pylist()
        assert draw(score, rows).startswith(b"\x89PNG")
        labels.append([row["label"] for row in rows])
    tenths, fifths = labels
    if customers == 40:
        assert labels == [["too few customers: 40 of 1,000"], []]
    else:
        assert (tenths[0], tenths[-1]) == ("0–10 %", "90–100 %")
        assert fifths == [f"fifth {n}" for n in range(1, 6)]


def test_it_says_what_the_chance_rests_on(chances: Rows) -> None:
    """The chance, its days and what it was learnt from; or why there is none."""
    assert return_chance.because is not None
    row = {"p_return": Decimal("0.4200"), "p_return_basis": "learnt from 3,900 past cases"}
    assert return_chance.because(row, {"within_days": 60}) == [
        "42% of customers like this one bought within 60 days (learnt from 3,900 past cases: days since the last"
        " and the first purchase, number of purchases, cycle)"
    ]
    none = {"p_return": None, "p_return_basis": "too few customers: 40 of 1,000"}
    assert return_chance.because(none, {}) == ["no chance is told: too few customers: 40 of 1,000"]
    french = ["aucune probabilité donnée\xa0: trop peu de clients : 40 sur 1 000"]
    assert return_chance.because(none, {}, "fr") == french
    (learnt,) = return_chance.because(
        row | {"p_return_basis": "appris de 12 345 cas passés"}, {"within_days": 60}
    )
    assert "(learnt from 12,345 past cases: days since" in learnt


def test_the_regression_finds_the_weights_it_was_made_with() -> None:
    """Chances drawn from known weights are found again, and a column that never changes has no weight."""
    dice = np.random.default_rng(3)
    rows = np.column_stack([dice.normal(5, 2, 20_000), dice.normal(0, 1, 20_000), np.full(20_000, 7.0)])
    true = 1 / (1 + np.exp(-(0.8 * rows[:, 0] - 4 - 1.5 * rows[:, 1])))
    yes = (dice.random(20_000) < true).astype(np.float64)
    found = logistic.fitted(rows, yes)
    assert np.abs(found.chances(rows) - true).mean() < 0.01
    assert found.weights[3] == 0


def test_the_shipped_settings_are_the_defaults() -> None:
    """`return_chance.yaml` shows the defaults."""
    shipped = load_settings(return_chance, Path(__file__).parents[2] / "assets/scores/return_chance.yaml")
    assert shipped == {name: return_chance.settings[name].default for name in shipped} != {}
