"""An audience's YAML file, as the editor reads and writes it: comments stay, nobody's work is lost."""

from __future__ import annotations

import hashlib
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from octo_dagster.audiences.roster import Audience, Roster, roster
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError

NEW = "new"
"""The mark of a file that is not there yet."""
NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
KEYS = ("description", "rule", "include", "exclude")


class Changed(ConfigError):
    """The file is not as the editor read it: somebody else changed it meanwhile."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An audience as it is being written."""

    name: str
    description: str
    rule: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    mark: str
    """Of the file it was read from: it is only written over that."""

    @property
    def told(self) -> dict[str, Any]:
        """What its file is to say; nothing of what is empty."""
        rule = re.sub(r"\s*[\r\n]+\s*", " ", self.rule.strip())
        parts = (" ".join(self.description.split()), rule, [*self.include], [*self.exclude])
        return {key: value for key, value in zip(KEYS, parts, strict=True) if value}

    def audience(self) -> Audience:
        """The audience. ConfigError says what is wrong with its name, or that it means nobody."""
        if not NAME.fullmatch(self.name):
            raise ConfigError("name: small letters, digits and _, a letter first, at most 60")
        if "rule" not in self.told and not self.include:
            raise ConfigError("rule: give a rule, or audiences to include")
        return Audience.model_validate({"name": self.name, **self.told})


def path(project: Project, name: str) -> Path:
    """Where an audience's file is. ConfigError for a name that is none."""
    if not NAME.fullmatch(name):
        raise ConfigError("name: small letters, digits and _, a letter first, at most 60")
    return project.root / "assets" / "audiences" / f"{name}.yaml"


def read(project: Project, name: str) -> Draft | None:
    """The file as a draft; None when there is none."""
    if name not in project.audiences:
        return None
    held = project.audiences[name]
    mark = mark_of(project.root / "assets" / "audiences" / f"{name}.yaml")
    return Draft(name, held.description, held.rule or "", held.include, held.exclude, mark)


def mark_of(place: Path) -> str:
    """Changes with every change of the file."""
    return hashlib.sha256(place.read_bytes()).hexdigest() if place.exists() else NEW


def among(project: Project, draft: Draft) -> Roster:
    """The project's audiences with this one as drafted. ConfigError for unknown names and circles."""
    made = draft.audience()
    return roster({**project.audiences, made.name: made}, project.priorities)


def write(project: Project, draft: Draft) -> None:
    """Put the draft in its file's place, whole or not at all. Changed when the file is not the one that was
    read; the caller has made sure that its rule fits the profile."""
    among(project, draft)
    place = path(project, draft.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    project.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(project.home / "audiences.lock"):
        if mark_of(place) != draft.mark:
            raise Changed(f"{place.name} was changed by somebody else meanwhile: open it again")
        before = place.read_text(encoding="utf-8") if place.exists() else ""
        put(place, text(before, draft.told))


def put(place: Path, content: str) -> None:
    """Write beside it, then rename; rights as they were."""
    draft = place.with_name(f".{place.name}-{uuid.uuid4().hex}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if place.exists():
            draft.chmod(place.stat().st_mode & 0o777)
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def text(before: str, told: Mapping[str, Any]) -> str:
    """The file's new text: what is said anew in the place of what was said, everything else as it stood.

    Where that would say anything else than it should, the file is written anew, without its comments."""
    made = edited(before, told)
    try:
        good = yaml.safe_load(made) == dict(told)
    except yaml.YAMLError:
        good = False
    return made if good else "".join(spelled(key, value) for key, value in told.items())


def edited(before: str, told: Mapping[str, Any]) -> str:
    """Values replaced where they stand; new keys at the end; keys that are said no more taken out."""
    node = yaml.compose(before)
    made = before
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    for key, value in reversed(pairs):
        end = ending(before, value)
        if key.value in told:
            said = spelled(key.value, told[key.value]).rstrip("\n")
            made = made[: key.start_mark.index] + said + made[end:]
        else:
            line = made.find("\n", end)
            made = made[: key.start_mark.index] + (made[line + 1 :] if line >= 0 else "")
    there = {key.value for key, _ in pairs}
    new = "".join(spelled(key, value) for key, value in told.items() if key not in there)
    return made + ("\n" if made and not made.endswith("\n") and new else "") + new


def ending(before: str, node: yaml.Node) -> int:
    """Where a value ends, comments and empty lines below it not counted: YAML counts them to a block."""
    whole = before[node.start_mark.index : node.end_mark.index]
    kept = whole.splitlines(keepends=True)
    while len(kept) > 1 and (not kept[-1].strip() or kept[-1].lstrip().startswith("#")):
        kept.pop()
    return node.start_mark.index + len("".join(kept).rstrip())


def spelled(key: str, value: Any) -> str:
    """One key and its value as a line of YAML."""
    flow = isinstance(value, list)
    said = yaml.safe_dump(value, allow_unicode=True, width=10_000, default_flow_style=flow or None)
    return f"{key}: {said.strip().removesuffix('...').strip()}\n"
