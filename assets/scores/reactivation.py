"""Reactivation: which customers have gone passive, big or small, and which of the big ones to call first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures.consent import DO_NOT_CONTACT, has_refused
from octo_dagster.scoring.measures.cycles import Label
from octo_dagster.scoring.measures.inbox import (
    ALL_CHANNELS,
    ALL_TYPES,
    Channel,
    Channels,
    EventTypes,
    is_one_of,
)
from octo_dagster.scoring.portable import day, days, either, in_units, midnight_after, whole
from octo_dagster.words import Language, Speaker

BILLION = 10**9


BIG = Label(en="Big passive customers", fr="Gros clients passifs")
SMALL = Label(en="Small passive customers", fr="Petits clients passifs")

WHY = {
    "both": Label(en="recency and rhythm", fr="récence et rythme"),
    "recency": Label(en="recency", fr="récence"),
    "rhythm": Label(en="rhythm", fr="rythme"),
}
EXCLUDED = {
    "do_not_contact": Label(en="do not contact", fr="ne pas contacter"),
    "refused": Label(en="refuses calls", fr="refuse les appels"),
    "never_asked": Label(en="never asked about calls", fr="jamais interrogé sur les appels"),
    "no_phone": Label(en="no phone number", fr="pas de numéro de téléphone"),
    "unsubscribed": Label(en="unsubscribed", fr="désinscrit"),
    "contacted": Label(en="called or written to lately", fr="appelé ou courrier récent"),
}
"""Why a big passive customer is not on the call list; the first that holds is told."""


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """What makes the customer passive, how the priority comes about, and the place or why there is none."""
    tell, segment = Speaker(language).tell, row["passive_segment"]
    recency, _ = borders(settings["bins"], settings["passive_recency"], None)
    bounds = {"recency": recency, "ratio": settings["passive_ratio"]}
    if segment is None:
        return [tell("because.reactivation.active", **bounds)]
    worth = {"priority": row["reactivation_priority"], "adjusted": row["reactivation_priority_adjusted"]}
    told = [
        tell("because.reactivation.passive", segment=segment, why=row["passive_because"], **bounds),
        tell("because.reactivation.priority", **worth),
    ]
    rank, excluded = row["reactivation_rank"], row["reactivation_excluded_because"]
    if rank is not None:
        told.append(tell(f"because.reactivation.place.{settings['rank_by']}", rank=rank))
    if excluded is not None:
        told.append(tell("because.reactivation.excluded", why=excluded))
    return told


@score(
    reads=("rfm", "rhythm", "customers"),
    optional=("messages", "message_events"),
    settings_from=("rfm", "marketing_pressure"),
    because=because,
    columns={
        "passive_segment": (
            "text",
            "Big or small passive customers; null for who is not passive",
            "reactivation_priority",
        ),
        "passive_because": ("text", "What tells that he is passive", "reactivation_priority"),
        "is_big_passive": ("boolean", "Passive and big, in every language"),
        "is_small_passive": ("boolean", "Passive and not big, in every language"),
        "reactivation_priority": ("decimal", "Revenue × orders; null for who is not passive"),
        "reactivation_priority_adjusted": (
            "decimal",
            "The priority × 1 / (1 + (rfi_ratio / 4)²): the longer gone, the less",
        ),
        "reactivation_rank": ("integer", "Place among the big passive customers who may be called, 1 first"),
        "is_in_top": ("boolean", "Among the first `top` places"),
        "reactivation_excluded_because": (
            "text",
            "Why a big passive customer has no place",
            "reactivation_priority",
        ),
        "reactivation_last_contact_on": ("date", "The last call or letter (UTC)"),
    },
    picture=Picture(
        "bars",
        """select coalesce(reactivation_excluded_because, 'may be called') as label, count(*) as customers
        from reactivation where is_big_passive group by 1 order by 2 desc, 1""",
        "Big passive customers",
    ),
)
def reactivation(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    passive_recency: Annotated[int | None, Field(ge=0, le=10)] = None,
    passive_ratio: Annotated[Decimal | None, Field(gt=0, max_digits=6, decimal_places=2)] = Decimal(2),
    big_from: Annotated[int | None, Field(ge=1, le=10)] = None,
    rank_by: Literal["priority", "adjusted"] = "priority",
    top: Annotated[int, Field(ge=1)] = 100,
    call_if_never_asked: bool = False,
    phone_needed: bool = False,
    unsubscribed: Literal["any", "call", "ignore"] = "any",
    cool_down_days: Annotated[int, Field(ge=0, le=3650)] = 90,
    cool_down_channels: Annotated[tuple[Channel, ...], Field(min_length=1)] = ("call", "letter"),
    big: Label = BIG,
    small: Label = SMALL,
    bins: Annotated[int, Field(ge=3, le=10)] = 6,
    channels: Channels = ALL_CHANNELS,
    event_types: EventTypes = ALL_TYPES,
    language: Language = "en",
) -> sa.Select[Any]:
    """Who has gone passive, big or small, and which of the big ones to call first.

    Passive: in the lowest third of recency, or at least `passive_ratio` usual cycles without a purchase.
    Big: frequency × monetary in the highest third. Every customer with an RFM has a row. The call list ranks
    the big passive ones who may be called by revenue × orders (equal customers share a place, the more
    recent buyer goes first); everybody it leaves out says why."""
    recency, size = borders(bins, passive_recency, big_from)
    if recency == 0 and passive_ratio is None:
        raise ConfigError("passive_ratio: with neither it nor `passive_recency` nobody is ever passive")
    found = joined(
        standing(tables, recency, passive_ratio, size),
        reachable(tables["customers"]),
        contacts(tables["messages"], as_of, channels, cool_down_channels),
        refusals(tables["message_events"], as_of, event_types, channels if unsubscribed == "call" else None),
    ).c
    conditions = exclusions(found, as_of, cool_down_days)
    if call_if_never_asked:
        del conditions["never_asked"]
    if not phone_needed:
        del conditions["no_phone"]
    if unsubscribed == "ignore":
        del conditions["unsubscribed"]
    told = [(condition, EXCLUDED[name].word(language)) for name, condition in conditions.items()]
    reason = either(found.is_big, sa.case(*told))
    return listed(found, reason, rank_by, top, Words(big, small, language))


def borders(bins: int, recency: int | None, big_from: int | None) -> tuple[int, int]:
    """The highest passive recency class and the lowest big class: by default the outer thirds."""
    given = {"passive_recency": recency or 0, "big_from": big_from or 0}
    if beyond := [name for name, border in given.items() if border > bins]:
        raise ConfigError(*(f"{name}: {given[name]}, and rfm has {bins} classes only" for name in beyond))
    return -(-bins // 3) if recency is None else recency, big_from or -(-2 * bins // 3) + 1


def standing(tables: Tables, recency: int, ratio: Decimal | None, size: int) -> sa.Subquery:
    """Everybody with an RFM: what makes him passive, whether he is big, and both priorities."""
    rfm, rhythm = tables["rfm"], tables["rhythm"]
    r, h = rfm.c, rhythm.c
    gone = r.rfm_recency <= recency
    late = sa.false() if ratio is None else sa.func.coalesce(h.rfi_ratio >= ratio, sa.false())
    why = sa.case((sa.and_(gone, late), "both"), (gone, "recency"), (late, "rhythm"))
    priority = sa.cast(r.rfm_revenue * r.rfm_orders, sa.Numeric(20, 2))
    passive = sa.select(
        r.customer_id,
        r.rfm_recency_days,
        why.label("why"),
        either(sa.or_(gone, late), priority).label("priority"),
        remaining(h.rfi_ratio).label("remaining"),
        sa.and_(sa.or_(gone, late), r.rfm_frequency_monetary >= size).label("is_big"),
    )
    return passive.select_from(rfm.outerjoin(rhythm, r.customer_id == h.customer_id)).subquery("standing")


def remaining(ratio: sa.ColumnElement[Any]) -> sa.ColumnElement[Decimal]:
    """1 / (1 + (ratio / 4)²) in whole billionths, rounded down: 16 / (16 + ratio²), the ratio in
    ten-thousandths. Nothing is known to fade without a ratio: 1."""
    units = sa.cast(sa.func.coalesce(ratio, 0) * 10_000, sa.BigInteger)
    capped = sa.func.least(units, BILLION)
    return in_units(whole(16 * 10**8 * BILLION, 16 * 10**8 + capped * capped), 9)


def reachable(customers: sa.TableClause) -> sa.Subquery:
    """What each customer has said about being called. ConfigError if `do_not_contact` holds no yes or no."""
    c = customers.c
    banned: sa.ColumnElement[Any] = c[DO_NOT_CONTACT] if DO_NOT_CONTACT in c else sa.false()
    if not isinstance(banned.type, sa.Boolean):
        raise ConfigError(f"customers: {DO_NOT_CONTACT} must hold true or false")
    return sa.select(
        c.customer_id, c.call_consent, c.phone, sa.func.coalesce(banned, sa.false()).label("banned")
    ).subquery("reachable")


def contacts(
    messages: sa.TableClause, as_of: date, channels: Channels, counted: tuple[Channel, ...]
) -> sa.Subquery:
    """The day of each customer's last message of the counted channels."""
    m = messages.c
    query = sa.select(m.customer_id, sa.cast(sa.func.max(m.sent_at), sa.Date).label("contacted_on"))
    seen = (is_one_of(m.channel, channels, counted), m.sent_at < midnight_after(as_of))
    return query.where(*seen).group_by(m.customer_id).subquery("contacts")


def refusals(
    events: sa.TableClause, as_of: date, event_types: EventTypes, channels: Channels | None
) -> sa.Subquery:
    """Who has unsubscribed or complained; with `channels`, from calls only."""
    e = events.c
    seen = [has_refused(e.event_type, event_types), e.occurred_at < midnight_after(as_of)]
    if channels is not None:
        seen.append(is_one_of(e.channel, channels, ("call",)))
    return sa.select(e.customer_id).where(*seen).distinct().subquery("refusals")


def joined(who: sa.Subquery, *told: sa.Subquery) -> sa.Subquery:
    """The standing of every customer beside what else is known of him."""
    source: sa.FromClause = who
    for table in told:
        source = source.outerjoin(table, table.c.customer_id == who.c.customer_id)
    reach, contact, refusal = told
    return (
        sa.select(
            *who.c,
            reach.c.call_consent,
            reach.c.phone,
            reach.c.banned,
            contact.c.contacted_on,
            refusal.c.customer_id.is_not(None).label("has_refused"),
        )
        .select_from(source)
        .subquery("found")
    )


def exclusions(
    f: sa.ColumnCollection[Any, Any], as_of: date, cool_down_days: int
) -> dict[str, sa.ColumnElement[bool]]:
    """Every reason not to call somebody, in the order in which they are told."""
    return {
        "do_not_contact": f.banned,
        "refused": sa.not_(f.call_consent),
        "never_asked": f.call_consent.is_(None),
        "no_phone": f.phone.is_(None),
        "unsubscribed": f.has_refused,
        "contacted": days(day(as_of), f.contacted_on) < cool_down_days,
    }


@dataclass(frozen=True, slots=True)
class Words:
    """What the two segments are called."""

    big: Label
    small: Label
    language: Language

    def segment(self, f: sa.ColumnCollection[Any, Any]) -> sa.ColumnElement[str]:
        big, small = self.big.word(self.language), self.small.word(self.language)
        return sa.case((f.is_big, big), (f.why.is_not(None), small))

    def why(self, f: sa.ColumnCollection[Any, Any]) -> sa.ColumnElement[str]:
        return sa.case(*((f.why == code, label.word(self.language)) for code, label in WHY.items()))


def listed(
    f: sa.ColumnCollection[Any, Any],
    reason: sa.ColumnElement[str],
    rank_by: str,
    top: int,
    words: Words,
) -> sa.Select[Any]:
    """The score's columns, in their declared order."""
    adjusted = sa.cast(f.priority * f.remaining, sa.Numeric(20, 2))
    ranking = adjusted if rank_by == "adjusted" else f.priority
    called = sa.and_(f.is_big, reason.is_(None))
    place = sa.func.rank().over(
        partition_by=either(called, 1, 0), order_by=(ranking.desc(), f.rfm_recency_days)
    )
    rank = either(called, place)
    return sa.select(
        f.customer_id,
        words.segment(f).label("passive_segment"),
        words.why(f).label("passive_because"),
        f.is_big.label("is_big_passive"),
        sa.and_(f.why.is_not(None), sa.not_(f.is_big)).label("is_small_passive"),
        f.priority.label("reactivation_priority"),
        adjusted.label("reactivation_priority_adjusted"),
        rank.label("reactivation_rank"),
        either(rank <= top, sa.true(), sa.false()).label("is_in_top"),
        reason.label("reactivation_excluded_because"),
        f.contacted_on.label("reactivation_last_contact_on"),
    )
