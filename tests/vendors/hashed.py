"""Who is meant by a hash: the test knows everybody it sent, so it can tell. No vendor could."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache

from tests.vendors.examinee import SAMPLES

NUMBER = "+491{orders}0000{customer_id}"
"""A template that tells two customers' numbers apart and holds the orders: in Germany, where they differ in
length."""
MOST_ORDERS = 1_400
SEGMENTS = ("best", "new", "lost", "Zoë 🐙", 'a;b,"c"\nd')
AWKWARD = ("o'brien+octo@example.com", "upper@example.com", "spaced@example.com", "stranger@example.com")
TEXTS = (*(str(text) for samples in SAMPLES.values() for text in samples), "only this")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def addresses() -> Mapping[str, str]:
    """Hash → e-mail address, of everybody the exams know."""
    every = [*(f"customer{n}@example.com" for n in range(3_000)), *AWKWARD]
    return {sha256(one): one for one in every}


@cache
def numbers(customer: int, prefix: str) -> Mapping[str, int | None]:
    """Hash → orders, of the numbers one customer may have."""
    every: list[int | None] = [None, *range(MOST_ORDERS)]
    return {
        sha256(f"{prefix}491{'' if orders is None else orders}0000{customer}"): orders for orders in every
    }


def orders(hashed: str, email: str, prefix: str) -> int | None:
    """The orders that are in this hash of somebody's number. KeyError when it is not his."""
    found = re.fullmatch(r"customer(\d+)@example.com", email)
    for customer in [int(found.group(1))] if found else range(1, 7):
        known = numbers(customer, prefix)
        if hashed in known:
            return known[hashed]
    raise KeyError(f"{email} is known by a number that was never his")


def meant(texts: Iterable[str], normal: Callable[[str], str]) -> dict[str, str]:
    """Hash → text, for texts as a vendor normalises them."""
    return {sha256(normal(text)): text for text in texts}
