"""Named segments on a plane of classes: who is where, checked for holes and overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster.errors import ConfigError
from octo_dagster.words import Language


class Segment(BaseModel):
    """A rectangle of the (recency, frequency × monetary) plane with a name in two languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(min_length=1, max_length=80)
    fr: str = Field(min_length=1, max_length=80)
    recency: tuple[int, ...] = Field(min_length=1)
    """The recency classes it takes, 1 the longest ago."""
    frequency_monetary: tuple[int, ...] = Field(min_length=1)
    """The frequency × monetary classes it takes, 1 the smallest."""

    def label(self, language: Language) -> str:
        return self.fr if language == "fr" else self.en

    def cells(self) -> set[tuple[int, int]]:
        """The (recency, frequency × monetary) pairs it covers."""
        return set(product(self.recency, self.frequency_monetary))


NAMES = (
    ("Best customers becoming passive", "Meilleurs clients devenant passifs", 0, 2),
    ("Best customers slowing down", "Meilleurs clients qui ralentissent", 1, 2),
    ("Best active customers", "Meilleurs clients actifs", 2, 2),
    ("Regular customers becoming passive", "Clients réguliers devenant passifs", 0, 1),
    ("Regular customers slowing down", "Clients réguliers qui ralentissent", 1, 1),
    ("Regular active customers", "Clients réguliers actifs", 2, 1),
    ("Passive small customers", "Petits clients passifs", 0, 0),
    ("Small customers slowing down", "Petits clients qui ralentissent", 1, 0),
    ("Recent small customers", "Petits clients récents", 2, 0),
)
"""Nine by thirds of the plane. More than ten is of no use to a marketer (help page of Octolis' RFM)."""


def default_segments(bins: int) -> tuple[Segment, ...]:
    """The nine segments over bins × bins classes; with six, the best becoming passive are R 1–2, FxM 5–6."""
    thirds = [tuple(c for c in range(1, bins + 1) if 3 * (c - 1) // bins == third) for third in range(3)]
    return tuple(
        Segment(en=en, fr=fr, recency=thirds[r], frequency_monetary=thirds[fm]) for en, fr, r, fm in NAMES
    )


def check(segments: Sequence[Segment], bins: int) -> None:
    """Every cell is in exactly one segment and labels differ; else ConfigError naming the cells."""
    plane = set(product(range(1, bins + 1), range(1, bins + 1)))
    owners: dict[tuple[int, int], list[str]] = {cell: [] for cell in sorted(plane)}
    outside: set[tuple[int, int]] = set()
    for segment in segments:
        outside |= segment.cells() - plane
        for cell in segment.cells() & plane:
            owners[cell].append(segment.en)
    problems = [*told("is in no segment", [cell for cell, names in owners.items() if not names])]
    problems += [
        f"segments: cell {named(cell)} is in {' and '.join(names)}"
        for cell, names in owners.items()
        if len(names) > 1
    ]
    problems += told(f"is outside the {bins}×{bins} plane", sorted(outside))
    problems += twice([segment.en for segment in segments]) + twice([segment.fr for segment in segments])
    if problems:
        raise ConfigError(*problems)


def told(what: str, cells: Sequence[tuple[int, int]]) -> list[str]:
    return [f"segments: cell {named(cell)} {what}" for cell in cells]


def twice(labels: Sequence[str]) -> list[str]:
    return [
        f"segments: {label!r} is given twice" for label in sorted({x for x in labels if labels.count(x) > 1})
    ]


def named(cell: tuple[int, int]) -> str:
    return f"(recency {cell[0]}, frequency_monetary {cell[1]})"


def segment_label(
    segments: Sequence[Segment],
    recency: sa.ColumnElement[int],
    frequency_monetary: sa.ColumnElement[int],
    language: Language,
) -> sa.ColumnElement[str]:
    """The label of the segment a customer's two classes fall in."""
    return sa.case(
        *(
            (
                sa.and_(recency.in_(s.recency), frequency_monetary.in_(s.frequency_monetary)),
                sa.literal(s.label(language)),
            )
            for s in segments
        )
    )
