"""The part of SOQL a sync needs: SELECT … FROM … [WHERE a = 1 AND b IN (…)] [ORDER BY …] [LIMIT n]."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.salesforce.values import CallError

QUERY = re.compile(
    r"\s*select\s+(?P<fields>[\w.,\s]+?)\s+from\s+(?P<object>\w+)"
    r"(?:\s+where\s+(?P<where>.+?))??(?:\s+order\s+by\s+(?P<order>[\w.]+))?(?:\s+limit\s+(?P<limit>\d+))?\s*",
    re.IGNORECASE | re.DOTALL,
)
TEXT = r"'(?:[^'\\]|\\.)*'"
LITERAL = rf"(?:{TEXT}|[\w.:+-]+)"
CONDITION = re.compile(
    rf"\s*(?P<field>[\w.]+)\s*(?:(?P<op>!=|=|>=|<=|>|<)\s*(?P<one>{LITERAL})"
    rf"|in\s*\(\s*(?P<many>{LITERAL}(?:\s*,\s*{LITERAL})*)\s*\))\s*",
    re.IGNORECASE | re.DOTALL,
)
JOIN = re.compile(r"and\b", re.IGNORECASE)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. Text is compared without regard to case, as the vendor does."""

    field: str
    op: str
    values: frozenset[Any]

    def holds(self, value: Any) -> bool:
        value = value.lower() if isinstance(value, str) else value
        if self.op in {"=", "in"}:
            return value in self.values
        if self.op == "!=":
            return value not in self.values
        compare: Mapping[str, Callable[[Any, Any], bool]] = {
            ">": lambda a, b: a > b,
            "<": lambda a, b: a < b,
            ">=": lambda a, b: a >= b,
            "<=": lambda a, b: a <= b,
        }
        return value is not None and compare[self.op](value, next(iter(self.values)))


@dataclass(frozen=True, slots=True)
class Query:
    """A query as read: names are still as the caller spelled them."""

    object: str
    fields: tuple[str, ...]
    conditions: tuple[Condition, ...]
    order: str | None
    limit: int | None


def parse(text: str) -> Query:
    """CallError 400 MALFORMED_QUERY for what is not SOQL, or not the part of it known here."""
    found = QUERY.fullmatch(text)
    if not found:
        raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{text[:40]}'")
    fields = tuple(name.strip() for name in found["fields"].split(","))
    twice = [name for name in fields if [n.lower() for n in fields].count(name.lower()) > 1]
    if twice or not all(fields):
        raise CallError(400, "INVALID_FIELD", f"duplicate field selected: {''.join(twice[:1])}")
    limit = int(found["limit"]) if found["limit"] else None
    return Query(found["object"], fields, conditions(found["where"]), found["order"], limit)


def conditions(where: str | None) -> tuple[Condition, ...]:
    """The comparisons of a WHERE clause, all of which must hold."""
    found: list[Condition] = []
    at = 0
    while where and at < len(where):
        joined = JOIN.match(where, at) if found else None
        at = joined.end() if joined else at
        match = CONDITION.match(where, at)
        if not match or (found and not joined):
            raise CallError(400, "MALFORMED_QUERY", f"unexpected token: '{where[at : at + 20]}'")
        many = match["many"]
        listed = re.findall(LITERAL, many, re.DOTALL) if many else [match["one"]]
        found.append(Condition(match["field"], match["op"] or "in", frozenset(map(literal, listed))))
        at = match.end()
    return tuple(found)


def literal(text: str) -> Any:
    """The value a literal stands for, text in lower case."""
    if text.startswith("'"):
        return re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[1]), text[1:-1], flags=re.DOTALL).lower()
    words: Mapping[str, Any] = {"null": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        return float(text)
    return text.lower()
