"""Why a customer has the scores he has: his figures, his classes and what lies between the classes."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import duckdb
from pydantic import TypeAdapter

from octo_dagster.errors import SourceError
from octo_dagster.score import Column, Score
from octo_dagster.scoring.settings import plain_settings
from octo_dagster.warehouse import Warehouse
from octo_dagster.words import Language, Speaker


@dataclass(frozen=True, slots=True)
class Fact:
    """One column of a score for this customer."""

    column: str
    value: Any
    description: str
    of: str | None
    """For a class: the column it is cut from or weighed by."""
    low: Any
    """The smallest value of `of` among the customers of the same class."""
    high: Any

    def line(self) -> str:
        """`rfm_recency = 5 (same class: rfm_recency_days from 10 to 30)`."""
        told = f"{self.column} = {self.value}"
        return f"{told} (same class: {self.of} from {self.low} to {self.high})" if self.of else told


@dataclass(frozen=True, slots=True)
class ScoreExplained:
    """One score's word on a customer. Without facts, `reasons` says why there are none."""

    score: str
    as_of: str | None
    facts: tuple[Fact, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything `octo explain` shows. The only personal data is an email with its name hidden."""

    customer_id: str
    email: str | None
    """As `j…@example.org`."""
    scores: tuple[ScoreExplained, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values: dates and decimals as text."""
        return dict(TypeAdapter(dict[str, Any]).dump_python(asdict(self), mode="json"))

    def lines(self) -> list[str]:
        """The explanation as lines of text: of each score what led to its labels, classes, figures."""
        told = [f"customer {self.customer_id}" + (f" ({self.email})" if self.email else "")]
        for score in self.scores:
            told += ["", f"{score.score}, as of {score.as_of}" if score.as_of else score.score]
            told += [f"  → {reason}" for reason in score.reasons]
            told += [f"  {fact.line()}" for fact in score.facts if fact.of]
            told += paragraph([fact.line() for fact in score.facts if not fact.of])
        return told


def paragraph(parts: Sequence[str], width: int = 110) -> list[str]:
    """The parts one after another on indented lines, none of them broken."""
    whole = " · ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)
    broken = textwrap.wrap(
        whole,
        width,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in broken]


def explain(warehouse: Warehouse, customer_id: str, scores: Sequence[Score]) -> Explanation:
    """What the newest tables say of a customer; SourceError when `customers` does not hold the id."""
    if "customers" not in warehouse.names():
        raise SourceError("the warehouse holds no customers yet")
    with warehouse.connect(only=["customers", *(score.name for score in scores)]) as connection:
        customer = one_row(connection, "customers", customer_id)
        if customer is None:
            raise SourceError(f"customer {customer_id!r} is not in customers")
        told = tuple(
            explained(warehouse, connection, score, customer_id) for score in scores if score.on_profile
        )
    return Explanation(customer_id, masked(customer.get("email")), told)


def explained(
    warehouse: Warehouse,
    connection: duckdb.DuckDBPyConnection,
    score: Score,
    customer_id: str,
    language: Language = "en",
) -> ScoreExplained:
    """One score's facts about the customer, and its own sentences about them in this language."""
    tell = Speaker(language).tell
    if score.name not in warehouse.names():
        return ScoreExplained(score.name, None, (), (tell("explain.not_yet"),))
    note = warehouse.note(score.name)
    row = one_row(connection, score.name, customer_id)
    if row is None:
        return ScoreExplained(score.name, note.get("as_of"), (), (tell("explain.no_row"),))
    if not row.keys() >= set(score.output):
        return ScoreExplained(score.name, note.get("as_of"), (), (tell("explain.changed"),))
    facts = tuple(fact(connection, score.name, column, row) for column in score.columns)
    settings = {
        **plain_settings(score, score.given),
        **note["settings"],
    }  # a setting may be newer than the table
    reasons = score.because(row, settings, language) if score.because else []
    return ScoreExplained(score.name, note.get("as_of"), facts, tuple(reasons))


def fact(connection: duckdb.DuckDBPyConnection, table: str, column: Column, row: dict[str, Any]) -> Fact:
    value = row[column.name]
    if column.of is None or value is None:
        return Fact(column.name, value, column.description, None, None, None)
    low, high = connection.execute(
        f'select min("{column.of}"), max("{column.of}") from "{table}" where "{column.name}" = ?', [value]
    ).fetchall()[0]
    return Fact(column.name, value, column.description, column.of, low, high)


def one_row(connection: duckdb.DuckDBPyConnection, table: str, customer_id: str) -> dict[str, Any] | None:
    found = connection.execute(f'select * from "{table}" where customer_id = ?', [customer_id])
    names = [described[0] for described in found.description or ()]
    rows = found.fetchall()
    return dict(zip(names, rows[0], strict=True)) if rows else None


def masked(email: str | None) -> str | None:
    """The first letter and the domain; nothing of a text that is no address."""
    name, at, domain = (email or "").rpartition("@")
    return f"{name[:1]}…@{domain}" if at and name else None
