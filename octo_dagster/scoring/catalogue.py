"""Every score's columns and settings in words, for people: a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from octo_dagster.score import Score
from octo_dagster.scoring.settings import plain_settings, settings_model

INTRODUCTION = """# The scores and their columns

Written from the scores themselves (`SNAPSHOT=write pytest tests/house/test_catalogue.py`); do not edit.

Scores with one row per customer put their columns onto `customer_profile`; the others are tables of their
own. Settings are given in `assets/scores/NAME.yaml`; the values below are the defaults. Labels are in the
language of `assets/project.yaml`.
"""


def page(scores: Iterable[Score]) -> str:
    """All scores, those of the customer profile first, each with its columns and settings."""
    ordered = sorted(scores, key=lambda score: (not score.on_profile, score.name))
    return "\n".join([INTRODUCTION, *(section(score) for score in ordered)])


def section(score: Score) -> str:
    """One score: what it says, what it reads, its columns, its settings."""
    reads = ", ".join([*score.reads, *(f"{name} (if any)" for name in score.optional)])
    key = "one row per customer" if score.on_profile else f"one row per {' × '.join(score.key)}"
    lines = [f"## {score.name}", "", score.description, "", f"Reads {reads}; {key}.", ""]
    lines += ["| column | type | |", "|---|---|---|"]
    lines += [f"| {c.name} | {c.type} | {cell(c.description)} |" for c in score.columns]
    told = settings(score)
    if told:
        lines += ["", "| setting | default |", "|---|---|"]
        lines += [f"| {name} | {cell(shown(value))} |" for name, value in told.items()]
    return "\n".join([*lines, ""])


def settings(score: Score) -> Mapping[str, Any]:
    """The settings a score's own file may give, with their defaults; `language` is the project's."""
    defaults = plain_settings(score, {})
    return {name: defaults[name] for name in settings_model(score).model_fields if name != "language"}


def shown(value: Any) -> str:
    """A default in one cell; what is too long for it is in the file."""
    if len(str(value)) > 80:
        return f"{len(value)} entries, see the file"
    return "none" if value is None else f"`{value}`"


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
