"""The messages customers received, and what became of each: channels and events by one set of names.

Sources name channels and events as they like (`Opened Email`, `uniqueOpened`, `OPEN`); a YAML says which
names mean what. Capitals, blanks, `_` and `-` make no difference. A name nobody knows is `other`: counted,
never dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.portable import either, midnight_after

Names = tuple[str, ...]
Condition = sa.ColumnElement[bool]
OTHER = "other"
Channel = Literal["email", "sms", "letter", "push", "call", "other"]
Return = Literal["opened", "clicked", "replied", "redeemed"]
"""Kinds of event that a message is sent for."""
RETURNS: tuple[Return, ...] = ("opened", "clicked", "replied", "redeemed")


class Channels(BaseModel):
    """What sources call each channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: Names = ("email", "e-mail", "newsletter")
    sms: Names = ("sms", "mms", "text message", "whatsapp")
    letter: Names = ("letter", "mail", "post", "postal", "direct mail", "courrier")
    push: Names = ("push", "web push", "app push", "mobile push")
    call: Names = ("call", "phone", "telephone", "appel")


class EventTypes(BaseModel):
    """What sources call each kind of event: Brevo, Mailchimp, Klaviyo, HubSpot, SendGrid, Mailjet …"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    delivered: Names = (
        "delivered",
        "delivery",
        "received",
        "received email",
        "received sms",
        "received push",
    )
    opened: Names = (
        "open",
        "opens",
        "opened",
        "unique opened",
        "first opening",
        "opened email",
        "opened push",
    )
    machine_opened: Names = (
        "machine open",
        "machine opened",
        "proxy open",
        "unique proxy open",
        "loaded by proxy",
    )
    clicked: Names = ("click", "clicks", "clicked", "unique clicked", "clicked email", "clicked sms")
    replied: Names = ("reply", "replies", "replied", "answered", "inbound")
    redeemed: Names = ("redeem", "redeemed", "redemption", "coupon redeemed", "converted", "conversion")
    unsubscribed: Names = (
        "unsubscribe", "unsubscribes", "unsubscribed", "unsub", "opt out", "opted out", "group unsubscribe",
        "unsubscribed from email marketing", "unsubscribed from list", "unsubscribed from sms marketing",
    )  # fmt: skip
    complained: Names = (
        "spam", "complaint", "complaints", "complained", "abuse", "spam report", "marked email as spam",
    )  # fmt: skip
    bounced: Names = (
        "bounce", "bounces", "bounced", "hard bounce", "hard bounces", "bounced email", "blocked", "dropped",
        "dropped email", "rejected", "undelivered", "invalid", "failed",
    )  # fmt: skip


class Weights(BaseModel):
    """What one message of a channel weighs. Editable starting values, not measured (facts/scores.md §3.3)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: float = Field(1, ge=0, le=1000)
    sms: float = Field(3, ge=0, le=1000)
    letter: float = Field(5, ge=0, le=1000)
    push: float = Field(0.5, ge=0, le=1000)
    call: float = Field(10, ge=0, le=1000)
    other: float = Field(1, ge=0, le=1000)

    def hundredths(self, channel: str) -> int:
        """The weight as a whole number of hundredths, in which sums are exact."""
        return round(100 * float(getattr(self, channel)))


ALL_CHANNELS, ALL_TYPES, ALL_WEIGHTS = Channels(), EventTypes(), Weights()
"""The defaults."""
CHANNELS = (*Channels.model_fields, OTHER)
KINDS = (*EventTypes.model_fields, OTHER)
HEARD = ("delivered", "opened", "machine_opened", "clicked", "replied", "redeemed")
"""Kinds that show that a message arrived, whatever a bounce said before."""


def plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("_", "").replace("-", "")


def spelled(column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """The column as `plain` makes it."""
    bare: sa.ColumnElement[str] = sa.func.lower(column)
    for sign in (" ", "_", "-"):
        bare = sa.func.replace(bare, sign, "")
    return bare


def is_one_of(
    column: sa.ColumnElement[Any], names: BaseModel, fields: Sequence[str]
) -> sa.ColumnElement[bool]:
    """Whether the column's value is listed under one of these fields; under none, or null, for `other`."""
    bare, listed = spelled(column), {field: [plain(name) for name in given] for field, given in names}
    chosen = bare.in_([name for field in fields for name in listed.get(field, ())])
    if OTHER not in fields:
        return chosen
    return sa.or_(chosen, bare.is_(None), bare.not_in([name for given in listed.values() for name in given]))


def namings(names: BaseModel) -> sa.Subquery:
    """Two columns: each name as `plain` makes it, and the field that lists it. To be joined: databases copy
    a `case` into every place that asks for its outcome."""
    rows = sorted({(plain(name), field) for field, given in names for name in given})
    given = [
        sa.select(sa.literal(name).label("name"), sa.literal(field).label("field")) for name, field in rows
    ]
    return sa.union_all(*given).subquery(f"{type(names).__name__.lower()}_named")


def check(what: str, names: BaseModel) -> None:
    """ConfigError when a name is listed under two fields, where one would silently win; or no name at all."""
    listed = [(plain(name), field) for field, given in names for name in given]
    owners: dict[str, set[str]] = {}
    for name, field in listed:
        owners.setdefault(name, set()).add(field)
    twice = [f"{name!r} is in {' and '.join(sorted(o))}" for name, o in sorted(owners.items()) if len(o) > 1]
    if twice or not listed:
        raise ConfigError(*(f"{what}: {problem}" for problem in twice or ["no name is listed"]))


def by_channel(messages: sa.FromClause, channels: Channels) -> sa.Subquery:
    """The messages with their channel by our name for it."""
    m, named = messages.c, namings(channels)
    return (
        sa.select(
            m.message_id, m.customer_id, m.sent_at, sa.func.coalesce(named.c.field, OTHER).label("channel")
        )
        .select_from(messages.outerjoin(named, named.c.name == spelled(m.channel)))
        .subquery("by_channel")
    )


def became_of(
    messages: sa.FromClause, events: sa.FromClause, as_of: date, event_types: EventTypes
) -> sa.Subquery:
    """The messages sent before the midnight that ends `as_of`, and what became of each by then: every kind as
    0 or 1, and whether it `arrived`.

    One that bounced did not, unless something shows that it did."""
    heard = heard_of(events, as_of, event_types)
    flags = {kind: sa.func.coalesce(heard.c[kind], 0) for kind in KINDS}
    arrived = sa.or_(flags["bounced"] == 0, *(flags[kind] == 1 for kind in HEARD))
    return (
        sa.select(
            *messages.c,
            *(flag.label(kind) for kind, flag in flags.items()),
            either(arrived, 1, 0).label("arrived"),
        )
        .select_from(messages.outerjoin(heard, heard.c.message_id == messages.c.message_id))
        .where(messages.c.sent_at < midnight_after(as_of))
        .subquery("became")
    )


def heard_of(events: sa.FromClause, as_of: date, event_types: EventTypes) -> sa.Subquery:
    """For each message anything was heard of: each kind as 0 or 1, however often it happened."""
    e, named = events.c, namings(event_types)
    told = (
        sa.select(e.message_id, sa.func.coalesce(named.c.field, OTHER).label("kind"))
        .select_from(events.outerjoin(named, named.c.name == spelled(e.event_type)))
        .where(e.message_id.is_not(None), e.occurred_at < midnight_after(as_of))
        .subquery("told")
    )
    kinds = [sa.func.max(either(told.c.kind == kind, 1, 0)).label(kind) for kind in KINDS]
    return sa.select(told.c.message_id, *kinds).group_by(told.c.message_id).subquery("heard")
