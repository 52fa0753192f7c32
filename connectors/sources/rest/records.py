"""One JSON record → flat values: paths, lists taken apart, sums, templates. Values stay as spelled."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from math import prod
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

HOLE = re.compile(r"\{([^{}:|]+)(?::([^{}|]*)|(\|tail))?\}")
"""In a template: `{path}`, `{path:word}` (the word, where there is a value), `{path|tail}` (what follows
the last slash)."""


NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


class Absent(Exception):
    """A record has no such path at all, which is not the same as an empty value."""


def found(row: Any, path: str) -> Any:
    """The value at `a.b.0.c`; None where something on the way is null. Absent when there is no such key."""
    value = row
    for part in path.split("."):
        if value is None:
            return None
        if isinstance(value, list) and part.isdigit():
            value = value[int(part)] if int(part) < len(value) else None
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            raise Absent(path)
    return value


def value(row: Row, path: str) -> Any:
    """The value at a path; None when there is none for whatever reason."""
    try:
        return found(row, path)
    except Absent:
        return None


def every(row: Any, path: str) -> Iterator[Any]:
    """The values at `a.*.b`: each element of the list at `a`."""
    head, starred, rest = path.partition(".*.")
    inside = value(row, head)
    if not starred:
        yield inside
    elif isinstance(inside, list):
        for element in inside:
            yield from every(element, rest)


def apart(record: Row, path: str) -> Iterator[tuple[int, Row]]:
    """The record once for each element of its list at `path`, which stands there in the list's place; `#` in
    it is its place, from 1. A record whose list is empty comes once, with place 0 and nothing there."""
    elements = found(record, path)
    if not isinstance(elements, list):
        raise Absent(path)
    for place, element in enumerate(elements, start=1):
        inner = element if isinstance(element, dict) else {"value": element}
        yield place, put(record, path, {**inner, "#": place})
    if not elements:
        yield 0, put(record, path, None)


def put(record: Row, path: str, new: Any) -> Row:
    """A copy of the record with another value at a path."""
    head, _, rest = path.partition(".")
    return {**record, head: put(record[head], rest, new) if rest else new}


def spelled(told: Any) -> str | None:
    """A value as text: numbers as the API spells them, objects and lists as JSON."""
    if told is None or isinstance(told, str):
        return told
    return json.dumps(told, ensure_ascii=False)


def filled(templates: str | Sequence[str], row: Row) -> str | None:
    """The first of the templates of which every part has a value."""
    for template in [templates] if isinstance(templates, str) else templates:
        parts = {hole.group(0): part(hole, row) for hole in HOLE.finditer(template)}
        if None not in parts.values():
            return HOLE.sub(lambda hole: str(parts[hole.group(0)]), template)  # noqa: B023
    return None


def part(hole: re.Match[str], row: Row) -> str | None:
    text = spelled(value(row, hole[1]))
    if text is None or text == "":
        return None
    if hole[3]:
        return text.rpartition("/")[2]
    return text if hole[2] is None else hole[2]


def total(terms: Iterable[str], row: Row) -> str | None:
    """The sum of `path`, `-path`, `path * path` and `path * path / path`, exact but for what a division
    leaves; None where a part of the first has no value. A value that is no number makes the sum unreadable,
    and so visible: it stands in the sum's place."""
    made: Decimal | None = None
    for term in terms:
        sign, factors = (-1, term[1:]) if term.startswith("-") else (1, term)
        if ".*." in term:
            made = made or Decimal(0)  # a list may well be empty
        for amount in products(factors, row):
            if isinstance(amount, str):
                return amount
            made = (made or Decimal(0)) + sign * amount
        if made is None:
            return None
    return None if made is None else f"{made:f}"


def products(term: str, row: Row) -> Iterator[Decimal | str]:
    """The product of the values at a term's paths, divided by the one after ` / `; for each at the first."""
    above, _, below = term.partition(" / ")
    first, *others = (path.strip() for path in above.split(" * "))
    rest = [value(row, path) for path in [*others, below.strip()] if path]
    for one in every(row, first):
        texts = [spelled(factor) or "" for factor in (one, *rest)]
        if "" in texts:
            continue
        wrong = next((text for text in texts if not NUMBER.fullmatch(text)), None)
        numbers = [Decimal(text) for text in texts] if wrong is None else []
        yield product(numbers, divided=bool(below)) if wrong is None else wrong


def product(numbers: list[Decimal], *, divided: bool) -> Decimal | str:
    """What numbers make together, the last of them dividing the others; by none, it is no number."""
    if not divided:
        return prod(numbers, start=Decimal(1))
    *factors, by = numbers
    return prod(factors, start=Decimal(1)) / by if by else "divided by 0"


def joined(body: Any, records: list[Row]) -> list[Row]:
    """JSON:API records with what they refer to, where the reply includes it: `relationships.profile.data`
    becomes the profile itself."""
    included = {(one["type"], one["id"]): one for one in body.get("included") or ()}
    return [
        {**record, "relationships": related(record.get("relationships") or {}, included)}
        for record in records
    ]


def related(relationships: Mapping[str, Any], included: Mapping[tuple[Any, Any], Any]) -> Row:
    made: Row = {}
    for name, relation in relationships.items():
        data = relation.get("data")
        known = included.get((data["type"], data["id"])) if isinstance(data, dict) else None
        made[name] = {**relation, "data": known or data}
    return made
