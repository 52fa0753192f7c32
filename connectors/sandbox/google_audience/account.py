"""One Google Ads account: its user lists, who is in them, and Google's rules for what it is sent.

Google keeps matched accounts and shows none. The twin keeps the identifiers, each for itself: the strictest
reading, in which whoever was once told by a number stays until that number is removed.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_MEMBERS, MOST_IDENTIFIERS, MOST_DESTINATIONS = 10_000, 10, 10
HASH_BYTES = 32
ADDRESS = ("givenName", "familyName", "regionCode", "postalCode")
KINDS = {"emailAddress": "emails", "phoneNumber": "phones", "address": "addresses"}
DAY_SECONDS = 86_400
LONGEST = 540 * DAY_SECONDS


class Refused(Exception):
    """An error in Google's JSON."""

    def __init__(
        self, status: str, message: str, code: int, violations: list[dict[str, str]] | None = None
    ) -> None:
        super().__init__(message)
        domain = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "datamanager.googleapis.com"}
        details: list[dict[str, Any]] = [{**domain, "reason": status}]
        if violations:
            kind = "type.googleapis.com/google.rpc.BadRequest"
            details.append({"@type": kind, "fieldViolations": violations})
        self.code = code
        error = {"code": code, "message": message, "status": status, "details": details}
        self.body: dict[str, Any] = {"error": error}


def bad(field_: str, reason: str, description: str = "") -> Refused:
    """A 400 that names one field."""
    line = {"field": field_, "reason": reason} | ({"description": description} if description else {})
    return Refused("INVALID_ARGUMENT", "There was a problem with the request.", 400, [line])


@dataclass(eq=False)
class Person:
    """Somebody in a list: the identifiers he is found by, and what he consented to."""

    emails: set[str] = field(default_factory=set)
    phones: set[str] = field(default_factory=set)
    addresses: set[str] = field(default_factory=set)
    consent: dict[str, str] = field(default_factory=dict)
    told: float = math.inf
    """When he was sent last, in seconds."""

    def held(self, kind: str) -> set[str]:
        return {"emails": self.emails, "phones": self.phones, "addresses": self.addresses}[kind]

    def shown(self) -> dict[str, Any]:
        named = {kind: " | ".join(sorted(self.held(kind))) for kind in KINDS.values()}
        return {**named, "consent": ", ".join(self.consent.values())}


@dataclass
class UserList:
    """A user list."""

    id: str
    name: str
    body: dict[str, Any]
    people: list[Person] = field(default_factory=list)
    known: dict[tuple[str, str], Person] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether it accrues members. What a closed one is sent ends well and adds nobody, the strictest
        reading: Google's documents name no error for it."""
        return bool(self.body.get("membershipStatus") != "CLOSED")

    def ingest(self, member: Mapping[str, Any], consent: Mapping[str, str], now: float = math.inf) -> None:
        found = list(identifiers(member))
        person = self.known.get(found[0])
        if person is None:
            person = Person()
            self.people.append(person)
        for kind, value in found:
            person.held(kind).add(value)
            self.known[(kind, value)] = person
        person.consent = dict(consent)
        person.told = now

    def forget(self, now: float) -> None:
        """Let go who was not sent again in time."""
        seconds = float(str(self.body.get("membershipDuration", f"{LONGEST}s")).removesuffix("s"))
        gone = {person for person in self.people if person.told + seconds <= now}
        if not gone:
            return
        self.people = [person for person in self.people if person not in gone]
        self.known = {one: person for one, person in self.known.items() if person not in gone}

    def remove(self, members: list[Mapping[str, Any]]) -> None:
        gone = {one for member in members for one in identifiers(member)}
        for person in self.people:
            for kind in KINDS.values():
                held = person.held(kind)
                held -= {value for name, value in gone if name == kind}
        for one in gone:
            self.known.pop(one, None)
        self.people = [one for one in self.people if one.emails or one.phones or one.addresses]


def identifiers(member: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and value of each identifier, e-mail addresses first."""
    found = member["userData"]["userIdentifiers"]
    for name, kind in KINDS.items():
        for one in found:
            if name in one:
                value = one[name]
                yield kind, value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def check_members(body: Mapping[str, Any]) -> None:
    """Refused, with every member named that will not do. Only hashed contacts are known here."""
    members = body.get("audienceMembers") or []
    if not members:
        raise bad("audience_members", "REQUIRED_FIELD_MISSING")
    if len(members) > MOST_MEMBERS:
        raise bad("audience_members", "TOO_MANY_AUDIENCE_MEMBERS")
    if body.get("encoding") not in ("HEX", "BASE64"):
        raise bad("encoding", "REQUIRED_FIELD_MISSING")
    lines = [line for place, one in enumerate(members) for line in faults(place, one, body["encoding"])]
    if lines:
        raise Refused("INVALID_ARGUMENT", "There was a problem with the request.", 400, lines)


def faults(place: int, member: Mapping[str, Any], encoding: str) -> Iterator[dict[str, str]]:
    """What is wrong with one member, as the quickstart's examples spell it."""
    where = f"audience_members.audience_members[{place}]"
    found = member.get("userData", {}).get("userIdentifiers", [])
    if not found:
        yield {"field": where, "reason": "INVALID_AUDIENCE_MEMBER"}
    if len(found) > MOST_IDENTIFIERS:
        yield {"field": f"{where}.user_data.user_identifiers", "reason": "TOO_MANY_USER_IDENTIFIERS"}
    for one in found:
        address = one.get("address")
        if address is not None:
            yield from address_faults(where, address)
        parts = {"Email": one.get("emailAddress"), "Phone": one.get("phoneNumber")}
        named = {
            "Given name": (address or {}).get("givenName"),
            "Family name": (address or {}).get("familyName"),
        }
        for what, value in {**parts, **named}.items():
            if value is not None and (reason := unhashed(value, encoding)):
                yield {
                    "field": f"{where}.user_data.user_identifiers",
                    "description": f"{what} is not {encoding.lower()} encoded.",
                    "reason": reason,
                }


def address_faults(where: str, address: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    place = f"{where}.user_data.user_identifiers"
    if any(not address.get(name) for name in ADDRESS):
        yield {"field": place, "reason": "REQUIRED_FIELD_MISSING"}
    elif not re.fullmatch(r"[A-Z]{2}", address["regionCode"]):
        yield {"field": place, "reason": "INVALID_REGION_CODE"}


def unhashed(value: str, encoding: str) -> str | None:
    """Why a value is no SHA-256 in this encoding."""
    try:
        plain = bytes.fromhex(value) if encoding == "HEX" else base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        return f"INVALID_{encoding}_ENCODING"
    return None if len(plain) == HASH_BYTES else "INVALID_SHA256_FORMAT"


def new_list(number: str, body: Mapping[str, Any]) -> UserList:
    """A user list as asked for. Refused when it is no list of contacts."""
    name = body.get("displayName")
    if not name:
        raise bad("user_list.display_name", "REQUIRED_FIELD_MISSING")
    info = body.get("ingestedUserListInfo", {})
    if info.get("uploadKeyTypes") != ["CONTACT_ID"]:
        raise bad("user_list.ingested_user_list_info", "UNSUPPORTED_USER_LIST_UPLOAD_KEY_TYPES")
    seconds = int(str(body.get("membershipDuration", f"{LONGEST}s")).removesuffix("s"))
    if seconds % DAY_SECONDS:
        raise bad("user_list.membership_duration", "INVALID_ARGUMENT")
    if seconds > LONGEST:
        raise bad("user_list.membership_duration", "MEMBERSHIP_DURATION_TOO_LONG")
    return UserList(number, str(name), {**body, "membershipDuration": f"{seconds}s"})
