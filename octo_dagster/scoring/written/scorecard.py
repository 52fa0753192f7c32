"""What a written score computes: points or an expression over facts of a customer, and their scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.sql import visitors

from octo_dagster.canonical import contracts as canonical
from octo_dagster.errors import ConfigError
from octo_dagster.score import Tables, Told
from octo_dagster.scoring import rules
from octo_dagster.scoring.portable import class_by_rank, day, either, joined, midnight_after, rounded, whole
from octo_dagster.scoring.rules import Reading, Refused
from octo_dagster.scoring.settings import FAR
from octo_dagster.scoring.sql import TYPES
from octo_dagster.scoring.written import formula
from octo_dagster.scoring.written.points import Points
from octo_dagster.words import Language, Speaker

CUSTOMERS = "customers"
UNTOLD = {"as_of"} | {field.name for field in canonical.CONTRACTS[CUSTOMERS].fields if field.private}
"""What is not repeated among an expression's reasons: the day of the run, and who a customer is."""

Kind = Literal["integer", "decimal", "text", "boolean", "date"]
Scale = Literal["1-100", "decile"]
By = Literal["rank", "range"]

ARROW: Mapping[type[Any], pa.DataType] = {
    sa.Text: pa.string(),
    sa.BigInteger: pa.int64(),
    sa.Boolean: pa.bool_(),
    sa.Date: pa.date32(),
    sa.DateTime: pa.timestamp("us"),
    sa.Double: pa.float64(),
    sa.Numeric: pa.decimal128(18, 4),
}

FAMILIES: Mapping[str, tuple[Kind, ...]] = {
    "VARCHAR": ("text",),
    "BOOLEAN": ("boolean",),
    "DATE": ("date",),
    "TIMESTAMP": ("date",),
}
"""A DuckDB type → what it may be kept as; any other an expression gives is a number."""
NUMBERS: tuple[Kind, ...] = ("decimal", "integer")

TENTHS = "1 the lowest tenth … 10 the highest; equal values share a class"
SCALES: Mapping[tuple[Scale, By], str] = {
    ("decile", "rank"): TENTHS,
    ("1-100", "rank"): "1 to 100: by the share of customers that are lower; equal values are equal",
    ("1-100", "range"): "1 to 100: from the lowest value there is to the highest, evenly",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a score's columns hold for each customer, as a query."""

    source: sa.Subquery
    reading: Reading
    schema: pa.Schema

    def placed(self, expression: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The same with every column as one of the source's: where it comes from can be read out of it."""

        def of_source(element: Any, **_: Any) -> Any:
            bare = isinstance(element, sa.ColumnClause) and element.table is None and not element.is_literal
            return self.source.c[element.name] if bare else None

        placed: sa.ColumnElement[Any] = visitors.replacement_traverse(expression, {}, of_source)
        return placed

    def has(self, names: tuple[str, ...]) -> bool:
        """Whether all these columns are there: while files are tried, those sources carry are not yet."""
        return set(names) <= set(self.schema.names)


@dataclass(frozen=True, slots=True)
class Scorecard:
    """One file: its keys."""

    name: str
    description: str = ""
    points: tuple[Points, ...] = ()
    expression: str | None = None
    type: Kind | None = None
    scale: Scale | None = None
    by: By = "rank"
    only: str | None = None

    @property
    def measured(self) -> str:
        """The column of what is put on the scale."""
        return f"{self.name}_points" if self.expression is None else f"{self.name}_value"

    @property
    def kind(self) -> Kind:
        """The type of what is worked out."""
        return "integer" if self.expression is None else self.type or "decimal"

    def columns(self) -> Mapping[str, Told]:
        """The output columns: the score; with a scale, what was put on it; and what led to it."""
        about = self.description.strip() or "As written in the project"
        reason = "What gave how many points" if self.expression is None else "What it was worked out from"
        because: dict[str, Told] = {f"{self.name}_because": ("text", reason)}
        if self.scale is None:
            return {self.name: (self.kind, about), **because}
        held = (self.kind, "What is put on the scale")
        scaled = ("integer", f"{about}: {SCALES.get((self.scale, self.by), TENTHS)}")
        classed: Told = (*scaled, self.measured) if self.scale == "decile" else scaled
        return {self.name: classed, self.measured: held, **because}

    def sentences(self, row: Mapping[str, Any], language: Language) -> list[str]:
        """What led to a customer's score."""
        tell = Speaker(language).tell
        held = row[self.name if self.scale is None else self.measured]
        why = row[f"{self.name}_because"]
        if self.expression is None:
            worth, why = tell("because.written.points", n=held), why or tell("because.written.nothing")
        else:
            worth = tell("because.written.worth", expression=" ".join(self.expression.split()), held=held)
        told = [tell("because.written.why", worth=worth, why=why) if why else worth]
        if self.scale is not None:
            places = 10 if self.scale == "decile" else 100
            told.append(tell(f"because.written.by_{self.by}", place=row[self.name], places=places))
        return told

    def check(self) -> None:
        """ConfigError for keys that do not go together."""
        if bool(self.points) == bool(self.expression):
            raise ConfigError("points: give exactly one of points, expression")
        if self.type is not None and self.expression is None:
            raise ConfigError("type: goes with expression; points are whole numbers")
        if self.scale is not None and self.kind not in NUMBERS:
            raise ConfigError(f"scale: needs numbers, and type is {self.kind}")
        if self.by == "range" and self.scale != "1-100":
            raise ConfigError("by: range goes with scale: 1-100")

    def select(self, tables: Tables, as_of: date, carried: frozenset[str]) -> sa.Select[Any]:
        """One row per customer the shop knew on the day, the columns in their order."""
        self.check()
        found = facts(tables, self.used(), as_of, carried)
        chosen = self.chosen(found)
        worked = self.counted(found, chosen) if self.expression is None else self.valued(found, chosen)
        held = worked.subquery("held")
        measure = held.c.measure
        last = held.c.because.label(f"{self.name}_because")
        if self.scale is None:
            return sa.select(held.c.customer_id, measure.label(self.name), last)
        scaled = self.scaled(measure).label(self.name)
        return sa.select(held.c.customer_id, scaled, measure.label(self.measured), last)

    def used(self) -> set[str]:
        """The columns the keys name."""
        named = {name for part in self.points for _, names in part.used for name in names}
        named |= set(rules.columns_of(self.only)) if self.only else set()
        return named | (set(formula.read(self.expression).columns) if self.expression else set())

    def chosen(self, found: Facts) -> sa.ColumnElement[bool]:
        """Who has a row; ConfigError if `only` does not fit the columns."""
        if self.only is None or not found.has(rules.columns_of(self.only)):
            return sa.true()
        try:
            return found.placed(found.reading.truth(rules.parsed(self.only)))
        except Refused as wrong:
            raise ConfigError(f"only: {wrong}") from None

    def counted(self, found: Facts, chosen: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The points added up, and the lines that gave them."""
        worths = []
        for number, part in enumerate(self.points):
            try:
                if all(found.has(names) for _, names in part.used):
                    worths.append((found.placed(part.worth(found.reading)).label(f"p{number}"), part.reason))
            except Refused as wrong:
                raise ConfigError(f"points.{number}: {wrong}") from None
        inner = sa.select(found.source.c.customer_id, *(worth for worth, _ in worths)).where(chosen)
        each = inner.subquery("each")
        total: sa.ColumnElement[Any] = sa.literal_column("0")
        for worth, _ in worths:
            total = total + each.c[worth.name]
        reasons = [counted_as(each.c[worth.name], reason) for worth, reason in worths]
        because = sa.func.nullif(joined("; ", *reasons), "") if reasons else sa.null()
        return sa.select(
            each.c.customer_id,
            sa.cast(total, sa.BigInteger).label("measure"),
            because.label("because"),
        )

    def valued(self, found: Facts, chosen: sa.ColumnElement[bool]) -> sa.Select[Any]:
        """The expression in its type, and what it was worked out from."""
        told = formula.read(str(self.expression))
        if found.has(told.columns):
            self.fits(formula.type_over(told.text, found.schema))
        value: sa.ColumnElement[Any] = sa.literal_column(f"({told.text})")
        if self.kind == "decimal":
            value = rounded(value, 4)
        elif self.kind == "integer":
            value = sa.cast(rounded(value, 0), sa.BigInteger)
        else:
            value = sa.cast(value, TYPES[self.kind])
        shown = [name for name in told.columns if found.has((name,)) and name not in UNTOLD]
        inputs = [found.placed(input_as(name)) for name in shown]
        because = sa.func.nullif(joined(", ", *inputs), "") if inputs else sa.null()
        rows = sa.select(found.source.c.customer_id, value.label("measure"), because.label("because"))
        inner = rows.where(chosen).subquery("worked")
        return sa.select(inner).where(inner.c.measure.is_not(None))

    def fits(self, given: str) -> None:
        """ConfigError unless what DuckDB makes of the expression can be kept as the file says."""
        fitting = FAMILIES.get(given, NUMBERS)
        if self.kind not in fitting:
            raise ConfigError(f"expression: gives {fitting[0]}, and type is {self.kind}")

    def scaled(self, measure: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The measure's place among all customers'."""
        if self.scale == "decile":
            return class_by_rank(measure, 10)
        if self.by == "rank":
            return class_by_rank(measure, 100)
        units = sa.cast(measure * 10_000, sa.BigInteger)
        low, high = sa.func.min(units).over(), sa.func.max(units).over()
        return 1 + either(high > low, whole(99 * (units - low), sa.func.nullif(high - low, 0)), 0)


def facts(tables: Tables, used: set[str], as_of: date, carried: frozenset[str]) -> Facts:
    """What is known of every customer on the day; ConfigError for a column that is not there."""
    customers = tables[CUSTOMERS]
    found = {c.name: c for t in tables.values() for c in t.c if c.name in used and c.name != "customer_id"}
    absent = used - found.keys() - {"customer_id", "as_of"}
    if absent and not (as_of == FAR and absent <= carried):
        raise ConfigError(f"columns: {', '.join(sorted(absent))} not in {', '.join(tables)}")
    joins: sa.FromClause = customers
    for name, table in tables.items():
        if name != CUSTOMERS:
            joins = joins.outerjoin(table, table.c.customer_id == customers.c.customer_id)
    columns = [customers.c.customer_id, *found.values(), day(as_of).label("as_of")]
    query = sa.select(*columns).select_from(joins)
    if "created_at" in customers.c:
        known = customers.c.created_at
        query = query.where(sa.or_(known.is_(None), known < moment(midnight_after(as_of))))
    types = {"customer_id": pa.string(), "as_of": pa.date32()}
    types |= {name: ARROW.get(type(column.type), pa.null()) for name, column in found.items()}
    schema = pa.schema(list(types.items()))
    return Facts(query.subquery("facts"), Reading(schema, as_of), schema)


def moment(value: datetime) -> sa.ColumnElement[datetime]:
    """A time as a typed constant: an untyped one is text to some databases."""
    return sa.cast(sa.literal(str(value), sa.Text), sa.DateTime)


def counted_as(points: sa.ColumnElement[Any], reason: str) -> sa.ColumnElement[Any]:
    """`+10 orders >= 3`; null without points."""
    spelled = sa.cast(points, sa.Text) + sa.literal(f" {reason}", sa.Text)
    return sa.case((points > 0, sa.literal("+", sa.Text) + spelled), (points < 0, spelled), else_=None)


def input_as(name: str) -> sa.ColumnElement[Any]:
    """`orders = 3`; null where the column is."""
    return sa.literal(f"{name} = ", sa.Text) + sa.cast(sa.column(name), sa.Text)
