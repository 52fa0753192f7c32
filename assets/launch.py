"""What a person may say when starting a run by hand, as the launchpad shows it."""

from enum import Enum

import dagster as dg
from pydantic import Field

from octo_dagster.delivery.plan import Options


class Scope(Enum):
    """Which records a plan holds. Dagster shows and takes the names, so they are as people write them."""

    changes = "changes"
    everything = "everything"


class PlanConfig(dg.Config):
    """How this plan differs from an ordinary one."""

    scope: Scope = Field(
        default=Scope.changes,
        description="changes: only what differs from what the tool holds. "
        "everything: a full resync, every record again as if the tool held nothing; never removes.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="At most so many changes, for a careful first try. Never removes."
    )
    only: list[str] = Field(
        default=[], description="Only these keys, spelled as at the tool. They stay in Dagster's run log."
    )

    def options(self) -> Options:
        """The same in the engine's words."""
        return Options(self.scope is Scope.everything, self.limit, tuple(self.only))


class DeliveryConfig(dg.Config):
    """What to deliver, and a person's word for it."""

    dry_run: bool = Field(
        default=False, description="Say what would be sent and what the guards say to it; send nothing."
    )
    plan: str | None = Field(
        default=None,
        description="Deliver exactly this plan, by its id. "
        "Left out: the plan last drawn if it still holds, else a new one.",
    )
    allow: str | None = Field(
        default=None,
        description="A plan's id: deliver it although a guard refuses it. Opens the guard for no other plan.",
    )
