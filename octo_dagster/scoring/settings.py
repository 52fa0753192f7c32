"""A score's settings: its YAML file as values of the score's own types, and tried on the score."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from octo_dagster import document
from octo_dagster.canonical import contracts as canonical
from octo_dagster.errors import ConfigError
from octo_dagster.hours import checked_cron
from octo_dagster.score import Score, Tables
from octo_dagster.scoring.sql import TYPES

HOURS = "schedule"
"""What every score's file may say besides its settings: a cron line, in the project's time zone."""
FRESH = "fresh_within"
"""And this: hours after which the score's table is called stale."""

FAR = date(9000, 1, 1)
"""A day no date among the settings is after: settings are tried before anybody knows the day of the run."""


def load_settings(score: Score, path: Path) -> dict[str, Any]:
    """The settings of a score's YAML file, checked; none when there is no file or only comments in it."""
    return checked_settings(score, raw_settings(path), path.name)


def raw_settings(path: Path) -> dict[str, Any]:
    """What a score's YAML file says of its settings, unchecked; nothing when there is no file or only
    comments in it."""
    if not path.exists() or is_bare(path.read_text("utf-8")):
        return {}
    told = document.read(path)
    told.pop(HOURS, None)
    told.pop(FRESH, None)
    return told


def hours_of(path: Path) -> str | None:
    """The cron line of a score's file, at which it is worked out instead of at night; None without one."""
    if not path.exists() or is_bare(path.read_text("utf-8")):
        return None
    line = document.read(path).get(HOURS)
    try:
        return None if line is None else checked_cron(str(line))
    except ValueError as wrong:
        raise ConfigError(f"{path.name}: {HOURS}: {wrong}") from None


def fresh_within(path: Path) -> float | None:
    """The hours a score's file says its table may be old; None without them. ConfigError for what is none."""
    if not path.exists() or is_bare(path.read_text("utf-8")):
        return None
    hours = document.read(path).get(FRESH)
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float) or hours <= 0):
        raise ConfigError(f"{path.name}: {FRESH}: not a number of hours above 0")
    return hours


def is_bare(text: str) -> bool:
    """Whether a YAML text holds nothing but comments."""
    return all(line.lstrip().startswith("#") for line in text.splitlines() if line.strip())


def checked_settings(
    score: Score, raw: Mapping[str, Any], file: str, scores: Mapping[str, Score] | None = None
) -> dict[str, Any]:
    """The given settings as the score's own types, tried on it; each mistake as `file: field: what`.

    `scores`: the other scores, by whose tables one that reads them is tried too."""
    try:
        told = settings_model(score).model_validate(raw)
    except ValidationError as wrong:
        raise ConfigError(*(f"{file}: {line}" for line in document.mistakes(wrong))) from None
    settings = {name: getattr(told, name) for name in told.model_fields_set}
    tables = declared_tables(score, scores or {})
    if tables is not None and not score.by_frames:
        expression(score, tables, FAR, settings, file)
    return settings


def declared_tables(score: Score, scores: Mapping[str, Score]) -> Tables | None:
    """The tables the score reads as their contracts and declared columns say; None if one is unknown."""
    names = (*score.reads, *score.optional)
    known = {name: canonical.sqlalchemy_table(name) for name in names if name in canonical.CONTRACTS}
    known |= {name: score_table(scores[name]) for name in names if name in scores}
    return known if len(known) == len(names) else None


def score_table(score: Score) -> sa.TableClause:
    """A score's own table to select from, its columns typed as declared."""
    types = {"customer_id": "text"} | {column.name: column.type for column in score.columns}
    columns = [sa.column(name, TYPES.get(types[name], sa.Numeric(18, 4))) for name in score.output]
    return sa.table(score.name, *columns)


def expression(
    score: Score, tables: Tables, as_of: date, settings: Mapping[str, Any], said: str
) -> sa.Select[Any]:
    """What the score computes; a setting it refuses itself is told as `said: setting: what`."""
    try:
        return typing.cast("sa.Select[Any]", score.compute(tables, as_of=as_of, **settings))
    except ConfigError as wrong:
        raise ConfigError(*(f"{said}: {problem}" for problem in wrong.problems)) from None


def settings_model(score: Score) -> type[BaseModel]:
    """The score's keyword-only parameters as a strict YAML shape: types, ranges, defaults."""
    hints = typing.get_type_hints(score.compute, include_extras=True)
    fields: Any = {name: (hints[name], parameter.default) for name, parameter in score.settings.items()}
    return create_model(
        f"{score.name}_settings", __config__=ConfigDict(extra="forbid", frozen=True), **fields
    )


def plain_settings(score: Score, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting in force, defaults included, as plain JSON values."""
    return settings_model(score)(**settings).model_dump(mode="json")
