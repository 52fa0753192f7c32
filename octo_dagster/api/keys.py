"""Who may ask the read API what: keys, kept as hashes, each for some tables and columns."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from octo_dagster.errors import ConfigError

FILE = "api_keys.json"
EVERYTHING = "*"
PER_SECOND = 1_000
Pages = Literal["look", "act"]
"""Of the pages: look at everything; or also start runs, approve plans and write files."""


@dataclass(frozen=True, slots=True)
class Key:
    """One caller. The key itself is shown once, when it is made, and kept nowhere."""

    name: str
    digest: str
    """SHA-256 of the key, which is 32 random bytes and so needs no salt."""
    tables: Mapping[str, str | list[str]] = field(default_factory=dict)
    """Table → the columns it may see, or `*`."""
    per_second: int = PER_SECOND
    """Requests it may make a second, on average; twice as many in a burst."""
    made_at: str = ""
    revoked_at: str | None = None
    pages: Pages | None = None
    """Whether a person signs in to the pages with it, and what he may do there; they show every column."""

    def sees(self, table: str) -> bool:
        """Whether it may read this table at all."""
        return table in self.tables

    def columns(self, table: str, there: list[str]) -> list[str]:
        """Of the columns there are, those it may see, in their order."""
        may = self.tables.get(table, [])
        return there if may == EVERYTHING else [name for name in there if name in may]


class Keys:
    """The keys of one project, in one file for its user only. A change is seen by the next request."""

    def __init__(self, home: Path) -> None:
        self.path = home / FILE
        self.read_at: tuple[int, int] | None = None
        self.held: dict[str, Key] = {}

    def who(self, secret: str) -> Key | None:
        """Whose key this is; None for one nobody has, or that was revoked."""
        key = self.now().get(hashlib.sha256(secret.encode()).hexdigest())
        return key if key is not None and key.revoked_at is None else None

    def now(self) -> dict[str, Key]:
        """Digest → key, as the file says now."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return {}
        mark = (stat.st_ino, stat.st_mtime_ns)
        if mark != self.read_at:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            self.held = {one["digest"]: Key(**one) for one in told}
            self.read_at = mark
        return self.held

    def all(self) -> list[Key]:
        """Every key there is or was, oldest first."""
        return list(self.now().values())

    def add(
        self,
        name: str,
        tables: Mapping[str, str | list[str]],
        per_second: int = PER_SECOND,
        pages: Pages | None = None,
    ) -> str:
        """Make a key; the key itself, which is never told again. ConfigError when the name is taken."""
        secret = f"octo_{secrets.token_urlsafe(32)}"
        digest = hashlib.sha256(secret.encode()).hexdigest()
        made = Key(name, digest, dict(tables), per_second, stamp(), pages=pages)
        with self.lock():
            if any(one.name == name for one in self.all()):
                raise ConfigError(f"there is a key {name!r} already; names are not used again")
            self.write([*self.all(), made])
        return secret

    def revoke(self, name: str) -> None:
        """End a key. ConfigError, naming those there are, for one there is not."""
        with self.lock():
            known = [one.name for one in self.all()]
            if name not in known:
                raise ConfigError(f"there is no key {name!r}; there are {', '.join(known) or 'none'}")
            self.write([ended(one) if one.name == name else one for one in self.all()])

    def write(self, keys: list[Key]) -> None:
        draft = self.path.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps([asdict(key) for key in keys], indent=2), encoding="utf-8")
        draft.replace(self.path)

    def lock(self) -> FileLock:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(f"{self.path}.lock")


def ended(key: Key) -> Key:
    return key if key.revoked_at else replace(key, revoked_at=stamp())


def stamp() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def shown(key: Key) -> dict[str, Any]:
    """A key as people may see it: without its hash."""
    return {name: value for name, value in asdict(key).items() if name != "digest"}
