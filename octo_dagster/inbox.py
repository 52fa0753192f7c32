"""What others bring us by themselves, on disk before they are thanked: posted rows, and knocks at the door.

`OCTO_HOME/inbox.sqlite` (WAL, every commit on disk). The read API writes it, from any number of processes;
push sources and sensors read it, from others. Three things are in it:

- **Rows**, in posts. A post has a number that only grows, given under the writer's lock: whoever has read up
  to a number has missed nothing before it. A push source's cursor is that number (`reached`).
- **Signatures** of webhooks, by the digest of what was signed: what was signed once is taken once, whoever
  brings it again and under whatever name. They are never forgotten: some sixty bytes each, and no one's data.
- **Wakes**: source → how many times something knocked for it: a webhook, or a post of rows. A sensor watches
  `wakes()`, one look-up of some twenty microseconds for all sources together: a number that differs from the
  last one seen means "pull this source by its own cursor now". What a knock was about is not kept: a hook
  that comes late, twice or never costs nothing, since the cursor catches everything.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "inbox.sqlite"
PATIENCE = 30.0
"""Seconds a writer waits for its turn."""
SHAPE = """
create table if not exists posts (
    number integer primary key autoincrement, source text not null, stream text not null, at text not null,
    sender text not null, once text, digest text not null, answer text not null);
create unique index if not exists posts_once on posts (sender, source, stream, once) where once is not null;
create table if not exists rows (
    source text not null, stream text not null, number integer not null, place integer not null,
    told text, fault text, primary key (source, stream, number, place)) without rowid;
create table if not exists wakes (source text primary key, times integer not null, at text not null);
create table if not exists signatures (
    source text not null, digest text not null, number integer not null,
    primary key (source, digest)) without rowid;
"""

Line = tuple[str | None, str | None]
"""A row as JSON and no fault, or no row and why it is none."""


class Reused(Exception):
    """An idempotency key came again with something else."""


@dataclass(frozen=True, slots=True)
class Post:
    """Rows that came together, for one stream of one source."""

    source: str
    stream: str
    sender: str
    """Who sent them: a key's name, or `hook`."""
    rows: Sequence[Line]
    body: bytes
    """As it came: a repeated idempotency key must bring the same."""
    once: str | None = None
    """The sender's own name for this post; None when it gave none."""
    signed: bytes | None = None
    """Of a webhook, all that its signature covers; None for a post that has none."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a post. `again`: it was here already, and nothing was written."""

    number: int
    answer: str
    again: bool


@dataclass(frozen=True, slots=True)
class Arrived:
    """A row in the inbox."""

    number: int
    place: int
    told: str | None
    fault: str | None


class Inbox:
    """One project's inbox. Safe to share between threads, and to carry over a fork."""

    def __init__(self, home: Path) -> None:
        self.path = home.absolute() / FILE
        self.turns: tuple[int, threading.RLock] = (os.getpid(), threading.RLock())
        self.opened: tuple[int, sqlite3.Connection] | None = None
        self.left: list[sqlite3.Connection] = []
        """A parent process's connections: SQLite forbids even to close them here."""

    @property
    def lock(self) -> threading.RLock:
        """One thread at a time. A fork has a lock of its own: the parent's may be held by a thread that is
        not here to let go of it."""
        if self.turns[0] != os.getpid():
            self.turns = (os.getpid(), threading.RLock())
        return self.turns[1]

    def keep(self, post: Post, answer: str) -> Kept:
        """Put a post on disk, with what the sender is answered; when this returns it is there. A post whose
        `once` was here, or what was signed, is answered as it was then. Reused when its rows were others."""
        digest = hashlib.sha256(post.body).hexdigest()
        with self.writing() as inbox:
            if (number := told_before(inbox, post)) is not None:
                return Kept(number, answer, again=True)
            if post.once is not None and (known := before(inbox, post)):
                if known[2] != digest:
                    raise Reused(post.once)
                return Kept(known[0], known[1], again=True)
            of = (post.source, post.stream)
            made = inbox.execute(
                "insert into posts (source, stream, at, sender, once, digest, answer) values (?,?,?,?,?,?,?)",
                (*of, now(), post.sender, post.once, digest, answer),
            )
            number = int(made.lastrowid or 0)
            rows = [(*of, number, place, *line) for place, line in enumerate(post.rows, start=1)]
            inbox.executemany("insert into rows values (?,?,?,?,?,?)", rows)
            remember(inbox, post, number)
            knock(inbox, post.source)
        return Kept(number, answer, again=False)

    def wake(self, source: str) -> None:
        """Say that there is something new at a source. On disk when this returns."""
        with self.writing() as inbox:
            knock(inbox, source)

    def wakes(self) -> Mapping[str, int]:
        """Source → how many times it was knocked for; empty before anything ever came."""
        return dict(self.read("select source, times from wakes"))

    def reached(self, source: str, stream: str) -> int | None:
        """The number of the newest post that brought rows; None before any did."""
        found = self.read("select max(number) from rows where source = ? and stream = ?", (source, stream))
        return found[0][0] if found else None

    def rows(self, source: str, stream: str, after: int, upto: int) -> Iterator[Arrived]:
        """The rows of the posts after one number and up to another, in order, a thousand at a time."""
        query = """select number, place, told, fault from rows where source = ? and stream = ?
                   and (number, place) > (?, ?) and number <= ? order by number, place limit 1000"""
        at = (after, LAST)
        while page := self.read(query, (source, stream, *at, upto)):
            yield from (Arrived(*row) for row in page)
            at = page[-1][:2]

    def forget(self, source: str, stream: str, upto: int, before: datetime) -> int:
        """Take out the posts of a stream up to a number that came before a moment (UTC), and their rows; how
        many posts. What was signed stays known."""
        limit, gone = before.astimezone(UTC).isoformat(timespec="milliseconds"), 0
        old = """select number from posts where source = ? and stream = ? and number <= ? and at < ?
                 order by number limit 1000"""
        while found := self.read(old, (source, stream, upto, limit)):
            with self.writing() as inbox:  # not all at once: others wait for the pen
                numbers = [(source, stream, number) for (number,) in found]
                inbox.executemany("delete from rows where (source, stream, number) = (?, ?, ?)", numbers)
                inbox.executemany("delete from posts where (source, stream, number) = (?, ?, ?)", numbers)
            gone += len(found)
        return gone

    def read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self.lock:
            return self.connection().execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that has the only pen from its first word."""
        with self.lock:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            connection = self.connection()
            connection.execute("begin immediate")
            try:
                yield connection
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:  # a full disk ends it by itself, at times
                    connection.execute("rollback")
                raise

    def connection(self) -> sqlite3.Connection:
        if self.opened is None or self.opened[0] != os.getpid():
            if self.opened is not None:
                self.left.append(self.opened[1])
            self.opened = (os.getpid(), connected(self.path))
        return self.opened[1]

    def close(self) -> None:
        """Let go of the file."""
        with self.lock:
            if self.opened is not None and self.opened[0] == os.getpid():
                self.opened[1].close()
            self.opened = None


LAST = 2**62
"""Past the place of any row."""


def connected(path: Path) -> sqlite3.Connection:
    """The file, for its user only, every commit on disk."""
    path.touch(mode=0o600, exist_ok=True)  # customers' data
    made = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    made.execute("pragma journal_mode = wal")
    made.execute("pragma synchronous = full")
    made.execute("pragma secure_delete = on")  # what is taken out is not left lying in the file
    made.executescript(SHAPE)
    return made


def before(inbox: sqlite3.Connection, post: Post) -> tuple[int, str, str] | None:
    """Number, answer and digest of the post of the same name by the same sender."""
    query = "select number, answer, digest from posts where (sender, source, stream, once) = (?, ?, ?, ?)"
    found: tuple[int, str, str] | None = inbox.execute(
        query, (post.sender, post.source, post.stream, post.once)
    ).fetchone()
    return found


def told_before(inbox: sqlite3.Connection, post: Post) -> int | None:
    """The number of the post that brought what was signed; None for a post that is new, or not signed."""
    if post.signed is None:
        return None
    query = "select number from signatures where source = ? and digest = ?"
    found = inbox.execute(query, (post.source, hashlib.sha256(post.signed).hexdigest())).fetchone()
    return found[0] if found else None


def remember(inbox: sqlite3.Connection, post: Post, number: int) -> None:
    if post.signed is not None:
        digest = hashlib.sha256(post.signed).hexdigest()
        inbox.execute("insert into signatures values (?, ?, ?)", (post.source, digest, number))


def knock(inbox: sqlite3.Connection, source: str) -> None:
    inbox.execute(
        """insert into wakes values (?, 1, ?)
           on conflict (source) do update set times = times + 1, at = excluded.at""",
        (source, now()),
    )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
