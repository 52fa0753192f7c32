"""Contacts in HubSpot: rows of a batch call, what its answer says of each, and whose contact it is.

One batch is one call for every hundred rows, and a call for their membership. By a property of yours that
is `batch/upsert`. By e-mail address it is not: "Partial upserts are not supported when using `email` as the
`idProperty`" (guide, Upsert contacts), and a sync that writes some columns of many is partial. So those who
are there are looked up and updated by record id, and only the others are upserted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import requests

from connectors.destinations.hubspot.portal import (
    MANY,
    MERGED,
    Contact,
    Portal,
    Record,
    content,
    cut,
    fold,
    reason,
    told,
)
from connectors.destinations.hubspot.properties import add_choices, altered, text, unfit
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Unanswered
from octo_dagster.model import Batch, Change, Outcome, Receipt

KEPT = ("email",)
"""What a contact is not left without: never emptied, never taken back."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one change, and which contact it was."""

    receipt: Receipt
    id: str | None = None
    category: str = ""


Answers = dict[str, Told]
"""Key → what became of it. A key HubSpot's answer does not mention is not in it, and so is unknown."""


def upsert(portal: Portal, id_property: str, batch: Batch) -> tuple[Receipt, ...]:
    """Write the batch, a hundred at a time, then put who was written into the list.

    When a call fails, what was done before it is told and the rest is unsent; when nothing was done before
    it, it failed for the batch."""
    add_choices(portal, batch.changes)
    held = portal.properties()
    reasons = {c.key: why for c in batch.changes if (why := unfit(c, held, KEPT))}
    fit = [change for change in batch.changes if change.key not in reasons]
    answers: Answers = {}
    unsent: set[str] = set()
    trouble: DeliveryError | None = None
    for part in cut(fit, MANY):
        if trouble is not None and not isinstance(trouble, BatchRejected):
            unsent |= {change.key for change in part}
            continue
        try:
            answers |= write(portal, id_property, part, batch)
        except Unanswered:
            raise
        except DeliveryError as failed:
            trouble = failed
            unsent |= {change.key for change in part}
    if trouble is not None and not answers:
        raise trouble
    return (
        *(Receipt(key, Outcome.REJECTED, why) for key, why in reasons.items()),
        *(told.receipt for told in listed(portal, answers).values()),
        *(Receipt(key, Outcome.UNSENT) for key in unsent),
    )


def listed(portal: Portal, answers: Answers) -> Answers:
    """The answers once those accepted are in the list, where there is one."""
    ids = {told.id: key for key, told in answers.items() if done(told) and told.id}
    if not portal.list_name or not ids:
        return answers
    missing = portal.join([*ids])
    gone = {
        ids[one]: Receipt(ids[one], Outcome.REJECTED, "gone before it was in the list") for one in missing
    }
    return answers | {key: Told(receipt) for key, receipt in gone.items()}


def done(told: Told) -> bool:
    return told.receipt.outcome is Outcome.ACCEPTED


def write(portal: Portal, id_property: str, part: Sequence[Change], batch: Batch) -> Answers:
    """Up to a hundred rows, by the road their key allows."""
    if id_property != "email":
        answers = post(portal, "upsert", rows(part, id_property=id_property), part)
        return answers | adopt(portal, id_property, part, answers)
    there = portal.find("email", [change.key for change in part])
    known, twice = apart(part, there)
    known, second = alone(known, there, batch)
    new = [change for change in part if change.key not in there]
    answers = post(portal, "update", rows(known, ids=there), known) if known else {}
    answers = {key: shared(told, there[key]) for key, told in answers.items()}
    return (
        answers
        | twice
        | second
        | (post(portal, "upsert", rows(new, id_property="email"), new) if new else {})
    )


def apart(part: Iterable[Change], there: Mapping[str, Contact]) -> tuple[list[Change], Answers]:
    """The rows whose contact is there, one for each contact; a second one for the same is refused.

    People merge contacts, and then two addresses of the shop's are one contact of HubSpot's: its own goes."""
    first: dict[str, Change] = {}
    twice: Answers = {}
    present = [one for one in part if one.key in there]
    for change in sorted(present, key=lambda one: not own(there[one.key], one.key, "email")):
        contact = there[change.key]
        if first.setdefault(contact.id, change) is not change:
            why = f"the same contact as another row of this batch: {contact.id} was merged in HubSpot"
            twice[change.key] = Told(Receipt(change.key, Outcome.REJECTED, why))
    return list(first.values()), twice


def alone(
    known: Iterable[Change], there: Mapping[str, Contact], batch: Batch
) -> tuple[list[Change], Answers]:
    """The rows whose contact is theirs: by its own address, or by another while nobody of ours has that."""
    first = {c.key: fold(there[c.key].properties.get("email") or "") for c in known}
    second = {key: name for key, name in first.items() if name != fold(key)}
    taken = set(batch.holds(second.values())) if second else set()
    why = "the contact of another customer's address: the two were merged in HubSpot"
    told = {key: Told(Receipt(key, Outcome.REJECTED, why)) for key, name in second.items() if name in taken}
    return [change for change in known if change.key not in told], told


def shared(told: Told, contact: Contact) -> Told:
    """What became of a change, with every other address that leads to the same contact."""
    key = told.receipt.key
    others = contact.names("email") - {fold(key)}
    if not others or not done(told):
        return told
    return replace(told, receipt=replace(told.receipt, also=tuple(sorted(others))))


def rows(
    part: Iterable[Change], *, id_property: str | None = None, ids: Mapping[str, Contact] | None = None
) -> list[dict[str, object]]:
    """The inputs of a batch call, each with a mark of its own: only then does HubSpot judge row by row."""
    made: list[dict[str, object]] = []
    for n, change in enumerate(part):
        fields = {name: text(value) for name, value in change.fields.items()}
        who = {"id": ids[change.key].id} if ids else {"id": change.key, "idProperty": id_property}
        made.append({**who, "objectWriteTraceId": str(n), "properties": fields})
    return made


def post(portal: Portal, verb: str, inputs: list[dict[str, object]], part: Sequence[Change]) -> Answers:
    """Carry out one batch call. BatchRejected when HubSpot refused it whole, perhaps for one of its rows."""
    reply = portal.batch(verb, {"inputs": inputs})
    if reply.status_code >= 400:
        return refused(reply, part)
    body = content(reply)
    marks = {str(row["objectWriteTraceId"]): change for row, change in zip(inputs, part, strict=True)}
    names = {fold(str(row["id"])): change for row, change in zip(inputs, part, strict=True)}
    who = Who(marks, names, str(inputs[0].get("idProperty") or ""))
    answers = {
        change.key: accepted(portal, change, row) for row in body["results"] if (change := who.of(row))
    }
    for error in body.get("errors") or ():
        answers |= {change.key: rejected(change, error) for change in who.blamed(error)}
    return answers


@dataclass(frozen=True, slots=True)
class Who:
    """Which change a row of an answer is about. Answers come in any order, and not always with the mark."""

    marks: Mapping[str, Change]
    names: Mapping[str, Change]
    """By what each was asked for: the key, or the record's id."""
    id_property: str

    def of(self, row: Record) -> Change | None:
        by_mark = self.marks.get(str(row.get("objectWriteTraceId") or ""))
        name = row["properties"].get(self.id_property) if self.id_property else row["id"]
        return by_mark or self.names.get(fold(str(name or "")))

    def blamed(self, error: Record) -> list[Change]:
        """The rows an error names: by their mark, else by their ids. None when it names nobody."""
        context = error.get("context") or {}
        found = [self.marks.get(one) for one in words(context.get("objectWriteTraceId"))]
        if not any(found):
            found = [self.names.get(fold(one)) for one in words(context.get("ids") or context.get("id"))]
        return [change for change in found if change]


def words(value: object) -> list[str]:
    """A context's value: documented as a list, seen as a word."""
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def accepted(portal: Portal, change: Change, row: Record) -> Told:
    """A row of the results, unless HubSpot kept another value than it was sent."""
    number = str(row["id"])
    if row.get("new"):
        portal.made.add(number)
    why = altered(change.fields, row["properties"], portal.properties())
    outcome = Outcome.REJECTED if why else Outcome.ACCEPTED
    lost = (why.partition(":")[0],) if why else ()
    return Told(Receipt(change.key, outcome, why, number in portal.made, lost), number)


def rejected(change: Change, error: Record) -> Told:
    return Told(
        Receipt(change.key, Outcome.REJECTED, reason(error)), category=str(error.get("category") or "")
    )


def refused(reply: requests.Response, part: Sequence[Change]) -> Answers:
    """A call refused whole: of one row it is the row's, of many nobody knows whose."""
    why = told(reply)
    category = why.partition(":")[0]
    if "non-unique" in why or (reply.status_code == 404 and category != "OBJECT_NOT_FOUND"):
        raise Fatal(f"hubspot: {reply.status_code} {why}")
    if len(part) > 1:
        raise BatchRejected(f"hubspot: {reply.status_code} {why}")
    return {part[0].key: Told(Receipt(part[0].key, Outcome.REJECTED, why), category=category)}


def adopt(portal: Portal, id_property: str, part: Iterable[Change], answers: Answers) -> Answers:
    """Give the key to contacts that were there before Octo, under the address a row writes.

    HubSpot answers such a row with a conflict. Who has another key already keeps it: that row is refused."""
    taken = {c.key: c for c in part if c.key in answers and answers[c.key].category == "CONFLICT"}
    emails = {fold(text(c.fields.get("email"))): c for c in taken.values() if c.fields.get("email")}
    found = portal.find("email", emails, (id_property,)) if emails else {}
    free: dict[str, Contact] = {}
    told: Answers = {}
    for email, contact in found.items():
        key = emails[email].key
        if contact.properties.get(id_property):
            why = f"email: belongs to contact {contact.id}, which has another {id_property}"
            told[key] = Told(Receipt(key, Outcome.REJECTED, why))
        else:
            free[key] = contact
    changes = [replace(taken[k], fields={**taken[k].fields, id_property: k}) for k in free]
    return told | (post(portal, "update", rows(changes, ids=free), changes) if changes else {})


# taking back ---------------------------------------------------------------------------------------


def leave(portal: Portal, id_property: str, batch: Batch) -> tuple[Receipt, ...]:
    """Take contacts off the list. Who is not there, or not in it, has left it."""
    found = portal.find(id_property, batch.keys)
    portal.leave(sorted({contact.id for contact in found.values()}))
    return tuple(taken(key, found, id_property) for key in batch.keys)


def taken(key: str, there: Mapping[str, Contact], id_property: str) -> Receipt:
    """That somebody was taken back; with him whoever else is found by the same contact."""
    receipt = Receipt(key, Outcome.ACCEPTED)
    if id_property != "email" or key not in there:
        return receipt
    return shared(Told(receipt), there[key]).receipt


def clear(portal: Portal, id_property: str, batch: Batch) -> tuple[Receipt, ...]:
    """Empty the fields of contacts that are there; nobody is made anew."""
    return emptied(portal, batch.changes, portal.find(id_property, batch.keys), id_property)


def emptied(
    portal: Portal, changes: Iterable[Change], there: Mapping[str, Contact], id_property: str
) -> tuple[Receipt, ...]:
    """Empty these fields, but for what names a person, of the contacts that are there.

    Where there is nothing to empty it is done; what HubSpot does not mention is unknown."""
    asked = tuple(changes)
    own = {*KEPT, id_property}
    blank = [replace(c, fields=dict.fromkeys(c.fields.keys() - own)) for c in asked if c.key in there]
    todo, _ = apart([change for change in blank if change.fields], there)
    answers = post(portal, "update", rows(todo, ids=there), todo) if todo else {}
    pending = {change.key for change in todo}
    return tuple(
        answers[c.key].receipt
        if c.key in answers and not gone(answers[c.key]) and not done(answers[c.key])
        else taken(c.key, there, id_property)
        for c in asked
        if c.key in answers or c.key not in pending
    )


def gone(told: Told) -> bool:
    """Whether the contact went away between the look and the call: then there is nothing to empty."""
    return told.category == "OBJECT_NOT_FOUND"


def delete(portal: Portal, id_property: str, batch: Batch) -> tuple[Receipt, ...]:
    """Archive contacts (the engine asks it of those only that Octo made).

    Of one that people have merged with another, or that goes by another key now, our fields are emptied:
    it holds what is not ours."""
    there = portal.find(id_property, batch.keys, (MERGED,))
    ours = {key: c for key, c in there.items() if not c.properties.get(MERGED) and own(c, key, id_property)}
    portal.archive(sorted({contact.id for contact in ours.values()}))
    mapped = {name: None for name in batch.types if name != id_property}
    rest = [replace(change, fields=mapped) for change in batch.changes if change.key not in ours]
    told = emptied(portal, rest, there, id_property)
    return (*(Receipt(key, Outcome.ACCEPTED) for key in ours), *told)


def own(contact: Contact, key: str, id_property: str) -> bool:
    """Whether this is the contact's first key, not an address it came by."""
    return fold(contact.properties.get(id_property) or "") == fold(key)
