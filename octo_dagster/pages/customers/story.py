"""One customer's whole story: what is known, why, what happened, where he is, what he was offered and where
he was sent to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.delivery.ledger_tables import RUNS
from octo_dagster.delivery.mapping import compiled
from octo_dagster.pages.board import KEPT_ROWS, Board, Row
from octo_dagster.pages.scores.labels import Labels
from octo_dagster.score import Score
from octo_dagster.scoring.explain import ScoreExplained, explained
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.sync import Sync
from octo_dagster.words import Language

QUOTED = frozenset(
    {
        *("rfm_segment", "rfm_trend", "rfi_label", "promophilia_class", "pressure_position"),
        *("responsiveness", "passive_segment", "passive_because", "reactivation_excluded_because"),
    }
)
"""Columns of labels that shipped scores quote in their sentences."""
EVENTS = 60
"""On a page of what happened, newest first."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What one tool last got of a customer."""

    sync: str
    tool: str
    fields: Mapping[str, Any]
    """As the ledger holds it; empty when the tool holds nothing of him by Octo."""
    at: datetime | None
    """When the run that last changed it began."""
    owed: str | None
    """Why the last attempt was refused."""


def profile(board: Board, customer_id: str) -> Row | None:
    """The customer's row of the profile; None when there is no such customer."""
    rows = board.select(f"select * from {PROFILE} where customer_id = $id", {"id": customer_id})
    return rows[0] if rows else None


def reasons(board: Board, customer_id: str, language: Language, label: Labels) -> list[ScoreExplained]:
    """Of each score that has a row of him, what it says of him and why, its labels in the same language."""
    scores = [labelled(score, label) for score in board.project.told_scores if score.on_profile]
    with board.cursor() as cursor:
        told = [explained(board.project.warehouse, cursor, score, customer_id, language) for score in scores]
    return [one for one in told if one.facts]


def labelled(score: Score, label: Labels) -> Score:
    """The same score, whose sentences quote labels as the page shows them elsewhere."""
    told = score.because
    if told is None:
        return score

    def because(row: Row, settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
        return told({**row, **{name: label(row[name]) for name in QUOTED & row.keys()}}, settings, language)

    return replace(score, because=because)


PARTS: Mapping[str, str] = {
    "orders": """select 'order' as kind, ordered_at as happened_at, order_id as what, status as how,
                        net_amount as money, channel as via from orders where customer_id = $id""",
    "messages": """select 'message', sent_at, campaign_id, null, null, channel from messages
                   where customer_id = $id""",
    "message_events": """select 'response', occurred_at, message_id, event_type, null, channel
                         from message_events where customer_id = $id""",
    "visits": """select 'visit', visited_at, product_id, null, null, null from visits
                 where customer_id = $id""",
    MEMBERS: f"""select 'entered', cast(entered_on as timestamp), audience, null, null, null from {MEMBERS}
                 where customer_id = $id
                 union all
                 select 'left', cast(left_on as timestamp), audience, null, null, null from {MEMBERS}
                 where customer_id = $id and left_on is not null""",
}
"""What can happen to a customer, by the table that tells of it."""


def happened(board: Board, customer_id: str) -> list[Row]:
    """Everything that happened to him, newest first: up to the newest few thousand, read once for all that
    is made of it."""
    parts = [sql for table, sql in PARTS.items() if board.has(table)]
    if not parts:
        return []
    told = f"({' union all '.join(parts)}) as told(kind, happened_at, what, how, money, via)"
    query = f"from {told} order by happened_at desc, kind, what limit {KEPT_ROWS}"
    return board.select(query, {"id": customer_id})


def months(events: Sequence[Row], day: date) -> list[tuple[str, int, int]]:
    """Month, orders and messages of each of the 24 months to a day, empty ones included."""
    last = 12 * day.year + day.month - 1
    names = [f"{month // 12}-{month % 12 + 1:02}" for month in range(last - 23, last + 1)]
    counted = Counter((f"{event['happened_at']:%Y-%m}", event["kind"]) for event in events if counts(event))
    return [(name, counted[name, "order"], counted[name, "message"]) for name in names]


def counts(event: Row) -> bool:
    """Whether an event is a message, or an order that is one for recency and frequency."""
    bought = event["kind"] == "order" and event["how"] == "completed" and event["money"] > 0
    return bool(bought or event["kind"] == "message")


def stays(board: Board, customer_id: str) -> list[Row]:
    """The audiences he is and was in, those he is in first."""
    if not board.has(MEMBERS):
        return []
    return board.select(
        f"""select audience, entered_on, left_on from {MEMBERS} where customer_id = $id
            order by left_on is not null, left_on desc, audience""",
        {"id": customer_id},
    )


def recommended(board: Board, customer_id: str) -> dict[str, list[Row]]:
    """List → its products, best first, each with its picture, its price and the reason."""
    if not board.has("recommendations"):
        return {}
    there = board.columns("products")
    shown = [
        f"p.{name}" if name in there else f"null as {name}" for name in ("name", "price", "image_url", "url")
    ]
    join = "left join products p using (product_id)" if there else "cross join (select 1) p"
    found = board.select(
        f"""select list, rank, product_id, r.category as category, reason_text, {", ".join(shown)}
            from (select * from recommendations where customer_id = $id) r {join} order by list, rank""",
        {"id": customer_id},
    )
    lists: dict[str, list[Row]] = {}
    for row in found:
        lists.setdefault(row["list"], []).append(row)
    return lists


def sent(board: Board, customer_id: str) -> list[Sent]:
    """What each sync that reads the profile last sent of him."""
    return [told for sync in board.project.syncs.values() for told in held_by(board, sync, customer_id)]


def held_by(board: Board, sync: Sync, customer_id: str) -> Sequence[Sent]:
    """What one sync sent; nothing when it never had him."""
    if sync.reads != PROFILE:
        return ()
    key = compiled(sync, board.project.warehouse.schema(PROFILE)).key
    rows = board.select(f"select {key} as key from {PROFILE} where customer_id = $id", {"id": customer_id})
    ledger, keys = board.project.ledger, [str(row["key"]) for row in rows if row["key"]]
    found = ledger.rows(sync.name, keys)
    fields = ledger.fields(sync.name, keys)
    return [
        Sent(
            sync.name,
            sync.destination.type,
            json.loads(fields.get(key, "{}")),
            began(board, row["run"]),
            row["owed"],
        )
        for key, row in found.items()
    ]


def began(board: Board, run: str) -> datetime | None:
    found = board.project.ledger.read(sa.select(RUNS.c.started_at).where(RUNS.c.run == run))
    return found[0]["started_at"] if found else None
