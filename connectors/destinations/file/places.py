"""Where files lie: what every place can do, and a folder of this machine.

A reader never sees half a file: it is written whole under another name and then takes the file's place.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import requests
from pydantic import BaseModel, ConfigDict, Field, field_validator

from octo_dagster.destination import sandbox_of
from octo_dagster.errors import Fatal, Retryable, Unanswered

PRIVATE = 0o600
"""Who may read a new file: Octo's own user. A file that is there keeps what a person allowed."""
STALE_SECONDS = 3_600
"""So old, an unfinished file is nobody's any more."""
FORGOTTEN_SECONDS = 7 * 86_400
"""So old, a whole file that was not published is: a delivery that was interrupted would have asked for it."""
FILES = "https://files.octo.invalid"
"""A host nobody has (RFC 6761): in the sandbox its twin is asked there for a folder of its own."""

Held = tuple[bytes, str]
"""A file's content and its mark: whatever changes when somebody writes to it."""


class Place(ABC):
    """A folder somewhere. Its errors say whether a write was certainly not done."""

    @abstractmethod
    def mark(self, name: str) -> str | None:
        """The mark of the file now; None when there is none."""

    @abstractmethod
    def get(self, name: str) -> Held | None:
        """The file now; None when there is none."""

    @abstractmethod
    def put(self, name: str, content: bytes, mark: str | None) -> None:
        """Write the file whole over the one with this mark (None: there was none). Retryable, with nothing
        written, when somebody wrote to it meanwhile."""

    @abstractmethod
    def stage(self, name: str, content: bytes) -> None:
        """Write a file whole under a name that nobody picks up."""

    @abstractmethod
    def publish(self, name: str) -> None:
        """Give a staged file its name. Does nothing when it has it already, or had it and was picked up."""


class To(BaseModel, ABC):
    """A place as YAML says it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def leads(self) -> Mapping[str, str]:
        """Host → twin, of every host it may call."""
        return {FILES: "file"}

    @property
    @abstractmethod
    def account(self) -> str:
        """Which place of whose this is."""

    @abstractmethod
    def open(self, http: requests.Session) -> Place:
        """The place itself, whatever it is."""

    def place(self, http: requests.Session) -> Place:
        """The place; in the sandbox, a folder of the sandbox's own, so that nothing real is written to."""
        if sandbox_of(http) is None:
            return self.open(http)
        reply = http.get(f"{FILES}/_folder/{re.sub(r'[^a-z0-9]+', '-', self.account.lower()).strip('-')}")
        return Folder(Path(reply.json()["folder"]))


def part(name: str) -> str:
    """A file's name while it is not all there: hidden, and not ending as what people pick up does."""
    return f".{name}.part"


OPENED = re.compile(r"-\d{4}-\d\d-\d\d-\d{6}-[0-9a-f]{8}(?=\.\w+$)")
"""What sets one file of changes apart from the next: `calls-2026-03-01-120000-0123abcd.csv`."""


def opened(name: str, when: datetime, batch: str) -> str:
    """The name of a batch's own file of changes."""
    stem, _, ending = name.rpartition(".")
    return f"{stem}-{when:%Y-%m-%d-%H%M%S}-{batch[:8]}.{ending}"


def patience(name: str, left: str) -> float:
    """How many seconds a hidden file may lie beside `name`, which Octo is about to write. For ever, when it
    is not of an earlier write of that file, nor a file of changes of the same sync."""
    if re.fullmatch(re.escape(f".{name}.") + r"[0-9a-f]{8}\.part", left):
        return STALE_SECONDS
    whole = left.removeprefix(".").removesuffix(".part")
    same = OPENED.search(whole) and OPENED.sub("", whole) == OPENED.sub("", name)
    return FORGOTTEN_SECONDS if same and left == part(whole) else math.inf


@dataclass(frozen=True, slots=True)
class Folder(Place):
    """A folder of this machine, or one mounted on it."""

    path: Path

    def mark(self, name: str) -> str | None:
        with local(self.path):
            try:
                held = (self.path / name).stat()
            except FileNotFoundError:
                self.there()
                return None
            return f"{held.st_ino} {held.st_size} {held.st_mtime_ns}"

    def get(self, name: str) -> Held | None:
        mark = self.mark(name)
        if mark is None:
            return None
        with local(self.path):
            return (self.path / name).read_bytes(), mark

    def put(self, name: str, content: bytes, mark: str | None) -> None:
        temporary = part(f"{name}.{secrets.token_hex(4)}")
        self.sweep(name)
        try:
            self.stage_as(temporary, content, self.permissions(name))
            if self.mark(name) != mark:
                raise Retryable(f"file: {name} was written to by somebody else in this moment")
            with local(self.path):
                (self.path / temporary).replace(self.path / name)
        finally:
            (self.path / temporary).unlink(missing_ok=True)
        self.settled()

    def stage(self, name: str, content: bytes) -> None:
        self.sweep(name)
        self.stage_as(part(name), content, PRIVATE)

    def publish(self, name: str) -> None:
        with local(self.path):
            self.there()
            try:
                (self.path / part(name)).rename(self.path / name)
            except FileNotFoundError:
                return
        self.settled()

    def stage_as(self, name: str, content: bytes, permissions: int) -> None:
        """Write a file whole, on disk before this returns."""
        with local(self.path):
            number = os.open(self.path / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, permissions)
            with os.fdopen(number, "wb") as file:
                os.fchmod(number, permissions)
                file.write(content)
                file.flush()
                os.fsync(number)

    def sweep(self, name: str) -> None:
        """Take away what a delivery that was killed left behind: it holds personal data."""
        with local(self.path):
            for left in self.path.glob(".*.part"):
                with suppress(FileNotFoundError):  # another delivery swept too
                    if time.time() - left.stat().st_mtime > patience(name, left.name):
                        left.unlink()

    def permissions(self, name: str) -> int:
        with local(self.path):
            path = self.path / name
            return path.stat().st_mode & 0o777 if path.exists() else PRIVATE

    def there(self) -> None:
        """A folder that is missing may be one that is not mounted; it is never made."""
        if not self.path.is_dir():
            raise Fatal(f"file: there is no folder {self.path}")

    def settled(self) -> None:
        """Have the new name on disk."""
        try:
            number = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)
        except OSError as error:
            raise Unanswered(f"file: {self.path}: {error.strerror}") from error


@contextmanager
def local(path: Path) -> Iterator[None]:
    """What the system says against it, for a person to act upon; the file is as it was."""
    try:
        yield
    except OSError as error:
        raise Fatal(f"file: {path}: {error.strerror}; nothing was written") from error


class ToFolder(To):
    """`{folder: /srv/exports}`."""

    folder: str = Field(min_length=1)

    @field_validator("folder")
    @classmethod
    def whole(cls, value: str) -> str:
        if not Path(value).is_absolute():
            raise ValueError("must be the whole path, from /")
        return value

    @property
    def account(self) -> str:
        return self.folder

    def open(self, http: requests.Session) -> Place:
        return Folder(Path(self.folder))
