"""What there is in an org for a person who connects it: fields, objects, campaigns, permissions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.destinations.salesforce import members, tasks
from connectors.destinations.salesforce.fields import HOLDS
from connectors.destinations.salesforce.org import Org, literal
from connectors.destinations.salesforce.people import People
from octo_dagster.destination import Survey
from octo_dagster.model import FieldType

PREFERRED = (
    FieldType.TEXT,
    FieldType.DECIMAL,
    FieldType.INTEGER,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.DATETIME,
    FieldType.LIST,
)
"""Of the types a field holds without loss, the one it is told as."""
OBJECTS = ("Contact", "Lead", "Account", "CampaignMember", "Task")
NEEDED = {
    "PermissionsCustomizeApplication": "Customize Application: fields that are missing cannot be made",
    "PermissionsManageProfilesPermissionsets": (
        "Manage Profiles and Permission Sets: new fields cannot be made visible to this user"
    ),
    "PermissionsEditTask": "Edit Tasks: tasks can be neither made nor changed",
}
"""User permission (Object Reference, UserPermissionAccess: those of the caller) → what is not possible
without it."""
MARKETING = "; campaigns are for users whose Marketing User box is ticked"
"""Object Reference, CampaignMember and CampaignMemberStatus, Special Access Rules and Usage."""
RIGHTS = {
    "createable": ("Create", "made"),
    "updateable": ("Edit", "changed"),
    "deletable": ("Delete", "taken back"),
}
NAMES = {
    "LastName": "{last_name}",
    "Name": "{first_name} {last_name}",
    "Company": "{first_name} {last_name}",
    "Subject": "Call {first_name} {last_name}",
}
"""What a person's record may be impossible without, and what of the profile says it."""
CAMPAIGNS = "SELECT Name FROM Campaign WHERE IsActive = true ORDER BY Name LIMIT 200"
MINE = "SELECT PermissionSet.Name FROM PermissionSetAssignment WHERE PermissionSet.IsOwnedByProfile = false"


def look(org: Org, people: People) -> Survey:
    """Six calls at most, none of which asks for what this user may not see."""
    listed = {one["name"]: one for one in org.call("GET", "sobjects").json()["sobjects"]}
    if org.name not in listed:
        lost = f"Read on {org.name}: this user may not see the object, or the org has none"
        lost += MARKETING if org.name == members.NAME else ""
        return Survey(places=places(org, listed), missing=(lost,))
    return Survey(
        fields={field["name"]: told(field) for field in org.fields().values() if writable(field)},
        keys=tuple(keys(org, people)),
        places=places(org, listed),
        needs={name: NAMES[name] for name, field in named(org) if required(field)},
        missing=tuple(missing(org, listed)),
    )


def named(org: Org) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((field["name"], field) for field in org.fields().values() if field["name"] in NAMES)


def required(field: Mapping[str, Any]) -> bool:
    return bool(field["createable"] and not field["nillable"] and not field["defaultedOnCreate"])


def writable(field: Mapping[str, Any]) -> bool:
    return bool(field["createable"] and field["updateable"])


def told(field: Mapping[str, Any]) -> FieldType | None:
    """The type to map a field as; None where Octo writes none that it holds."""
    if field["type"] in ("double", "currency", "percent") and field["scale"] == 0:
        return FieldType.INTEGER
    return next((kind for kind in PREFERRED if field["type"] in HOLDS[kind]), None)


def external(org: Org, name: str) -> list[str]:
    return [field["name"] for field in org.fields(name).values() if field["externalId"]]


def keys(org: Org, people: People) -> Iterator[str]:
    """The sync's external id, if records can be found by it."""
    home = people.object if org.name == members.NAME else org.name
    yield from (name for name in external(org, home) if name == people.external_id)


def places(org: Org, listed: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """What the settings may name here."""
    objects = [
        name for name, one in listed.items() if name in OBJECTS or (one["custom"] and one["createable"])
    ]
    if "Account" in listed and "ispersonaccount" in org.fields("Account"):
        objects.append("PersonAccount")
    found: dict[str, tuple[str, ...]] = {"object": tuple(objects)}
    if "Campaign" in listed:
        found["campaign"] = tuple(row["name"] for row in org.query(CAMPAIGNS))
    if "PermissionSetAssignment" in listed:
        rows = org.query(f"{MINE} AND AssigneeId = {literal(org.me())}")
        found["permission_set"] = tuple(sorted(row["permissionset.name"] for row in rows))
    if org.name in listed:
        found["external_id"] = tuple(external(org, org.name))
    return found


def missing(org: Org, listed: Mapping[str, Any]) -> Iterator[str]:
    """What this user may not do, of what a sync of this object does."""
    removes = org.name in (members.NAME, tasks.NAME)
    for right, (name, done) in RIGHTS.items():
        if not listed[org.name][right] and (right != "deletable" or removes):
            yield f"{name} on {org.name}: records cannot be {done}"
    if "UserPermissionAccess" in listed:
        asked = [name for name in NEEDED if name.lower() in org.fields("UserPermissionAccess")]
        asked = [name for name in asked if name != "PermissionsEditTask" or org.name == tasks.NAME]
        (held,) = org.query(f"SELECT {', '.join(asked)} FROM UserPermissionAccess LIMIT 1") if asked else [{}]
        yield from (NEEDED[name] for name in asked if not held[name.lower()])
