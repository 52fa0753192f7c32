"""What a file must look like that people open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""What a file begins with, by which a spreadsheet knows that it is UTF-8."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell begins with that a spreadsheet may work out: the wide ones too, in Japanese settings."""
TELEPHONE = re.compile(r"\+?[0-9(][0-9 ().-]*")
"""Digits and what people write between them: dialled as it stands, and no formula that does anything."""


def harmless(value: Any) -> Any:
    """A value as a cell: a text that would be taken for a formula is quoted by an apostrophe, as people do it
    in a spreadsheet; telephones and all that is no text stay as they are."""
    if not isinstance(value, str) or not value.startswith(FORMULA) or TELEPHONE.fullmatch(value):
        return value
    return f"'{value}"


def line(values: Iterable[Any], language: str) -> str:
    """A line of a file that a double click opens in that language's Excel: in French, columns between `;` and
    a comma in numbers, where English has `,` and a point."""
    text, french = io.StringIO(), language == "fr"
    told = [comma(value) if french else harmless(value) for value in values]
    csv.writer(text, delimiter=";" if french else ",", lineterminator="\r\n").writerow(told)
    return text.getvalue()


def comma(value: Any) -> Any:
    """A value as a cell of a French sheet."""
    if isinstance(value, bool):
        return "VRAI" if value else "FAUX"
    return str(value).replace(".", ",") if isinstance(value, float | Decimal) else harmless(value)
