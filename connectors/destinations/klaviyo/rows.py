"""What a change looks like to Klaviyo: a profile's attributes and properties, and back again."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from connectors.destinations.klaviyo.api import Resource
from octo_dagster.model import Change, Fields, FieldType, Value

KEYS = ("email", "external_id")
IDENTIFIERS = frozenset({"email", "phone_number", "external_id"})
ATTRIBUTES = IDENTIFIERS | {"first_name", "last_name", "organization", "locale", "title", "image"}
"""What every profile has of itself and may be written (spec: ProfileUpsertQuery). The rest are properties."""
PLACES = frozenset(
    {"address1", "address2", "city", "country", "latitude", "longitude", "region", "zip", "timezone", "ip"}
)
"""Written as `location.city`."""
COORDINATES = frozenset({"location.latitude", "location.longitude"})
THEIRS = frozenset(
    {"id", "created", "updated", "last_event_date", "joined_group_at", "_kx", "location", "properties"}
    | {"subscriptions", "predictive_analytics", "anonymous_id"}
)
"""Klaviyo's own, consent among them: neither written, nor hidden behind a property of the same name."""
NUMBERS = frozenset({FieldType.INTEGER, FieldType.DECIMAL})
EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
PHONE = re.compile(r"\+[1-9]\d{6,14}")
LARGEST = 100_000
"""Bytes of one profile (spec)."""
EXACT = 2**53
"""Whole numbers beyond it do not survive a reader that keeps numbers as floats."""


def problem(name: str, kind: FieldType) -> str | None:
    """Why a field cannot be written as mapped; None when it can."""
    place = name.partition(".")[2] if name.startswith("location.") else None
    if name in THEIRS:
        return "is Klaviyo's own, and Octo never writes it"
    if name.startswith("$"):
        return "names with $ are Klaviyo's own, consent among them, and Octo never writes them"
    if place is not None and place not in PLACES:
        return f"location has no {place!r}; it has {', '.join(sorted(PLACES))}"
    if name in COORDINATES and kind in NUMBERS:
        return None
    standard = place is not None or name in ATTRIBUTES
    return f"holds text, not {kind}" if standard and kind is not FieldType.TEXT else None


def unfit(change: Change, key_field: str) -> str | None:
    """Why Klaviyo would refuse this change, and perhaps a whole job with it; None when it would not."""
    told = {**change.fields, key_field: change.key}
    email, phone, number = (told.get(name) for name in ("email", "phone_number", "external_id"))
    if email and not EMAIL.fullmatch(str(email)):
        return "email: not an address"
    if phone and not PHONE.fullmatch(str(phone)):
        return "phone_number: not in the form +33612345678"
    if key_field == "external_id" and "@" in str(number):
        return "external_id: an address; a sync of addresses has the key email"
    return too_large(change, key_field)


def too_large(change: Change, key_field: str) -> str | None:
    """Why a profile does not fit; measured only where its letters, of six bytes at most, may be too many."""
    if 6 * sum(len(str(value)) for value in change.fields.values()) < LARGEST / 2:
        return None
    size = len(compact(profile(change, key_field)))
    return f"the profile has {size:,} bytes; Klaviyo takes {LARGEST:,}" if size > LARGEST else None


def compact(value: Any) -> bytes:
    """JSON as it goes over the wire."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def profile(change: Change, key_field: str) -> dict[str, Any]:
    """A profile to be created or updated, with the fields that hold something: an import cannot empty any.

    Nothing here can say anything of consent: that is given at other addresses, which are never called."""
    made: dict[str, Any] = {}
    for name, value in change.fields.items():
        if not blank(value):
            put(made, name, as_json(value))
    return {"type": "profile", "attributes": {**made, key_field: change.key}}


def put(attributes: dict[str, Any], name: str, value: Any) -> None:
    """Set a field where a profile has it."""
    if name in ATTRIBUTES:
        attributes[name] = value
    elif name.startswith("location."):
        attributes.setdefault("location", {})[name.partition(".")[2]] = value
    else:
        attributes.setdefault("properties", {})[name] = value


def emptied(number: str, names: Iterable[str]) -> dict[str, Any]:
    """An update that empties these fields of a profile there is: attributes by null, properties by `unset`,
    which "removes a key or keys (and their values) completely from properties" (spec)."""
    attributes: dict[str, Any] = {}
    for name in names:
        if not is_property(name):
            put(attributes, name, None)
    data: dict[str, Any] = {"type": "profile", "id": number, "attributes": attributes}
    unset = [name for name in names if is_property(name)]
    return {"data": data | ({"meta": {"patch_properties": {"unset": unset}}} if unset else {})}


def is_property(name: str) -> bool:
    return name not in ATTRIBUTES and not name.startswith("location.")


def sparse(names: Iterable[str]) -> set[str]:
    """What to ask a reply to hold, so that these fields are in it."""
    return {"properties" if is_property(name) else name for name in names}


def shown(found: Resource, names: Collection[str]) -> dict[str, Value]:
    """These fields as a profile holds them now."""
    attributes = found["attributes"]
    location, properties = attributes.get("location") or {}, attributes.get("properties") or {}
    return {
        name: properties.get(name)
        if is_property(name)
        else location.get(name.partition(".")[2])
        if name.startswith("location.")
        else attributes.get(name)
        for name in names
    }


def blanks(fields: Fields) -> list[str]:
    """The fields a change empties."""
    return [name for name, value in fields.items() if blank(value)]


def blank(value: Value) -> bool:
    return value is None or value in ("", [])


def as_json(value: Value) -> Any:
    """A value as it is sent: a number as a number, unless a float would not hold it."""
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return as_json(int(value))
        near = float(value)
        return near if Decimal(repr(near)) == value else format(value, "f")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT:
        return str(value)
    return value


def fold(key: Any) -> str:
    """A key as compared: addresses ignore case, external ids are taken as they are."""
    return str(key).lower() if "@" in str(key) else str(key)


def spellings(keys: Iterable[str]) -> list[str]:
    """The keys to ask for. An address that has capitals is asked for without them too: which of the two
    Klaviyo keeps is not documented."""
    return list(dict.fromkeys(name for key in keys for name in (key, fold(key))))


def owner(payload: Any, key_field: str) -> str | None:
    """The key a rejected row's `original_payload` has, be it the profile or its attributes alone."""
    if not isinstance(payload, Mapping):
        return None
    inner = payload.get("attributes")
    value = (inner if isinstance(inner, Mapping) else payload).get(key_field)
    return fold(value) if value else None
