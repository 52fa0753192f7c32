"""HubSpot's contact properties: what there is at first, and what each type takes.

Facts are from the guides (Properties, Contacts), the models of `hubspot-api-client` 12, and error texts that
people quote in issue trackers. Where nothing is known the stricter reading is taken.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.sandbox.hubspot.wire import Refused, invalid, option, stamp

EMAIL = re.compile(r"[^@\s;,<>()]+@[^@\s;,<>().]+(\.[^@\s;,<>().]+)+")
NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST = 65_536
STAGES = ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer")
FORMS = {
    "string": {"text", "textarea", "phonenumber", "html", "file"},
    "number": {"number", "calculation_equation"},
    "date": {"date"},
    "datetime": {"date"},
    "enumeration": {"select", "radio", "checkbox", "booleancheckbox"},
    "bool": {"booleancheckbox", "calculation_equation"},
}
"""Which `fieldType` goes with which `type`."""


@dataclass
class Property:
    """A contact property of the account."""

    name: str
    label: str
    type: str
    form: str
    group: str
    made: float = 0.0
    options: list[dict[str, Any]] = field(default_factory=list)
    unique: bool = False
    own: bool = False
    """HubSpot's own: its definition cannot be changed."""
    closed: bool = False
    """Its values are HubSpot's to write."""
    calculated: bool = False

    def shown(self) -> dict[str, Any]:
        """As `GET /crm/properties/…` shows it."""
        return {
            "name": self.name,
            "label": self.label,
            "type": self.type,
            "fieldType": self.form,
            "groupName": self.group,
            "description": "",
            "options": [dict(one) for one in self.options],
            "displayOrder": -1,
            "calculated": self.calculated,
            "externalOptions": False,
            "hasUniqueValue": self.unique,
            "hidden": False,
            "hubspotDefined": self.own,
            "formField": not self.closed,
            "archived": False,
            "createdAt": stamp(self.made),
            "updatedAt": stamp(self.made),
            "modificationMetadata": {
                "archivable": not self.own,
                "readOnlyDefinition": self.own,
                "readOnlyOptions": self.own,
                "readOnlyValue": self.closed,
            },
        }

    def stored(self, value: str) -> str | None:
        """The value as it is kept; None when empty. ValueError `CODE message` when it does not fit."""
        if self.closed or self.calculated:
            raise ValueError(f"READ_ONLY_VALUE {self.name} is a read only property; its value cannot be set")
        if value == "":
            return None
        keep = {"number": amount, "date": day, "datetime": moment}.get(self.type)
        if keep is not None:
            return keep(self.name, value)
        return self.chosen(value) if self.options or self.type == "enumeration" else line(self.name, value)

    def chosen(self, value: str) -> str:
        """One of the options; of a checkbox several, `;` between them."""
        picked = [one for one in value.split(";") if one] if self.form == "checkbox" else [value]
        known = [one["value"] for one in self.options]
        for one in picked:
            if one not in known:
                raise ValueError(f"INVALID_OPTION {one} was not one of the allowed options: {known}")
        return ";".join(one for one in known if one in picked) if self.form == "checkbox" else value


def amount(name: str, value: str) -> str:
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError(f"INVALID_NUMBER {value} was not a valid number") from error
    if not number.is_finite():
        raise ValueError(f"INVALID_NUMBER {value} was not a valid number")
    return f"{number:f}"


def day(name: str, value: str) -> str:
    """`YYYY-MM-DD`, or milliseconds at midnight UTC."""
    found = instant(value)
    if found is None or found != found.replace(hour=0, minute=0, second=0, microsecond=0):
        raise ValueError(f"INVALID_DATE {value} is at no midnight UTC")
    return found.date().isoformat()


def moment(name: str, value: str) -> str:
    found = instant(value)
    if found is None:
        raise ValueError(f"INVALID_DATE {value} was not a valid date-time")
    return stamp(found.timestamp()).replace(".000Z", "Z")


def instant(value: str) -> datetime | None:
    try:
        if re.fullmatch(r"-?\d+", value):
            return datetime.fromtimestamp(int(value) / 1000, UTC)
        found = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def line(name: str, value: str) -> str:
    if len(value) > LONGEST:
        raise ValueError(f"PROPERTY_VALUE_TOO_LONG {name} is longer than {LONGEST} characters")
    if name == "email" and not EMAIL.fullmatch(value):
        raise ValueError(f"INVALID_EMAIL Email address {value} is invalid")
    return value.lower() if name == "email" else value


def refusal(problems: list[tuple[str, str, str]], portal: int) -> Refused:
    """What a row is answered whose values will not do: (property, code, message) each."""
    told = [
        {"isValid": False, "message": message, "error": code, "name": name, "portalId": portal}
        for name, code, message in problems
    ]
    errors = [
        {"message": message, "code": code, "context": {"propertyName": [name]}}
        for name, code, message in problems
    ]
    return invalid(f"Property values were not valid: {json.dumps(told)}", errors=errors)


def standard() -> dict[str, Property]:
    """The properties every account has, as many as matter here."""
    group = "contactinformation"
    stages = [option(one.capitalize(), one, n) for n, one in enumerate(STAGES)]
    yes_no = [option("Yes", "true", 0), option("No", "false", 1)]
    rows = [
        Property("email", "Email", "string", "text", group, unique=True, own=True),
        Property("firstname", "First name", "string", "text", group, own=True),
        Property("lastname", "Last name", "string", "text", group, own=True),
        Property("phone", "Phone number", "string", "phonenumber", group, own=True),
        Property(
            "lifecyclestage", "Lifecycle stage", "enumeration", "radio", group, options=stages, own=True
        ),
        Property("hs_object_id", "Record ID", "number", "number", group, unique=True, own=True, closed=True),
        Property("createdate", "Create date", "datetime", "date", group, own=True, closed=True),
        Property("lastmodifieddate", "Last modified date", "datetime", "date", group, own=True, closed=True),
        Property(
            "hs_additional_emails",
            "Additional emails",
            "enumeration",
            "checkbox",
            group,
            own=True,
            closed=True,
        ),
        Property(
            "hs_merged_object_ids",
            "Merged record IDs",
            "enumeration",
            "checkbox",
            group,
            own=True,
            closed=True,
        ),
        Property(
            "hs_marketable_status", "Marketing contact", "enumeration", "select", group, own=True, closed=True
        ),
        Property(
            "hs_email_optout", "Unsubscribed", "bool", "booleancheckbox", group, options=yes_no, own=True
        ),
        Property("num_associated_deals", "Deals", "number", "number", group, own=True, calculated=True),
    ]
    return {row.name: row for row in rows}


def new(body: dict[str, Any], now: float) -> Property:
    """A property as a person or a program asks for it. Refused when that cannot be."""
    missing = [one for one in ("name", "label", "type", "fieldType", "groupName") if not body.get(one)]
    if missing:
        raise invalid(f"Some required fields were not set: {missing}")
    if not NAME.fullmatch(body["name"]):
        raise invalid("Property names must be lower case, begin with a letter and hold no spaces")
    if body["fieldType"] not in FORMS.get(body["type"], ()):
        raise invalid(f"{body['fieldType']} is not a valid fieldType for a property of type {body['type']}")
    if body["type"] == "bool" and {one.get("value") for one in body.get("options", ())} != {"true", "false"}:
        raise invalid("Boolean properties must have exactly two options: true and false")
    return Property(
        body["name"],
        body["label"],
        body["type"],
        body["fieldType"],
        body["groupName"],
        now,
        options_of(body.get("options", [])),
        bool(body.get("hasUniqueValue")),
    )


def options_of(rows: Any) -> list[dict[str, Any]]:
    """A whole list of options. Labels and values are unique."""
    made = [option(row["label"], row["value"], row.get("displayOrder", n)) for n, row in enumerate(rows)]
    for part in ("label", "value"):
        told = [one[part].lower() for one in made]
        if len(set(told)) < len(told):
            raise invalid(f"Property option {part}s must be unique")
    return made
