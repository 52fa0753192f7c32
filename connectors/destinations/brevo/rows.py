"""What a change looks like to Brevo: rows of an import, the values in them, and back again.

An import writes what is not empty. With `emptyContactsAttributes: true` "the empty fields in your import
will erase any attribute that currently contain data"; with false, our setting for values, they change
nothing (docs of POST /contacts/import, the only documented way to empty a field of any type: a single
update says that values which do not fit the type, and so perhaps "", are ignored). To erase is therefore
an import of its own, rectangular: every row of it has the same fields and all of them are empty, so that
it makes no difference whether Brevo takes a field which only other rows have for an empty one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from octo_dagster.model import Batch, Change, Fields, Value

PHONES = frozenset({"SMS", "WHATSAPP", "LANDLINE_NUMBER"})
IDENTIFIERS = PHONES | {"EMAIL", "EXT_ID"}
PHONE = re.compile(r"\+[1-9]\d{7,14}")

Body = dict[str, Any]


def imports(batch: Batch, changes: Iterable[Change], list_id: int) -> Iterator[Body]:
    """The bodies of the imports that carry these changes: one for values, and those that erase."""
    rows, blanks = [], {}
    for change in changes:
        values = {name: value for name, value in change.fields.items() if not blank(value)}
        rows.append(item(batch.key_field, change.key, values))
        blanks[change.key] = frozenset(name for name in change.fields if name not in values)
    yield body(rows, list_id, erase=False)
    yield from erasures(batch.key_field, blanks, list_id)


def erasures(key_field: str, blanks: Mapping[str, frozenset[str]], list_id: int) -> Iterator[Body]:
    """The imports that empty these fields of these keys: as few rectangles as either way of cutting gives."""
    together: dict[frozenset[str], list[str]] = defaultdict(list)
    apart: dict[frozenset[str], list[str]] = defaultdict(list)
    for key, names in blanks.items():
        if names:
            together[names].append(key)
        for name in names:
            apart[frozenset({name})].append(key)
    for fields, keys in min(together, apart, key=len).items():
        empty = dict.fromkeys(sorted(fields), "")
        yield body([item(key_field, key, empty) for key in keys], list_id, erase=True)


def body(rows: list[dict[str, Any]], list_id: int, *, erase: bool) -> Body:
    """An import. Nothing here can say anything of consent: no blacklist, no consent group."""
    return {
        "jsonBody": rows,
        "listIds": [list_id],
        "updateExistingContacts": True,
        "emptyContactsAttributes": erase,
        "disableNotification": True,
    }


def item(key_field: str, key: str, values: Mapping[str, Value]) -> dict[str, Any]:
    """One row: the address beside the attributes, every other identifier among them."""
    if key_field == "EMAIL":
        return {"email": key, "attributes": dict(values)}
    return {"attributes": {key_field: key, **values}}


def blank(value: Value) -> bool:
    return value is None or value in ("", [])


def unfit(change: Change, key_field: str) -> str | None:
    """Why Brevo would drop a value of this change without a word, or its key be taken for one of the other
    kind where a contact is read; None when neither."""
    if ("@" in change.key) != (key_field == "EMAIL"):
        return (
            f"{key_field}: {'an address has an @' if key_field == 'EMAIL' else 'an @ is for addresses only'}"
        )
    for name in PHONES & change.fields.keys():
        value = change.fields[name]
        if not blank(value) and not PHONE.fullmatch(str(value)):
            return f"{name}: not a phone number with + and country code"
    return None


def shown(contact: Mapping[str, Any], names: Iterable[str]) -> Fields:
    """The fields asked for, as a contact holds them now; phone numbers get their + back."""
    attributes = contact["attributes"]
    held = {name: contact.get("email") if name == "EMAIL" else attributes.get(name) for name in names}
    return {name: f"+{value}" if name in PHONES and value else value for name, value in held.items()}


def options(changes: Iterable[Change]) -> dict[str, set[str]]:
    """The choices each list field of these changes uses."""
    used: dict[str, set[str]] = defaultdict(set)
    for change in changes:
        for name, value in change.fields.items():
            if isinstance(value, list):
                used[name].update(value)
    return used


def owners(batch: Batch) -> dict[str, str]:
    """Every identifier the batch writes, as a report may spell it → the key of its row."""
    found: dict[str, str] = {}
    for change in batch.changes:
        for name in IDENTIFIERS & change.fields.keys():
            if not blank(change.fields[name]):
                found[plain(cast(str, change.fields[name]))] = change.key
    return found | {plain(change.key): change.key for change in batch.changes}


def plain(text: str) -> str:
    """An identifier without case, outer blanks and the plus sign."""
    return text.strip().lower().removeprefix("+")
