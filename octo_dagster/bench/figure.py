"""One measured ratio, and whether it is as good as it must be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """A value of ours beside a value of something else, measured in the same run."""

    measure: str
    value: float
    unit: str
    against: str
    """What the other value is of."""
    other: float
    most: float | None = None
    """The greatest ratio that is good enough; None where there is no such limit."""
    least: float | None = None
    """The smallest ratio that is good enough: for qualities, where more is better."""

    @property
    def ratio(self) -> float:
        """Ours to the other; nothing to nothing is 1."""
        if self.other == 0:
            return 1.0 if self.value == 0 else math.inf
        return self.value / self.other

    @property
    def met(self) -> bool | None:
        """Whether the targets are reached; None without any. Rounded as shown: a quality to three places."""
        reached = [] if self.most is None else [round(self.ratio, 2) <= self.most]
        reached += [] if self.least is None else [round(self.ratio, 3) >= self.least]
        return all(reached) if reached else None

    @property
    def target(self) -> str:
        """The targets in words; empty without any."""
        least = [] if self.least is None else [f"≥ {self.least:.2f}"]
        most = [] if self.most is None else [f"≤ {self.most:.2f}"]
        return " ".join(least + most)

    def within(self, most: float) -> Figure:
        """The same with a target."""
        return replace(self, most=most)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        ratio = round(self.ratio, 2) if math.isfinite(self.ratio) else None  # JSON knows no infinity
        return {**asdict(self), "ratio": ratio, "met": self.met}


def compared(title: str, ours: dict[str, float], theirs: dict[str, float], against: str) -> list[Figure]:
    """Wall, processor and memory of one contender beside another's, without targets."""
    return [
        Figure(f"{title}: {word}", ours[name], unit, against, theirs[name])
        for word, name, unit in (
            ("wall", "wall", "s"),
            ("processor", "cpu", "s"),
            ("memory", "peak_mb", "MB"),
        )
    ]
