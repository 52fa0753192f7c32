"""What each destination is known to hold. SQLite by default, Postgres by address; the same SQLAlchemy code.

A row of `sync_snapshot` moves on receipts only. What was about to be sent is a `sync_batches` row,
written before the call and closed after the answer; a batch left open is what `settle` is for. Every
change ever asked for is a line of `sync_changelog`, every delivery a line of `sync_runs`.

`fingerprint` in the snapshot: NULL, the destination holds nothing of ours under this key; UNSURE, it
holds something we are not sure of; MAYBE, it may hold something or nothing; else, what it holds. What is
unsure the next plan sends again.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from filelock import FileLock, Timeout
from sqlalchemy.dialects import postgresql, sqlite

from octo_dagster.delivery.ledger_tables import (
    ACCOUNTS,
    BATCHES,
    CHANGELOG,
    FIELDS,
    MAYBE,
    PERHAPS,
    RUNS,
    SNAPSHOT,
    SYNCS,
    TABLES,
    UNSURE,
    engine,
)
from octo_dagster.errors import Busy
from octo_dagster.model import Outcome


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger learns of one key when a batch is closed: one row of snapshot and log."""

    key: str
    spelled: str
    op: str
    outcome: str
    fingerprint: str | None
    fields: str | None
    """What is held from now on, as JSON; None when nothing is."""
    keep: bool = False
    """Leave `fingerprint` and `fields` as they are: the change did not happen."""
    created: bool | None = None
    reason: str | None = None
    changed: str | None = None
    """Field → [before, after] as JSON, for the log."""
    perhaps: str | None = None
    """Of a change that may have been carried out: the fields it wrote, as JSON."""


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """An intent on disk that has no receipts yet."""

    id: str
    plan: str
    op: str
    rows: tuple[tuple[int, int], ...]
    token: str | None
    opened_at: datetime


def now() -> datetime:
    """The moment, UTC, without a zone: as every timestamp is kept."""
    return datetime.now(UTC).replace(tzinfo=None)


class Ledger:
    """One database for all syncs. Every method is one transaction; when it returns, it is on disk."""

    def __init__(self, url: str, locks: Path, clock: Callable[[], datetime] = now) -> None:
        self.engine = engine(url)
        weakref.finalize(self, self.engine.dispose)  # a server must not keep what nobody uses any more
        self.locks = locks
        self.clock = clock
        self.insert = sqlite.insert if self.engine.dialect.name == "sqlite" else postgresql.insert
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "postgresql":  # two that find no table would both make it
                connection.execute(sa.text("select pg_advisory_xact_lock(hashtext('octo tables'))"))
            TABLES.create_all(connection)

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        with self.engine.connect() as connection:
            yield connection.execution_options(reads_only=True)

    @contextmanager
    def lock(self, sync: str) -> Iterator[None]:
        """Held by one run of a sync at a time, on every machine that shares the ledger; freed by the
        operating system or the database when its holder dies. Busy when another run has it."""
        if self.engine.dialect.name == "sqlite":
            with self.file_lock(sync):
                yield
            return
        with self.engine.connect() as connection:
            mine = connection.scalar(sa.text("select pg_try_advisory_lock(hashtext(:name))"), {"name": sync})
            connection.commit()
            if not mine:
                raise Busy(f"{sync}: another run of this sync is under way")
            try:
                yield
            finally:
                connection.execute(sa.text("select pg_advisory_unlock(hashtext(:name))"), {"name": sync})
                connection.commit()

    @contextmanager
    def file_lock(self, sync: str) -> Iterator[None]:
        self.locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.locks / f"{sync}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as busy:
            raise Busy(f"{sync}: another run of this sync is under way") from busy
        try:
            yield
        finally:
            lock.release()

    def revision(self, sync: str) -> int:
        """Grows with every write that concerns the sync; a plan is for one revision only."""
        with self.reading() as connection:
            return connection.scalar(sa.select(SYNCS.c.revision).where(SYNCS.c.sync == sync)) or 0

    def account(self, sync: str) -> str | None:
        """The account that may hold something of this sync; None while none does."""
        held = sa.exists().where(SNAPSHOT.c.sync == sync, SNAPSHOT.c.fingerprint.is_not(None))
        sent = sa.exists().where(BATCHES.c.sync == sync)
        with self.reading() as connection:
            found: str | None = connection.scalar(
                sa.select(SYNCS.c.account).where(SYNCS.c.sync == sync, held | sent)
            )
            return found

    def bind(self, sync: str, account: str) -> None:
        """Remember the account of a sync; one that may hold something of it stays."""
        if self.account(sync) is not None:
            return
        with self.engine.begin() as connection:
            known = connection.scalar(sa.select(SYNCS.c.account).where(SYNCS.c.sync == sync))
            if known == account:
                return  # nothing moved: a plan that was drawn stays fresh
            self.touch(connection, sync)
            connection.execute(sa.update(SYNCS).where(SYNCS.c.sync == sync).values(account=account))

    def signed_in(self, seal: str, within: timedelta) -> str | None:
        """The account that credentials of this seal opened when they were asked for last; None when that is
        longer ago."""
        with self.reading() as connection:
            found: str | None = connection.scalar(
                sa.select(ACCOUNTS.c.account).where(
                    ACCOUNTS.c.seal == seal, ACCOUNTS.c.at > self.clock() - within
                )
            )
            return found

    def sign_in(self, seal: str, account: str) -> None:
        """Remember whose credentials of this seal are."""
        said = {"account": account, "at": self.clock()}
        with self.engine.begin() as connection:
            added = self.insert(ACCOUNTS).values(seal=seal, **said)
            connection.execute(added.on_conflict_do_update(index_elements=["seal"], set_=said))

    def touch(self, connection: sa.Connection, sync: str) -> None:
        added = self.insert(SYNCS).values(sync=sync, revision=1)
        connection.execute(
            added.on_conflict_do_update(index_elements=["sync"], set_={"revision": SYNCS.c.revision + 1})
        )

    def held(
        self, sync: str, before: datetime | None = None, size: int = 2_000
    ) -> Iterator[Sequence[sa.Row[str, str | None, str | None, bool]]]:
        """Pages of (key, fingerprint, owed, whether it was sent last by a run older than `before`) of every
        key the ledger knows.

        Small pages: Python's garbage collector walks a large one again and again while it is made."""
        old: sa.ColumnElement[bool] = sa.false()
        if before is not None:
            past = sa.select(RUNS.c.run).where(RUNS.c.sync == sync, RUNS.c.started_at < before)
            old = SNAPSHOT.c.run.in_(past)
        query = sa.select(SNAPSHOT.c.key, SNAPSHOT.c.fingerprint, SNAPSHOT.c.owed, old.label("old")).where(
            SNAPSHOT.c.sync == sync
        )
        with self.reading() as connection:
            rows = connection.execution_options(stream_results=True, max_row_buffer=size).execute(query)
            yield from rows.partitions(size)

    def everybody(self, sync: str, size: int = 2_000) -> Iterator[Sequence[sa.Row[str, str]]]:
        """Pages of (key, fields held as JSON) of everybody of whom something is held."""
        query = sa.select(FIELDS.c.key, FIELDS.c.fields).where(FIELDS.c.sync == sync)
        with self.reading() as connection:
            rows = connection.execution_options(stream_results=True, max_row_buffer=size).execute(query)
            yield from rows.partitions(size)

    def fields(self, sync: str, keys: Sequence[str]) -> dict[str, str]:
        """Key → the fields held, as JSON, for those of the keys that hold any. At most 1,000 keys."""
        query = sa.select(FIELDS.c.key, FIELDS.c.fields).where(FIELDS.c.sync == sync, FIELDS.c.key.in_(keys))
        with self.reading() as connection:
            return {row.key: row.fields for row in connection.execute(query)}

    def perhaps(self, sync: str, keys: Sequence[str]) -> dict[str, list[str]]:
        """Key → every version of its fields that was sent since the last answer, as JSON, in no order that
        matters. At most 1,000 keys."""
        query = sa.select(PERHAPS.c.key, PERHAPS.c.fields).where(
            PERHAPS.c.sync == sync, PERHAPS.c.key.in_(keys)
        )
        found: dict[str, list[str]] = {}
        with self.reading() as connection:
            for row in connection.execute(query.order_by(PERHAPS.c.fields)):
                found.setdefault(row.key, []).append(row.fields)
        return found

    def doubts(self, sync: str) -> bool:
        """Whether anything that was sent of this sync is not known to have arrived."""
        with self.reading() as connection:
            return bool(connection.scalar(sa.select(sa.exists().where(PERHAPS.c.sync == sync))))

    def rows(self, sync: str, keys: Sequence[str]) -> dict[str, sa.RowMapping]:
        """Key → its snapshot row, for those of the keys the ledger knows. At most 1,000 keys."""
        query = sa.select(SNAPSHOT).where(SNAPSHOT.c.sync == sync, SNAPSHOT.c.key.in_(keys))
        with self.reading() as connection:
            return {row["key"]: row for row in connection.execute(query).mappings()}

    def holding(self, sync: str, keys: Iterable[str]) -> set[str]:
        """Those of the keys under which something may be held."""
        known = self.rows(sync, list(keys))
        return {key for key, row in known.items() if row["fingerprint"] is not None}

    def holds_any(self, sync: str) -> bool:
        """Whether anything of a sync is known to be held: what was sent first and not answered is not."""
        known = SNAPSHOT.c.fingerprint.is_not(None) & (SNAPSHOT.c.fingerprint != MAYBE)
        with self.reading() as connection:
            return bool(connection.scalar(sa.select(sa.exists().where(SNAPSHOT.c.sync == sync, known))))

    def unsettled(self, sync: str) -> list[OpenBatch]:
        """The intents without an answer, oldest first."""
        query = (
            sa.select(BATCHES).where(BATCHES.c.sync == sync).order_by(BATCHES.c.opened_at, BATCHES.c.batch)
        )
        with self.reading() as connection:
            return [
                OpenBatch(
                    id=row["batch"],
                    plan=row["plan"],
                    op=row["op"],
                    rows=tuple((a, b) for a, b in json.loads(row["rows"])),
                    token=row["token"],
                    opened_at=row["opened_at"],
                )
                for row in connection.execute(query).mappings()
            ]

    def intend(self, sync: str, run: str, batch: OpenBatch) -> None:
        """An intent, on disk before the call. Of an existing batch, replaces the intent."""
        with self.engine.begin() as connection:
            self.touch(connection, sync)
            connection.execute(sa.delete(BATCHES).where(BATCHES.c.batch == batch.id))
            connection.execute(
                sa.insert(BATCHES).values(
                    batch=batch.id,
                    sync=sync,
                    run=run,
                    plan=batch.plan,
                    op=batch.op,
                    rows=json.dumps(batch.rows),
                    token=batch.token,
                    opened_at=batch.opened_at,
                )
            )

    def token(self, batch: str, token: str) -> None:
        """The destination's name for the job that carries a batch."""
        with self.engine.begin() as connection:
            connection.execute(sa.update(BATCHES).where(BATCHES.c.batch == batch).values(token=token))

    def withdraw(self, sync: str, batch: str) -> None:
        """Take back an intent that certainly was not carried out."""
        with self.engine.begin() as connection:
            self.touch(connection, sync)
            connection.execute(sa.delete(BATCHES).where(BATCHES.c.batch == batch))

    def settle(
        self, sync: str, run: str, batch: str, entries: Sequence[Entry], rest: OpenBatch | None
    ) -> None:
        """The truth about a batch: its rows, its log lines, and its intent closed, or narrowed to `rest`."""
        at = self.clock()
        with self.engine.begin() as connection:
            self.touch(connection, sync)
            self.record(connection, sync, run, entries)
            self.write_log(connection, sync, run, at, entries)
            if rest is None:
                connection.execute(sa.delete(BATCHES).where(BATCHES.c.batch == batch))
            else:
                narrowed = sa.update(BATCHES).where(BATCHES.c.batch == batch)
                connection.execute(narrowed.values(rows=json.dumps(rest.rows), token=rest.token))

    def record(self, connection: sa.Connection, sync: str, run: str, entries: Sequence[Entry]) -> None:
        moved = [snapshot_row(sync, run, e) for e in entries if not e.keep]
        if moved:
            added = self.insert(SNAPSHOT)
            anew = SNAPSHOT.c.fingerprint.is_(None) | (SNAPSHOT.c.fingerprint == MAYBE)
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=["sync", "key"],
                    set_={
                        "spelled": added.excluded.spelled,
                        "fingerprint": added.excluded.fingerprint,
                        "created": sa.case(
                            (anew, added.excluded.created),
                            else_=sa.func.coalesce(SNAPSHOT.c.created, added.excluded.created),
                        ),
                        "owed": added.excluded.owed,
                        "attempts": sa.case(
                            (added.excluded.owed.is_(None), 0), else_=SNAPSHOT.c.attempts + 1
                        ),
                        "run": added.excluded.run,
                    },
                ),
                moved,
            )
            self.hold(connection, sync, [e for e in entries if not e.keep])
            self.remember(connection, sync, [e for e in entries if not e.keep])
        owed = [snapshot_row(sync, run, e) for e in entries if e.keep and e.reason]
        if owed:
            added = self.insert(SNAPSHOT)
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=["sync", "key"],
                    set_={"owed": added.excluded.owed, "attempts": SNAPSHOT.c.attempts + 1},
                ),
                owed,
            )

    def hold(self, connection: sa.Connection, sync: str, entries: Sequence[Entry]) -> None:
        kept = [{"sync": sync, "key": e.key, "fields": e.fields} for e in entries if e.fields is not None]
        gone = [{"k": e.key} for e in entries if e.fields is None]
        if kept:
            added = self.insert(FIELDS)
            connection.execute(
                added.on_conflict_do_update(
                    index_elements=["sync", "key"], set_={"fields": added.excluded.fields}
                ),
                kept,
            )
        if gone:
            mine = (FIELDS.c.sync == sync) & (FIELDS.c.key == sa.bindparam("k"))
            connection.execute(sa.delete(FIELDS).where(mine), gone)

    def remember(self, connection: sa.Connection, sync: str, entries: Sequence[Entry]) -> None:
        """What may be held besides, until an answer settles it."""
        told = [{"k": e.key} for e in entries if e.outcome == Outcome.ACCEPTED]
        if told and connection.scalar(sa.select(sa.exists().where(PERHAPS.c.sync == sync))):
            mine = (PERHAPS.c.sync == sync) & (PERHAPS.c.key == sa.bindparam("k"))
            connection.execute(sa.delete(PERHAPS).where(mine), told)
        doubted = [{"sync": sync, "key": e.key, "fields": e.perhaps} for e in entries if e.perhaps]
        if doubted:
            connection.execute(self.insert(PERHAPS).on_conflict_do_nothing(), doubted)

    def write_log(
        self, connection: sa.Connection, sync: str, run: str, at: datetime, entries: Iterable[Entry]
    ) -> None:
        lines = [
            {
                "run": run,
                "sync": sync,
                "key": e.key,
                "op": e.op,
                "outcome": e.outcome,
                "reason": e.reason,
                "fields": e.changed,
                "at": at,
            }
            for e in entries
        ]
        if lines:
            connection.execute(sa.insert(CHANGELOG), lines)

    def log(self, sync: str, run: str, entries: Sequence[Entry]) -> None:
        """Log lines for rows that were never sent: invalid ones, skipped ones."""
        with self.engine.begin() as connection:
            self.write_log(connection, sync, run, self.clock(), entries)

    def doubt(self, sync: str, run: str, keys: Sequence[str], how: str = UNSURE) -> None:
        """Mark held keys as UNSURE or MAYBE, so that the next plan sends them again."""
        if not keys:
            return  # nothing moved: a plan that was drawn stays fresh
        with self.engine.begin() as connection:
            self.touch(connection, sync)
            mine = (SNAPSHOT.c.sync == sync) & (SNAPSHOT.c.key == sa.bindparam("k"))
            marked = sa.update(SNAPSHOT).where(mine, SNAPSHOT.c.fingerprint.is_not(None))
            connection.execute(marked.values(fingerprint=how, run=run), [{"k": key} for key in keys])

    def begin_run(self, sync: str, run: str, plan: str) -> None:
        """A new line of `sync_runs`; an older one of this sync still running was interrupted."""
        with self.engine.begin() as connection:
            lost = sa.update(RUNS).where(RUNS.c.sync == sync, RUNS.c.status == "running")
            connection.execute(lost.values(status="interrupted"))
            connection.execute(
                sa.insert(RUNS).values(
                    run=run, sync=sync, plan=plan, started_at=self.clock(), status="running", counts="{}"
                )
            )

    def end_run(self, run: str, status: str, counts: Mapping[str, int], error: str | None) -> None:
        """How a run ended: its counts, and in words what stopped it."""
        with self.engine.begin() as connection:
            ended = sa.update(RUNS).where(RUNS.c.run == run)
            connection.execute(
                ended.values(
                    ended_at=self.clock(), status=status, counts=json.dumps(dict(counts)), error=error
                )
            )

    def read(self, query: sa.Select[Any]) -> list[sa.RowMapping]:
        """Rows of any of the ledger's tables, for people and pages."""
        with self.reading() as connection:
            return list(connection.execute(query).mappings())


def snapshot_row(sync: str, run: str, entry: Entry) -> dict[str, Any]:
    return {
        "sync": sync,
        "key": entry.key,
        "spelled": entry.spelled,
        "fingerprint": None if entry.keep else entry.fingerprint,
        "created": entry.created,
        "owed": entry.reason,
        "attempts": 1 if entry.reason else 0,
        "run": run,
    }
