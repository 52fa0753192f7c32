"""Every pull, judgement and score of the night, in the ledger's database: when, how much, how it ended.

A step is written as it begins and again as it ends, also when it fails. Who begins one holds a lock until it
has ended, so one whose process was killed is known: nobody holds its lock. Words of an error are kept without
addresses; of an error that is no `OctoError`, its kind alone, for its words may quote a customer's row.
"""

from __future__ import annotations

import re
import uuid
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

STEPS = sa.Table(
    "steps",
    TABLES,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("run", sa.Text, nullable=False, comment="Dagster's, or a name of its own at a terminal"),
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
        begun = {"id": self.id, "started_at": self.ledger.clock(), "outcome": "running"}
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
    return f"_step_{step}"


def forget(ledger: Ledger, step: str) -> None:
    """No other step has this lock's name: its file, if it was one, is of no more use."""
    (ledger.locks / f"{lock_of(step)}.lock").unlink(missing_ok=True)


def look(ledger: Ledger) -> None:
    """Make sure there is a table to read, in which whatever was killed is `interrupted`."""
    with ledger.engine.begin() as connection:
        ready(connection)
    for row in ledger.read(sa.select(STEPS.c.id).where(STEPS.c.outcome == "running")):
        try:
            with ledger.lock(lock_of(row["id"])):
                still = (STEPS.c.id == row["id"]) & (STEPS.c.outcome == "running")
                with ledger.engine.begin() as connection:
                    connection.execute(sa.update(STEPS).where(still).values(outcome="interrupted"))
        except Busy:
            continue  # its process is at it
        forget(ledger, row["id"])


def prune(ledger: Ledger, before: datetime) -> None:
    """Forget the steps that began earlier."""
    with ledger.engine.begin() as connection:
        ready(connection)
        connection.execute(sa.delete(STEPS).where(STEPS.c.started_at < before))
