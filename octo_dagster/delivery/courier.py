"""One connection to one destination for one sync: signs in, cuts batches, sends, polls, reads back.

What `settle`, `deliver` and `verify` share. It turns every way a call can end into receipts or one of
the errors of `errors`, and signs in again once when a session has expired.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from octo_dagster.delivery.compare import missing
from octo_dagster.delivery.http import Call, session
from octo_dagster.delivery.pace import Pace
from octo_dagster.destination import AnyDestination, FieldReport, Survey
from octo_dagster.errors import DeliveryError, Expired, OverQuota, Retryable
from octo_dagster.model import Batch, Fields, FieldType, Op, Outcome, Receipt, Sent

T = TypeVar("T")

TRIES = 6
"""How often a call that was certainly not carried out goes again within one run."""

GLANCES = 6
"""How often the records of a job are looked at, in some ten seconds, before the job is asked after."""
LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a courier works: pacing store, sandbox, clock. Tests hand in their own."""

    pace_store: Path | None = None
    sandbox: str | None = None
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    patience: float = math.inf
    """Seconds to watch an unfinished job at most, whatever the destination says."""
    queue: float = math.inf
    """Seconds to wait at most for the vendor's quota to allow a call."""


@dataclass
class Courier:
    """Opened by `courier`; its calls are counted. Not shared between threads."""

    destination: AnyDestination
    around: Surroundings
    types: Mapping[str, FieldType] = field(default_factory=dict)
    """What an `untyped` destination is to expect."""
    calls: list[Call] = field(default_factory=list)
    api: Any = None
    out_of_patience: bool = False
    """Whether the last job that was watched did not end: the ones after it are looked at once."""

    def __post_init__(self) -> None:
        around, destination = self.around, self.destination
        pace = Pace(destination.rates, around.pace_store, destination.type, around.queue)
        self.http = session(self.destination, pace, self.calls.append, self.around.sandbox, self.around.sleep)

    def close(self) -> None:
        """End the session's connections."""
        self.http.close()

    def account(self) -> str:
        """Sign in and say whose account it is."""
        return self.again(lambda: self.destination.account(self.api))

    def again(self, call: Callable[[], T]) -> T:
        """Carry out a call, waiting and repeating while it certainly was not done. Retryable at last."""
        renewed = False
        for attempt in range(1, TRIES + 1):
            try:
                if self.api is None:
                    self.api = self.destination.connect(self.http)
                    self.destination.expect(self.api, self.types)
                return call()
            except Expired:
                if renewed:
                    raise
                renewed, self.api = True, None
            except Retryable as error:
                if attempt == TRIES or isinstance(error, OverQuota):
                    raise
                wait = error.wait if error.wait is not None else 0.25 * 2**attempt
                self.around.sleep(min(wait, LONGEST_WAIT))
        raise Retryable(f"{self.destination.type}: signing in again did not help")

    def ensure_fields(self, types: Any, *, create: bool) -> FieldReport:
        """See Destination.ensure_fields."""
        return self.again(lambda: self.destination.ensure_fields(self.api, types, create=create))

    def survey(self) -> Survey:
        """See Destination.survey."""
        return self.again(lambda: self.destination.survey(self.api))

    def open(self, batch: Batch) -> str | None:
        """See Destination.open."""
        return self.again(lambda: self.destination.open(self.api, batch))

    def send(self, batch: Batch) -> Sent:
        """See Destination.send. BatchRejected, Unanswered and Fatal are the caller's to tell apart."""
        before = len(self.calls)
        try:
            return complete(batch, self.again(lambda: self.destination.send(self.api, batch)))
        except DeliveryError as error:
            error.partly = any(self.wrote(call) for call in self.calls[before:])
            raise

    def wrote(self, call: Call) -> bool:
        """Whether a call was carried out that may have written something."""
        done = call.status is not None and call.status < 300
        looked = call.method in ("GET", "HEAD") or re.search(self.destination.looks or "$^", call.path)
        return done and not looked

    def ask(self, batch: Batch) -> Sent | None:
        """What became of a batch with a token, watched until decided or out of patience.

        At first its records are looked at, where the destination offers that."""
        wait, longest = self.destination.poll_seconds
        patience = 0 if self.out_of_patience else min(self.around.patience, self.destination.patience)
        end = self.around.clock() + patience
        for look in count():
            landed = self.landed(batch) if look < GLANCES else None
            if landed:
                return Sent(tuple(Receipt(key, Outcome.ACCEPTED) for key in batch.keys))
            if landed is False and self.around.clock() < end:
                self.around.sleep(wait)
                wait = min(wait * 1.5, longest)
                continue
            sent = self.again(lambda: self.destination.settle(self.api, batch))
            if sent is None:
                return None
            if sent.token is None or self.around.clock() >= end:
                self.out_of_patience = sent.token is not None
                return complete(batch, sent)
            self.around.sleep(wait)
            wait = min(wait * 1.5, longest)
        raise AssertionError("unreachable: it looks until it is told")

    def landed(self, batch: Batch) -> bool | None:
        """Whether every record stands as asked; None where that cannot be seen at a glance."""
        found = self.again(lambda: self.destination.glance(self.api, batch))
        if found is None:
            return None
        return all(unlike(batch.op, change.fields, found.get(change.key)) is None for change in batch.changes)

    def read(
        self, keys: Sequence[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        """See Destination.read."""
        wanted = list(fields)
        return self.again(lambda: self.destination.read(self.api, keys, wanted, since))

    def confirm(self, batch: Batch, receipts: Sequence[Receipt]) -> list[Receipt]:
        """Believe a silent vendor's acceptance only after reading back; what did not stick is rejected."""
        accepted = {r.key for r in receipts if r.outcome is Outcome.ACCEPTED}
        if not self.destination.silent or not accepted:
            return list(receipts)
        changes = {c.key: c for c in batch.changes if c.key in accepted}
        fields = {name for c in changes.values() for name in c.fields}
        found = self.read(list(changes), sorted(fields), batch.opened_at)
        return [
            judged(batch.op, changes[r.key].fields, found.get(r.key), r) if r.key in accepted else r
            for r in receipts
        ]


def complete(batch: Batch, sent: Sent) -> Sent:
    """The answer with every row in it: one nobody mentioned is pending under a token, else unknown."""
    told = {receipt.key for receipt in sent.receipts}
    outcome = Outcome.PENDING if sent.token else Outcome.UNKNOWN
    rest = tuple(Receipt(key, outcome) for key in batch.keys if key not in told)
    mine = set(batch.keys)
    return Sent(tuple(r for r in sent.receipts if r.key in mine) + rest, sent.token)


def judged(op: Op, wanted: Fields, found: Fields | None, receipt: Receipt) -> Receipt:
    """An acceptance held against what the destination really holds."""
    trouble = unlike(op, wanted, found)
    if trouble is None:
        return receipt
    reason = f"accepted by the destination, but {trouble}"
    lost = missing(wanted, found) if found is not None else ()
    return Receipt(receipt.key, Outcome.REJECTED, reason, receipt.created, lost)


def unlike(op: Op, wanted: Fields, found: Fields | None) -> str | None:
    """How what is held differs from what was asked; None when it does not."""
    if op in (Op.LEAVE, Op.DELETE):
        return None if found is None else "the record is still there"
    if found is None:
        return None if op is Op.CLEAR else "the record is not there"
    lost = missing(wanted, found)
    return f"not stored: {', '.join(lost)}" if lost else None
