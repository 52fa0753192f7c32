"""Making sure that the mapped fields exist in Salesforce, hold the right type and can be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from connectors.destinations.salesforce.org import Org, literal
from octo_dagster.destination import FieldReport
from octo_dagster.model import FieldType

NUMBERS = frozenset({"double", "currency", "percent"})
HOLDS: Mapping[FieldType, frozenset[str]] = {
    FieldType.TEXT: frozenset(
        {"string", "textarea", "email", "phone", "url", "picklist", "combobox", "reference"}
    ),
    FieldType.INTEGER: NUMBERS | {"int", "long"},
    FieldType.DECIMAL: NUMBERS,
    FieldType.BOOLEAN: frozenset({"boolean"}),
    FieldType.DATE: frozenset({"date"}),
    FieldType.DATETIME: frozenset({"datetime"}),
    FieldType.LIST: frozenset({"multipicklist"}),
}
"""Our type → types of `describe` that hold it without loss."""
MADE: Mapping[FieldType, Mapping[str, Any]] = {
    FieldType.TEXT: {"type": "Text", "length": 255},
    FieldType.INTEGER: {"type": "Number", "precision": 18, "scale": 0},
    FieldType.DECIMAL: {"type": "Number", "precision": 18, "scale": 6},
    FieldType.BOOLEAN: {"type": "Checkbox", "defaultValue": False},
    FieldType.DATE: {"type": "Date"},
    FieldType.DATETIME: {"type": "DateTime"},
    FieldType.LIST: {
        "type": "MultiselectPicklist",
        "visibleLines": 4,
        "valueSet": {"restricted": False, "valueSetDefinition": {"sorted": False, "value": []}},
    },
}
"""Our type → metadata of the field made for it (Metadata API, CustomField)."""
KEY = {"externalId": True, "unique": True, "caseSensitive": False}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What must be there: fields with types, which of them is the key, who is to see new ones."""

    fields: Mapping[str, FieldType]
    key_field: str
    permission_set: str | None
    persons: bool = False
    """Whether the accounts are people: custom fields of their contacts show on them as `__pc`."""

    def own(self, name: str) -> bool:
        """Whether a field of this name can be made: a custom one."""
        return name.endswith(("__c", "__pc") if self.persons else "__c")

    def home(self, org: Org, name: str) -> tuple[str, str]:
        """(where a custom field is made, where its permission is given), both as `Object.Field`.

        Fields of tasks are those of activities, seen through tasks; fields of a person's contact are the
        contact's."""
        if self.persons and name.endswith("__pc"):
            contact = f"Contact.{name.removesuffix('__pc')}__c"
            return contact, contact
        made_on = "Activity" if org.name == "Task" else org.name
        return f"{made_on}.{name}", f"{org.name}.{name}"


def ensure(org: Org, wanted: Wanted, *, create: bool) -> FieldReport:
    """Look, create what is missing, look again. A field made but not visible to us is a problem."""
    before = org.fields(again=True)
    missing = [name for name in wanted.fields if name.lower() not in before]
    refusal = {name: cannot_make(name, wanted, create) for name in missing}
    makeable = [name for name in missing if refusal[name] is None]
    failures = make(org, wanted, makeable) if makeable else []
    after = org.fields(again=True) if makeable else before
    problems = [f"{name}: {why}" for name, why in refusal.items() if why is not None] + failures
    if wanted.permission_set is None and any(map(wanted.own, missing)):
        problems.insert(0, "permission_set: name one of this user's; it could not see the fields Octo makes")
    problems += [
        f"{name}: {why}"
        for name, kind in wanted.fields.items()
        for why in unfit(name, kind, wanted.key_field, after.get(name.lower()))
    ]
    made = tuple(name for name in makeable if name.lower() in after)
    hidden = [n for n in makeable if n not in made and not any(f.startswith(f"{n}:") for f in failures)]
    problems += [f"{name}: made, but still not visible to this user" for name in hidden]
    existing = tuple(name for name in wanted.fields if name.lower() in before)
    return FieldReport(made, existing, tuple(problems))


def cannot_make(name: str, wanted: Wanted, create: bool) -> str | None:
    """Why a missing field will not be made; None when it can be."""
    if not wanted.own(name):
        return "there is no such standard field, or this user may not see it"
    if not create:
        return "missing, and this sync may not create fields"
    return None if wanted.permission_set else "missing, and would be made if there were a permission_set"


def unfit(name: str, kind: FieldType, key_field: str, found: Mapping[str, Any] | None) -> Iterable[str]:
    """What is wrong with a field as it is; nothing when it is missing, which is told elsewhere."""
    if found is None:
        return
    if found["type"] not in HOLDS[kind]:
        yield f"holds {found['type']}, not {kind}"
    elif kind is FieldType.DECIMAL and found["scale"] == 0:
        yield "keeps no decimals"
    if name == key_field and not (found["externalId"] or found["idLookup"]):
        yield "is not an External ID, so records cannot be found by it"
    if not (found["updateable"] and found["createable"]):
        yield "cannot be written by this user"


def make(org: Org, wanted: Wanted, names: list[str]) -> list[str]:
    """Create the fields and let the permission set see and edit them; a line for each that failed."""
    role = permission_set(org, wanted.permission_set or "")
    if role is None:
        return [f"{name}: there is no permission set {wanted.permission_set}" for name in names]
    failures = []
    for name in names:
        refusal = made(org, wanted, name)
        failures += [f"{name}: {refusal}"] if refusal else []
    return failures + grant(org, role, {name: wanted.home(org, name)[1] for name in names})


def made(org: Org, wanted: Wanted, name: str) -> str | None:
    """Create one field; why it could not be. A key that may not be unique here, as on activities, is made
    without."""
    metadata = {**MADE[wanted.fields[name]], "label": label(name)}
    ways: list[dict[str, Any]] = [metadata]
    if name == wanted.key_field:
        ways = [{**metadata, **KEY}, {**metadata, "externalId": True}]
    told = ""
    for way in ways:
        body = {"FullName": wanted.home(org, name)[0], "Metadata": way}
        reply = org.call("POST", "tooling/sobjects/CustomField", json=body)
        # a field made by a run that ended before the permission was given exists and is not visible
        if reply.status_code < 400 or "DUPLICATE_DEVELOPER_NAME" in reply.text:
            return None
        told = told or reply.text[:300]
    return told


def label(name: str) -> str:
    return name.removesuffix("__c").removesuffix("__pc").replace("_", " ")[:40]


def permission_set(org: Org, name: str) -> str | None:
    found = org.client.query(f"SELECT Id FROM PermissionSet WHERE Name = {literal(name)}")["records"]
    return str(found[0]["Id"]) if found else None


def grant(org: Org, role: str, fields: Mapping[str, str]) -> list[str]:
    """Reading and editing, 200 fields a call. One given before is a DUPLICATE_VALUE, which is as wanted."""
    told: list[dict[str, Any]] = []
    names = list(fields)
    for at in range(0, len(names), 200):
        records = [
            {
                "attributes": {"type": "FieldPermissions"},
                "ParentId": role,
                "SobjectType": fields[name].partition(".")[0],
                "Field": fields[name],
                "PermissionsRead": True,
                "PermissionsEdit": True,
            }
            for name in names[at : at + 200]
        ]
        told += org.collection("POST", "", records)
    return [
        f"{name}: no permission: {row['errors'][0]['statusCode']}: {row['errors'][0]['message']}"
        for name, row in zip(names, told, strict=False)
        if not row["success"] and row["errors"][0]["statusCode"] != "DUPLICATE_VALUE"
    ]
