"""Marketing pressure: what each customer was sent, what came of it, and how that compares with others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Picture, Tables, Told, score
from octo_dagster.scoring.measures import inbox
from octo_dagster.scoring.measures.exact import weight_of_age
from octo_dagster.scoring.measures.inbox import (
    ALL_CHANNELS,
    ALL_TYPES,
    ALL_WEIGHTS,
    CHANNELS,
    KINDS,
    RETURNS,
    Channels,
    EventTypes,
    Return,
    Weights,
)
from octo_dagster.scoring.measures.response_rate import rated_of
from octo_dagster.scoring.portable import (
    day,
    days,
    either,
    in_units,
    joined,
    midnight_after,
    whole,
)
from octo_dagster.words import Language, Speaker

Windows = Annotated[tuple[Annotated[int, Field(ge=1, le=3660)], ...], Field(min_length=1, max_length=5)]
Percent = Annotated[int, Field(ge=0, le=100)]


POSITIONS: Mapping[Language, tuple[str, str, str]] = {
    "en": ("under", "normal", "over"),
    "fr": ("sous-pression", "normale", "sur-pression"),
}
CONSENTS: Mapping[Language, tuple[str, str, str, str]] = {
    "en": ("email", "sms", "call", "none"),
    "fr": ("email", "sms", "appel", "aucun"),
}


def columns(settings: Mapping[str, Any]) -> Mapping[str, Told]:
    """The output columns: their names carry the windows."""
    pressure, longest = settings["pressure_days"], max(settings["windows"])
    told: dict[str, Told] = {}
    for window in settings["windows"]:
        told[f"messages_{window}d"] = ("integer", f"Messages that arrived in the last {window} days")
        for channel in CHANNELS:
            told[f"messages_{channel}_{window}d"] = ("integer", f"Of these, by {channel}")
    for kind in KINDS:
        told[f"responses_{kind}_{longest}d"] = ("integer", f"Messages of the last {longest} days: {kind}")
    return told | {
        f"messages_returned_{longest}d": ("integer", "Those of them that got a return: opened, clicked …"),
        f"events_alone_{longest}d": (
            "integer",
            f"Events of the last {longest} days whose message is not known",
        ),
        "response_rate": (
            "decimal",
            "Share of messages that get a return, recent ones weighing more, drawn towards the average",
        ),
        f"pressure_{pressure}d": ("decimal", "Messages of these days, each by the weight of its channel"),
        "pressure_percentile": (
            "integer",
            "Percent of contacts with the same consent under less pressure, half of the equals included",
        ),
        "pressure_position": (
            "text",
            "under, normal or over: beside contacts of equal consent",
            "pressure_percentile",
        ),
        "pressure_consent": ("text", "The channels the customer may be reached by", f"pressure_{pressure}d"),
    }


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """What the pressure is made of, and what it is held against."""
    tell, window, longest = Speaker(language).tell, settings["pressure_days"], max(settings["windows"])
    sent = {channel: row[f"messages_{channel}_{window}d"] for channel in CHANNELS}
    weighed = [
        tell(f"because.pressure.{name}", n=n, weight=settings["weights"][name])
        for name, n in sent.items()
        if n
    ]
    made = " + ".join(weighed) or tell("because.pressure.none")
    told = [
        tell("because.pressure", made=made, window=window, pressure=row[f"pressure_{window}d"]),
        tell(
            "because.pressure.position",
            **{name: row[f"pressure_{name}"] for name in ("position", "percentile", "consent")},
            under=settings["under_below"],
            over=settings["over_above"],
        ),
    ]
    if row["response_rate"] is None:
        return told
    counts = {"n": row[f"messages_returned_{longest}d"], "received": row[f"messages_{longest}d"]}
    return [*told, tell("because.pressure.rate", **counts, longest=longest, rate=row["response_rate"])]


@score(
    because=because,
    reads=("customers", "messages"),
    optional=("message_events",),
    columns=columns,
    picture=Picture(
        "bars",
        "select pressure_position as label, count(*) as customers,"
        " round(avg(response_rate), 3) as response_rate from marketing_pressure group by 1"
        " order by min(pressure_percentile)",
        "Marketing pressure beside contacts of equal consent",
    ),
)
def marketing_pressure(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    windows: Windows = (7, 28, 90),
    pressure_days: Annotated[int, Field(ge=1)] = 28,
    weights: Weights = ALL_WEIGHTS,
    under_below: Percent = 20,
    over_above: Percent = 80,
    channels: Channels = ALL_CHANNELS,
    event_types: EventTypes = ALL_TYPES,
    returns: Annotated[tuple[Return, ...], Field(min_length=1)] = RETURNS,
    half_life_days: Annotated[int, Field(ge=1, le=36_500)] = 90,
    language: Language = "en",
) -> sa.Select[Any]:
    """What each contact was sent by channel and window, what came of it, and whether that is much.

    Messages and events before the midnight (UTC) that ends `as_of` count; a window is so many days, that day
    included. A message that bounced did not arrive. It counts as opened, clicked … when that has happened by
    `as_of`, once however often. Contacts are customers who were ever sent a message, or may be reached by a
    channel today; who was sent nothing has zeros, no response rate, and a position like everybody else."""
    check(windows, pressure_days, under_below, over_above)
    inbox.check("channels", channels)
    inbox.check("event_types", event_types)
    events = tables["message_events"]
    sent = inbox.became_of(inbox.by_channel(tables["messages"], channels), events, as_of, event_types)
    summed = sums_of(sent, as_of, windows, returns, half_life_days)
    alone = alone_of(tables["messages"], events, as_of, max(windows))
    contacts = contacts_of(tables["customers"], summed, alone, as_of, language)
    placed = placed_of(rated_of(contacts), weights, pressure_days)
    return labelled(placed, windows, pressure_days, (under_below, over_above), language)


def check(windows: Windows, pressure_days: int, under_below: int, over_above: int) -> None:
    """ConfigError unless windows rise, the pressure's is among them, and under is below over."""
    problems = []
    if list(windows) != sorted(set(windows)):
        problems.append("windows: must rise from one to the next")
    if pressure_days not in windows:
        problems.append(f"pressure_days: {pressure_days} is none of the windows, {list(windows)}")
    if under_below >= over_above:
        problems.append(f"under_below: {under_below} must be below over_above, {over_above}")
    if problems:
        raise ConfigError(*problems)


def first_moment(as_of: date, window: int) -> datetime:
    return datetime.combine(as_of - timedelta(days=window - 1), time())


def sums_of(
    sent: sa.Subquery, as_of: date, windows: Windows, returns: tuple[str, ...], half_life: int
) -> sa.Subquery:
    """One row per customer ever sent a message: counts by window, channel and kind, and weighted totals.

    The many counts are of the longest window only: apart from the few of all time they are far cheaper."""
    s, arrived, longest = sent.c, sent.c.arrived == 1, max(windows)
    returned = sa.and_(arrived, sa.or_(*(s[kind] == 1 for kind in returns)))
    counted: dict[str, sa.ColumnElement[bool]] = {}
    for window in windows:
        inside = sa.and_(arrived, s.sent_at >= first_moment(as_of, window))
        counted[f"messages_{window}d"] = inside
        counted |= {f"messages_{name}_{window}d": sa.and_(inside, s.channel == name) for name in CHANNELS}
    counted |= {f"responses_{kind}_{longest}d": s[kind] == 1 for kind in KINDS}
    counted[f"messages_returned_{longest}d"] = returned
    lately = per_customer(sent, counted).where(s.sent_at >= first_moment(as_of, longest)).subquery("lately")
    weight = weight_of_age(days(day(as_of), s.sent_at), half_life)
    weighed = [
        sa.cast(sa.func.sum(either(condition, weight, 0)), sa.BigInteger).label(name)
        for name, condition in (("w_received", arrived), ("w_returned", returned))
    ]
    totals = per_customer(sent, {"received": arrived, "returned": returned})
    ever = totals.add_columns(*weighed).subquery("ever")
    return (
        sa.select(*ever.c, *(lately.c[name] for name in counted))
        .select_from(ever.outerjoin(lately, lately.c.customer_id == ever.c.customer_id))
        .subquery("summed")
    )


def per_customer(sent: sa.Subquery, counted: Mapping[str, sa.ColumnElement[bool]]) -> sa.Select[Any]:
    """For each customer, how many messages meet each condition."""
    counts = (sa.func.count(either(condition, 1)).label(name) for name, condition in counted.items())
    return sa.select(sent.c.customer_id, *counts).group_by(sent.c.customer_id)


def alone_of(messages: sa.FromClause, events: sa.FromClause, as_of: date, longest: int) -> sa.Subquery:
    """Per customer, the events of the longest window that belong to no message we know."""
    e = events.c
    return (
        sa.select(e.customer_id, sa.func.count().label("alone"))
        .select_from(events.outerjoin(messages, messages.c.message_id == e.message_id))
        .where(messages.c.message_id.is_(None))
        .where(e.occurred_at >= first_moment(as_of, longest), e.occurred_at < midnight_after(as_of))
        .group_by(e.customer_id)
        .subquery("alone_events")
    )


def contacts_of(
    customers: sa.FromClause, summed: sa.Subquery, alone: sa.Subquery, as_of: date, language: Language
) -> sa.Subquery:
    """Everybody who was ever sent a message or may be, zeros for who was sent none; the consent in words."""
    c = customers.c
    names, flags = CONSENTS[language], (c.email_consent, c.sms_consent, c.call_consent)
    there = sa.or_(c.created_at.is_(None), c.created_at < midnight_after(as_of))
    reachable = sa.and_(there, sa.or_(*(flag.is_(True) for flag in flags)))
    allowed = (either(flag.is_(True), sa.literal(name)) for flag, name in zip(flags, names, strict=False))
    counts = [
        sa.func.coalesce(count, 0).label(count.name) for count in summed.c if count.name != "customer_id"
    ]
    source = customers.outerjoin(summed, summed.c.customer_id == c.customer_id)
    return (
        sa.select(
            c.customer_id,
            *counts,
            sa.func.coalesce(alone.c.alone, 0).label("alone"),
            sa.func.coalesce(sa.func.nullif(joined(", ", *allowed), ""), names[-1]).label("consent"),
        )
        .select_from(source.outerjoin(alone, alone.c.customer_id == c.customer_id))
        .where(sa.or_(summed.c.customer_id.is_not(None), reachable))
        .subquery("contacts")
    )


def placed_of(rated: sa.Subquery, weights: Weights, window: int) -> sa.Subquery:
    """The contacts with their pressure in hundredths, and how many of their consent are below and equal."""
    r = rated.c
    each = [weights.hundredths(channel) * r[f"messages_{channel}_{window}d"] for channel in CHANNELS]
    pressed = sa.select(*r, sum(each[1:], start=each[0]).label("pressure")).subquery("pressed")
    p = pressed.c
    return sa.select(
        *p,
        (sa.func.rank().over(partition_by=p.consent, order_by=p.pressure) - 1).label("below"),
        sa.func.count().over(partition_by=[p.consent, p.pressure]).label("equals"),
        sa.func.count().over(partition_by=p.consent).label("fellows"),
    ).subquery("placed")


def labelled(
    placed: sa.Subquery, windows: Windows, window: int, cuts: tuple[int, int], language: Language
) -> sa.Select[Any]:
    """The score's columns, in their declared order.

    Half of the equals count as below: where everybody is sent the same, everybody is in the middle."""
    p, longest = placed.c, max(windows)
    under, normal, over = POSITIONS[language]
    doubled = 100 * (2 * p.below + p.equals)
    position = sa.case(
        (doubled < 2 * cuts[0] * p.fellows, under), (doubled > 2 * cuts[1] * p.fellows, over), else_=normal
    )
    counts = [
        p[name]
        for w in windows
        for name in (f"messages_{w}d", *(f"messages_{channel}_{w}d" for channel in CHANNELS))
    ]
    return sa.select(
        p.customer_id,
        *counts,
        *(p[f"responses_{kind}_{longest}d"] for kind in KINDS),
        p[f"messages_returned_{longest}d"],
        p.alone.label(f"events_alone_{longest}d"),
        p.response_rate,
        in_units(p.pressure, 2).label(f"pressure_{window}d"),
        whole(doubled, 2 * p.fellows).label("pressure_percentile"),
        position.label("pressure_position"),
        p.consent.label("pressure_consent"),
    )
