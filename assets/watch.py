"""`watch`: looks every minute at how everything stands, tells what changed, and writes the runs' log."""

import dagster as dg

from assets.jobs import jobs
from assets.live.follow import FOLLOW
from assets.resources import Setup
from assets.sensors import SOURCE
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
        seen = [fact for name in names for fact in ended(setup, context.instance, name)]
        told = alerts.watch(setup.project, now, seen)
        try:
            runs, lines = runlog.write(setup.project)
        except Busy:
            runs, lines = 0, 0  # another process is writing it
        said = f"{told.changed} changed, {told.sent} told, {told.waiting} waiting; {runs} runs, {lines} lines"
        return dg.SkipReason("; ".join([said, *told.troubles]))

    return look


def ended(setup: Setup, instance: dg.DagsterInstance, job: str) -> list[Fact]:
    """Whether the last run of a job that ended failed; nothing of one that never ran. Of the live lane, the
    last of any source: one shop's orders say nothing of how another's were followed."""
    last = [run for tags in asked_by(setup, job) for run in runs_of(instance, job, tags)]
    failed = [run for run in last if run.status is dg.DagsterRunStatus.FAILURE]
    told = (failed or last)[:1]
    key = "job_failed" if failed else "job_well"
    return [Fact("failed", f"job {job}", bool(failed), key, {"run": run.run_id}) for run in told]


def asked_by(setup: Setup, job: str) -> list[dict[str, str]]:
    """The tags by which a job's runs differ."""
    return [{SOURCE: name} for name in setup.project.intakes] if job == FOLLOW else [{}]


def runs_of(instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> list[dg.DagsterRun]:
    """The last run that ended, if one did."""
    wanted = dg.RunsFilter(job_name=job, statuses=ENDED, tags=tags)
    return [record.dagster_run for record in instance.get_run_records(wanted, limit=1)]
