"""Lets a run of the live lane begin at once, where none is under way; every other run queues as before.

`dagster.yaml`: run_coordinator: {module: assets.live.coordinator, class: LiveFirst}. Dagster looks at
its queue once a second, which costs a new order that second or more. The limits by tag hold: a second
live run goes through the queue like every other run, and the queue counts those that began at once.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from assets.live.launcher import LANE

LIVE = "live"


class LiveFirst(QueuedRunCoordinator[dg.DagsterInstance]):
    """Dagster's queue, with a door beside it for one live run."""

    def submit_run(self, context: SubmitRunContext) -> dg.DagsterRun:
        """Begin it if it is live and alone, else let it queue."""
        run = context.dagster_run
        if run.tags.get(LANE) == LIVE and run.status == dg.DagsterRunStatus.NOT_STARTED and self.alone(run):
            return self._instance.launch_run(run.run_id, context.workspace)
        return super().submit_run(context)

    def alone(self, run: dg.DagsterRun) -> bool:
        """Whether no other live run is on its way."""
        others = self._instance.get_runs(
            dg.RunsFilter(tags={LANE: LIVE}, statuses=list(NOT_FINISHED_STATUSES)), limit=2
        )
        return all(other.run_id == run.run_id for other in others)
