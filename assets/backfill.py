"""`backfill`: a score's past days, asked for in the launchpad. Started again, it goes on where it was."""

from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from assets import keys, told
from assets.live.launcher import LANE
from assets.resources import Setup
from octo_dagster.errors import OctoError
from octo_dagster.ops.backfill import Every, Past, Wish, backfill, table_name, work


class Asked(dg.Config):
    """What the launchpad asks."""

    scores: list[str] = Field(default=[], description="By name; none: every score with one row a customer.")
    since: str = Field(default="", description="YYYY-MM-DD, the first day. Empty: that of the first order.")
    until: str = Field(default="", description="YYYY-MM-DD, the last day. Empty: yesterday.")
    every: Every = Field(
        default=Every.MONTH, description="The last day of each MONTH, of each WEEK, or every DAY."
    )
    again: bool = Field(
        default=False, description="Days that are done, too: orders came late, or were mended."
    )


def backfill_job(setup: Setup) -> dg.JobDefinition:
    """One step, for its days are commits of their own: what a run that failed has done stays done."""

    @dg.op(
        name="past", description="Work the past days out into <score>_past; tables of today stay as they are."
    )
    def past(context: dg.OpExecutionContext, config: Asked) -> None:
        try:
            found = work(setup.project, wish(config), setup.clock().date())
            made = backfill(setup.project, found, lambda one: tell(context, one))
        except ValueError as wrong:
            raise dg.Failure(f"since, until: {wrong}", allow_retries=False) from None
        except OctoError as error:
            raise told.stopped(error) from None
        context.log.info(f"{len(made):,} days of a score done now, {found.skipped:,} before")
        for score in dict.fromkeys(one.score for one in made):
            context.log_event(materialised(score, [one for one in made if one.score == score]))

    @dg.job(
        name="backfill",
        description="The past days of the scores, into <score>_past. Days that are done are not done again.",
        tags={LANE: "hand"},
        executor_def=dg.in_process_executor,
    )
    def filled() -> None:
        past()

    return filled


def wish(config: Asked) -> Wish:
    """What was asked. ValueError for a day that is none."""
    since, until = (date.fromisoformat(said) if said else None for said in (config.since, config.until))
    return Wish(tuple(config.scores), since, until, config.every, config.again)


def tell(context: dg.OpExecutionContext, one: Past) -> None:
    context.log.info(f"{one.table} {one.as_of}: {one.rows:,} rows in {one.seconds:,.1f} s")


def materialised(score: str, days: list[Past]) -> dg.AssetMaterialization:
    """The table of the score's past, as Dagster's catalogue shows it."""
    metadata: dict[str, Any] = {
        "days": told.table({"as_of": one.as_of, "rows": one.rows, "seconds": one.seconds} for one in days),
        "dagster/row_count": sum(one.rows for one in days),
    }
    return dg.AssetMaterialization(keys.table(table_name(score)), metadata=told.present(metadata))
