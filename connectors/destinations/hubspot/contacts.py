"""Contacts in HubSpot: written a hundred a call, and whose contact it is that a key leads to.

One batch is one call for every hundred rows, and a call for their membership. By a property of yours that
is `batch/upsert`. By e-mail address it is not: "Partial upserts are not supported when using `email` as the
`idProperty`" (guide, Upsert contacts), and a sync that writes some columns of many is partial. So those who
are there are looked up and updated by record id, and the others are created: HubSpot refuses who came in
between, and he is looked up again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from connectors.destinations.hubspot.answers import Answers, Told, done, post, rows
from connectors.destinations.hubspot.portal import MANY, Contact, Portal, cut, fold
from connectors.destinations.hubspot.properties import add_choices, text, unfit
from octo_dagster.errors import BatchRejected, DeliveryError, Unanswered
from octo_dagster.model import Batch, Change, Outcome, Receipt

KEPT = ("email",)
"""What a contact is not left without: never emptied, never taken back."""


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


def write(portal: Portal, id_property: str, part: Sequence[Change], batch: Batch) -> Answers:
    """Up to a hundred rows, by the road their key allows."""
    if id_property == "email":
        return by_address(portal, part, batch)
    answers = post(portal, "upsert", rows(part, id_property=id_property), part)
    return answers | adopt(portal, id_property, part, answers)


def by_address(portal: Portal, part: Sequence[Change], batch: Batch, *, late: bool = False) -> Answers:
    """Update who is there and create the others; who came meanwhile (`late`) is looked up once more."""
    there = portal.find("email", [change.key for change in part])
    known, twice = apart(part, there)
    known, second = alone(known, there, batch)
    new = [change for change in part if change.key not in there]
    answers = post(portal, "update", rows(known, ids=there), known) if known else {}
    answers = {key: shared(told, there[key]) for key, told in answers.items()} | twice | second
    answers |= post(portal, "create", rows(new), new) if new else {}
    came = [change for change in new if conflicts(change, answers)]
    return answers | (by_address(portal, came, batch, late=True) if came and not late else {})


def conflicts(change: Change, answers: Answers) -> bool:
    """Whether HubSpot says that somebody has the key, or the address, already."""
    return change.key in answers and answers[change.key].category == "CONFLICT"


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


def adopt(portal: Portal, id_property: str, part: Iterable[Change], answers: Answers) -> Answers:
    """Give the key to contacts that were there before Octo, under the address a row writes.

    HubSpot answers such a row with a conflict. Who has another key already keeps it: that row is refused."""
    taken = {c.key: c for c in part if conflicts(c, answers)}
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


def own(contact: Contact, key: str, id_property: str) -> bool:
    """Whether this is the contact's first key, not an address it came by."""
    return fold(contact.properties.get(id_property) or "") == fold(key)
