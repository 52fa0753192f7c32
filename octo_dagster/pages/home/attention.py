"""What somebody should look at today: of files, data and deliveries, what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa

from octo_dagster.delivery.ledger_tables import BATCHES, RUNS, SNAPSHOT
from octo_dagster.errors import ConfigError
from octo_dagster.ops import alerts
from octo_dagster.pages.board import Board
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.words import Speaker

OLD = 2
"""Days after which a profile is no more of today."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to look at: the words `attention.<key>` say what, `page` names the page that says more."""

    key: str
    said: dict[str, Any] = field(default_factory=dict)
    page: str = ""
    grave: bool = False


def attention(board: Board, today: date, speaker: Speaker) -> list[Notice]:
    """Everything that is not as it should be, the gravest first."""
    found = [*files(board), *old(board, today), *refused(board)]
    if not any(notice.key == "files" for notice in found):
        found += [*deliveries(board), *alarms(board, speaker)]
    return sorted(found, key=lambda notice: not notice.grave)


def files(board: Board) -> Iterator[Notice]:
    """Files that cannot be read, each line of what is wrong with them."""
    try:
        _ = board.project.syncs, board.project.roster, board.project.intakes
    except ConfigError as wrong:
        yield Notice("files", {"problems": "; ".join(wrong.problems)}, grave=True)


def old(board: Board, today: date) -> Iterator[Notice]:
    """A profile of days ago."""
    day = board.as_of(PROFILE)
    if day is not None and (today - day).days > OLD:
        yield Notice("old", {"n": (today - day).days, "day": day}, grave=True)


def refused(board: Board) -> Iterator[Notice]:
    """Source rows that broke their contract."""
    if board.has("rejected_rows"):
        for row in board.select(
            'select "table", count(*) as n from rejected_rows group by all order by n desc'
        ):
            yield Notice("rejected_rows", {"n": row["n"], "table": row["table"]}, "quality")


def deliveries(board: Board) -> Iterator[Notice]:
    """Of each sync: a last run that failed, rows its tool refused, and what was never answered."""
    ledger = board.project.ledger
    owed = sa.select(SNAPSHOT.c.sync, sa.func.count().label("n")).where(SNAPSHOT.c.owed.is_not(None))
    refusals = {row["sync"]: row["n"] for row in ledger.read(owed.group_by(SNAPSHOT.c.sync))}
    asked = sa.select(BATCHES.c.sync, sa.func.count().label("n")).group_by(BATCHES.c.sync)
    unanswered = {row["sync"]: row["n"] for row in ledger.read(asked)}
    for name in board.project.syncs:
        last = sa.select(RUNS).where(RUNS.c.sync == name).order_by(RUNS.c.started_at.desc()).limit(1)
        for run in ledger.read(last):
            if run["status"] in ("failed", "interrupted"):
                yield Notice(
                    "failed", {"sync": name, "error": run["error"] or run["status"]}, "syncs", grave=True
                )
        if name in unanswered:
            yield Notice("unsettled", {"sync": name, "n": unanswered[name]}, "syncs", grave=True)
        if name in refusals:
            yield Notice("owed", {"sync": name, "n": refusals[name]}, "syncs")


OWN = {("sync", "failed"), ("sync", "unsettled"), ("source", "source_rows")}
"""What is looked at here anew, and is so without a watch that is switched on."""


def alarms(board: Board, speaker: Speaker) -> Iterator[Notice]:
    """The alerts that fire."""
    for row in alerts.listed(board.project.ledger, speaker):
        kind, _, name = row["subject"].partition(" ")
        if row["state"] == "firing" and (kind, row["rule"]) not in OWN:
            said = {
                "kind": speaker.say(f"alert.kind.{kind}"),
                "rule": speaker.say(f"alert.rule.{row['rule']}"),
            }
            said |= {"sync": name} if kind == "sync" else {}
            grave = row["rule"] in ("failed", "stale")
            yield Notice("alert", {**said, "name": name, "what": row["what"]}, "syncs", grave)
