"""What the tools were last told of one customer, by the ledger: look-ups by key, no run waits for them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.delivery.ledger_tables import CHANGELOG, MAYBE, RUNS, UNSURE
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.sync import Sync

SCOPE = "sync_changelog"
COLUMNS = tuple(CHANGELOG.c.keys())
"""The table, and its columns, a key must be for to see single records' deliveries."""
BLANKS = " \t\n\r\v\f\u00a0\ufeff"
"""What the ledger trims off a key (`mapping.BLANKS`)."""


def last(project: Project, profile: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each sync of customers that ever tried to send this one: what the tool holds of him since when, and
    how the last try ended. Syncs of other tables than the profile know no customers and are not told of."""
    return [
        told
        for sync in project.syncs.values()
        if sync.reads == PROFILE
        for told in of(project, sync, profile)
    ]


def of(project: Project, sync: Sync, profile: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What one sync last told its tool of him; nothing when it never tried."""
    key = compared(sync, profile.get(sync.key.from_))
    held = project.ledger.rows(sync.name, [key]).get(key) if key else None
    if held is None:
        return
    run = project.ledger.read(sa.select(RUNS).where(RUNS.c.run == held["run"]))
    at = (run[0]["ended_at"] or run[0]["started_at"]) if run else None
    yield {
        "sync": sync.name,
        "type": sync.destination.type,
        "key": held["spelled"],
        "outcome": outcome(held),
        "reason": held["owed"],
        "attempts": held["attempts"],
        "run": held["run"],
        "at": f"{at.isoformat(timespec='seconds')}Z" if at else None,
        "fields": json.loads(project.ledger.fields(sync.name, [key]).get(key, "null")),
    }


def compared(sync: Sync, value: Any) -> str:
    """The key as the ledger compares it."""
    spelled = "" if value is None else str(value).strip(BLANKS)
    return spelled.lower() if sync.destination.keys_ignore_case else spelled


def outcome(held: sa.RowMapping) -> str:
    """How the last try ended: rejected, unsure (no answer), accepted; or removed, when nothing is held."""
    if held["owed"] is not None:
        return "rejected"
    if held["fingerprint"] in (UNSURE, MAYBE):
        return "unsure"
    return "accepted" if held["fingerprint"] is not None else "removed"
