"""A call list as tasks: one for each external id, however often it is delivered.

    object: Task
    people: Contact              who `WhoId` names, by the external id: Contact, Lead or PersonAccount
    status: Not Started          of new tasks; left out, the org's own default

A task's status is people's: no call made here changes the one of a task there is, so what is completed
stays completed. A customer who is off the list again loses the task only if Octo's user made it and nobody
has taken it up, so that it still has the status it began with; it goes to the recycle bin.

Custom fields of tasks are made on `Activity` and granted on `Task`. `WhoId` may be a contact or a lead, so
Salesforce is not asked to find it by an external id; it is looked up, 200 customers in a query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.destinations.salesforce.org import Org, fold, literal
from connectors.destinations.salesforce.people import People
from connectors.destinations.salesforce.records import Records, anew
from connectors.destinations.salesforce.replies import removed
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt

NAME = "Task"
WHO = "WhoId"


@dataclass(frozen=True, slots=True)
class Tasks:
    """The tasks of one external id."""

    people: People
    status: str | None

    @property
    def key(self) -> str:
        return self.people.external_id

    def send(self, org: Org, batch: Batch) -> list[Receipt]:
        """At most 200 tasks."""
        return self.upsert(org, batch) if batch.op is Op.UPSERT else self.leave(org, batch)

    def upsert(self, org: Org, batch: Batch) -> list[Receipt]:
        """In one call, and a look for those who are to be called, and for those that are new."""
        asked = {who for change in batch.changes if (who := named(change))}
        ids = self.people.ids(org, sorted(asked)) if asked else {}
        told = [refusal for change in batch.changes if (refusal := self.unknown(change, ids))]
        known = {refusal.key for refusal in told}
        fit = [c for c in batch.changes if c.key not in known]
        ready = self.begun(org, [self.addressed(change, ids) for change in fit])
        types = {**batch.types, "Status": FieldType.TEXT}
        rest = replace(batch, changes=tuple(ready), types=types)
        told += Records(self.key).upsert(
            org, replace(rest, changes=tuple(replace(c, before={}) for c in ready))
        )
        again = anew(batch, batch.changes, {one.key: one for one in told})
        if not again:
            return told
        started = {"Status": self.status} if self.status else {}
        whole = tuple(replace(c, fields={**c.fields, **started}) for c in again)
        made = self.upsert(org, replace(batch, changes=whole))
        return [one for one in told if one.key not in {c.key for c in again}] + made

    def unknown(self, change: Change, ids: Mapping[str, list[str]]) -> Receipt | None:
        """The refusal of a task for somebody who is not there, or there twice."""
        who = named(change)
        found = ids.get(fold(who), []) if who else [""]
        if len(found) == 1:
            return None
        return Receipt(change.key, Outcome.REJECTED, f"{self.people.missing(len(found))} ({WHO})")

    def addressed(self, change: Change, ids: Mapping[str, list[str]]) -> Change:
        who = named(change)
        return replace(change, fields={**change.fields, WHO: ids[fold(who)][0]}) if who else change

    def begun(self, org: Org, changes: list[Change]) -> list[Change]:
        """With the status of new tasks, where one is set; whether a task is new is looked up."""
        if self.status is None:
            return changes
        there = org.ids(self.key, [change.key for change in changes if not change.known])
        return [
            c if c.known or fold(c.key) in there else replace(c, fields={**c.fields, "Status": self.status})
            for c in changes
        ]

    def leave(self, org: Org, batch: Batch) -> list[Receipt]:
        """Delete the tasks that Octo made and nobody has taken up."""
        start = literal(self.status or default(org))
        where = [NAME, f"CreatedById = {literal(org.me())}", f"Status = {start}", "IsClosed = false"]
        keys = {fold(key): key for key in batch.keys}
        rows = list(org.select(["Id"], self.key, batch.keys, where))
        told: dict[str, Receipt] = {}
        for at in range(0, len(rows), 200):  # a key of several tasks, which is not unique on activities
            some = rows[at : at + 200]
            done = org.drop([row["id"] for row in some])
            for row, reply in zip(some, done, strict=False):
                key = keys[fold(row[self.key.lower()])]
                if told.get(key) is None or told[key].outcome is Outcome.ACCEPTED:
                    told[key] = removed(key, reply)
        stayed = [key for key in batch.keys if key not in told]
        return [*told.values(), *(Receipt(key, Outcome.ACCEPTED, created=False) for key in stayed)]

    def read(self, org: Org, keys: Iterable[str], fields: Iterable[str]) -> dict[str, Fields]:
        """What tasks hold; `WhoId` as the external id of the person."""
        held = Records(self.key).read(org, keys, fields)
        ids = sorted({str(found[WHO]) for found in held.values() if found.get(WHO)})
        who: dict[str, Any] = self.people.keys(org, ids) if ids else {}
        return {
            key: {**found, WHO: who.get(str(found[WHO]))} if found.get(WHO) else found
            for key, found in held.items()
        }

    def problems(self, org: Org, fields: Iterable[str]) -> Iterable[str]:
        """What keeps tasks from being made: the status, the status mapped, the person's key."""
        values = {value["value"] for value in org.fields()["status"]["picklistValues"] if value["active"]}
        if self.status and self.status not in values:
            yield f"status: a task has no status {self.status}; it has {', '.join(sorted(values))}"
        if "Status" in fields:
            yield "Status: say `status` in the destination; once a task is there its status is people's"
        if WHO in fields and (unfound := self.people.problem(org)):
            yield f"{WHO}: {self.people.external_id}: {unfound}"


def named(change: Change) -> str:
    """Who is to be called, as the person's own sync spells the key: without blanks around it."""
    return str(change.fields.get(WHO) or "").strip()


def default(org: Org) -> str:
    """The status the org gives a new task."""
    values = org.fields()["status"]["picklistValues"]
    return next((str(value["value"]) for value in values if value["defaultValue"]), "")
