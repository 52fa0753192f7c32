"""Plan → batches → receipts → ledger. Intent on disk before a call, receipts on disk after it."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from octo_dagster.delivery.courier import Courier
from octo_dagster.delivery.journal import unlogged
from octo_dagster.delivery.ledger import Entry, Ledger, OpenBatch
from octo_dagster.delivery.mapping import encoded
from octo_dagster.delivery.plan import REMOVED, Folder, Line, Plan
from octo_dagster.delivery.settle import Sent, Settled, close, ranges, settle_one
from octo_dagster.destination import Limits
from octo_dagster.errors import BatchRejected, ConfigError, DeliveryError, Unanswered
from octo_dagster.model import Mode, Op, Outcome, Receipt, Removal
from octo_dagster.sync import Sync

RESENDS = 3
"""How often what was found not to have been carried out goes again within one run."""

Progress = Callable[[int], None]
"""Told how many more changes have been decided."""


@dataclass
class Tally:
    """What a delivery did, change by change; the parts add up to what it was asked to do so far."""

    accepted: int = 0
    rejected: int = 0
    waiting: int = 0
    """In a job of the destination that has not ended."""
    unsent: int = 0
    """Not carried out, in spite of several tries."""
    skipped: int = 0
    """Not sent because `mode` forbids it: absent under update_only, present under create_only."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One plan being delivered by one run: everything its batches share."""

    sync: Sync
    plan: Plan
    folder: Folder
    ledger: Ledger
    courier: Courier
    run: str
    tally: Tally
    progress: Progress
    running: deque[tuple[Sent, int]] = field(default_factory=deque)
    """Batches in jobs of the destination that were not looked at yet, oldest first; how often each was sent
    again."""


def deliver(delivery: Delivery) -> None:
    """Carry a plan out. Raises the DeliveryError that stopped it; what was done is in the tally and ledger.

    The plan must have passed its guards; nothing of the sync may be unsettled but waiting jobs."""
    log_invalid(delivery)
    lines = delivery.folder.lines(delivery.sync, delivery.plan.id)
    try:
        for kind, group in groupby(lines, lambda line: line.kind):
            for op, part in by_op(delivery, kind, group):
                limits = delivery.courier.destination.limits(op, how_many(delivery.plan, kind))
                for chunk in chunks(allowed(delivery, kind, part), limits, delivery, op):
                    send_all(delivery, op, chunk)
                finish(delivery, all_but=0)  # what is removed is gone before anything is added
    except DeliveryError:
        delivery.tally.waiting += sum(len(sent.lines) for sent, _ in delivery.running)
        raise


def log_invalid(delivery: Delivery) -> None:
    """Every row refused before any call, into the log with its reason."""
    entries = [
        Entry(row.key or "", row.key or "", "refused", "invalid", None, None, keep=True, reason=row.reason)
        for row in delivery.folder.invalid(delivery.sync.name, delivery.plan.id)
    ]
    if entries:
        delivery.ledger.log(delivery.sync.name, delivery.run, entries)


def how_many(plan: Plan, kind: str) -> int:
    return int(getattr(plan.counts, kind))


def by_op(delivery: Delivery, kind: str, lines: Iterable[Line]) -> Iterator[tuple[Op, Iterator[Line]]]:
    """Changes and additions are upserts; a removal is what the sync says it is.

    Where some records are deleted and others cleared the removals, which stand first in the plan, are
    read once for each, so that they go in full batches however they are mixed."""
    sync, plan = delivery.sync, delivery.plan
    if kind != REMOVED or sync.removal is not Removal.DELETE:
        yield Op.UPSERT if kind != REMOVED else Op(sync.removal.value), iter(lines)
        return
    for op, ours in ((Op.DELETE, True), (of_others(sync), False)):
        removals = delivery.folder.lines(sync, plan.id, [(0, plan.counts.removed)])
        yield op, (line for line in removals if bool(line.created) is ours)


def of_others(sync: Sync) -> Op:
    """Only a record that Octo created is ever deleted; of any other, our fields are emptied. But nobody whose
    consent counts is kept on a list for that: he leaves it."""
    listed = sync.consent and Removal.LEAVE in sync.destination.removals
    return Op.LEAVE if listed else Op.CLEAR


def allowed(delivery: Delivery, kind: str, lines: Iterator[Line]) -> Iterator[Line]:
    """Under update_only and create_only, the lines whose record is (not) there at this moment.

    Of changes too: what Octo once held may be gone, and writing it would create it."""
    mode = delivery.sync.mode
    if kind == REMOVED or mode not in (Mode.UPDATE_ONLY, Mode.CREATE_ONLY):
        yield from lines
        return
    for page in paged(lines, 1_000):
        there = delivery.courier.read([line.spelled for line in page], [delivery.plan.key_field])
        able: dict[bool, list[Line]] = {True: [], False: []}
        for line in page:
            able[(line.spelled in there) is (mode is Mode.UPDATE_ONLY)].append(line)
        skip(delivery, able[False])
        yield from able[True]


def skip(delivery: Delivery, lines: Sequence[Line]) -> None:
    there = "not in" if delivery.sync.mode is Mode.UPDATE_ONLY else "already in"
    entries = [unlogged(line, "skipped", f"{there} the destination") for line in lines]
    if entries:
        delivery.ledger.log(delivery.sync.name, delivery.run, entries)
        delivery.tally.skipped += len(entries)
        delivery.progress(len(entries))


def paged(lines: Iterable[Line], size: int) -> Iterator[list[Line]]:
    page: list[Line] = []
    for line in lines:
        page.append(line)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page


def chunks(lines: Iterable[Line], limits: Limits, delivery: Delivery, op: Op) -> Iterator[tuple[Line, ...]]:
    """Lines in the largest batches the limits allow. One that is too large alone is rejected here."""
    chunk: list[Line] = []
    weight = 0
    for line in lines:
        size = len(encoded(line.fields).encode()) + len(line.spelled) if limits.bytes else 0
        if limits.bytes and size > limits.bytes:
            reason = f"the record has {size:,} bytes; the destination takes {limits.bytes:,} in a call"
            refuse(delivery, op, line, reason)
            continue
        if chunk and (len(chunk) == limits.rows or weight + size > (limits.bytes or weight + size)):
            yield tuple(chunk)
            chunk, weight = [], 0
        chunk.append(line)
        weight += size
    if chunk:
        yield tuple(chunk)


def count(delivery: Delivery, settled: Settled) -> None:
    delivery.tally.accepted += settled.accepted
    delivery.tally.rejected += settled.rejected
    delivery.tally.waiting += settled.waiting
    delivery.progress(settled.accepted + settled.rejected)


def intended(delivery: Delivery, op: Op, lines: tuple[Line, ...]) -> Sent:
    """A batch of these lines, not yet on disk."""
    intent = OpenBatch(
        id=uuid.uuid4().hex,
        plan=delivery.plan.id,
        op=op.value,
        rows=ranges(line.position for line in lines),
        token=None,
        opened_at=delivery.ledger.clock(),
    )
    return Sent(intent, op, lines, delivery.plan)


def send_all(delivery: Delivery, op: Op, lines: tuple[Line, ...], tries: int = 0) -> None:
    """One chunk: halved as often as it is refused whole. Of its jobs as many run as the destination bears."""
    queue = deque([lines])
    while queue:
        part = queue.popleft()
        try:
            answer = send_one(delivery, intended(delivery, op, part))
        except BatchRejected as refusal:
            queue.extendleft(halves(delivery, op, part, str(refusal)))
            continue
        if isinstance(answer, Settled):
            conclude(delivery, op, answer, tries)
        else:
            delivery.running.append((answer, tries))
            finish(delivery, all_but=delivery.courier.destination.jobs_at_once - 1)


def finish(delivery: Delivery, all_but: int) -> None:
    """Settle the oldest jobs until no more than so many run."""
    while len(delivery.running) > all_but:
        sent, tries = delivery.running[0]
        settled = settle_one(delivery.sync, delivery.ledger, delivery.courier, delivery.run, sent)
        delivery.running.popleft()
        conclude(delivery, sent.op, settled, tries)


def conclude(delivery: Delivery, op: Op, settled: Settled, tries: int) -> None:
    """Count what is settled; what was not carried out is sent again, a few times."""
    count(delivery, settled)
    if settled.again and tries < RESENDS:
        delivery.courier.around.sleep(2.0**tries - 1)
        send_all(delivery, op, settled.again, tries + 1)
    else:
        delivery.tally.unsent += len(settled.again)


def halves(delivery: Delivery, op: Op, lines: tuple[Line, ...], reason: str) -> list[tuple[Line, ...]]:
    """A refused batch in two; a single line is what it was refused for."""
    if len(lines) > 1:
        middle = len(lines) // 2
        return [lines[middle:], lines[:middle]]
    refuse(delivery, op, lines[0], reason)
    return []


def refuse(delivery: Delivery, op: Op, line: Line, reason: str) -> None:
    """Write a line down as rejected for this reason."""
    sent = intended(delivery, op, (line,))
    receipt = Receipt(line.spelled, Outcome.REJECTED, reason)
    settled = close(delivery.sync, delivery.ledger, delivery.run, sent, [receipt], sure=True)
    count(delivery, settled)


def send_one(delivery: Delivery, sent: Sent) -> Settled | Sent:
    """Intent on disk, the call, receipts on disk; or the batch, when a job of the destination has it.

    A batch that certainly was not sent leaves no intent behind; of one that was carried out in part every
    row is doubted. One that was not answered is settled at once; when even that fails its intent stays, for
    the next run."""
    ledger, sync = delivery.ledger, delivery.sync
    ledger.intend(sync.name, delivery.run, sent.intent)
    batch = sent.batch(sync, ledger)
    try:
        token = delivery.courier.open(batch)
        if token is not None:
            sent, batch = with_token(delivery, sent, token), replace(batch, token=token)
        answer = delivery.courier.send(batch)
    except Unanswered:
        return settle_one(sync, ledger, delivery.courier, delivery.run, sent)
    except (DeliveryError, ConfigError) as error:
        leave_behind(delivery, sent, partly=isinstance(error, DeliveryError) and error.partly)
        raise
    if answer.token is not None:
        return with_token(delivery, sent, answer.token)
    if any(r.outcome is Outcome.UNKNOWN for r in answer.receipts):
        return settle_one(sync, ledger, delivery.courier, delivery.run, sent, answer.receipts)
    receipts = delivery.courier.confirm(batch, answer.receipts)
    return close(sync, ledger, delivery.run, sent, receipts, sure=True)


def leave_behind(delivery: Delivery, sent: Sent, *, partly: bool) -> None:
    """What the ledger says of a batch that failed: nothing, where nothing was done. Where a part may have
    been done all of it is Octo's to send again or to take back, whatever the shop says tomorrow; a job with
    a name is asked for then."""
    if not partly:
        delivery.ledger.withdraw(delivery.sync.name, sent.intent.id)
    elif sent.intent.token is None:
        doubts = [Receipt(line.spelled, Outcome.UNKNOWN) for line in sent.lines]
        close(delivery.sync, delivery.ledger, delivery.run, sent, doubts, sure=False)


def with_token(delivery: Delivery, sent: Sent, token: str) -> Sent:
    """The batch under its job's name, which is on disk before anything else happens."""
    delivery.ledger.token(sent.intent.id, token)
    return replace(sent, intent=replace(sent.intent, token=token))
