"""Do two values mean the same? Numbers as numbers, text without its outer blanks, absent as empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from octo_dagster.model import Fields, Value

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


def differing(wanted: Fields, held: Fields, tolerances: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """The fields of `wanted` that `held` does not have so, in order; fields only `held` has do not count."""
    allowed = tolerances or {}
    return tuple(
        name
        for name, value in wanted.items()
        if name not in held or not same(value, held[name], allowed.get(name, 0))
    )


def missing(wanted: Fields, found: Fields) -> tuple[str, ...]:
    """The fields a destination does not hold as sent; one it does not mention is empty there.

    The choices of a list come back in the vendor's order, so here order does not count; a checkbox that
    cannot be empty reads as false when it was emptied; and an e-mail address is kept in lower case (HubSpot,
    Klaviyo), so that its case does not count."""
    return tuple(name for name, value in wanted.items() if not stored(value, found.get(name)))


def stored(value: Value, found: Value) -> bool:
    if isinstance(value, list) and isinstance(found, list):
        return sorted(value) == sorted(found)
    return same(value, found) or (empty(value) and found is False) or same_address(value, found)


def same_address(one: Value, other: Value) -> bool:
    """Whether these are one e-mail address, whatever its capitals."""
    if not (isinstance(one, str) and isinstance(other, str) and ADDRESS.fullmatch(one.strip())):
        return False
    return one.strip().lower() == other.strip().lower()


def same(one: Value, other: Value, tolerance: float = 0) -> bool:
    """Whether two values are equal, numbers within `tolerance`."""
    if type(one) is type(other) and one == other:
        return True  # what most values are, found at once
    if empty(one) or empty(other):
        return empty(one) and empty(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one == other
    if isinstance(one, list) or isinstance(other, list):
        return one == other
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    left, right = numeric(one), numeric(other)
    if left is None or right is None:
        return False
    return abs(left - right) <= Decimal(str(tolerance))


def empty(value: Value) -> bool:
    return value is None or value in ("", [])


def numeric(value: Value) -> Decimal | None:
    """A number to reckon with; None for what is none, a customer called Nan or Infinity included."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
