"""What is known of audiences, read for the pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.audiences.memberships import Overlap, Size, overlap_over, sizes_over
from octo_dagster.errors import ConfigError
from octo_dagster.pages.audiences.file import Draft, among
from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.customers.listing import private
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.scoring.rules import Refused, columns_of, kind
from octo_dagster.serving.tables import quoted

SAMPLE = 8
DAYS = 400
VALUES = 40
USUAL = ("customer_id", "rfm_segment", "orders", "revenue")


def conditions(board: Board, only: str | None = None) -> tuple[dict[str, str], list[str]]:
    """Audience → who is in it, as SQL; and what is wrong with those it cannot be told of: that the profile
    cannot be asked so, for one."""
    schema = board.first.warehouse.schema(PROFILE) if board.has(PROFILE) else None
    made: dict[str, str] = {}
    problems: list[str] = []
    try:
        roster = board.project.roster
    except ConfigError as wrong:
        return {}, list(wrong.problems)
    for name in roster.audiences if schema is not None else ():
        if only in (None, name):
            try:
                told = roster.sql(name, schema, board.as_of(PROFILE))
                board.select(f"select 1 from {PROFILE} where {told} limit 0")
                made[name] = told
            except ConfigError as wrong:
                problems += wrong.problems
            except duckdb.Error as wrong:
                problems.append(f"{name}.yaml: rule: {str(wrong).splitlines()[0][:200]}")
    return made, list(dict.fromkeys(problems))


def sizes(board: Board, told: Mapping[str, str]) -> list[Size]:
    """Every audience's size and reach; nothing before there is a profile."""
    if not told:
        return []
    with board.cursor() as cursor:
        return sizes_over(cursor, board.columns(PROFILE), told)


def overlap(board: Board, told: Mapping[str, str]) -> dict[tuple[str, str], Overlap]:
    """Each two audiences → what they share, told either way round."""
    if len(told) < 2:
        return {}
    with board.cursor() as cursor:
        pairs = overlap_over(cursor, told)
    turned = [Overlap(p.b, p.a, p.customers, p.share_of_b, p.share_of_a) for p in pairs]
    return {(pair.a, pair.b): pair for pair in (*pairs, *turned)}


def movements(board: Board) -> list[Row]:
    """Audience → who entered and who left on the last day it was looked at."""
    day = board.as_of(MEMBERS)
    if day is None:
        return []
    return board.select(
        f"""select audience, count(*) filter (where entered_on = $day) as entered,
                   count(*) filter (where left_on = $day) as left, min(entered_on) = $day as first
            from {MEMBERS} group by audience""",
        {"day": day},
    )


def history(board: Board, name: str) -> list[Row]:
    """Day by day who entered, who left, and how many were in it then; newest days last."""
    if not board.has(MEMBERS):
        return []
    return board.select(
        f"""with moves as (
                select entered_on as day, 1 as entered, 0 as gone from {MEMBERS} where audience = $name
                union all
                select left_on, 0, 1 from {MEMBERS} where audience = $name and left_on is not null),
            days as (select day, sum(entered) as entered, sum(gone) as gone from moves group by day),
            sizes as (select *, sum(entered - gone) over (order by day) as size,
                             day = min(day) over () as first from days)
            select * from (from sizes order by day desc limit {DAYS}) order by day""",
        {"name": name},
    )


def moved(board: Board, name: str) -> list[Row]:
    """Some of who entered and who left on the last day."""
    day = board.as_of(MEMBERS)
    if day is None:
        return []
    return board.select(
        f"""select customer_id, left_on is not null as gone from {MEMBERS}
            where audience = $name and (left_on = $day or (entered_on = $day and left_on is null))
            order by gone, customer_id limit {4 * SAMPLE}""",
        {"name": name, "day": day},
    )


def sample(board: Board, condition: str | None, columns: Sequence[str]) -> list[Row]:
    """Some of who is in an audience, always the same while the profile stays."""
    if condition is None:
        return []
    names = ", ".join(map(quoted, columns))
    return board.select(
        f"""select {names} from {PROFILE} where {condition}
            order by hash(customer_id), customer_id limit {SAMPLE}"""
    )


def drafted(board: Board, draft: Draft) -> tuple[str, Size]:
    """Who would be in a draft, as SQL, and how many. ConfigError says what is wrong with it, be it only that
    the profile cannot be asked so."""
    roster = among(board.project, draft)
    board.first.warehouse.existing(PROFILE)
    schema = board.first.warehouse.schema(PROFILE)
    condition = roster.sql(draft.name, schema, board.as_of(PROFILE))
    try:
        return condition, sizes(board, {draft.name: condition})[0]
    except duckdb.Error as wrong:
        raise ConfigError(f"{draft.name}.yaml: rule: {str(wrong).splitlines()[0]}") from None


def shown_columns(board: Board, rule: str | None) -> list[str]:
    """The columns a sample is told by: who it is, and what the rule asks about."""
    there = board.columns(PROFILE)
    try:
        asked = columns_of(rule) if rule and rule.strip() else ()
    except Refused:
        asked = ()
    return [name for name in dict.fromkeys((*USUAL, *asked)) if name in there]


def vocabulary(board: Board) -> list[dict[str, str]]:
    """Every column a rule may name: what it holds and what it means."""
    scores = [score for score in board.project.told_scores if score.on_profile]
    about = {column.name: column.description for score in scores for column in score.columns}
    return [
        {"name": name, "kind": kind(arrow), "about": about.get(name, "")}
        for name, arrow in board.columns(PROFILE).items()
    ]


def values(board: Board, column: str) -> list[Any]:
    """The commonest values of a column of text, of those that tell nobody's name or address."""
    arrow = board.columns(PROFILE).get(column)
    if arrow is None or kind(arrow) != "text" or column in {*private(board), "customer_id"}:
        return []
    name = quoted(column)
    found = board.select(
        f"""select {name} as value from {PROFILE} where {name} is not null
            group by all order by count(*) desc, value limit {VALUES}"""
    )
    return [row["value"] for row in found]
