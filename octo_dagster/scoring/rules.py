"""Who is in an audience: one line of text, checked against a table's columns, as a SQL condition.

    description: Best customers who have stopped coming
    rule: rfm_recency in [1, 2] and rfm_frequency_monetary in [5, 6]

A rule compares columns with constants: `==  !=  <  <=  >  >=`, chained (`2 <= orders < 5`), `in [..]`,
`not in [..]`, `is None`, `is not None`, `'text' in column`, a true-or-false column by itself, joined by
`and`, `or`, `not`. Dates are 'YYYY-MM-DD'. It is parsed by Python and never executed.
An empty value is in no comparison, `!=` and `not in` included: ask for it by `is None`.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.sql import compiled, sql_type

Condition = sa.ColumnElement[bool]

COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


class Audience(BaseModel):
    """One file of `assets/audiences/`; the file's name is the audience's name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str = ""
    rule: str = Field(min_length=1)
    """Which rows of the table are in it."""


def where_sql(rule: str, schema: pa.Schema, file: str = "audience") -> str:
    """The rule as a DuckDB condition over the table's columns; ConfigError `file: rule: what` if wrong."""
    return compiled(condition(rule, schema, file))


def condition(rule: str, schema: pa.Schema, file: str = "audience") -> Condition:
    """The rule as a SQLAlchemy condition that any database can run; ConfigError if it is wrong."""
    try:
        return Reading(schema).truth(ast.parse(rule.strip(), mode="eval").body)
    except SyntaxError as wrong:
        raise ConfigError(f"{file}: rule: cannot be read at character {wrong.offset}: {wrong.msg}") from None
    except Refused as wrong:
        raise ConfigError(f"{file}: rule: {wrong}") from None


class Refused(Exception):
    """What is wrong with a rule, in words for the person who wrote it."""


class Reading:
    """A rule read over the columns of one table."""

    def __init__(self, schema: pa.Schema) -> None:
        self.types = {field.name: field.type for field in schema}

    def truth(self, node: ast.expr) -> Condition:
        """A part of the rule that is true or false."""
        if isinstance(node, ast.BoolOp):
            joined = sa.and_ if isinstance(node.op, ast.And) else sa.or_
            return joined(*(self.truth(part) for part in node.values)).self_group()
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return sa.not_(self.truth(node.operand).self_group())
        if isinstance(node, ast.Compare):
            return self.chain(node)
        if isinstance(node, ast.Name):
            return self.flag(node)
        raise Refused(f"{ast.unparse(node)!r} is not a condition")

    def flag(self, node: ast.Name) -> Condition:
        column = self.column(node)
        if not pa.types.is_boolean(self.types[node.id]):
            raise Refused(f"{node.id!r} holds {kind(self.types[node.id])}: compare it with something")
        return column

    def chain(self, node: ast.Compare) -> Condition:
        """`a < b < c` is `a < b and b < c`, as people read it."""
        sides = [node.left, *node.comparators]
        links = [
            self.link(left, sign, right)
            for left, sign, right in zip(sides[:-1], node.ops, sides[1:], strict=True)
        ]
        return sa.and_(*links).self_group() if len(links) > 1 else links[0]

    def link(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Condition:
        """One comparison between two sides."""
        if isinstance(sign, ast.Is | ast.IsNot):
            return self.emptiness(left, sign, right)
        if isinstance(sign, ast.In | ast.NotIn):
            return self.membership(left, sign, right)
        if isinstance(left, ast.Name) and isinstance(right, ast.Name):
            self.comparable(left, right)
            return self.compared(sign, self.column(left), self.column(right))
        if isinstance(left, ast.Name):
            return self.compared(sign, self.column(left), self.constant(right, left))
        if isinstance(right, ast.Name):
            return self.compared(sign, self.constant(left, right), self.column(right))
        raise Refused(f"{ast.unparse(left)} … {ast.unparse(right)} names no column")

    def compared(self, sign: ast.cmpop, left: Any, right: Any) -> Condition:
        result: Condition = COMPARISONS[type(sign)](left, right)
        return result

    def comparable(self, left: ast.Name, right: ast.Name) -> None:
        self.column(left), self.column(right)
        kinds = [kind(self.types[name.id]) for name in (left, right)]
        if kinds[0] != kinds[1]:
            raise Refused(f"{left.id!r} holds {kinds[0]}, {right.id!r} holds {kinds[1]}")

    def emptiness(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Condition:
        if not (isinstance(right, ast.Constant) and right.value is None and isinstance(left, ast.Name)):
            raise Refused("`is` goes with None only: `column is None`, `column is not None`")
        column = self.column(left)
        return column.is_(None) if isinstance(sign, ast.Is) else column.is_not(None)

    def membership(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Condition:
        """`column in [1, 2]`, or `'text' in column`."""
        if isinstance(left, ast.Name) and isinstance(right, ast.List | ast.Tuple | ast.Set):
            if not right.elts:
                raise Refused(f"{ast.unparse(left)} in an empty list: nobody could be in the audience")
            found: Condition = self.column(left).in_([self.constant(value, left) for value in right.elts])
        elif isinstance(left, ast.Constant) and isinstance(right, ast.Name):
            if kind(self.type_of(right)) != "text":
                raise Refused(f"{right.id!r} holds {kind(self.types[right.id])}: `in` looks into text only")
            found = self.column(right).contains(self.constant(left, right), autoescape=True)
        else:
            raise Refused(f"{ast.unparse(left)} in …: write `column in [..]` or `'text' in column`")
        return found if isinstance(sign, ast.In) else sa.not_(found)

    def type_of(self, node: ast.Name) -> pa.DataType:
        if node.id not in self.types:
            near = difflib.get_close_matches(node.id, self.types, n=1)
            raise Refused(f"column {node.id!r} is unknown" + (f"; did you mean {near[0]!r}?" if near else ""))
        return self.types[node.id]

    def column(self, node: ast.Name) -> sa.ColumnClause[Any]:
        return sa.column(node.id, sql_type(self.type_of(node)))

    def constant(self, node: ast.expr, beside: ast.Name) -> Any:
        """A constant as a typed value of the column it stands beside."""
        try:
            value = ast.literal_eval(node)
        except ValueError:
            raise Refused(f"{ast.unparse(node)!r} is neither a column nor a constant") from None
        if value is None:
            raise Refused(f"nothing equals None: write `{beside.id} is None` or `{beside.id} is not None`")
        arrow = self.type_of(beside)
        typed = READERS[kind(arrow)](value, ast.unparse(node))
        if typed is None:
            raise Refused(f"{beside.id!r} holds {kind(arrow)}, and {value!r} is not one")
        if kind(arrow) in {"a date", "a date and time"}:
            return sa.cast(sa.literal(typed, sa.Text), sql_type(arrow))
        return typed


def kind(arrow: pa.DataType) -> str:
    """What a column holds, in words."""
    kinds = (
        (pa.types.is_boolean, "true or false"),
        (pa.types.is_integer, "a number"),
        (pa.types.is_floating, "a number"),
        (pa.types.is_decimal, "a number"),
        (pa.types.is_date, "a date"),
        (pa.types.is_timestamp, "a date and time"),
        (pa.types.is_string, "text"),
        (pa.types.is_large_string, "text"),
        (pa.types.is_string_view, "text"),
    )
    return next((words for is_it, words in kinds if is_it(arrow)), "something rules cannot compare")


def number(value: Any, text: str) -> Any:
    """Exactly as written: 0.1 is a tenth, never a float near it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) else sa.literal_column(f"{Decimal(text):f}")


def a_date(value: Any, text: str) -> str | None:
    try:
        return date.fromisoformat(value).isoformat() if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def a_time(value: Any, text: str) -> str | None:
    try:
        told = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return told.isoformat(sep=" ") if told and told.tzinfo is None else None


READERS: dict[str, Callable[[Any, str], Any]] = {
    "a number": number,
    "a date": a_date,
    "a date and time": a_time,
    "text": lambda value, text: value if isinstance(value, str) else None,
    "true or false": lambda value, text: sa.literal(value) if isinstance(value, bool) else None,
    "something rules cannot compare": lambda value, text: None,
}
