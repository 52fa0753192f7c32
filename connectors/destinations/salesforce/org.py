"""One signed-in Salesforce org: its calls, what its fields are, how its values are spelled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus

import requests
from simple_salesforce.api import Salesforce as Client

from octo_dagster.errors import Retryable
from octo_dagster.model import Change, FieldType, Value

QUERY_CHARACTERS = 12_000
"""Of the URI once encoded: URI and headers together must stay below 16 KB."""
QUOTA_WAIT = 3600.0
NULL_CELL = "#N/A"


class Org:
    """The client handed from `connect` to every verb. Reads the object's description once."""

    def __init__(self, client: Client, name: str, headers: Mapping[str, str]) -> None:
        self.client = client
        self.name = name
        self.headers = dict(headers)
        self.known: dict[str, dict[str, Any]] = {}
        self.user: str | None = None
        self.campaigns: list[str] | None = None
        self.person_types: dict[str, str] | None = None

    def fields(self, name: str | None = None, *, again: bool = False) -> dict[str, dict[str, Any]]:
        """The fields of this or another object as `describe` tells them, by lower-case name: those the
        user may see."""
        name = name or self.name
        if name not in self.known or again:
            told = self.call("GET", f"sobjects/{name}/describe").json()
            self.known[name] = {field["name"].lower(): field for field in told["fields"]}
        return self.known[name]

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """A call whose status the caller reads; `path` is below the versioned base."""
        headers = {**self.client.headers, **options.pop("headers", {})}
        url = self.client.base_url + path
        reply: requests.Response = self.client.session.request(method, url, headers=headers, **options)
        self.client.api_usage.update(self.client.parse_api_usage(reply.headers.get("Sforce-Limit-Info", "")))
        return reply

    def collection(self, method: str, path: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Up to 200 records in one call; the reply's rows are in the order of the records."""
        body = json.dumps({"allOrNone": False, "records": records})
        path = f"composite/sobjects{path}"
        return self.client.restful(path, method=method, data=body, headers=self.headers) or []

    def below(self, share: float) -> None:
        """Retryable when the org has used this share of its calls of the last 24 hours, or more."""
        usage = self.client.api_usage.get("api-usage")
        if usage and usage.total and usage.used >= share * usage.total:
            told = f"salesforce: {usage.used} of {usage.total} calls of the last 24 hours are used"
            raise Retryable(f"{told}; stopped at {share:.0%} to leave the rest to others", QUOTA_WAIT)

    def me(self) -> str:
        """The id of the user that Octo signs in as (REST guide, Resources by Version: `identity`)."""
        if self.user is None:
            self.user = str(self.call("GET", "").json()["identity"]).rpartition("/")[2]
        return self.user

    def query(self, text: str) -> list[dict[str, Any]]:
        """The records of a short query, their columns by lower-case name."""
        return [flat(record) for record in self.client.query_all_iter(text)]

    def select(
        self, columns: Iterable[str], key_field: str, keys: Iterable[str], of: Sequence[str] = ()
    ) -> Iterator[dict[str, Any]]:
        """The records whose key is one of these, as many queries as the URI's length asks for.

        `of`: another object than this one, and conditions that hold besides. Columns of related objects
        (`Contact.Name`) are told under that name, in lower case."""
        source, *conditions = of or (self.name,)
        named = {name.lower(): name for name in (key_field, *columns)}
        start = f"SELECT {', '.join(named.values())} FROM {source} WHERE "
        start += "".join(f"{condition} AND " for condition in conditions) + f"{key_field} IN ("
        room = QUERY_CHARACTERS - len(quote_plus(start))
        for literals in packed(map(literal, keys), room):
            yield from map(flat, self.client.query_all_iter(f"{start}{','.join(literals)})"))

    def ids(self, key_field: str, keys: Iterable[str]) -> dict[str, list[str]]:
        """Folded key → ids of the records that have it."""
        found: dict[str, list[str]] = {}
        for record in self.select(["Id"], key_field, keys):
            found.setdefault(fold(record[key_field.lower()]), []).append(record["id"])
        return found

    def drop(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Delete up to 200 records by their ids, into the recycle bin; told in their order."""
        if not ids:
            return []
        asked = {"ids": ",".join(ids), "allOrNone": "false"}
        return self.client.restful("composite/sobjects", params=asked, method="DELETE") or []


def flat(record: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """A record of a reply: columns by lower-case name, those of related records as `contact.name`."""
    made: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping) and "attributes" in value:
            made |= flat(value, f"{before}{name.lower()}.")
        elif name != "attributes":
            made[f"{before}{name.lower()}"] = value
    return made


def packed(literals: Iterable[str], room: int) -> Iterator[list[str]]:
    """Lists of literals that each fit into so many encoded characters."""
    held: list[str] = []
    used = 0
    for text in literals:
        size = len(quote_plus(text)) + 3
        if held and used + size > room:
            yield held
            held, used = [], 0
        held.append(text)
        used += size
    if held:
        yield held


def literal(key: str) -> str:
    """A text literal of SOQL."""
    text = key.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t") + "'"


def fold(key: Any) -> str:
    """Two keys that fold alike are one record to Salesforce."""
    return str(key).lower()


def unsayable(org: Org, change: Change) -> str | None:
    """Why this record cannot be told apart from another one once it is spelled, or kept; None when it can."""
    known = org.fields()
    for name, value in change.fields.items():
        if isinstance(value, Decimal) and (cut := rounded_to(value, known.get(name.lower()))) is not None:
            return (
                f"OCTO_UNSAYABLE: the field keeps {cut} decimals and would round without a word; "
                f"map it with `round: {cut}` ({name})"
            )
        if isinstance(value, list) and any(";" in item for item in value):
            return f"OCTO_UNSAYABLE: an item of the list has a semicolon, which separates items ({name})"
        if value == NULL_CELL:
            return f"OCTO_UNSAYABLE: {NULL_CELL} is how a bulk job spells an empty field ({name})"
    return None


def rounded_to(value: Decimal, field: Mapping[str, Any] | None) -> int | None:
    """How many decimals a number field keeps, of a value that has more; None when it keeps all of it."""
    if field is None or field["type"] not in ("double", "currency", "percent"):
        return None
    scale = int(field["scale"])
    return scale if value != round(value, scale) else None


def in_json(value: Value, kind: FieldType | None) -> Any:
    """As a JSON record spells it. A checkbox cannot be empty: None is false there."""
    if value is None:
        return False if kind is FieldType.BOOLEAN else None
    if isinstance(value, list):
        return ";".join(value) or None
    if isinstance(value, Decimal):
        near = float(value)
        return near if Decimal(repr(near)) == value else format(value, "f")
    return value


def in_csv(value: Value, kind: FieldType | None) -> str:
    """As a bulk job's CSV spells it: an empty cell would leave the field alone, `#N/A` empties it."""
    if value is None:
        return "false" if kind is FieldType.BOOLEAN else NULL_CELL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ";".join(value) or NULL_CELL
    return format(value, "f") if isinstance(value, Decimal) else str(value) or NULL_CELL


def as_value(told: Any, kind: str) -> Value:
    """What a reply tells of a field of this `describe` type, in the words of `model.Value`."""
    if told is None or isinstance(told, bool):
        return told
    if kind == "multipicklist":
        return str(told).split(";")
    if kind == "datetime":
        return datetime.fromisoformat(told).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(told, Decimal):
        return int(told) if told == told.to_integral_value() else told
    return told if isinstance(told, int) else str(told)
