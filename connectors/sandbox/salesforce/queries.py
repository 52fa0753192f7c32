"""SOQL carried out on an org: its own fields, and those of records it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.sandbox.salesforce.objects import RELATED
from connectors.sandbox.salesforce.org import Org, Record
from connectors.sandbox.salesforce.soql import parse
from connectors.sandbox.salesforce.values import CallError


@dataclass(frozen=True, slots=True)
class Path:
    """A column: the relationships that lead to it, each with its field and object, and its own field."""

    steps: tuple[tuple[str, str, str], ...]
    field: str

    def record(self, org: Org, record: Record) -> Record | None:
        """The record that has the column; None where a reference on the way is empty."""
        found: Record | None = record
        for _, field, target in self.steps:
            found = org.tables[target].get(found.get(field) or "") if found else None
        return found

    def value(self, org: Org, record: Record) -> Any:
        found = self.record(org, record)
        return found.get(self.field) if found else None


def run(org: Org, text: str, version: str) -> tuple[str, list[Record]]:
    """(object, records with the asked columns only, in the asked order of columns)."""
    asked = parse(text)
    if asked.object.lower() not in {name.lower() for name in org.tables}:
        raise CallError(400, "INVALID_TYPE", f"sObject type '{asked.object}' is not supported.")
    name = org.object_name(asked.object)
    columns = [path(org, name, field) for field in asked.fields]
    tests = [(path(org, name, test.field), test) for test in asked.conditions]
    rows = org.tables[name].values()
    found = [row for row in rows if all(test.holds(p.value(org, row)) for p, test in tests)]
    if asked.order:
        by = path(org, name, asked.order)
        found.sort(key=lambda row: str(by.value(org, row)))
    return name, [told(org, row, columns, version) for row in found[: asked.limit]]


def path(org: Org, name: str, column: str) -> Path:
    """`Contact.Account.Name` seen from an object; CallError 400 where a part is none."""
    *relations, field = column.split(".")
    steps = []
    for relation in relations:
        known = {(a.lower(), b.lower()): (b, *target) for (a, b), target in RELATED.items()}
        if (name.lower(), relation.lower()) not in known:
            told = f"Didn't understand relationship '{relation}' in field path."
            raise CallError(400, "INVALID_FIELD", told)
        step = known[name.lower(), relation.lower()]
        steps.append(step)
        name = step[2]
    return Path(tuple(steps), org.column(name, field))


def told(org: Org, record: Record, columns: list[Path], version: str) -> Record:
    """A record as a reply has it: what comes by a relationship stands in an object of its own."""
    made: Record = {}
    for column in columns:
        inner = made
        for depth, (relation, _, target) in enumerate(column.steps, start=1):
            other = Path(column.steps[:depth], "Id").record(org, record)
            if other is None:
                inner[relation] = None
                break
            url = f"/services/data/v{version}/sobjects/{target}/{other['Id']}"
            inner = inner.setdefault(relation, {"attributes": {"type": target, "url": url}})
        else:
            inner[column.field] = column.value(org, record)
    return made
