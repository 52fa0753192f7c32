"""Contacts taken back: off the list, emptied of our fields, or archived where Octo made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.destinations.hubspot.answers import Told, done, post, rows
from connectors.destinations.hubspot.contacts import KEPT, apart, own, shared
from connectors.destinations.hubspot.portal import MERGED, Contact, Portal
from octo_dagster.model import Batch, Change, Outcome, Receipt


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
