"""Responsiveness: would more messages bring more returns of a contact, or fewer, and at what risk?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from octo_dagster.score import Frames, Picture, frame_score
from octo_dagster.scoring.measures import contact_weeks, fatigue, inbox, leaving
from octo_dagster.scoring.measures.contact_weeks import Question, Weeks
from octo_dagster.scoring.measures.fatigue import Posterior, Prior, Sums
from octo_dagster.scoring.measures.inbox import (
    ALL_CHANNELS,
    ALL_TYPES,
    RETURNS,
    Channel,
    Channels,
    EventTypes,
)
from octo_dagster.words import Language, Speaker

Floats = NDArray[np.float64]
Share = Annotated[float, Field(ge=0, le=1)]

LABELS: Mapping[Language, tuple[str, ...]] = {
    "en": ("can receive more", "neutral", "saturated", "not enough data", "unsubscribed"),
    "fr": ("peut recevoir plus", "neutre", "saturé", "données insuffisantes", "désabonné"),
}
MORE, NEUTRAL, SATURATED, UNKNOWN, GONE = range(5)
AHEAD = 4
"""Weeks the risk of unsubscribing is told for."""


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """What was sent and came back, what one more would bring, and how sure that is."""
    speaker, messages, label = Speaker(language), row["feedback_messages"], row["responsiveness"]
    what, least = "opens" if settings["count_opens"] else "clicks", settings["minimum_messages"]
    brought = {
        "often": row["messages_per_week"],
        "returns": speaker.tell(f"because.responsiveness.{what}", n=row["feedback_received"]),
    }
    told = speaker.tell("because.responsiveness", n=messages, weeks=settings["weeks"], **brought)
    if row["marginal_feedback"] is not None:
        return [told, *advice(row, settings, speaker)]
    if messages < least:
        return [told, speaker.tell("because.responsiveness.few", label=label, n=least)]
    return [told, speaker.tell("because.responsiveness.nobody", label=label)]


def advice(row: Mapping[str, Any], settings: Mapping[str, Any], speaker: Speaker) -> list[str]:
    """What one more message would bring, how many are worthwhile, and the risk."""
    figures = {
        "more": row["marginal_feedback"],
        "spread": row["marginal_feedback_sd"],
        "share": row["pressure_efficiency"],
        "saturated": row["saturated_chance"],
    }
    most, risk = row["recommended_messages_per_week"], row["unsubscribe_risk"]
    asked = {"weeks": AHEAD, "n": settings["minimum_unsubscribes"], "risk": risk}
    return [
        speaker.tell("because.responsiveness.more", label=row["responsiveness"], **figures),
        speaker.tell("because.responsiveness.most", n=most, share=settings["worthwhile"]),
        speaker.tell(f"because.responsiveness.{'no_risk' if risk is None else 'risk'}", **asked),
    ]


@frame_score(
    because=because,
    reads=("messages", "message_events"),
    settings_from="marketing_pressure",
    columns={
        "responsiveness": (
            "text",
            "can receive more, neutral, saturated, not enough data or unsubscribed",
            "messages_per_week",
        ),
        "marginal_feedback": ("decimal", "Opens, clicks … a week that one more message a week would bring"),
        "marginal_feedback_sd": ("decimal", "How unsure that is: its standard deviation"),
        "pressure_efficiency": (
            "decimal",
            "One more message ÷ an average one of now: 1 no fatigue, 0 saturated",
        ),
        "saturated_chance": ("decimal", "Chance that one more message a week brings less in all, 0 to 1"),
        "recommended_messages_per_week": (
            "integer",
            "The most messages a week that are each still worthwhile",
        ),
        "unsubscribe_risk": (
            "decimal",
            "Chance to unsubscribe within 4 weeks at this pressure, 0 to 1; modest",
        ),
        "messages_per_week": ("decimal", "Messages that arrived, by weeks since the first of them"),
        "feedback_messages": ("integer", "Messages all this rests on"),
        "feedback_received": (
            "integer",
            "Opens, clicks, replies, redemptions of these, each once a message",
        ),
    },
    picture=Picture(
        "bars",
        "select responsiveness as label, count(*) as customers,"
        " round(avg(messages_per_week), 2) as messages_per_week, round(avg(marginal_feedback), 3) as"
        " marginal_feedback from responsiveness group by 1 order by 1",
        "Responsiveness to more messages",
    ),
)
def responsiveness(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Frames,
    *,
    as_of: date,
    weeks: Annotated[int, Field(ge=4, le=260)] = 52,
    counted_channels: Annotated[tuple[Channel, ...], Field(min_length=1)] = ("email",),
    count_opens: bool = True,
    minimum_messages: Annotated[int, Field(ge=1)] = 8,
    more_below: Share = 0.2,
    more_efficiency: Share = 0.5,
    saturated_above: Share = 0.5,
    worthwhile: Share = 0.25,
    most_per_week: Annotated[int, Field(ge=1, le=50)] = 7,
    minimum_unsubscribes: Annotated[int, Field(ge=1)] = 50,
    channels: Channels = ALL_CHANNELS,
    event_types: EventTypes = ALL_TYPES,
    language: Language = "en",
) -> Iterator[pa.Table]:
    """Whether more messages would bring more feedback of a contact or less, how sure that is, and a cap.

    A model of strength and fatigue (facts/scores.md §3.3) learnt from all contacts together, over the last
    `weeks` weeks that end with `as_of`. Feedback is opens, clicks, replies and redeemed coupons, each once a
    message; where machines open messages, set `count_opens: false`. Contacts with fewer than
    `minimum_messages` get no figures; who was sent nothing has no row. The recommended cap is the greatest
    number a week of which each message is expected to bring at least `worthwhile` of what the first brings;
    at most one above the contact's fullest week, what 99 of 100 of everybody's weeks stay within, and
    `most_per_week`. Who unsubscribed gets 0."""
    inbox.check("channels", channels)
    inbox.check("event_types", event_types)
    feedback = RETURNS if count_opens else tuple(kind for kind in RETURNS if kind != "opened")
    question = Question(as_of, weeks, counted_channels, feedback, channels, event_types)
    parts = list(contact_weeks.read(tables, question))
    if not parts:
        return
    model = learn(parts, question, contact_weeks.leaving_weeks(tables, question), minimum_unsubscribes)
    rules = Rules(minimum_messages, more_below, more_efficiency, saturated_above, worthwhile, most_per_week)
    people, done = sum(len(part.ids) for part in parts), 0
    for part in parts:
        yield told(part, model, rules, LABELS[language])
        done += len(part.ids)
        tables.progress(people + done, 2 * people)


@dataclass(frozen=True, slots=True)
class Rules:
    """From figures to labels and caps: the settings of these names."""

    minimum_messages: int
    more_below: float
    more_efficiency: float
    saturated_above: float
    worthwhile: float
    most_per_week: int


@dataclass(frozen=True, slots=True)
class Model:
    """What all contacts together have taught."""

    weeks: int
    effects: Floats
    """Of each week."""
    average: float
    """Feedback a message."""
    prior: Prior | None
    """None where nobody gave any feedback."""
    leaving: Mapping[str, int]
    hazard: Floats | None
    """None where too few unsubscribed to tell."""
    usual: int
    """Messages that 99 of 100 weeks stay within: beyond, nobody knows."""


def learn(
    parts: list[Weeks], question: Question, left: Mapping[str, int], minimum_unsubscribes: int
) -> Model:
    """Fit everything that is the same for all contacts."""
    effects = contact_weeks.week_effects(parts, question.weeks)
    average = float(sum(p.feedback.sum() for p in parts) / sum(p.sent.sum() for p in parts))
    prior = fatigue.learn(joined([sums_of(part, effects) for part in parts])) if average > 0 else None
    gone = sum(int((leaving.left_in(part, left) >= part.week[part.starts[:-1]]).sum()) for part in parts)
    hazard = leaving.fit(parts, left, average) if gone >= minimum_unsubscribes else None
    usual = contact_weeks.usual_most(parts)
    return Model(question.weeks, effects, average, prior, left, hazard, usual)


def sums_of(part: Weeks, effects: Floats) -> Sums:
    """What the model of fatigue needs of these contacts."""
    over = fatigue.excess(part.sent + fatigue.CARRIED * part.before)
    weighed = effects[part.week] * part.sent
    exposure = np.column_stack([part.total(weighed * np.exp(-d * over)) for d in fatigue.GRID])
    return Sums(part.total(part.feedback), part.total(part.feedback * over), exposure)


def joined(sums: list[Sums]) -> Sums:
    return Sums(
        *(np.concatenate([getattr(s, name) for s in sums]) for name in ("feedback", "strain", "exposure"))
    )


def told(part: Weeks, model: Model, rules: Rules, labels: tuple[str, ...]) -> pa.Table:
    """The rows of these contacts."""
    left = leaving.left_in(part, model.leaving)
    gone = left >= part.week[part.starts[1:] - 1]
    sent = part.total(part.sent)
    first = part.week[part.starts[:-1]].astype(np.float64)
    observed = np.where(gone, left + 1, model.weeks) - first
    pressure = sent / observed
    known = (sent >= rules.minimum_messages) & (model.prior is not None)
    figures = dict.fromkeys(FIGURES, np.zeros(len(sent)))
    if model.prior is not None:
        seen = fatigue.posterior(sums_of(part, model.effects), model.prior)
        figures = figures_of(seen, pressure) | {FIGURES[-1]: recommended(seen, part, rules, model.usual)}
    code = np.select([gone, ~known], [GONE, UNKNOWN], class_of(figures, rules))
    figures[FIGURES[-1]] = np.where(gone, 0, figures[FIGURES[-1]])
    risk = risk_of(part, model, pressure, observed)
    return pa.table(
        {
            "customer_id": part.ids,
            "responsiveness": pa.array(labels).take(pa.array(code)),
            **{name: pa.array(figures[name], mask=~known) for name in FIGURES},
            "unsubscribe_risk": pa.array(risk, mask=~known | gone | (model.hazard is None)),
            "messages_per_week": pressure,
            "feedback_messages": sent.astype(np.int64),
            "feedback_received": part.total(part.feedback).astype(np.int64),
        }
    )


FIGURES = (
    "marginal_feedback",
    "marginal_feedback_sd",
    "pressure_efficiency",
    "saturated_chance",
    "recommended_messages_per_week",
)
"""What is told of contacts with enough messages."""


def figures_of(seen: Posterior, pressure: Floats) -> dict[str, Floats]:
    """The figures of one more message a week, rounded as they are stored."""
    marginal, deviation = seen.marginal(pressure)
    found = (marginal, deviation, seen.efficiency(pressure), seen.saturated(pressure))
    return {name: np.round(values, 4) for name, values in zip(FIGURES, found, strict=False)}


def class_of(figures: Mapping[str, Floats], rules: Rules) -> NDArray[np.int64]:
    """By the chance that more brings less, and by what one more brings beside an average one."""
    chance, efficiency = figures["saturated_chance"], figures["pressure_efficiency"]
    more = (chance < rules.more_below) & (efficiency > rules.more_efficiency)
    found: NDArray[np.int64] = np.select([more, chance > rules.saturated_above], [MORE, SATURATED], NEUTRAL)
    return found


def recommended(seen: Posterior, part: Weeks, rules: Rules, usual: int) -> Floats:
    """The greatest number a week of which each message is still worthwhile; at least 1."""
    fullest = np.maximum.reduceat(part.sent, part.starts[:-1]).astype(np.int64)
    most = np.minimum(fullest + 1, min(usual, rules.most_per_week))
    one = before = seen.feedback(1)
    found, going = np.ones(len(part.ids)), np.ones(len(part.ids), bool)
    for number in range(2, rules.most_per_week + 1):
        now = seen.feedback(number)
        going &= (now - before >= rules.worthwhile * one) & (number <= most)
        found[going], before = number, now
    return found


def risk_of(part: Weeks, model: Model, pressure: Floats, observed: Floats) -> Floats:
    """The chance to unsubscribe within four weeks in which the contact is written to as usual."""
    if model.hazard is None:
        return np.zeros(len(part.ids))
    rows, sent = np.diff(part.starts), part.total(part.sent)
    first = part.week[part.starts[:-1]].astype(np.float64)
    answered = np.where(part.feedback > 0, part.week, first[part.contact])
    silent = model.weeks - np.maximum.reduceat(answered, part.starts[:-1])
    rate = (part.total(part.feedback) + 5 * model.average) / (sent + 5)
    seen = leaving.features(sent / rows, AHEAD * pressure, rate, silent, model.weeks - first)
    found: Floats = 1 - (1 - leaving.hazard(seen, model.hazard)) ** (AHEAD * rows / observed)
    return found
