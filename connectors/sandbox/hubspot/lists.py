"""The part of HubSpot's twin that answers for lists and for who is in them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.hubspot.account import Account, List
from connectors.sandbox.hubspot.wire import absent, batch, empty, inputs, invalid, paged, read, said, stamp
from connectors.sandbox.twin import Twin, route

LISTS = "/crm/lists/<version>"
MOST_MEMBERS = 100_000
"""Nothing is documented of how many ids a call may have; this many move from list to list at once."""


class Lists(Twin):
    """Routes below `/crm/lists`."""

    @abstractmethod
    def account(self, request: Request) -> Account:
        """The account whose key the request carries."""

    @route("POST", LISTS)
    def create_list(self, request: Request, version: str) -> Response:
        body = read(request)
        for name in ("name", "objectTypeId", "processingType"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise invalid(f"Some required fields were not set: [{name}]")
        made = self.account(request).add_list(body["name"], body["processingType"], self.clock())
        return said({"list": made.shown()})

    @route("GET", f"{LISTS}/object-type-id/<kind>/name/<path:name>")
    def get_list_by_name(self, request: Request, version: str, kind: str, name: str) -> Response:
        found = [one for one in self.account(request).lists.values() if one.name == name and kind == "0-1"]
        if not found:
            raise absent(f"List with name {name} does not exist")
        return said({"list": found[0].shown()})

    @route("GET", f"{LISTS}/<number>")
    def get_list(self, request: Request, version: str, number: str) -> Response:
        return said({"list": self.account(request).list(number).shown()})

    @route("POST", f"{LISTS}/search")
    def search_lists(self, request: Request, version: str) -> Response:
        asked = read(request)
        kinds = asked.get("processingTypes") or ["MANUAL", "SNAPSHOT", "DYNAMIC"]
        rows = [one for one in self.account(request).lists.values() if one.processing in kinds]
        start, count = int(asked.get("offset", 0)), int(asked.get("count", 20))
        page = [one.shown() | {"additionalProperties": {}} for one in rows[start : start + count]]
        more = start + count < len(rows)
        return said({"lists": page, "offset": start + len(page), "hasMore": more, "total": len(rows)})

    @route("PUT", f"{LISTS}/<number>/memberships/add")
    def add_members(self, request: Request, version: str, number: str) -> Response:
        return self.move(request, number, add=ids(read(request)))

    @route("PUT", f"{LISTS}/<number>/memberships/remove")
    def remove_members(self, request: Request, version: str, number: str) -> Response:
        return self.move(request, number, remove=ids(read(request)))

    @route("PUT", f"{LISTS}/<number>/memberships/add-and-remove")
    def change_members(self, request: Request, version: str, number: str) -> Response:
        body = read(request)
        joins, leaves = ids(body.get("recordIdsToAdd", [])), ids(body.get("recordIdsToRemove", []))
        return self.move(request, number, add=joins, remove=leaves)

    def move(
        self, request: Request, number: str, add: list[str] | None = None, remove: list[str] | None = None
    ) -> Response:
        """Who is in already, or was not in, is passed over; whom nobody knows is told."""
        account = self.account(request)
        found = manual(account.list(number))
        asked = [*(add or []), *(remove or [])]
        known = {one for one in asked if account.find(None, one)}
        joined = [one for one in add or [] if one in known and one not in found.members]
        left = [one for one in remove or [] if one in found.members]
        found.members |= dict.fromkeys(joined, self.clock())
        for one in left:
            del found.members[one]
        missing = [one for one in asked if one not in known]
        return said({"recordsIdsAdded": joined, "recordIdsRemoved": left, "recordIdsMissing": missing})

    @route("DELETE", f"{LISTS}/<number>/memberships")
    def remove_all_members(self, request: Request, version: str, number: str) -> Response:
        manual(self.account(request).list(number)).members.clear()
        return empty()

    @route("GET", f"{LISTS}/<number>/memberships")
    def get_members(self, request: Request, version: str, number: str) -> Response:
        members = self.account(request).list(number).members
        after, limit = int(request.args.get("after", 0)), int(request.args.get("limit", 100))
        rows = [{"recordId": one, "membershipTimestamp": stamp(at)} for one, at in members.items()]
        page, more = paged(rows, after, limit)
        return said({"results": page, "total": len(rows), **more})

    @route("POST", f"{LISTS}/records/memberships/batch/read")
    def read_memberships(self, request: Request, version: str) -> Response:
        account, (_, rows) = self.account(request), inputs(request, needs="recordId")
        told = [
            {
                "objectTypeId": row["objectTypeId"],
                "recordId": row["recordId"],
                "recordListMemberships": memberships(account, row["recordId"]),
            }
            for row in rows
        ]
        return said(batch(self.clock(), told))

    @route("GET", f"{LISTS}/records/<kind>/<number>/memberships")
    def get_memberships(self, request: Request, version: str, kind: str, number: str) -> Response:
        told = memberships(self.account(request), number)
        return said({"results": told, "total": len(told)})


def memberships(account: Account, number: str) -> list[dict[str, Any]]:
    return [
        {
            "listId": one.id,
            "listVersion": 1,
            "isPublicList": True,
            "firstAddedTimestamp": stamp(one.members[number]),
            "lastAddedTimestamp": stamp(one.members[number]),
        }
        for one in account.lists.values()
        if number in one.members
    ]


def manual(found: List) -> List:
    """A list that records can be put into."""
    if found.processing == "DYNAMIC":
        raise invalid("Memberships of a DYNAMIC list cannot be changed", subCategory="ILS.INVALID_LIST")
    return found


def ids(body: Any) -> list[str]:
    if not isinstance(body, list) or not all(isinstance(one, str) and one.isdigit() for one in body):
        raise invalid("Record IDs must be an array of strings of digits")
    if len(body) > MOST_MEMBERS:
        raise invalid(f"At most {MOST_MEMBERS} records at a time")
    return body
