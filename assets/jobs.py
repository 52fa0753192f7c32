"""What a person or a clock starts: the night's work, the base alone, one sync, one new order."""

from collections.abc import Collection, Iterable
from typing import Any, TypeAlias

import dagster as dg

from assets import keys
from assets.backfill import backfill_job
from assets.live.follow import follow_job
from assets.live.launcher import LANE
from assets.resources import Setup
from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.config import Project
from octo_dagster.scenarios.enrolment import TABLE as ENROLMENTS
from octo_dagster.scenarios.followed import scenario_state, scenario_uplift
from octo_dagster.scoring.profile import TABLE as PROFILE_TABLE
from octo_dagster.sync import Sync

Job: TypeAlias = Any
"""What `define_asset_job` returns; Dagster keeps the class to itself."""

HERE = dg.in_process_executor
"""Every step in the run's own process: a process a step costs 4 s of imports, more than most steps."""
SIDE_BY_SIDE = dg.multiprocess_executor.configured(
    {"max_concurrent": 4, "start_method": {"forkserver": {"preload_modules": ["octo_dagster.definitions"]}}}
)
"""For the night, when several tools are written to and each is slow: a process a step, four at a time."""


def jobs(setup: Setup) -> list[Job]:
    """`nightly`, `refresh_base`, `follow_orders` where there are orders, `backfill` where there are scores,
    `deliver_<sync>` for every sync."""
    project = setup.project
    made = [
        job("nightly", "everything", night(project), SIDE_BY_SIDE),
        job("refresh_base", "every table, score and the profile; nothing is sent", base(project), HERE),
    ]
    if ORDERS & project.fed:
        made.append(follow_job(setup, touched(project)))
    if project.scores:
        made.append(backfill_job(setup))
    made += [
        job(rescore(name), f"{name} at its own hours, and the profile that joins it", rescored(name), HERE)
        for name in project.hours
    ]
    return made + [
        job(deliver(sync), f"plan and deliver {sync.name}", pair(sync), HERE)
        for sync in project.syncs.values()
    ]


def job(name: str, what: str, selection: Iterable[dg.AssetKey], executor: dg.ExecutorDefinition) -> Job:
    return dg.define_asset_job(
        name,
        dg.AssetSelection.assets(*selection),
        description=what[0].upper() + what[1:] + ".",
        tags={LANE: "night" if name == "nightly" else "hand"},
        executor_def=executor,
    )


def rescore(score: str) -> str:
    """The name of the job of a score that has hours of its own."""
    return f"score_{score}"


def rescored(score: str) -> list[dg.AssetKey]:
    return [keys.table(score), keys.PROFILE]


def deliver(sync: Sync) -> str:
    """The name of a sync's job."""
    return f"deliver_{sync.name}"


def pair(sync: Sync) -> list[dg.AssetKey]:
    return [keys.plan(sync), keys.delivery(sync)]


def base(project: Project) -> list[dg.AssetKey]:
    """Every table, every score, the scenarios, the profile, and who is in the audiences."""
    raws = [keys.raw(intake, table) for intake in project.intakes.values() for table in intake.tables]
    tables = [*sorted(project.fed), *project.scores, *followed(project), PROFILE_TABLE, *tracked(project)]
    return [*raws, *(keys.table(name) for name in tables)]


def followed(project: Project) -> tuple[str, ...]:
    """The tables of the scenarios, if there are any."""
    return (ENROLMENTS, scenario_state.name, scenario_uplift.name) if project.scenarios else ()


def tracked(project: Project) -> tuple[str, ...]:
    """The table of who is in the audiences, if there are any; what the read API answers from, if served."""
    return ((MEMBERS,) if project.audiences else ()) + ((keys.SERVED,) if project.settings.serve else ())


def unscheduled(project: Project) -> list[Sync]:
    """The syncs that have no hours of their own."""
    return [sync for sync in project.syncs.values() if sync.schedule is None]


def night(project: Project) -> list[dg.AssetKey]:
    """Everything, except that a sync or a score with hours of its own is left to them."""
    own = {keys.table(name) for name in project.hours}
    every = base(project) + [key for sync in unscheduled(project) for key in pair(sync)]
    return [key for key in every if key not in own]


ORDERS = {"orders", "order_lines"}
"""The tables a new order writes to."""


def moved(project: Project, tables: Collection[str]) -> set[str]:
    """The scores of the profile that read these tables, and those they are worked out through.

    What learns from the whole base (`frame_score`) is left to the night, as are histories and matrices that
    no customer's column comes from: seconds against minutes."""
    moving: set[str] = set()
    for score in project.scores.values():  # each after those it reads
        if not score.by_frames and {*score.reads, *score.optional} & {*tables, *moving}:
            moving.add(score.name)
    wanted: set[str] = set()
    for score in reversed(list(project.scores.values())):
        if score.on_profile or score.name in wanted:
            wanted |= {score.name, *score.reads}
    return moving & wanted


def touched(project: Project) -> list[Sync]:
    """The syncs an order can change something for: those that read the profile, or a table on the way to it,
    and have no hours of their own."""
    tables = ORDERS & project.fed
    written = {*tables, *moved(project, tables), *followed(project), *tracked(project), PROFILE_TABLE}
    return [sync for sync in unscheduled(project) if sync.reads in written]
