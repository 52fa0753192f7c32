"""HubSpot's HTTP as the destination needs it: contacts by batch, properties, one static list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import requests

from octo_dagster.errors import Fatal, Unanswered

HOST = "https://api.hubapi.com"
CONTACTS = "0-1"
"""HubSpot's number for the kind of object that contacts are."""
MANY = 100
"""Most inputs of any batch call on objects; the 101st is a 400 (guide, Contacts)."""
MEMBERS = 1_000
"""Record ids in one membership call. No limit is documented; 100,000 move at once from list to list."""
OTHERS = "hs_additional_emails"
"""The addresses a contact has besides its first, `;` between them; each still names this contact."""
MERGED = "hs_merged_object_ids"
"""Whom a person has merged into this contact."""

Record = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as HubSpot shows it: its id and its properties, which are texts or None."""

    id: str
    properties: Mapping[str, str | None]

    def names(self, id_property: str) -> set[str]:
        """Every key that names it."""
        held = [self.properties.get(id_property) or ""]
        if id_property == "email":
            held += (self.properties.get(OTHERS) or "").split(";")
        return {fold(one) for one in held if one}


@dataclass(frozen=True, slots=True)
class Portal:
    """One account, signed in with a static key."""

    session: requests.Session
    key: str = field(repr=False)
    version: str
    list_name: str | None
    held: dict[str, Record] = field(default_factory=dict)
    """The properties of contacts, by name, once asked for."""
    lists: dict[str, str] = field(default_factory=dict)
    """The id the list's name was found to mean."""
    made: set[str] = field(default_factory=set)
    """Ids of the contacts made over this connection: a batch that goes again meets its own."""

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """One call. The caller reads the status; `HubSpot.failure` has seen it before."""
        headers = {"Authorization": f"Bearer {self.key}", "Accept": "application/json"}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self.session.request(method, HOST + path, data=data, headers=headers, allow_redirects=False)

    def get(self, path: str) -> Any:
        """The reply to a GET that must succeed."""
        return content(expected(self.call("GET", path), 200))

    def path(self, family: str, rest: str = "") -> str:
        """`/crm/objects/2026-09/…`, or as it was before there were dated versions `/crm/v3/objects/…`."""
        place = f"v3/{family}" if self.version == "v3" else f"{family}/{self.version}"
        return f"/crm/{place}{rest}"

    def number(self) -> str:
        """The account's id."""
        return str(self.get(f"/account-info/{self.version}/details")["portalId"])

    # properties ------------------------------------------------------------------------------------

    def properties(self, *, again: bool = False) -> dict[str, Record]:
        """Name → definition, asked for once or anew."""
        if again or not self.held:
            rows = self.get(self.path("properties", "/contacts"))["results"]
            self.held.clear()
            self.held.update({row["name"]: row for row in rows if not row.get("archived")})
        return self.held

    def make_property(self, body: Record) -> str | None:
        """Make a property; what HubSpot says when it will not."""
        reply = self.call("POST", self.path("properties", "/contacts"), body)
        return None if reply.status_code == 201 else told(reply)

    def make_group(self, name: str) -> None:
        """Make sure of a group for new properties. One that is there already is good."""
        body = {"name": name, "label": name.replace("_", " ").capitalize(), "displayOrder": -1}
        expected(self.call("POST", self.path("properties", "/contacts/groups"), body), 201, 409)

    def add_options(self, name: str, wanted: Iterable[str]) -> None:
        """Add these choices to a property and keep all it has now: the call replaces the whole list.

        Where HubSpot will not, nothing is added: rows that need them are refused by name."""
        place = self.path("properties", f"/contacts/{name}")
        options = list(self.get(place)["options"])
        known = {str(option["value"]) for option in options}
        order = len(options)
        for value in sorted(set(wanted) - known):
            options.append({"label": value, "value": value, "displayOrder": order, "hidden": False})
            order += 1
        if order > len(known):
            reply = self.call("PATCH", place, {"options": options})
            options = content(reply)["options"] if reply.status_code == 200 else options[: len(known)]
        self.held[name] = {**self.held[name], "options": options}

    # contacts --------------------------------------------------------------------------------------

    def batch(self, verb: str, body: Any) -> requests.Response:
        return self.call("POST", self.path("objects", f"/contacts/batch/{verb}"), body)

    def find(self, id_property: str, keys: Iterable[str], names: Iterable[str] = ()) -> dict[str, Contact]:
        """Key → its contact, of those that are there. Two keys may lead to one contact.

        `batch/read`, never the search: its index lags behind what was written a moment ago."""
        asked = {fold(key): key for key in keys}
        wanted = [id_property, *({OTHERS} if id_property == "email" else ()), *names]
        found: dict[str, Contact] = {}
        body = {"idProperty": id_property, "properties": wanted, "propertiesWithHistory": []}
        for part in cut(list(asked.values()), MANY):
            for row in self.look(body, part):
                contact = Contact(str(row["id"]), row["properties"])
                found |= dict.fromkeys(contact.names(id_property) & asked.keys(), contact)
        return {asked[name]: contact for name, contact in found.items()}

    def look(self, body: Record, keys: Sequence[str]) -> list[Record]:
        """The contacts these keys lead to. An address that HubSpot cannot read is nobody's.

        What it does with such a one among a hundred is not documented: should it refuse them all, they are
        asked for in halves, so that one customer's mistake hides nobody else."""
        reply = self.batch("read", {**body, "inputs": [{"id": key} for key in keys]})
        if reply.status_code == 400 and body["idProperty"] == "email" and "VALIDATION" in told(reply):
            middle = len(keys) // 2
            halves = (keys[:middle], keys[middle:]) if middle else ()
            return [row for half in halves for row in self.look(body, half)]
        found: list[Record] = content(expected(reply, 200, 207))["results"]
        return found

    def one_contact(self) -> Any:
        """Any contact: whether contacts may be read at all."""
        return self.get(self.path("objects", "/contacts?limit=1"))

    def archive(self, ids: Sequence[str]) -> None:
        """Delete up to a hundred contacts; they can be restored for 90 days. Who is gone is no error."""
        if ids:
            expected(self.batch("archive", {"inputs": [{"id": one} for one in ids]}), 204)

    # the list --------------------------------------------------------------------------------------

    def list_id(self, *, create: bool = False) -> str | None:
        """The id of the static list of this name; made when missing, if told to.

        Fatal when the list is an active one: HubSpot itself decides who is in that."""
        if self.list_name and self.list_name not in self.lists:
            place = f"/object-type-id/{CONTACTS}/name/{quote(self.list_name, safe='')}"
            reply = expected(self.call("GET", self.path("lists", place)), 200, 404)
            if reply.status_code == 404 and not create:
                return None
            found = content(reply if reply.status_code == 200 else self.make_list())["list"]
            if found["processingType"] == "DYNAMIC":
                raise Fatal(
                    f"hubspot: the list {self.list_name!r} is an active one: its filters say who is in"
                )
            self.lists[self.list_name] = str(found["listId"])
        return self.lists.get(self.list_name or "")

    def make_list(self) -> requests.Response:
        body = {"name": self.list_name, "objectTypeId": CONTACTS, "processingType": "MANUAL"}
        return expected(self.call("POST", self.path("lists"), body), 200)

    def join(self, ids: Sequence[str]) -> set[str]:
        """Put these contacts into the list. The ids HubSpot does not know (any more)."""
        return self.move("add", self.list_id(create=True), ids)

    def leave(self, ids: Sequence[str]) -> None:
        """Take these contacts off the list, and no others: no call made here empties a list."""
        self.move("remove", self.list_id(), ids)

    def move(self, verb: str, number: str | None, ids: Sequence[str]) -> set[str]:
        missing: set[str] = set()
        for part in cut(ids, MEMBERS) if number else ():
            reply = self.call("PUT", self.path("lists", f"/{number}/memberships/{verb}"), part)
            missing |= set(content(expected(reply, 200)).get("recordIdsMissing") or ())
        return missing

    def members(self, ids: Sequence[str]) -> set[str]:
        """Those of these contacts that are in the list."""
        number = self.list_id()
        inside: set[str] = set()
        for part in cut(ids, MANY) if number else ():
            inputs = [{"objectTypeId": CONTACTS, "recordId": one} for one in part]
            reply = self.call(
                "POST", self.path("lists", "/records/memberships/batch/read"), {"inputs": inputs}
            )
            for row in content(expected(reply, 200, 207))["results"]:
                if number in {str(one["listId"]) for one in row["recordListMemberships"]}:
                    inside.add(str(row["recordId"]))
        return inside

    def static_lists(self) -> list[str]:
        """The names of all lists of contacts that records can be put into."""
        rows: list[Record] = []
        while True:
            asked = {"processingTypes": ["MANUAL", "SNAPSHOT"], "offset": len(rows), "count": 250}
            page = content(expected(self.call("POST", self.path("lists", "/search"), asked), 200))
            rows += page["lists"]
            if not page["hasMore"] or not page["lists"]:
                return sorted(str(row["name"]) for row in rows if row["objectTypeId"] == CONTACTS)


def cut(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Rows in parts of at most this size."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def fold(key: str) -> str:
    """A key as compared: HubSpot keeps addresses in lower case."""
    return key.strip().lower()


def content(reply: requests.Response) -> Any:
    """The reply's JSON. Unanswered when it has none."""
    try:
        return reply.json()
    except requests.exceptions.JSONDecodeError as error:
        raise Unanswered(f"hubspot: {reply.status_code} without JSON") from error


def expected(reply: requests.Response, *statuses: int) -> requests.Response:
    """The reply, when it has one of these statuses. Fatal otherwise: the account is not as it must be."""
    if reply.status_code not in statuses:
        raise Fatal(f"hubspot: {reply.status_code} {told(reply)}")
    return reply


def told(reply: requests.Response) -> str:
    """What HubSpot says was wrong, in its own words: `CATEGORY: message`."""
    try:
        return reason(reply.json())
    except requests.exceptions.JSONDecodeError:
        return reply.text[:300]


def reason(error: Record) -> str:
    """`CATEGORY: message (scopes it takes)`; every part of an error is optional (guide, Error handling)."""
    first: Record = next(iter(error.get("errors") or ()), {})
    said = error.get("message") or first.get("message") or "refused"
    context = {**(first.get("context") or {}), **(error.get("context") or {})}
    scopes = [one for name, several in context.items() if "Scopes" in name for one in several]
    wants = f" ({', '.join(scopes)})" if scopes else ""
    return f"{error.get('category') or first.get('code') or 'ERROR'}: {said}"[:400] + wants
