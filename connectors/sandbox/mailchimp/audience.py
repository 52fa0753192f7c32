"""What one Mailchimp audience holds, and Mailchimp's rules for its members.

Facts are from the vendor's OpenAPI file, its release notes, recorded traffic and replies quoted in issue
trackers. Where nothing is known the reading is taken that would hurt a careless caller most.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from connectors.sandbox.mailchimp.fields import Field
from connectors.sandbox.mailchimp.wire import Refused, absent, invalid

EMAIL = re.compile(r"[^@\s;,<>()]+@[^@\s;,<>().]+(\.[^@\s;,<>().]+)+")
STATUSES = ("subscribed", "unsubscribed", "cleaned", "pending", "transactional")
BY_ADMIN = "N/A (Unsubscribed by admin)"


@dataclass
class Member:
    """One contact of an audience. Times are seconds since 1970."""

    email: str
    status: str
    number: int
    changed: float
    opted: float | None = None
    reason: str | None = None
    """Why unsubscribed; `BY_ADMIN` may be undone by the API (recorded), what the person said may not."""
    merge: dict[str, Any] = field(default_factory=dict)
    tags: list[int] = field(default_factory=list)
    email_type: str = "html"
    vip: bool = False

    @property
    def id(self) -> str:
        return hashed(self.email)


def hashed(email: str) -> str:
    return hashlib.md5(email.lower().encode(), usedforsecurity=False).hexdigest()


def stamp(seconds: float | None) -> str:
    """`2021-11-23T22:51:56+00:00`, or nothing (recorded)."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


@dataclass
class Audience:
    """One list: members by the hash of their address, merge fields, tags."""

    id: str
    name: str
    members: dict[str, Member] = field(default_factory=dict)
    fields: dict[str, Field] = field(default_factory=dict)
    tags: dict[int, str] = field(default_factory=dict)
    """Tags and static segments are one thing, by one number."""
    forgotten: set[str] = field(default_factory=set)
    """Hashes of who was deleted for good: nobody but the person brings the address back."""
    made: int = 400_000_000

    def number(self) -> int:
        self.made += 1
        return self.made

    def add_field(self, tag: str, kind: str, **more: Any) -> Field:
        made = Field(len(self.fields) + 1, tag, tag.replace("_", " ").title(), kind, **more)
        self.fields[tag] = made
        return made

    def member(self, who: str) -> Member:
        """By hash or address, archived ones too. Refused with 404 when there is none."""
        found = self.members.get(hashed(who) if "@" in who else who)
        if found is None:
            raise absent()
        return found

    def tag(self, name: str) -> int:
        """The number of the tag of this name, made when there is none."""
        known = next((number for number, held in self.tags.items() if held.lower() == name.lower()), None)
        if known is None:
            known = self.number()
            self.tags[known] = name
        return known

    # rules -----------------------------------------------------------------------------------------

    def check_address(self, email: Any) -> str:
        """The address of somebody new. Refused when it is none, or was deleted for good."""
        if not isinstance(email, str) or not EMAIL.fullmatch(email):
            raise invalid("Please provide a valid email address.")  # recorded
        if hashed(email) in self.forgotten:
            told = (
                "was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back"
            )
            raise Refused(400, "Forgotten Email Not Subscribed", f"{email} {told} on the list.")
        return email

    def merged(
        self, values: Mapping[str, Any] | None, member: Member | None, *, lenient: bool
    ) -> dict[str, Any]:
        """The merge fields a member has after these values. Unknown tags are ignored (recorded)."""
        held = dict(member.merge) if member else {}
        wrong = []
        for tag, value in (values or {}).items():
            if tag in self.fields:
                try:
                    held[tag] = self.fields[tag].stored(value)
                except Refused as refused:
                    wrong += [(one["field"], one["message"]) for one in refused.errors]
        required = [f.tag for f in self.fields.values() if f.required and held.get(f.tag, "") == ""]
        wrong += [(tag, "Please enter a value") for tag in required if not lenient and member is None]
        if wrong:
            raise invalid("Your merge fields were invalid.", *wrong)
        return held

    def create(self, email: str, status: str, now: float) -> Member:
        member = Member(email, status, self.number(), now, now if status == "subscribed" else None)
        member.reason = BY_ADMIN if status == "unsubscribed" else None
        self.members[member.id] = member
        return member

    def change_status(self, member: Member, status: str | None, now: float) -> None:
        """What the API may make of a status. Who left of his own will or bounced is not brought back."""
        if status is None or status == member.status:
            return
        bounced = member.status == "cleaned" and status in ("subscribed", "pending")
        left = member.status == "unsubscribed" and member.reason != BY_ADMIN and status == "subscribed"
        if bounced or left:
            told = "is in a compliance state due to unsubscribe, bounce, or compliance review"
            raise Refused(
                400, "Member In Compliance State", f"{member.email} {told} and cannot be subscribed."
            )
        member.reason = BY_ADMIN if status == "unsubscribed" else None
        member.opted = now if status == "subscribed" else member.opted
        member.status = status

    def readdress(self, member: Member, email: str) -> None:
        """Another address for the same person; Refused when somebody has it (recorded)."""
        if hashed(email) == member.id:
            return
        self.check_address(email)
        if hashed(email) in self.members:
            raise exists(email)
        del self.members[member.id]
        member.email = email
        self.members[member.id] = member

    def archive(self, member: Member, now: float) -> None:
        if member.status in ("archived", "pending", "cleaned"):
            told = "Can not archive a contact that is bounced, pending or archived"  # recorded
            raise Refused(405, "Method Not Allowed", f"This list member cannot be removed. {told}")
        member.status, member.changed = "archived", now

    # as shown --------------------------------------------------------------------------------------

    def shown(self, member: Member) -> dict[str, Any]:
        """As a single member is shown (recorded)."""
        merge = {tag: member.merge.get(tag, "") for tag in self.fields}
        name = f"{merge.get('FNAME', '')} {merge.get('LNAME', '')}".strip()
        why = {"unsubscribe_reason": member.reason} if member.status == "unsubscribed" else {}
        return {
            **self.briefly(member),
            **why,
            "contact_id": hashed(f"contact {member.number}"),
            "full_name": name,
            "web_id": member.number,
            "consents_to_one_to_one_messaging": True,
            "source": "API - Generic",
            **self.tagged(member),
        }

    def briefly(self, member: Member) -> dict[str, Any]:
        """As the members of a segment are shown, which is without tags (spec)."""
        return {
            "id": member.id,
            "email_address": member.email,
            "unique_email_id": member.id[:10],
            "email_type": member.email_type,
            "status": member.status,
            "merge_fields": {tag: member.merge.get(tag, "") for tag in self.fields},
            "stats": {"avg_open_rate": 0, "avg_click_rate": 0},
            "ip_signup": "",
            "timestamp_signup": "",
            "ip_opt": "",
            "timestamp_opt": stamp(member.opted),
            "member_rating": 2,
            "last_changed": stamp(member.changed),
            "language": "",
            "vip": member.vip,
            "email_client": "",
            "location": {
                "latitude": 0,
                "longitude": 0,
                "gmtoff": 0,
                "dstoff": 0,
                "country_code": "",
                "timezone": "",
            },
            "list_id": self.id,
        }

    def tagged(self, member: Member) -> dict[str, Any]:
        return {
            "tags_count": len(member.tags),
            "tags": [{"id": number, "name": self.tags[number]} for number in member.tags],
        }


def exists(email: str) -> Refused:
    """Recorded."""
    told = f"{email} is already a list member. Use PUT to insert or update list members."
    return Refused(400, "Member Exists", told)
