"""The nouns that travel: a change, the batch that carries it, the receipt that says what became of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

Value: TypeAlias = bool | int | Decimal | str | list[str] | None
"""A field's value on its way out. Dates are `YYYY-MM-DD` text; datetimes are UTC text, `…T…Z`."""

Fields: TypeAlias = Mapping[str, Value]
"""Destination field → value. A field that is absent is left alone; one that is None is to be cleared."""


class FieldType(StrEnum):
    """What a field holds, in words every vendor can be told."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    LIST = "list"


class Mode(StrEnum):
    """Which records a sync may create, change and remove."""

    UPSERT = "upsert"
    """Create what is missing, change what differs, remove nothing."""
    UPDATE_ONLY = "update_only"
    """Change records the destination already has; never create one."""
    CREATE_ONLY = "create_only"
    """Create missing records; never touch one the destination already has."""
    MIRROR = "mirror"
    """Upsert, and take back what Octo itself sent for customers no longer in the audience."""


class Removal(StrEnum):
    """What taking a record back means. Never more than undoing what Octo itself did."""

    CLEAR = "clear"
    """Empty the mapped fields; the record stays."""
    LEAVE = "leave"
    """Leave the list or segment the sync names; the record stays."""
    DELETE = "delete"
    """Delete the record if Octo created it; otherwise as `clear`."""


class Op(StrEnum):
    """What a change asks of the destination. A batch holds changes of one op only."""

    UPSERT = "upsert"
    CLEAR = "clear"
    LEAVE = "leave"
    DELETE = "delete"


class Outcome(StrEnum):
    """What became of a change."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """The destination refused the row, for the receipt's reason. It is owed, and goes again next run."""
    PENDING = "pending"
    """A job at the destination has it; ask again."""
    UNKNOWN = "unknown"
    """Sent and not heard of. Settled before anything else is planned."""
    UNSENT = "unsent"
    """Certainly not carried out."""


@dataclass(frozen=True, slots=True)
class Change:
    """One record to be made so: its key as the destination spells it, and the fields to write."""

    key: str
    fields: Fields = field(default_factory=dict)
    known: bool = False
    """Whether the ledger says that the destination holds this record: a hint which call to try first."""
    before: Fields = field(default_factory=dict)
    """What the ledger says is held of it. For a destination that knows people by values alone, as an
    audience of hashed addresses does: what is to be taken back must be named there value by value."""
    perhaps: tuple[Fields, ...] = ()
    """What it may hold besides: versions that were sent since the last answer. To be taken back as well."""
    created: bool | None = None
    """Of a removal: whether Octo created the record; None when the destination never said."""

    @property
    def versions(self) -> tuple[Fields, ...]:
        """Everything that was, or may have been, told of this record so far; empty for a new one."""
        return tuple(one for one in (self.before, *self.perhaps) if one)


@dataclass(frozen=True, slots=True)
class Batch:
    """The changes that go in one call (or one job), all of the same op, no key twice."""

    id: str
    op: Op
    changes: tuple[Change, ...]
    key_field: str
    """The destination's field that holds the key: an external id, `email`, …"""
    types: Mapping[str, FieldType]
    """The type of every mapped field, the key's included."""
    token: str | None = None
    """The destination's name for the job, once it has one. Opaque to the engine; kept in the ledger."""
    opened_at: datetime | None = None
    """When the intent was written (UTC): nothing of this batch happened at the destination earlier."""
    holds: Callable[[Iterable[str]], Collection[str]] = field(
        default=lambda keys: (), repr=False, compare=False
    )
    """Those of these keys, as the ledger compares them, that the ledger says are held. Where several keys may
    name one record, a destination asks."""
    others_held: Callable[[], bool] = field(default=lambda: False, repr=False, compare=False)
    """Whether the ledger says that people are held and this delivery does not send them all: a list that is
    missing then was deleted, or renamed with them in it; made anew, it would be without them."""
    shared: frozenset[str] = frozenset()
    """What must not be taken back of anybody, because somebody else is found by it (`Destination.names`)."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(change.key for change in self.changes)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of one change of a batch, named by its key, never by position."""

    key: str
    outcome: Outcome
    reason: str | None = None
    """Why it was rejected, in the destination's words: `CODE: message (fields)`."""
    created: bool | None = None
    """Whether this call created the record; None when the destination does not say."""
    lost: tuple[str, ...] = ()
    """Of a rejected change that was carried out but for these fields: the rest is held, and Octo's to take
    back. A value that was not kept is no reason to forget the others, or the person."""
    also: tuple[str, ...] = ()
    """Of an accepted change: other keys that name the same record there, as the ledger compares keys, because
    people have merged what was two. What is known of those is true no longer."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The answer to a call: receipts for the rows that are decided, a token for those that are not.

    Every change of the batch must be in `receipts` unless `token` is set; the engine treats a
    change that is in neither as unknown, so nothing is ever lost by a short answer."""

    receipts: tuple[Receipt, ...] = ()
    token: str | None = None


@dataclass(frozen=True, slots=True)
class Invalid:
    """A row Octo refuses to send, before any call: no key, a key twice, a value that will not coerce."""

    key: str | None
    """As compared; None when the row has none."""
    reason: str
    """`field: what is wrong with it`."""
