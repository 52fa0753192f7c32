"""Who has signed in to the pages: sessions, kept as hashes, each ending by itself and with its key."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from octo_dagster.api.keys import Key, Keys

FILE = "pages.sqlite"
LASTS = 12 * 3600
"""Seconds until one must sign in again."""
TERMINAL = "terminal"
"""Who signed in by the link that `octo serve` printed. He may act: the machine is his."""
TRIES, WITHIN = 10, 60.0
"""Wrong keys one address may try in so many seconds."""
SHAPE = """create table if not exists sessions
           (digest text primary key, key text not null, name text not null, expires_at real not null)"""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    name: str
    may_act: bool
    """Whether he may do more than look: start runs, approve plans, write files."""


class Sessions:
    """The sessions of one project, in a file for its user only; they outlive the server, its links do not."""

    def __init__(self, home: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = home / FILE, clock
        self.keys = Keys(home)
        self.links: set[str] = set()
        self.wrong: dict[str, deque[float]] = {}

    def link(self) -> str:
        """A word that signs the person at the terminal in, once."""
        word = secrets.token_urlsafe(32)
        self.links.add(digest(word))
        return word

    def by_link(self, word: str) -> str | None:
        """The session the word opens; None for a word that is unknown or was used."""
        try:
            self.links.remove(digest(word))  # looking first would let two at once find it
        except KeyError:
            return None
        return self.begin(TERMINAL, TERMINAL)

    def by_key(self, secret: str) -> str | None:
        """The session a key opens; None for one that is unknown, revoked or not for pages."""
        key = self.keys.who(secret)
        return self.begin(key.digest, key.name) if key is not None and key.pages else None

    def begin(self, key: str, name: str) -> str:
        token, now = secrets.token_urlsafe(32), self.clock()
        with self.opened() as file:
            file.execute("delete from sessions where expires_at < ?", (now,))
            file.execute("insert into sessions values (?, ?, ?, ?)", (digest(token), key, name, now + LASTS))
        return token

    def who(self, token: str) -> Visitor | None:
        """Whose session this is; None for one that is unknown, over, or whose key was revoked."""
        if not token or not self.path.exists():
            return None
        with self.opened() as file:
            query = "select key, name from sessions where digest = ? and expires_at >= ?"
            found = file.execute(query, (digest(token), self.clock())).fetchone()
        if found is None or found[0] == TERMINAL:
            return Visitor(TERMINAL, may_act=True) if found else None
        key = self.held(found[0])
        return Visitor(key.name, key.pages == "act") if key is not None and key.pages else None

    def held(self, told: str) -> Key | None:
        key = self.keys.now().get(told)
        return key if key is not None and key.revoked_at is None else None

    def end(self, token: str) -> None:
        """Sign out."""
        with self.opened() as file:
            file.execute("delete from sessions where digest = ?", (digest(token),))

    def waits(self, address: str) -> bool:
        """Whether this address tried too many wrong keys just now."""
        return len(self.tries(address)) >= TRIES

    def missed(self, address: str) -> None:
        """Remember a wrong key."""
        self.tries(address).append(self.clock())

    def tries(self, address: str) -> deque[float]:
        if len(self.wrong) > 10_000:
            self.wrong.clear()
        tried = self.wrong.setdefault(address, deque(maxlen=TRIES))
        while tried and tried[0] < self.clock() - WITHIN:
            tried.popleft()
        return tried

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        """The file, made if need be, committed at the end."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data
        self.path.touch(mode=0o600)
        file = sqlite3.connect(self.path)
        try:
            file.execute(SHAPE)
            with file:
                yield file
        finally:
            file.close()


def digest(word: str) -> str:
    """SHA-256; words are 32 random bytes and need no salt."""
    return hashlib.sha256(word.encode()).hexdigest()
