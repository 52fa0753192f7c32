"""Whether two values mean the same."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from octo_dagster.delivery.compare import differing, missing, same
from octo_dagster.model import Value

ALIKE: list[tuple[Value, Value]] = [
    (None, ""),
    (None, []),
    ("", []),
    (" Ada ", "Ada"),
    (1, Decimal("1.00")),
    ("1.50", Decimal("1.5")),
    (["a"], ["a"]),
    (True, True),
    ("שלום", "שלום"),
]
UNLIKE: list[tuple[Value, Value]] = [
    (None, 0),
    (None, False),
    ("", 0),
    ("true", True),
    ("a", "A"),
    ("1", "1.0"),
    (["a", "b"], ["b", "a"]),
    (["a"], "a"),
    ("nan", 1),
    ("NaN", Decimal(1)),
    ("sNaN", 1),
    ("Infinity", 10**30),
    ("-inf", Decimal("0.1")),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_alike(one: Value, other: Value) -> None:
    """Absent is empty, text is without its outer blanks, numbers are numbers; both ways round."""
    assert same(one, other)
    assert same(other, one)


@pytest.mark.parametrize(("one", "other"), UNLIKE)
def test_unlike(one: Value, other: Value) -> None:
    """False is not empty, text is not a number for looking like one, and no name stops a run."""
    assert not same(one, other)
    assert not same(other, one)


def test_tolerance_is_for_numbers_and_exact_at_its_edge() -> None:
    """A movement of exactly the tolerance is none; text knows no tolerance."""
    assert same(Decimal("0.3"), Decimal("0.2"), 0.1)
    assert not same(Decimal("0.3001"), Decimal("0.2"), 0.1)
    assert not same("3", "4", 5)
    assert differing({"a": 104, "b": 5}, {"a": 100, "b": 4}, {"a": 4.0}) == ("b",)


def test_what_is_missing_and_what_differs() -> None:
    """A field the ledger does not have differs even when it is empty; at a destination it is empty."""
    assert differing({"a": None}, {}) == ("a",)
    assert missing({"a": None, "b": 1}, {}) == ("b",)
    assert differing({}, {"old": 1}) == ()
    assert missing({"email": " Ada@Example.com"}, {"email": "ada@example.com"}) == ()
    assert differing({"email": "Ada@Example.com"}, {"email": "ada@example.com"}) == ("email",)
    assert missing({"note": "Ada at home"}, {"note": "ada at home"}) == ("note",)
    assert missing({"box": None, "choices": ["a", "b"]}, {"box": False, "choices": ["b", "a"]}) == ()


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.lists(st.text())
)


@given(VALUES, VALUES)
def test_any_two_values_compare(one: Value, other: Value) -> None:
    """Any two values compare without an error, the same way round and back."""
    assert same(one, other) == same(other, one)
