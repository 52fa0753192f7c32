"""Something with rows: a database, a folder of files. One verb, `read`.

A source is one frozen class in one file of `connectors/sources/`; its fields are its YAML. It knows
how to fetch rows in Arrow batches and nothing of what they mean: which user column is which canonical
column is said in the YAML's `tables`, and judged by `canonical`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pydantic import BaseModel, ConfigDict


@dataclass(frozen=True, slots=True)
class Pull:
    """What to fetch: everything, or what came since a cursor."""

    table: str
    """The source's own name for it: a table, a query, a file pattern."""
    columns: tuple[str, ...] | None = None
    """The user's columns that are mapped; None means all of them."""
    cursor: str | None = None
    """The user's column that grows with every change, where there is one."""
    after: Any = None
    """The greatest cursor value already here, as `Page.cursor` gave it; None for a first load."""


@dataclass(frozen=True, slots=True)
class Page:
    """One Arrow batch of rows, where each came from, and how far it reaches."""

    rows: pa.RecordBatch
    """The user's columns plus `_origin` (text): a file's name and row, or a table's name."""
    cursor: Any = None
    """The greatest cursor value up to and including this page; JSON-able; None when not asked for."""


class Source(BaseModel, ABC):
    """The contract of `connectors/sources/*`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: str

    @abstractmethod
    def read(self, pull: Pull) -> Iterator[Page]:
        """Rows in pages of bounded memory. Rows whose cursor equals `after` come again (they may have
        been committed late), so whoever stores them merges by key. SourceError when unreachable."""

    @abstractmethod
    def keys(self, table: str, key: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Every key that exists now, to find what was deleted since."""
