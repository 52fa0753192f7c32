"""The measures of validity say what they are said to say."""

from __future__ import annotations

import pandas as pd
import pytest

from octo_dagster.bench.ranked import area, area_within, off


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    """Of the four pairs of a yes and a no, three are in order and one is a tie: three and a half of four."""
    values, yes = pd.Series([1.0, 3.0, 3.0, 9.0]), pd.Series([False, False, True, True])
    assert area(values, yes) == pytest.approx(3.5 / 4)
    assert area(-values, yes) == pytest.approx(0.5 / 4)
    assert area(pd.Series([1.0, 1.0]), pd.Series([True, False])) == 0.5


def test_the_area_within_groups_weighs_their_rows() -> None:
    """A group of two in order and one of four out of order: (2 × 1 + 4 × 0) / 6; one without a no is left out."""
    groups = pd.Series([*"aabbbbcc"])
    values = pd.Series([1.0, 2.0, 4.0, 3.0, 2.0, 1.0, 5.0, 6.0])
    yes = pd.Series([False, True, False, False, True, True, True, True])
    assert area_within(groups, values, yes) == pytest.approx(2 / 6)


def test_off_is_nothing_for_right_chances() -> None:
    """Chances that are the shares are off by nothing; a tenth too high everywhere, by a tenth."""
    chances = pd.Series([0.2] * 10 + [0.8] * 10)
    yes = pd.Series([True] * 2 + [False] * 8 + [True] * 8 + [False] * 2)
    assert off(chances, yes) == pytest.approx(0)
    assert off(chances + 0.1, yes) == pytest.approx(0.1)
