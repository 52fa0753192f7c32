"""`new_orders`: sees an order at once and has exactly what it touches worked out and delivered.

One evaluation waits for news, some ten seconds, before it says that there are none. How far an order
got is kept with the rows themselves, so whatever is missed here, a ring, a knock, a whole day, is
caught by asking how far the source reaches. Whatever a failed run leaves owed is asked for again, later
each time.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import dagster as dg

from assets.live.follow import FOLLOW, OWED
from assets.live.launcher import ForkedRunLauncher
from assets.live.watch import Reached, Watch, never_pulled, watched, watching
from assets.resources import Setup
from octo_dagster.canonical.intake import Intake
from octo_dagster.errors import SourceError
from octo_dagster.inbox import Inbox

TICK = 0.05
"""Seconds between two looks at the clock, the bells and the inbox."""

SOURCE = "octo/source"
"""The tag of a run that says whose orders it follows."""

MOST = 900.0
"""Seconds a failed run waits at most until it is asked for again; the first time `setup.pause`, then
doubled."""
REMEMBERED = 10
"""Failed runs in a row that are counted."""
FAILED = {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def sensors(setup: Setup) -> list[dg.SensorDefinition]:
    """One, where any source has orders."""
    return [new_orders(setup)] if any(watched(intake) for intake in setup.project.intakes.values()) else []


def new_orders(setup: Setup) -> dg.SensorDefinition:
    """Its cursor says, of each source, how far it reached when a run was asked for last."""

    @dg.sensor(
        name="new_orders",
        job_name=FOLLOW,
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING if setup.on else dg.DefaultSensorStatus.STOPPED,
        description="A new or changed order: pull it, score it, deliver what changed.",
    )
    def sense(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        warm(context.instance)
        asked: dict[str, Reached] = json.loads(context.cursor or "{}")
        found = wait(setup, context.instance, asked)
        requests = [said for said in found.values() if isinstance(said, dg.RunRequest)]
        troubles = [f"{name}: {said}" for name, said in found.items() if isinstance(said, SourceError)]
        if troubles and not requests:
            raise SourceError("; ".join(troubles))
        notes = "; ".join(f"{name}: {said}" for name, said in found.items() if isinstance(said, str))
        return dg.SensorResult(
            run_requests=requests, skip_reason=None if requests else notes, cursor=json.dumps(asked)
        )

    return sense


def warm(instance: dg.DagsterInstance) -> None:
    """Have the parent of forked runs at hand before the first order is."""
    if isinstance(instance.run_launcher, ForkedRunLauncher):
        instance.run_launcher.warm()


Found = dg.RunRequest | SourceError | str
"""What a look at a source came to: a run, a trouble, or why there is neither."""


def wait(setup: Setup, instance: dg.DagsterInstance, asked: dict[str, Reached]) -> dict[str, Found]:
    """Look at every source in turn until one asks for a run or patience ends: source → what came of it.

    `asked` is brought up to date for those that do."""
    end = time.monotonic() + setup.patience
    found: dict[str, Found] = {}
    with ExitStack() as stack:
        inbox = Inbox(setup.project.home)
        stack.callback(inbox.close)
        sources = filter(watched, setup.project.intakes.values())
        looks = [Look(stack.enter_context(watching(setup, one, inbox)), instance) for one in sources]
        while True:
            for look in looks:
                if look.watch.due():
                    found[look.name] = look.result(asked)
            wanted = any(isinstance(said, dg.RunRequest) for said in found.values())
            if wanted or time.monotonic() + TICK > end:
                return found
            time.sleep(TICK)  # the sensor's evaluation is the wait for news: the daemon begins the next one


class Look:
    """One source during one evaluation, and its last run as far as it is known."""

    def __init__(self, watch: Watch, instance: dg.DagsterInstance) -> None:
        self.watch, self.instance = watch, instance
        self.name = watch.intake.name
        self.runs: Sequence[dg.RunRecord] = ()
        self.settled = False
        """Whether `runs` and the rows were looked at since the last run ended."""

    def result(self, asked: dict[str, Reached]) -> Found:
        """Whether a run is wanted now."""
        if missing := never_pulled(self.watch.setup, self.watch.intake):
            return f"{', '.join(missing)} never pulled; run the job refresh_base first"
        if not self.settled:
            self.settle()
        if not self.settled:
            self.watch.next = 0.0  # its end is to be seen at once
            return "a run is under way; what came since follows it"
        try:
            reached = self.watch.reached()
            now = {"reached": reached, "tips": self.watch.tips(reached)}
        except SourceError as error:
            return error
        if self.news(now, asked.get(self.name, {})):
            asked[self.name] = now
            why = hashlib.sha256(spelled(now).encode()).hexdigest()[:16]
            return request(self.watch.intake, why, owed=bool(failures(self.runs)))
        return self.owed() or "nothing new"

    def news(self, now: Reached, asked: Reached) -> bool:
        """Whether the source reaches farther than the rows that are here, and no run was asked for that; or
        more has come to the very point the last run was asked for, of the same second, say."""
        last = asked if self.runs else {}
        if now["reached"] != self.watch.pulled:
            return now != last
        return now["reached"] == last.get("reached") and now != last

    def settle(self) -> None:
        """Look at the last runs, and at the rows that are here since the last of them ended."""
        mine = dg.RunsFilter(job_name=FOLLOW, tags={SOURCE: self.name})
        self.runs = self.instance.get_run_records(mine, limit=REMEMBERED)
        self.settled = not self.runs or self.runs[0].dagster_run.is_finished
        if self.settled:
            self.watch.look_at_rows()

    def owed(self) -> Found | None:
        """What the last run left owed by failing: once more, if it is time; None when it owes nothing."""
        failed = failures(self.runs)
        if not failed:
            return None
        ended = self.runs[0].end_time or self.runs[0].update_timestamp.timestamp()
        left = ended + min(self.watch.setup.pause * 2 ** (failed - 1), MOST) - time.time()
        if left > 0:
            return f"the last run failed ({failed} in a row); once more in {left:.0f} s"
        return request(self.watch.intake, f"after-{self.runs[0].dagster_run.run_id[:8]}", owed=True)


def failures(runs: Sequence[dg.RunRecord]) -> int:
    """How many runs failed since the last that did not; newest first."""
    count = 0
    for run in runs:
        if run.dagster_run.status not in FAILED:
            break
        count += 1
    return count


def spelled(reached: Any) -> str:
    return json.dumps(reached, sort_keys=True)


def request(intake: Intake, why: str, *, owed: bool) -> dg.RunRequest:
    """A run of what this source's orders touch; the same reason asks for one run only."""
    return dg.RunRequest(
        run_key=f"{intake.name}-{why}",
        run_config={"ops": {"follow": {"config": {"sources": [intake.name]}}}},
        tags={SOURCE: intake.name} | ({OWED: "yes"} if owed else {}),
    )
