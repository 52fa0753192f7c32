"""The page of data quality: every refused row is counted, shown with its reason, and with where it is mended."""

from __future__ import annotations

import pytest

from octo_dagster.canonical.conform import rejected_rows
from octo_dagster.pages.board import Board
from octo_dagster.pages.quality import HINTS, refused, tables
from octo_dagster.words import catalogue
from tests.pages.conftest import Served, Visit, through
from tests.pages.test_every_page import FAULTS


def test_every_refused_row_is_in_one_figure(shop: Served) -> None:
    """The parts, the reasons and the last day of the chart each add up to all refused rows there are."""
    board, many = Board(shop.project), len(rejected_rows(shop.project.warehouse))
    assert many > 0
    assert sum(part.refused for part in refused.parts(board)) == many
    assert sum(row["refused"] for row in refused.reasons(board)) == many
    assert refused.over_time(board)[-1][1] == many


def test_what_was_kept_is_measured(shop: Served) -> None:
    """Rows and fill of a canonical table are those of the table; its unknown customers those of the file."""
    board = Board(shop.project)
    customers = next(one for one in tables.filled(board) if one.name == "customers")
    assert customers.rows == 399  # 400, one of them refused for its conflicting twin; one without a key
    full = {column.name: column.filled for column in customers.columns}
    assert (full["customer_id"], full["phone"]) == (1.0, 1.0)
    told = tables.strangers(board)
    assert told is not None
    assert told["unknown"] == 2  # c1, who was refused, and `nobody`


def test_from_a_reason_to_its_rows(shop: Served, visit: Visit) -> None:
    """A reason leads to the rows refused for it and to the key of the source's file that mends it; personal
    values stay hidden."""
    page = visit(shop, "/quality", phone=True, language="fr")
    through(page.get_by_role("link", name="orders.customer_id: unknown"))
    assert "tables.orders.columns.customer_id" in page.locator("main").inner_text()
    assert page.locator("tbody tr").count() == 25
    assert page.evaluate(FAULTS) == []
    page.goto("/quality")
    through(page.get_by_role("link", name="customers.key: no key"))
    assert "nobody@example.com" not in page.content()


@pytest.mark.parametrize("name", sorted({*HINTS.values(), "other"}))
def test_every_hint_is_said(name: str) -> None:
    """What mends a fault of a reason is said in both languages."""
    assert f"quality.hint.{name}" in catalogue()
