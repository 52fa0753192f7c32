"""Source rows that broke their table's contract: how many, of what, why, and where it is mended."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from octo_dagster.pages.board import Board, Row

TABLE = "rejected_rows"
SAMPLE = 25
WRITES = 1_000
"""Of the table's history looked at for it."""
WHOLE = re.compile(r"source = '([^']*)' AND \"?table\"? = '([^']*)'")
"""What a write replaced that judged one table of one source from end to end."""

PARTS = """select source, "table", count(*) as refused, max("at") as "at" from rejected_rows
           group by 1, 2 order by refused desc, 1, 2"""
REASONS = """select source, "table", field, reason, count(*) as refused from rejected_rows
             group by 1, 2, 3, 4 order by refused desc, 1, 2, 3, 4"""
ROWS = f"""select key, origin, value, others, "at" from rejected_rows
           where source = $source and "table" = $table and field = $field and reason = $reason
           order by key nulls last, origin limit {SAMPLE}"""


@dataclass(frozen=True, slots=True)
class Part:
    """The refused rows of one table of one source."""

    source: str
    table: str
    refused: int
    at: datetime
    """When they were judged."""
    of: int
    """Rows the source brought of that table, older versions of a row counted, too."""
    most: int | float | None
    """A count or a share: beyond it nothing of the table is published. None: the source is no more."""

    @property
    def share(self) -> float:
        return self.refused / self.of if self.of else 0.0


def parts(board: Board) -> list[Part]:
    """Where refused rows come from, the most first."""
    return [part(board, row) for row in board.select(PARTS)] if board.has(TABLE) else []


def part(board: Board, row: Row) -> Part:
    intake = board.project.intakes.get(row["source"])
    raw = intake.raw(row["table"]) if intake else ""
    of = board.one(f'select count(*) as n from "{raw}"')["n"] if board.has(raw) else 0
    most = intake.max_rejected if intake else None
    return Part(row["source"], row["table"], row["refused"], row["at"], of, most)


def reasons(board: Board) -> list[Row]:
    """Every kind of fault there is now, the most frequent first."""
    return board.select(REASONS) if board.has(TABLE) else []


def sample(board: Board, fault: Mapping[str, str]) -> list[Row]:
    """Some of the rows with one fault (`source`, `table`, `field`, `reason`); what is personal in them was
    hidden when they were judged."""
    return board.select(ROWS, fault) if board.has(TABLE) else []


def over_time(board: Board) -> Sequence[tuple[date, int]]:
    """How many rows were refused at each day's end, of the days on which anything was judged and the table's
    log still tells: a week."""
    if not board.has(TABLE):
        return []
    judged = [(whole, entry) for entry in writes(board) if (whole := replaced(entry)) is not None]
    told = {whole for whole, _ in judged}
    now = {(row["source"], row["table"]): row["refused"] for row in board.select(PARTS)}
    now = {whole: refused for whole, refused in now.items() if whole not in told}  # judged before that
    days: dict[date, int] = {}
    for whole, entry in judged:
        now[whole] = int(entry["operationMetrics"]["num_added_rows"])
        days[day_of(entry)] = sum(now.values())
    return sorted(days.items())


def writes(board: Board) -> list[dict[str, Any]]:
    """The table's newest writes, the oldest of them first."""
    return board.first.warehouse.table(TABLE).history(WRITES)[::-1]


def replaced(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    """Source and table whose refused rows a write replaced; None for any other write."""
    told = WHOLE.fullmatch(str(entry.get("operationParameters", {}).get("predicate", "")))
    return (told[1], told[2]) if told and "num_added_rows" in entry.get("operationMetrics", {}) else None


def day_of(entry: Mapping[str, Any]) -> date:
    return datetime.fromtimestamp(entry["timestamp"] / 1000, UTC).date()


def place(fault: Mapping[str, Any]) -> str:
    """Where in the source's file a fault is mended."""
    column = "" if fault["field"] in ("row", "key") else f".columns.{fault['field']}"
    return f"tables.{fault['table']}{column}"
