"""What a page shows instead of a score that is not there: which of the shop's tables would feed it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from octo_dagster.pages.board import Board
from octo_dagster.scoring.library import Library


@dataclass(frozen=True, slots=True)
class Lack:
    """A score whose table is not there."""

    score: str
    tables: tuple[str, ...]
    """The shop's tables nothing brings, without which it cannot be worked out; empty when all are brought."""
    known: bool
    """Whether the project has this score at all."""


def lacks(told: Board, *scores: str) -> list[Lack]:
    """The scores of these whose table is not there, and why."""
    missing = [name for name in scores if not told.has(name)]
    library = told.project.library if missing else None
    return [lack(library, name) for name in missing if library is not None]


def lack(library: Library, name: str) -> Lack:
    known = name in library.scores or name in library.dormant
    return Lack(name, tuple(sorted(unfed(library.dormant, name))), known)


def unfed(dormant: Mapping[str, Collection[str]], name: str) -> set[str]:
    """The tables at the root of what a score lacks: those no score would make."""
    found: set[str] = set()
    for table in dormant.get(name, ()):
        found |= unfed(dormant, table) if table in dormant else {table}
    return found
