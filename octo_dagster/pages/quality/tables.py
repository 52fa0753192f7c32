"""How whole the canonical tables are: how many rows, how new, how full each column, who is there twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.pages.board import Board, Row

TWICE = """select count(*) as addresses, coalesce(sum(n), 0) as customers
           from (select count(*) as n from customers where email is not null
                 group by lower(trim(email)) having count(*) > 1)"""
WHO_TWICE = """select list(customer_id order by customer_id)[:10] as customers, count(*) as n from customers
               where email is not null group by lower(trim(email)) having count(*) > 1
               order by n desc, min(customer_id) limit 20"""
GUESTS = "select count(*) as orders, count(*) filter (where customer_id is null) as guests from orders"
STRANGERS = """select count(*) as orders, count(distinct value) as customers from rejected_rows
               where "table" = 'orders' and field = 'customer_id' and reason = 'unknown'"""


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and the share of rows that say something in it."""

    name: str
    filled: float


@dataclass(frozen=True, slots=True)
class Filled:
    """One canonical table."""

    name: str
    rows: int
    newest: datetime | None
    """The newest moment in it; None for a table without moments, or without rows."""
    columns: Sequence[Column]


def filled(board: Board) -> list[Filled]:
    """Every canonical table there is."""
    return [whole(board, name) for name in CONTRACTS if board.has(name)]


def whole(board: Board, name: str) -> Filled:
    """One table, counted in one pass."""
    names = list(board.columns(name))
    moment = next((field.name for field in CONTRACTS[name].fields if field.type == "timestamp"), None)
    newest = f'max("{moment}")' if moment in names else "null"
    counts = ", ".join(f'count("{column}") as c{at}' for at, column in enumerate(names))
    row = board.one(f'select count(*) as n, {newest} as newest, {counts} from "{name}"')
    columns = [Column(column, row[f"c{at}"] / (row["n"] or 1)) for at, column in enumerate(names)]
    return Filled(name, row["n"], row["newest"], columns)


def twice(board: Board) -> tuple[Row, list[Row]] | None:
    """How many addresses several customers have, and some of those customers."""
    if not board.has("customers"):
        return None
    return board.one(TWICE), board.select(WHO_TWICE)


def strangers(board: Board) -> Row | None:
    """Orders without a customer (guests), and orders refused because nobody knows their customer."""
    if not board.has("orders"):
        return None
    refused = board.one(STRANGERS) if board.has("rejected_rows") else {"orders": 0, "customers": 0}
    return {**board.one(GUESTS), "refused": refused["orders"], "unknown": refused["customers"]}
