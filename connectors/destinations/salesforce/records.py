"""Contacts, leads, accounts and custom objects, matched by an external id; person accounts among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connectors.destinations.salesforce.org import Org, as_value, fold, in_json, unsayable
from connectors.destinations.salesforce.replies import receipt, refused, removed
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt

PERSON_TYPES = (
    "SELECT Id, DeveloperName FROM RecordType WHERE SobjectType = 'Account' AND IsPersonType = true"
)
WANTING = "REQUIRED_FIELD_MISSING"
DEFAULT_TYPE = "PersonAccount"
"""The record type that comes with person accounts (API guide, Person Account Record Types)."""


@dataclass(frozen=True, slots=True)
class Records:
    """The records of one object."""

    external_id: str
    person_type: str | None = None
    """Of person accounts: the record type of new ones. None for every other object."""

    def send(self, org: Org, batch: Batch) -> list[Receipt]:
        """At most 200 changes, in one call."""
        if batch.op is Op.UPSERT:
            return self.upsert(org, self.typed(org, batch))
        return self.take_back(org, batch)

    def typed(self, org: Org, batch: Batch) -> Batch:
        """The batch with a record type for every person that is new here: it is what makes an account a
        person, and of one that is there it is the people's own."""
        if self.person_type is None:
            return batch
        there = org.ids(self.external_id, [change.key for change in batch.changes if not change.known])
        kind = {"RecordTypeId": person_types(org).get(self.person_type)}
        if kind["RecordTypeId"] is None:
            raise Fatal(f"salesforce: there is no record type {self.person_type} of person accounts")
        new = {c.key for c in batch.changes if not c.known and fold(c.key) not in there}
        changes = (replace(c, fields={**c.fields, **kind}) if c.key in new else c for c in batch.changes)
        return replace(batch, changes=tuple(changes), types={**batch.types, "RecordTypeId": FieldType.TEXT})

    def upsert(self, org: Org, batch: Batch) -> list[Receipt]:
        said = [change for change in batch.changes if unsayable(org, change) is None]
        records = [{self.external_id: change.key, **spelled(org, change, batch)} for change in said]
        rows = org.collection("PATCH", f"/{org.name}/{self.external_id}", records) if records else []
        told = {c.key: receipt(c.key, row) for c, row in zip(said, rows, strict=False)}
        again = anew(batch, said, told)
        if again:
            fresh = self.typed(org, replace(batch, changes=again))
            told |= {one.key: one for one in self.upsert(org, fresh)}
        return [*refused(org, batch), *told.values()]

    def take_back(self, org: Org, batch: Batch) -> list[Receipt]:
        """Clear or delete the records there are; never create one."""
        found: dict[str, list[dict[str, Any]]] = {}
        for record in org.select(["Id", "CreatedById"], self.external_id, batch.keys):
            found.setdefault(fold(record[self.external_id.lower()]), []).append(record)
        absent = [key for key in batch.keys if fold(key) not in found]
        several = [key for key in batch.keys if len(found.get(fold(key), ())) > 1]
        why = f"DUPLICATE_EXTERNAL_ID: more than one record has this {self.external_id}"
        decided = [Receipt(key, Outcome.ACCEPTED, created=False) for key in absent]
        decided += [Receipt(key, Outcome.REJECTED, why) for key in several]
        one = {key: rows[0] for key in batch.keys if len(rows := found.get(fold(key), [])) == 1}
        if batch.op is not Op.DELETE:
            return decided + self.clear(org, batch, {key: str(row["id"]) for key, row in one.items()})
        return decided + self.delete_ours(org, batch, one)

    def delete_ours(self, org: Org, batch: Batch, found: Mapping[str, Mapping[str, Any]]) -> list[Receipt]:
        """Delete what Octo's user made. A record made by somebody else has the key because people merged the
        two into theirs, or gave it the key themselves: it loses what Octo wrote, and stays."""
        ours = {key: str(row["id"]) for key, row in found.items() if row["createdbyid"] == org.me()}
        others = {key: str(row["id"]) for key, row in found.items() if key not in ours}
        emptied = (
            replace(c, fields={name: None for name in c.before if name in batch.types})
            for c in batch.changes
            if c.key in others
        )
        told = self.clear(org, replace(batch, changes=tuple(emptied)), others) if others else []
        return told + self.delete(org, ours)

    def delete(self, org: Org, ids: Mapping[str, str]) -> list[Receipt]:
        told = org.drop(list(ids.values()))
        return [removed(key, row) for key, row in zip(ids, told, strict=False)]

    def clear(self, org: Org, batch: Batch, ids: Mapping[str, str]) -> list[Receipt]:
        empty = {change.key: self.emptied(org, batch, change.fields) for change in batch.changes}
        work = [key for key in ids if empty[key]]
        kept = [Receipt(key, Outcome.ACCEPTED, created=False) for key in ids if not empty[key]]
        records = [{"attributes": {"type": org.name}, "Id": ids[key], **empty[key]} for key in work]
        told = org.collection("PATCH", "", records) if records else []
        return kept + [removed(key, row) for key, row in zip(work, told, strict=False)]

    def emptied(self, org: Org, batch: Batch, fields: Fields) -> dict[str, Any]:
        """These fields with nothing in them, but for those that must not be empty. `describe` says so, but
        for the last name of a person account, which only some accounts have."""
        known, kept = org.fields(), {"lastname"} if self.person_type else set()
        able = [
            name
            for name in fields
            if name.lower() not in kept
            and (
                (field := known.get(name.lower())) is None or field["nillable"] or field["type"] == "boolean"
            )
        ]
        return {name: in_json(None, batch.types.get(name)) for name in able}

    def read(self, org: Org, keys: Iterable[str], fields: Iterable[str]) -> dict[str, Fields]:
        asked, names = {fold(key): key for key in keys}, list(fields)
        held: dict[str, Fields] = {}
        for record in org.select(names, self.external_id, asked.values()):
            key = asked.get(fold(record[self.external_id.lower()]))
            if key is not None:
                held[key] = shown(org, record, names)
        return held


def anew(batch: Batch, changes: Iterable[Change], told: Mapping[str, Receipt]) -> tuple[Change, ...]:
    """Those whose record people have deleted, so that a change of some fields made a new one of these alone,
    or could not: as new, with all that was held of them and is still mapped."""
    gone = (
        c
        for c in changes
        if c.known and (one := told.get(c.key)) and (one.created or (one.reason or "").startswith(WANTING))
    )
    return tuple(
        replace(c, fields=fields, known=False)
        for c in gone
        if (fields := whole(batch, c)).keys() > c.fields.keys()
    )


def whole(batch: Batch, change: Change) -> Fields:
    """What changes, and all that is held besides and still mapped."""
    return {n: v for n, v in change.before.items() if n in batch.types} | dict(change.fields)


def spelled(org: Org, change: Change, batch: Batch) -> dict[str, Any]:
    """A change as a JSON record of the org's object."""
    values = {name: in_json(value, batch.types.get(name)) for name, value in change.fields.items()}
    return {"attributes": {"type": org.name}, **values}


def shown(org: Org, record: Mapping[str, Any], names: Iterable[str]) -> Fields:
    """These fields of a record that was read."""
    kinds = {name: field["type"] for name, field in org.fields().items()}
    return {n: as_value(record[n.lower()], kinds.get(n.lower(), "")) for n in names}


def person_types(org: Org) -> dict[str, str]:
    """Name → id of the record types that make an account a person. Asked once."""
    if org.person_types is None:
        rows = org.query(f"{PERSON_TYPES} AND IsActive = true")
        org.person_types = {row["developername"]: row["id"] for row in rows}
    return org.person_types
