"""What a text must look like in a file that people open in a spreadsheet."""

from __future__ import annotations

import re
from typing import Any

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
