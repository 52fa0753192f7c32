"""What is recommended in small shops, where the right answer can be reasoned out by hand."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from assets.scores.category_recommendations import category_recommendations
from assets.scores.recommendations import recommendations, related_products
from octo_dagster.errors import ConfigError
from octo_dagster.score import Score
from octo_dagster.scoring import settings as settings_of
from tests.baskets import ANY, bought, lists, product, run, shop, told

SCORES = Path(__file__).parents[2] / "assets/scores"

COFFEE = bought(("ann", "coffee", 40), ("ann", "filter", 40), ("bob", "coffee", 9), ("bob", "filter", 9))
CAT = bought(("cat", "coffee", 30), ("cat", "coffee", 12))
MUG = bought(("dan", "mug", 5), ("eve", "mug", 5))


def test_what_goes_with_what_by_hand(tmp_path: Path) -> None:
    """Ann and Bob bought coffee and filters, Cat coffee only: 1/(2^.4 · 1^.6) and 1/(1^.4 · 2^.6)."""
    found = run(shop(tmp_path, [*COFFEE, *CAT]), related_products, **ANY)
    assert [(row["product_id"], row["rank"], row["related_product_id"]) for row in found] == [
        ("coffee", 1, "filter"),
        ("filter", 1, "coffee"),
    ]
    assert [float(row["strength"]) for row in found] == [75.7858, 65.9754]


def test_a_wholesaler_votes_once(tmp_path: Path) -> None:
    """Who bought a hundred products says less about any two of them than who bought just the two."""
    wholesaler = bought(
        *(("big", f"p{n:03}", 10) for n in range(98)), ("big", "coffee", 10), ("big", "tea", 10)
    )
    found = run(shop(tmp_path, [*COFFEE, *wholesaler]), related_products, **ANY)
    best = next(row for row in found if row["product_id"] == "coffee" and row["rank"] == 1)
    assert best["related_product_id"] == "filter"


def test_what_one_lacks_of_what_belongs_together_is_discovered(tmp_path: Path) -> None:
    """Cat has coffee and no filters: filters come first although more people just bought mugs."""
    warehouse = shop(tmp_path, [*COFFEE, *CAT, *MUG])
    assert lists(warehouse, "discover", **ANY, discover_popularity=0.5)["cat"] == ["filter", "mug"]
    sentences = told(warehouse, **ANY, discover_popularity=0.5)
    assert sentences["cat", "discover", "filter"] == "goes with coffee"
    assert sentences["cat", "discover", "mug"] == "popular now"


def test_what_was_bought_is_bought_again(tmp_path: Path) -> None:
    """`reorder` starts with what Cat bought and says how often and when; `discover` never holds it."""
    warehouse = shop(tmp_path, [*COFFEE, *CAT, *MUG])
    sentences = told(warehouse, **ANY)
    assert lists(warehouse, "reorder", **ANY)["cat"][0] == "coffee"
    assert sentences["cat", "reorder", "coffee"] == "bought 2 times, last 12 days ago"
    assert ("cat", "discover", "coffee") not in sentences
    assert sentences["ann", "reorder", "filter"] == "bought once, 40 days ago"


def test_reasons_are_told_in_french(tmp_path: Path) -> None:
    """The same reasons in the project's language, products by their names."""
    warehouse = shop(tmp_path, [*COFFEE, *CAT], [product("coffee", name="Café"), product("filter")])
    sentences = told(warehouse, **ANY, language="fr")
    assert sentences["cat", "reorder", "coffee"] == "acheté 2 fois, la dernière fois il y a 12 jours"
    assert sentences["cat", "discover", "filter"] == "va avec Café"


def test_what_may_not_be_sold_is_not_recommended(tmp_path: Path) -> None:
    """Out of stock, of an excluded category, not listed, listed later: in neither list, not even if bought."""
    shelf = [
        product("coffee", in_stock=False),
        product("filter", category="GIFT CARDS"),
        product("mug", in_stock=True),
        product("later", created_at=datetime.fromisoformat("2024-07-01")),
        product("tea"),
    ]
    warehouse = shop(tmp_path, [*COFFEE, *MUG, *bought(("cat", "gone", 3))], shelf)
    found = run(warehouse, recommendations, **ANY, excluded_categories=("GIFT CARDS",))
    assert {row["product_id"] for row in found} == {"mug", "tea"}


def test_only_what_was_really_bought_counts(tmp_path: Path) -> None:
    """Cancelled and returned orders, returned lines, lines without a product and guests make no taste."""
    nothing = bought(
        ("cat", "filter", 3, {"status": "cancelled"}),
        ("cat", "filter", 3, {"status": "returned"}),
        ("cat", "filter", 3, {"is_return": True}),
        ("cat", "filter", 3, {"quantity": -1}),
        ("cat", None, 3),
        (None, "filter", 3),
        (None, "coffee", 3),
    )
    with_them = run(shop(tmp_path / "a", [*COFFEE, *nothing]), related_products, **ANY)
    assert with_them == run(shop(tmp_path / "b", COFFEE), related_products, **ANY)


def test_what_came_back_is_not_recommended_again(tmp_path: Path) -> None:
    """A product given back is in neither list, until it is bought once more after that."""
    back = bought(("cat", "coffee", 10, {"is_return": True}))
    again = bought(("cat", "coffee", 2))
    given_back = run(shop(tmp_path / "a", [*COFFEE, *CAT, *back]), recommendations, **ANY)
    assert "coffee" not in {row["product_id"] for row in given_back if row["customer_id"] == "cat"}
    rebought = shop(tmp_path / "b", [*COFFEE, *CAT, *back, *again])
    assert lists(rebought, "reorder", **ANY)["cat"][0] == "coffee"


def test_what_was_looked_at_and_not_bought_comes_first(tmp_path: Path) -> None:
    """Cat looked at tea four days ago: it leads, with the day; what she looked at and has does not."""
    warehouse = shop(
        tmp_path,
        [*COFFEE, *CAT, *MUG],
        [product(name) for name in ("coffee", "filter", "mug", "tea")],
        visits=[
            ("cat", "tea", 9),
            ("cat", "tea", 4),
            ("cat", "coffee", 1),
            ("cat", "mug", 61),
            ("cat", "tea", -1),
        ],
    )
    assert lists(warehouse, "discover", **ANY)["cat"] == ["tea", "filter", "mug"]
    assert told(warehouse, **ANY)["cat", "discover", "tea"] == "viewed on 2024-06-26"


def test_who_never_bought_sees_what_his_country_buys(tmp_path: Path) -> None:
    """Tea is popular in FR and mugs everywhere else; a country with too few buyers sees what all buy."""
    people = [{"customer_id": f"f{n}", "country": "FR"} for n in range(3)]
    people += [{"customer_id": name, "country": country} for name, country in (("new", "FR"), ("odd", "PT"))]
    lines = bought(*((f"f{n}", "tea", 5) for n in range(3)), *((f"d{n}", "mug", 5) for n in range(4)))
    found = lists(shop(tmp_path, lines, customers=people), "discover", **ANY, country_buyers=3)
    assert found["new"] == ["tea", "mug"]
    assert found["odd"] == ["mug", "tea"]


def test_a_category_does_not_fill_the_list(tmp_path: Path) -> None:
    """At most two teas among four, as long as there is something else; the last place is filled all the same."""
    shelf = [product(f"tea{n}", category="TEA") for n in range(5)] + [product("mug", category="MUGS")]
    lines = bought(*((f"c{c}", f"tea{n}", 5) for n in range(5) for c in range(9 - n)), ("m", "mug", 5))
    warehouse = shop(tmp_path, lines, shelf, customers=[{"customer_id": "new"}])
    assert lists(warehouse, "discover", **ANY, count=3, per_category=2)["new"] == ["tea0", "tea1", "mug"]
    four = lists(warehouse, "discover", **ANY, count=4, per_category=2)["new"]
    assert four == ["tea0", "tea1", "tea2", "mug"]


def test_a_new_product_reaches_those_who_buy_its_category(tmp_path: Path) -> None:
    """Nobody bought the new tea yet; the tea drinker is shown it before the mug that is popular."""
    shelf = [
        product("green", category="TEA"),
        product("white", category="TEA", created_at=datetime.fromisoformat("2024-06-20")),
        product("mug", category="MUGS"),
    ]
    warehouse = shop(tmp_path, [*bought(("ann", "green", 5)), *MUG], shelf)
    found = lists(warehouse, "discover", **ANY, discover_popularity=0.4)
    assert found["ann"][0] == "white"
    assert told(warehouse, **ANY, discover_popularity=0.4)["ann", "discover", "white"] == "new in TEA"
    assert found["dan"][0] == "green"


def test_too_few_buyers_only_fill_up(tmp_path: Path) -> None:
    """A product with one buyer is behind all others for those who never bought it, and says so."""
    lines = [*bought(*((f"c{n}", "mug", 90) for n in range(5))), *bought(("ann", "tea", 1))]
    warehouse = shop(tmp_path, lines)
    assert lists(warehouse, "discover")["ann"] == ["mug"]
    assert lists(warehouse, "reorder")["c0"] == ["mug", "tea"]
    assert told(warehouse)["c0", "reorder", "tea"] == "also in the shop"


def test_categories_by_hand(tmp_path: Path) -> None:
    """Ann bought tea on two days 120 days ago: 1 of her own; mugs have the most buyers now: .3."""
    shelf = [product("tea", category="TEA"), product("cup", category="MUGS"), product("odd", category=None)]
    lines = bought(
        ("ann", "tea", 120), ("ann", "tea", 121), ("bob", "cup", 3), ("cat", "cup", 3), ("cat", "tea", 3)
    )
    found = run(shop(tmp_path, lines, shelf), category_recommendations)
    rows = [(row["customer_id"], row["rank"], row["category"], float(row["score"])) for row in found]
    assert rows[:4] == [
        ("ann", 1, "TEA", 1.15),
        ("ann", 2, "MUGS", 0.3),
        ("bob", 1, "MUGS", 1.3),
        ("bob", 2, "TEA", 0.15),
    ]


def test_ease_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    """EASE holds a number for every pair of products: beyond 10,000 products it is refused by name."""
    warehouse = shop(tmp_path, COFFEE, [product(f"p{n}") for n in range(10_001)])
    with pytest.raises(ConfigError, match="ease: the catalogue has 10003 products, more than 10000"):
        run(warehouse, recommendations, ease=True)


@pytest.mark.parametrize("score", [recommendations, related_products, category_recommendations])
def test_the_shipped_settings_are_the_defaults(score: Score) -> None:
    """Each YAML file shows the defaults, so that deleting it changes nothing."""
    told = settings_of.load_settings(score, SCORES / f"{score.name}.yaml")
    assert told == {name: score.settings[name].default for name in told}
    assert told


def test_a_shop_without_anything_has_no_rows(tmp_path: Path) -> None:
    """Customers and no products: no row, no error; orders after the day are as if they were not."""
    warehouse = shop(tmp_path, COFFEE)
    assert run(warehouse, recommendations, date(2023, 1, 1), **ANY) == []
