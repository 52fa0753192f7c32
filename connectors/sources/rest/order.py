"""What orders cursors, and what lies a little before one: times and numbers, as an API spells them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

NUMBER = r"-?\d+(\.\d+)?"
MOST_SECONDS = 100_000_000_000
"""More than so many seconds since 1970 (the year 5138) are milliseconds; as those it is 1973."""
LAST_SECOND = 253_402_300_799
"""Of the year 9999, which is the last there is here."""


def moment(spelled: Any) -> datetime:
    """A cursor as a time; without a zone, as UTC; a number is of seconds or milliseconds since 1970.
    ValueError when it is none."""
    if isinstance(spelled, int | float) or re.fullmatch(NUMBER, str(spelled)):
        seconds = float(spelled) / unit(spelled)
        if seconds > LAST_SECOND:
            raise ValueError(f"{spelled} is no time")
        return datetime.fromtimestamp(seconds, UTC)
    made = datetime.fromisoformat(str(spelled))
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def unit(spelled: Any) -> int:
    """What of a number is a second."""
    return 1_000 if float(spelled) > MOST_SECONDS else 1


def spelled_like(at: datetime, cursor: Any) -> str:
    """A time as a cursor that is known is spelled: a number, or ISO 8601."""
    if cursor is None or not re.fullmatch(NUMBER, str(cursor)):
        return at.isoformat()
    return str(int(at.timestamp()) * unit(cursor))


def earlier(spelled: Any, seconds: int) -> Any:
    """A cursor that many seconds (or units) before, spelled the same way."""
    if re.fullmatch(NUMBER, str(spelled)):
        return type(spelled)(Decimal(str(spelled)) - seconds)
    made = datetime.fromisoformat(spelled) - timedelta(seconds=seconds)
    fine = "milliseconds" if re.search(r"\.\d{3}(?!\d)", spelled) else "auto"
    text = made.isoformat(sep="T" if "T" in spelled else " ", timespec=fine)
    return text.replace("+00:00", "Z") if spelled.endswith("Z") else text


def size(spelled: str | None) -> tuple[int, float, str]:
    """What orders cursors: numbers and times by their size, everything else by its letters, before them."""
    text = spelled or ""
    try:
        return (1, float(text) if re.fullmatch(NUMBER, text) else moment(text).timestamp(), "")
    except ValueError:
        return (0, 0.0, text)
