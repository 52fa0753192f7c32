"""One object of the twin as a destination meets it, and what people do there meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sandbox.server import Sandbox
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Receipt, Removal
from tests.contract.sitting import Sitting
from tests.vendors.salesforce import SALESFORCE

TEXT = {"Octo_Segment__c": FieldType.TEXT}


@dataclass
class Front:
    """Signed in, with the key of contacts, leads and accounts made by an administrator."""

    sandbox: Sandbox
    settings: Mapping[str, Any]
    types: Mapping[str, FieldType] = field(default_factory=lambda: TEXT)
    number: int = 0
    """Which org."""

    def __post_init__(self) -> None:
        self.twin = self.sandbox.twin("salesforce")
        self.twin.job_seconds = 0.0
        self.org = self.twin.orgs[self.number]
        for name in ("Contact", "Lead", "Account"):
            if "Octo_Id__c" not in self.org.fields[name]:
                self.twin.add_key(name, "Octo_Id__c")
        self.open()

    def open(self) -> Front:
        """Sign in and make the fields; anew after something was changed about the destination."""
        examinee = replace(SALESFORCE, settings={**SALESFORCE.settings, **self.settings}, types=self.types)
        self.sitting = Sitting(examinee, self.sandbox.address)
        self.destination, self.api = self.sitting.destination, self.sitting.api
        self.report = self.destination.ensure_fields(
            self.api, {"Octo_Id__c": FieldType.TEXT, **self.types}, create=True
        )
        return self

    def close(self) -> None:
        self.sitting.http.close()

    def people(self, *keys: str, kind: str = "Contact", **values: Any) -> list[str]:
        """Records that an earlier sync made; their ids."""
        needs = {"Lead": {"Company": "Acme"}}.get(kind, {})
        said = [{"LastName": key.upper(), "Octo_Id__c": key, **needs, **values} for key in keys]
        return [self.org.insert(kind, one).id for one in said]

    def campaign(self, name: str) -> str:
        """A campaign that somebody makes; its id."""
        return str(self.org.insert("Campaign", {"Name": name, "IsActive": True}).id)

    def do(self, op: Op, changes: Mapping[str, Fields], *, known: bool = False) -> dict[str, Receipt]:
        """Carry changes out; key → receipt."""
        told = [replace(change, known=known) for change in self.batch(op, changes).changes]
        batch = replace(self.batch(op, changes), changes=tuple(told))
        sent = self.destination.send(self.api, batch)
        assert sorted(receipt.key for receipt in sent.receipts) == sorted(batch.keys)
        return {receipt.key: receipt for receipt in sent.receipts}

    def batch(self, op: Op, changes: Mapping[str, Fields]) -> Batch:
        return self.sitting.batch(op, [Change(key, fields) for key, fields in changes.items()])

    def rows(self, name: str) -> list[dict[str, Any]]:
        return list(self.org.tables[name].values())

    def asked(self, since: int = 0) -> Sequence[str]:
        """The calls made since then, without the version."""
        made = self.sandbox.calls("salesforce")[since:]
        base = "/services/data/v61.0/"
        return [f"{call.method} {call.path.removeprefix(base).rstrip('/')}" for call in made]

    def calls(self) -> int:
        return len(self.sandbox.calls("salesforce"))

    @property
    def removals(self) -> frozenset[Removal]:
        return self.destination.removals
