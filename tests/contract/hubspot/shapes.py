"""What HubSpot's published OpenAPI files of version 2026-09 say goes over the wire, of the calls made here.

Noted down from HubSpot/HubSpot-public-api-spec-collection: contacts.json (rollout 424, commit f682c7d),
lists.json (144891, 22d3623), accountInfo.json (144923, d0b9eb2), and for property bodies from the models of
`hubspot-sdk` 0.1.0a9, which are made from the same files. `!` marks what is required; `*` is any name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Shape = Any
"""A type, a tuple of allowed texts, `[shape]` for an array, or name → shape for an object."""

TEXTS = {"*": str}
OR_NULL = {"*": (str, type(None))}
STATES = ("CANCELED", "COMPLETE", "PENDING", "PROCESSING")
DETAIL = {"code": str, "context": {"*": [str]}, "in": str, "message!": str, "subCategory": str}
ERROR = {
    "category!": str,
    "correlationId!": str,
    "message!": str,
    "context": {"*": [str]},
    "errors": [DETAIL],
    "links": TEXTS,
    "subCategory": str,
    "status": str,
    "policyName": str,
}
BLAMED = {
    "category!": str,
    "context!": {"*": [str]},
    "errors!": [DETAIL],
    "links!": TEXTS,
    "message!": str,
    "status!": str,
    "id": str,
    "subCategory": str,
}
OBJECT = {
    "archived!": bool,
    "archivedAt": str,
    "createdAt!": str,
    "id!": str,
    "objectWriteTraceId": str,
    "properties!": OR_NULL,
    "updatedAt!": str,
    "url": str,
}
UPSERTED = {**OBJECT, "new!": bool, "properties!": TEXTS}


def batch(result: Shape) -> dict[str, Shape]:
    """The reply to a batch of these."""
    return {
        "completedAt!": str,
        "results!": [result],
        "startedAt!": str,
        "status!": STATES,
        "errors": [BLAMED],
        "numErrors": int,
        "requestedAt": str,
        "links": TEXTS,
    }


OPTION = {"displayOrder!": int, "hidden!": bool, "label!": str, "value!": str, "description": str}
KINDS = ("bool", "date", "datetime", "enumeration", "number", "phone_number", "string")
FORMS = (
    "booleancheckbox",
    "calculation_equation",
    "checkbox",
    "date",
    "file",
    "html",
    "number",
    "phonenumber",
    "radio",
    "select",
    "text",
    "textarea",
)
NEW_PROPERTY = {
    "fieldType!": FORMS,
    "groupName!": str,
    "label!": str,
    "name!": str,
    "type!": KINDS,
    "options": [OPTION],
    "hasUniqueValue": bool,
    "displayOrder": int,
}
METADATA = {
    "archivable!": bool,
    "readOnlyDefinition!": bool,
    "readOnlyValue!": bool,
    "readOnlyOptions": bool,
}
FLAGS = dict.fromkeys(
    ("archived", "calculated", "externalOptions", "formField", "hasUniqueValue", "hidden", "hubspotDefined"),
    bool,
)
PROPERTY = {
    **FLAGS,
    "description!": str,
    "fieldType!": str,
    "groupName!": str,
    "label!": str,
    "name!": str,
    "options!": [OPTION],
    "type!": str,
    "displayOrder": int,
    "createdAt": str,
    "updatedAt": str,
    "modificationMetadata": METADATA,
}
GROUP = {"archived!": bool, "displayOrder!": int, "label!": str, "name!": str}
LIST = {
    "listId!": str,
    "listVersion!": int,
    "name!": str,
    "objectTypeId!": str,
    "processingStatus!": str,
    "processingType!": str,
    "createdAt": str,
    "updatedAt": str,
    "filtersUpdatedAt": str,
    "size": int,
}
MOVED = {"recordIdsMissing!": [str], "recordIdsRemoved!": [str], "recordsIdsAdded!": [str]}
MEMBERSHIP = {
    "firstAddedTimestamp!": str,
    "lastAddedTimestamp!": str,
    "listId!": str,
    "listVersion!": int,
    "isPublicList": bool,
}
PORTAL = {
    "accountType!": ("APP_DEVELOPER", "DEVELOPER_TEST", "SANDBOX", "STANDARD"),
    "additionalCurrencies!": [str],
    "companyCurrency!": str,
    "dataHostingLocation!": str,
    "portalId!": int,
    "timeZone!": str,
    "uiDomain!": str,
    "utcOffset!": str,
    "utcOffsetMilliseconds!": int,
}
WRITE = {"id!": str, "idProperty": str, "objectWriteTraceId": str, "properties!": TEXTS}
NEW = {
    "associations": [{"to!": {"id!": str}, "types!": [{"*": (str, int)}]}],
    "objectWriteTraceId": str,
    "properties!": TEXTS,
}
READ = {
    "idProperty": str,
    "inputs!": [{"id!": str}],
    "properties!": [str],
    "propertiesWithHistory!": [str],
}
SEARCH = {"listIds": [str], "offset": int, "count": int, "query": str, "processingTypes": [str], "sort": str}
FOUND = {
    "hasMore!": bool,
    "offset!": int,
    "total!": int,
    "lists!": [{**LIST, "additionalProperties!": TEXTS}],
}
WHOSE = {"objectTypeId!": str, "recordId!": str}

CALLS: Mapping[str, tuple[Shape, Mapping[int, Shape]]] = {
    r"GET /account-info/V/details": (None, {200: PORTAL}),
    r"GET /crm/properties/V/contacts": (None, {200: {"results!": [PROPERTY]}}),
    r"GET /crm/properties/V/contacts/\w+": (None, {200: PROPERTY}),
    r"POST /crm/properties/V/contacts": (NEW_PROPERTY, {201: PROPERTY}),
    r"PATCH /crm/properties/V/contacts/\w+": ({"options": [OPTION]}, {200: PROPERTY}),
    r"POST /crm/properties/V/contacts/groups": (
        {"displayOrder": int, "label!": str, "name!": str},
        {201: GROUP},
    ),
    r"GET /crm/objects/V/contacts": (
        None,
        {200: {"results!": [OBJECT], "paging": {"next": {"after!": str}}}},
    ),
    r"POST /crm/objects/V/contacts/batch/upsert": (
        {"inputs!": [WRITE]},
        {200: batch(UPSERTED), 207: batch(UPSERTED)},
    ),
    r"POST /crm/objects/V/contacts/batch/create": (
        {"inputs!": [NEW]},
        {201: batch(OBJECT), 207: batch(OBJECT)},
    ),
    r"POST /crm/objects/V/contacts/batch/update": (
        {"inputs!": [WRITE]},
        {200: batch(OBJECT), 207: batch(OBJECT)},
    ),
    r"POST /crm/objects/V/contacts/batch/read": (READ, {200: batch(OBJECT), 207: batch(OBJECT)}),
    r"POST /crm/objects/V/contacts/batch/archive": ({"inputs!": [{"id!": str}]}, {204: None}),
    r"POST /crm/lists/V": (
        {"name!": str, "objectTypeId!": str, "processingType!": ("MANUAL", "DYNAMIC", "SNAPSHOT")},
        {200: {"list!": LIST}},
    ),
    r"POST /crm/lists/V/search": (SEARCH, {200: FOUND}),
    r"GET /crm/lists/V/object-type-id/0-1/name/.+": (None, {200: {"list!": LIST}}),
    r"PUT /crm/lists/V/\d+/memberships/(add|remove)": ([str], {200: MOVED}),
    r"POST /crm/lists/V/records/memberships/batch/read": (
        {"inputs!": [WHOSE]},
        {200: batch({**WHOSE, "recordListMemberships!": [MEMBERSHIP]})},
    ),
}
"""`METHOD path` with V for the version → the body asked, and by status the body answered."""


def misfits(value: Any, shape: Shape, place: str = "") -> Iterator[str]:
    """Where a value is not as the description says; nothing that it does not name may be there."""
    if isinstance(shape, tuple):
        kinds = tuple(one for one in shape if isinstance(one, type))
        if not (isinstance(value, kinds) if kinds else value in shape):
            yield f"{place}: {value!r}"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{place}: no array"
        else:
            for one in value:
                yield from misfits(one, shape[0], f"{place}[]")
    elif isinstance(shape, dict):
        yield from strange(value, shape, place)
    elif shape is not None and (not isinstance(value, shape) or (shape is int and isinstance(value, bool))):
        yield f"{place}: {value!r} is no {shape.__name__}"


def strange(value: Any, shape: Mapping[str, Shape], place: str) -> Iterator[str]:
    """`misfits` of an object."""
    if not isinstance(value, dict):
        yield f"{place}: no object"
        return
    known = {name.rstrip("!"): one for name, one in shape.items()}
    for name in (name.rstrip("!") for name in shape if name.endswith("!")):
        if name not in value:
            yield f"{place}.{name} is missing"
    for name, one in value.items():
        if name in known or "*" in known:
            yield from misfits(one, known.get(name, known.get("*")), f"{place}.{name}")
        else:
            yield f"{place}.{name} is not in the description"
