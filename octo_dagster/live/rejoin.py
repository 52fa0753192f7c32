"""The touched customers' rows of the profile, and in which audiences that puts them."""

from __future__ import annotations

from collections.abc import Collection

import duckdb
import pyarrow as pa

from octo_dagster.audiences import memberships
from octo_dagster.config import Project
from octo_dagster.delta import GONE
from octo_dagster.errors import SourceError
from octo_dagster.live.rescore import keep
from octo_dagster.live.touched import Few, narrow, near, theirs_only
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.scoring.profile import profile_sql


def rejoin(
    project: Project, theirs: duckdb.DuckDBPyConnection, fresh: Collection[str], few: Few
) -> tuple[pa.Table, int]:
    """Join these customers' rows of the profile anew, and keep them; the rows, and the version made.

    `theirs`: the tables with these customers' rows, of scores those that are `fresh`. SourceError when the
    profile has other columns than it would get today: the night mends that. Busy when the night has just made
    it anew."""
    joined = [score for score in project.told_scores if score.on_profile]
    held = project.warehouse.schema(PROFILE).names
    for score in joined:
        if score.name not in fresh:
            theirs_only(theirs, score.name)
    rows = theirs.sql(profile_sql(joined, few.day)).to_arrow_table()
    if rows.schema.names != held:
        raise SourceError(f"{PROFILE} has other columns than its tables have now: run it whole first")
    return rows, keep(project.warehouse, PROFILE, rows, few)


def reads(project: Project) -> set[str]:
    """The tables the profile is joined from."""
    return {"customers", "orders", *(score.name for score in project.told_scores if score.on_profile)}


def reenter(project: Project, few: Few, rows: pa.Table, version: int) -> str | None:
    """Note which audiences these customers entered and left; why not, when that waits for the night.

    `rows` are theirs in this version of the profile."""
    warehouse = project.warehouse
    state = memberships.newest(warehouse)
    if state is None or not project.audiences:
        return "nobody has looked at the audiences yet" if project.audiences else None
    as_of = state[0]
    if project.day_of(PROFILE) != as_of:
        return "they were looked at for another day than the profile's"
    seen = warehouse.existing(memberships.TABLE)
    if warehouse.version(PROFILE) != version:
        return f"{PROFILE} was made anew meanwhile"
    with near(warehouse, few.customers, {memberships.TABLE}) as connection:
        narrow(connection, memberships.TABLE, "customer_id", "touched")
        connection.register(PROFILE, rows)
        connection.execute(f"create temp table members as {memberships.members_sql(project.conditions())}")
        connection.execute(f"create temp table after as {memberships.stays_sql(as_of)}")
        before = memberships.TABLE
        changed = connection.sql(f"from after except from {before}").to_arrow_table()
        undone = connection.sql(
            f"select {KEYS} from {before} anti join after using ({KEYS})"
        ).to_arrow_table()
    rows = pa.concat_tables(
        [
            changed.append_column(GONE, pa.repeat(pa.scalar(value=False), len(changed))),
            undone.append_column(GONE, pa.repeat(pa.scalar(value=True), len(undone))),
        ],
        promote_options="default",
    )
    if rows.num_rows:
        warehouse.append_live(memberships.TABLE, rows, KEYS.split(", "), seen=seen)
    return None


KEYS = "audience, customer_id, entered_on"
"""What tells stays apart."""
