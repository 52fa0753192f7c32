"""Scores a person writes as a YAML file of `assets/scores/`, without any Python.

    # assets/scores/lead_score.yaml
    description: Whom to call first
    points:
      - {when: call_consent and phone is not None, points: 10, because: may be called}
      - {when: rfm_recency >= 5, points: 25}
      - {of: rfm_revenue, per: 50, points: 1, most: 20}
    scale: 1-100

or, in place of `points`, `expression`: one DuckDB expression over the same columns (`formula`). Columns are
those of `customers` and of every score with a row per customer; the tables read follow from the columns
named. A customer the shop did not know yet on the day has no row, nor has one outside `only`, nor one whose
expression is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ValidationError

from octo_dagster import document
from octo_dagster.canonical import contracts as canonical
from octo_dagster.errors import ConfigError
from octo_dagster.score import Score, Tables, Told
from octo_dagster.scoring import rules
from octo_dagster.scoring.rules import Refused, nearest
from octo_dagster.scoring.settings import raw_settings, settings_model
from octo_dagster.scoring.written import formula
from octo_dagster.scoring.written.points import Points
from octo_dagster.scoring.written.scorecard import By, Kind, Scale, Scorecard
from octo_dagster.words import Language

CUSTOMERS = "customers"
NAME = re.compile(r"[a-z][a-z0-9_]*")
TAKEN = frozenset(
    {
        *canonical.CONTRACTS,
        *("customer_profile", "audience_members", "rejected_rows"),
        *("scenario_enrolments", "scenario_state", "scenario_uplift"),
        *("profile", "base", "counted", "figures"),  # what the profile's own queries call their parts
    }
)
"""Names of tables that are no score's: one of that name would write over them, or stand in their way."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Every column a written score may name, and the table it is in."""

    owners: Mapping[str, str]
    carried: frozenset[str]
    """Of `customers`, what sources bring beyond its contract: its type is known once the table is there."""

    def reads(self, said: BaseModel, file: str) -> tuple[str, ...]:
        """The tables a file's columns are in, `customers` first; ConfigError names unknown columns."""
        problems = []
        used: list[str] = []
        for field, names in mentions(said, file):
            for name in names:
                if name in self.owners:
                    used.append(self.owners[name])
                else:
                    near = nearest(name, self.owners)
                    problems.append(f"{file}: {field}: column {name!r} is unknown{near}")
        if problems:
            raise ConfigError(*problems)
        return tuple(dict.fromkeys((CUSTOMERS, *used)))


def written_scores(folder: Path, scores: Mapping[str, Score], carried: frozenset[str]) -> dict[str, Score]:
    """Name → score, for every YAML file of the folder that is no other score's settings.

    `scores`: all that are written in Python, with the columns their settings make. ConfigError with the
    mistakes of all files; a file that looks like misnamed settings is told the scores there are."""
    made: dict[str, Score] = {}
    problems: list[str] = []
    for path in sorted(folder.glob("*.yaml")):
        if path.stem not in scores:
            try:
                made[path.stem] = shaped(path, scores)
            except ConfigError as wrong:
                problems += wrong.problems
    if problems:
        raise ConfigError(*problems)
    columns = Columns(owners({**scores, **made}, carried), carried)
    found: dict[str, Score] = {}
    for name, score in made.items():
        try:
            found[name] = reading(score, folder / f"{name}.yaml", columns)
        except ConfigError as wrong:
            problems += wrong.problems
    if problems:
        raise ConfigError(*problems)
    return found


def shaped(path: Path, scores: Mapping[str, Score]) -> Score:
    """A file as a score whose columns are known, and not yet what it reads."""
    raw = raw_settings(path)
    if not {"points", "expression"} & raw.keys():
        known = nearest(path.stem, scores) or f"; there are {', '.join(sorted(scores)) or 'none'}"
        own = "one of your own gives points or an expression"
        raise ConfigError(f"{path.name}: there is no score {path.stem!r}{known} ({own})")
    if not NAME.fullmatch(path.stem) or is_taken(path.stem):
        raise ConfigError(f"{path.name}: name: a score cannot be called {path.stem!r}")
    score = blank(path.stem, str(raw.get("description", "")), (CUSTOMERS,), frozenset())
    return score.given_settings(vars(said(score, raw, path.name)))


def is_taken(name: str) -> bool:
    """Whether a table of this name is, or may one day be, no score's."""
    return name in TAKEN or name.startswith("raw_")


def reading(score: Score, path: Path, columns: Columns) -> Score:
    """The same score with the tables it reads."""
    reads = columns.reads(said(score, raw_settings(path), path.name), path.name)
    if score.name in reads:
        raise ConfigError(f"{path.name}: names a column of its own")
    for column in score.columns:
        if columns.owners[column.name] != score.name:
            raise ConfigError(
                f"{path.name}: name: {columns.owners[column.name]} has a column {column.name!r} already"
            )
    return blank(score.name, score.description, reads, columns.carried).given_settings(score.given)


def said(score: Score, raw: Mapping[str, Any], file: str) -> BaseModel:
    """What a file says, each field in its own type; ConfigError `file: field: what`."""
    try:
        return settings_model(score).model_validate(raw)
    except ValidationError as wrong:
        raise ConfigError(*(f"{file}: {line}" for line in document.mistakes(wrong))) from None


def owners(scores: Mapping[str, Score], carried: frozenset[str]) -> dict[str, str]:
    """Column → the table it is in, of everything known of a customer."""
    found = dict.fromkeys((*canonical.CONTRACTS[CUSTOMERS].names, *sorted(carried)), CUSTOMERS)
    for score in scores.values():
        if score.on_profile:
            found = {column.name: score.name for column in score.columns} | found
    return found


def mentions(told: Any, file: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each field of a file that names columns, and those it names; ConfigError if one cannot be read."""
    field = "only"
    try:
        if told.only is not None:
            yield field, rules.columns_of(told.only)
        for number, part in enumerate(told.points):
            field = f"points.{number}"
            for key, names in part.used:
                yield f"{field}.{key}", names
        if told.expression is not None:
            field = "expression"
            yield field, tuple(name for name in formula.read(told.expression).columns if name != "as_of")
    except Refused as wrong:
        raise ConfigError(f"{file}: {field}: {wrong}") from None
    except ConfigError as wrong:
        raise ConfigError(*(f"{file}: {field}: {line}" for line in wrong.problems)) from None


def blank(name: str, description: str, reads: tuple[str, ...], carried: frozenset[str]) -> Score:
    """A score of this name that takes the keys of a file as its settings."""

    def compute(  # noqa: PLR0913 - the keys of the file
        tables: Tables,
        *,
        as_of: date,
        description: str = "",
        points: tuple[Points, ...] = (),
        expression: str | None = None,
        type: Kind | None = None,  # noqa: A002 - as the YAML calls it
        scale: Scale | None = None,
        by: By = "rank",
        only: str | None = None,
    ) -> sa.Select[Any]:
        card = Scorecard(name, description, points, expression, type, scale, by, only)
        return card.select(tables, as_of, carried)

    def columns(told: Mapping[str, Any]) -> Mapping[str, Told]:
        return Scorecard(name, **told).columns()

    def because(row: Mapping[str, Any], told: Mapping[str, Any], language: Language = "en", /) -> list[str]:
        return Scorecard(name, **told).sentences(row, language)

    made = Score(name, description, reads, (), compute, because=because, columns_of=columns)
    return made.given_settings({})
