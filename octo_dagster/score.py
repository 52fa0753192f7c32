"""A fact worked out for every customer: one decorated plain function.

    @score(reads=("orders",), columns={"rfm_recency": "1 the oldest sixth … 6 the newest"})
    def rfm(tables: Tables, *, as_of: date, bins: int = 6) -> sa.Select:
        \"\"\"How recently, how often, how much.\"\"\"

Keyword-only parameters are the settings, the docstring is the description, `columns` is the contract.
The function returns a SQLAlchemy Core select in the portable subset, one row per customer, first
column `customer_id`; it never looks past `as_of`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

Tables = Mapping[str, sa.TableClause]
"""Canonical table name → the SQLAlchemy table to select from."""

Because = Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]]


@dataclass(frozen=True, slots=True)
class Column:
    """One output column of a score: what people read about it, and its type."""

    name: str
    type: str
    """`integer`, `text`, `decimal`, `date`, `boolean` …: a `model.FieldType` value."""
    description: str
    of: str | None = None
    """For a class: the output column it is cut from, or by whose sum its weight is shown."""


@dataclass(frozen=True, slots=True)
class Score:
    """A registered score. `compute` is the plain function; call it in a test with any tables."""

    name: str
    description: str
    reads: tuple[str, ...]
    columns: tuple[Column, ...]
    compute: Callable[..., sa.Select[Any]]
    because: Because | None = None
    """Sentences for `octo explain`: a customer's row and the settings in force → what led to what."""

    @property
    def settings(self) -> Mapping[str, inspect.Parameter]:
        """The settings a YAML or a run may give: keyword-only parameters other than `as_of`."""
        parameters = inspect.signature(self.compute).parameters
        return {
            name: parameter
            for name, parameter in parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name != "as_of"
        }


def score(
    *,
    reads: tuple[str, ...],
    columns: Mapping[str, tuple[str, str] | tuple[str, str, str]],
    because: Because | None = None,
) -> Callable[[Callable[..., sa.Select[Any]]], Score]:
    """Declare a score. `columns`: output column → (type, description) or (type, description, of), in output
    order, key left out."""

    def declare(compute: Callable[..., sa.Select[Any]]) -> Score:
        return Score(
            name=compute.__name__,
            description=inspect.getdoc(compute) or "",
            reads=reads,
            columns=tuple(Column(name, *told) for name, told in columns.items()),
            compute=compute,
            because=because,
        )

    return declare
