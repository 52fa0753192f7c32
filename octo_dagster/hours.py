"""When things run by themselves: cron lines in a time zone, checked when a file is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

GRACE = timedelta(hours=3)
"""What a run may take, and a night may be late, beyond its hours."""

LOOKED_AT = 60
"""How many times of a cron line tell how far apart they may be: two months of days, a year of weeks."""


def checked_cron(line: str) -> str:
    """The line, when it is one. ValueError, for a file to be refused, when it is not or never comes."""
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except CronSimError as wrong:
        raise ValueError(f"not a cron line (minute hour day month weekday): {wrong}") from None
    except StopIteration:
        raise ValueError("a cron line that never comes") from None
    return line


def checked_zone(name: str) -> str:
    """The time zone's name. ValueError when there is none of that name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"no time zone is called {name!r}") from None
    return name


Cron: TypeAlias = Annotated[str, AfterValidator(checked_cron)]
Zone: TypeAlias = Annotated[str, AfterValidator(checked_zone)]


def due(line: str, zone: str, after: datetime) -> datetime:
    """The first time of a cron line after a moment; moments are UTC, without a zone.

    On the day clocks go forward what does not exist is when they have gone; when they go back it comes
    once."""
    local = after.replace(tzinfo=UTC).astimezone(ZoneInfo(zone))
    found: datetime = next(CronSim(line, local))
    return found.astimezone(UTC).replace(tzinfo=None)


def farthest(line: str, zone: str, after: datetime) -> timedelta:
    """The longest time between two runs of a cron line, as the next ones tell."""
    times = [after]
    for _ in range(LOOKED_AT):
        times.append(due(line, zone, times[-1]))
    return max(later - earlier for earlier, later in pairwise(times[1:]))


def patience(line: str, zone: str, now: datetime) -> timedelta:
    """Within which time something made at these hours is expected anew."""
    return farthest(line, zone, now) + GRACE
