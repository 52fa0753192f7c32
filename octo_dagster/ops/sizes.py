"""Whether an audience's size is far from its own usual: halved at once, or out of what it was of late."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from math import sqrt

from octo_dagster.audiences.memberships import TABLE, newest
from octo_dagster.config import Project

DAYS = 30
"""Earlier days a size is compared with: those on which anybody entered or left any audience."""
ENOUGH = 8
"""Earlier days from which on there is a usual size; of an audience that halves, two."""
CHANCE = 3
"""Times the square root of the usual size: what so many customers may differ by from day to day by chance. So
an audience of nine or fewer never fires."""
SPREAD = 1.4826
"""Of numbers spread normally, the standard deviation over the median deviation (MAD)."""
QUARTER = 0.25
"""Of the usual size: what may come or go however steady it was."""


def sizes(project: Project) -> Mapping[str, Sequence[int]]:
    """Audience → its size on the last days, the newest last; of those that have a file and were looked at."""
    state = newest(project.warehouse)
    if state is None:
        return {}
    query = f"""
        with moments as (select entered_on as day from {TABLE} union select left_on from {TABLE}
                         union select date '{state[0]}'),
            days as (select day from moments where day is not null order by day desc limit {DAYS + 1}),
            seen as (select audience, min(entered_on) as first from {TABLE} group by audience)
        select seen.audience, days.day, count(stay.customer_id)
        from seen join days on days.day >= seen.first
            left join {TABLE} as stay on stay.audience = seen.audience and stay.entered_on <= days.day
                and (stay.left_on is null or stay.left_on > days.day)
        group by all order by 1, 2"""
    found: dict[str, list[int]] = {}
    with project.warehouse.connect(only=[TABLE]) as connection:
        for name, _, size in connection.execute(query).fetchall():
            if name in project.audiences:
                found.setdefault(name, []).append(size)
    return found


def odd(size: int, before: Sequence[int], deviations: float) -> bool:
    """Whether a size is far from those before it."""
    if len(before) < 2:
        return False
    usual = statistics.median(before)
    gap = abs(size - usual)
    if gap <= CHANCE * sqrt(usual):
        return False
    if size < usual / 2:
        return True
    spread = SPREAD * statistics.median(abs(one - usual) for one in before)
    return len(before) >= ENOUGH and gap > max(deviations * spread, QUARTER * usual)
