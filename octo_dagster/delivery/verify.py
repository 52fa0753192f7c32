"""Does the destination hold what the ledger says? Reads a sample, or all, back and compares.

Whoever finds a difference has found a person's edit, another tool, or a fault; the records are marked
unsure, so that the next run sends them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from octo_dagster.delivery.compare import missing
from octo_dagster.delivery.courier import Courier
from octo_dagster.delivery.guard import allowed
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.ledger_tables import FIELDS, MAYBE, SNAPSHOT, UNSURE
from octo_dagster.delivery.mapping import decoded
from octo_dagster.model import Fields
from octo_dagster.sync import Sync

PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Drift:
    """A record that is not as the ledger says."""

    key: str
    fields: tuple[str, ...]
    """The fields that differ; empty when the record is gone."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared and what differed."""

    compared: int
    drifts: tuple[Drift, ...]


def verify(sync: Sync, ledger: Ledger, courier: Courier, run: str, how_much: int | float) -> Verified:
    """Compare a share or a number (an int) of the held records, always the same ones for one `run`."""
    names = {mapping.to for mapping in sync.fields if not mapping.create_only}
    drifts: list[Drift] = []
    compared = 0
    for page in sample(sync.name, ledger, run, how_much):
        held = {spelled: {n: v for n, v in decoded(said).items() if n in names} for _, spelled, said in page}
        found = courier.read(list(held), sorted(names))
        compared += len(page)
        drifts += [drift for key in held if (drift := difference(key, held[key], found.get(key)))]
        gone = {drift.key for drift in drifts if not drift.fields}
        other = {drift.key for drift in drifts if drift.fields}
        ledger.doubt(sync.name, run, [key for key, spelled, _ in page if spelled in other], UNSURE)
        ledger.doubt(sync.name, run, [key for key, spelled, _ in page if spelled in gone], MAYBE)
    return Verified(compared, tuple(drifts))


def difference(key: str, held: Fields, found: Fields | None) -> Drift | None:
    if found is None:
        return Drift(key, ())
    fields = missing(held, found)
    return Drift(key, fields) if fields else None


def sample(
    sync: str, ledger: Ledger, run: str, how_much: int | float
) -> Iterator[Sequence[tuple[str, str, str]]]:
    """Pages of (key, spelled, fields as JSON) of a sample of what is surely held."""
    surely = (SNAPSHOT.c.sync == sync) & SNAPSHOT.c.fingerprint.not_in((UNSURE, MAYBE))
    keys = sorted(
        (row["key"] for row in ledger.read(sa.select(SNAPSHOT.c.key).where(surely))),
        key=lambda key: hashlib.sha256(f"{run}{key}".encode()).digest(),
    )
    chosen = keys[: allowed(how_much, len(keys))]
    for start in range(0, len(chosen), PAGE):
        wanted = chosen[start : start + PAGE]
        both = sa.join(
            SNAPSHOT, FIELDS, (SNAPSHOT.c.sync == FIELDS.c.sync) & (SNAPSHOT.c.key == FIELDS.c.key)
        )
        query = sa.select(SNAPSHOT.c.key, SNAPSHOT.c.spelled, FIELDS.c.fields).select_from(both)
        rows = ledger.read(query.where(surely, SNAPSHOT.c.key.in_(wanted)))
        yield [(row["key"], row["spelled"], row["fields"]) for row in rows]
