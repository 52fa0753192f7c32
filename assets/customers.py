"""What is worked out of each customer: the scores, the profile that joins them, the audiences cut from it."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets import keys, lineage, told
from assets.resources import Day, Setup, Yields
from octo_dagster.errors import OctoError
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.scoring.pictures import RFM_PLANE, rfm_heatmap
from octo_dagster.scoring.profile import ProfileReport


def customer_assets(setup: Setup) -> list[dg.AssetsDefinition]:
    """One asset a score, and the profile."""
    return [*(score_asset(setup, score) for score in setup.project.scores.values()), profile_asset(setup)]


def audience_specs(setup: Setup) -> list[dg.AssetSpec]:
    """An audience is a rule read at delivery: nothing to run, but a place in the graph and a rule to read."""
    return [
        dg.AssetSpec(
            keys.audience(name),
            deps=[keys.PROFILE],
            group_name=keys.CUSTOMERS,
            kinds={"yaml"},
            description=f"{told_of.description}\n\n`{told_of.rule}`",
        )
        for name, told_of in setup.project.audiences.items()
    ]


def score_asset(setup: Setup, score: Score) -> dg.AssetsDefinition:
    """Works the score out for the day of the run."""
    key = keys.table(score.name)

    @dg.asset(
        key=key,
        deps=[keys.table(name) for name in score.reads],
        group_name=keys.SCORES,
        kinds={"python", "sql"},
        description=score.description,
        metadata={"dagster/column_schema": lineage.score_schema(score), "dagster/table_name": score.name},
        pool=keys.table_pool(score.name),
        check_specs=[
            dg.AssetCheckSpec(
                "one_row_per_customer",
                asset=key,
                description="Every row has a customer, and no customer has two.",
            )
        ],
    )
    def scored(context: dg.AssetExecutionContext, day: Day) -> Yields:
        project = setup.project
        try:
            chosen = project.score_settings(score)
            done = scoring.run(score, project.warehouse, day.day, chosen)
            yield dg.MaterializeResult(
                metadata={
                    **of_score(setup, score, done),
                    "dagster/column_lineage": lineage.of_score(score, chosen),
                },
                check_results=[one_row_each(setup, score.name)],
            )
        except OctoError as error:
            raise told.stopped(error) from None

    return scored


def of_score(setup: Setup, score: Score, done: scoring.Report) -> told.Told:
    """A score's classes and settings; for RFM, its picture."""
    shown = {"heat_map": heat_map(setup, done)} if score.name == "rfm" else {}
    return told.present(
        {
            **shown,
            "as_of": done.as_of.isoformat(),
            "dagster/row_count": done.rows,
            **told.classes(score, done.classes),
            "settings": told.settings(done.settings),
            "warehouse_version": done.version,
        }
    )


def heat_map(setup: Setup, done: scoring.Report) -> Any:
    """The plane of recency against frequency × monetary: the picture people know the score by."""
    rows = select(setup, RFM_PLANE)
    return told.picture(rfm_heatmap(rows, int(done.settings["bins"])), "RFM") if rows else None


def select(setup: Setup, query: str) -> list[Mapping[str, Any]]:
    with setup.project.warehouse.connect() as connection:
        rows: list[Mapping[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def one_row_each(setup: Setup, table: str) -> dg.AssetCheckResult:
    """Counted in the table as it was written."""
    counts = f'count(*) as "rows", count(distinct customer_id) as customers from "{table}"'
    found = select(setup, f"select {counts}")[0]
    return dg.AssetCheckResult(
        check_name="one_row_per_customer",
        asset_key=keys.table(table),
        passed=found["rows"] == found["customers"],
        metadata={"rows": found["rows"], "customers": found["customers"]},
    )


def profile_asset(setup: Setup) -> dg.AssetsDefinition:
    """Joins customers, what their orders add up to, and every score."""
    reads = ["customers", "orders", *(score.name for score in setup.project.scores.values())]

    @dg.asset(
        key=keys.PROFILE,
        deps=[keys.table(name) for name in reads],
        group_name=keys.CUSTOMERS,
        kinds={"duckdb", "deltalake"},
        description="Everything known of each customer in one row, for audiences, syncs and pages.",
        metadata={"dagster/table_name": profile.TABLE},
        pool=keys.table_pool(profile.TABLE),
        check_specs=[
            dg.AssetCheckSpec(
                "row_count", asset=keys.PROFILE, description="One row for each customer, no fewer."
            )
        ],
    )
    def joined(context: dg.AssetExecutionContext, day: Day) -> Yields:
        project = setup.project
        try:
            made = profile.build(project.warehouse, list(project.scores.values()), day.day)
        except OctoError as error:
            raise told.stopped(error) from None
        yield dg.MaterializeResult(
            metadata={**of_profile(setup, made), "dagster/column_lineage": lineage.of_profile(made)},
            check_results=[whole(setup, made)],
        )

    return joined


def of_profile(setup: Setup, made: ProfileReport) -> told.Told:
    schema = setup.project.warehouse.schema(profile.TABLE)
    return {
        "as_of": made.as_of.isoformat(),
        "dagster/row_count": made.rows,
        "dagster/column_schema": lineage.profile_schema(setup.project, schema),
        "buyers": made.buyers,
        "customers_of_orders_nobody_knows": made.strangers,
        "warehouse_version": made.version,
    }


def whole(setup: Setup, made: ProfileReport) -> dg.AssetCheckResult:
    """Held against the very version of `customers` that was joined."""
    customers = setup.project.warehouse.table("customers", made.reads["customers"]).count()
    return dg.AssetCheckResult(
        check_name="row_count",
        asset_key=keys.PROFILE,
        passed=made.rows == customers,
        metadata={"rows": made.rows, "customers": customers},
    )
