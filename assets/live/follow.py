"""The job `follow_orders`: what an order touches, worked out and sent, in one process.

It works on a customer here and there where an asset makes a whole table, so it is a job of steps and
not of assets: one that follows the orders to the profile, then one a sync. What they did is told as
materialisations and checks of the very assets the night makes, so that the graph shows it. No step here
waits and tries again: the sensor asks for what is owed (`sensors.py`), and the lane is free meanwhile.
"""

from collections.abc import Iterator

import dagster as dg
from dagster._core.storage.tags import PRIORITY_TAG
from pydantic import Field

from assets import deliveries, keys, told
from assets.live.launcher import LANE
from assets.plans import guards, of_plan
from assets.resources import Day, Setup
from octo_dagster.errors import OctoError
from octo_dagster.live.follow import Followed, tidy
from octo_dagster.live.logged import follow_logged
from octo_dagster.live.send import in_a_hurry, send
from octo_dagster.run import Report, carry_out, prepare, surroundings
from octo_dagster.sync import Sync

FOLLOW = "follow_orders"
OWED = "octo/owed"
"""The tag of a run that comes after one that failed: it compares every customer with what the tools hold,
so that nobody has to remember who was not reached."""
WRITES = ("customers", "orders", "order_lines")
"""The tables an order writes to."""


class Orders(dg.Config):
    """Whose orders to follow."""

    sources: list[str] = Field(default=[], description="Names of sources; none means all.")


def follow_job(setup: Setup, syncs: list[Sync]) -> dg.JobDefinition:
    """Follows the orders, then sends to each sync's tool; one that fails holds up no other."""
    first = follow_op(setup)
    sends = [send_op(setup, sync) for sync in syncs]
    last = note_op(setup)

    @dg.job(
        name=FOLLOW,
        description="What a new order touches, down to the tools.",
        tags={LANE: "live"},
        executor_def=dg.in_process_executor,
        resource_defs={"day": Day(as_of=setup.as_of), "io_manager": dg.mem_io_manager},
    )
    def followed() -> None:
        found = first()
        for each in sends:
            each(found)
        last(found)

    return followed


def follow_op(setup: Setup) -> dg.OpDefinition:
    """Pulls, judges and scores what the orders touch."""

    @dg.op(
        name="follow", out=dg.Out(Followed), description="Pull what is new, judge it, score whom it touches."
    )
    def followed(context: dg.OpExecutionContext, config: Orders, day: Day) -> Followed:
        try:
            done = follow_logged(
                setup.project,
                setup.clock().replace(tzinfo=None),
                context.run.run_id,
                config.sources or None,
                day.day,
            )
        except OctoError as error:
            raise told.stopped(error) from None
        context.add_output_metadata(told.present(followed_in_words(done)))
        return done

    return followed


def note_op(setup: Setup) -> dg.OpDefinition:
    """Tells Dagster which tables were added to, and merges their parts: an event takes a hundredth of a
    second, a merge a tenth, and no tool has to wait for twenty of them."""

    @dg.op(
        name="note",
        out=dg.Out(dg.Nothing),
        tags={PRIORITY_TAG: "-1"},
        description="Tell which tables were added to, once the tools have been told.",
    )
    def noted(context: dg.OpExecutionContext, followed: Followed) -> None:
        for event in materialised(setup, followed):
            context.log_event(event)
        tidy(setup.project, followed)

    return noted


def followed_in_words(done: Followed) -> told.Told:
    """How many customers, never which; and where the time went."""
    return {
        "as_of": done.as_of.isoformat(),
        "customers": len(done.customers),
        "rejected": done.rejected,
        "seconds": told.table({"step": step, "seconds": took} for step, took in done.seconds.items()),
        "left_to_the_night": told.table({"score": name, "why": why} for name, why in done.left.items()),
    }


def materialised(setup: Setup, done: Followed) -> Iterator[dg.AssetMaterialization]:
    """Every table that was added to."""
    for one in done.pulled:
        if one.rows or one.deleted:
            said: told.Told = {"lane": "live", "new_rows": one.rows, "found_deleted": one.deleted}
            yield dg.AssetMaterialization(keys.table(one.table), metadata=said)
    if done.version is None:
        return
    fed = [table for table in WRITES if table in setup.project.fed]
    for name in (*fed, *done.scored):
        yield dg.AssetMaterialization(keys.table(name), metadata={"lane": "live"})
    said = {"lane": "live", "customers": len(done.customers), "warehouse_version": done.version}
    yield dg.AssetMaterialization(keys.PROFILE, metadata=said)


def send_op(setup: Setup, sync: Sync) -> dg.OpDefinition:
    """Sends to one tool; green only if all is well, as the night's delivery."""

    @dg.op(
        name=f"send_{sync.name}",
        out=dg.Out(dg.Nothing),
        pool=keys.account_pool(sync.destination),
        description=f"Send what changed of the customers touched to {sync.destination.type}.",
    )
    def sent(context: dg.OpExecutionContext, followed: Followed) -> None:
        try:
            report = sending(setup, sync, followed, whole=OWED in context.run.tags)
        except OctoError as error:
            raise told.stopped(error) from None
        if report is None:
            context.log.info(f"{sync.name}: nobody to send")
        else:
            tell(context, setup, sync, report)

    return sent


def sending(setup: Setup, sync: Sync, followed: Followed, *, whole: bool) -> Report | None:
    """Whom this run touched; or `whole`, whoever differs from what the tool holds, of all customers."""
    if not whole:
        return send(setup.project, sync, followed, setup.around)
    around = in_a_hurry(setup.around or surroundings(setup.project))
    plan = prepare(sync, setup.project, around=around)
    return carry_out(plan, sync, setup.project, around=around)


def tell(context: dg.OpExecutionContext, setup: Setup, sync: Sync, report: Report) -> None:
    """The plan and the delivery as their assets tell them; Failure unless all is well."""
    plan = setup.project.plans.load(sync.name, report.plan)
    context.log_event(dg.AssetMaterialization(keys.plan(sync), metadata=of_plan(setup, sync, plan)))
    for check in (guards(sync, plan), *deliveries.checks(setup, sync, report)):
        context.log_event(evaluation(check))  # type: ignore[arg-type] # it takes one, says its code
    metadata = deliveries.of_delivery(setup, sync, plan, report)
    deliveries.fail_if_bad(sync, plan, report, metadata)
    context.log_event(dg.AssetMaterialization(keys.delivery(sync), metadata=metadata))


def evaluation(check: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """A check's result, as it is told from outside its asset."""
    if check.asset_key is None or check.check_name is None:
        raise dg.DagsterInvariantViolationError("a check is of an asset and has a name")
    return dg.AssetCheckEvaluation(
        asset_key=check.asset_key,
        check_name=check.check_name,
        passed=check.passed,
        metadata=check.metadata,
        severity=check.severity,
        description=check.description,
    )
