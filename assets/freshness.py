"""How old a table or a delivery may be before Dagster calls it stale."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

import dagster as dg

from assets import keys
from assets.resources import Setup
from octo_dagster.hours import patience

Asset: TypeAlias = dg.AssetsDefinition | dg.AssetSpec


def fresh(setup: Setup, assets: Iterable[Asset]) -> Sequence[Asset]:
    """The same, each table and delivery with the time within which it is expected anew: what its file
    says, else the longest time between two runs of its hours."""
    windows = expected(setup)
    return list(
        dg.map_asset_specs(
            lambda spec: with_window(spec, windows[spec.key]) if spec.key in windows else spec, assets
        )
    )


def with_window(spec: dg.AssetSpec, window: timedelta) -> dg.AssetSpec:
    return spec.replace_attributes(freshness_policy=dg.FreshnessPolicy.time_window(fail_window=window))


def expected(setup: Setup) -> dict[dg.AssetKey, timedelta]:
    """Asset → within which time it is made anew."""
    project, now = setup.project, setup.clock().replace(tzinfo=None)
    nightly, own = window(setup, project.settings.nightly, now), project.windows
    found = {keys.table(name): nightly for name in (*project.fed, *project.scores)}
    found |= {keys.PROFILE: nightly}
    found |= {keys.table(name): window(setup, line, now) for name, line in project.hours.items()}
    for name, intake in project.intakes.items():
        if within := own.get(f"source {name}"):
            found |= {keys.raw(intake, table): within for table in intake.tables}
    for table in project.fed:  # of several sources, as the most impatient says
        feeding = [name for name, intake in project.intakes.items() if table in intake.tables]
        found[keys.table(table)] = min(own.get(f"source {name}", nightly) for name in feeding)
    found |= {keys.table(name): own[f"score {name}"] for name in project.scores if f"score {name}" in own}
    for name, sync in project.syncs.items():
        usual = window(setup, sync.schedule, now) if sync.schedule else nightly
        found[keys.delivery(sync)] = own.get(f"sync {name}", usual)
    return found


def window(setup: Setup, cron: str, now: datetime) -> timedelta:
    return patience(cron, setup.project.settings.timezone, now)
