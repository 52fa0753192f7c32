"""Counts by two labels, as a table whose cells are shaded by their share of the row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from octo_dagster.pages.scores.sheet import part, shade

Link = Callable[[Any, Any], str | None]
"""From the labels of row and column to where their customers are; None where nowhere."""


@dataclass(frozen=True, slots=True)
class Cell:
    """How many customers, and their share of the row."""

    count: int
    share: float
    shade: int
    href: str | None
    same: bool = False
    """Whether row and column are one label."""


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table."""

    name: str
    total: int
    cells: tuple[Cell, ...]
    href: str | None = None


def lines(
    counts: Mapping[tuple[Any, Any], int],
    down: Sequence[Any],
    across: Sequence[Any],
    link: Link,
    name: Callable[[Any], str],
) -> list[Line]:
    """A line for each label of `down`, with a cell for each of `across`."""
    made = []
    for row in down:
        whole = sum(counts.get((row, column), 0) for column in across)
        cells = tuple(
            cell(counts.get((row, column), 0), whole, link(row, column), row == column) for column in across
        )
        made.append(Line(name(row), whole, cells))
    return made


def cell(count: int, whole: int, href: str | None, same: bool) -> Cell:
    share = part(count, whole)
    return Cell(count, share, shade(share), href, same)
