"""`<sync>_delivery`: a plan carried out, guarded however it is started; green only if all is well."""

from collections.abc import Iterator, Mapping

import dagster as dg
import sqlalchemy as sa

from assets import keys, lineage, told
from assets.launch import DeliveryConfig
from assets.plans import of_plan
from assets.resources import Setup, Yields
from octo_dagster.delivery import guard
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.delivery.plan import ORDINARY, Options, Plan
from octo_dagster.errors import OctoError, PlanStale
from octo_dagster.run import Report, carry_out, prepare
from octo_dagster.sync import Sync


def delivery_asset(setup: Setup, sync: Sync) -> dg.AssetsDefinition:
    """Delivers the plan drawn last if it still holds, else draws one itself."""
    key = keys.delivery(sync)

    @dg.multi_asset(
        name=key.path[0],
        specs=[delivery_spec(setup, sync)],
        check_specs=check_specs(sync),
        can_subset=True,  # so that a dry run may leave the asset as it was
        pool=keys.account_pool(sync.destination),
        retry_policy=setup.again,
    )
    def delivered(context: dg.AssetExecutionContext, config: DeliveryConfig) -> Yields:
        if key not in context.selected_asset_keys:
            raise dg.Failure("these checks tell of a delivery: materialise it", allow_retries=False)
        try:
            plan = chosen(setup, sync, context, config)
            if config.dry_run:
                yield dg.AssetObservation(key, description="dry run", metadata=of_plan(setup, sync, plan))
                return
            report = carry_out(plan, sync, setup.project, config.allow, setup.around)
        except PlanStale as error:  # moved in between; only a plan a person named must not be another
            raise told.stopped(error, again=config.plan is None) from None
        except OctoError as error:
            raise told.stopped(error) from None
        yield from checks(setup, sync, report)
        metadata = of_delivery(setup, sync, plan, report)
        fail_if_bad(sync, plan, report, metadata)
        yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return delivered


def delivery_spec(setup: Setup, sync: Sync) -> dg.AssetSpec:
    return dg.AssetSpec(
        keys.delivery(sync),
        deps=[keys.plan(sync)],
        skippable=True,
        group_name=keys.SYNCS,
        kinds={sync.destination.type},
        owners=list(sync.owners),
        tags={"sync": sync.name, "mode": str(sync.mode)},
        description=f"The plan carried out at {sync.destination.type}: state moves on receipts only, "
        f"what is refused goes again next run. {sync.description}",
        metadata={
            "dagster/column_schema": lineage.sync_schema(sync),
            "dagster/column_lineage": lineage.passed_on(keys.plan(sync), fields(sync)),
        },
    )


def vendor_specs(setup: Setup) -> list[dg.AssetSpec]:
    """What each tool holds: fed by deliveries, seen by people, run by nobody here."""
    fed: dict[dg.AssetKey, list[Sync]] = {}
    for sync in setup.project.syncs.values():
        fed.setdefault(keys.vendor(sync), []).append(sync)
    return [vendor_spec(key, syncs) for key, syncs in fed.items()]


def vendor_spec(key: dg.AssetKey, syncs: list[Sync]) -> dg.AssetSpec:
    columns = {
        name: [dg.TableColumnDep(keys.delivery(sync), name) for sync in syncs if name in fields(sync)]
        for name in dict.fromkeys(name for sync in syncs for name in fields(sync))
    }
    return dg.AssetSpec(
        key,
        deps=[keys.delivery(sync) for sync in syncs],
        group_name=keys.TOOLS,
        kinds={syncs[0].destination.type},
        description=f"Records at {syncs[0].destination.type}, where people work with them. "
        f"Octo keeps {', '.join(columns)}; every other field is other people's.",
        metadata={"dagster/column_lineage": dg.TableColumnLineage(columns)},
    )


def fields(sync: Sync) -> list[str]:
    return [sync.key.to, *(mapping.to for mapping in sync.fields)]


def check_specs(sync: Sync) -> list[dg.AssetCheckSpec]:
    said = {
        "rejected": "The tool refused no row. Over `guards.max_rejected` the delivery fails.",
        "unsettled": "Nothing was sent that has not been heard of.",
        "verified": "A sample read back is as the ledger says. Silent when nothing was sent.",
    }
    key = keys.delivery(sync)
    return [dg.AssetCheckSpec(name, asset=key, description=what) for name, what in said.items()]


def chosen(setup: Setup, sync: Sync, context: dg.AssetExecutionContext, config: DeliveryConfig) -> Plan:
    """The plan named; else the one drawn last, if the world has not moved; else a new one.

    A plan of this very run that became stale is drawn again with the same options."""
    project = setup.project
    if config.plan:
        return project.plans.load(sync.name, config.plan)
    drawn, same_run = last_drawn(setup, sync, context)
    if drawn is None:
        return prepare(sync, project, ORDINARY, setup.around)
    try:
        guard.check_fresh(drawn, sync, project.ledger, project.warehouse)
        guard.check_audience(drawn, project.where(sync))
    except PlanStale:
        return prepare(sync, project, drawn.options if same_run else ORDINARY, setup.around)
    return drawn


def last_drawn(setup: Setup, sync: Sync, context: dg.AssetExecutionContext) -> tuple[Plan | None, bool]:
    """The plan this run drew, else the newest there is, if it is still kept; and whether it is this run's.

    Another run, or a person trying something out, may have drawn one since this run did."""
    found = context.instance.fetch_materializations(keys.plan(sync), limit=20).records
    mine = next((record for record in found if record.run_id == context.run.run_id), None)
    newest = mine or next(iter(found), None)
    event = newest.asset_materialization if newest else None
    if event is None:
        return None, False
    try:
        return setup.project.plans.load(sync.name, str(event.metadata["plan"].value)), mine is not None
    except PlanStale:
        return None, False


def checks(setup: Setup, sync: Sync, report: Report) -> Iterator[dg.AssetCheckResult]:
    """What the delivery's checks say; nothing of reading back when nothing was read."""
    open_batches = len(setup.project.ledger.unsettled(sync.name))
    severe = dg.AssetCheckSeverity.ERROR if report.over(sync) else dg.AssetCheckSeverity.WARN
    yield checked(sync, "rejected", {"rejected": report.tally.rejected, "of": report.planned}, severe)
    yield checked(sync, "unsettled", {"unsettled_batches": open_batches, "waiting": report.tally.waiting})
    if report.verified:
        drifts = len(report.verified.drifts)
        yield checked(sync, "verified", {"different": drifts, "compared": report.verified.compared})


def checked(
    sync: Sync,
    name: str,
    counts: Mapping[str, int],
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR,
) -> dg.AssetCheckResult:
    """Passed when the first of the counts is nought."""
    return dg.AssetCheckResult(
        check_name=name,
        asset_key=keys.delivery(sync),
        passed=next(iter(counts.values())) == 0,
        severity=severity,
        metadata=counts,
    )


def of_delivery(setup: Setup, sync: Sync, plan: Plan, report: Report) -> told.Told:
    return {
        **told.delivery(report, reasons(setup, report)),
        "dagster/column_schema": lineage.sync_schema(sync, plan),
        "dagster/column_lineage": lineage.passed_on(keys.plan(sync), fields(sync)),
    }


def reasons(setup: Setup, report: Report) -> Mapping[str, int]:
    """Why rows were refused, by the vendor's code: its message may quote the customer."""
    if not report.tally.rejected:
        return {}
    mine = (CHANGELOG.c.sync == report.sync) & (CHANGELOG.c.run == report.run)
    query = (
        sa.select(CHANGELOG.c.reason, sa.func.count().label("rows"))
        .where(mine, CHANGELOG.c.outcome == "rejected")
        .group_by(CHANGELOG.c.reason)
    )
    found: dict[str, int] = {}
    for row in setup.project.ledger.read(query):
        code = told.discreet(str(row["reason"]).partition(":")[0])
        found[code] = found.get(code, 0) + int(row["rows"])
    return found


def fail_if_bad(sync: Sync, plan: Plan, report: Report, metadata: told.Told) -> None:
    """Failure unless every change was accepted, or refused within the guard.

    Tried again is what may go well then; not after a careful `limit`, which two tries would exceed."""
    over = report.over(sync)
    if report.exit_code not in (5, 6, 7) and not over:
        return
    why = report.error or {5: "some changes were not carried out", 6: "some changes are not settled"}.get(
        report.exit_code, f"{report.tally.rejected:,} of {report.planned:,} changes were rejected"
    )
    ordinary = plan.options == Options(full=plan.options.full)
    raise dg.Failure(
        told.discreet(why),
        metadata={"exit_code": report.exit_code, **metadata},
        allow_retries=report.exit_code in (5, 6) and ordinary,
    )
