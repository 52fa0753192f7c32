"""When things run by themselves: the night, and every sync that has hours of its own."""

import dagster as dg

from assets.jobs import deliver
from assets.resources import Setup

NIGHTLY = "0 2 * * *"
"""UTC. After midnight, when a day is whole wherever most shops are, and before people come to work."""


def schedules(setup: Setup) -> list[dg.ScheduleDefinition]:
    """`nightly`, and one for each sync whose file has a `schedule`."""
    made = [schedule(setup, "nightly", NIGHTLY)]
    for sync in setup.project.syncs.values():
        if sync.schedule:
            made.append(schedule(setup, deliver(sync), sync.schedule))
    return made


def schedule(setup: Setup, job: str, cron: str) -> dg.ScheduleDefinition:
    status = dg.DefaultScheduleStatus.RUNNING if setup.on else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=f"{job}_schedule",
        job_name=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=status,
    )
