"""The benchmark: every part runs at a small scale, and a figure knows whether it is good enough."""

from __future__ import annotations

import math

import pytest

from octo_dagster.bench.figure import Figure
from octo_dagster.bench.run import PARTS, measured, page
from octo_dagster.bench.vendors import VENDORS
from octo_dagster.errors import ConfigError


def test_a_figure_is_met_up_to_its_target() -> None:
    """A ratio at the target is good, one above it is not, and without a target nothing is said."""
    assert Figure("a", 14, "s", "b", 10, 1.4).met is True
    assert Figure("a", 14.1, "s", "b", 10, 1.4).met is False
    assert Figure("a", 99, "s", "b", 10).met is None


def test_nothing_beside_nothing_is_one() -> None:
    """No writes where none are needed is the best there is; any write there is infinitely many times it."""
    assert Figure("a", 0, "writes", "b", 0, 1.0).met is True
    assert Figure("a", 1, "writes", "b", 0, 1.0).ratio == math.inf


def test_a_quality_is_met_from_its_target_on() -> None:
    """Where more is better a ratio just below the target is not good, however it is rounded."""
    assert Figure("a", 0.75, "AUC", "bar", 0.75, least=1.0).met is True
    assert Figure("a", 0.749, "AUC", "bar", 0.75, least=1.0).met is False


def test_the_page_keeps_what_was_not_measured_now() -> None:
    """A part measured alone takes the place of its old figures; the other parts stay, in their order."""
    old = page({"rfm": [Figure("old rfm", 1, "s", "x", 1)], "calls": [Figure("old calls", 1, "s", "x", 1)]})
    new = page({"calls": [Figure("new calls", 2, "s", "x", 1)]}, old)
    assert "old rfm" in new
    assert "new calls" in new
    assert "old calls" not in new
    assert new.index("old rfm") < new.index("new calls")
    assert page({}, new) == new


@pytest.mark.parametrize("part", ["api", "calls", "delivery", "plan", "quota"])
def test_a_part_runs_small(part: str) -> None:
    """A small run measures something in every figure, and its page holds them all."""
    told = measured(part, small=True, tell=lambda line: None)
    assert told[part]
    text = page(told)
    assert all(figure.measure in text and figure.value >= 0 for figure in told[part])
    if part == "calls":
        assert len(told[part]) == 4 * len(VENDORS)
        assert all(figure.met is not False for figure in told[part])


def test_an_unknown_part_is_refused() -> None:
    """The parts there are, are named."""
    with pytest.raises(ConfigError, match=", ".join(PARTS)):
        measured("speed", small=True, tell=lambda line: None)
