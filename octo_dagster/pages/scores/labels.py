"""Labels of scores in the visitor's language: tables hold them in the project's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from octo_dagster.pages.board import Board
from octo_dagster.scoring.measures.segments import NAMES
from octo_dagster.words import Language, catalogue

PREFIX = "label."
"""The words of labels that are written in a score's code; those of its settings are told by its table."""


class Labels:
    """Says the labels of some tables in one language; one it does not know as it is."""

    def __init__(self, told: Board, language: Language, *tables: str) -> None:
        pairs = [*written(), *(pair for name in tables for pair in given(in_force(told, name)))]
        self.words = {stored: pair[language] for pair in pairs for stored in pair.values()}

    def __call__(self, label: str | None) -> str | None:
        return self.words.get(label, label) if label is not None else None


def in_force(told: Board, table: str) -> Mapping[str, Any]:
    """The settings a table was worked out with; empty when it is not there."""
    if not told.has(table):
        return {}
    settings: Mapping[str, Any] = told.project.warehouse.note(table).get("settings") or {}
    return settings


def written() -> Iterator[Mapping[Language, str]]:
    """The pairs of words that no setting changes, and the segments there are without settings."""
    for en, fr, _, _ in NAMES:
        yield {"en": en, "fr": fr}
    for key, said in catalogue().items():
        if key.startswith(PREFIX):
            yield {language: text for language, text in said.items() if isinstance(text, str)}


def given(settings: Any) -> Iterator[Mapping[Language, str]]:
    """Every pair of names anywhere in a score's settings."""
    if isinstance(settings, Mapping):
        en, fr = settings.get("en"), settings.get("fr")
        if isinstance(en, str) and isinstance(fr, str):
            yield {"en": en, "fr": fr}
        settings = list(settings.values())
    if isinstance(settings, list):
        for one in settings:
            yield from given(one)
