"""Zendesk's tickets: an external id may come twice, and a key keeps a call from being done twice."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import Twin, route
from connectors.sandbox.zendesk.account import Account, stamp
from connectors.sandbox.zendesk.fields import Refused, absent, invalid
from connectors.sandbox.zendesk.wire import API, listed, part, said

KEY_SECONDS = 7_200.0
"""For so long a call with the same `Idempotency-Key` is answered as the first was (reference)."""
PRIORITIES = (None, "low", "normal", "high", "urgent")
KINDS = (None, "problem", "incident", "question", "task")
SETTABLE = ("subject", "priority", "type", "due_at", "status", "external_id", "group_id", "assignee_id")

Ticket = dict[str, Any]


class Tickets(Twin):
    """What of the twin concerns tickets."""

    def reset_tickets(self) -> None:
        self.tickets: dict[int, tuple[Account, Ticket]] = {}
        self.archived: set[int] = set()
        """Tickets closed for 120 days: they are there, and in no list."""
        self.replies: dict[tuple[str, str], tuple[float, str, Ticket]] = {}
        """(account, key) → when it came, the body it came with, the ticket it made."""
        self.notified: list[int] = []
        """Tickets whose requester was written to: each made with a public comment."""

    @abstractmethod
    def account(self, request: Request) -> Account:
        """Whose token the request carries."""

    def ticket_rows(self, account: Account) -> list[Ticket]:
        rows = [ticket for owner, ticket in self.tickets.values() if owner is account]
        return [{**row, "tags": ", ".join(row["tags"])} for row in rows]

    @route("GET", f"{API}/tickets")
    def list_tickets(self, request: Request) -> Response:
        """Of one external id, or several with commas between; several tickets may have one. Archived tickets
        are not among them (reference)."""
        account, key = self.account(request), request.args.get("external_id")
        rows = [row for owner, row in self.tickets.values() if owner is account]
        shown = [row for row in rows if row["id"] not in self.archived]
        keys = None if key is None else key.split(",")
        return listed("tickets", [row for row in shown if keys is None or row["external_id"] in keys])

    @route("POST", f"{API}/tickets")
    def create_ticket(self, request: Request) -> Response:
        account, asked = self.account(request), part(request, "ticket")
        key, body = request.headers.get("Idempotency-Key"), json.dumps(asked, sort_keys=True)
        at, before, ticket = self.replies.get((account.site, key or ""), (0.0, "", {}))
        if key and ticket and at + KEY_SECONDS > self.clock():
            if before != body:
                told = "The request parameters do not match the parameters of the first request"
                raise Refused(400, "IdempotentRequestError", told)
            return told_of(ticket, "hit")
        made = self.add_ticket(account, asked)
        if key:
            self.replies[account.site, key] = (self.clock(), body, made)
        return told_of(made, "miss")

    def add_ticket(self, account: Account, asked: Ticket) -> Ticket:
        comment = asked.get("comment") or {}
        if not comment.get("body"):
            raise invalid("base", "Description: cannot be blank")
        requester = asked.get("requester_id", 1)
        if requester != 1 and requester not in account.users:
            raise invalid("requester", "Requester: is not a user")
        number = len(self.tickets) + 1
        blank = dict.fromkeys(SETTABLE) | {"status": "open", "description": comment["body"]}
        made = {"id": number, "url": f"{account.site}{API}/tickets/{number}.json", **blank}
        made |= {"requester_id": requester, "tags": list(asked.get("tags") or ())}
        self.set(made, asked)
        self.tickets[number] = (account, made)
        if comment.get("public", True):
            self.notified.append(number)
        return made

    @route("PUT", f"{API}/tickets/<int:number>")
    def update_ticket(self, request: Request, number: int) -> Response:
        account, asked = self.account(request), part(request, "ticket")
        owner, ticket = self.tickets.get(number, (None, {}))
        if owner is not account:
            raise absent()
        if ticket["status"] == "closed":
            raise invalid("status", "closed prevents ticket update")
        self.set(ticket, asked)
        if "tags" in asked:
            ticket["tags"] = list(asked["tags"])
        return told_of(ticket, "miss", 200)

    def set(self, ticket: Ticket, asked: Ticket) -> None:
        if asked.get("priority") not in PRIORITIES or asked.get("type") not in KINDS:
            raise invalid("priority", "is not recognized")
        ticket.update({name: asked[name] for name in SETTABLE if name in asked})
        ticket["updated_at"] = stamp(self.clock())


def told_of(ticket: Ticket, lookup: str, status: int = 201) -> Response:
    """The reply to a write: the ticket and what was done to it."""
    made = said({"ticket": ticket, "audit": {"id": ticket["id"], "ticket_id": ticket["id"]}}, status)
    made.headers["x-idempotency-lookup"] = lookup
    return made
