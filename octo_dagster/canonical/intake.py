"""One source's file: where its rows come from, and which of its columns mean what.

source: {type: sql, url: {env: SHOP_DATABASE_URL}}
timezone: Europe/Paris          # of timestamps that state no zone
currency: EUR                   # amounts are reported in it; rows without a currency have it
rates: {USD: 0.93}              # one USD in EUR; an order in any other currency is rejected
max_rejected: 1%                # beyond this share (or count) of the rows nothing is published
max_strangers: 100%             # so many of unknown e-mail addresses (`by: email`) do not count as rejected
fresh_within: 6                 # optional: hours after which its tables are called stale
hook: {by: shopify, secret: {env: SHOPIFY_CLIENT_SECRET}}   # optional: POST /v1/hooks/<source> (see hook.py)
tables:
  orders:                       # a canonical table
    from: sales.orders          # or `query:`, or a file pattern
    cursor: updated_at          # left out: every pull reads the whole table
    overlap: 600                # optional: begin this many seconds before the last cursor
    deletes: reconcile          # none | reconcile | {column: deleted_at} | {within: id}
    columns:
      order_id: id
      status: {from: state, values: {paid: completed, void: cancelled}}
      ordered_at: {from: placed, format: "%d/%m/%Y %H:%M"}
      net_amount: {from: total, decimal: ","}
      customer_id: {from: mail, by: email}    # whichever customer has that address
      channel: {value: web}
      loyalty_tier: tier        # not in the contract: carried along as it is
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.errors import ConfigError
from octo_dagster.hook import Hook
from octo_dagster.source import OUTSIDE, Outside, Pull, Source
from octo_dagster.sync import Frozen, Share

NAME = re.compile(r"[a-z][a-z0-9_]*")


class Mapped(Frozen):
    """Where one canonical column comes from, and how to read it."""

    from_: str | None = Field(default=None, alias="from")
    """The user's column."""
    value: str | int | bool | None = None
    """The same for every row, in place of a column."""
    values: Mapping[str, str] = {}
    """The user's word → ours; words not listed stay as they are."""
    format: str | None = None
    """How a date is spelled, in strptime's letters; left out, as ISO 8601."""
    decimal: Literal[".", ","] = "."
    """The decimal sign of numbers in text; with a comma, dots and spaces group digits."""
    by: Literal["email"] | None = None
    """Of `customer_id`: the column holds an address, and means the one customer who has it."""

    @model_validator(mode="after")
    def one_origin(self) -> Mapped:
        if (self.from_ is None) == (self.value is None):
            raise ValueError("give exactly one of from, value")
        return self


class SoftDelete(Frozen):
    """A column that says a row is deleted: set, or true."""

    column: str


class Within(Frozen):
    """Rows that come all together whenever one of them changed, as the lines of an order: those that its
    newest version lacks are gone."""

    within: str
    """The column that says to what they belong."""


def mapped(value: Any) -> Any:
    """`order_id: id` is short for `order_id: {from: id}`."""
    return {"from": value} if isinstance(value, str) else value


class TableIntake(Frozen):
    """One canonical table from one source."""

    from_: str = Field(default="", alias="from")
    query: str | None = None
    cursor: str | None = None
    overlap: int = Field(default=0, ge=0)
    deletes: Literal["none", "reconcile"] | SoftDelete | Within = "none"
    columns: Mapping[str, Annotated[Mapped, BeforeValidator(mapped)]] = Field(min_length=1)

    @model_validator(mode="after")
    def sound(self) -> TableIntake:
        if bool(self.from_) == bool(self.query):
            raise ValueError("give exactly one of from, query")
        if self.overlap and not self.cursor:
            raise ValueError("overlap: needs a cursor")
        if isinstance(self.deletes, Within) and not self.cursor:
            raise ValueError("deletes.within: needs a cursor")
        if odd := [name for name, column in self.columns.items() if column.by and name != "customer_id"]:
            raise ValueError(f"columns.{odd[0]}.by: only customer_id is found by something else")
        if odd := [name for name in self.columns if not NAME.fullmatch(name)]:
            raise ValueError(f"columns: {', '.join(odd)}: use lower-case letters, digits and _")
        return self

    @property
    def wanted(self) -> tuple[str, ...]:
        """The user's columns this table needs, each once."""
        columns = [column.from_ for column in self.columns.values()] + [self.cursor]
        if isinstance(self.deletes, SoftDelete):
            columns.append(self.deletes.column)
        if isinstance(self.deletes, Within):
            columns.append(self.deletes.within)
        return tuple(dict.fromkeys(column for column in columns if column))

    @property
    def by_email(self) -> bool:
        """Whether the customer is found by an address."""
        customer = self.columns.get("customer_id")
        return customer is not None and customer.by is not None

    def pull(self, after: Any = None, outside: Outside = OUTSIDE) -> Pull:
        """What to ask the source for."""
        parts = isinstance(self.deletes, Within)
        return Pull(self.from_, self.query, self.wanted, self.cursor, after, self.overlap, outside, parts)


class Intake(Frozen):
    """One file of `assets/sources/`; the file's name is the source's name."""

    name: str
    description: str = ""
    source: SerializeAsAny[Source]
    timezone: str = "UTC"
    currency: str = "USD"
    rates: Mapping[str, Decimal] = {}
    max_rejected: Share = 0.01
    max_strangers: Share = 0
    """Of rows read `by: email` whose address is no customer's, as those of who never bought: so many are
    refused, counted and shown as any other, and stop nothing."""
    fresh_within: float | None = Field(default=None, gt=0)
    """Hours after which what it feeds is called stale; left out, what `nightly` lets one expect."""
    hook: Hook | None = None
    tables: Mapping[str, TableIntake] = Field(min_length=1)

    @field_validator("source", mode="before")
    @classmethod
    def known_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Look the source's `type` up in the registry handed over as validation context."""
        if isinstance(value, Source):
            return value
        known: Mapping[str, type[Source]] = (info.context or {}).get("sources", {})
        kind = str(value.get("type")) if isinstance(value, dict) else "nothing"
        if kind not in known:
            raise ValueError(f"unknown type {kind!r}; known: {', '.join(sorted(known)) or 'none'}")
        return known[kind].model_validate(
            value, context={**(info.context or {}), "name": info.data.get("name")}
        )

    @field_validator("timezone")
    @classmethod
    def known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"no time zone is called {value!r}") from error
        return value

    @field_validator("tables")
    @classmethod
    def complete(cls, tables: Mapping[str, TableIntake]) -> Mapping[str, TableIntake]:
        """Every table is canonical, and every required column of it is mapped."""
        for name, table in tables.items():
            if name not in CONTRACTS:
                raise ValueError(f"{name}: no such table; known: {', '.join(CONTRACTS)}")
            required = [f.name for f in CONTRACTS[name].fields if f.required]
            if missing := [column for column in required if column not in table.columns]:
                raise ValueError(f"{name}.columns: {', '.join(missing)} is required")
        return tables

    @model_validator(mode="after")
    def can_reconcile(self) -> Intake:
        """Deletions are found by asking for every key, or in a file's newest reading."""
        for name, table in self.tables.items():
            if table.deletes != "reconcile" or self.source.lists_keys:
                continue
            if not self.source.rereads:
                raise ValueError(f"tables.{name}.deletes: {self.source.type} cannot be asked for its keys")
            if table.cursor:
                raise ValueError(f"tables.{name}.deletes: reconcile and cursor do not go together for files")
        return self

    @model_validator(mode="after")
    def can_be_pulled(self) -> Intake:
        """What the source itself knows to be impossible."""
        for name, table in self.tables.items():
            if problem := self.source.problem(table.pull()):
                raise ValueError(f"tables.{name}.{problem}")
        return self

    @model_validator(mode="after")
    def hook_is_for_something(self) -> Intake:
        """What a webhook brings is data where rows are posted, and a knock elsewhere."""
        if self.hook and bool(self.hook.into) != self.source.posted:
            needs = "is needed: what its hooks bring" if self.source.posted else "is of a push source only"
            raise ValueError(f"hook.into: {needs}")
        if self.hook and self.source.posted and not self.hook.dated:
            for name, table in self.tables.items():
                if table.cursor == self.source.arrivals:
                    raise ValueError(
                        f"tables.{name}.cursor: {self.hook.by} signs no time, so an old delivery may come"
                        " again: say which column orders versions (updated_at, date_modified_gmt)"
                    )
        return self

    def finished(self, outside: Outside = OUTSIDE) -> None:
        """ConfigError while a ready source still has its example's address: no key may go there."""
        if unsaid := self.source.unsaid(outside):
            raise ConfigError(f"{self.name}.yaml: source: {unsaid}")

    def raw(self, table: str) -> str:
        """The warehouse table that keeps the source's rows for this canonical table."""
        return f"raw_{self.name}_{table}"
