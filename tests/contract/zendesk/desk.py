"""A signed-in Zendesk destination in front of its twin, for the tests of what it alone promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from connectors.destinations.zendesk.destination import Zendesk
from connectors.sandbox.server import Sandbox
from connectors.sandbox.zendesk.account import Account, User
from octo_dagster.delivery.http import Call, session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Receipt
from tests.vendors.zendesk import ZENDESK

ADA: Fields = {"name": "Ada", "rfm": "champion"}
BOB: Fields = {"name": "Bob", "rfm": "lost"}
TYPES = {
    "rfm": FieldType.TEXT,
    "spent": FieldType.DECIMAL,
    "best": FieldType.BOOLEAN,
    "last_order": FieldType.DATE,
}


class Front:
    """The destination, its twin, and the calls that went between them."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        self.sandbox, self.twin = sandbox, sandbox.twin("zendesk")
        self.account: Account = self.twin.accounts[0]
        self.destination = Zendesk.model_validate({**ZENDESK.settings, **settings})
        self.calls: list[Call] = []
        self.http: requests.Session = session(
            self.destination, UNPACED, self.calls.append, sandbox.address, lambda seconds: None
        )
        self.api = self.destination.connect(self.http)

    def close(self) -> None:
        self.http.close()

    def ready(self, types: Mapping[str, FieldType] = TYPES) -> Front:
        """With its fields made; calls are counted from here on."""
        report = self.destination.ensure_fields(self.api, types, create=True)
        assert report.problems == ()
        self.calls.clear()
        return self

    def person(self, name: str, **asked: Any) -> User:
        """A user somebody else made."""
        return self.account.create({"name": name, "skip_verify_email": True, **asked}, self.twin.clock())

    def user(self, key: str) -> User:
        found = self.account.by_external_id(key)
        assert found is not None
        return found

    def batch(self, op: Op, records: Mapping[str, Fields]) -> Batch:
        changes = tuple(Change(key, fields) for key, fields in records.items())
        opened = datetime.now(UTC) - timedelta(seconds=1)
        return Batch("b1", op, changes, "external_id", {"external_id": FieldType.TEXT, **TYPES}, None, opened)

    def start(self, op: Op, records: Mapping[str, Fields]) -> Batch:
        """Send, and hand back the batch with its token."""
        batch = self.batch(op, records)
        return replace(batch, token=self.destination.send(self.api, batch).token)

    def do(self, op: Op, records: Mapping[str, Fields]) -> dict[str, Receipt]:
        """Send, and look until every change is decided; key → receipt."""
        batch = self.batch(op, records)
        sent = self.destination.send(self.api, batch)
        for _ in range(20):
            if sent.token is None:
                return {receipt.key: receipt for receipt in sent.receipts}
            answer = self.destination.settle(self.api, replace(batch, token=sent.token))
            assert answer is not None
            sent = answer
        raise AssertionError(f"{sent.token} never ends")

    def asked(self) -> list[str]:
        """`METHOD path` of every call."""
        return [f"{call.method} {call.path}" for call in self.calls]

    def said(self, key: str) -> set[str]:
        """Every word that was a key anywhere in a write."""
        return {word for _, path, body in self.twin.bodies if key in path for word in words_in(body)}


def words_in(value: Any) -> set[str]:
    """Every key anywhere in a JSON value."""
    if isinstance(value, dict):
        return set(value).union(*(words_in(one) for one in value.values()))
    return (
        set().union(*map(words_in, value))
        if isinstance(value, Sequence) and not isinstance(value, str)
        else set()
    )
