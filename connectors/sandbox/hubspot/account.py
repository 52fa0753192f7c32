"""What one HubSpot account holds, and HubSpot's rules for writing contacts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.hubspot.fields import STAGES, Property, refusal, standard
from connectors.sandbox.hubspot.wire import Refused, absent, invalid, stamp

ALWAYS = ("createdate", "hs_object_id", "lastmodifieddate")
"""Shown of every contact, asked for or not."""
OTHERS, MERGED = "hs_additional_emails", "hs_merged_object_ids"


@dataclass
class Contact:
    """One contact. Times are seconds since 1970."""

    id: str
    created: float
    updated: float
    properties: dict[str, str] = field(default_factory=dict)
    archived: float | None = None

    @property
    def emails(self) -> list[str]:
        """The first address, then the others."""
        held = [self.properties.get("email", ""), *self.properties.get(OTHERS, "").split(";")]
        return [one for one in held if one]

    def shown(self, names: list[str]) -> dict[str, Any]:
        """With these properties; what it does not have is null."""
        own = {
            "createdate": stamp(self.created),
            "hs_object_id": self.id,
            "lastmodifieddate": stamp(self.updated),
        }
        held = {name: own.get(name, self.properties.get(name)) for name in dict.fromkeys((*ALWAYS, *names))}
        return {
            "id": self.id,
            "properties": held,
            "createdAt": stamp(self.created),
            "updatedAt": stamp(self.updated),
            "archived": self.archived is not None,
        }


@dataclass
class List:
    """A list of contacts. Members by when they joined."""

    id: str
    name: str
    processing: str
    made: float
    members: dict[str, float] = field(default_factory=dict)

    def shown(self) -> dict[str, Any]:
        return {
            "listId": self.id,
            "listVersion": 1,
            "name": self.name,
            "objectTypeId": "0-1",
            "processingType": self.processing,
            "processingStatus": "COMPLETE",
            "createdAt": stamp(self.made),
            "updatedAt": stamp(self.made),
            "filtersUpdatedAt": stamp(self.made),
        }


class Account:
    """One account ("portal"): contacts by id, properties, property groups, lists."""

    def __init__(self, portal: int) -> None:
        self.portal = portal
        self.properties: dict[str, Property] = standard()
        self.groups = {"contactinformation": "Contact information"}
        self.contacts: dict[str, Contact] = {}
        self.holders: dict[tuple[str, str], str] = {}
        self.lists: dict[str, List] = {}
        self.rules: dict[str, str] = {}
        """Validation rules of an administrator: property → the pattern its values must match. Enforced on
        writes by the API from version 2026-09 on."""
        self.made = 100

    def number(self) -> str:
        self.made += 1
        return str(self.made)

    def there(self) -> Iterator[Contact]:
        return (one for one in self.contacts.values() if one.archived is None)

    def find(self, id_property: str | None, value: str) -> Contact | None:
        """The contact this names: by id, by any of its addresses, or by a property of unique values."""
        if not id_property:
            found = self.contacts.get(value)
            return found if found and found.archived is None else None
        if id_property != "email" and not self.properties.get(id_property, EMPTY).unique:
            known = f"0-1 property {id_property} in portal ID {self.portal}"
            raise invalid(f"Unable to perform update/upsert by non-unique {known}")
        held = self.holders.get((id_property, value.strip().lower()))
        return self.contacts[held] if held else None

    def checked(self, told: Mapping[str, str], ruled: bool) -> dict[str, str | None]:
        """The values as they will be kept. Refused with every one that will not do."""
        problems: list[tuple[str, str, str]] = []
        kept: dict[str, str | None] = {}
        for name, value in told.items():
            found = self.properties.get(name)
            if found is None:
                problems.append((name, "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'))
                continue
            try:
                kept[name] = found.stored(value)
            except ValueError as error:
                code, _, message = str(error).partition(" ")
                problems.append((name, code, message))
            if ruled and value and name in self.rules and not re.fullmatch(self.rules[name], value):
                problems.append((name, "PROPERTY_VALIDATION_RULE", f"{name} breaks a rule of the account"))
        if problems:
            raise refusal(problems, self.portal)
        return kept

    def check_free(self, contact: Contact | None, kept: Mapping[str, str | None]) -> None:
        """Refused when somebody else has one of these values that are unique."""
        for name, value in kept.items():
            if value and (name == "email" or self.properties[name].unique):
                held = self.holders.get((name, value.lower()))
                if held and (contact is None or held != contact.id):
                    raise Refused(409, "CONFLICT", f"Contact already exists. Existing ID: {held}")

    def write(self, contact: Contact, kept: Mapping[str, str | None], now: float) -> None:
        """Keep values that were checked. A lifecycle stage goes forward only, and says nothing of it."""
        for name, value in kept.items():
            if name == "lifecyclestage" and value and not forward(contact.properties.get(name), value):
                continue
            self.release(contact, name)
            contact.properties.pop(name, None)
            if value is not None:
                contact.properties[name] = value
                self.hold(contact, name, value)
        contact.updated = now

    def create(self, kept: Mapping[str, str | None], now: float) -> Contact:
        contact = Contact(self.number(), now, now)
        self.contacts[contact.id] = contact
        self.write(contact, kept, now)
        return contact

    def hold(self, contact: Contact, name: str, value: str) -> None:
        if name == "email" or self.properties[name].unique:
            self.holders[name, value.lower()] = contact.id

    def release(self, contact: Contact, name: str) -> None:
        held = contact.properties.get(name)
        if held and self.holders.get((name, held.lower())) == contact.id:
            del self.holders[name, held.lower()]

    def archive(self, contact: Contact, now: float) -> None:
        """To the recycle bin, out of every list; its address is free again."""
        contact.archived = now
        for email in contact.emails:
            self.holders.pop(("email", email), None)
        for name in [*contact.properties]:
            self.release(contact, name)
        for one in self.lists.values():
            one.members.pop(contact.id, None)

    def merge(self, primary: Contact, other: Contact, now: float) -> None:
        """What a person does: the other is gone, its address leads to the primary from now on."""
        emails = other.emails
        self.archive(other, now)
        for email in emails:
            self.holders["email", email] = primary.id
        primary.properties[OTHERS] = ";".join([*primary.emails[1:], *emails])
        primary.properties[MERGED] = other.id
        primary.properties |= {n: v for n, v in other.properties.items() if n not in primary.properties}

    def add_list(self, name: str, processing: str, now: float) -> List:
        """A new list. Names are unique."""
        if any(one.name == name for one in self.lists.values()):
            raise invalid(f"List with name {name} already exists", subCategory="ILS.DUPLICATE_LIST_NAMES")
        made = List(self.number(), name, processing, now)
        self.lists[made.id] = made
        return made

    def list(self, number: str) -> List:
        if number not in self.lists:
            raise absent(f"List {number} does not exist")
        return self.lists[number]


EMPTY = Property("", "", "string", "text", "")


def forward(held: str | None, value: str) -> bool:
    """Whether a lifecycle stage may follow another (guide, Contacts)."""
    return held is None or STAGES.index(value) >= STAGES.index(held)
