"""By what ad platforms know a person, before each spells it its own way: an address, a telephone number."""

from __future__ import annotations

import re

EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
MOST_DIGITS, FEWEST_DIGITS = 15, 7
"""Of a telephone number with its country code (E.164)."""
KEEPS_ITS_ZERO = "39"
"""Italy: a national number there keeps its first zero abroad."""

LONGEST_AT_HOME = {"39": 10, "91": 10, "55": 11, "7": 10}
"""Digits of a national number, where it is told without a zero and may begin as its country's code does: in
Italy 392 123 4567, in India 91234 56789, in Brazil 55 99123 4567, in Kazakhstan 701 123 4567."""


def address(text: str) -> str | None:
    """An e-mail address in lower case; None for what is none."""
    lower = text.strip().lower()
    return lower if EMAIL.fullmatch(lower) else None


def digits_abroad(text: str, calling_code: str | None) -> str | None:
    """The digits to call from abroad, without plus sign. None for what is no number, and for a national one
    where no `calling_code` says of which country: hashed, it would be somebody else's."""
    plain = re.sub(r"\(0\)", "", text).strip()
    digits = re.sub(r"\D", "", plain)
    if plain.startswith("+"):
        found = digits
    elif digits.startswith("00"):
        found = digits[2:]
    elif calling_code is None:
        return None
    else:
        found = with_code(digits, calling_code)
    return found if FEWEST_DIGITS <= len(found) <= MOST_DIGITS and found[0] != "0" else None


def with_code(digits: str, calling_code: str) -> str:
    """A national number as it is dialled from abroad; one that has its country's code already, as it is."""
    if digits.startswith("0"):
        return calling_code + (digits if calling_code == KEEPS_ITS_ZERO else digits[1:])
    shortest = max(len(calling_code) + 8, LONGEST_AT_HOME.get(calling_code, 0) + 1)
    if digits.startswith(calling_code) and len(digits) >= shortest:
        return digits
    return calling_code + digits
