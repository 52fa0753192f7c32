"""A signed-in HubSpot destination in front of its twin, for the tests of what it alone promises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connectors.destinations.hubspot.destination import HubSpot
from connectors.sandbox.hubspot.account import Account, Contact
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import Call, session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt
from tests.vendors.hubspot import HUBSPOT, KEY

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"
TYPES = {
    "octo_rfm": FieldType.TEXT,
    "octo_spent": FieldType.DECIMAL,
    "octo_best": FieldType.BOOLEAN,
    "octo_last": FieldType.DATE,
    "octo_likes": FieldType.LIST,
}
BY_ID = {"id_property": "octo_id", "list": None}
BY_EMAIL = {"list": None}
OK, NO, UNSENT = Outcome.ACCEPTED, Outcome.REJECTED, Outcome.UNSENT
by_email = pytest.mark.parametrize("front", [BY_EMAIL], indirect=True)
either_way = pytest.mark.parametrize("front", [BY_ID, BY_EMAIL], indirect=True, ids=["id", "email"])
with_list = pytest.mark.parametrize(
    "front", [{**BY_ID, "list": "Best"}, {"list": "Best"}], indirect=True, ids=["id", "email"]
)


class Front:
    """The destination, its twin, and the calls that went between them."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        self.sandbox, self.twin = sandbox, sandbox.twin("hubspot")
        self.account: Account = self.twin.accounts[KEY]
        self.destination = HubSpot.model_validate({**HUBSPOT.settings, **settings})
        self.calls: list[Call] = []
        self.http = session(
            self.destination, UNPACED, self.calls.append, sandbox.address, lambda seconds: None
        )
        self.api = self.destination.connect(self.http)

    def close(self) -> None:
        self.http.close()

    @property
    def key_field(self) -> str:
        return self.destination.id_property

    def ready(self, types: Mapping[str, FieldType] = TYPES) -> Front:
        """With its properties made; calls are counted from here on."""
        report = self.destination.ensure_fields(
            self.api, {self.key_field: FieldType.TEXT, **types}, create=True
        )
        assert report.problems == ()
        self.calls.clear()
        return self

    def person(self, email: str, **properties: str) -> Contact:
        """A contact somebody else made."""
        return self.account.create({"email": email, **properties}, self.twin.clock())

    def contact(self, email: str) -> Contact:
        found = self.account.find("email", email)
        assert found is not None
        return found

    def named(self, email: str) -> dict[str, str]:
        """What a contact holds, but for its keys."""
        held = self.contact(email).properties
        return {name: value for name, value in held.items() if name not in ("email", "octo_id")}

    def do(
        self, op: Op, records: Mapping[str, Fields], types: Mapping[str, FieldType] = TYPES
    ) -> dict[str, Receipt]:
        """Carry out a batch; key → receipt."""
        changes = tuple(Change(key, fields) for key, fields in records.items())
        every = {self.key_field: FieldType.TEXT, "email": FieldType.TEXT, **types}
        sent = self.destination.send(self.api, Batch("b1", op, changes, self.key_field, every))
        assert sent.token is None
        return {receipt.key: receipt for receipt in sent.receipts}

    def upsert(self, records: Mapping[str, Fields]) -> None:
        """Upsert records that are to be accepted, all of them."""
        told = self.do(Op.UPSERT, records)
        assert [r for r in told.values() if r.outcome is not Outcome.ACCEPTED] == []
        assert set(told) == set(records)

    def read(self, *keys: str, names: tuple[str, ...] = tuple(TYPES)) -> dict[str, Fields]:
        return self.destination.read(self.api, keys, names)

    def asked(self) -> list[str]:
        """`METHOD path` of every call since `ready`, without what stands before and in the version."""
        return [f"{call.method} {call.path.partition('/2026-09')[2]}" for call in self.calls]

    def reset(self) -> None:
        self.calls.clear()
        self.twin.bodies.clear()
