"""A source's file: every mistake is named by file and field."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from connectors import registry
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import pull
from octo_dagster.document import load
from octo_dagster.errors import ConfigError
from octo_dagster.warehouse import Warehouse

ORDERS = "columns: {order_id: id, ordered_at: at, net_amount: total}"
GOOD = f"source: {{type: files, folder: in}}\ntables: {{orders: {{from: o.csv, {ORDERS}}}}}\n"
NOW = datetime(2024, 6, 1)  # noqa: DTZ001


def intake(folder: Path, text: str) -> Intake:
    (folder / "shop.yaml").write_text(text)
    return load(folder / "shop.yaml", Intake, {"sources": registry.sources()})


def test_the_demo_shop_is_sound() -> None:
    """The repository's own source loads without its database or its secret."""
    path = Path(__file__).parents[2] / "assets/sources/shop.yaml"
    shop = load(path, Intake, {"sources": registry.sources()})
    assert list(shop.tables) == [
        "customers",
        "products",
        "orders",
        "order_lines",
        "messages",
        "message_events",
    ]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("tables", "colour: red\ntables", "colour: Extra inputs are not permitted"),
        ("files", "ftp", "source: unknown type 'ftp'; known: files, push, rest, sql"),
        ("folder: in", "folder: in, sep: x", "source.sep: Extra inputs are not permitted"),
        ("orders:", "order:", "order: no such table; known: customers, products, stores, orders"),
        (", net_amount: total", "", "orders.columns: net_amount is required"),
        ("net_amount: total", "net_amount: {from: total, value: 3}", "give exactly one of from, value"),
        ("from: o.csv", "from: o.csv, query: select 1", "give exactly one of from, query"),
        ("from: o.csv", "from: o.csv, overlap: 3", "overlap: needs a cursor"),
        ("net_amount", "_x: y, net_amount", "columns: _x: use lower-case letters, digits and _"),
        ("from: o.csv", "from: o.csv, deletes: maybe", "tables.orders.deletes"),
        ("from: o.csv", "from: o.csv, cursor: at, deletes: reconcile", "do not go together for files"),
        ("tables", "timezone: Europe/Atlantis\ntables", "timezone: no time zone is called 'Europe/Atlantis'"),
        ("tables", "max_rejected: some\ntables", "max_rejected"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, mistake: str) -> None:
    """One line says which file, which field, and what is known instead."""
    with pytest.raises(ConfigError) as caught:
        intake(tmp_path, GOOD.replace(old, new, 1))
    assert all(line.startswith("shop.yaml: ") for line in caught.value.problems)
    assert mistake in str(caught.value)


def test_an_unknown_column_is_named_before_anything_is_written(tmp_path: Path) -> None:
    """A column the source has not is a ConfigError with the columns it has."""
    (tmp_path / "o.csv").write_text("id,at,sum\n1,2024-01-01,3\n")
    shop = intake(tmp_path, GOOD.replace("folder: in", f"folder: {tmp_path}"))
    warehouse = Warehouse(tmp_path / "warehouse")
    with pytest.raises(ConfigError) as caught:
        pull(shop, "orders", warehouse, NOW)
    assert caught.value.problems == (
        "shop.yaml: tables.orders.columns: the source has no column 'total'; known: id, at, sum",
    )
    assert warehouse.names() == []


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    """The file loads without it; using it says which variable is not set, and whose."""
    text = GOOD.replace("type: files, folder: in", "type: sql, url: {env: NO_SUCH_SHOP}")
    shop = intake(tmp_path, text)
    with pytest.raises(ConfigError, match=r"shop\.yaml: source: .*NO_SUCH_SHOP is not set"):
        pull(shop, "orders", Warehouse(tmp_path / "warehouse"), NOW)


def test_wanted_columns_come_once(tmp_path: Path) -> None:
    """Columns used twice, the cursor and the deletion column are asked for once each; constants never."""
    table = "{from: o.csv, cursor: at, deletes: {column: gone}, columns: {order_id: id, ordered_at: at,"
    table += " net_amount: total, gross_amount: total, channel: {value: web}}}"
    shop = intake(tmp_path, f"source: {{type: files, folder: in}}\ntables: {{orders: {table}}}\n")
    assert shop.tables["orders"].wanted == ("id", "at", "total", "gone")
