"""Audiences: named groups of customers, each one YAML file, and the lists that let a customer be in one only.

    # assets/audiences/best_to_win_back.yaml
    description: Best customers who stay away, and everybody a shop asked us to look at
    rule: rfm_recency in [1, 2] and rfm_frequency_monetary in [5, 6]
    include: [named_by_shops]
    exclude: [in_dispute]

    # assets/priorities/letters.yaml
    description: Nobody gets two letters
    audiences: [best_to_win_back, newcomers]

A customer is in an audience if its rule or one of those it includes holds for him, and none of those it
excludes. A rule that cannot be told for him (an empty value) neither includes nor excludes him. What an
audience says is looked at where it is included or excluded; priority lists come last: of the audiences of a
list, a customer is only in the first that is for him. An audience is in one list at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from octo_dagster.errors import ConfigError
from octo_dagster.scoring import rules
from octo_dagster.scoring.rules import Condition
from octo_dagster.scoring.sql import compiled


class Audience(BaseModel):
    """One file of `assets/audiences/`; the file's name is the audience's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    rule: str | None = Field(default=None, min_length=1)
    """Which rows of the table are in it."""
    include: tuple[str, ...] = ()
    """Whoever is in one of these is in it too."""
    exclude: tuple[str, ...] = ()
    """Whoever is in one of these is not, whatever else holds."""

    @model_validator(mode="after")
    def somebody(self) -> Audience:
        if self.rule is None and not self.include:
            raise ValueError("give a rule, or audiences to include")
        return self

    @property
    def said(self) -> str:
        """The whole of it in one line, as its file has it."""
        parts = {"rule": self.rule, "include": ", ".join(self.include), "exclude": ", ".join(self.exclude)}
        return "; ".join(f"{name}: {' '.join(part.split())}" for name, part in parts.items() if part)


class Priority(BaseModel):
    """One file of `assets/priorities/`: audiences of which a customer is in the first that is for him."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    audiences: tuple[str, ...] = Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Roster:
    """A project's audiences and priority lists, known to fit together."""

    audiences: Mapping[str, Audience]
    priorities: Mapping[str, Priority]

    def condition(self, name: str, schema: pa.Schema, as_of: date | None = None) -> Condition:
        """Who is in the audience in the end, over a table with these columns: true or false for every row,
        never null. ConfigError, in the name of the file at fault, if a rule does not fit the table."""
        return self.chosen(self.audiences[name], schema, as_of)

    def sql(self, name: str, schema: pa.Schema, as_of: date | None = None) -> str:
        """The same as DuckDB's text."""
        return compiled(self.condition(name, schema, as_of))

    def chosen(self, audience: Audience, schema: pa.Schema, as_of: date | None = None) -> Condition:
        """The same of any audience, one that is in no file included."""
        earlier = [self.told(self.audiences[other], schema, as_of) for other in self.before(audience.name)]
        return sa.and_(self.told(audience, schema, as_of), *(sa.not_(c) for c in earlier)).self_group()

    def told(self, audience: Audience, schema: pa.Schema, as_of: date | None) -> Condition:
        """Whom the audience's own file means, whatever the priority lists say."""
        any_of = [self.told(self.audiences[other], schema, as_of) for other in audience.include]
        none_of = [self.told(self.audiences[other], schema, as_of) for other in audience.exclude]
        if audience.rule is not None:
            ruled = rules.condition(audience.rule, schema, f"{audience.name}.yaml", as_of)
            any_of.insert(0, sa.func.coalesce(ruled, sa.false()))
        return sa.and_(sa.or_(*any_of).self_group(), *(sa.not_(c) for c in none_of)).self_group()

    def before(self, name: str) -> tuple[str, ...]:
        """The audiences that come before this one in its priority list; none if it is in no list."""
        listed = self.list_of(name)
        return listed.audiences[: listed.audiences.index(name)] if listed else ()

    def list_of(self, name: str) -> Priority | None:
        """The priority list an audience is in."""
        return next((p for p in self.priorities.values() if name in p.audiences), None)


def roster(audiences: Mapping[str, Audience], priorities: Mapping[str, Priority]) -> Roster:
    """The audiences and lists together; ConfigError with every name that is unknown, every circle, and every
    audience that is in two lists or twice in one."""
    problems = [*misnamed(audiences), *listed_wrongly(audiences, priorities)]
    problems += circles(audiences) if not problems else []
    if problems:
        raise ConfigError(*problems)
    return Roster(audiences, priorities)


def misnamed(audiences: Mapping[str, Audience]) -> Iterator[str]:
    """References to no audience, or of an audience to itself."""
    for name, audience in audiences.items():
        for field in ("include", "exclude"):
            for other in getattr(audience, field):
                if other == name:
                    yield f"{name}.yaml: {field}: names the audience itself"
                elif other not in audiences:
                    yield f"{name}.yaml: {field}: {unknown(other, audiences)}"


def unknown(name: str, audiences: Mapping[str, Audience]) -> str:
    """That there is no such audience, and which was meant."""
    known = f"; there are {', '.join(audiences) or 'none'}"
    return f"there is no {name!r}{rules.nearest(name, audiences) or known}"


def listed_wrongly(audiences: Mapping[str, Audience], priorities: Mapping[str, Priority]) -> Iterator[str]:
    """What is wrong with priority lists: an unknown audience, or one that has a place already."""
    placed: dict[str, str] = {}
    for file, listed in priorities.items():
        for name in listed.audiences:
            if name not in audiences:
                yield f"{file}.yaml: audiences: {unknown(name, audiences)}"
            elif name in placed:
                where = "twice in the list" if placed[name] == file else f"in {placed[name]}.yaml already"
                yield f"{file}.yaml: audiences: {name!r} is {where}"
            placed.setdefault(name, file)


def circles(audiences: Mapping[str, Audience]) -> list[str]:
    """Each circle of audiences that include or exclude one another, told once."""
    found: dict[frozenset[str], str] = {}
    for name in audiences:
        if path := circle(name, audiences):
            first = audiences[name]
            field = "include" if path[1] in first.include else "exclude"
            found.setdefault(frozenset(path), f"{name}.yaml: {field}: a circle: {' → '.join(path)}")
    return list(found.values())


def circle(start: str, audiences: Mapping[str, Audience]) -> tuple[str, ...]:
    """The shortest way from an audience back to itself; empty if there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:
        for other in (*audiences[way[-1]].include, *audiences[way[-1]].exclude):
            if other == start:
                return (*way, start)
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()
