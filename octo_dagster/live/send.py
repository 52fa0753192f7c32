"""What a run of the live lane touched, to one tool: a plan of those customers alone, carried out."""

from __future__ import annotations

from collections.abc import Callable

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.live.follow import Followed
from octo_dagster.run import Report, carry_out, prepare
from octo_dagster.sync import Sync


def send(
    project: Project,
    sync: Sync,
    followed: Followed,
    around: Surroundings | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Report | None:
    """Plan and deliver what changed of the customers touched by this run and by those whose delivery failed;
    None when there is nobody. Raises what `carry_out` raises: whoever is not delivered stays owed."""
    if followed.version is None:
        return None
    plan = prepare(sync, project, around=around)
    return carry_out(plan, sync, project, around=around, progress=progress)
