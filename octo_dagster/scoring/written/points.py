"""Points for what is known of a customer: so many where a rule holds, so many for each unit of a number."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from octo_dagster.scoring import rules
from octo_dagster.scoring.portable import either, whole
from octo_dagster.scoring.rules import Reading, Refused

UNITS = 10_000
"""A number is counted in ten-thousandths, exactly."""


class Points(BaseModel):
    """One line of a score's `points`.

    `{when: orders >= 3, points: 10}`: ten where the rule holds.
    `{of: revenue, per: 50, points: 1, most: 20}`: one for each whole 50 of revenue, twenty at most."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    when: Annotated[str, Field(min_length=1)] | None = None
    """A rule as audiences have it; with `of`, only where it holds. What cannot be told gives no points."""
    of: str | None = None
    """A column that holds a number: below zero it counts as zero."""
    per: Annotated[Decimal, Field(gt=0, decimal_places=4)] = Decimal(1)
    most: Annotated[int, Field(ge=1)] | None = None
    """So many points and no more, or no further below zero."""
    because: str = ""
    """What people read as the reason; left out, the rule or column itself."""

    @model_validator(mode="after")
    def sound(self) -> Points:
        if self.points == 0:
            raise ValueError("points: nought changes nothing")
        if self.when is None and self.of is None:
            raise ValueError("give `when`, a rule, or `of`, a column that holds a number")
        if self.of is None and {"per", "most"} & self.model_fields_set:
            raise ValueError("per and most go with `of`")
        return self

    @property
    def reason(self) -> str:
        """Why the points were given, in one line."""
        given = f"{self.of} when {self.when}" if self.of and self.when else self.of or self.when or ""
        return self.because or " ".join(given.split())

    @property
    def used(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Each field that names columns, and those it names; Refused if its rule cannot be read."""
        told = [("when", rules.columns_of(self.when))] if self.when else []
        return (*told, *([("of", (self.of,))] if self.of else []))

    def worth(self, reading: Reading) -> sa.ColumnElement[int]:
        """How many points a customer gets; 0 for none. Refused if the rule or column does not fit."""
        given: sa.ColumnElement[Any] = sa.literal_column(str(self.points))
        if self.of is not None:
            given = self.by_units(self.of, reading)
        if self.when is not None:
            given = either(reading.truth(rules.parsed(self.when)), given, 0)
        return sa.cast(given, sa.BigInteger)

    def by_units(self, name: str, reading: Reading) -> sa.ColumnElement[Any]:
        """Points for each whole `per` of a column, capped."""
        held = rules.kind(reading.types[name])
        if held != "a number":
            raise Refused(f"{name!r} holds {held}, and points per unit need a number")
        column: sa.ColumnElement[Any] = sa.column(name, sa.Numeric(18, 4))
        units = sa.cast(sa.func.floor(column * UNITS), sa.BigInteger)
        counted = whole(either(column > 0, units, 0), sa.literal_column(str(int(self.per * UNITS))))
        if self.most is None:
            return counted * self.points
        highest = self.most if self.points > 0 else -self.most
        return either(counted > self.most // abs(self.points), highest, counted * self.points)
