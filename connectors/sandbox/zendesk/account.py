"""What one Zendesk account holds, and Zendesk's rules for writing to its users.

Facts are from recorded replies (Grouparoo's tests), the reference on developer.zendesk.com and a job's
result posted in Zendesk's own community. Where nothing is known the stricter reading is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.zendesk.fields import TYPES, Field, invalid

EMAIL = re.compile(r"[^@\s;,<>()]+@[^@\s;,<>().]+(\.[^@\s;,<>().]+)+")
KEY = re.compile(r"[A-Za-z0-9_]+")
PLAIN = ("name", "alias", "phone", "notes", "details", "role", "verified", "suspended", "organization_id")
"""Properties a write sets as they are, suspension and role among them: the vendor lets an admin do it."""
UNSAID: Mapping[str, Any] = {
    **dict.fromkeys(("phone", "alias", "notes", "details", "photo", "signature", "organization_id")),
    **dict.fromkeys(("role_type", "custom_role_id", "default_group_id", "last_login_at")),
    **dict.fromkeys(("verified", "shared", "shared_agent", "moderator", "report_csv"), False),
    **dict.fromkeys(("two_factor_auth_enabled", "only_private_comments"), False),
    "shared_phone_number": None,
    "restricted_agent": True,
    "ticket_restriction": "requested",
    "locale": "en-US",
    "locale_id": 1,
    "time_zone": "Arizona",
    "iana_time_zone": "America/Phoenix",
}
"""What every reply says of an end user of whom nothing else is known (recorded)."""


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class User:
    """A user of the account; `emails` are the identities, the primary one first."""

    id: int
    created: float
    updated: float
    external_id: str | None = None
    emails: list[str] = field(default_factory=list)
    plain: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    active: bool = True

    @property
    def email(self) -> str | None:
        return self.emails[0] if self.emails else None


class Account:
    """One account under one subdomain."""

    def __init__(self, subdomain: str, first_id: int) -> None:
        self.site = f"https://{subdomain}.zendesk.com"
        self.last_id = first_id
        self.fields: dict[str, Field] = {}
        self.users: dict[int, User] = {}
        self.keys: dict[str, User] = {}
        self.addresses: dict[str, User] = {}
        self.adopts = True
        """Whether a user found by address takes the external id asked for instead of the one it has. No
        document says."""
        self.mailed: list[str] = []
        """Whom Zendesk asked by mail to verify an address: each a customer surprised."""

    def number(self) -> int:
        self.last_id += 1
        return self.last_id

    # fields ----------------------------------------------------------------------------------------

    def add_field(self, asked: Mapping[str, Any]) -> Field:
        """A new user field. Refused like a record when its key is taken or its type is none."""
        key, kind, title = (asked.get(name) for name in ("key", "type", "title"))
        if not isinstance(key, str) or not KEY.fullmatch(key):
            raise invalid("key", "may only contain letters, numbers and underscores")
        if key.lower() in {held.lower() for held in self.fields}:
            raise invalid("key", f"{key} has already been taken")
        if kind not in TYPES or not title:
            raise invalid("type" if title else "title", "is invalid")
        options = list(asked.get("custom_field_options") or ())
        self.fields[key] = Field(self.number(), key, str(kind), str(title), asked.get("tag"), options)
        return self.fields[key]

    # users -----------------------------------------------------------------------------------------

    def by_external_id(self, key: str) -> User | None:
        """Case does not matter (reference: "the search for the user record is not case sensitive")."""
        return self.keys.get(key.lower())

    def by_email(self, email: str) -> User | None:
        return self.addresses.get(email.lower())

    def upsert(self, asked: Mapping[str, Any], now: float) -> tuple[User, bool]:
        """Create or update one user by external id or address; whether it was created."""
        external_id, email = asked.get("external_id"), asked.get("email")
        by_key = self.by_external_id(str(external_id)) if external_id else None
        by_mail = self.by_email(str(email)) if email else None
        if by_key and by_mail and by_key is not by_mail:
            raise invalid("email", f"{email} is already being used by another user")
        found = by_key or by_mail
        if found and found.external_id and not self.adopts and not by_key:
            asked = {**asked, "external_id": found.external_id}
        if found:
            self.write(found, asked, now)
            return found, False
        return self.create(asked, now), True

    def create(self, asked: Mapping[str, Any], now: float) -> User:
        """A new end user, who is asked by mail to verify the address unless told otherwise."""
        if not asked.get("name"):
            raise invalid("name", "is too short (minimum is 1 characters)")
        made = User(self.last_id + 1, now, now, plain={"role": "end-user", "suspended": False})
        self.write(made, asked, now)
        self.users[self.number()] = made
        if made.email and not asked.get("skip_verify_email") and not asked.get("verified"):
            self.mailed.append(made.email)
        return made

    def write(self, user: User, asked: Mapping[str, Any], now: float) -> None:
        """Set what is asked, all or nothing. A new address becomes a second one (reference)."""
        email = asked.get("email")
        if email and not EMAIL.fullmatch(str(email)):
            raise invalid("email", f"{email} is not properly formatted")
        if "name" in asked and not asked["name"]:
            raise invalid("name", "is too short (minimum is 1 characters)")
        known = {k: v for k, v in (asked.get("user_fields") or {}).items() if k in self.fields}
        values = {key: self.fields[key].kept(value) for key, value in known.items()}  # others: no word
        if email and str(email).lower() not in map(str.lower, user.emails):
            user.emails.append(str(email))
            self.addresses[str(email).lower()] = user
        self.name(user, asked.get("external_id", user.external_id))
        plain = {name: asked[name] for name in PLAIN if name in asked}
        user.plain |= plain | ({"alias": ""} if plain.get("alias", "") is None else {})  # recorded
        user.tags = list(asked["tags"]) if "tags" in asked else user.tags
        user.values |= values
        self.tag(user, values)
        user.updated = now

    def name(self, user: User, external_id: Any) -> None:
        """Give a user this external id instead of the one it has."""
        if user.external_id:
            self.keys.pop(user.external_id.lower(), None)
        user.external_id = external_id and str(external_id)
        if user.external_id:
            self.keys[user.external_id.lower()] = user

    def tag(self, user: User, values: Mapping[str, Any]) -> None:
        """A checkbox with a tag puts it on, or takes it off (recorded)."""
        for key, value in values.items():
            tag = self.fields[key].tag
            if tag:
                rest = [one for one in user.tags if one != tag]
                user.tags = [*rest, tag] if value else rest

    def delete(self, user: User) -> None:
        """Softly, as recorded: no longer active, without address and external id."""
        self.name(user, None)
        for email in user.emails:
            del self.addresses[email.lower()]
        user.active, user.emails = False, []
        user.plain["verified"] = False

    def row(self, user: User) -> dict[str, Any]:
        """As the page shows a user: without what every user has alike."""
        shown = self.shown(user)
        named = {name: shown[name] for name in ("external_id", "name", "email")}
        plain = {name: shown[name] for name in (*user.plain, "id", "created_at", "updated_at")}
        return {**named, **shown["user_fields"], "tags": ", ".join(user.tags), **plain}

    def shown(self, user: User) -> dict[str, Any]:
        """As every reply shows a user: each field of the account, a checkbox never empty."""
        values = {
            key: user.values.get(key, False if one.type == "checkbox" else None)
            for key, one in self.fields.items()
        }
        return {
            "id": user.id,
            "url": f"{self.site}/api/v2/users/{user.id}.json",
            "name": user.plain.get("name"),
            "email": user.email,
            "created_at": stamp(user.created),
            "updated_at": stamp(user.updated),
            **UNSAID,
            **user.plain,
            "external_id": user.external_id,
            "tags": list(user.tags),
            "active": user.active,
            "user_fields": values,
        }
