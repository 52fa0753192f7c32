"""The list of customers: searched, filtered by any column, sorted, page by page, as a file."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.kept import Kept
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.serving.reading import Ambiguous
from octo_dagster.serving.tables import BadQuery, beyond, filters, known, plain, quoted
from octo_dagster.spreadsheet import MARK, line

ON_A_PAGE = 50
MOST_FILTERS = 20
USUAL = (
    *("customer_id", "first_name", "last_name", "email", "country", "rfm_segment"),
    *("orders", "revenue", "last_order_at"),
)
"""The columns shown to who chose none, as far as they are there."""
NAMES = ("first_name", "last_name")
SEARCHED = ("customer_id", "email", "phone", *NAMES)


@dataclass(frozen=True, slots=True)
class Asked:
    """What of the list is asked for. `where`: `column:operator:value`, of a private column `~word`."""

    search: str = ""
    """A word of `Kept`."""
    where: tuple[str, ...] = ()
    sort: str = ""
    after: str = ""
    """A word of `Kept`."""
    columns: tuple[str, ...] = ()

    def address(self, **changed: Any) -> list[tuple[str, str]]:
        """The parameters of an address that asks for this, with so much changed; from the first page on,
        unless `after` is among it."""
        one = replace(self, **({"after": ""} | changed))
        told = [("q", one.search), *(("where", text) for text in one.where), ("sort", one.sort)]
        told += [("after", one.after), ("columns", ",".join(one.columns))]
        return [(name, value) for name, value in told if value]


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of the list."""

    rows: Sequence[Row]
    columns: tuple[str, ...]
    next: str | None
    count: int
    """Of all pages."""


def private(board: Board) -> frozenset[str]:
    """The columns whose values stand in no address: the contract's, and whatever else sources bring of
    people."""
    ours = {field.name for field in CONTRACTS["customers"].fields if field.private}
    return frozenset(ours | board.project.carried)


def opened(asked: Asked, kept: Kept) -> Asked:
    """The same with what is kept in its place. BadQuery when it is not kept any more."""
    texts = [kept.told(text[1:]) if text.startswith("~") else text for text in asked.where[:MOST_FILTERS]]
    search = kept.told(asked.search) if asked.search else ""
    after = kept.told(asked.after) if asked.after else ""
    if None in texts or search is None or after is None:
        raise BadQuery("gone")
    return replace(asked, where=tuple(text for text in texts if text), search=search, after=after)


def conditions(board: Board, asked: Asked) -> tuple[list[str], list[Any]]:
    """SQL of what an opened question asks for, and the values bound in it."""
    types = board.columns(PROFILE)
    told, values = filters(asked.where, types)
    if asked.search:
        found, words = searching(asked.search, types)
        told, values = [*told, found], [*values, *words]
    return told, values


def exactly(board: Board, text: str) -> str | None:
    """The customer who has just this id, e-mail or telephone; None when nobody or several have."""
    if board.select(f"select 1 from {PROFILE} where customer_id = $id", {"id": text}):
        return text
    for kind in ("email", "phone") if board.published else ():
        try:
            found = board.copy.whose(kind, text)
        except Ambiguous:
            continue
        if found and board.select(f"select 1 from {PROFILE} where customer_id = $id", {"id": found}):
            return found
    return None


def searching(text: str, types: dict[str, pa.DataType]) -> tuple[str, list[Any]]:
    """Whose id, e-mail or name holds every word that is searched; or whose telephone ends in its digits."""
    there = [name for name in SEARCHED if name in types and name != "phone"]
    held = " || ' ' || ".join(f"coalesce({quoted(name)}, '')" for name in there)
    words = text.lower().split()
    every = " and ".join([f"contains(strip_accents(lower({held})), strip_accents(?))"] * len(words))
    digits = "".join(letter for letter in text if letter.isdigit()).lstrip("0")
    if "phone" in types and len(digits) >= 6:
        return f"(({every}) or ends_with(regexp_replace(phone, '[^0-9]', '', 'g'), ?))", [*words, digits]
    return f"({every})", list(words)


def listed(board: Board, asked: Asked, kept: Kept) -> Listed:
    """The page asked for; BadQuery says what is wrong with the question."""
    there, question = board.columns(PROFILE), opened(asked, kept)
    columns = chosen(question, there)
    order = ordered(question.sort, there)
    told, values = conditions(board, question)
    where = f"where {' and '.join(told)}" if told else ""
    count = board.select(f"select count(*) as n from {PROFILE} {where}", values)[0]["n"]
    if question.after:
        past, bound = beyond(order, json.loads(question.after), there)
        told, values = [*told, past], [*values, *bound]
    names = dict.fromkeys((*columns, *(name for name, _ in order)))
    rows = board.select(select(names, told, order, ON_A_PAGE + 1), values)
    following = kept.keep(place(rows[ON_A_PAGE - 1], order)) if len(rows) > ON_A_PAGE else None
    return Listed(rows[:ON_A_PAGE], columns, following, count)


def chosen(question: Asked, there: Collection[str]) -> tuple[str, ...]:
    """The columns to show, of those there are; the usual ones when none of them is."""
    return tuple(name for name in question.columns if name in there) or tuple(n for n in USUAL if n in there)


def ordered(sort: str, types: dict[str, pa.DataType]) -> list[tuple[str, bool]]:
    """By what the list is sorted, and whether upwards; the id last, which tells all apart."""
    name = sort.removeprefix("-")
    if not name or name == "customer_id":
        return [("customer_id", not sort.startswith("-"))]
    known(name, types, "sort")
    return [(name, not sort.startswith("-")), ("customer_id", True)]


def select(
    names: Any, told: Sequence[str], order: Sequence[tuple[str, bool]], most: int | None = None
) -> str:
    """The list as SQL, empty values last."""
    where = f"where {' and '.join(told)}" if told else ""
    sorted_by = ", ".join(f"{quoted(name)} {'asc' if up else 'desc'} nulls last" for name, up in order)
    limit = f"limit {most}" if most else ""
    return f"select {', '.join(map(quoted, names))} from {PROFILE} {where} order by {sorted_by} {limit}"


def place(row: Row, order: Sequence[tuple[str, bool]]) -> str:
    """Where a page ended: of what it is sorted by, the last row's values."""
    return json.dumps([None if row[name] is None else str(plain(row[name])) for name, _ in order])


def as_file(board: Board, asked: Asked, kept: Kept, language: str) -> Iterator[str]:
    """All pages as CSV, as Excel expects it in that language, by and by. BadQuery before the first line."""
    there, question = board.columns(PROFILE), opened(asked, kept)
    columns = chosen(question, there)
    told, values = conditions(board, question)
    return lines(board, columns, select(columns, told, ordered(question.sort, there)), values, language)


def lines(
    board: Board, columns: Sequence[str], sql: str, values: Sequence[Any], language: str
) -> Iterator[str]:
    yield MARK + line(columns, language)
    for rows in board.parts(sql, values):
        yield "".join(line(one, language) for one in rows)
