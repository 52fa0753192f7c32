"""How many customers each audience has, who came and who left since when, and how audiences overlap.

The table `audience_members` has one row for each stay of a customer in an audience: the day he was first
seen in it, and the day he was first seen to be out of it again, null while he is in. Days are those the
profile was worked out for. Whoever is in an audience when it is first looked at entered it that day, as far
as one knows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from itertools import combinations
from typing import Any

import duckdb

from octo_dagster.delta import quoted
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.warehouse import Warehouse

TABLE = "audience_members"

Conditions = Mapping[str, str]
"""Audience → DuckDB condition over the customer profile, never null: `audiences.Roster.sql`."""

REACHED_BY = {
    "email": ("email_consent", "email"),
    "sms": ("sms_consent", "phone"),
    "call": ("call_consent", "phone"),
}
"""Channel → the consent that must be true and the address that must be there."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One audience on the last day it was looked at."""

    audience: str
    customers: int
    entered: int
    left: int
    first: bool
    """Whether it was looked at for the first time: everybody in it then counts as entered."""


@dataclass(frozen=True, slots=True)
class Report:
    """What one look at the audiences found."""

    as_of: date
    """The day the memberships are of: the newest looked at."""
    since: date | None
    """The day of the look before: entries and exits happened after it. None the first time."""
    kept: bool
    """Whether an earlier day than `as_of` was asked for, and nothing was changed therefore."""
    movements: tuple[Movement, ...]
    """By audience. One whose file is gone is there on the day its last customers left."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        since = self.since.isoformat() if self.since else None
        return {**asdict(self), "as_of": self.as_of.isoformat(), "since": since}


@dataclass(frozen=True, slots=True)
class Size:
    """One audience as of now."""

    audience: str
    customers: int
    share: float
    """Of all customers, 0 to 1."""
    reached_by: Mapping[str, int]
    """Channel → how many agreed to it and have an address for it; without those columns, left out."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two audiences: how many customers are in both, and what share of each that is (0 when empty)."""

    a: str
    b: str
    customers: int
    share_of_a: float
    share_of_b: float


def track(warehouse: Warehouse, conditions: Conditions, as_of: date) -> Report:
    """Bring `audience_members` up to date with the newest profile, which must be of the day `as_of`.

    The same day again undoes what it found that day and looks anew, so it changes nothing unless the profile
    or an audience did. A day before the newest looked at changes nothing and is told as `kept`."""
    state = newest(warehouse)
    if state is not None and as_of < state[0]:
        return report(warehouse, *state, kept=True)
    since = None if state is None else state[1] if as_of == state[0] else state[0]
    with warehouse.connect(only=(PROFILE, TABLE)) as connection:
        if state is None:
            connection.execute(f"create view {TABLE} as {NOBODY}")
        connection.execute(f"create temp table members as {members_sql(conditions)}")
        connection.execute(f"create temp view stays as {stays_sql(as_of)}")
        reader = connection.sql(
            "select * from stays order by audience, customer_id, entered_on"
        ).to_arrow_reader()
        note = {"as_of": as_of.isoformat(), "since": since.isoformat() if since else None}
        warehouse.replace(TABLE, reader, note)
    return report(warehouse, as_of, since, kept=False)


NOBODY = (
    "select cast('' as varchar) as audience, cast('' as varchar) as customer_id, "
    "date '2000-01-01' as entered_on, date '2000-01-01' as left_on where false"
)


def latest(warehouse: Warehouse) -> Report | None:
    """What the last look found; None before the first."""
    state = newest(warehouse)
    return None if state is None else report(warehouse, *state, kept=False)


def newest(warehouse: Warehouse) -> tuple[date, date | None] | None:
    """The day the memberships are of, and the day of the look before."""
    if TABLE not in warehouse.names():
        return None
    note = warehouse.note(TABLE)
    since = note["since"]
    return date.fromisoformat(note["as_of"]), date.fromisoformat(since) if since else None


def members_sql(conditions: Conditions) -> str:
    """Who is in which audience now."""
    parts = [
        f"select cast({quoted(name)} as varchar) as audience, cast(customer_id as varchar) as customer_id"
        f' from "{PROFILE}" where {condition}'
        for name, condition in conditions.items()
    ]
    return " union all ".join(parts) or f"select audience, customer_id from ({NOBODY})"


def stays_sql(as_of: date) -> str:
    """All stays once `members` are those of the day: what an earlier look the same day found is undone."""
    day = f"date '{as_of}'"
    return f"""
        with before as (
            select audience, customer_id, entered_on, case when left_on < {day} then left_on end as left_on
            from {TABLE} where entered_on < {day}),
        open as (from before where left_on is null)
        from before where left_on is not null
        union all
        select coalesce(open.audience, members.audience) as audience,
               coalesce(open.customer_id, members.customer_id) as customer_id,
               coalesce(open.entered_on, {day}) as entered_on,
               case when members.customer_id is null then {day} end as left_on
        from open full join members
          on open.audience = members.audience and open.customer_id = members.customer_id"""


def report(warehouse: Warehouse, as_of: date, since: date | None, *, kept: bool) -> Report:
    """What the table says of the day it is of."""
    day = f"date '{as_of}'"
    with warehouse.connect(only=[TABLE]) as connection:
        rows = connection.sql(
            f"""select audience, count(*) filter (where left_on is null),
                       count(*) filter (where entered_on = {day}), count(*) filter (where left_on = {day}),
                       min(entered_on) = {day}
                from {TABLE} group by audience
                having bool_or(left_on is null or left_on = {day}) order by audience"""
        ).fetchall()
    return Report(as_of, since, kept, tuple(Movement(*row) for row in rows))


def sizes(warehouse: Warehouse, conditions: Conditions) -> list[Size]:
    """Every audience over the newest profile."""
    with warehouse.connect(only=[PROFILE]) as connection:
        return sizes_over(connection, warehouse.schema(PROFILE).names, conditions)


def sizes_over(
    connection: duckdb.DuckDBPyConnection, columns: Collection[str], conditions: Conditions
) -> list[Size]:
    """The same over a connection's profile, which has these columns."""
    there = set(columns)
    channels = [channel for channel, columns in REACHED_BY.items() if there.issuperset(columns)]
    counts = [
        f"count(*) filter (where {condition}{reach})"
        for condition in conditions.values()
        for reach in ("", *(f" and {reachable(channel)}" for channel in channels))
    ]
    whole, *told = one_row(connection, ["count(*)", *counts], f'"{PROFILE}"')
    width = 1 + len(channels)
    return [
        Size(name, count, share(count, whole), dict(zip(channels, reached, strict=True)))
        for name, at in zip(conditions, range(0, len(told), width), strict=True)
        for count, *reached in [told[at : at + width]]
    ]


def reachable(channel: str) -> str:
    """Whether a customer agreed to a channel and has an address for it; null where nobody asked him."""
    consent, address = REACHED_BY[channel]
    return f'"{consent}" and "{address}" is not null'


def overlap(warehouse: Warehouse, conditions: Conditions) -> list[Overlap]:
    """Every pair of audiences over the newest profile."""
    with warehouse.connect(only=[PROFILE]) as connection:
        return overlap_over(connection, conditions)


def overlap_over(connection: duckdb.DuckDBPyConnection, conditions: Conditions) -> list[Overlap]:
    """The same over a connection's profile."""
    names = list(conditions)
    flags = ", ".join(f"{condition} as a{at}" for at, condition in enumerate(conditions.values()))
    pairs = list(combinations(range(len(names)), 2))
    counts = [added(f"a{at}") for at in range(len(names))] + [added(f"a{a} and a{b}") for a, b in pairs]
    if not names:
        return []
    # customers in the same audiences are counted together first: there are few such sets
    told = one_row(connection, counts, f'(select {flags}, count(*) as n from "{PROFILE}" group by all)')
    alone, both = told[: len(names)], told[len(names) :]
    return [
        Overlap(names[a], names[b], count, share(count, alone[a]), share(count, alone[b]))
        for (a, b), count in zip(pairs, both, strict=True)
    ]


def added(where: str) -> str:
    return f"cast(coalesce(sum(n) filter (where {where}), 0) as bigint)"


def one_row(connection: duckdb.DuckDBPyConnection, figures: Sequence[str], source: str) -> list[int]:
    return list(connection.sql(f"select {', '.join(figures)} from {source}").fetchall()[0])


def share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
