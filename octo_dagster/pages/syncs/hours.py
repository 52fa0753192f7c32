"""When a sync runs by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from octo_dagster.config import Project
from octo_dagster.delivery.ledger import now
from octo_dagster.hours import due
from octo_dagster.sync import Sync


@dataclass(frozen=True, slots=True)
class Hours:
    """A sync's cron line, in the project's time zone."""

    cron: str
    zone: str
    own: bool
    """Whether it is the sync's own; else the night's, which takes along every sync without one."""
    next: datetime
    """When it is due, UTC."""


def hours(project: Project, sync: Sync) -> Hours:
    """The hours a sync is due at, as its file and the project's say; whether Dagster's schedules are switched
    on is for Dagster to say."""
    cron, zone = sync.schedule or project.settings.nightly, project.settings.timezone
    return Hours(cron, zone, sync.schedule is not None, due(cron, zone, now()))
