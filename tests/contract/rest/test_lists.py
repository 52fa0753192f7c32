"""What is particular to one way of listing: hosts that give fewer, lists that shift, tokens that end, quotas."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.goods import Line
from connectors.sources.rest.listing import Listing
from connectors.sources.rest.resource import Since
from connectors.sources.rest.source import Rest
from octo_dagster.canonical.conform import rejected_rows
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.source import Outside, Pull
from tests.contract.rest.conftest import at
from tests.contract.rest.front import Front, bought, rows

ROOT = Path(__file__).parents[3]


@at("prestashop")
def test_a_host_that_gives_fewer_than_asked_hides_nothing(front: Front) -> None:
    """Pages are counted by what came: a host with a limit of its own makes more calls and no holes."""
    front.stock(9)
    front.twin.most = 2
    assert front.fetch("orders")["orders"].rows == 9


@at("prestashop")
def test_the_hour_that_comes_twice_loses_no_edit(front: Front) -> None:
    """PrestaShop's times have no zone: an order edited in the second half past two of an autumn night arrives."""
    front.clock.at = front.clock.at.replace(month=10, day=25, hour=0, minute=20)
    front.stock(0, every=0)
    front.order(bought(1))
    front.clock.sleep(30 * 60)  # 02:50 in Paris, for the first time
    front.order(bought(2))
    front.fetch("orders")
    front.clock.sleep(20 * 60)  # 02:10, for the second time
    front.edit(1, state="cancelled")
    assert front.fetch("orders")["orders"].rows == 1


@at("woocommerce")
def test_a_whole_list_that_loses_a_record_is_read_again(front: Front) -> None:
    """A customer deleted while the list is read moves the pages up; nobody else is taken for deleted."""
    front.stock(0)
    erased: list[int] = []

    def meddle(pages: int) -> None:
        if not erased:
            erased.append(1)
            front.vendor.erased(front.twin, "customers", 1)

    front.twin.meanwhile = meddle
    assert front.fetch("customers")["customers"].rows == 6


@at("woocommerce")
def test_one_deleted_while_another_is_made_hides_nothing(front: Front) -> None:
    """A product goes and another comes between two pages: as many as before, and none is passed over."""
    front.stock(0)

    def meddle(pages: int) -> None:
        if pages == 1:
            front.vendor.erased(front.twin, "products", 1)
            front.product(9, "Thé neuf")

    front.twin.meanwhile = meddle
    keys = front.intake.source.keys(front.intake.tables["products"].pull(outside=front.outside), ("id",))
    assert keys is not None
    assert keys.table().column("id").to_pylist() == ["2", "3", "4", "5", "6", "7", "9"]


@at("woocommerce")
def test_a_draft_is_recommended_to_nobody(front: Front) -> None:
    """What is not published is in the list like everything else, and counts as out of stock."""
    for number, status in enumerate(("publish", "draft", "private"), start=1):
        front.product(number, status)
        front.twin.put("products", number, status=status)
    front.pull("products")
    held = rows(front.warehouse, "products", (1, "name, in_stock"))
    assert held == {("publish",): (True,), ("draft",): (False,), ("private",): (False,)}


@at("woocommerce")
def test_a_refusal_with_status_200_is_no_record(front: Front) -> None:
    """What stands before a shop may answer with a word of its own and status 200: that is no list of one."""
    front.stock(4)
    front.sandbox.fault("woocommerce", "error_before", path="orders", after=1, status=200)
    with pytest.raises(SourceError, match="orders: the reply is no list"):
        front.fetch("orders")


@at("woocommerce")
def test_a_list_that_never_stands_still_is_given_up(front: Front) -> None:
    """A list that loses a record each time it is read is no list to believe: the pull stops and keeps nothing."""
    for number in range(1, 21):
        front.customer(number, f"{number}@example.com")
    front.twin.meanwhile = lambda pages: front.twin.records["customers"].popitem()
    with pytest.raises(SourceError, match="kept changing while it was read"):
        front.fetch("customers")
    assert front.warehouse.version(front.intake.raw("customers")) is None


@at("shopify")
def test_a_token_that_ends_half_way_is_renewed(front: Front) -> None:
    """A token that runs out between two pages is asked for again, and the list goes on where it was."""
    front.stock(9)
    front.sandbox.fault("shopify", "expire", path="graphql", after=2)
    assert front.fetch("orders")["orders"].rows == 9
    assert front.twin.given == 3, "one to begin with, one half way, one to ask for the keys"


@at("shopify")
def test_an_app_that_sees_a_part_of_the_orders_is_refused(front: Front) -> None:
    """Without `read_all_orders` what is older than 60 days is in no list, and would be taken for deleted."""
    front.stock(2)
    front.twin.scope = "write_orders,read_customers,read_products"
    with pytest.raises(SourceError, match="the app may not read_all_orders: grant it"):
        front.fetch("orders")
    assert front.warehouse.version(front.intake.raw("orders")) is None


@at("shopify")
def test_an_order_of_another_shop_is_of_the_day_it_was_bought(front: Front) -> None:
    """Orders brought along from the shop before are of their own day, and not of the day of the move."""
    front.stock(1)
    front.twin.put("orders", 1, processedAt="2019-05-01T10:00:00Z")
    front.pull("orders")
    assert rows(front.warehouse, "orders", (1, "order_id, ordered_at::text")) == {
        ("1",): ("2019-05-01 10:00:00",)
    }


@at("shopify")
def test_a_quota_by_cost_is_kept_to(front: Front) -> None:
    """Told how many points are lacking and how fast they come back, it waits as long and no longer; what a page
    did not hold was given back."""
    front.changes = {}
    front.stock(31, every=0)
    front.twin.bucket = front.twin.available = 1_000.0
    assert front.fetch("order_lines")["order_lines"].rows == sum(len(o.lines) for o in front.orders.values())
    assert front.slept == pytest.approx([0.58], abs=0.02)


def of_many(front: Front, lines: int) -> None:
    """An order of many lines between two others."""
    front.changes = {}
    front.stock(0)
    for number, count in ((1, 2), (2, lines), (3, 1)):
        many = tuple(Line(number * 1_000 + n, 1, 1, Decimal(1)) for n in range(count))
        front.order(replace(bought(number), lines=many))


@at("shopify")
def test_an_order_with_more_lines_than_a_page_has_them_all(front: Front) -> None:
    """Of an order of 241 lines the 201 that did not come with it are asked for by themselves."""
    of_many(front, 241)
    front.pull("products", "orders", "order_lines")
    front.check("order_lines")


@at("shopify")
def test_an_order_with_more_lines_than_asked_for_is_not_cut(front: Front) -> None:
    """Where nobody told how to ask for the others, it is a rejected row that says why, never an order of forty."""
    of_many(front, 41)
    source = front.intake.source
    resources = dict(source.resources)  # type: ignore[attr-defined]
    resources["order_lines"] = resources["order_lines"].model_copy(update={"others": None})
    front.intake = front.intake.model_copy(
        update={"source": source.model_copy(update={"resources": resources})}
    )
    front.fetch("orders")
    with pytest.raises(SourceError, match="row: unreadable"):
        front.pull("order_lines")
    (row,) = rejected_rows(front.warehouse, "order_lines")
    assert row["value"].startswith("lineItems.nodes was cut short")


@at("shopify")
def test_what_of_a_line_came_back_is_no_part_of_it(front: Front) -> None:
    """Of four cups bought with a discount one comes back: three are left, with what three cost; all of them, none."""
    front.stock(0)
    lines = (
        Line(1, 1, 4, Decimal("2.50"), Decimal("1.00")),
        Line(2, 2, 3, Decimal("9.99")),
        Line(3, 3, 1, Decimal(5)),
    )
    front.order(replace(bought(1), lines=lines))
    for line, kept in zip(front.twin.records["orders"][1]["lines"], (3, 2, 0), strict=True):
        line["currentQuantity"] = kept
    front.pull("products", "orders", "order_lines")
    told = "line_no::text, quantity::int, gross_amount, discount_amount, net_amount"
    assert rows(front.warehouse, "order_lines", (1, told)) == {
        ("1",): (3, Decimal("7.50"), Decimal("0.75"), Decimal("6.75")),
        ("2",): (2, Decimal("19.98"), Decimal("0.00"), Decimal("19.98")),
    }


@at("shopify")
def test_test_orders_are_no_orders(front: Front) -> None:
    """An order made to try the shop's payment out is none, and neither are its lines."""
    front.stock(2)
    front.twin.records["orders"][2]["test"] = True
    front.pull("orders", "order_lines")
    del front.orders[2]
    front.check("orders", "order_lines")


@at("woocommerce")
def test_the_lines_of_a_deleted_order_go_with_it(front: Front) -> None:
    """An order put into the bin leaves with its lines, none of them a rejected row; taken out, it is back."""
    front.stock(3)
    front.pull()
    binned = front.orders.pop(2)
    front.twin.put("orders", 2, status="trash")
    front.clock.sleep(60)
    front.pull()
    front.check()
    assert rejected_rows(front.warehouse) == []
    front.order(binned)
    front.clock.sleep(60)
    front.pull()
    front.check()


def source(**told: Any) -> Rest:
    given = {"base_url": "https://a.klaviyo.com/api", "sandbox": "klaviyo_events"} | told
    resources = {
        "events": {"path": "events", "records": "data", "pages": {"by": "next", "path": "links.next"}}
    }
    auth = {"by": "header", "name": "Authorization", "prefix": "Klaviyo-API-Key ", "key": {"env": "KEY"}}
    headers = {"revision": "2026-07-15"}
    return Rest.model_validate({"auth": auth, "headers": headers, "resources": resources} | given)


@at("shopify")
def test_a_next_page_at_another_host_gets_no_key(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that refers to another host is not followed; a host that is not in the sandbox is not called."""
    monkeypatch.setenv("KEY", "pk_sandbox")
    twin = front.sandbox.twin("klaviyo_events")
    for number in range(201):
        twin.happened("ada@example.com", "Opened Email", front.clock.at, number=number)
    pull = Pull("events", columns=("id",), outside=Outside(front.sandbox.address, front.sleep, front.clock))
    assert source().read(pull).table().num_rows == 201
    with pytest.raises(SourceError, match=r"refers to another host, a\.klaviyo\.com: not followed"):
        source(base_url="https://b.klaviyo.com/api").read(pull)
    with pytest.raises(SourceError, match="is not in the sandbox; name its twin"):
        source(sandbox=None).read(pull)
    with pytest.raises(ConfigError, match="not on this machine's loopback"):
        source().read(replace(pull, outside=Outside("https://example.com")))


@at("shopify")
def test_a_misspelled_path_and_a_missing_list_are_said(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column no record has, a list that is not there and a resource nobody told are mistakes, not nulls."""
    monkeypatch.setenv("KEY", "pk_sandbox")
    front.sandbox.twin("klaviyo_events").happened("ada@example.com", "Opened Email", front.clock.at)
    pull = Pull("events", columns=("id", "mail"), outside=Outside(front.sandbox.address))
    with pytest.raises(SourceError, match="events: no record has mail"):
        source().read(pull)
    elsewhere = {"events": {"path": "events", "records": "items"}}
    with pytest.raises(SourceError, match="events: the reply has no items"):
        source(resources=elsewhere).read(pull)
    with pytest.raises(ConfigError, match="no resource 'visits'; there are events"):
        source().read(replace(pull, table="visits"))


@at("woocommerce")
def test_a_list_that_does_not_page_as_told_ends(front: Front) -> None:
    """An API that gives its first page whatever is asked for is found out, and not read for ever."""
    front.stock(0)
    pages = {"by": "number", "params": {"seite": "{page}"}, "size": 3}
    auth = {"by": "basic", "user": "ck_sandbox", "password": {"env": "WOOCOMMERCE_SECRET"}}
    told = {"base_url": "https://x.com/wp-json/wc/v3", "sandbox": "woocommerce", "auth": auth, "headers": {}}
    told |= {"resources": {"customers": {"path": "customers", "params": {"role": "all"}, "pages": pages}}}
    pull = Pull("customers", columns=("id",), outside=Outside(front.sandbox.address))
    with pytest.raises(SourceError, match="the same page came twice"):
        source(**told).read(pull)


ALONE = """
import sys, os
def hook(event, args):
    if event == "socket.connect" and args[1][0] != "127.0.0.1":
        raise SystemExit(f"calls {args[1]}")
    if event in ("socket.getaddrinfo", "socket.gethostbyname") and args[0] not in ("127.0.0.1", "localhost", None):
        raise SystemExit(f"asks for {args[0]}")
sys.addaudithook(hook)
from connectors.sources.rest.listing import Listing
from connectors.sources.rest.source import Rest
from octo_dagster.source import Pull
pages = {"by": "number", "params": {"page": "{page}"}, "size": 3, "rows_header": "X-WP-Total"}
auth = {"by": "basic", "user": "ck_sandbox", "password": {"env": "SECRET"}}
told = {"base_url": "https://shop.example.com/wp-json/wc/v3", "sandbox": "woocommerce", "auth": auth,
        "resources": {"customers": {"path": "customers", "params": {"role": "all"}, "pages": pages}}}
assert "dlt" not in sys.modules
print(Rest.model_validate(told).read(Pull("customers", columns=("id",))).table().num_rows)
"""


@at("woocommerce")
def test_dlt_calls_nobody_and_writes_nothing(front: Front, tmp_path: Path) -> None:
    """A pull in a process of its own calls this machine only, looks no name up, and leaves no file at home."""
    front.stock(0)
    home = tmp_path / "home"
    home.mkdir()
    env = {**os.environ, "HOME": str(home), "OCTO_SANDBOX": front.sandbox.address, "SECRET": "cs_sandbox"}
    done = subprocess.run(
        [sys.executable, "-c", ALONE], cwd=ROOT, env=env, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("7\n", 0), done.stderr
    assert list(home.rglob("*")) == []


@at("woocommerce")
def test_many_of_one_second_edited_while_they_are_read(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """More records than a page holds have one time, and two are edited between the pages: none is passed over."""
    front.stock(0)
    for number in range(1, 11):
        front.order(bought(number))
    front.clock.sleep(3600)
    turn, pages = Listing.paged, 0

    def edited(listing: Listing, *args: Any) -> Any:
        nonlocal pages
        for page in turn(listing, *args):
            yield page
            pages += listing.pull.table == "orders"
            if pages == 2:
                front.edit(1, state="cancelled")
                front.edit(2, state="cancelled")

    monkeypatch.setattr(Listing, "paged", edited)  # every page is the real one; this says when the edits fall
    front.pull("customers", "products", "orders")
    assert pages > 2
    front.check("orders")


def test_a_vendor_asked_in_utc_is_asked_for_the_cursors_own_moment() -> None:
    """A cursor that states another zone is told as UTC where the format says so: else two hours are passed over."""
    since = Since(format="%Y-%m-%dT%H:%M:%SZ")
    asked = since.asked("2026-11-22T10:00:00+02:00", datetime(2026, 11, 23, tzinfo=UTC))
    assert asked == "2026-11-22T08:00:00Z"
