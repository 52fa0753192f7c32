"""When things run by themselves: the night, and every sync and score that has hours of its own."""

import dagster as dg

from assets.jobs import deliver, rescore
from assets.resources import Setup


def schedules(setup: Setup) -> list[dg.ScheduleDefinition]:
    """`nightly`, one for each sync whose file has a `schedule`, one for each score whose file has."""
    project = setup.project
    own = {deliver(sync): sync.schedule for sync in project.syncs.values() if sync.schedule}
    own |= {rescore(name): line for name, line in project.hours.items()}
    return [schedule(setup, job, line) for job, line in {"nightly": project.settings.nightly, **own}.items()]


def schedule(setup: Setup, job: str, cron: str) -> dg.ScheduleDefinition:
    status = dg.DefaultScheduleStatus.RUNNING if setup.on else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name=f"{job}_schedule",
        job_name=job,
        cron_schedule=cron,
        execution_timezone=setup.project.settings.timezone,
        default_status=status,
    )
