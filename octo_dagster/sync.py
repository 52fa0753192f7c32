"""A sync: the promise that a destination holds certain fields of certain customers. One YAML file."""

from __future__ import annotations

from collections.abc import Mapping as Map
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from octo_dagster.destination import AnyDestination
from octo_dagster.hours import Cron
from octo_dagster.model import FieldType, Mode, Removal


class Frozen(BaseModel):
    """One YAML key is one field; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Nulls(StrEnum):
    """What an empty source value does to the destination's field."""

    SKIP = "skip"
    """Leave the field as it is. The default: an empty value here must not wipe a good one there."""
    CLEAR = "clear"
    """Empty the field."""
    DEFAULT = "default"
    """Write the mapping's `default` instead."""


class Mapping(Frozen):
    """One destination field and where its value comes from: a column, a constant or a template."""

    to: str = Field(min_length=1)
    """The destination's field."""
    from_: str | None = Field(default=None, alias="from")
    """The column of the table the sync reads."""
    constant: str | int | float | bool | None = None
    """The same value for every customer."""
    template: str | None = None
    """Text with `{column}` places; an empty column makes an empty place, and nothing but empty places is no
    value. Blanks at the ends go. `{{` and `}}` are braces."""
    type: FieldType | None = None
    """The type to send; left out, the column's own. What cannot be read as it makes the row invalid."""
    round: int | None = Field(default=None, ge=0, le=9)
    """Decimals to keep, halves away from zero. Floats are rounded to 6 even when this is left out."""
    tolerance: float | None = Field(default=None, ge=0)
    """A number that moved by no more than this since it was last accepted is not a change."""
    nulls: Nulls = Nulls.SKIP
    default: str | int | float | bool | None = None
    create_only: bool = False
    """Written when the record is first sent and left alone afterwards."""

    @model_validator(mode="after")
    def one_origin(self) -> Mapping:
        if sum(x is not None for x in (self.from_, self.constant, self.template)) != 1:
            raise ValueError("give exactly one of from, constant, template")
        if (self.nulls is Nulls.DEFAULT) != (self.default is not None):
            raise ValueError("`nulls: default` and `default` go together")
        return self


class Key(Frozen):
    """Which column says who a record is, and the destination's field that holds it."""

    from_: str = Field(alias="from")
    to: str


def share(value: Any) -> Any:
    """`5%` is the share 0.05; a number with a point is a share, a whole number is a count."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return float(value.strip()[:-1]) / 100
    return value


Share = Annotated[int | float, BeforeValidator(share), Field(ge=0)]
"""A share of something (`5%`, `0.05`) or, as a whole number, a count of it."""


class Guards(Frozen):
    """What a person expects of one run at most. Beyond it nothing is written without a person's word."""

    max_removed: Share = 0.05
    """Of the records held."""
    max_changed: Share = 0.50
    """Of the records held; the first delivery, which holds none, is exempt."""
    max_invalid: Share = 0.05
    """Of the rows read."""
    max_rejected: Share = 0.05
    """Of the changes sent; over it the delivery is reported as failed."""
    empty_source: Literal["refuse", "allow"] = "refuse"


class Sync(Frozen):
    """One file of `assets/syncs/`; the file's name is the sync's name."""

    name: str
    description: str = ""
    reads: str = "customer_profile"
    """The warehouse table to read."""
    audience: str | None = None
    """A file of `assets/audiences/`; without one, every row of the table."""
    consent: str | None = None
    """A boolean column: only customers for whom it is true are sent; `mirror` takes the others back."""
    destination: SerializeAsAny[AnyDestination]
    mode: Mode = Mode.UPSERT
    on_remove: Removal | None = None
    """For `mirror`: what taking a record back means; left out, the destination's gentlest."""
    key: Key
    fields: tuple[Mapping, ...] = Field(min_length=1)
    guards: Guards = Guards()
    create_fields: bool = True
    """Whether missing fields are created at the destination before the first batch."""
    schedule: Cron | None = None
    """Cron, in the project's time zone; left out, the sync runs after every nightly recomputation."""
    fresh_within: float | None = Field(default=None, gt=0)
    """Hours after which a delivery is called stale; left out, what `schedule` lets one expect."""
    verify: Share = 0.02
    """How much to read back after a delivery."""
    owners: tuple[str, ...] = ()

    @field_validator("destination", mode="plain")
    @classmethod
    def known_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Look the destination's `type` up in the registry handed over as validation context."""
        if isinstance(value, BaseModel):
            return value
        known: Map[str, type[AnyDestination]] = (info.context or {}).get("destinations", {})
        kind = str(value.get("type")) if isinstance(value, dict) else "nothing"
        if kind not in known:
            raise ValueError(f"unknown type {kind!r}; known: {', '.join(sorted(known)) or 'none'}")
        return known[kind].model_validate(value)

    @model_validator(mode="after")
    def sound(self) -> Sync:
        twice = {m.to for m in self.fields if [n.to for n in self.fields].count(m.to) > 1}
        if twice:
            raise ValueError(f"fields: {', '.join(sorted(twice))} is mapped more than once")
        if self.key.to in {m.to for m in self.fields}:
            raise ValueError(f"fields: {self.key.to} is the key and cannot be mapped again")
        for mapping in self.fields:
            if mapping.to in self.destination.answers and (
                mapping.nulls is Nulls.SKIP or mapping.create_only
            ):
                raise ValueError(
                    f"fields: {mapping.to}: say `nulls: clear`, and it always: no answer is none"
                )
        if problem := self.destination.key_problem(self.key.to):
            raise ValueError(f"key.to: {problem}")
        if self.destination.subscribes() and not self.consent:
            raise ValueError("consent: say which column tells who opted in: whoever is new is subscribed")
        if self.mode not in self.destination.modes:
            raise ValueError(f"mode: {self.destination.type} cannot {self.mode}")
        if self.on_remove and self.on_remove not in self.destination.removals:
            able = ", ".join(sorted(self.destination.removals))
            raise ValueError(f"on_remove: {self.destination.type} can {able}")
        clears = self.mode is Mode.MIRROR and self.on_remove is Removal.CLEAR
        if self.consent and clears and Removal.LEAVE in self.destination.removals:
            raise ValueError(
                "on_remove: with `consent`, leave: clear would keep who withdraws it on the list"
            )
        return self

    @property
    def removal(self) -> Removal:
        """What `mirror` does here: as the file says, else leave a list, else clear the fields."""
        gentle = (Removal.LEAVE, Removal.CLEAR, Removal.DELETE)
        return self.on_remove or next(r for r in gentle if r in self.destination.removals)
