"""Tickets for a call list: one for each external id, however often it is asked for.

Zendesk lets two tickets have one external id, so a ticket is looked for before it is made, and made under
an `Idempotency-Key` of that id: a call whose reply was lost makes no second one. The first comment is an
internal note, so that nobody outside the helpdesk is written to. What a sync maps later (subject, priority,
due date) is changed; the note and the requester of a ticket are as they were when it was made.

A ticket that is archived, 120 days after it was closed, is in no list. So where Octo has made one, and it is
not found, none is made in its place; and tickets are not read back, as the old ones would be called gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from connectors.destinations.zendesk.desk import Desk
from octo_dagster.destination import FieldReport
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt, Value

CHANGEABLE: Mapping[str, frozenset[FieldType]] = {
    "subject": frozenset({FieldType.TEXT}),
    "priority": frozenset({FieldType.TEXT}),
    "due_at": frozenset({FieldType.DATETIME}),
}
FIELDS = {
    **CHANGEABLE,
    "external_id": frozenset({FieldType.TEXT}),
    "body": frozenset({FieldType.TEXT}),
    "requester": frozenset({FieldType.TEXT}),
}
"""`body` is the note; `requester` the external id of the user to be called."""


def ensure(fields: Mapping[str, FieldType]) -> FieldReport:
    """A line for each field a ticket does not have."""
    problems = []
    for name, kind in fields.items():
        if name not in FIELDS:
            problems.append(f"{name}: a ticket has {', '.join(FIELDS)}")
        elif kind not in FIELDS[name]:
            problems.append(f"{name}: holds no {kind}")
    return FieldReport(existing=tuple(name for name in fields if name in FIELDS), problems=tuple(problems))


def send(desk: Desk, batch: Batch, tags: Iterable[str]) -> tuple[Receipt, ...]:
    """Make or change the tickets of a batch, which the engine cuts to one."""
    return tuple(one(desk, change, batch.op, tags) for change in batch.changes)


def one(desk: Desk, change: Change, op: Op, tags: Iterable[str]) -> Receipt:
    """Make a ticket, or change the one there is."""
    held = desk.tickets(change.key)
    if op is not Op.UPSERT:
        why = "a ticket is a conversation: Octo neither empties nor deletes one"
        return refused(change, why) if held else Receipt(change.key, Outcome.ACCEPTED, created=False)
    if len(held) > 1:
        return refused(change, f"external_id: {len(held)} tickets have it")
    if not held and change.known:
        return refused(change, "external_id: its ticket was archived or deleted; no second one is made")
    return changed(desk, change, held[0]) if held else made(desk, change, tags)


def made(desk: Desk, change: Change, tags: Iterable[str]) -> Receipt:
    """A new ticket."""
    ticket: dict[str, Any] = {"external_id": change.key, "tags": list(tags), **settable(change.fields)}
    if "," in change.key:
        return refused(change, "external_id: has a comma, and could not be found again")
    if not change.fields.get("body"):
        return refused(change, "body: a new ticket needs one")
    ticket["comment"] = {"body": change.fields["body"], "public": False}
    if change.fields.get("requester"):
        users = list(desk.users([str(change.fields["requester"])]))
        if not users:
            return refused(change, "requester: no user has this external id; sync the users first")
        ticket["requester_id"] = users[0].id
    desk.make_ticket(ticket, once(change.key))
    return Receipt(change.key, Outcome.ACCEPTED, created=True)


def changed(desk: Desk, change: Change, ticket: Any) -> Receipt:
    """The ticket as it is now wanted; refused where that would need another note or requester."""
    now = shown(desk, ticket, change.fields.keys())
    differs = [name for name in change.fields if plain(change.fields[name]) != plain(now[name])]
    fixed = sorted(set(differs) - CHANGEABLE.keys())
    if fixed:
        why = "is as it was when the ticket was made; map it with create_only"
        return refused(change, f"{', '.join(fixed)}: {why}")
    if differs:
        desk.change_ticket(ticket.id, settable({name: change.fields[name] for name in differs}))
    return Receipt(change.key, Outcome.ACCEPTED, created=False)


def refused(change: Change, why: str) -> Receipt:
    return Receipt(change.key, Outcome.REJECTED, why)


def settable(fields: Fields) -> dict[str, Any]:
    """What a ticket is told. Only a task has a due date."""
    said = {name: value for name, value in fields.items() if name in CHANGEABLE}
    return said | ({"type": "task"} if said.get("due_at") else {})


def once(key: str) -> str:
    """The same for the same ticket, in every run."""
    return hashlib.sha256(f"octo ticket {key}".encode()).hexdigest()


def read(desk: Desk, keys: Iterable[str], names: Iterable[str]) -> dict[str, Fields]:
    """Key → the fields of its ticket. A key that several tickets have is told of by none of them."""
    asked = list(names)
    found = {key: desk.tickets(key) for key in keys}
    return {key: shown(desk, held[0], asked) for key, held in found.items() if len(held) == 1}


def shown(desk: Desk, ticket: Any, names: Collection[str]) -> Fields:
    """These fields as a ticket holds them now."""
    held: dict[str, Value] = {
        "external_id": ticket.external_id,
        "subject": ticket.subject,
        "priority": ticket.priority,
        "due_at": ticket.due_at,
        "body": ticket.description,
    }
    if "requester" in names:
        held["requester"] = desk.external_id(ticket.requester_id)
    return {name: held[name] for name in names}


def plain(value: Value) -> str:
    """As compared: empty is empty, blanks round a text are none."""
    return "" if value is None else str(value).strip()
