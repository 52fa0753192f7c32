"""What every asset is handed: the project, its surroundings, a clock, and the one day of a run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TypeAlias

import dagster as dg
from pydantic import Field, PrivateAttr

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings

Yields: TypeAlias = Iterator[dg.AssetCheckResult | dg.MaterializeResult[None] | dg.AssetObservation]
"""What an asset with checks gives, in its order."""


def utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Setup:
    """What the factory builds assets from. Holds no secret: those are read at the moment of use."""

    project: Project
    around: Surroundings | None = None
    """Where couriers work; None, as `OCTO_SANDBOX` and the project's own pacing say."""
    clock: Callable[[], datetime] = utc
    """When a row is read or judged: the step's own now, for a row that came after the run began is not
    in the future."""
    as_of: str | None = None
    """The day scores are for, unless the run says another."""
    pause: float = 30
    """Seconds before a plan, a delivery or a failed live run is tried again, the first time; then twice as
    long each time."""
    patience: float = 9.5
    """Seconds the sensor waits for news before it says that there are none: just under a multiple of five,
    for every five seconds Dagster's daemon looks which sensor is to be asked again."""
    on: bool = False
    """Whether schedules and sensors are switched on from the start."""

    @property
    def again(self) -> dg.RetryPolicy:
        """For a tool that is down or did not answer. By then the engine has tried several times itself."""
        return dg.RetryPolicy(max_retries=3, delay=self.pause, backoff=dg.Backoff.EXPONENTIAL)


class Day(dg.ConfigurableResource[date]):
    """The one day a run's scores and profile are for, whichever process a step runs in.

    Left out, it is the UTC day on which the run was asked for; for a re-execution, the day of the run it
    repeats, so that a run finished the next morning does not mix two days."""

    as_of: str | None = Field(
        default=None,
        description="YYYY-MM-DD: orders up to the midnight (UTC) that ends this day count. Left out: today.",
    )
    _day: date = PrivateAttr(default=date.min)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        if self.as_of:
            self._day = date.fromisoformat(self.as_of)
            return
        run = context.run
        if run is None or context.instance is None:
            raise dg.DagsterInvariantViolationError("the day is known within a run only")
        records = [
            context.instance.get_run_record_by_id(name) for name in (run.root_run_id, run.run_id) if name
        ]
        asked = next(record.create_timestamp for record in records if record is not None)
        self._day = asked.astimezone(UTC).date()

    @property
    def day(self) -> date:
        """The day, once the run has begun."""
        return self._day
