"""What there is in a Klaviyo account, for somebody who connects it: properties, lists, missing scopes."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from connectors.destinations.klaviyo.api import PAGE, Api, content, expected
from connectors.destinations.klaviyo.rows import ATTRIBUTES, KEYS, PLACES, problem
from octo_dagster.destination import Survey
from octo_dagster.model import FieldType

DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
ALIKE = frozenset({FieldType.INTEGER, FieldType.DECIMAL})
LISTS_PAGE = 10
NEEDED = {
    "/api/profiles": "profiles:read: profiles cannot be looked for, nor read back",
    "/api/lists": "lists:read: the list cannot be found",
}
"""Scopes that a look can tell of. That `profiles:write` and `lists:write` are there only a write can."""


def look_round(api: Api) -> Survey:
    """The properties of the hundred profiles changed last (Klaviyo keeps no register of them), all lists."""
    missing = [why for path, why in NEEDED.items() if api.call("GET", path).status_code == 403]
    fields: dict[str, FieldType | None] = dict.fromkeys(
        sorted(ATTRIBUTES | {f"location.{name}" for name in PLACES}), FieldType.TEXT
    )
    lists: tuple[str, ...] = ()
    if NEEDED["/api/profiles"] not in missing:
        params = {"sort": "-updated", "fields[profile]": "properties", "page[size]": PAGE}
        reply = content(expected(api.call("GET", "/api/profiles", params=params), 200))
        fields |= kinds(one["attributes"].get("properties") or {} for one in reply["data"])
    if NEEDED["/api/lists"] not in missing:
        rows = api.pages("/api/lists", {"sort": "created", "page[size]": LISTS_PAGE})
        lists = tuple(dict.fromkeys(str(row["attributes"]["name"]) for row in rows))
    return Survey(fields, KEYS, {"list": lists}, missing=tuple(missing))


def kinds(profiles: Any) -> Mapping[str, FieldType | None]:
    """Property → the one type its values have; None where they have several, or none that Octo writes."""
    seen: dict[str, set[FieldType | None]] = defaultdict(set)
    for properties in profiles:
        for name, value in properties.items():
            if value is not None:
                seen[name].add(kind(value))
    return {name: one(found) for name, found in sorted(seen.items()) if not problem(name, FieldType.TEXT)}


def one(found: set[FieldType | None]) -> FieldType | None:
    if len(found) > 1:
        return FieldType.DECIMAL if found == ALIKE else None
    return next(iter(found))


def kind(value: Any) -> FieldType | None:
    """The type a value is of."""
    if isinstance(value, bool):
        return FieldType.BOOLEAN
    if isinstance(value, int):
        return FieldType.INTEGER
    if isinstance(value, str):
        return FieldType.DATE if DAY.fullmatch(value) else moment(value)
    if isinstance(value, list):
        return FieldType.LIST if all(isinstance(item, str) for item in value) else None
    return None if isinstance(value, dict) else FieldType.DECIMAL


def moment(value: str) -> FieldType:
    return FieldType.DATETIME if MOMENT.fullmatch(value) else FieldType.TEXT
