"""What must change for a destination to hold what a sync promises: a value with an id, a file of lines."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from octo_dagster.delivery.mapping import decoded
from octo_dagster.errors import PlanStale
from octo_dagster.model import Fields, FieldType, Invalid
from octo_dagster.sync import Nulls, Sync

CHANGES = pa.schema(
    {
        "kind": pa.string(),
        "key": pa.string(),
        "spelled": pa.string(),
        "record": pa.string(),
        "fingerprint": pa.string(),
        "before": pa.string(),
        "created": pa.bool_(),
        "perhaps": pa.list_(pa.string()),
    }
)
INVALID = pa.schema({"key": pa.string(), "reason": pa.string()})

ADDED, CHANGED, REMOVED = "added", "changed", "removed"


@dataclass(frozen=True, slots=True)
class Options:
    """How this one run differs from an ordinary one."""

    full: bool = False
    """Send every record as if nothing were held. Never removes."""
    limit: int | None = None
    """At most so many changes, for a careful first try. Never removes."""
    only: tuple[str, ...] = ()
    """Only these keys, as the destination spells them."""
    near: tuple[str, ...] = ()
    """Nothing but these keys, as they are compared, is looked at: all others count as left out, and the work
    grows with these and not with the base. Whoever shares one of them is looked at too."""


ORDINARY = Options()


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each. `rows` = added + changed + unchanged + invalid + waiting + left out."""

    rows: int = 0
    """Of a plan of a few (`near`): those that were looked at, or as many as are held if that is more."""
    held: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    owed: int = 0
    """Of added and changed: rejected last time, tried again now."""
    renewed: int = 0
    """Of changed: as it was, and sent again because the destination would forget it (`keeps`)."""
    invalid: int = 0
    waiting: int = 0
    """Sent earlier, still without an answer, so left alone."""
    left_out: int = 0
    """Passed over because of `limit`, `only` or `near`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What must change for a destination to hold what a sync promises."""

    id: str
    sync: str
    mode: str
    reads: str
    version: int
    """The version of the table it was drawn from."""
    revision: int
    """The ledger's revision it was drawn against."""
    definition: str
    """A hash of the sync's file."""
    counts: Counts
    key_field: str
    types: dict[str, FieldType]
    where: str | None = None
    """The audience as SQL over the table; None: every row."""
    options: Options = field(default_factory=Options)
    shared: frozenset[str] = field(default=frozenset(), repr=False)
    """What nobody is taken back by, because others are found by it (`Batch.shared`)."""

    @property
    def changes(self) -> int:
        return self.counts.added + self.counts.changed + self.counts.removed


@dataclass(frozen=True, slots=True)
class Line:
    """One change of a plan, at its place in the plan's file."""

    position: int
    kind: str
    key: str
    spelled: str
    fields: Fields
    """What to write; empty for a removal."""
    fingerprint: str | None
    before: Fields | None
    """What the ledger says is held; None when nothing is."""
    created: bool | None
    perhaps: tuple[Fields, ...] = ()
    """What may be held besides: sent since the last answer."""


class Folder:
    """Where plans are kept: one folder a plan, under one folder a sync."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sync: str, plan: str) -> Path:
        return self.root / sync / plan

    def load(self, sync: str, plan: str) -> Plan:
        """A plan by id. PlanStale when it is not kept (any more)."""
        header = self.path(sync, plan) / "plan.json"
        if not header.exists():
            raise PlanStale(f"{sync}: there is no plan {plan}; draw a new one with `octo plan {sync}`")
        told = json.loads(header.read_text())
        told["counts"] = Counts(**told["counts"])
        listed = {name: tuple(told["options"].get(name, ())) for name in ("only", "near")}
        told["options"] = Options(**{**told["options"], **listed})
        told["shared"] = frozenset(told.get("shared", ()))
        told["types"] = {name: FieldType(kind) for name, kind in told["types"].items()}
        return Plan(**told)

    def lines(self, sync: Sync, plan: str, ranges: Iterable[tuple[int, int]] | None = None) -> Iterator[Line]:
        """The plan's changes in order, or those in the half-open position ranges."""
        wanted = None if ranges is None else sorted(ranges)
        with pq.ParquetFile(self.path(sync.name, plan) / "changes.parquet") as file:
            start = 0
            for group in range(file.num_row_groups):
                stop = start + file.metadata.row_group(group).num_rows
                spans = [(start, stop)] if wanted is None else overlaps(wanted, start, stop)
                if spans:
                    rows = file.read_row_group(group)
                    for a, b in spans:
                        yield from self.read(sync, rows.slice(a - start, b - a), a)
                start = stop

    def read(self, sync: Sync, rows: pa.Table, start: int) -> Iterator[Line]:
        for offset, row in enumerate(rows.to_pylist()):
            yield Line(
                position=start + offset,
                kind=row["kind"],
                key=row["key"],
                spelled=row["spelled"],
                fields=sendable(sync, row["record"], new=row["before"] is None),
                fingerprint=row["fingerprint"],
                before=None if row["before"] is None else decoded(row["before"]),
                created=row["created"],
                perhaps=tuple(decoded(fields) for fields in row["perhaps"] or ()),
            )

    def invalid(self, sync: str, plan: str) -> list[Invalid]:
        """The rows refused before any call."""
        rows = pq.read_table(self.path(sync, plan) / "invalid.parquet").to_pylist()
        return [Invalid(row["key"], row["reason"]) for row in rows]

    def prune(self, sync: str, keep: set[str], newest: int = 5) -> None:
        """Delete old plans: they hold personal data and serve nobody. `keep` are still needed."""
        folders = sorted((self.root / sync).glob("*"), key=lambda folder: folder.stat().st_mtime)
        for folder in folders[:-newest]:
            if folder.name not in keep:
                shutil.rmtree(folder)


def overlaps(ranges: list[tuple[int, int]], start: int, stop: int) -> list[tuple[int, int]]:
    return [(max(a, start), min(b, stop)) for a, b in ranges if a < stop and b > start]


def sendable(sync: Sync, record: str | None, *, new: bool) -> dict[str, Any]:
    """The fields of a record that go out: no skipped nulls, and create-only ones for new records only."""
    if record is None:
        return {}
    values = decoded(record)
    return {
        m.to: values[m.to]
        for m in sync.fields
        if m.to in values
        and not (values[m.to] is None and m.nulls is Nulls.SKIP)
        and (new or not m.create_only)
    }


def definition(sync: Sync) -> str:
    """A hash of everything the sync's file says."""
    said = json.dumps(sync.model_dump(mode="json", by_alias=True), sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
