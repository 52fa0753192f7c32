"""Who is in an audience: one line of text, checked against a table's columns, as a SQL condition.

    description: Best customers who have stopped coming
    rule: rfm_recency in [1, 2] and rfm_frequency_monetary in [5, 6]

A rule compares columns with constants: `==  !=  <  <=  >  >=`, chained (`2 <= orders < 5`), `in [..]`,
`not in [..]`, `is None`, `is not None`, `'text' in column`, `column.startswith('text')`,
`column.endswith('text')`, a true-or-false column by itself, joined by `and`, `or`, `not`.
Dates are 'YYYY-MM-DD', or `days_ago(90)` and `days_ahead(14)`: the day so many days before or after the day
the table was worked out for; beside a date and time, its first moment.
A rule is parsed by Python and never executed. An empty value is in no comparison, `!=` and `not in`
included: ask for it by `is None`.
"""

from __future__ import annotations

import ast
import difflib
import operator
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

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

RELATIVE = {"days_ago": -1, "days_ahead": 1}
"""A day told by its distance from the table's day → which way it lies."""

MOST_DAYS = 36_525
"""A century: further away is a mistake."""


MOST_DEEP, LARGEST = 100, 10**38


def where_sql(rule: str, schema: pa.Schema, file: str = "audience", as_of: date | None = None) -> str:
    """The rule as a DuckDB condition over the table's columns; ConfigError `file: rule: what` if wrong."""
    return compiled(condition(rule, schema, file, as_of))


def condition(rule: str, schema: pa.Schema, file: str = "audience", as_of: date | None = None) -> Condition:
    """The rule as a SQLAlchemy condition that any database can run; ConfigError if it is wrong.

    `as_of` is the day the table was worked out for: without it, `days_ago` is refused."""
    try:
        return Reading(schema, as_of).truth(parsed(rule))
    except Refused as wrong:
        raise ConfigError(f"{file}: rule: {wrong}") from None


def parsed(rule: str) -> ast.expr:
    """The rule as Python reads it; Refused if it cannot."""
    try:
        return shallow(ast.parse(rule.strip(), mode="eval").body)
    except SyntaxError as wrong:
        raise Refused(f"cannot be read at character {wrong.offset}: {wrong.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise Refused("cannot be read") from None


def shallow(read: ast.expr) -> ast.expr:
    """The same; Refused when its parts are in one another too often, or a constant is one no table holds."""
    level: list[ast.AST] = [read]
    for _ in range(MOST_DEEP):
        level = [part for node in level for part in ast.iter_child_nodes(node)]
        for node in level:
            if isinstance(node, ast.Constant) and beyond(node.value):
                raise Refused("holds a number too large, or a character that is none")
        if not level:
            return read
    raise Refused(f"its parts are more than {MOST_DEEP} deep in one another")


def beyond(value: Any) -> bool:
    if isinstance(value, str):
        return any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value)
    return isinstance(value, int) and abs(value) >= LARGEST


def columns_of(rule: str) -> tuple[str, ...]:
    """The columns a rule names, known or not, each once; Refused if it cannot be read."""
    called = [node.func for node in ast.walk(parsed(rule)) if isinstance(node, ast.Call)]
    names = (node.id for node in ast.walk(parsed(rule)) if isinstance(node, ast.Name))
    functions = {node.id for node in called if isinstance(node, ast.Name)}
    return tuple(dict.fromkeys(name for name in names if name not in functions))


def nearest(name: str, known: Iterable[str]) -> str:
    """What to add to a complaint about an unknown name: the one that was meant, as far as one can tell."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Refused(Exception):
    """What is wrong with a rule, in words for the person who wrote it."""


class Reading:
    """A rule read over the columns of one table, worked out for one day."""

    def __init__(self, schema: pa.Schema, as_of: date | None = None) -> None:
        self.as_of = as_of
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
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return self.edge(node, node.func)
        raise Refused(f"{ast.unparse(node)!r} is not a condition")

    def flag(self, node: ast.Name) -> Condition:
        column = self.column(node)
        if not pa.types.is_boolean(self.types[node.id]):
            raise Refused(f"{node.id!r} holds {kind(self.types[node.id])}: compare it with something")
        return column

    def edge(self, node: ast.Call, called: ast.Attribute) -> Condition:
        """`column.startswith('text')` and `column.endswith('text')`."""
        if called.attr not in ("startswith", "endswith") or not isinstance(called.value, ast.Name):
            raise Refused(f"{ast.unparse(node)!r} is not a condition")
        if len(node.args) != 1 or node.keywords:
            raise Refused(f"{called.attr} takes one text: `{called.value.id}.{called.attr}('text')`")
        held = kind(self.type_of(called.value))
        if held != "text":
            raise Refused(f"{called.value.id!r} holds {held}: {called.attr} looks at text only")
        text = self.constant(node.args[0], called.value)
        column = self.column(called.value)
        starts = called.attr == "startswith"
        return (column.startswith if starts else column.endswith)(text, autoescape=True)

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
            raise Refused(f"column {node.id!r} is unknown{nearest(node.id, self.types)}")
        return self.types[node.id]

    def column(self, node: ast.Name) -> sa.ColumnClause[Any]:
        return sa.column(node.id, sql_type(self.type_of(node)))

    def constant(self, node: ast.expr, beside: ast.Name) -> Any:
        """A constant as a typed value of the column it stands beside."""
        arrow = self.type_of(beside)
        value = self.value(node)
        if value is None:
            raise Refused(f"nothing equals None: write `{beside.id} is None` or `{beside.id} is not None`")
        odd = isinstance(node, ast.Call) and kind(arrow) not in DATES
        typed = None if odd else READERS[kind(arrow)](value, ast.unparse(node))
        if typed is None:
            raise Refused(f"{beside.id!r} holds {kind(arrow)}, and {value!r} is not one")
        if kind(arrow) in DATES:
            return sa.cast(sa.literal(typed, sa.Text), sql_type(arrow))
        return typed

    def value(self, node: ast.expr) -> Any:
        """A constant as Python has it; a relative day as its date in text."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RELATIVE:
            return self.relative_day(node, node.func.id)
        try:
            return ast.literal_eval(node)
        except (ValueError, TypeError):
            raise Refused(f"{ast.unparse(node)!r} is neither a column nor a constant") from None

    def relative_day(self, node: ast.Call, name: str) -> str:
        given = node.args[0] if len(node.args) == 1 and not node.keywords else None
        number = given.value if isinstance(given, ast.Constant) else None
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= MOST_DAYS:
            raise Refused(f"{name} takes a whole number of days up to {MOST_DAYS}: `{name}(90)`")
        if self.as_of is None:
            raise Refused(f"{ast.unparse(node)} cannot be told: the table does not say for which day it is")
        return (self.as_of + timedelta(days=RELATIVE[name] * number)).isoformat()


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


DATES = {"a date", "a date and time"}


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
