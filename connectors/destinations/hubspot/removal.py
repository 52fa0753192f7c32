"""Contacts taken back: off the list, emptied of our fields, or archived where Octo made them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.destinations.hubspot.answers import Told, done, post, rows
from connectors.destinations.hubspot.contacts import KEPT, own, shared
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

    Of two rows that lead to one contact, as people merge them, the fields of both. Where there is nothing to
    empty it is done; what HubSpot does not mention is unknown."""
    asked, kept = tuple(changes), {*KEPT, id_property}
    first: dict[str, Change] = {}
    for change in (one for one in asked if one.key in there):
        before = first.setdefault(there[change.key].id, replace(change, fields={}))
        fields = dict.fromkeys(sorted(before.fields.keys() | change.fields.keys() - kept))
        first[there[change.key].id] = replace(before, fields=fields)
    todo = [change for change in first.values() if change.fields]
    answers = post(portal, "update", rows(todo, ids=there), todo) if todo else {}
    told = {there[change.key].id: answers.get(change.key) for change in todo}
    fates = ((c.key, told.get(there[c.key].id, NOTHING) if c.key in there else NOTHING) for c in asked)
    return tuple(
        taken(key, there, id_property) if done(fate) or gone(fate) else replace(fate.receipt, key=key)
        for key, fate in fates
        if fate is not None
    )


NOTHING = Told(Receipt("", Outcome.ACCEPTED))
"""Of a contact that is not there, or holds nothing to be emptied."""


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
