"""What is worked out of each customer: the scores, the profile that joins them, the audiences cut from it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dagster as dg

from assets import keys, lineage, told
from assets.resources import Day, Setup, Yields
from octo_dagster.audiences import memberships
from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.errors import OctoError
from octo_dagster.pages.scores.addresses import page_of
from octo_dagster.refresh import follow, scored_in
from octo_dagster.scenarios import enrolment
from octo_dagster.scenarios.followed import scenario_state, scenario_uplift
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.scoring.pictures import draw as pictures
from octo_dagster.scoring.profile import ProfileReport

ONE_ROW = "one_row_per_key"


def customer_assets(setup: Setup) -> list[dg.AssetsDefinition]:
    """One asset a score, the scenarios, the profile, and who is in the audiences."""
    scores = [score_asset(setup, score) for score in setup.project.scores.values()]
    scenarios = [scenario_asset(setup)] if setup.project.scenarios else []
    members = [members_asset(setup)] if setup.project.audiences else []
    served = [serving_asset(setup)] if setup.project.settings.serve else []
    return [*scores, *scenarios, profile_asset(setup), *members, *served]


SERVED_OF = {"products", "recommendations", "related_products"}
"""What is told beside the profile and the audiences, where it is there."""


def serving_asset(setup: Setup) -> dg.AssetsDefinition:
    """What the read API answers from, put in its place in one piece."""
    project = setup.project
    there = SERVED_OF & (project.fed | project.scores.keys()) | ({MEMBERS} if project.audiences else set())

    @dg.asset(
        key=keys.table(keys.SERVED),
        deps=[keys.PROFILE, *(keys.table(name) for name in sorted(there))],
        group_name=keys.CUSTOMERS,
        kinds={"sqlite"},
        description="The copy of the profile, recommendations and audiences that `octo serve` answers from.",
        pool=keys.table_pool(keys.SERVED),
    )
    def published(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        try:
            return dg.MaterializeResult(metadata=told.present(setup.project.publish().as_dict()))
        except OctoError as error:
            raise told.stopped(error) from None

    return published


def members_asset(setup: Setup) -> dg.AssetsDefinition:
    """Who entered and left each audience, and when."""

    @dg.asset(
        key=keys.table(memberships.TABLE),
        deps=[keys.PROFILE],
        group_name=keys.CUSTOMERS,
        kinds={"duckdb", "deltalake"},
        description="Every stay of a customer in an audience: the day he entered, the day he left.",
        metadata={"dagster/table_name": memberships.TABLE},
        pool=keys.table_pool(memberships.TABLE),
    )
    def tracked(context: dg.AssetExecutionContext, day: Day) -> dg.MaterializeResult[None]:
        project = setup.project
        try:
            done = memberships.track(project.warehouse, project.conditions(), day.day)
        except OctoError as error:
            raise told.stopped(error) from None
        return dg.MaterializeResult(metadata=told.memberships(done))

    return tracked


def audience_specs(setup: Setup) -> list[dg.AssetSpec]:
    """An audience is a rule read at delivery: nothing to run, but a place in the graph and a rule to read."""
    return [
        dg.AssetSpec(
            keys.audience(name),
            deps=[keys.PROFILE],
            group_name=keys.CUSTOMERS,
            kinds={"yaml"},
            description=f"{told_of.description}\n\n`{told_of.said}`",
        )
        for name, told_of in setup.project.audiences.items()
    ]


def score_asset(setup: Setup, score: Score) -> dg.AssetsDefinition:
    """Works the score out for the day of the run."""
    key = keys.table(score.name)
    made = setup.project.fed | setup.project.scores.keys()

    @dg.asset(
        key=key,
        deps=[keys.table(name) for name in (*score.reads, *score.optional) if name in made],
        group_name=keys.SCORES,
        kinds={"python", "sql"},
        description=score.description,
        metadata={"dagster/column_schema": lineage.score_schema(score), "dagster/table_name": score.name},
        pool=keys.table_pool(score.name),
        check_specs=[
            dg.AssetCheckSpec(
                ONE_ROW,
                asset=key,
                description=f"Every row has {' and '.join(score.key)}, and no two rows the same.",
            )
        ],
    )
    def scored(context: dg.AssetExecutionContext, day: Day) -> Yields:
        project = setup.project
        try:
            done = scored_in(project, score, day.day, context.run.run_id, said(context, score))
            yield dg.MaterializeResult(
                metadata={
                    **of_score(setup, score, done),
                    "dagster/column_lineage": lineage.of_score(score, project.scores),
                },
                check_results=[one_row_each(setup, score)],
            )
        except OctoError as error:
            raise told.stopped(error) from None

    return scored


def said(context: dg.AssetExecutionContext, score: Score) -> Callable[[int, int], None]:
    """How far a long score has come, in the run's log."""
    return lambda done, total: context.log.info(f"{score.name}: {done:,} of {total:,}")


def of_score(setup: Setup, score: Score, done: scoring.Report) -> told.Told:
    """A score's picture, classes and settings."""
    return told.present(
        {
            "picture": picture(setup, score),
            "page": told.page(page_of(score.name)),
            "as_of": done.as_of.isoformat(),
            "dagster/row_count": done.rows,
            **told.classes(score, done.classes),
            "settings": told.settings(done.settings),
            "warehouse_version": done.version,
        }
    )


def picture(setup: Setup, score: Score) -> Any:
    """What people know the score by; nothing without rows to draw."""
    if score.picture is None:
        return None
    rows = select(setup, score.picture.query)
    return told.picture(pictures.draw(score, rows), score.picture.title) if rows else None


def select(setup: Setup, query: str) -> list[Mapping[str, Any]]:
    with setup.project.warehouse.connect() as connection:
        rows: list[Mapping[str, Any]] = connection.sql(query).to_arrow_table().to_pylist()
    return rows


def one_row_each(setup: Setup, score: Score) -> dg.AssetCheckResult:
    """Counted in the table as it was written."""
    key = ", ".join(f'"{name}"' for name in score.key)
    counts = f'count(*) as "rows", count(distinct ({key})) as keys from "{score.name}"'
    found = select(setup, f"select {counts}")[0]
    return dg.AssetCheckResult(
        check_name=ONE_ROW,
        asset_key=keys.table(score.name),
        passed=found["rows"] == found["keys"],
        metadata={"rows": found["rows"], "keys": found["keys"]},
    )


def joined_from(setup: Setup, scores: Iterable[Score]) -> list[str]:
    """The tables a customer's whole row is joined from."""
    return ["customers", "orders", *(score.name for score in scores if score.on_profile)]


def scenario_asset(setup: Setup) -> dg.AssetsDefinition:
    """Who is in which scenario, how far, and what the scenarios bring: three tables of one step."""
    reads = joined_from(setup, setup.project.scores.values())
    reads += [name for name in ("message_events",) if name in setup.project.fed]
    described = {
        enrolment.TABLE: "Every time a customer entered a scenario, and what became of it.",
        scenario_state.name: scenario_state.description,
        scenario_uplift.name: scenario_uplift.description,
    }
    specs = [
        dg.AssetSpec(
            keys.table(name),
            deps=[keys.table(read) for read in reads],
            group_name=keys.CUSTOMERS,
            kinds={"duckdb", "yaml"},
            description=text,
            metadata={"dagster/table_name": name},
        )
        for name, text in described.items()
    ]

    @dg.multi_asset(name="scenarios", specs=specs, pool=keys.table_pool(enrolment.TABLE))
    def followed(context: dg.AssetExecutionContext, day: Day) -> Yields:
        try:
            done = follow(setup.project, day.day)
        except OctoError as error:
            raise told.stopped(error) from None
        yield dg.MaterializeResult(
            asset_key=keys.table(enrolment.TABLE), metadata=told.scenarios(done) if done else {}
        )
        for score in (scenario_state, scenario_uplift):
            metadata = told.present({"picture": picture(setup, score), "as_of": day.day.isoformat()})
            yield dg.MaterializeResult(asset_key=keys.table(score.name), metadata=metadata)

    return followed


def profile_asset(setup: Setup) -> dg.AssetsDefinition:
    """Joins customers, what their orders add up to, and every score."""
    reads = joined_from(setup, setup.project.told_scores)

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
            made = profile.build(project.warehouse, project.told_scores, day.day)
        except OctoError as error:
            raise told.stopped(error) from None
        yield dg.MaterializeResult(
            metadata={**of_profile(setup, made), "dagster/column_lineage": lineage.of_profile(made)},
            check_results=[whole(setup, made)],
        )

    return joined


def of_profile(setup: Setup, made: ProfileReport) -> told.Told:
    schema = setup.project.warehouse.schema(profile.TABLE)
    return told.present(
        {
            "page": told.page("/customers"),
            "as_of": made.as_of.isoformat(),
            "dagster/row_count": made.rows,
            "dagster/column_schema": lineage.profile_schema(setup.project, schema),
            "buyers": made.buyers,
            "customers_of_orders_nobody_knows": made.strangers,
            "warehouse_version": made.version,
        }
    )


def whole(setup: Setup, made: ProfileReport) -> dg.AssetCheckResult:
    """Held against the very version of `customers` that was joined."""
    customers = setup.project.warehouse.count("customers", made.reads["customers"])
    return dg.AssetCheckResult(
        check_name="row_count",
        asset_key=keys.PROFILE,
        passed=made.rows == customers,
        metadata={"rows": made.rows, "customers": customers},
    )
