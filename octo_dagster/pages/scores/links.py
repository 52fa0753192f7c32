"""Where a figure leads: the customers it counts."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

Condition = tuple[str, str, Any]
"""Column of the profile, operator of the read API's filters, value."""


def people(*conditions: Condition) -> str:
    """The customers' page with those of whom all conditions hold."""
    where = [("where", f"{column}:{operator}:{value}") for column, operator, value in conditions]
    return f"/customers?{urlencode(where, quote_via=quote)}"


def is_(column: str, value: Any) -> Condition:
    """The column holds the value; nothing, for None."""
    return (column, "null", "true") if value is None else (column, "eq", value)


def here(path: str, **asked: Any) -> str:
    """A page of Octo's with what is asked of it; what is None is not asked."""
    kept = {name: value for name, value in asked.items() if value is not None}
    return f"{path}?{urlencode(kept, quote_via=quote)}" if kept else path
