"""The live lane: what one order touches comes out as if everything had been worked out anew."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest

from octo_dagster.live.follow import tidy
from octo_dagster.warehouse import MANY
from tests.live_shop import LiveShop


@pytest.fixture
def shop(tmp_path: Path) -> LiveShop:
    """Thirty customers with an order or several, as the night left them."""
    made = LiveShop(tmp_path / "shop")
    for number in range(30):
        made.person(number)
    for number in range(60):
        made.order(number, who=number * number % 29, day=f"2024-0{1 + number % 5}-{1 + number % 27:02}")
    made.night()
    return made


def same(shop: LiveShop, folder: Path, touched: set[str], done: set[str]) -> None:
    """Assert that canonical tables, and the touched customers' scores and profile, are as a whole run has them."""
    whole = shop.afresh(folder)
    for table in ("customers", "orders", "order_lines"):
        assert shop.rows(table) == shop.rows(table, whole), table
    for score in done:
        mine, theirs = shop.rows(score), shop.rows(score, whole)
        assert {k: v for k, v in mine.items() if k[0] in touched} == {
            k: v for k, v in theirs.items() if k[0] in touched
        }, score


def test_an_order_changes_the_profile(shop: LiveShop, tmp_path: Path) -> None:
    """A new order of one customer is in his profile at once, and nobody else's row is written."""
    before = shop.rows("customer_profile")
    shop.order(100, who=3, day="2024-06-30", total="500.00")
    done = shop.follow()
    assert done.customers == ("c3",)
    after = shop.rows("customer_profile")
    assert after[("c3",)]["rfm_recency"] == 6
    assert after[("c3",)]["orders"] == before[("c3",)]["orders"] + 1
    assert {k for k in after if after[k] != before.get(k)} == {("c3",)}
    assert set(done.scored) == {"rfm", "favorite_categories", "favorite_store", "delay_between_purchases"}
    assert done.left == {"rhythm": "sets customers against one another"}
    same(shop, tmp_path, {"c3"}, set(done.scored))


def test_many_parts_are_merged_when_nobody_waits(shop: LiveShop) -> None:
    """However many orders came, the tables a run has added to have few files after it, and the same rows."""
    shop.order(100, who=3, day="2024-06-30")
    done = shop.follow()
    before, house = shop.rows("rfm"), shop.project.warehouse
    row = pa.Table.from_pylist([before[("c3",)]], house.schema("rfm"))
    for _ in range(MANY * 3 // 2):
        house.append_live("rfm", row, ["customer_id"])
    tidy(shop.project, done)
    assert len(house.files("rfm")) < MANY
    assert shop.rows("rfm") == before


def test_nothing_new_writes_nothing(shop: LiveShop) -> None:
    """A run that finds nothing new leaves every table as it is."""
    shop.order(100, who=3, day="2024-06-30")
    shop.follow()
    before = {name: shop.project.warehouse.version(name) for name in shop.project.warehouse.names()}
    done = shop.follow()
    assert (done.customers, done.version) == ((), None)
    assert before == {name: shop.project.warehouse.version(name) for name in shop.project.warehouse.names()}


@pytest.mark.parametrize("small", [0, 10_000])
def test_whatever_comes_it_is_as_worked_out_whole(shop: LiveShop, tmp_path: Path, small: int) -> None:
    """Over a stream of new, changed, cancelled, moved, deleted, late and broken orders, every score that is
    worked out live is what a whole run gives the touched customers, and the canonical tables are equal."""
    dice = random.Random(small)
    for step in range(2):
        happen(shop, dice, step)
        done = shop.follow(small)
    same(shop, tmp_path, set(done.customers), set(done.scored))


@pytest.mark.whole
@pytest.mark.parametrize("small", [0, 10_000])
@pytest.mark.parametrize("seed", range(12))
def test_whatever_comes_after_whatever(shop: LiveShop, tmp_path: Path, seed: int, small: int) -> None:
    """The same after every step of many streams."""
    dice = random.Random(seed)
    for step in range(4):
        happen(shop, dice, step)
        done = shop.follow(small)
        same(shop, tmp_path, set(done.customers), set(done.scored))


def happen(shop: LiveShop, dice: random.Random, step: int) -> None:
    """A few things of every kind that can happen to an order."""
    for number in range(dice.randint(4, 8)):
        order = 1000 * (step + 1) + number
        old = dice.randrange(60)
        match dice.randrange(8):
            case 0:
                shop.change(old, "total", f"{dice.randint(1, 300)}.50")
            case 1:
                shop.change(old, "state", dice.choice(["cancelled", "returned", "completed"]))
            case 2:
                shop.change(old, "who", f"c{dice.randrange(30)}")
            case 3:
                shop.change(old, "removed", dice.choice(["yes", None]))
            case 4:
                shop.person(order)
                shop.order(order, who=order, day="2024-06-29")
            case 5:
                shop.change(old, "placed", dice.choice(["not a day", "2024-06-01 08:00:00"]))
            case 6:
                shop.order(order, who=dice.randrange(40), day="2024-06-28")  # some nobody knows yet
                shop.person(dice.randrange(30, 40))
            case _:
                shop.order(order, who=dice.randrange(30), day=f"2024-0{dice.randint(1, 6)}-15")
