"""Something with rows: a database, a folder of files. One verb, `read`.

A source is one frozen class in one file of `connectors/sources/`; its fields are its YAML. It knows
how to fetch rows in Arrow batches and nothing of what they mean: which user column is which canonical
column is said in the YAML's `tables`, and judged by `conform`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict

ORIGIN = pa.field("_origin", pa.string())
"""Where a row came from: a table's name, or a file's name and line."""
FAULT = pa.field("_fault", pa.string())
"""Why a row could not be read; null for a good one. A row with a fault has no other values."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a source that calls others over the network needs of the world; a test gives its own."""

    sandbox: str | None = None
    """Where every call goes instead of to its vendor; left out, OCTO_SANDBOX."""
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""


OUTSIDE = Outside()


@dataclass(frozen=True, slots=True)
class Pull:
    """What to fetch: everything, or what came since a state."""

    table: str
    """The source's own name for it: a table, or a file pattern."""
    query: str | None = None
    """A query of the user's own in place of a table."""
    columns: tuple[str, ...] = ()
    """The user's columns that are wanted."""
    cursor: str | None = None
    """The user's column that grows with every change, where there is one."""
    after: Any = None
    """`Reading.state` of the last pull that was kept; None for a first load."""
    overlap: int = 0
    """How far before `after` to begin again: seconds, or units of a numeric cursor. For clocks that
    disagree and transactions that commit late; whoever stores the rows drops those it has."""
    outside: Outside = OUTSIDE
    parts: bool = False
    """Whether rows belong to something that comes whole; what has none then shows as a row without values,
    whose `_origin` ends in `:none`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Rows on their way, in batches of bounded memory, and what to remember once they are kept."""

    schema: pa.Schema
    """The wanted columns, then `_origin` and `_fault`."""
    batches: Generator[pa.RecordBatch, None, None]
    """SourceError when it breaks off. Whoever asked closes it: a connection or a file may be open."""
    state: Any = None
    """JSON-able; known before the first row is, so that both can be written in one commit."""
    whole: bool = False
    """Whether these rows are all there is now, so that a row that is missing is gone."""
    begin: Any = None
    """The cursor this reading begins at: rows from there on may have come before. None: none did."""

    def table(self) -> pa.Table:
        """All of it at once, for what is known to be small."""
        with closing(self.batches) as batches:
            return pa.Table.from_batches(batches, self.schema)


class Source(BaseModel, ABC):
    """The contract of `connectors/sources/*`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str

    lists_keys: ClassVar[bool] = True
    """Whether `keys` can be asked, as `deletes: reconcile` needs."""
    rereads: ClassVar[bool] = False
    """Whether a part that changed is read again from its start; `_origin` is then `part:line`."""

    posted: ClassVar[bool] = False
    """Whether its rows are brought to us, so that a webhook is data and not a reason to ask."""

    arrivals: ClassVar[str | None] = None
    """The column that says in which order rows were brought, of a source that is brought them."""

    glance: ClassVar[float] = 5.0
    """Seconds between two askings for news (`reached`), at the least."""

    def problem(self, pull: Pull) -> str | None:
        """Why this can never be pulled, as `field: what`, known without calling anyone; None when it can."""
        return None

    def unsaid(self, outside: Outside = OUTSIDE) -> str | None:
        """What a ready file leaves to a person and nobody wrote yet, as `field: what`; None when all is said,
        or the sandbox stands for it. Nothing is pulled before."""
        return None

    @abstractmethod
    def columns(self, pull: Pull) -> tuple[str, ...]:
        """The columns there are to want; empty when nobody can know yet. SourceError when unreachable."""

    @abstractmethod
    def read(self, pull: Pull) -> Reading:
        """Rows whose cursor is at or after `after`: those equal to it come again, since more of them may
        have been committed late. SourceError when unreachable."""

    def reached(self, pull: Pull) -> Any:
        """The `state` a reading begun now would have, for asking cheaply whether there is anything new since
        `after`."""
        return self.read(pull).state

    def tip(self, pull: Pull) -> int | None:
        """How many rows stand at or near the newest point, `pull.after`: one committed late, or in the same
        second, makes it more while `reached` stays. None where that is not asked cheaply."""
        return None

    def forget(self, pulled: Sequence[tuple[str, Any]], now: datetime) -> int:
        """Let go of rows that were brought to us long before `now` (UTC) and that nobody needs any more; how
        many posts those were. `pulled`: each table's `from`, and the `after` its next pull will have."""
        return 0

    @contextmanager
    def bell(self, pulls: Sequence[Pull]) -> Iterator[Callable[[], bool] | None]:
        """Whether it has rung since it was last asked, where the source says by itself that one of these has
        news; None where it does not. A bell may be missed: `reached` is asked all the same, less often."""
        yield None

    @abstractmethod
    def keys(self, pull: Pull, key: tuple[str, ...]) -> Reading | None:
        """Every key that exists now, to find what was deleted since; None when it cannot be asked."""
