"""What one Klaviyo account holds, and Klaviyo's rules for writing to its profiles.

Facts are from the official OpenAPI description (revision 2026-07-15), the vendor's guides and replies quoted
in its issue trackers. Where nothing is known the stricter reading is taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.klaviyo.wire import SITE, Refused, absent, invalid, stamp

EMAIL = re.compile(r"[^@\s;,<>()]+@[^@\s;,<>().]+(\.[^@\s;,<>().]+)+")
PHONE = re.compile(r"\+(?!999)[1-9]\d{6,14}")
"""E.164; no country has +999."""
IDENTIFIERS = ("email", "phone_number", "external_id")
PLAIN = (*IDENTIFIERS, "first_name", "last_name", "organization", "locale", "title", "image")
PLACES = (
    "address1",
    "address2",
    "city",
    "country",
    "latitude",
    "longitude",
    "region",
    "zip",
    "timezone",
    "ip",
)
MOST_BYTES = 100_000


@dataclass
class Profile:
    """One profile. Times are seconds since 1970."""

    id: str
    created: float
    updated: float
    plain: dict[str, Any] = field(default_factory=dict)
    location: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)
    consent: str = "NEVER_SUBSCRIBED"
    suppressed: str | None = None
    """The reason, when it is."""
    lists: dict[str, float] = field(default_factory=dict)
    """List → when it was joined."""

    def attributes(self) -> dict[str, Any]:
        """As a reply shows them, consent apart."""
        return {
            **{name: self.plain.get(name) for name in PLAIN},
            "created": stamp(self.created),
            "updated": stamp(self.updated),
            "last_event_date": None,
            "location": {name: self.location.get(name) for name in PLACES},
            "properties": dict(self.properties),
        }

    def subscriptions(self) -> dict[str, Any]:
        """With `additional-fields[profile]=subscriptions`."""
        reasons = [{"reason": self.suppressed, "timestamp": stamp(self.updated)}] if self.suppressed else []
        marketing = {
            "can_receive_email_marketing": not reasons,
            "consent": self.consent,
            "suppression": reasons,
        }
        return {"email": {"marketing": marketing | {"list_suppressions": []}}}

    def shown(
        self, asked: str | None = None, additional: str = "", member_of: str | None = None
    ) -> dict[str, Any]:
        """The resource; of its attributes those in `fields[profile]`, when there is one."""
        made = self.attributes()
        if member_of is not None:
            made["joined_group_at"] = stamp(self.lists[member_of])
        if "subscriptions" in additional:
            made["subscriptions"] = self.subscriptions()
        if asked is not None:
            made = thinned(made, asked.split(","))
        here = f"{SITE}/api/profiles/{self.id}"
        related = {
            name: {"links": {"self": f"{here}/relationships/{name}", "related": f"{here}/{name}"}}
            for name in ("lists", "segments", "push-tokens", "conversations")
        }
        return {
            "type": "profile",
            "id": self.id,
            "attributes": made,
            "relationships": related,
            "links": {"self": here},
        }


def thinned(attributes: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """The attributes named, `location.city` by itself. Refused when there is none of a name."""
    strange = [
        n for n in names if n.partition(".")[0] not in attributes and n not in ("id", "joined_group_at")
    ]
    strange += [n for n in names if n.startswith("location.") and n.partition(".")[2] not in PLACES]
    if strange:
        told = f"'{strange[0]}' is not a valid field for the resource 'profile'."
        raise Refused(400, "invalid", told, parameter="fields[profile]")
    made = {name: attributes[name] for name in names if name in attributes}
    places = [name.partition(".")[2] for name in names if name.startswith("location.")]
    if places and "location" not in made:
        made["location"] = {place: attributes["location"][place] for place in places}
    return made


@dataclass
class List:
    """A list of the account."""

    id: str
    name: str
    created: float

    def shown(self) -> dict[str, Any]:
        here = f"{SITE}/api/lists/{self.id}"
        related = {
            name: {"links": {"self": f"{here}/relationships/{name}", "related": f"{here}/{name}"}}
            for name in ("profiles", "tags", "flow-triggers")
        }
        return {
            "type": "list",
            "id": self.id,
            "attributes": {
                "name": self.name,
                "created": stamp(self.created),
                "updated": stamp(self.created),
                "opt_in_process": "double_opt_in",
            },
            "relationships": related,
            "links": {"self": here},
        }


class Account:
    """One account: profiles by id, who holds which identifier, lists."""

    def __init__(self, number: str) -> None:
        self.id = number
        self.profiles: dict[str, Profile] = {}
        self.holders: dict[tuple[str, str], str] = {}
        self.lists: dict[str, List] = {}
        self.made = 0

    def number(self) -> int:
        self.made += 1
        return self.made

    def profile(self, number: str) -> Profile:
        if number not in self.profiles:
            raise absent("profile", number)
        return self.profiles[number]

    def find(self, name: str, value: str) -> Profile | None:
        """The profile that has this identifier."""
        held = self.holders.get((name, spelled(name, value)))
        return None if held is None else self.profiles[held]

    def create(self, now: float) -> Profile:
        made = Profile(f"01OCTO{self.number():020d}", now, now)
        self.profiles[made.id] = made
        return made

    def add_list(self, name: str, now: float) -> List:
        """A new list. Klaviyo allows two of one name."""
        number = f"L{self.id[-1]}{self.number():04d}"
        self.lists[number] = List(number, name, now)
        return self.lists[number]

    def list(self, number: str) -> List:
        if number not in self.lists:
            raise absent("list", number)
        return self.lists[number]

    def delete(self, profile: Profile) -> None:
        for name in IDENTIFIERS:
            self.holders.pop((name, profile.plain.get(name) or ""), None)
        del self.profiles[profile.id]

    def merge(self, source: Profile, into: Profile) -> None:
        """As a person merges two: `into` gets the lists and what it lacks, the source is gone."""
        into.lists = source.lists | into.lists
        into.properties = source.properties | into.properties
        self.delete(source)

    def upsert(self, data: Mapping[str, Any], now: float, *, nulls: bool) -> tuple[Profile, bool]:
        """Create or update the profile its identifiers name; whether it was created.

        `nulls`: whether null empties a field, as it does everywhere but in an import job."""
        attributes = data["attributes"]
        check_values(attributes)
        given = {name: attributes[name] for name in IDENTIFIERS if attributes.get(name)}
        held = {found.id: found for name, value in given.items() if (found := self.find(name, value))}
        if data.get("id"):
            held = {**held, data["id"]: self.profile(data["id"])}
        if not given and not held:
            raise invalid("One or more of email, phone_number, external_id is required.", "/data/attributes")
        if len(held) > 1:
            raise self.taken(held)
        fresh = not held
        found = next(iter(held.values()), None) or self.create(now)
        self.write(found, data, now, nulls=nulls)
        return found, fresh

    def check_free(self, attributes: Mapping[str, Any]) -> None:
        """Refused when a profile has one of these identifiers."""
        given = {name: attributes[name] for name in IDENTIFIERS if attributes.get(name)}
        held = {found.id: found for name, value in given.items() if (found := self.find(name, value))}
        if held:
            raise self.taken(held)

    @staticmethod
    def taken(held: Mapping[str, Profile]) -> Refused:
        """Two identifiers that point at two profiles."""
        told = "A profile already exists with one of these identifiers."
        meta = {"duplicate_profile_id": list(held)[-1]}
        return Refused(409, "duplicate_profile", told, pointer="/data/attributes", meta=meta)

    def write(self, found: Profile, data: Mapping[str, Any], now: float, *, nulls: bool) -> None:
        """Set what is given and leave the rest alone."""
        attributes = data["attributes"]
        for name in PLAIN:
            if name in attributes and (nulls or attributes[name] is not None):
                self.set(found, name, attributes[name])
        settle(found.location, attributes.get("location") or {}, nulls=nulls)
        settle(found.properties, attributes.get("properties") or {}, nulls=nulls)
        if nulls:
            patch(found.properties, (data.get("meta") or {}).get("patch_properties") or {})
        found.updated = now

    def set(self, found: Profile, name: str, value: str | None) -> None:
        if name in IDENTIFIERS:
            self.holders.pop((name, found.plain.get(name) or ""), None)
            value = spelled(name, value) if value else None
            if value:
                self.holders[name, value] = found.id
        found.plain[name] = value


def spelled(name: str, value: str) -> str:
    return value.lower() if name == "email" else value


def settle(held: dict[str, Any], given: Mapping[str, Any], *, nulls: bool) -> None:
    for name, value in given.items():
        if value is not None:
            held[name] = value
        elif nulls:
            held.pop(name, None)


def patch(properties: dict[str, Any], asked: Mapping[str, Any]) -> None:
    """`append` and `unappend` of lists, `unset` of whole properties (spec)."""
    for name, value in (asked.get("append") or {}).items():
        properties[name] = [*as_list(properties.get(name)), *as_list(value)]
    for name, value in (asked.get("unappend") or {}).items():
        properties[name] = [one for one in as_list(properties.get(name)) if one not in as_list(value)]
    for name in as_list(asked.get("unset")):
        properties.pop(name, None)


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def check_values(attributes: Mapping[str, Any], where: str = "/data/attributes") -> None:
    """Refused for an address or phone number that is none."""
    if attributes.get("email") and not EMAIL.fullmatch(attributes["email"]):
        raise invalid("Invalid email address", f"{where}/email")
    if attributes.get("phone_number") and not PHONE.fullmatch(attributes["phone_number"]):
        told = "Invalid phone number format (Example of a valid format: +12345678901)"
        raise invalid(told, f"{where}/phone_number")
