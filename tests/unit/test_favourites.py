"""The favourites' promises: counted as documented, and indifferent to what must not matter."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import CompileError

from assets.scores.favourites import delay_between_purchases, favorite_categories, favorite_store
from octo_dagster.canonical.contracts import sqlalchemy_table
from octo_dagster.errors import ConfigError
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.settings import load_settings
from tests.scoring_cases import by_hand, computed, fill_warehouse

Rows = list[dict[str, Any]]
Given = dict[str, Rows]
SCORES = (favorite_categories, favorite_store, delay_between_purchases)
FOLDER = Path(__file__).parents[2] / "assets/scores"
AS_OF = date(2024, 6, 30)
THINGS = {"p1": "shoes", "p2": "hats", "p3": "socks", "p4": "shoes", "p5": None}
PRODUCTS = [{"product_id": name, "category": thing, "brand": f"B{thing}"} for name, thing in THINGS.items()]
STORES = [{"store_id": "web", "is_online": True}, {"store_id": "s1", "name": "One", "is_online": False}]


def order(number: int, customer: str | None, day: int, status: str, store: str | None) -> dict[str, Any]:
    return {
        "order_id": f"o{number}",
        "customer_id": customer,
        "ordered_at": datetime.fromisoformat("2024-06-01") + timedelta(hours=9 * day),
        "status": status,
        "net_amount": "10.00",
        "store_id": store,
    }


ORDERS = st.lists(
    st.builds(
        order,
        st.integers(0, 1000),
        st.sampled_from(["a", "b", "c", None]),
        st.integers(0, 79),
        st.sampled_from(["completed", "completed", "completed", "returned", "cancelled"]),
        st.sampled_from(["web", "s1", "s2", "s3", None]),
    ),
    max_size=16,
    unique_by=lambda row: row["order_id"],
)
LINES = st.lists(st.tuples(st.integers(0, 15), st.sampled_from(sorted(THINGS)), st.booleans()), max_size=40)
small = settings(max_examples=4)


def shop(orders: Rows, lines: list[tuple[int, str, bool]]) -> Given:
    """A shop with its tables; lines belong to orders by their place, and to none past the last."""
    sold = [
        {"order_id": orders[place]["order_id"], "line_no": no, "product_id": product, "is_return": back}
        for no, (place, product, back) in enumerate(lines)
        if place < len(orders)
    ]
    return {"orders": orders, "order_lines": sold, "products": PRODUCTS, "stores": STORES}


def outcome(score: Score, tables: Given, as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return computed(score, tables, Path(root), as_of, **chosen)


def purchases(tables: Given) -> dict[str, Rows]:
    """Each customer's purchases, by the rule and not by the score."""
    found: dict[str, Rows] = defaultdict(list)
    for row in tables["orders"]:
        if row["customer_id"] and row["status"] == "completed" and row["ordered_at"].date() <= AS_OF:
            found[row["customer_id"]].append(row)
    return found


def best(counted: Mapping[str, Rows]) -> list[str]:
    """The most purchases first, then the latest, then the first by name."""

    def place(name: str) -> tuple[int, float, str]:
        rows = counted[name]
        return (-len(rows), -max(row["ordered_at"].timestamp() for row in rows), name)

    return sorted(counted, key=place)


@small
@given(ORDERS, LINES)
def test_categories_are_ranked_by_distinct_purchases(orders: Rows, lines: Any) -> None:
    """The three are those with most purchases, however many lines each has; equals by date, then name."""
    tables = shop(orders, lines)
    expected = {}
    for customer, bought in purchases(tables).items():
        counted: dict[str, Rows] = defaultdict(list)
        for row in bought:
            mine = [
                s for s in tables["order_lines"] if s["order_id"] == row["order_id"] and not s["is_return"]
            ]
            for thing in {THINGS[s["product_id"]] for s in mine} - {None}:
                counted[str(thing)].append(row)
        if counted:
            expected[customer] = [(thing, len(counted[thing])) for thing in best(counted)[:3]]
    rows = outcome(favorite_categories, tables)
    assert {row["customer_id"]: slots(row) for row in rows} == expected


def slots(row: Mapping[str, Any]) -> list[tuple[str, int]]:
    names = [(row[f"favorite_category_{i}"], row[f"favorite_category_{i}_orders"]) for i in (1, 2, 3)]
    return [name for name in names if name != (None, None)]


@small
@given(ORDERS, LINES, st.integers(1, 10))
def test_the_list_holds_what_the_columns_hold(orders: Rows, lines: Any, top: int) -> None:
    """`split: false` gives the same favourites in one column, with commas between."""
    tables = shop(orders, lines)
    apart = outcome(favorite_categories, tables, top=top)
    names = [f"favorite_category_{i}" for i in range(1, top + 1)]
    assert outcome(favorite_categories, tables, top=top, split=False) == [
        {
            "customer_id": row["customer_id"],
            "favorite_categories": ", ".join(row[name] for name in names if row[name]),
            "favorite_categories_orders": ", ".join(
                str(row[f"{name}_orders"]) for name in names if row[name]
            ),
        }
        for row in apart
    ]


@small
@given(ORDERS)
def test_the_store_is_the_one_with_most_purchases(orders: Rows) -> None:
    """Web shops left out, the most purchases win; equals by date, then id; the figures are the store's."""
    expected = {}
    for customer, bought in purchases(shop(orders, [])).items():
        counted: dict[str, Rows] = defaultdict(list)
        for row in bought:
            if row["store_id"] not in {None, "web"}:
                counted[row["store_id"]].append(row)
        if counted:
            store = best(counted)[0]
            last = max(row["ordered_at"] for row in counted[store])
            expected[customer] = (store, "One" if store == "s1" else None, len(counted[store]), last)
    rows = outcome(favorite_store, shop(orders, []))
    assert {customer: told for customer, *told in (row.values() for row in rows)} == {
        customer: list(told) for customer, told in expected.items()
    }


@small
@given(ORDERS)
def test_an_endless_half_life_weighs_nothing(orders: Rows) -> None:
    """With a half-life far beyond every order's age the favourites are those without one."""
    tables = shop(orders, [])
    assert outcome(favorite_store, tables, half_life_days=36_500) == outcome(favorite_store, tables)


@small
@given(ORDERS, st.booleans())
def test_the_delay_is_the_mean_of_the_gaps(orders: Rows, merged: bool) -> None:
    """The gaps in days between neighbours, averaged and rounded halves upwards; null for fewer than two."""
    expected = {}
    for customer, bought in purchases(shop(orders, [])).items():
        days = sorted(row["ordered_at"].date() for row in bought)
        days = sorted(set(days)) if merged else days
        gaps = [(after - before).days for before, after in pairwise(days)]
        mean = int(sum(gaps) / len(gaps) + 0.5) if gaps else None
        expected[customer] = (mean, len(days), sum(gaps))
    rows = outcome(delay_between_purchases, shop(orders, []), merge_same_day=merged)
    assert {customer: tuple(told) for customer, *told in (row.values() for row in rows)} == expected


@small
@given(ORDERS, LINES, st.randoms(use_true_random=False), st.sampled_from(SCORES))
def test_what_must_not_matter_does_not(orders: Rows, lines: Any, dice: Any, score: Score) -> None:
    """Shuffled rows, another customer's, a guest's and later orders change nobody's favourites."""
    noise = [order(2000, None, 3, "completed", "s2"), order(2001, "a", 90, "completed", "s2")]
    noise += [order(2002, "stranger", 3, "completed", "s2")]
    sold = [
        {"order_id": row["order_id"], "line_no": 1, "product_id": "p3", "is_return": False} for row in noise
    ]
    tables = shop(orders, lines)
    with_noise = {name: dice.sample(rows, len(rows)) for name, rows in tables.items()}
    with_noise["orders"] += noise
    with_noise["order_lines"] += sold
    others = [row for row in outcome(score, with_noise) if row["customer_id"] != "stranger"]
    assert others == outcome(score, tables)


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_by_hand_is_the_same(score: Score, tmp_path: Path) -> None:
    """The DuckDB SQL that the bench compares with gives the score's rows."""
    orders = [order(i, f"c{i * i % 17}", i * 37 % 83, "completed", f"s{i % 4}") for i in range(90)]
    tables = shop(orders, [(i * 7 % 90, f"p{i * i % 5 + 1}", i % 11 == 0) for i in range(300)])
    assert by_hand(score.name, tables, AS_OF, tmp_path / "hand") == computed(score, tables, tmp_path, AS_OF)


@pytest.mark.parametrize("score", SCORES, ids=lambda score: score.name)
def test_the_shipped_settings_are_the_defaults(score: Score) -> None:
    """The YAML file shows defaults, so that deleting it changes nothing."""
    shown = load_settings(score, FOLDER / f"{score.name}.yaml")
    assert shown == {name: score.settings[name].default for name in shown}
    assert set(score.settings) - set(shown) <= {"since", "window_days", "half_life_days"}


@pytest.mark.parametrize(
    ("score", "chosen", "message"),
    [
        (favorite_categories, {"top": 11}, "top: "),
        (favorite_categories, {"field": "name"}, "field: "),
        (favorite_store, {"half_life_days": 0}, "half_life_days: "),
        (
            favorite_store,
            {"since": "2024-07-01"},
            "since: 2024-07-01 is after the day of the score, 2024-06-30",
        ),
        (delay_between_purchases, {"language": "en"}, "language: "),
    ],
)
def test_wrong_settings_are_named(score: Score, chosen: dict[str, Any], message: str) -> None:
    """Values out of range and settings a score does not know are refused by their names."""
    with pytest.raises(ConfigError, match=message):
        outcome(score, shop([], []), **chosen)


@pytest.mark.parametrize(
    ("score", "chosen", "sentence"),
    [
        (
            favorite_categories,
            {},
            "purchases with something of the category: shoes in 2, hats in 1; between equals the one bought"
            " last is first",
        ),
        (favorite_categories, {"split": False}, "shoes, hats: purchases with something of each: 2, 1"),
        (favorite_store, {}, "One: 2 purchases there, the last at 2024-06-10 00:00:00"),
        (
            favorite_store,
            {"half_life_days": 9},
            "One: 2 purchases there, the last at 2024-06-10 00:00:00; an order weighs half as much after 9 days",
        ),
        (delay_between_purchases, {}, "9 days from the first to the last of 2 orders, ÷ 1"),
    ],
)
def test_favourites_are_explained_by_their_figures(
    score: Score, chosen: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    """The sentence holds the counts that made the favourite, and the picture's query its customers."""
    tables = shop(
        [order(1, "a", 0, "completed", "s1"), order(2, "a", 24, "completed", "s1")],
        [(0, "p1", False), (1, "p4", False), (1, "p2", False)],
    )
    warehouse = fill_warehouse(tmp_path, tables)
    scoring.run(score, warehouse, AS_OF, chosen)
    assert score.because is not None
    assert score.picture is not None
    with warehouse.connect() as connection:
        (row,) = connection.sql(f"select * from {score.name}").to_arrow_table().to_pylist()
        (drawn,) = connection.sql(score.picture.query).to_arrow_table().to_pylist()
    assert score.because(row, score.given_settings(chosen).in_force) == [sentence]
    assert (list(drawn)[:2], drawn["customers"]) == (["label", "customers"], 1)


def test_names_are_ordered_by_their_bytes_everywhere() -> None:
    """PostgreSQL is told to: its own order of letters follows the locale the server was made with."""
    tables = {name: sqlalchemy_table(name) for name in ("orders", "order_lines", "products")}
    query = scoring.statement(favorite_categories, tables, AS_OF)
    assert 'DESC, (counts.thing collate "C"))' in str(query.compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    with pytest.raises(CompileError, match="bytewise"):
        str(query)
