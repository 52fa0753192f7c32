"""The part of Brevo's twin that answers for single contacts, pages of them, and who is in which list."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from werkzeug.wrappers import Request, Response

from connectors.sandbox.brevo.account import (
    EMAIL,
    PHONES,
    Account,
    Contact,
    Refused,
    phone,
    seconds,
)
from connectors.sandbox.twin import Twin, route

T = TypeVar("T")

KINDS = {
    "email_id": "EMAIL",
    "ext_id": "EXT_ID",
    "phone_id": "SMS",
    "whatsapp_id": "WHATSAPP",
    "landline_number_id": "LANDLINE_NUMBER",
}
STATISTICS: dict[str, Any] = {
    name: []
    for name in ("messagesSent", "hardBounces", "softBounces", "complaints", "opened", "clicked", "delivered")
} | {"unsubscriptions": {"userUnsubscription": [], "adminUnsubscription": []}}
BY = {"emails": "EMAIL", "extIds": "EXT_ID", "ids": "ID"}


class Contacts(Twin):
    """Routes below `/v3/contacts`, of an account the request's key names."""

    @abstractmethod
    def account(self, request: Request) -> Account:
        """The account whose key the request carries."""

    def known_list(self, account: Account, number: int) -> None:
        if number not in account.lists:
            raise Refused("document_not_found", "List ID does not exist", 404)

    @route("POST", "/v3/contacts")
    def create_contact(self, request: Request) -> Response:
        account, body = self.account(request), body_of(request)
        given = identifiers(body)
        if not given:
            raise Refused("missing_parameter", "Please pass either email, SMS or ext_id to create a contact")
        held = [name for name, value in given.items() if account.find(name, value)]
        if held and not body.get("updateEnabled"):
            raise taken(held)
        contact = account.find(held[0], given[held[0]]) if held else None
        fresh = contact is None
        contact = contact or account.create(self.clock())
        self.change(account, contact, body, given)
        return (
            Response(json.dumps({"id": contact.id}), 201, mimetype="application/json") if fresh else empty()
        )

    @route("PUT", "/v3/contacts/<path:identifier>")
    def update_contact(self, request: Request, identifier: str) -> Response:
        account, body = self.account(request), body_of(request)
        contact = the(account, request, identifier)
        given = identifiers(body)
        held = [name for name, value in given.items() if account.find(name, value) not in (None, contact)]
        if held:
            raise taken(held)
        self.change(account, contact, body, given)
        return empty()

    def change(self, account: Account, contact: Contact, body: dict[str, Any], given: dict[str, str]) -> None:
        """Write what a single create or update asks for."""
        joins = account.check_lists(body.get("listIds", []))
        leaves = account.check_lists(body.get("unlinkListIds", []))
        for name, value in given.items():
            account.identify(contact, name, phone(value) if name in PHONES else value)
        for name, value in body.get("attributes", {}).items():
            if value == "":
                account.erase(contact, name)
            elif name not in given:
                account.write(contact, name, value)
        contact.lists = (contact.lists | set(joins)) - set(leaves)
        contact.email_blacklisted = body.get("emailBlacklisted", contact.email_blacklisted)
        contact.sms_blacklisted = body.get("smsBlacklisted", contact.sms_blacklisted)
        contact.modified = self.clock()

    @route("DELETE", "/v3/contacts/<path:identifier>")
    def delete_contact(self, request: Request, identifier: str) -> Response:
        account = self.account(request)
        account.delete(the(account, request, identifier))
        return empty()

    @route("GET", "/v3/contacts/<path:identifier>")
    def get_contact(self, request: Request, identifier: str) -> Response:
        contact = the(self.account(request), request, identifier)
        return as_json({**contact.shown(), "statistics": STATISTICS})

    @route("GET", "/v3/contacts")
    def get_contacts(self, request: Request) -> Response:
        lists = {int(one) for value in request.args.getlist("listIds") for one in value.split(",")}
        everyone = self.account(request).contacts.values()
        chosen = [contact for contact in everyone if not lists or lists & contact.lists]
        return contacts_page(request, chosen, most=1000)

    @route("GET", "/v3/contacts/lists/<int:number>/contacts")
    def get_contacts_from_list(self, request: Request, number: int) -> Response:
        account = self.account(request)
        self.known_list(account, number)
        inside = [contact for contact in account.contacts.values() if number in contact.lists]
        return contacts_page(request, inside, most=500)

    @route("POST", "/v3/contacts/lists/<int:number>/contacts/add")
    def add_to_list(self, request: Request, number: int) -> Response:
        def add(contact: Contact) -> bool:
            new = number not in contact.lists
            contact.lists.add(number)
            return new

        return self.move(request, number, add, "Contact already in list and/or does not exist")

    @route("POST", "/v3/contacts/lists/<int:number>/contacts/remove")
    def remove_from_list(self, request: Request, number: int) -> Response:
        def remove(contact: Contact) -> bool:
            was = number in contact.lists
            contact.lists.discard(number)
            return was

        if body_of(request).get("all") is True:
            moved = [remove(contact) for contact in self.account(request).contacts.values()]
            return as_json({"contacts": {"total": sum(moved), "processId": 0}}, 201)
        return self.move(request, number, remove, "Contact already removed from list and/or does not exist")

    def move(self, request: Request, number: int, act: Callable[[Contact], bool], none: str) -> Response:
        """Add or remove up to 150 contacts; a 400 when that was right for none of them."""
        account, body = self.account(request), body_of(request)
        self.known_list(account, number)
        given = [name for name in BY if body.get(name)]
        if len(given) != 1 or not isinstance(body[given[0]], list):
            raise Refused("missing_parameter", "Pass one of emails, ids, extIds")
        values = body[given[0]]
        if len(values) > 150:
            raise Refused("invalid_parameter", "A maximum of 150 contacts can be passed in one request")
        if given[0] == "emails" and not all(EMAIL.fullmatch(str(value)) for value in values):
            raise Refused("invalid_parameter", "Invalid email address")
        moved: dict[bool, list[Any]] = {True: [], False: []}
        for value in values:
            contact = find(account, BY[given[0]], value)
            done = contact is not None and act(contact)
            if done and contact is not None:
                contact.modified = self.clock()
            moved[done].append(value)
        if not moved[True]:
            raise Refused("invalid_parameter", none)
        return as_json({"contacts": {"success": moved[True], "failure": moved[False]}}, 201)


def body_of(request: Request) -> dict[str, Any]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or not isinstance(body.get("attributes", {}), dict):
        raise Refused("invalid_parameter", "Input must be a valid JSON object")
    return body


def identifiers(body: dict[str, Any]) -> dict[str, str]:
    """The identifiers a body gives its contact. Refused when one is malformed."""
    attributes = body.get("attributes", {})
    given = {"EMAIL": body.get("email") or attributes.get("EMAIL")}
    given["EXT_ID"] = body.get("ext_id") or attributes.get("EXT_ID")
    given |= {name: attributes.get(name) for name in PHONES}
    if given["EMAIL"] and not EMAIL.fullmatch(given["EMAIL"]):
        raise Refused("invalid_parameter", "email is not valid in input")
    if any(given[name] and phone(given[name]) is None for name in PHONES):
        raise Refused("invalid_parameter", "Invalid phone number")
    return {name: str(value) for name, value in given.items() if value}


def taken(names: Sequence[str]) -> Refused:
    low = [name.lower() for name in names]
    message = f"Unable to create contact, {', '.join(low)} is already associated with another Contact"
    return Refused("duplicate_parameter", message, duplicate_identifiers=low)


def the(account: Account, request: Request, identifier: str) -> Contact:
    """The contact a path names. Refused when there is none."""
    kind = request.args.get("identifierType")
    if kind is not None and kind not in {*KINDS, "contact_id"}:
        raise Refused("invalid_parameter", "identifierType is not valid")
    name = KINDS.get(kind, "ID") if kind else "EMAIL" if "@" in identifier else "ID"
    contact = find(account, name, identifier)
    if contact is None:
        raise Refused("document_not_found", "Contact does not exist", 404)
    return contact


def find(account: Account, name: str, value: Any) -> Contact | None:
    if name != "ID":
        return account.find(name, str(value))
    return account.contacts.get(int(value)) if str(value).isdigit() else None


def page(request: Request, rows: Sequence[T], most: int, usual: int = 50) -> list[T]:
    """One page of rows. Refused when the limit is more than the most."""
    limit = int(request.args.get("limit", min(usual, most)))
    offset = int(request.args.get("offset", 0))
    if limit > most:
        raise Refused("out_of_range", "Limit exceeds max value")
    return list(rows[offset : offset + limit])


def contacts_page(request: Request, chosen: Iterable[Contact], most: int) -> Response:
    """Newest first unless asked otherwise; `modifiedSince` and `createdSince` are strict.

    `chosen` come in the order of their ids, that in which they were made."""
    modified, created = (
        seconds(request.args[name]) if name in request.args else None
        for name in ("modifiedSince", "createdSince")
    )
    rows = [
        contact
        for contact in chosen
        if (modified is None or contact.modified > modified)
        and (created is None or contact.created > created)
    ]
    if request.args.get("sort", "desc") == "desc":
        rows.reverse()
    shown = [contact.shown() for contact in page(request, rows, most)]
    return as_json({"contacts": shown, "count": len(rows)})


def shown_list(account: Account, number: int) -> dict[str, Any]:
    """As every listing of lists shows it. The two totals are 0 since Brevo dropped them."""
    inside = sum(number in contact.lists for contact in account.contacts.values())
    return {
        "id": number,
        "name": account.lists[number]["name"],
        "folderId": account.lists[number]["folderId"],
        "totalBlacklisted": 0,
        "totalSubscribers": 0,
        "uniqueSubscribers": inside,
    }


def as_json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def empty() -> Response:
    return Response(status=204)
