"""Which scores a project works out: set as their YAML files say, and each after those it reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octo_dagster.errors import ConfigError
from octo_dagster.score import Score
from octo_dagster.scoring.settings import checked_settings, raw_settings
from octo_dagster.scoring.written.files import is_taken


@dataclass(frozen=True, slots=True)
class Library:
    """The scores of a project, by name."""

    scores: Mapping[str, Score]
    """Those that can be worked out, each after those it reads."""
    dormant: Mapping[str, tuple[str, ...]]
    """Those that cannot → the tables they lack: no source feeds them and no score makes them."""


def arranged(
    scores: Mapping[str, Score], folder: Path, fed: frozenset[str], shared: Mapping[str, Any]
) -> Library:
    """The scores in the order they can be worked out, with the settings of their files in `folder`.

    `shared` holds settings every score takes that knows them and does not give them itself. ConfigError with
    the mistakes of all files, or naming the scores that read one another in a circle."""
    if taken := [name for name in sorted(scores) if is_taken(name)]:
        raise ConfigError(*(f"scores: a score cannot be called {name!r}" for name in taken))
    ready: dict[str, Score] = {}
    problems: list[str] = []
    left = dict(scores)
    while found := [s for s in left.values() if not lacking(s, fed | ready.keys())]:
        for score in found:
            del left[score.name]
            try:
                ready[score.name] = score.given_settings(chosen(score, scores, folder, shared, ready))
            except ConfigError as wrong:
                problems += wrong.problems
                ready[score.name] = score
    if problems:
        raise ConfigError(*problems)
    circle = set(left) - hopeless(left, fed | scores.keys())
    if circle:
        raise ConfigError(f"scores: {', '.join(sorted(circle))} read one another in a circle")
    dormant = {name: lacking(score, fed | ready.keys()) for name, score in left.items()}
    return Library({name: score for name, score in ready.items() if score.columns}, dormant)


def lacking(score: Score, there: Collection[str]) -> tuple[str, ...]:
    """The tables it reads that are not there."""
    return tuple(name for name in score.reads if name not in there)


def hopeless(left: Mapping[str, Score], known: Collection[str]) -> set[str]:
    """The scores that lack a table nobody makes, and those that read such a score."""
    lost: set[str] = set()
    while more := {name for name, s in left.items() if lacking(s, known) or lost & set(s.reads)} - lost:
        lost |= more
    return lost


def chosen(
    score: Score,
    scores: Mapping[str, Score],
    folder: Path,
    shared: Mapping[str, Any],
    ready: Mapping[str, Score],
) -> dict[str, Any]:
    """The score's settings: its own file's, else those of the scores it shares them with, else `shared`."""
    named = score.settings_from or ()
    lenders = [name for name in ((named,) if isinstance(named, str) else named) if name in scores]
    lent = {key: value for name in lenders for key, value in raw_settings(folder / f"{name}.yaml").items()}
    common = {name: value for name, value in (dict(shared) | lent).items() if name in score.settings}
    own = folder / f"{score.name}.yaml"
    return checked_settings(score, common | raw_settings(own), own.name, ready)
