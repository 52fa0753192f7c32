"""Who got how many messages in which week, and what they gave back: counts, read part by part, kept small.

Weeks end with the score's day: the last one is that day and the six before. Five bytes a contact and week.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from numpy.typing import NDArray

from octo_dagster.score import Frames
from octo_dagster.scoring.measures import inbox
from octo_dagster.scoring.measures.inbox import Channels, EventTypes
from octo_dagster.scoring.portable import day, days, midnight_after, whole

MESSAGES_AT_ONCE, CONTACTS_AT_ONCE = 5_000_000, 200_000
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Question:
    """Which messages count, and what counts as feedback."""

    as_of: date
    weeks: int
    counted: tuple[str, ...]
    """The channels, by our names."""
    feedback: tuple[str, ...]
    """The kinds of event that are feedback: each counts once a message."""
    channels: Channels
    event_types: EventTypes
    at_once: int = MESSAGES_AT_ONCE
    """Messages read in one part, or one contact's if these are more."""

    @property
    def start(self) -> datetime:
        """The first moment of the week before the first: its messages are still felt."""
        return datetime.combine(self.as_of - timedelta(days=7 * (self.weeks + 1) - 1), time())


@dataclass(frozen=True, slots=True)
class Weeks:
    """Some contacts in the order of their ids, and their weeks with messages, oldest first.

    Week 0 is the oldest that counts; week -1, only felt, is not among them but in `before`."""

    ids: pa.Array
    starts: Counts
    """Where each contact's weeks begin; one more entry, where the last one's end."""
    week: NDArray[np.int16]
    sent: NDArray[np.uint16]
    feedback: NDArray[np.uint16]
    before: NDArray[np.uint16]
    """Messages of the week before."""

    @property
    def contact(self) -> Counts:
        """The position of each week's contact."""
        return np.repeat(np.arange(len(self.ids)), np.diff(self.starts))

    def total(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """The sum over each contact's weeks."""
        found: NDArray[np.float64] = np.bincount(
            self.contact, weights=values.astype(np.float64), minlength=len(self.ids)
        ).astype(np.float64)
        return found


def read(tables: Frames, question: Question) -> Iterator[Weeks]:
    """Every contact with a message that arrived in the weeks that count, part by part in the order of ids."""
    messages = counted_messages(tables["messages"], question)
    m = messages.c
    per_contact = sa.select(m.customer_id, sa.func.count().label("n")).group_by(m.customer_id)
    found = tables.query(per_contact.order_by(m.customer_id))
    for low, high in parts(found["n"].to_numpy(), question.at_once):
        first, last = found["customer_id"][low].as_py(), found["customer_id"][high - 1].as_py()
        some = sa.select(messages).where(m.customer_id >= first, m.customer_id <= last).subquery("some")
        weeks = weeks_of(tables.query(weekly(some, tables["message_events"], question)), question.weeks)
        tables.progress(high, 2 * len(found))
        if len(weeks.ids):  # else nothing of what was sent to them arrived
            yield weeks


def counted_messages(messages: sa.FromClause, question: Question) -> sa.Subquery:
    m = messages.c
    return (
        sa.select(m.message_id, m.customer_id, m.sent_at)
        .where(inbox.is_one_of(m.channel, question.channels, question.counted))
        .where(m.sent_at >= question.start, m.sent_at < midnight_after(question.as_of))
        .subquery("counted")
    )


def parts(counts: Counts, at_once: int = MESSAGES_AT_ONCE) -> Iterator[tuple[int, int]]:
    """Ranges of contacts of bounded size together; a contact is never cut."""
    low, so_far = 0, np.cumsum(counts)
    while low < len(counts):
        done = so_far[low - 1] if low else 0
        high = int(np.searchsorted(so_far, done + at_once, side="right"))
        high = min(max(high, low + 1), low + CONTACTS_AT_ONCE)
        yield low, high
        low = high


def weekly(messages: sa.Subquery, events: sa.FromClause, question: Question) -> sa.Select[tuple[str, int]]:
    """customer_id, weeks ago, messages that arrived, feedback; sorted, oldest week first."""
    theirs = (
        sa.select(events).where(events.c.message_id.in_(sa.select(messages.c.message_id))).subquery("theirs")
    )
    sent = inbox.became_of(messages, theirs, question.as_of, question.event_types).c
    ago = whole(days(day(question.as_of), sent.sent_at), 7).label("ago")
    feedback = sum((sent[kind] for kind in question.feedback[1:]), start=sent[question.feedback[0]])
    return (
        sa.select(
            sent.customer_id, ago, sa.func.count().label("sent"), sa.func.sum(feedback).label("feedback")
        )
        .where(sent.arrived == 1)
        .group_by(sent.customer_id, ago)
        .order_by(sent.customer_id, ago.desc())
    )


def weeks_of(rows: pa.Table, count: int) -> Weeks:
    """The rows as arrays, the week only felt folded into the one after it."""
    rows = rows.combine_chunks()
    named = pc.dictionary_encode(rows["customer_id"]).combine_chunks()
    contact = named.indices.to_numpy()
    week = (count - 1 - rows["ago"].to_numpy()).astype(np.int16)
    sent = np.minimum(rows["sent"].to_numpy(), 65_535).astype(np.uint16)
    feedback = np.minimum(as_floats(rows["feedback"]), 65_535).astype(np.uint16)
    before = np.zeros_like(sent)
    follows = (contact[1:] == contact[:-1]) & (week[1:] == week[:-1] + 1)
    before[1:][follows] = sent[:-1][follows]
    kept = week >= 0
    present, positions = np.unique(contact[kept], return_index=True)
    starts = np.append(positions, kept.sum()).astype(np.int64)
    ids = named.dictionary.take(pa.array(present))
    return Weeks(ids, starts, week[kept], sent[kept], feedback[kept], before[kept])


def as_floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Sums of DuckDB are wider than 64 bits."""
    found: NDArray[np.float64] = column.cast(pa.float64()).to_numpy()
    return found


def week_effects(parts: Sequence[Weeks], count: int) -> NDArray[np.float64]:
    """w_t: feedback of the week ÷ what its messages would bring at each contact's own shrunken rate.

    1 where nothing was sent. A contact's rate is (feedback + 5 × the average) ÷ (messages + 5)."""
    got, sent = (sum(int(getattr(p, name).sum()) for p in parts) for name in ("feedback", "sent"))
    seen, expected = np.zeros(count), np.zeros(count)
    for part in parts:
        rate = (part.total(part.feedback) + 5 * got / sent) / (part.total(part.sent) + 5)
        seen += np.bincount(part.week, weights=part.feedback, minlength=count)
        expected += np.bincount(part.week, weights=rate[part.contact] * part.sent, minlength=count)
    return np.where(expected > 0, seen / np.where(expected > 0, expected, 1), 1.0)


def usual_most(parts: Sequence[Weeks]) -> int:
    """The number of messages that 99 of 100 weeks with messages stay within."""
    counts = sum((np.bincount(part.sent, minlength=65_536) for part in parts), np.zeros(65_536, np.int64))
    return int(np.searchsorted(100 * np.cumsum(counts), 99 * counts.sum()))


def leaving_weeks(tables: Frames, question: Question) -> dict[str, int]:
    """Who unsubscribed from these channels in the weeks that count, and in which week last.

    An event whose channel is not known counts."""
    e = tables["message_events"].c
    ours = sa.or_(e.channel.is_(None), inbox.is_one_of(e.channel, question.channels, question.counted))
    ago = whole(days(day(question.as_of), sa.func.max(e.occurred_at)), 7)
    found = tables.query(
        sa.select(e.customer_id, ago.label("ago"))
        .where(inbox.is_one_of(e.event_type, question.event_types, ("unsubscribed",)), ours)
        .where(e.occurred_at < midnight_after(question.as_of), e.occurred_at >= question.start)
        .group_by(e.customer_id)
    ).to_pydict()
    return {
        customer: question.weeks - 1 - ago
        for customer, ago in zip(found["customer_id"], found["ago"], strict=True)
        if ago < question.weeks
    }
