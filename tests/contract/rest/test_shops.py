"""Shopify, WooCommerce and PrestaShop by their ready files: our tables equal the shop, at first and ever after."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from connectors.sandbox.goods import Line
from octo_dagster.errors import SourceError
from tests.contract.rest.front import Front, bought


def test_the_shop_arrives_and_stays_true(front: Front) -> None:
    """An empty shop is no mistake; a first load equals the shop, to the cent no float holds; nothing new writes
    nothing; new, edited and orders refunded three months late show."""
    assert {done.rows for done in front.fetch().values()} == {0}
    front.stock(7)
    front.order(replace(bought(8), shipping=Decimal("123456789.01")))
    front.clock.sleep(60)
    front.pull()
    front.check()
    assert {done.rows for done in front.fetch().values()} == {0}
    front.clock.sleep(timedelta(days=90).total_seconds())
    front.edit(2, refund=Decimal("1.07"))
    front.edit(4, state="returned")
    front.edit(6, state="cancelled")
    front.order(bought(14))
    front.customer(3, "nouvelle@example.com")
    front.product(8, "Thé d'été")
    changed = front.pull()
    assert (changed["orders"].rows, changed["products"].rows) == (4, 1)
    front.check()


def test_the_made_shop_is_a_good_one(front: Front) -> None:
    """What `octo sandbox --shop` fills a twin with is read without a rejected row, of two years and no later."""
    bought = front.twin.stock()
    front.pull("customers", "orders")
    assert len(front.held("orders")["orders"]) == bought > 1_000
    assert len(front.held("customers")["customers"]) == 150
    with front.warehouse.connect() as connection:
        ((first, last),) = connection.sql("select min(ordered_at), max(ordered_at) from orders").fetchall()
    assert front.clock.now() - timedelta(days=731) < first < last <= front.clock.now()


def test_nothing_is_lost_to_edits_while_pages_are_turned(front: Front) -> None:
    """An order edited after its page was read moves to the end, and shifts those that were still to come."""
    front.stock(20)

    def meddle(pages: int) -> None:
        if pages <= 4:
            front.clock.sleep(1)
            front.edit(pages, state="cancelled")

    front.twin.meanwhile = meddle
    front.fetch("orders")
    front.twin.meanwhile = None
    front.pull("orders")
    front.check("orders")


def test_equal_times_may_cross_a_page(front: Front) -> None:
    """Eleven orders changed in one second fill several pages; all come, and one more of that second later."""
    front.stock(2)
    for number in range(3, 14):
        front.order(bought(number))
    assert front.fetch("orders")["orders"].rows == 13
    front.order(bought(14))
    assert front.pull("orders")["orders"].rows == 1
    front.check("orders")


def test_a_line_taken_out_of_an_order_is_gone(front: Front) -> None:
    """An edited order has the lines it has now: one left out, one added, and none at all."""
    front.stock(5)
    front.fetch("order_lines")
    front.edit(2, lines=(front.orders[2].lines[0], Line(999, 3, 1, Decimal("7.77"))))
    front.edit(4, lines=front.orders[4].lines[:1])
    front.edit(5, lines=())
    front.clock.sleep(60)
    front.pull("order_lines")
    front.check("order_lines")


def test_what_is_deleted_is_gone(front: Front) -> None:
    """A product and a customer the shop deletes leave our tables too, and nothing else does."""
    front.stock(0)
    front.product(70, "gone soon")
    front.customer(70, "gone@example.com")
    front.pull("customers", "products")
    front.check("customers", "products")
    for table, kept in (("products", front.products), ("customers", front.customers)):
        front.vendor.erased(front.twin, table, 70)
        del kept[70]
    front.clock.sleep(60)
    front.pull("customers", "products")
    front.check("customers", "products")


def test_a_list_that_fails_half_way_leaves_nothing(front: Front) -> None:
    """A list that breaks off keeps no row and moves no state; the next pull has it all, once."""
    front.stock(12)
    front.sandbox.fault(front.vendor.name, "error_before", path="orders|graphql", after=2, times=None)
    with pytest.raises(SourceError, match="gave up after 6 tries: 50"):
        front.fetch("orders")
    assert front.warehouse.version(front.intake.raw("orders")) is None
    front.sandbox.vendors[front.vendor.name].faults.clear()
    assert front.fetch("orders")["orders"].rows == 12


@pytest.mark.parametrize("fault", ["throttle", "drop_after", "error_before"])
def test_a_stumble_half_way_is_waited_out(front: Front, fault: str) -> None:
    """Throttling, lost replies and a gate that finds no shop behind it, half way, cost time and no row."""
    front.stock(8)
    front.sandbox.fault(
        front.vendor.name, fault, path="orders|graphql", after=2, times=2, seconds=7, status=522
    )
    assert front.fetch("orders")["orders"].rows == 8
    assert front.slept == ([7, 7] if fault == "throttle" else [1, 2])


def test_a_wrong_key_is_said_plainly(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signs in with a wrong key reads that, and where, and never the key itself."""
    for name in front.vendor.env:
        monkeypatch.setenv(name, "wrong-key-7")
    with pytest.raises(SourceError, match=r"40[01]") as refused:
        front.fetch("customers")
    assert "wrong-key-7" not in str(refused.value)


def test_a_time_to_come_hides_nothing(front: Front) -> None:
    """Orders dated ahead of our clock are kept, and what changes before that date still comes."""
    front.stock(3)
    front.clock.sleep(timedelta(days=2).total_seconds())
    front.order(bought(4))
    front.clock.sleep(-timedelta(days=1).total_seconds())
    front.fetch("orders")
    front.edit(1, state="cancelled")
    assert front.fetch("orders")["orders"].rows == 1
    front.clock.sleep(timedelta(days=2).total_seconds())
    front.pull("orders")
    front.check("orders")
