"""Batch calls over contacts: the rows asked of HubSpot, and what its answer says of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import requests

from connectors.destinations.hubspot.portal import Contact, Portal, Record, content, fold, reason, told
from connectors.destinations.hubspot.properties import altered, text
from octo_dagster.errors import BatchRejected, Fatal
from octo_dagster.model import Change, Outcome, Receipt


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one change, and which contact it was."""

    receipt: Receipt
    id: str | None = None
    category: str = ""


Answers = dict[str, Told]
"""Key → what became of it. A key HubSpot's answer does not mention is not in it, and so is unknown."""


def done(told: Told) -> bool:
    return told.receipt.outcome is Outcome.ACCEPTED


def rows(
    part: Iterable[Change], *, id_property: str | None = None, ids: Mapping[str, Contact] | None = None
) -> list[dict[str, object]]:
    """The inputs of a batch call, each with a mark of its own: only then does HubSpot judge row by row.

    By property, or by record id; of new contacts, with neither, the key is their address."""
    made: list[dict[str, object]] = []
    for n, change in enumerate(part):
        fields = {name: text(value) for name, value in change.fields.items()}
        who: dict[str, object] = {"id": ids[change.key].id} if ids else {"associations": []}
        if id_property:
            who = {"id": change.key, "idProperty": id_property}
        elif not ids:
            fields["email"] = change.key
        made.append({**who, "objectWriteTraceId": str(n), "properties": fields})
    return made


def post(portal: Portal, verb: str, inputs: list[dict[str, object]], part: Sequence[Change]) -> Answers:
    """Carry out one batch call. BatchRejected when HubSpot refused it whole, perhaps for one of its rows."""
    reply = portal.batch(verb, {"inputs": inputs})
    if reply.status_code >= 400:
        return refused(reply, part)
    body = content(reply)
    marks = {str(row["objectWriteTraceId"]): change for row, change in zip(inputs, part, strict=True)}
    names = {fold(str(row.get("id") or change.key)): change for row, change in zip(inputs, part, strict=True)}
    who = Who(marks, names, "email" if verb == "create" else str(inputs[0].get("idProperty") or ""))
    answers = {
        change.key: accepted(portal, change, row, new=verb == "create" or bool(row.get("new")))
        for row in body["results"]
        if (change := who.of(row))
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


def accepted(portal: Portal, change: Change, row: Record, *, new: bool) -> Told:
    """A row of the results, unless HubSpot kept another value than it was sent."""
    number = str(row["id"])
    if new:
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
