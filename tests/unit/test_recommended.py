"""Recommendations as columns: every list as long as the next, every column where it is promised."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from string import Template
from typing import Any

import pyarrow.parquet as pq
import pytest

from assets.scores.category_recommendations import category_recommendations
from assets.scores.recommendations import recommendations
from assets.scores.recommended import because, recommended
from octo_dagster.bench.scores import generate
from octo_dagster.errors import ConfigError
from octo_dagster.score import Score
from octo_dagster.scoring import settings as settings_of
from octo_dagster.warehouse import Warehouse
from tests.baskets import ANY, AS_OF, bought, on_profile, product, run, shop

BY_HAND = Path(__file__).parents[2] / "octo_dagster/bench/by_hand"
YAML = Path(__file__).parents[2] / "assets/scores/recommended.yaml"

LINES = bought(
    *((f"c{n}", "tea", 5) for n in range(3)),
    *((f"c{n}", "cup", 5) for n in range(2)),
    ("ann", "pot", 12),
)
SHELF = [
    product("cup", name="Cup | big", category="MUGS", image_url="https://x/cup.png"),
    product("pot", category="POTS", price=30),
    product("tea", category="TEA", price=4, url="https://x/tea"),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return shop(tmp_path, LINES, SHELF)


def test_lists_are_as_long_as_one_another(warehouse: Warehouse) -> None:
    """The second image is the second product's; what is not known is an empty place."""
    fields = ("ids", "names", "image_urls", "prices", "urls", "descriptions", "reasons")
    ann = on_profile(warehouse, {"fields": fields}, **ANY)["ann"]
    assert ann == {
        "recommended_product_ids": "tea, cup",
        "recommended_product_names": "Tea | Cup / big",
        "recommended_product_image_urls": " | https://x/cup.png",
        "recommended_product_prices": "4.00 | ",
        "recommended_product_urls": "https://x/tea | ",
        "recommended_product_descriptions": " | ",
        "recommended_product_reasons": "popular now | popular now",
        "recommended_categories": "POTS | TEA | MUGS",
    }


def test_columns_for_every_product(warehouse: Warehouse) -> None:
    """With `format: columns` each product has its own columns, empty beyond the last product."""
    chosen = {
        "format": "columns",
        "count": 3,
        "categories": 1,
        "fields": ("ids", "prices"),
        "source": "discover",
    }
    ann = on_profile(warehouse, chosen, **ANY)["ann"]
    assert list(ann) == [
        *(f"recommended_product_{rank}_{word}" for rank in (1, 2, 3) for word in ("id", "price")),
        "recommended_category_1",
    ]
    assert [ann[f"recommended_product_{rank}_id"] for rank in (1, 2, 3)] == ["tea", "cup", None]
    assert str(ann["recommended_product_1_price"]) == "4.00"
    assert ann["recommended_category_1"] == "POTS"


def test_the_other_list_and_other_separators(warehouse: Warehouse) -> None:
    """`source: reorder` tells what will be bought again; separators are the shop's."""
    chosen = {"source": "reorder", "id_separator": ";", "text_separator": ",", "categories": 0}
    ann = on_profile(warehouse, chosen, **ANY)["ann"]
    assert ann["recommended_product_ids"] == "pot;tea;cup"
    assert ann["recommended_product_reasons"].startswith("bought once/ 12 days ago,")
    assert ann["recommended_categories"] is None


@pytest.mark.parametrize("layout", ["list", "columns"])
def test_explained_product_by_product(warehouse: Warehouse, layout: str) -> None:
    """`octo explain` tells each product with its reason, in either format."""
    score = recommended.given_settings({"format": layout})
    row = on_profile(warehouse, {"format": layout}, **ANY)["ann"]
    assert because(row, score.in_force)[0] == "Tea: popular now"


def test_without_products_there_are_ids_for_names(tmp_path: Path) -> None:
    """A shop that lists no products still gets its lists, named by their ids, and no categories."""
    ann = on_profile(shop(tmp_path, LINES), {}, **ANY)["ann"]
    assert ann["recommended_product_names"] == "tea | cup"
    assert ann["recommended_categories"] is None


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"fields": ["ids", "ids"]}, "fields: one is given twice"),
        ({"text_separator": " / "}, "text_separator: `/` is what stands for a separator"),
    ],
)
def test_wrong_settings_are_named(chosen: dict[str, Any], message: str) -> None:
    """Two columns of one name are one too many; a list cut by slashes could not be told from its texts."""
    with pytest.raises(ConfigError, match=message):
        settings_of.checked_settings(recommended, chosen, "recommended.yaml", scores())


def scores() -> dict[str, Score]:
    return {score.name: score for score in (recommendations, category_recommendations)}


def test_the_shipped_settings_are_the_defaults() -> None:
    """`recommended.yaml` shows the defaults, so that deleting it changes nothing."""
    told = settings_of.load_settings(recommended, YAML)
    assert told == {name: parameter.default for name, parameter in recommended.settings.items()}


def test_by_hand_it_is_the_same(warehouse: Warehouse) -> None:
    """The SQL that the bench holds it against gives the same rows."""
    rows = on_profile(warehouse, {}, **ANY)
    query = Template((BY_HAND / "recommended.sql").read_text("utf-8")).substitute(as_of=AS_OF)
    with warehouse.connect() as connection:
        hand = connection.sql(query).to_arrow_table().to_pylist()
    assert {row.pop("customer_id"): row for row in hand} == rows
    assert len(rows) == 4


def test_scipy_by_hand_finds_the_same_products(tmp_path: Path) -> None:
    """The script that the bench holds `recommendations` against recommends nearly the same to everyone.

    Compared by their scores: it breaks ties as they come, knows no new products and does not fill up."""
    generate(Warehouse(tmp_path), 300)
    warehouse = Warehouse(tmp_path)
    day = date(2025, 12, 31)
    rows = run(warehouse, recommendations, day, new_days=1, newness=0.0)
    scope: dict[str, Any] = {"__name__": "by_hand"}
    exec((BY_HAND / "recommendations.py").read_text("utf-8"), scope)
    scope["run"](tmp_path, day)
    hand = pq.read_table(tmp_path / "recommendations.parquet").to_pylist()
    ours, theirs = (
        {
            (row["customer_id"], row["list"], row["rank"]): float(row["score"])
            for row in some
            if row["score"] > 0
        }
        for some in (rows, hand)
    )
    same = [
        place for place in ours if ours[place] == pytest.approx(theirs.get(place, -1), abs=2e-3, rel=2e-3)
    ]
    assert len(ours) > 3000
    assert len(same) > 0.95 * len(ours)
