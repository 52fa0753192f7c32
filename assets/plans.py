"""`<sync>_plan`: what must change for a tool to hold what a sync promises. Nothing is sent here."""

from collections import Counter
from collections.abc import Mapping

import dagster as dg

from assets import keys, lineage, told
from assets.launch import PlanConfig
from assets.resources import Setup, Yields
from octo_dagster.delivery import guard
from octo_dagster.delivery.plan import Plan
from octo_dagster.errors import OctoError
from octo_dagster.run import prepare
from octo_dagster.sync import Sync

GUARDS = "guards"


def plan_asset(setup: Setup, sync: Sync) -> dg.AssetsDefinition:
    """Settles what the last run never heard back about, then compares the table with the ledger."""
    key = keys.plan(sync)

    @dg.asset(
        key=key,
        deps=reads(setup, sync),
        group_name=keys.SYNCS,
        kinds={sync.destination.type, "duckdb"},
        owners=list(sync.owners),
        tags={"sync": sync.name, "mode": str(sync.mode)},
        description=f"What would change at {sync.destination.type}. {sync.description}",
        metadata={
            "dagster/column_schema": lineage.sync_schema(sync),
            "dagster/column_lineage": lineage.of_sync(sync),
        },
        pool=keys.account_pool(sync.destination),
        retry_policy=setup.again,  # settling speaks to the tool
        check_specs=[
            dg.AssetCheckSpec(
                GUARDS,
                asset=key,
                blocking=True,
                description=f"No more changes than a person expects: {expectations(sync)}. "
                "The delivery asks the same again, however it is started.",
            )
        ],
    )
    def planned(context: dg.AssetExecutionContext, config: PlanConfig) -> Yields:
        try:
            drawn = prepare(sync, setup.project, config.options(), setup.around)
        except OctoError as error:
            raise told.stopped(error) from None
        yield dg.MaterializeResult(metadata=of_plan(setup, sync, drawn), check_results=[guards(sync, drawn)])

    return planned


def reads(setup: Setup, sync: Sync) -> list[dg.AssetKey]:
    """The table a sync reads, and its audience."""
    table = keys.table(sync.reads)
    return [table, keys.audience(sync.audience)] if sync.audience else [table]


def expectations(sync: Sync) -> str:
    most = sync.guards
    said = {"removed": most.max_removed, "changed": most.max_changed, "invalid": most.max_invalid}
    return ", ".join(f"at most {guard.told(share)} {what}" for what, share in said.items())


def of_plan(setup: Setup, sync: Sync, drawn: Plan) -> told.Told:
    """Figures, a look at the changes, how to deliver; the fields with the types they will have."""
    lines = setup.project.plans.lines(sync, drawn.id)
    return {
        **told.plan(drawn, lines, guard.trips(drawn, sync.guards), invalid(setup, drawn)),
        "dagster/row_count": drawn.changes,
        "dagster/column_schema": lineage.sync_schema(sync, drawn),
        "dagster/column_lineage": lineage.of_sync(sync),
    }


def invalid(setup: Setup, drawn: Plan) -> Mapping[str, int]:
    """Reason → rows Octo will not send, most frequent first."""
    if not drawn.counts.invalid:
        return {}
    rows = setup.project.plans.invalid(drawn.sync, drawn.id)
    return dict(Counter(told.discreet(row.reason) for row in rows).most_common(20))


def guards(sync: Sync, drawn: Plan) -> dg.AssetCheckResult:
    """The guards' own words on a plan."""
    trips = guard.trips(drawn, sync.guards)
    return dg.AssetCheckResult(
        check_name=GUARDS,
        asset_key=keys.plan(sync),
        passed=not trips,
        description="; ".join(trips) or "as usual",
        metadata={"plan": drawn.id},
    )
