"""Cells of a file that a spreadsheet opens: nothing in them is worked out, and telephones can be dialled."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from octo_dagster.spreadsheet import harmless, line


@pytest.mark.parametrize(
    "value",
    [
        "=1+1",
        "+cmd|' /C calc'!A0",
        "-2",
        "-2+3+cmd",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1+1",
        "+",
        "+33 6\n=1",
    ],
)
def test_a_formula_is_a_text(value: str) -> None:
    """What begins as a formula does is quoted, a telephone with a second line too."""
    assert harmless(value) == f"'{value}"


@pytest.mark.parametrize(
    "value",
    [
        "+33 6 12 00 00 01",
        "+33612000001",
        "+(44) 20-7946.0000",
        "(0)20 7946 0000",
        "Ada",
        "",
        "7-2",
        -2,
        1.5,
        None,
    ],
)
def test_what_is_none_stays(value: Any) -> None:
    """Telephones, other texts and numbers are as they were."""
    assert harmless(value) == value


def test_a_line_is_as_its_languages_excel_expects() -> None:
    """In French `;` parts the columns and a comma a number; in English `,` and a point; formulas are texts in
    both, and a text with a point keeps it."""
    told = (Decimal("12.50"), -0.5, True, None, "v1.2", "=1", 3, date(2026, 11, 23))
    assert line(told, "fr") == "12,50;-0,5;VRAI;;v1.2;'=1;3;2026-11-23\r\n"
    assert line(told, "en") == "12.50,-0.5,True,,v1.2,'=1,3,2026-11-23\r\n"
