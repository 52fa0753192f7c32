"""The rhythm within categories holds for any lines; chosen categories become columns, shares add up."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.rhythm import rhythm, rhythm_shares_by_cohort
from assets.scores.rhythm_by_category import (
    rhythm_by_category,
    rhythm_of_categories,
    rhythm_shares_by_category,
)
from octo_dagster.errors import ConfigError
from octo_dagster.scoring.library import arranged
from octo_dagster.scoring.pictures.draw import draw
from octo_dagster.scoring.settings import checked_settings, load_settings
from octo_dagster.warehouse import Warehouse
from tests.scoring_cases import Given, by_hand, computed

AS_OF = date(2024, 6, 30)
FOLDER = Path(__file__).parents[2] / "assets/scores"
SCORES = {s.name: s for s in (rhythm, rhythm_by_category, rhythm_of_categories, rhythm_shares_by_category)}
small = settings(max_examples=6)

Rows = list[dict[str, Any]]
Bought = tuple[str | None, int, str, str]
"""Customer, day, product, status."""

PRODUCTS: Rows = [
    {"product_id": "boot", "category": "Shoes"},
    {"product_id": "sandal", "category": "Shoes"},
    {"product_id": "cap", "category": "Hats & caps"},
    {"product_id": "gift", "category": None},
]
BASES = st.lists(
    st.tuples(
        st.sampled_from([*"abcd", None]),
        st.integers(0, 100),
        st.sampled_from(["boot", "sandal", "cap", "cap", "gift", "unheard of"]),
        st.sampled_from(["completed", "completed", "completed", "cancelled", "returned"]),
    ),
    max_size=40,
)


def shop(bought: Sequence[Bought]) -> Given:
    """Orders of one line each."""
    start = datetime.fromisoformat("2024-04-01T12:00")
    orders: Rows = [
        {
            "order_id": str(n),
            "customer_id": customer,
            "ordered_at": start + timedelta(days=day),
            "status": status,
            "net_amount": Decimal(10),
        }
        for n, (customer, day, _, status) in enumerate(bought)
    ]
    lines: Rows = [
        {"order_id": str(n), "line_no": 1, "product_id": product, "quantity": Decimal(1)}
        for n, (_, _, product, _) in enumerate(bought)
    ]
    return {"orders": orders, "order_lines": lines, "products": PRODUCTS}


def outcome(bought: Sequence[Bought], as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return computed(rhythm_by_category, shop(bought), Path(root), as_of, **chosen)


@small
@given(BASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(bought: list[Bought], dice: Any) -> None:
    """Shuffled orders and lines give the same table."""
    assert outcome(dice.sample(bought, len(bought))) == outcome(bought)


@small
@given(BASES)
def test_later_orders_are_never_seen(bought: list[Bought]) -> None:
    """The rhythm as of the fiftieth day is the same whether or not later orders are in the tables."""
    as_of = date(2024, 4, 1) + timedelta(days=50)
    assert outcome(bought, as_of) == outcome([b for b in bought if b[1] <= 50], as_of)


@small
@given(BASES)
def test_the_same_by_hand(bought: list[Bought]) -> None:
    """`by_hand/rhythm_by_category.sql` gives the score's rows exactly."""
    with tempfile.TemporaryDirectory() as root:
        assert by_hand("rhythm_by_category", shop(bought), AS_OF, Path(root)) == outcome(bought)


def test_by_hand_with_categories_of_their_own() -> None:
    """The same holds where a category has the thirty repeat buyers a usual gap of its own takes."""
    bought = [
        (f"{product}{n}", day, product, "completed")
        for product, times in (("boot", 31), ("cap", 29))
        for n in range(times)
        for day in (0, 1 + n % 7, 20 + n)
    ]
    rows = outcome(bought)
    assert {(r["category"], r["rfi_cycle_source"]) for r in rows} == {
        ("Shoes", "own+category"),
        ("Hats & caps", "own+population"),
    }
    with tempfile.TemporaryDirectory() as root:
        assert by_hand("rhythm_by_category", shop(bought), AS_OF, Path(root)) == rows


@small
@given(BASES)
def test_one_category_for_all_is_the_rhythm_of_orders(bought: list[Bought]) -> None:
    """Where everything is of one category, its rhythm is the rhythm of orders."""
    boots = [(customer, day, "boot", status) for customer, day, _, status in bought]
    with tempfile.TemporaryDirectory() as root:
        whole = computed(rhythm, shop(boots), Path(root), AS_OF)
    for row, of_orders in zip(outcome(boots), whole, strict=True):
        del row["category"], row["rfi_cycle_source"]
        assert row.items() <= of_orders.items()


BOUGHT: list[Bought] = [
    ("a", 0, "boot", "completed"),
    ("a", 10, "sandal", "completed"),
    ("a", 85, "cap", "completed"),
    ("b", 80, "cap", "completed"),
    ("b", 90, "cap", "completed"),
    ("c", 80, "gift", "completed"),
]


def test_chosen_categories_become_columns(tmp_path: Path) -> None:
    """One column for each chosen category, empty for who never bought in it; no row for who bought in none."""
    chosen = ("Hats & caps", "Shoes")
    score = rhythm_of_categories.given_settings({"categories": chosen})
    rows = computed(score, shop(BOUGHT), tmp_path, AS_OF, rhythm_by_category, categories=chosen)
    assert rows == [
        {"customer_id": "a", "rfi_label_hats_caps": "single purchase", "rfi_label_shoes": "inactive"},
        {"customer_id": "b", "rfi_label_hats_caps": "recent purchase", "rfi_label_shoes": None},
    ]


def test_without_chosen_categories_the_score_is_left_out(tmp_path: Path) -> None:
    """No category is chosen as shipped: the project has the other rhythms, and not the columns."""
    fed = frozenset({"orders", "order_lines", "products"})
    library = arranged(SCORES, FOLDER, fed, {})
    assert set(library.scores) == set(SCORES) - {"rhythm_of_categories"}
    (tmp_path / "rhythm_of_categories.yaml").write_text("categories: [Shoes]")
    assert "rhythm_of_categories" in arranged(SCORES, tmp_path, fed, {}).scores


def test_columns_are_safe_and_never_the_same() -> None:
    """Accents, signs and other scripts make plain names; one that is taken gets digits of its own."""
    chosen = ("Été / Plage", "ete plage", "帽子", "x" * 80)
    names = [c.name for c in rhythm_of_categories.given_settings({"categories": chosen}).columns]
    assert names == [
        "rfi_label_ete_plage",
        "rfi_label_ete_plage_ee004c",
        "rfi_label_5cb807",
        "rfi_label_" + "x" * 40,
    ]


def test_a_category_given_twice_is_refused() -> None:
    """Two columns of one category are a mistake."""
    with pytest.raises(ConfigError, match="categories: one is given twice"):
        checked_settings(rhythm_of_categories, {"categories": ["a", "a"]}, "f.yaml", SCORES)


def test_shares_by_category(tmp_path: Path) -> None:
    """Of each category, how many customers stand where; the shares add up to 1."""
    rows = computed(rhythm_shares_by_category, shop(BOUGHT), tmp_path, AS_OF, rhythm_by_category)
    assert [tuple(row.values())[:4] for row in rows] == [
        ("Hats & caps", "recent purchase", 1, Decimal("0.5000")),
        ("Hats & caps", "single purchase", 1, Decimal("0.5000")),
        ("Shoes", "inactive", 1, Decimal("1.0000")),
    ]


def test_pictures_have_their_stages_in_order(tmp_path: Path) -> None:
    """Each score's picture is drawn from its table; stages go from the shortest wait to the longest."""
    for score, before in (
        (rhythm, ()),
        (rhythm_shares_by_category, (rhythm_by_category,)),
        (rhythm_shares_by_cohort, (rhythm,)),
    ):
        gone: list[Bought] = [("d", day, "boot", "completed") for day in (0, 10)]
        computed(score, shop([*BOUGHT, *gone]), tmp_path, AS_OF, *before)
        assert score.picture is not None
        with Warehouse(tmp_path).connect() as connection:
            rows = connection.sql(score.picture.query).to_arrow_table().to_pylist()
        assert draw(score, rows).startswith(b"\x89PNG")
        if score is rhythm:
            assert [row["label"] for row in rows] == ["recent purchase", "inactive", "single purchase"]


def test_the_rhythms_settings_hold_here_too(tmp_path: Path) -> None:
    """What `rhythm.yaml` sets is set within categories, unless their own file says otherwise."""
    (tmp_path / "rhythm.yaml").write_text("minimum: 3\nshrinkage: 5\n")
    (tmp_path / "rhythm_by_category.yaml").write_text("shrinkage: 1\n")
    fed = frozenset({"orders", "order_lines", "products"})
    given = arranged(SCORES, tmp_path, fed, {"language": "fr"}).scores["rhythm_by_category"].given
    assert given == {"minimum": 3, "shrinkage": 1, "language": "fr"}


def test_the_shipped_settings_are_the_defaults() -> None:
    """The shipped YAML files show the defaults."""
    for score in (rhythm_by_category, rhythm_of_categories):
        shipped = load_settings(score, FOLDER / f"{score.name}.yaml")
        assert shipped == {name: score.settings[name].default for name in shipped} != {}
