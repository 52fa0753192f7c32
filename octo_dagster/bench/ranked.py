"""How well values tell who will: by their order, within groups, and as chances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def area(values: pd.Series[Any], yes: pd.Series[bool]) -> float:
    """Under the ROC curve: how often one who did has a higher value than one who did not; ties count half."""
    ranks, hits = values.astype(float).rank(), int(yes.sum())
    return float((ranks[yes].sum() - hits * (hits + 1) / 2) / (hits * (len(yes) - hits)))


def area_within(groups: pd.Series[str], values: pd.Series[float], yes: pd.Series[bool]) -> float:
    """The mean of the groups' areas, each weighing its rows; without groups where all did or none did."""
    ranked = pd.DataFrame({"rank": values.groupby(groups).rank(), "yes": yes, "group": groups})
    size, hits = ranked.groupby("group").yes.agg(["size", "sum"]).to_numpy().T
    ranks = ranked["rank"].where(ranked.yes, 0).groupby(ranked.group).sum().to_numpy()
    mixed = (hits > 0) & (hits < size)
    with np.errstate(invalid="ignore"):
        found = (ranks - hits * (hits + 1) / 2) / (hits * (size - hits))
    return float(np.average(found[mixed], weights=size[mixed]))


def off(chances: pd.Series[float], yes: pd.Series[bool]) -> float:
    """How far the mean chance of a fifth of the rows, by chance, is from its share of yes, on average."""
    fifths = np.ceil(5 * chances.rank(pct=True).round(9))
    wrong = (chances - yes).groupby(fifths)
    return float((wrong.mean().abs() * wrong.size()).sum() / len(chances))
