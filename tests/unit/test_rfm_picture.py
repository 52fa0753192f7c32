"""The RFM plane as a picture."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import matplotlib.pyplot as plt

from assets.scores.rfm import PLANE, rfm
from octo_dagster.scoring.pictures.plane import rfm_heatmap, summed
from octo_dagster.warehouse import Warehouse
from tests.orders import scored

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_picture_is_a_png_and_repeats_itself(tmp_path: Path) -> None:
    """Equal tables give equal bytes, whether drawn from customers or from cells, and pyplot is left alone."""
    orders = [
        {
            "order_id": str(number),
            "customer_id": str(number % 40),
            "ordered_at": datetime.fromisoformat(f"2024-01-{1 + number % 28:02}"),
            "status": "completed",
            "net_amount": Decimal(1 + number * number % 97),
        }
        for number in range(160)
    ]
    rows = scored(rfm, orders, tmp_path, date(2024, 2, 1))
    with Warehouse(tmp_path).connect() as connection:
        cells = connection.sql(PLANE).to_arrow_table().to_pylist()
    assert len(cells) < len(rows) == 40
    picture = rfm_heatmap(rows)
    assert picture.startswith(PNG)
    assert picture == rfm_heatmap(cells)
    assert plt.get_fignums() == []


def test_cells_add_up() -> None:
    """Rows of one cell are counted and their revenue added."""
    row = {"rfm_recency": 2, "rfm_frequency_monetary": 5, "rfm_segment": "s", "rfm_revenue": Decimal("1.50")}
    assert summed([row, row]) == ({(2, 5): 2}, {(2, 5): Decimal("3.00")}, {(2, 5): "s"})


def test_nobody_is_a_picture_too() -> None:
    """An empty table, and one without revenue, still draw the plane."""
    assert rfm_heatmap([]).startswith(PNG)
    row = {"rfm_recency": 1, "rfm_frequency_monetary": 1, "rfm_segment": "s", "rfm_revenue": Decimal("-1.00")}
    assert rfm_heatmap([row]).startswith(PNG)
