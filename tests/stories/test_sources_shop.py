"""The demo's shop is the real thing: the documented counts, a real order, and nothing left running."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psutil
import psycopg
import pytest

from connectors import registry
from octo_dagster.canonical.conform import Conformed, conform
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.demo.shop import TABLES, Shop, opened
from octo_dagster.document import load
from octo_dagster.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "../shared/data/complete_journey"
NOW = datetime(2018, 6, 1)  # noqa: DTZ001


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder of our own: pytest's is closed to PostgreSQL's user again whenever another run starts."""
    with tempfile.TemporaryDirectory(prefix="octo-shop-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def shop(home: Path) -> Iterator[Shop]:
    with Shop(home / "shop") as running:
        yield running


def brought(shop: Shop, folder: Path, patch: pytest.MonkeyPatch) -> tuple[Warehouse, dict[str, Conformed]]:
    """Every table of the repository's own shop.yaml, pulled and conformed."""
    patch.setenv("SHOP_DATABASE_URL", shop.url)
    told = load(ROOT / "assets/sources/shop.yaml", Intake, {"sources": registry.sources()})
    warehouse, reports = Warehouse(folder), {}
    for table in told.tables:
        pull(told, table, warehouse, NOW)
        reports[table] = conform(table, [told], warehouse, NOW, "run")
    return warehouse, reports


def test_the_year_arrives_whole(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every household, product, order, line and mailing is kept, none refused, and the money is exact."""
    warehouse, reports = brought(shop, tmp_path, monkeypatch)
    assert {name: report.kept for name, report in reports.items()} == {
        "customers": 2_469,
        "products": 92_331,
        "orders": 155_848,
        "order_lines": 1_469_307,
        "messages": 6_589,
        "message_events": 2_102,
    }
    assert not any(report.rejected for report in reports.values())
    with warehouse.connect() as connection:
        (lines,) = connection.sql("select sum(net_amount), sum(gross_amount) from order_lines").fetchall()
        (orders,) = connection.sql("select sum(net_amount), sum(gross_amount) from orders").fetchall()
    assert lines == orders == (Decimal("4569679.68"), Decimal("5392232.87"))
    if SHARED.is_dir():
        same_as_documented(warehouse)


def same_as_documented(warehouse: Warehouse) -> None:
    """Order by order and line by line what the data's README describes."""
    with warehouse.connect() as connection:
        for table, key in (("orders", "order_id"), ("order_lines", "order_id || '/' || line_no")):
            columns = f"{key} as k, round(net_amount, 2)::decimal(18, 2) as n, round(gross_amount, 2)::decimal(18, 2)"
            ours, theirs = (
                f"select {columns} from {table}",
                f"select {columns} from '{SHARED}/{table}.parquet'",
            )
            assert (
                connection.sql(f"({ours} except {theirs}) union all ({theirs} except {ours})").fetchall()
                == []
            )


def test_consents_differ_and_never_by_chance(shop: Shop) -> None:
    """One household in twenty takes no e-mail, and it is the same one every time."""
    query = "select id, email, first_name from households where not newsletter order by id"
    with psycopg.connect(shop.url) as connection:
        refusing = connection.execute(query.encode()).fetchall()
    assert refusing[0] == (20, "household-20@example.com", "Ada")
    assert 110 <= len(refusing) <= 130


def test_the_year_can_end_now(home: Path) -> None:
    """Moved by whole weeks, the last order lies in the week before the day named, none after it, and every
    date keeps its day of the week."""
    until = datetime(2026, 11, 22, 15, 32)  # noqa: DTZ001
    weeks = Shop(home / "later", until=until).weeks
    newest = "select max(transaction_timestamp) from transactions"
    (moved,), (asis,) = opened(weeks).sql(newest).fetchall()[0], opened().sql(newest).fetchall()[0]
    assert until - timedelta(weeks=1) <= moved <= until
    assert moved - asis == timedelta(weeks=weeks)


def test_an_order_can_be_placed(shop: Shop) -> None:
    """It has two lines of the household's favourites that add up; nobody else's household can order."""
    number = shop.place_order(1, Decimal("12.35"), datetime(2018, 2, 1))  # noqa: DTZ001
    try:
        with psycopg.connect(shop.url) as connection:
            order = connection.execute("select household_id, total from orders where id = %s", (number,))
            assert order.fetchall() == [(1, Decimal("12.35"))]
            lines = connection.execute(
                "select sum(paid), count(*) from order_items where order_id = %s", (number,)
            )
            assert lines.fetchall() == [(Decimal("12.35"), 2)]
    finally:
        with psycopg.connect(shop.url) as connection:
            connection.execute("delete from order_items where order_id = %s", (number,))
            connection.execute("delete from orders where id = %s", (number,))
    with pytest.raises(LookupError, match="no household 999999"):
        shop.place_order(999_999, Decimal(1), datetime(2018, 2, 1))  # noqa: DTZ001


def alive(folder: Path) -> list[int]:
    """PostgreSQL processes of this folder."""
    found = psutil.process_iter(["name", "cmdline"])
    return [
        p.pid
        for p in found
        if "postgres" in p.info["name"] and str(folder) in " ".join(p.info["cmdline"] or [])
    ]


def test_nothing_is_left_running(home: Path) -> None:
    """Not after an exception, not after Ctrl-C while it loads; the next start goes on where it stopped."""
    folder, loaded = home / "interrupted", []

    def stop_after_products(name: str, rows: int) -> None:
        loaded.append((name, rows))
        if name == "products":
            raise KeyboardInterrupt

    def open_and_fail() -> None:
        with Shop(folder, lambda name, rows: loaded.append((name, rows))):
            assert alive(folder)
            raise ZeroDivisionError

    with pytest.raises(KeyboardInterrupt):
        Shop(folder, stop_after_products).__enter__()
    assert alive(folder) == []
    with pytest.raises(ZeroDivisionError):
        open_and_fail()
    assert alive(folder) == []
    assert [name for name, _ in loaded] == [stock.name for stock in TABLES]
