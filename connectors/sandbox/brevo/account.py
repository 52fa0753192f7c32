"""What one Brevo account holds, and Brevo's rules for writing to it.

Facts are from the published OpenAPI description, the models of `brevo-python` 5.1 and real replies quoted
in the vendor's issue trackers. Where nothing is known the stricter reading is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

EMAIL = re.compile(r"[^@\s;,<>()]+@[^@\s;,<>().]+(\.[^@\s;,<>().]+)+")
PHONE = re.compile(r"(\+|00)?([1-9]\d{7,14})")
"""Accepted: 91xxxxxxxxxx, +91xxxxxxxxxx, 0091xxxxxxxxxx. Stored as bare digits."""
PHONES = ("SMS", "WHATSAPP", "LANDLINE_NUMBER")
IDENTIFIERS = ("EMAIL", "EXT_ID", *PHONES)


class Refused(Exception):
    """Brevo's `{code, message}` with its HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **metadata: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, **({"metadata": metadata} if metadata else {})}


@dataclass
class Attribute:
    """A contact attribute of the account."""

    name: str
    category: str
    type: str | None
    options: list[str] = field(default_factory=list)
    enumeration: list[dict[str, Any]] = field(default_factory=list)
    value: str | None = None

    def shown(self) -> dict[str, Any]:
        """As `GET /contacts/attributes` shows it."""
        made: dict[str, Any] = {"name": self.name, "category": self.category}
        if self.type not in (None, "category"):
            made["type"] = self.type
        if self.type == "multiple-choice":
            made["multiCategoryOptions"] = list(self.options)
        if self.category == "category":
            made["enumeration"] = [{**one, "valueStr": str(one["value"])} for one in self.enumeration]
        if self.value is not None:
            made["calculatedValue"] = self.value
        return made

    def stored(self, value: Any) -> Any:
        """The value as Brevo keeps it; None when it does not fit the type, which Brevo ignores in silence."""
        if self.name in PHONES:
            return phone(value)
        if self.type == "multiple-choice":
            return [option for option in choices(value) if option in self.options] or None
        return FITS.get(self.type or "", nothing)(value)


def nothing(value: Any) -> None:
    return None


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def number(value: Any) -> float | int | None:
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else {"true": True, "false": False}.get(str(value).lower())


def day(value: Any) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        return None
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        return None


def choices(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def phone(value: Any) -> str | None:
    found = PHONE.fullmatch(str(value))
    return found[2] if found else None


FITS = {
    "text": text,
    "float": number,
    "boolean": truth,
    "date": day,
}


@dataclass
class Contact:
    """One contact. Times are seconds since 1970."""

    id: int
    created: float
    modified: float
    email: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    lists: set[int] = field(default_factory=set)
    email_blacklisted: bool = False
    sms_blacklisted: bool = False
    unsubscribed: set[int] = field(default_factory=set)

    def shown(self) -> dict[str, Any]:
        """As every list of contacts shows it."""
        made: dict[str, Any] = {} if self.email is None else {"email": self.email}
        return {
            **made,
            "id": self.id,
            "emailBlacklisted": self.email_blacklisted,
            "smsBlacklisted": self.sms_blacklisted,
            "whatsappBlacklisted": False,
            "createdAt": stamp(self.created),
            "modifiedAt": stamp(self.modified),
            "listIds": sorted(self.lists),
            "listUnsubscribed": sorted(self.unsubscribed),
            "attributes": dict(self.attributes),
        }

    def identifier(self, name: str) -> str | None:
        return self.email if name == "EMAIL" else self.attributes.get(name)


def stamp(seconds: float) -> str:
    """`2026-11-22T10:00:00.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def seconds(text: str) -> float:
    """The moment a query parameter names. Refused when it is no date-time."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("invalid_parameter", "Invalid date-time") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


class Account:
    """One account: contacts by id, who holds which identifier, attributes, folders, lists."""

    def __init__(self, organisation: str) -> None:
        self.organisation = organisation
        self.contacts: dict[int, Contact] = {}
        self.holders: dict[tuple[str, str], int] = {}
        self.attributes = {
            name: Attribute(name, "normal", "text") for name in ("FIRSTNAME", "LASTNAME", *IDENTIFIERS[1:])
        }
        self.folders = {1: "Your First Folder"}
        self.lists: dict[int, dict[str, Any]] = {}
        self.made = 1

    def number(self) -> int:
        """A new id, never used before in this account."""
        self.made += 1
        return self.made

    def find(self, name: str, value: str) -> Contact | None:
        """The contact that has this identifier."""
        spelled = value.lower() if name == "EMAIL" else (phone(value) or "") if name in PHONES else value
        held = self.holders.get((name, spelled))
        return None if held is None else self.contacts[held]

    def create(self, now: float) -> Contact:
        contact = Contact(self.number(), now, now)
        self.contacts[contact.id] = contact
        return contact

    def delete(self, contact: Contact) -> None:
        for name in IDENTIFIERS:
            self.holders.pop((name, contact.identifier(name) or ""), None)
        del self.contacts[contact.id]

    def identify(self, contact: Contact, name: str, value: str | None) -> bool:
        """Give a contact an identifier (None takes it away). Whether that changed anything."""
        spelled = value.lower() if value and name == "EMAIL" else value
        before = contact.identifier(name)
        if before == spelled:
            return False
        self.holders.pop((name, before or ""), None)
        if spelled is not None:
            self.holders[name, spelled] = contact.id
        if name == "EMAIL":
            # A blocklisted contact whose address is changed is resubscribed (docs of update_contact).
            contact.email_blacklisted &= before is None
            contact.email = spelled
        else:
            self.put(contact, name, spelled)
        return True

    @staticmethod
    def put(contact: Contact, name: str, value: Any) -> bool:
        if contact.attributes.get(name) == value and type(contact.attributes.get(name)) is type(value):
            return False
        contact.attributes.pop(name, None)
        if value is not None:
            contact.attributes[name] = value
        return True

    def write(self, contact: Contact, name: str, value: Any) -> bool:
        """Write one attribute by its rules; unknown names and unfit values change nothing."""
        attribute = self.attributes.get(name)
        if attribute is None or attribute.category in ("calculated", "global"):
            return False
        if attribute.category == "category":
            stored = next((e["value"] for e in attribute.enumeration if value in e.values()), None)
        else:
            stored = attribute.stored(value)
        if stored is None:
            return False
        return (
            self.identify(contact, name, stored) if name in IDENTIFIERS else self.put(contact, name, stored)
        )

    def erase(self, contact: Contact, name: str) -> bool:
        return self.identify(contact, name, None) if name in IDENTIFIERS else self.put(contact, name, None)

    def check_lists(self, numbers: Any) -> list[int]:
        """The ids of lists that exist. Refused when one does not."""
        if not isinstance(numbers, list) or not all(type(one) is int for one in numbers):
            raise Refused("invalid_parameter", "List ids must be an array of integers")
        if not set(numbers) <= self.lists.keys():
            raise Refused("invalid_parameter", "List ids do not exist")
        return numbers
