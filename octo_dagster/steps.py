"""Every pull, judgement and score of either lane, in the ledger's database: when, how much, how it ended.

A step is written as it begins and again as it ends, also when it fails. Who begins one holds a lock until it
has ended, so one whose process was killed is known: nobody holds its lock. The live lane, in more of a hurry,
holds one lock for all steps of a run, and says once, at its end, what they came to. Words of an error are
kept without addresses; of an error that is no `OctoError`, its kind alone, for its words may quote a
customer's row.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date, datetime
from types import TracebackType
from typing import Any, Literal

import sqlalchemy as sa

from octo_dagster.config import Project
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.errors import Busy, OctoError
from octo_dagster.scoring.explain import masked

TABLES = sa.MetaData()
Kind = Literal["pull", "judge", "score"]

Lane = Literal["night", "live"]
"""`night`: a table made anew, be it by day or at a terminal. `live`: what an order touches, added to it."""

STEPS = sa.Table(
    "step_log",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, comment="Dagster's, or a name of its own at a terminal"),
    sa.Column("lane", sa.Text, nullable=False, comment="night, live"),
    sa.Column("kind", sa.Text, nullable=False, comment="pull, judge, score"),
    sa.Column("source", sa.Text, comment="of a pull"),
    sa.Column("name", sa.Text, nullable=False, comment="the table, or the score"),
    sa.Column("as_of", sa.Date, comment="the day a score is for"),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sa.Column("outcome", sa.Text, nullable=False, comment="running, done, failed, interrupted"),
    sa.Column("rows", sa.BigInteger, comment="pulled, judged, or scored"),
    sa.Column("kept", sa.BigInteger, comment="of those judged"),
    sa.Column("rejected", sa.BigInteger, comment="of those judged"),
    sa.Column("deleted", sa.BigInteger, comment="found to be gone at the source"),
    sa.Column("error", sa.Text),
    sa.Index("step_log_by_name", "kind", "name", "started_at"),
    sa.Index("step_log_by_end", "ended_at"),
)

ADDRESS = re.compile(r"[^\s@<>\"'(),;:]+@[^\s@<>\"'(),;:]+")


def discreet(text: str) -> str:
    """The text without e-mail addresses: a vendor's reply may quote one."""
    return ADDRESS.sub(lambda found: masked(found[0]) or "…", text)


class Step:
    """One step, from `with` to its end. What is said of it before its end is kept with it."""

    def __init__(
        self,
        project: Project,
        kind: Kind,
        name: str,
        run: str,
        *,
        source: str | None = None,
        as_of: date | None = None,
    ) -> None:
        self.ledger = project.ledger
        self.id = uuid.uuid4().hex
        self.told: dict[str, Any] = {"kind": kind, "name": name, "run": run, "source": source, "as_of": as_of}
        self.figures: dict[str, int] = {}
        self.held = ExitStack()

    def __enter__(self) -> Step:
        self.held.enter_context(self.ledger.lock(lock_of(self.id)))
        begun = {"id": self.id, "lane": "night", "started_at": self.ledger.clock(), "outcome": "running"}
        with self.ledger.engine.begin() as connection:
            ready(connection)
            connection.execute(sa.insert(STEPS).values(self.told | begun))
        return self

    def say(self, **figures: int) -> None:
        """Its `rows`, `kept`, `rejected`, `deleted`."""
        self.figures |= figures

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        ended = {"ended_at": self.ledger.clock(), "outcome": outcome(error), "error": words(error)}
        with self.held:
            mark(self.ledger, self.id, **ended, **self.figures)
        forget(self.ledger, self.id)


class Trail:
    """The steps of one run of the live lane, one after another: one lock, and one write as each begins. Those
    that were over when the run was killed are done, the one under way is interrupted."""

    def __init__(self, ledger: Ledger, run: str) -> None:
        self.ledger, self.run = ledger, run
        self.id = uuid.uuid4().hex
        self.steps: list[dict[str, Any]] = []
        self.held = ExitStack()

    def __enter__(self) -> Trail:
        self.held.enter_context(self.ledger.lock(lock_of(self.id)))
        return self

    def begin(self, kind: Kind, name: str, source: str | None = None) -> None:
        """The step before is over, this one is under way, and on disk."""
        self.over()
        step: dict[str, Any] = dict.fromkeys(STEPS.c.keys())
        step |= {"id": f"{self.id}.{len(self.steps):03}", "run": self.run, "lane": "live", "kind": kind}
        step |= {"name": name, "source": source, "started_at": self.ledger.clock(), "outcome": "running"}
        with self.ledger.engine.begin() as connection:
            if not self.steps:
                ready(connection)
            connection.execute(sa.insert(STEPS).values(step))
        self.steps.append(step)

    def over(self, error: BaseException | None = None) -> None:
        """The step under way has ended, if one is."""
        if self.steps and self.steps[-1]["ended_at"] is None:
            ended = {"ended_at": self.ledger.clock(), "outcome": outcome(error), "error": words(error)}
            self.steps[-1] |= ended

    def of(self, kind: Kind) -> list[dict[str, Any]]:
        """The steps of a kind in their order, for what is known of them once they are over: their figures."""
        return [step for step in self.steps if step["kind"] == kind]

    def part(self, kind: Kind, names: Sequence[str]) -> None:
        """What was begun as one step of a kind were these, side by side."""
        parts = self.of(kind)
        self.steps = [step for step in self.steps if step["kind"] != kind]
        for one in parts:
            self.steps += [one | {"id": f"{one['id']}.{n}", "name": name} for n, name in enumerate(names)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.over(error)
        with self.held:
            if self.steps:
                with self.ledger.engine.begin() as connection:
                    connection.execute(sa.delete(STEPS).where(STEPS.c.id.between(self.id, f"{self.id}/")))
                    connection.execute(sa.insert(STEPS), self.steps)
        forget(self.ledger, self.id)


def outcome(error: BaseException | None) -> str:
    """What a step came to that ended with this: somebody stopped it, or it failed, or it is done."""
    if error is None:
        return "done"
    return "interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"


def words(error: BaseException | None) -> str | None:
    """Why, without anything of a customer."""
    if error is None:
        return None
    name = type(error).__name__
    return f"{name}: {discreet(str(error))}" if isinstance(error, OctoError) else name


def ready(connection: sa.Connection) -> None:
    """Make sure there is a table."""
    if connection.dialect.name == "postgresql":  # two that find no table would both make it
        connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('octo steps'))"))
    TABLES.create_all(connection)


def mark(ledger: Ledger, step: str, **values: Any) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(STEPS).where(STEPS.c.id == step).values(values))


def lock_of(step: str) -> str:
    """The lock of a step; of the live lane, that of its run."""
    return f"_step_{step.partition('.')[0]}"


def forget(ledger: Ledger, step: str) -> None:
    """No other step has this lock's name: its file, if it was one, is of no more use."""
    (ledger.locks / f"{lock_of(step)}.lock").unlink(missing_ok=True)


def look(ledger: Ledger) -> None:
    """Make sure there is a table to read, in which whatever was killed is `interrupted`."""
    with ledger.engine.begin() as connection:
        ready(connection)
    open_ = sa.select(STEPS.c.id).where(STEPS.c.outcome == "running").order_by(STEPS.c.id)
    for last in {lock_of(row["id"]): row["id"] for row in ledger.read(open_)}.values():
        try:
            with ledger.lock(lock_of(last)):
                bury(ledger, last)
        except Busy:
            continue  # its process is at it
        forget(ledger, last)


def bury(ledger: Ledger, last: str) -> None:
    """A step whose process was killed is interrupted; those of its run that began before it were over."""
    own = last.partition(".")[0]
    mine = STEPS.c.id.between(own, f"{own}/") & (STEPS.c.outcome == "running")
    known = sa.case((STEPS.c.id == last, "interrupted"), else_="done")
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(STEPS).where(mine).values(outcome=known))


def shipped(ledger: Ledger, ids: Sequence[str]) -> None:
    """Forget these steps of the live lane: the warehouse has them, and there may be thousands a day."""
    with ledger.engine.begin() as connection:
        for start in range(0, len(ids), PAGE):
            mine = STEPS.c.id.in_(ids[start : start + PAGE]) & (STEPS.c.lane == "live")
            connection.execute(sa.delete(STEPS).where(mine))


PAGE = 500
"""Names in one statement."""


def prune(ledger: Ledger, before: datetime) -> None:
    """Forget the steps that began earlier."""
    with ledger.engine.begin() as connection:
        ready(connection)
        connection.execute(sa.delete(STEPS).where(STEPS.c.started_at < before))
