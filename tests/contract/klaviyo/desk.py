"""A signed-in Klaviyo destination in front of its twin, for the tests of what it alone promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests

from connectors.destinations.klaviyo.destination import Klaviyo
from connectors.sandbox.klaviyo.account import Account, Profile
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import Call, session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Receipt
from tests.vendors.klaviyo import KLAVIYO

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


class Desk:
    """The destination, its twin, and the calls that went between them."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        self.sandbox, self.twin = sandbox, sandbox.twin("klaviyo")
        self.account: Account = self.twin.accounts["pk_sandbox"]
        self.destination = Klaviyo.model_validate({**KLAVIYO.settings, **settings})
        self.calls: list[Call] = []
        self.http: requests.Session = session(
            self.destination, UNPACED, self.calls.append, sandbox.address, lambda seconds: None
        )
        self.api = self.destination.connect(self.http)

    def close(self) -> None:
        self.http.close()

    def profile(self, key: str, by: str = "email") -> Profile:
        found = self.account.find(by, key)
        assert found is not None
        return found

    def stranger(self, email: str | None, **properties: Any) -> Profile:
        """A profile somebody else made; `external_id`, `phone_number` and names are its own, not properties."""
        own = {name: properties.pop(name, None) for name in ("external_id", "phone_number")}
        told: dict[str, Any] = {"attributes": {"email": email, **own, "properties": properties}}
        return self.account.upsert(told, 0.0, nulls=True)[0]

    def lists(self, profile: Profile) -> list[str]:
        return [self.account.lists[number].name for number in profile.lists]

    def batch(self, op: Op, records: Mapping[str, Fields], by: str = "email") -> Batch:
        changes = tuple(Change(key, fields) for key, fields in records.items())
        return Batch("b1", op, changes, by, {by: FieldType.TEXT})

    def start(self, op: Op, records: Mapping[str, Fields], by: str = "email") -> Batch:
        """Send, and hand back the batch with its token."""
        batch = self.batch(op, records, by)
        return replace(batch, token=self.destination.send(self.api, batch).token)

    def do(self, op: Op, records: Mapping[str, Fields], by: str = "email") -> dict[str, Receipt]:
        """Send, and look until every change is decided; key → receipt."""
        batch = self.batch(op, records, by)
        sent = self.destination.send(self.api, batch)
        for _ in range(20):
            if sent.token is None:
                return {receipt.key: receipt for receipt in sent.receipts}
            answer = self.destination.settle(self.api, replace(batch, token=sent.token))
            assert answer is not None
            sent = answer
        raise AssertionError(f"{sent.token} never ends")

    def asked(self, method: str, part: str) -> int:
        """How many calls of this method had this in their path."""
        return sum(call.method == method and part in call.path for call in self.calls)
