"""A project as Dagster sees it: every file of it an asset, a check, a job, a schedule or a sensor."""

import dagster as dg

from assets.customers import audience_specs, customer_assets
from assets.deliveries import delivery_asset, vendor_specs
from assets.freshness import fresh
from assets.jobs import HERE, jobs
from assets.plans import plan_asset
from assets.resources import Day, Setup
from assets.schedules import schedules
from assets.sensors import sensors
from assets.tables import table_assets
from assets.watch import watchers


def definitions(setup: Setup) -> dg.Definitions:
    """Everything, from the project's files alone: no secret is read, no table opened, no network used.

    ConfigError holds the mistakes of the project's files."""
    syncs = list(setup.project.syncs.values())
    assets: list[dg.AssetsDefinition | dg.AssetSpec] = [
        *table_assets(setup),
        *customer_assets(setup),
        *audience_specs(setup),
        *(plan_asset(setup, sync) for sync in syncs),
        *(delivery_asset(setup, sync) for sync in syncs),
        *vendor_specs(setup),
    ]
    return dg.Definitions(
        assets=fresh(setup, assets),
        jobs=jobs(setup),
        schedules=schedules(setup),
        sensors=[*sensors(setup), *watchers(setup)],
        resources={"day": Day(as_of=setup.as_of)},
        executor=HERE,
    )
