"""When a sync runs by itself."""

from __future__ import annotations

from octo_dagster.sync import Sync

NIGHTLY = "0 2 * * *"
"""The night's job, which takes along every sync without hours of its own. UTC."""


def hours(sync: Sync) -> tuple[str, bool]:
    """The cron line (UTC) a sync runs by, and whether it is its own."""
    return sync.schedule or NIGHTLY, sync.schedule is not None
