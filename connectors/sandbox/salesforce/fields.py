"""Making custom fields through the Tooling API, as the Metadata API's WSDL names their members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sandbox.salesforce import persons
from connectors.sandbox.salesforce.objects import SField
from connectors.sandbox.salesforce.org import Org
from connectors.sandbox.salesforce.values import CallError

KINDS = {
    "Text": ("string", ("length",)),
    "TextArea": ("textarea", ()),
    "LongTextArea": ("textarea", ("length", "visibleLines")),
    "Number": ("double", ("precision", "scale")),
    "Currency": ("currency", ("precision", "scale")),
    "Percent": ("percent", ("precision", "scale")),
    "Checkbox": ("boolean", ("defaultValue",)),
    "Date": ("date", ()),
    "DateTime": ("datetime", ()),
    "Email": ("email", ()),
    "Phone": ("phone", ()),
    "Url": ("url", ()),
    "Picklist": ("picklist", ("valueSet",)),
    "MultiselectPicklist": ("multipicklist", ("valueSet", "visibleLines")),
}
"""Metadata type → (type in describe, members it needs)."""
LENGTHS = {"textarea": 255, "email": 80, "phone": 40, "url": 255, "picklist": 255, "multipicklist": 4099}


def make_field(org: Org, asked: Mapping[str, Any]) -> None:
    """Add the field; nobody may see it until a permission is given. CallError 400 as the vendor says it."""
    name, _, field = str(asked.get("FullName", "")).partition(".")
    metadata = asked.get("Metadata") or {}
    name = {"activity": "Task", "task": ""}.get(name.lower(), name)  # fields of tasks are made on activities
    if not field.endswith("__c") or name.lower() not in {known.lower() for known in org.tables}:
        raise refused("FIELD_INTEGRITY_EXCEPTION", f"Invalid fullName: {asked.get('FullName')}", "FullName")
    name = org.object_name(name)
    if name == "Task" and metadata.get("unique"):
        raise refused("FIELD_INTEGRITY_EXCEPTION", "Activity: a custom field cannot be unique", "Metadata")
    if field.lower() in {known.lower() for known in org.fields[name]}:
        told = f"There is already a field named {field.removesuffix('__c')} on {name}."
        raise refused("DUPLICATE_DEVELOPER_NAME", told, "DeveloperName")
    made = described_by(field, metadata)
    org.fields[name][field] = made
    for record in org.tables[name].values():
        record[field] = False if made.type == "boolean" else None
    persons.mirrored(org, name, made)


def described_by(field: str, metadata: Mapping[str, Any]) -> SField:
    """The field that this Tooling metadata asks for; CallError as the vendor refuses it."""
    kind, needed = KINDS.get(metadata.get("type", ""), ("", ()))
    if not kind or not metadata.get("label"):
        raise refused("FIELD_INTEGRITY_EXCEPTION", "Required fields are missing: [type, label]", "Metadata")
    for member in needed:
        if metadata.get(member) is None:
            told = f"Must specify '{member}' for a CustomField of type {metadata['type']}"
            raise refused("FIELD_INTEGRITY_EXCEPTION", told, "Metadata")
    length = int(metadata.get("length", LENGTHS.get(kind, 0)))
    if kind == "string" and not 1 <= length <= 255:
        raise refused("FIELD_INTEGRITY_EXCEPTION", "Text length must be between 1 and 255", "Metadata")
    flags = "CUD" if kind == "boolean" else "CUN"
    flags += "E" * bool(metadata.get("externalId")) + "Q" * bool(metadata.get("unique"))
    values = metadata.get("valueSet") or {}
    listed = values.get("valueSetDefinition", {}).get("value", [])
    return SField(
        name=field,
        type=kind,
        length=length,
        precision=int(metadata.get("precision", 0)),
        scale=int(metadata.get("scale", 0)),
        flags=flags + "R" * bool(values.get("restricted")),
        values=tuple(value["fullName"] for value in listed),
        label=str(metadata["label"]),
    )


def refused(code: str, message: str, field: str) -> CallError:
    return CallError(400, code, message, (field,))
