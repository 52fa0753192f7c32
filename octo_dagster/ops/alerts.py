"""Alerts as a state machine: told when something goes wrong and when all is well again, no more.

A change of state and the letters about it are one transaction; a letter is done when its channel took it.
Killed in between, it goes again with the same id: told at least once, and nobody is told of a state that
is not kept. What a channel does not take waits, and keeps nothing else from going.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.errors import Busy, ConfigError
from octo_dagster.ops.alert_tables import ALERTS, LETTERS, TABLES
from octo_dagster.ops.channels import Letter, Untold
from octo_dagster.ops.rules import Alerts, Fact, facts, link, said
from octo_dagster.words import Language, Speaker

ENGLISH = Speaker("en")
MAIL = "_alerts"
"""The lock of whoever sends letters: one at a time."""


@dataclass(frozen=True, slots=True)
class Told:
    """What one look came to."""

    changed: int
    """States that changed."""
    sent: int
    waiting: int
    """Letters some channel did not take yet."""
    troubles: tuple[str, ...]
    """`channel: why` of those, once each."""


def watch(project: Project, now: datetime, more: Sequence[Fact] = ()) -> Told:
    """Look at everything, keep what changed, tell it. `more`: what the ledger does not know, such as runs of
    Dagster that failed. ConfigError for a mistake in the files; a channel that fails raises nothing."""
    alerts = Alerts.of(project)
    seen = [fact for fact in more if fact.subject not in alerts.mute and fact.rule in alerts.rules]
    speaker = Speaker(project.settings.language)
    forget(project, alerts)
    changed = settle([*facts(project, alerts, now), *seen], alerts, project.ledger, now, speaker)
    return send(project.ledger, alerts, now, speaker, changed)


def settle(
    seen: Iterable[Fact], alerts: Alerts, ledger: Ledger, now: datetime, speaker: Speaker = ENGLISH
) -> int:
    """Bring the states up to what is seen, a letter to every channel for each change, in the speaker's
    language; how many changed."""
    changed = 0
    with ledger.engine.begin() as connection:
        if ledger.engine.dialect.name == "postgresql":  # two that look at once would both see a change
            connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('octo alerts'))"))
        TABLES.create_all(connection)
        known = {
            (row["rule"], row["subject"]): row for row in connection.execute(sa.select(ALERTS)).mappings()
        }
        for fact in seen:
            after = step(fact, known.get((fact.rule, fact.subject)), alerts, now)
            if after is None:
                continue
            keep(connection, after)
            if after["letter"]:
                changed += 1
                write(connection, after, alerts.channels, speaker)
    return changed


def forget(project: Project, alerts: Alerts) -> None:
    """Of what is no more, is muted, or by a rule nobody wants any more, no alert fires, nor ever recovers."""
    kinds = {"source": project.intakes, "score": project.scores, "sync": project.syncs}
    kinds |= {"audience": project.audiences}
    with project.ledger.engine.begin() as connection:
        TABLES.create_all(connection)
        for row in connection.execute(sa.select(ALERTS.c.rule, ALERTS.c.subject)).all():
            kind, _, name = row.subject.partition(" ")
            there = name in kinds.get(kind, (name,)) and row.subject not in alerts.mute
            if not there or row.rule not in alerts.rules:
                mine = (ALERTS.c.rule == row.rule) & (ALERTS.c.subject == row.subject)
                connection.execute(sa.delete(ALERTS).where(mine))


def step(fact: Fact, before: Any, alerts: Alerts, now: datetime) -> dict[str, Any] | None:
    """One alert's next state; None when nothing moves. `letter` is its word for it, if one goes."""
    state = before["state"] if before else "ok"
    row = dict(before or {"rule": fact.rule, "subject": fact.subject, "change": 0, "well_since": None})
    if fact.fires and state == "ok":
        moved = {"state": "firing", "since": now, "told_at": now, "told": fact.told, "well_since": None}
        return row | moved | {"change": row["change"] + 1, "letter": "firing"}
    if fact.fires:
        row |= {"well_since": None, "told": fact.told}
        if alerts.remind_after and now - row["told_at"] >= timedelta(hours=alerts.remind_after):
            return row | {"told_at": now, "change": row["change"] + 1, "letter": "still firing"}
        return row | {"letter": None}
    if state == "ok":
        return None
    well = row["well_since"] or now
    if now - well < timedelta(minutes=alerts.steady):
        return row | {"well_since": well, "letter": None}
    moved = {"state": "ok", "since": well, "told_at": now, "told": fact.told, "well_since": None}
    return row | moved | {"change": row["change"] + 1, "letter": "ok"}


def keep(connection: sa.Connection, after: dict[str, Any]) -> None:
    mine = (ALERTS.c.rule == after["rule"]) & (ALERTS.c.subject == after["subject"])
    connection.execute(sa.delete(ALERTS).where(mine))
    connection.execute(sa.insert(ALERTS).values({column.name: after[column.name] for column in ALERTS.c}))


def write(
    connection: sa.Connection, after: dict[str, Any], channels: Iterable[str], speaker: Speaker
) -> None:
    """A letter to every channel. Its id follows from the alert and its change."""
    spelled = f"{after['rule']}|{after['subject']}|{after['change']}|{after['since'].isoformat()}"
    name = hashlib.sha256(spelled.encode()).hexdigest()[:24]
    told = {"rule": after["rule"], "subject": after["subject"], "state": after["letter"]}
    told |= {"what": said(after["told"], speaker)}
    for channel in channels:
        letter = {"id": name, "channel": channel, "at": after["told_at"], "tries": 0, **told}
        connection.execute(sa.insert(LETTERS).values(letter))


def send(ledger: Ledger, alerts: Alerts, now: datetime, speaker: Speaker, changed: int = 0) -> Told:
    """Hand over every letter that waits, oldest first. After one failed, its channel is left until the next
    time. When another process is at it, it is left to it."""
    waiting = ledger.read(sa.select(LETTERS).where(LETTERS.c.sent_at.is_(None)).order_by(LETTERS.c.at))
    troubles: dict[str, str] = {}
    sent = 0
    try:
        with ledger.lock(MAIL):
            for row in waiting:
                name = row["channel"]
                if name not in alerts.channels or name in troubles:
                    continue
                tell = alerts.channels[name].tell
                if why := hand_over(ledger, row, tell, now, speaker.language):
                    troubles[name] = why
                else:
                    sent += 1
    except Busy:
        troubles[MAIL] = "another process is sending"
    left = sum(row["channel"] in alerts.channels for row in waiting) - sent
    return Told(changed, sent, left, tuple(f"{name}: {why}" for name, why in troubles.items()))


def hand_over(
    ledger: Ledger, row: Any, tell: Callable[[Letter], None], now: datetime, language: Language
) -> str | None:
    """Tell one letter and remember that it was taken; why not, if it was not."""
    mine = (LETTERS.c.id == row["id"]) & (LETTERS.c.channel == row["channel"])
    with ledger.reading() as connection:  # another process may have sent it meanwhile
        if connection.scalar(sa.select(LETTERS.c.sent_at).where(mine)) is not None:
            return None
    told = {name: row[name] for name in ("id", "rule", "subject", "state", "what", "at")}
    why: str | None = None
    try:
        tell(Letter(**told, link=link(row["subject"]), language=language))
    except (Untold, ConfigError) as wrong:
        why = str(wrong)
    with ledger.engine.begin() as connection:
        tried = sa.update(LETTERS).where(mine).values(tries=LETTERS.c.tries + 1)
        connection.execute(tried if why else tried.values(sent_at=now))
    return why


def listed(ledger: Ledger, speaker: Speaker = ENGLISH) -> list[dict[str, Any]]:
    """Every alert that ever fired, those that fire first, the newest first; `what` in the speaker's language,
    and the letters that wait."""
    with ledger.engine.begin() as connection:
        TABLES.create_all(connection)
    rows = [dict(row) for row in ledger.read(sa.select(ALERTS).order_by(ALERTS.c.since.desc()))]
    unsent = ledger.read(sa.select(LETTERS.c.rule, LETTERS.c.subject).where(LETTERS.c.sent_at.is_(None)))
    for row in rows:
        row["what"] = said(row.pop("told"), speaker)
        row["waiting"] = sum((one["rule"], one["subject"]) == (row["rule"], row["subject"]) for one in unsent)
    return sorted(rows, key=lambda row: str(row["state"]))


def try_channel(project: Project, name: str, now: datetime) -> None:
    """Tell one channel that this is a test. Untold when it does not take it; ConfigError without one."""
    channels, speaker = Alerts.of(project).channels, Speaker(project.settings.language)
    if name not in channels:
        known = ", ".join(channels) or "none"
        raise ConfigError(f"alerts.yaml: channels: there is no {name!r}; there are {known}")
    named = (f"test-{now:%Y%m%d%H%M%S}", "test", f"channel {name}", "test", speaker.say("alert.test"), now)
    channels[name].tell(Letter(*named, language=speaker.language))
