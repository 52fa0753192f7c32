"""Scenarios: what is done for whom, step by step, until he buys. One YAML file of `assets/scenarios/` each.

    description: Big passive customers, by every channel until they come back
    place: 1
    rule: is_big_passive
    holdout: 10%
    steps:
      - {channel: email, name: We miss you}
      - {channel: ads, after: 7}
      - {channel: call, or: mail, if: is_in_top, after: 7}

A customer is in one scenario at a time. Of those whose rule he matches the one with the first place decides:
he enters it, or waits: `again_after` days must have passed since he last left it, and since he left any other
without having bought. Once in, he stays until he buys, unsubscribes or the scenario is over, whether or not
the rule still matches him: `enrolment` works it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.measures.consent import Channel
from octo_dagster.scoring.rules import where_sql

Stop = Literal["purchase", "unsubscribe"]


def share(value: Any) -> Any:
    """`10%` and `0.1` as the same number; anything else as it is, for pydantic to refuse."""
    if not isinstance(value, str) or not value.strip().endswith("%"):
        return value if isinstance(value, int | str) else str(value)
    try:
        return Decimal(value.strip().removesuffix("%").strip()) / 100
    except InvalidOperation:
        raise ValueError("must be a share, such as 10%") from None


Share = Annotated[Decimal, BeforeValidator(share), Field(ge=0, le=Decimal("0.9"))]


class Step(BaseModel):
    """One touch of a scenario."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    channel: Channel
    name: str = ""
    """What people and tools know it by; the channel when left out."""
    after: int = Field(default=0, ge=0, le=365)
    """Days after the step before it; of the first step, after entering."""
    instead: Channel | None = Field(default=None, alias="or")
    """The channel to use where the first may not be used."""
    only: str | None = Field(default=None, alias="if", min_length=1)
    """A rule: the first channel is used for those who match it on the step's day."""

    @property
    def title(self) -> str:
        return self.name or self.channel

    @model_validator(mode="after")
    def another_channel(self) -> Step:
        if self.instead == self.channel:
            raise ValueError(f"`or` must name another channel than {self.channel}")
        return self


class Scenario(BaseModel):
    """One file of `assets/scenarios/`; the file's name is the scenario's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    place: int = Field(default=100, ge=1)
    """Of the scenarios a customer matches, the one with the lowest place counts; then the first by name."""
    rule: str = Field(min_length=1)
    """Who enters: a rule over the columns of customers, their order figures and all scores."""
    holdout: Share = Decimal(0)
    """The share of customers, always the same ones, who get no step, to measure what the steps bring."""
    steps: tuple[Step, ...]
    stop_on: tuple[Stop, ...] = ("purchase", "unsubscribe")
    """What makes a customer leave before the end."""
    again_after: int = Field(default=180, ge=1, le=3650)
    """Days before a customer may enter after having left it, or another one that ended without a purchase."""
    lasts: int = Field(default=14, ge=1, le=365)
    """Days after the last step until the scenario is over for a customer."""
    measured_over: int = Field(default=60, ge=1, le=730)
    """Purchases within so many days of entering are held against those of the holdout."""

    @field_validator("steps")
    @classmethod
    def on_days_of_their_own(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if not 1 <= len(steps) <= 20:
            raise ValueError("must hold 1 to 20 steps")
        late = [number for number, step in enumerate(steps[1:], 2) if step.after == 0]
        if late:
            raise ValueError(f"step {late[0]} must come at least a day after the one before it: `after: 1`")
        return steps

    @property
    def days(self) -> tuple[int, ...]:
        """The day of each step, counted from the day of entering."""
        return tuple(accumulate(step.after for step in self.steps))

    @property
    def over(self) -> int:
        """The day, counted from the day of entering, on which a customer leaves at the latest."""
        return self.days[-1] + self.lasts


def in_order(scenarios: Sequence[Scenario]) -> list[Scenario]:
    """By place, then by name: the first that matches decides."""
    return sorted(scenarios, key=lambda scenario: (scenario.place, scenario.name))


def rules(scenario: Scenario) -> list[tuple[str, str]]:
    """Every rule of a scenario, after the field it stands in."""
    conditions = [(f"steps.{n}.if", step.only) for n, step in enumerate(scenario.steps)]
    return [("rule", scenario.rule), *((field, rule) for field, rule in conditions if rule)]


def check(scenarios: Sequence[Scenario], schema: pa.Schema, as_of: date) -> None:
    """Every rule against the columns of the profile as of a day; ConfigError holds all mistakes."""
    problems: list[str] = []
    for scenario, field, rule in ((s, *told) for s in scenarios for told in rules(s)):
        try:
            rule_sql(rule, schema, as_of, scenario, field)
        except ConfigError as wrong:
            problems += wrong.problems
    if problems:
        raise ConfigError(*problems)


def rule_sql(rule: str, schema: pa.Schema, as_of: date, scenario: Scenario, field: str) -> str:
    """A rule of a scenario as DuckDB's condition, `days_ago` counted from the day; ConfigError
    `NAME.yaml: field: what`."""
    file = f"{scenario.name}.yaml"
    try:
        return where_sql(rule, schema, file, as_of)
    except ConfigError as wrong:
        told = (problem.removeprefix(f"{file}: rule: ") for problem in wrong.problems)
        raise ConfigError(*(f"{file}: {field}: {problem}" for problem in told)) from None
