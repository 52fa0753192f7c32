"""What orders cursors, and what lies a little before one: times and numbers, as an API spells them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

NUMBER = r"-?\d+(\.\d+)?"


def moment(spelled: Any) -> datetime:
    """A cursor as a time; without a zone, as UTC. ValueError when it is none."""
    if isinstance(spelled, int | float) or re.fullmatch(r"\d{9,13}", str(spelled)):
        return datetime.fromtimestamp(float(spelled), UTC)
    made = datetime.fromisoformat(str(spelled))
    return made if made.tzinfo else made.replace(tzinfo=UTC)


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
