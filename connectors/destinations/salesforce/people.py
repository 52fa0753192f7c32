"""The people of an org: contacts, leads or person accounts, known by the shop's own id of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from connectors.destinations.salesforce.org import Org, fold

Kind = Literal["Contact", "Lead", "PersonAccount"]


@dataclass(frozen=True, slots=True)
class People:
    """Which people a campaign's members or a task's `WhoId` are.

    A person account is an account with a contact behind it, and it is that contact which joins campaigns and
    is called (API guide, Person Account Record Types: `PersonContactId`)."""

    kind: Kind
    external_id: str

    @property
    def object(self) -> str:
        """The object that has the external id."""
        return "Account" if self.kind == "PersonAccount" else self.kind

    @property
    def id_field(self) -> str:
        return "PersonContactId" if self.kind == "PersonAccount" else "Id"

    @property
    def relation(self) -> str:
        """What a campaign's member calls the person."""
        return "Lead" if self.kind == "Lead" else "Contact"

    @property
    def path(self) -> str:
        """The external id, seen from a campaign's member."""
        between = "Account." if self.kind == "PersonAccount" else ""
        return f"{self.relation}.{between}{self.external_id}"

    def ids(self, org: Org, keys: Iterable[str]) -> dict[str, list[str]]:
        """Folded key → ids of the contacts or leads that have it, several where the field is not unique."""
        found: dict[str, list[str]] = {}
        for record in org.select([self.id_field], self.external_id, keys, [self.object]):
            if record[self.id_field.lower()]:
                told = record[self.id_field.lower()]
                found.setdefault(fold(record[self.external_id.lower()]), []).append(told)
        return found

    def keys(self, org: Org, ids: Iterable[str]) -> dict[str, str]:
        """The reverse: id → key as Salesforce spells it."""
        rows = org.select([self.external_id], self.id_field, ids, [self.object])
        return {record[self.id_field.lower()]: record[self.external_id.lower()] for record in rows}

    def problem(self, org: Org) -> str | None:
        """Why these people cannot be found in this org; None when they can."""
        known = org.fields(self.object)
        field = known.get(self.external_id.lower())
        if self.kind == "PersonAccount" and "ispersonaccount" not in known:
            return "person accounts are not enabled in this org"
        if field is None or not (field["externalId"] or field["idLookup"]):
            return f"{self.object} has no External ID of this name; a sync of {self.kind} makes it"
        return None

    def missing(self, count: int) -> str:
        """Why a key names nobody, or nobody in particular."""
        if count:
            return f"DUPLICATE_EXTERNAL_ID: {count} records of {self.object} have this {self.external_id}"
        return f"UNKNOWN_PERSON: no {self.kind} has this {self.external_id}; sync the {self.kind} first"
