"""The part of HubSpot's twin that answers for contacts: batches, and pages of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.hubspot.account import Account, Contact
from connectors.sandbox.hubspot.fields import EMAIL
from connectors.sandbox.hubspot.wire import Refused, absent, batch, empty, inputs, invalid, paged, read, said
from connectors.sandbox.twin import Twin, route

OBJECTS = "/crm/objects/<version>/contacts"
GONE = "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."

Row = dict[str, Any]
Act = Callable[[Account, Row, str], tuple[Contact, bool]]


class Contacts(Twin):
    """Routes below `/crm/objects`, of the account the request's key belongs to."""

    def reset_contacts(self) -> None:
        self.multi_status = True
        """Whether inputs that each have an `objectWriteTraceId` of their own are judged one by one; else a
        bad one fails its batch, as every batch without them fails (guide, Error handling)."""
        self.multi_code = 207
        """The status of a batch that went wrong in part: the reference of 2026-09 names only 200."""
        self.echoes = True
        """Whether results and errors carry the `objectWriteTraceId`; errors name ids as well, where there are
        any: those of a creation always carry it (guide, Multi-status errors)."""
        self.forgets: set[str] = set()
        """Ids that batches pass over without a word, as people report of records merged meanwhile."""
        self.blanks_by_email = True
        """Whether an upsert by `email` empties what it does not mention. The guide says only that partial
        upserts by it "are not supported"; this is the strictest thing it may mean."""

    @abstractmethod
    def account(self, request: Request) -> Account:
        """The account whose key the request carries."""

    @route("POST", f"{OBJECTS}/batch/upsert")
    def upsert_contacts(self, request: Request, version: str) -> Response:
        return self.each(request, version, self.upsert)

    @route("POST", f"{OBJECTS}/batch/create")
    def create_contacts(self, request: Request, version: str) -> Response:
        return self.each(request, version, self.make, status=201)

    @route("POST", f"{OBJECTS}/batch/update")
    def update_contacts(self, request: Request, version: str) -> Response:
        return self.each(request, version, self.update)

    def upsert(self, account: Account, row: Row, version: str) -> tuple[Contact, bool]:
        name = row.get("idProperty")
        if not name:
            raise invalid("idProperty is required for upsert")
        contact = account.find(name, row["id"])
        kept = account.checked({name: row["id"], **row["properties"]}, ruled=version == "2026-09")
        if contact is not None and name == "email":
            del kept["email"]  # another of its addresses may have led to it
        account.check_free(contact, kept)
        if contact is None:
            return account.create(kept, self.clock()), True
        if name == "email" and self.blanks_by_email:
            ours = [n for n in contact.properties if not account.properties[n].own and n not in kept]
            kept |= dict.fromkeys([*ours, *({"firstname", "lastname", "phone"} - kept.keys())])
        account.write(contact, kept, self.clock())
        return contact, False

    def make(self, account: Account, row: Row, version: str) -> tuple[Contact, bool]:
        """A new contact. Refused when its address, or another unique value, is somebody's."""
        kept = account.checked(row["properties"], ruled=version == "2026-09")
        account.check_free(None, kept)
        return account.create(kept, self.clock()), True

    def update(self, account: Account, row: Row, version: str) -> tuple[Contact, bool]:
        if row.get("idProperty") == "email":
            raise invalid("Unable to perform update/upsert by non-unique 0-1 property email")
        contact = account.find(row.get("idProperty"), row["id"])
        if contact is None:
            raise Refused(404, "OBJECT_NOT_FOUND", GONE)
        kept = account.checked(row["properties"], ruled=version == "2026-09")
        account.check_free(contact, kept)
        account.write(contact, kept, self.clock())
        return contact, False

    def each(self, request: Request, version: str, act: Act, status: int = 200) -> Response:
        """Carry out every input: all or none, or each for itself where each has a mark of its own."""
        account, (_, rows) = self.account(request), inputs(request, None if status == 201 else "id")
        ids = [(row.get("idProperty"), row["id"].lower()) for row in rows if "id" in row]
        twice = sorted({one for one in ids if ids.count(one) > 1}, key=str)
        if twice:
            told = [one for _, one in twice]
            message = f"Duplicate IDs found in batch input: {told}. IDs must be unique"
            raise invalid(message, context={"ids": told})
        for name in {row["idProperty"] for row in rows if row.get("idProperty")}:
            account.find(name, "")  # by no value, only to refuse a property that is not unique
        marks = {row.get("objectWriteTraceId") for row in rows} - {None, ""}
        apart = self.multi_status and len(marks) == len(rows)
        before = None if apart else self.copy(account)
        results, errors = [], []
        for row in rows:
            try:
                contact, new = act(account, row, version)
                results.append(self.result(contact, new, row))
            except Refused as refused:
                if before is not None:
                    account.contacts, account.holders = before
                    raise
                errors.append(self.blamed(refused, row))
        results = [one for one in results if one["id"] not in self.forgets]
        results.sort(key=lambda one: int(one["id"]), reverse=True)  # never in the order of the inputs
        return said(batch(self.clock(), results, errors), self.multi_code if errors else status)

    def copy(self, account: Account) -> tuple[dict[str, Contact], dict[tuple[str, str], str]]:
        """All contacts as they are now."""
        contacts = {
            one.id: Contact(one.id, one.created, one.updated, dict(one.properties), one.archived)
            for one in account.contacts.values()
        }
        return contacts, dict(account.holders)

    def result(self, contact: Contact, new: bool, row: Row) -> Row:
        names = [row["idProperty"], *row["properties"]] if row.get("idProperty") else [*row["properties"]]
        mark = {"objectWriteTraceId": row.get("objectWriteTraceId")} if self.echoes else {}
        told = contact.shown(names) | {k: v for k, v in mark.items() if v}
        if not row.get("idProperty"):
            return told
        filled = {name: value for name, value in told["properties"].items() if value is not None}
        return told | {"new": new, "properties": filled}  # an upsert's properties are texts, never null

    def blamed(self, refused: Refused, row: Row) -> Row:
        context: Row = dict(refused.more.get("context", {})) | {"ids": [row["id"]] if "id" in row else []}
        if self.echoes or "id" not in row:
            context["objectWriteTraceId"] = [row["objectWriteTraceId"]]
        return {**refused.listed, "context": context}

    @route("POST", f"{OBJECTS}/batch/read")
    def read_contacts(self, request: Request, version: str) -> Response:
        account, (body, rows) = self.account(request), inputs(request)
        if not isinstance(body, dict) or not isinstance(body.get("properties"), list):
            raise invalid("Some required fields were not set: [properties]")
        found: dict[str, Contact] = {}
        lost = []
        if body.get("idProperty") == "email" and not all(EMAIL.fullmatch(row["id"]) for row in rows):
            raise invalid("Email address is invalid")  # not documented: the strictest it may do
        for row in rows:
            contact = account.find(body.get("idProperty"), row["id"])
            if contact is None:
                lost.append(row["id"])
            else:
                found[contact.id] = contact
        results = [found[one].shown(body["properties"]) for one in sorted(found, key=int, reverse=True)]
        gone = Refused(404, "OBJECT_NOT_FOUND", GONE, context={"ids": lost})
        return said(batch(self.clock(), results, [gone.listed] if lost else []), 207 if lost else 200)

    @route("POST", f"{OBJECTS}/batch/archive")
    def archive_contacts(self, request: Request, version: str) -> Response:
        account, (_, rows) = self.account(request), inputs(request)
        for row in rows:
            contact = account.find(None, row["id"])
            if contact is not None:
                account.archive(contact, self.clock())
        return empty()

    @route("GET", OBJECTS)
    def get_contacts(self, request: Request, version: str) -> Response:
        names = [one for told in request.args.getlist("properties") for one in told.split(",")]
        after, limit = int(request.args.get("after", 0)), int(request.args.get("limit", 10))
        page, more = paged([one.shown(names) for one in self.account(request).there()], after, limit)
        return said({"results": page, **more})

    @route("POST", OBJECTS)
    def create_contact(self, request: Request, version: str) -> Response:
        account, told = self.account(request), read(request)
        kept = account.checked(told["properties"], ruled=version == "2026-09")
        held = account.find("email", kept.get("email") or "") if kept.get("email") else None
        if held is not None:
            raise Refused(409, "CONFLICT", f"Contact already exists. Existing ID: {held.id}")
        made = account.create(kept, self.clock())
        return said(made.shown([*told["properties"]]), 201)

    @route("PATCH", f"{OBJECTS}/<number>")
    def update_contact(self, request: Request, version: str, number: str) -> Response:
        """By its id, or by a unique property or the e-mail as `idProperty` says."""
        account, told = self.account(request), read(request)
        found = account.find(request.args.get("idProperty"), number)
        if found is None:
            raise absent()
        kept = account.checked(told["properties"], ruled=version == "2026-09")
        account.check_free(found, kept)
        account.write(found, kept, self.clock())
        return said(found.shown([*told["properties"]]))

    @route("GET", f"{OBJECTS}/<number>")
    def get_contact(self, request: Request, version: str, number: str) -> Response:
        contact = self.account(request).find(request.args.get("idProperty"), number)
        if contact is None:
            raise absent()
        names = [one for told in request.args.getlist("properties") for one in told.split(",")]
        return said(contact.shown(names))
