"""Plain charts: the same rows make the same picture, empty or large."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from octo_dagster.scoring.pictures.charts import MOST, bars, beside, largest, matrix

PNG = b"\x89PNG"
Rows = list[dict[str, Any]]


def row(number: int, **more: Any) -> dict[str, Any]:
    """A row that both kinds of chart can draw."""
    return {"label": f"l{number}", "row": f"r{number}", "column": "c", "customers": number} | more


@pytest.mark.parametrize("chart", [bars, matrix])
@pytest.mark.parametrize("rows", [[], [row(0)], [row(n) for n in range(100)], [row(3, label=None, row=None)]])
def test_any_rows_can_be_drawn(chart: Callable[[Rows, str], bytes], rows: Rows) -> None:
    """No row, none of a class, too many classes and a class without a name all make a picture, always equal."""
    drawn = chart(rows, "A title")
    assert drawn.startswith(PNG)
    assert drawn == chart(rows, "A title")


def test_the_largest_are_drawn_in_their_own_order() -> None:
    """Beyond what can be read, the classes with most customers stay, where they stood; the rest is counted."""
    kept, left_out = largest([row(n) for n in range(MOST + 6)])
    assert [one["customers"] for one in kept] == list(range(6, MOST + 6))
    assert left_out == 6


def test_figures_are_told_with_their_names() -> None:
    """Beside a bar stand its customers, their share and every further figure that is known."""
    assert (
        beside({"label": "l", "customers": 30, "mean_orders": 2.5, "revenue": None}, 120)
        == "30 (25.0%) · mean orders 2.5"
    )
