"""One destination in front of its twin, without the engine: what the exam asks and does."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from connectors.registry import destinations
from octo_dagster.delivery.http import session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.destination import AnyDestination
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt, Sent, Value
from tests.vendors.examinee import Examinee

PATIENCE = 10.0
"""Seconds an unfinished job of a twin may take before the exam calls it hung."""


def build(examinee: Examinee, settings: Mapping[str, Any] | None = None) -> AnyDestination:
    """The destination as its YAML makes it."""
    return destinations()[examinee.name].model_validate({**examinee.settings, **(settings or {})})


@dataclass
class Sitting:
    """A destination signed in at its twin. Nothing is retried here: a failure reaches the test."""

    examinee: Examinee
    address: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    accepted: dict[str, Fields] = field(default_factory=dict)
    """Key → what was accepted of it, as the ledger keeps it."""

    def __post_init__(self) -> None:
        self.destination = build(self.examinee, self.settings)
        self.http = session(self.destination, UNPACED, sandbox=self.address, sleep=lambda seconds: None)
        self.sign_in()

    def sign_in(self) -> None:
        self.api = self.destination.connect(self.http)
        types = {self.examinee.key_field: FieldType.TEXT, **self.examinee.types}
        self.destination.expect(self.api, types)

    def account(self) -> str:
        return self.destination.account(self.api)

    def ready(self) -> Sitting:
        """With every mapped field made, as the engine has it before the first batch."""
        self.destination.ensure_fields(self.api, self.examinee.types, create=True)
        return self

    def batch(self, op: Op, changes: Sequence[Change]) -> Batch:
        types = {self.examinee.key_field: FieldType.TEXT, **self.examinee.types}
        needs = self.examinee.needs if op is Op.UPSERT else {}
        changes = [
            replace(change, fields={**needs, **change.fields}, before=self.accepted.get(change.key, {}))
            for change in changes
        ]
        opened = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=1)
        return Batch(uuid.uuid4().hex, op, tuple(changes), self.examinee.key_field, types, opened_at=opened)

    def carry_out(self, op: Op, *changes: Change) -> dict[str, Receipt]:
        """Open, send, and ask until every change is decided; key → its one receipt."""
        batch = self.batch(op, changes)
        batch = replace(batch, token=self.destination.open(self.api, batch))
        sent = self.destination.send(self.api, batch)
        told = distinct(sent)
        end = time.monotonic() + PATIENCE
        while sent.token:
            assert time.monotonic() < end, f"job {sent.token} is still not done"
            time.sleep(0.01)
            answer = self.destination.settle(self.api, replace(batch, token=sent.token))
            assert answer is not None, f"job {sent.token} is forgotten"
            sent = answer
            told |= distinct(sent)
        assert sorted(told) == sorted(batch.keys), "every key has a receipt, and no other key"
        self.remember(batch, told)
        return told

    def remember(self, batch: Batch, told: Mapping[str, Receipt]) -> None:
        """Know what is held from now on."""
        for change in batch.changes:
            if told[change.key].outcome is Outcome.ACCEPTED:
                before = self.accepted.pop(change.key, {})
                if batch.op is Op.UPSERT:
                    self.accepted[change.key] = {**before, **change.fields}

    def upsert(self, records: Mapping[str, Fields]) -> None:
        """Send records that are to be accepted, all of them."""
        told = self.carry_out(Op.UPSERT, *(Change(key, fields) for key, fields in records.items()))
        refused = [r for r in told.values() if r.outcome is not Outcome.ACCEPTED]
        assert not refused

    def read(self, *keys: str) -> dict[str, Fields]:
        """What the destination holds of these keys, in every mapped field; by the twin's word where the
        vendor shows nobody."""
        if self.examinee.look:
            held = requests.get(f"{self.address}/_sandbox/{self.examinee.name}/holdings", timeout=60).json()
            return self.examinee.look(held, keys)
        return self.destination.read(self.api, keys, list(self.examinee.types))

    def cleared(self) -> dict[str, Value]:
        """Every mapped field as it reads once it is empty."""
        return {name: self.examinee.cleared.get(kind) for name, kind in self.examinee.types.items()}

    def records(self, count: int) -> dict[str, dict[str, Value]]:
        """`count` customers with every field filled."""
        return {self.examinee.key(n): self.examinee.record(n) for n in range(1, count + 1)}


def distinct(sent: Sent) -> dict[str, Receipt]:
    """Key → receipt, no key having two."""
    told = {receipt.key: receipt for receipt in sent.receipts}
    assert len(told) == len(sent.receipts), "no key has two receipts"
    return told


def filled(held: Fields, like: Fields) -> dict[str, Value]:
    """The held fields, with those that are absent as None, so that an empty one compares with an absent."""
    return {name: held.get(name) for name in like}
