"""What became of the changes we never heard back about? Answered before anything new is planned.

By job, where the destination named one; else by reading back. Afterwards the ledger says only what
is known: accepted, rejected, or *unsure* (held under the fingerprint of a doubt, so it goes again).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from octo_dagster.delivery.courier import Courier, unlike
from octo_dagster.delivery.journal import doubtful, entry
from octo_dagster.delivery.ledger import Entry, Ledger, OpenBatch
from octo_dagster.delivery.plan import Folder, Line, Options, Plan
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, Fields, Op, Outcome, Receipt
from octo_dagster.sync import Sync


@dataclass(frozen=True, slots=True)
class Settled:
    """How many changes each way."""

    accepted: int = 0
    rejected: int = 0
    waiting: int = 0
    """Still in a job of the destination that has not ended."""
    again: tuple[Line, ...] = ()
    """Not carried out, or not known to be: to be sent again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A batch on its way: the intent on disk, and the plan's lines it stands for."""

    intent: OpenBatch
    op: Op
    lines: tuple[Line, ...]
    plan: Plan

    def batch(self, sync: Sync, ledger: Ledger) -> Batch:
        """As the destination is handed it."""
        changes = tuple(
            Change(
                line.spelled,
                asked(line, self.op, self.plan),
                line.before is not None,
                line.before or {},
                line.perhaps,
                line.created,
            )
            for line in self.lines
        )
        return Batch(
            id=self.intent.id,
            op=self.op,
            changes=changes,
            key_field=self.plan.key_field,
            types=self.plan.types,
            token=self.intent.token,
            opened_at=self.intent.opened_at,
            holds=lambda keys: ledger.holding(sync.name, keys),
            others_held=lambda: self.plan.options != Options(full=True) and ledger.holds_any(sync.name),
            shared=self.plan.shared,
        )


def asked(line: Line, op: Op, plan: Plan) -> Fields:
    """The fields a change writes. Clearing empties exactly what Octo has put there, or may have."""
    if op is Op.UPSERT:
        return dict(line.fields)
    if op is Op.CLEAR:
        return {name: None for name in (line.before or {}) if name in plan.types}
    return {}


def settle(sync: Sync, ledger: Ledger, folder: Folder, courier: Courier, run: str) -> Counter[str]:
    """Settle every open batch of a sync; how many changes were accepted, rejected, waiting, again.

    DeliveryError when the destination cannot be asked; Fatal when a plan of theirs is lost."""
    counts: Counter[str] = Counter()
    for intent in ledger.unsettled(sync.name):
        if not folder.path(sync.name, intent.plan).exists():
            raise Fatal(
                f"{sync.name}: a batch of plan {intent.plan} was sent and never answered, and its plan is "
                f"not under {folder.root}: settle where it was drawn, or bring its folder back"
            )
        plan = folder.load(sync.name, intent.plan)
        lines = tuple(folder.lines(sync, intent.plan, intent.rows))
        one = settle_one(sync, ledger, courier, run, Sent(intent, Op(intent.op), lines, plan))
        counts += Counter(
            accepted=one.accepted, rejected=one.rejected, waiting=one.waiting, again=len(one.again)
        )
    return counts


def settle_one(
    sync: Sync, ledger: Ledger, courier: Courier, run: str, sent: Sent, told: Sequence[Receipt] = ()
) -> Settled:
    """Settle one batch: by what was told of it, by its job, and by reading back whatever nobody tells."""
    batch = sent.batch(sync, ledger)
    answer = courier.ask(batch) if batch.token else None
    receipts = list(answer.receipts) if answer else list(told)
    receipts = receipts or [Receipt(key, Outcome.UNKNOWN) for key in batch.keys]
    receipts = courier.confirm(batch, receipts)
    receipts = find_out(courier, batch, receipts)
    return close(sync, ledger, run, sent, receipts, sure=courier.destination.in_order)


def find_out(courier: Courier, batch: Batch, receipts: Sequence[Receipt]) -> list[Receipt]:
    """Read back the rows nobody can tell of: as asked is accepted; the rest is unsent, or stays unknown."""
    unknown = {r.key for r in receipts if r.outcome is Outcome.UNKNOWN}
    if not unknown or not courier.destination.can_read():
        return list(receipts)
    changes = {c.key: c for c in batch.changes if c.key in unknown}
    names = sorted({name for c in changes.values() for name in c.fields})
    found = courier.read(list(changes), names)
    told = []
    for receipt in receipts:
        if receipt.key not in unknown:
            told.append(receipt)
        elif unlike(batch.op, changes[receipt.key].fields, found.get(receipt.key)) is None:
            told.append(Receipt(receipt.key, Outcome.ACCEPTED))
        elif receipt.key not in found and courier.destination.in_order:
            told.append(Receipt(receipt.key, Outcome.UNSENT))
        else:
            told.append(receipt)
    return told


def close(
    sync: Sync, ledger: Ledger, run: str, sent: Sent, receipts: Iterable[Receipt], *, sure: bool
) -> Settled:
    """Write down what is known of a batch. Pending rows keep its intent open, narrowed to them.

    A row that stayed unknown, or was unsent while an older version is held, becomes unsure unless
    `sure` says that nothing of it can land later."""
    lines = {line.spelled: line for line in sent.lines}
    by: dict[Outcome, list[Line]] = {outcome: [] for outcome in Outcome}
    entries: list[Entry] = []
    others: set[str] = set()
    for receipt in receipts:
        others.update(receipt.also)
        line = lines[receipt.key]
        by[receipt.outcome].append(line)
        if receipt.outcome in (Outcome.ACCEPTED, Outcome.REJECTED):
            entries.append(entry(line, sent.op, receipt))
        elif receipt.outcome is Outcome.UNKNOWN or (receipt.outcome is Outcome.UNSENT and not sure):
            entries.append(doubtful(line, sent.op))
    pending = by[Outcome.PENDING]
    rest = replace(sent.intent, rows=ranges(line.position for line in pending)) if pending else None
    ledger.doubt(sync.name, run, sorted(others))  # first: a batch that is closed is not looked at again
    ledger.settle(sync.name, run, sent.intent.id, entries, rest)
    return Settled(
        accepted=len(by[Outcome.ACCEPTED]),
        rejected=len(by[Outcome.REJECTED]),
        waiting=len(pending),
        again=tuple(sorted(by[Outcome.UNSENT] + by[Outcome.UNKNOWN], key=place)),
    )


def place(line: Line) -> int:
    """The plan's order, in which every batch is sent: a later run loads it so, and jobs tell by place."""
    return line.position


def ranges(positions: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Positions as half-open ranges: 1 2 3 7 → (1, 4) (7, 8)."""
    made: list[tuple[int, int]] = []
    for position in sorted(positions):
        if made and made[-1][1] == position:
            made[-1] = (made[-1][0], position + 1)
        else:
            made.append((position, position + 1))
    return tuple(made)
