"""Pictures draw whatever names a shop has given its categories, stores and segments."""

from __future__ import annotations

from decimal import Decimal

import pytest

from octo_dagster.scoring.pictures.charts import bars, matrix
from octo_dagster.scoring.pictures.plane import rfm_heatmap

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("name", ["$5 & up to $20", "$\\unknown{ $", "10 % _off_ ^now^ {x}", "", "x" * 5_000])
def test_any_name_is_drawn_as_it_is_written(name: str) -> None:
    """Two dollar signs are two dollar signs, not the borders of a formula; the longest name is cut."""
    assert bars([{"label": name, "customers": 3, "mean_orders": Decimal("1.50")}], "Any").startswith(PNG)
    assert matrix([{"row": name, "column": name, "customers": 3}], "Any").startswith(PNG)
    cell = {"rfm_recency": 1, "rfm_frequency_monetary": 1, "rfm_revenue": Decimal(1)}
    assert rfm_heatmap([{**cell, "rfm_segment": name[:80]}]).startswith(PNG)
