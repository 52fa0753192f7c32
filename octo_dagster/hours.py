"""When things run by themselves: cron lines in a time zone, checked when a file is read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator

GRACE = timedelta(hours=3)
"""What a run may take, and a night may be late, beyond its hours."""

LOOKED_AT = 60
"""Times of a cron line that tell how far apart they may be, at least: two months of days, a year of weeks."""
SPAN = timedelta(days=32)
"""And over which time: hours by day, on working days or in the first week of a month, leave out others."""


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
    """The longest time between two runs of a cron line, as those from a day on tell."""
    return apart(line, zone, after.date())


@lru_cache(maxsize=256)
def apart(line: str, zone: str, day: date) -> timedelta:
    """The same; a line of every minute has forty thousand times to look at, a tenth of a second's work."""
    begin = datetime.combine(day, time(), ZoneInfo(zone))
    times = (moment.astimezone(UTC) for moment in CronSim(line, begin))  # in UTC an hour is an hour
    longest, count = timedelta(), 0
    for earlier, later in pairwise(times):
        longest, count = max(longest, later - earlier), count + 1
        if count >= LOOKED_AT and later - begin >= SPAN:
            break
    return longest


def patience(line: str, zone: str, now: datetime) -> timedelta:
    """Within which time something made at these hours is expected anew."""
    return farthest(line, zone, now) + GRACE
