"""What there is in a Brevo account for a person who connects it: attributes, lists, folders.

No permission can be missing: an API key may do everything in its account (Brevo's keys have no scopes). An
address that is not among the account's authorised IPs is refused with 401, which is no permission either:
signing in says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.destinations.brevo.api import Api
from octo_dagster.destination import Survey
from octo_dagster.model import FieldType

HOLDS: Mapping[str, FieldType] = {
    "text": FieldType.TEXT,
    "float": FieldType.DECIMAL,
    "boolean": FieldType.BOOLEAN,
    "date": FieldType.DATE,
    "multiple-choice": FieldType.LIST,
}
"""Type of an attribute → ours. What is calculated, global, transactional or a category is not written."""


def look(api: Api, identifiers: tuple[str, ...], consent: frozenset[str]) -> Survey:
    """Attributes that can be mapped, without those that keep consent; lists of the sync's folder."""
    rows = api.get("/contacts/attributes")["attributes"]
    fields = {row["name"]: kind(row) for row in rows if row["category"] == "normal"}
    fields = {name: held for name, held in fields.items() if name not in consent}
    folders = api.titles("/contacts/folders", "folders")
    number = next((one for one, name in sorted(folders.items()) if name == api.folder), None)
    lists = api.titles(f"/contacts/folders/{number}/lists", "lists") if number is not None else {}
    places = {"list": tuple(lists.values()), "folder": tuple(folders.values())}
    return Survey(
        fields={**dict.fromkeys(identifiers, FieldType.TEXT), **fields}, keys=identifiers, places=places
    )


def kind(row: Mapping[str, Any]) -> FieldType | None:
    return HOLDS.get(str(row.get("type")))
