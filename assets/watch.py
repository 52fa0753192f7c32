"""`watch`: looks every minute at how everything stands, tells what changed, and writes the runs' log."""

import dagster as dg

from assets.jobs import jobs
from assets.resources import Setup
from octo_dagster.errors import Busy
from octo_dagster.ops import alerts, runlog
from octo_dagster.ops.rules import Fact

EVERY = 60
"""Seconds between two looks."""
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]


def watchers(setup: Setup) -> list[dg.SensorDefinition]:
    """One, in a project with anything to look at."""
    return [watch(setup)] if setup.project.intakes or setup.project.syncs else []


def watch(setup: Setup) -> dg.SensorDefinition:
    """Starts no run: its evaluation is the look."""
    names = [job.name for job in jobs(setup)]

    @dg.sensor(
        name="watch",
        minimum_interval_seconds=EVERY,
        default_status=dg.DefaultSensorStatus.RUNNING if setup.on else dg.DefaultSensorStatus.STOPPED,
        description="Alerts, told on change and on recovery; the log of runs in the warehouse.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        now = setup.clock().replace(tzinfo=None)
        seen = [fact for name in names for fact in ended(context.instance, name)]
        told = alerts.watch(setup.project, now, seen)
        try:
            runs, lines = runlog.write(setup.project)
        except Busy:
            runs, lines = 0, 0  # another process is writing it
        said = f"{told.changed} changed, {told.sent} told, {told.waiting} waiting; {runs} runs, {lines} lines"
        return dg.SkipReason("; ".join([said, *told.troubles]))

    return look


def ended(instance: dg.DagsterInstance, job: str) -> list[Fact]:
    """Whether the last run of a job that ended failed; nothing of one that never ran."""
    (*found,) = instance.get_run_records(dg.RunsFilter(job_name=job, statuses=ENDED), limit=1)
    return [
        Fact(
            "failed",
            f"job {job}",
            record.dagster_run.status is dg.DagsterRunStatus.FAILURE,
            f"Dagster's run {record.dagster_run.run_id} ended as {record.dagster_run.status.value.lower()}.",
            "Its page says at which step and why.",
        )
        for record in found
    ]
