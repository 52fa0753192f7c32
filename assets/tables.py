"""The shop's rows as they came (`raw_shop_orders`), and as ours (`orders`): one asset a table."""

import dagster as dg

from assets import keys, lineage, told
from assets.resources import Setup, Yields
from octo_dagster.canonical.conform import Conformed, retire
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import Intake
from octo_dagster.errors import OctoError, SourceError
from octo_dagster.refresh import judged_in, pulled_in, tables

AGAIN = dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL)
"""For a database that is restarting."""


def table_assets(setup: Setup) -> list[dg.AssetsDefinition]:
    """One asset for each table of each source, one for each canonical table that some source feeds."""
    raws = [raw(setup, i, table) for i in setup.project.intakes.values() for table in i.tables]
    return raws + [canonical(setup, name) for name in tables(setup.project)]


def raw(setup: Setup, intake: Intake, table: str) -> dg.AssetsDefinition:
    """Pulls what is new since the last pull; how far that got is kept with the rows themselves."""
    fed = intake.tables[table]
    origin = f"`{fed.from_}`" if fed.from_ else "a query"
    how = f"what is new by `{fed.cursor}`" if fed.cursor else "everything, each time"

    @dg.asset(
        key=keys.raw(intake, table),
        group_name=keys.SOURCES,
        kinds={intake.source.type, "deltalake"},
        description=f"Rows of {origin} as they came, {how}. {intake.description}",
        metadata={"dagster/column_schema": lineage.raw_schema(fed), "dagster/table_name": intake.raw(table)},
        pool=keys.table_pool(intake.raw(table)),
        retry_policy=AGAIN,
    )
    def pulled(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        warehouse = setup.project.warehouse
        try:
            done = pulled_in(setup.project, intake, table, setup.clock(), context.run.run_id)
        except SourceError as error:  # cannot be reached, or broke off: worth another try
            raise dg.Failure(f"SourceError: {told.discreet(str(error))}") from None
        except OctoError as error:
            raise told.stopped(error) from None
        held = warehouse.table(done.table).count() if done.version is not None else 0
        return dg.MaterializeResult(
            metadata={
                "dagster/row_count": held,
                "new_rows": done.rows,
                "found_deleted": done.deleted,
                "warehouse_version": -1 if done.version is None else done.version,
            }
        )

    return pulled


def canonical(setup: Setup, name: str) -> dg.AssetsDefinition:
    """Judges every raw row anew by the table's contract; what is refused is kept with its reason."""
    contract, key = CONTRACTS[name], keys.table(name)

    @dg.asset(
        key=key,
        deps=keys.needs(setup.project, name),
        group_name=keys.BASE,
        kinds={"duckdb", "deltalake"},
        description=f"{contract.about}\n\n{contract.markdown()}",
        metadata={"dagster/column_schema": lineage.table_schema(name), "dagster/table_name": name},
        pool=keys.table_pool(name),
        check_specs=[
            dg.AssetCheckSpec(
                "rejected_rows",
                asset=key,
                description="No row of a source breaks the table's contract. Over the source's "
                "`max_rejected` the table keeps what it had and this asset fails.",
            )
        ],
    )
    def judged(context: dg.AssetExecutionContext) -> Yields:
        intakes = list(setup.project.intakes.values())
        for gone in retire(intakes, setup.project.warehouse):
            context.log.warning(f"{gone} is now empty: no source feeds it any more")
        try:
            done = judged_in(setup.project, name, setup.clock(), context.run.run_id)
        except SourceError as error:
            yield dg.AssetCheckResult(
                asset_key=key, check_name="rejected_rows", passed=False, description=told.discreet(str(error))
            )
            raise told.stopped(error) from None
        except OctoError as error:
            raise told.stopped(error) from None
        yield dg.MaterializeResult(
            metadata={
                **told.conformed(done),
                "dagster/column_lineage": lineage.of_table(setup.project, name),
            },
            check_results=[rejected(key, done)],
        )

    return judged


def rejected(key: dg.AssetKey, done: Conformed) -> dg.AssetCheckResult:
    """A warning as soon as one row was refused."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name="rejected_rows",
        passed=done.rejected == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{done.rejected:,} of {done.read:,} rows refused; see the table `rejected_rows`",
        metadata=told.present({"reasons": told.figures(done.reasons)}),
    )
