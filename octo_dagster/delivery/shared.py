"""What two customers are both found by, where a destination knows people by values alone.

A household has one telephone, one mailbox has several spellings. An ad audience holds each such value once:
who leaves would take it from those who stay, while the ledger says that they are in.
"""

from __future__ import annotations

from collections.abc import Iterator

from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.mapping import decoded
from octo_dagster.delivery.plan import Counts, Folder, Line
from octo_dagster.model import Fields
from octo_dagster.sync import Sync


def shared(sync: Sync, ledger: Ledger, folder: Folder, plan: str, counts: Counts) -> frozenset[str]:
    """Of what this plan would take back, what somebody else is found by afterwards.

    Looks at everybody who is held, once, and only when something is to be taken back."""
    if not sync.destination.by_values:
        return frozenset()
    ends, starts, moved = set[str](), set[str](), set[str]()
    for line in folder.lines(sync, plan, [(0, counts.removed + counts.changed)]):
        moved.add(line.key)
        was = frozenset[str]().union(*(named(sync, line.spelled, one) or () for one in versions(line)))
        now = named(sync, line.spelled, told(line)) if line.fields else frozenset[str]()
        starts |= was if now is None else now
        ends |= frozenset[str]() if now is None else was - now
    if not ends:
        return frozenset()
    kept = ends & starts
    for key, fields in others(sync, ledger, folder, plan, counts):
        if key not in moved:
            kept |= ends & (named(sync, key, fields) or frozenset())
    return frozenset(kept)


def named(sync: Sync, key: str, fields: Fields) -> frozenset[str] | None:
    return sync.destination.names(sync.key.to, key, fields)


def told(line: Line) -> Fields:
    """What is held of somebody once the line is carried out."""
    return {**(line.before or {}), **line.fields}


def versions(line: Line) -> Iterator[Fields]:
    """What is held of somebody now, or may be."""
    if line.before is not None:
        yield line.before
    yield from line.perhaps


def others(
    sync: Sync, ledger: Ledger, folder: Folder, plan: str, counts: Counts
) -> Iterator[tuple[str, Fields]]:
    """Key and fields of everybody who is held, comes with this plan, or was sent and has no answer yet."""
    for page in ledger.everybody(sync.name):
        yield from ((key, decoded(fields)) for key, fields in page)
    first = counts.removed + counts.changed
    yield from ((line.key, line.fields) for line in folder.lines(sync, plan, [(first, first + counts.added)]))
    for batch in ledger.unsettled(sync.name):
        for line in folder.lines(sync, batch.plan, batch.rows):
            yield line.key, told(line)
