"""Receipts into ledger entries: what is held from now on, and what the log says of it."""

from __future__ import annotations

from dataclasses import replace

from octo_dagster.delivery.compare import same
from octo_dagster.delivery.ledger import Entry
from octo_dagster.delivery.ledger_tables import MAYBE, UNSURE
from octo_dagster.delivery.mapping import encoded
from octo_dagster.delivery.plan import Line
from octo_dagster.model import Fields, Op, Outcome, Receipt


def entry(line: Line, op: Op, receipt: Receipt) -> Entry:
    """What the ledger learns from a decided receipt (accepted or rejected)."""
    accepted = receipt.outcome is Outcome.ACCEPTED
    removal = op is not Op.UPSERT
    reason = None if accepted else receipt.reason or "rejected without a reason"
    if receipt.lost and not accepted and not removal:
        kept = {name: value for name, value in line.fields.items() if name not in receipt.lost}
        held = doubtful(replace(line, fields=kept), op)
        told = replace(held, outcome=receipt.outcome.value, created=receipt.created, reason=reason)
        return replace(told, fingerprint=UNSURE, changed=changed(line))
    return Entry(
        key=line.key,
        spelled=line.spelled,
        op=line.kind,
        outcome=receipt.outcome.value,
        fingerprint=None if removal else line.fingerprint,
        fields=None if removal else encoded({**(line.before or {}), **line.fields}),
        keep=not accepted,
        created=receipt.created,
        reason=reason,
        changed=changed(line),
    )


def doubtful(line: Line, op: Op) -> Entry:
    """A change that may or may not have happened, and will be asked for again whatever it was.

    Held under the fingerprint of a doubt: still Octo's to send again, and to take back."""
    before = line.before or {}
    return Entry(
        key=line.key,
        spelled=line.spelled,
        op=line.kind,
        outcome=Outcome.UNKNOWN.value,
        fingerprint=MAYBE if line.before is None else UNSURE,
        fields=encoded(before if op is not Op.UPSERT else {**line.fields, **before}),
        perhaps=encoded(line.fields) if op is Op.UPSERT else None,
    )


def unlogged(line: Line, outcome: str, reason: str) -> Entry:
    """A log line that moves nothing: a row skipped or refused before any call."""
    return Entry(line.key, line.spelled, line.kind, outcome, None, None, keep=True, reason=reason)


def changed(line: Line) -> str | None:
    """Field → [before, after] of a changed record; nothing for a new one, whose fields the snapshot has."""
    if line.before is None or not line.fields:
        return None
    before: Fields = line.before
    moved = {
        name: [before.get(name), value]
        for name, value in line.fields.items()
        if not same(before.get(name), value)
    }
    return encoded(moved)  # type: ignore[arg-type]
