"""A new project: `octo init` writes its folder and, for a tool it can reach, a sync with types filled in."""

from __future__ import annotations

import json
import os
import re
import shutil
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from octo_dagster import document
from octo_dagster.config import SHIPPED, Project
from octo_dagster.delivery.courier import Courier, Surroundings
from octo_dagster.destination import AnyDestination, Secret, Survey
from octo_dagster.errors import ConfigError
from octo_dagster.model import FieldType, Removal
from octo_dagster.score import Score
from octo_dagster.sync import Sync

INSTALLED = Path(__file__).parents[1]
READY = INSTALLED / "connectors" / "sources" / "examples"
"""Sources that only need their address and secrets: one file each."""
AUDIENCES = ("best_customers", "new_customers")
"""The audiences a new project starts with: they need nothing but orders."""
PROPOSED: Mapping[str, FieldType] = {
    "rfm_segment": FieldType.TEXT,
    "rfm_orders": FieldType.INTEGER,
    "rfm_revenue": FieldType.DECIMAL,
    "rfm_last_order_at": FieldType.DATE,
    "rfi_label": FieldType.TEXT,
    "passive_segment": FieldType.TEXT,
    "promophilia_class": FieldType.TEXT,
}
"""The profile's columns a first sync carries, and the type to send each as."""
FOUND_BY: Mapping[str, FieldType] = dict.fromkeys(
    ("phone", "first_name", "last_name", "postal_code"), FieldType.TEXT
)
"""Instead, where a tool holds no columns but finds people `by_values`."""

PROJECT = """\
# What holds for the whole project.
language: en                  # en · fr: of every label the scores write
shipped_scores: true          # every score Octo comes with; set one in scores/NAME.yaml
"""
WORKSPACE = """\
load_from:
  - python_module:
      module_name: octo_dagster.definitions
      location_name: octo
"""
IGNORED = ".octo/\n.env\n"


def project(folder: Path, sources: Sequence[str]) -> list[Path]:
    """Write what a project folder needs and does not have; the files written. ConfigError for a source that
    is not among the ready ones, before anything is written."""
    unknown = [name for name in sources if name not in ready()]
    if unknown:
        raise ConfigError(f"there is no ready source {unknown[0]!r}; there are {', '.join(ready())}")
    assets = folder / "assets"
    for name in ("sources", "syncs", "audiences", "scores", "scenarios", "priorities"):
        (assets / name).mkdir(parents=True, exist_ok=True)
    texts = {assets / "project.yaml": PROJECT, folder / "workspace.yaml": WORKSPACE}
    texts |= {folder / ".gitignore": IGNORED}
    copies = {assets / "sources" / f"{name}.yaml": READY / f"{name}.yaml" for name in sources}
    copies |= {
        assets / "audiences" / f"{n}.yaml": SHIPPED.parent / "audiences" / f"{n}.yaml" for n in AUDIENCES
    }
    written = [path for path in [*texts, *copies] if not path.exists()]
    for path in written:
        if path in texts:
            path.write_text(texts[path], encoding="utf-8")
        else:
            shutil.copyfile(copies[path], path)
    return written


def ready() -> list[str]:
    """The names of the ready sources."""
    return sorted(path.stem for path in READY.glob("*.yaml"))


def sync(
    home: Project,
    model: type[AnyDestination],
    said: Mapping[str, str],
    around: Surroundings,
) -> tuple[Path, Survey]:
    """Sign in to a tool, look at what is there, and write a sync for it: the file, and what was seen.

    `said`: setting → value, dots for what is inside another. ConfigError when a setting or secret is missing,
    or the file is there already; DeliveryError when the tool cannot be reached."""
    settings = filled(model, said)
    kind = settings["type"]
    path = home.root / "assets" / "syncs" / f"{kind}.yaml"
    if path.exists():
        raise ConfigError(f"{path}: is there already; nothing was written")
    try:
        destination = model.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(*(f"--set {line}" for line in document.mistakes(error))) from None
    if unset := [name for name in variables(settings) if not os.environ.get(name)]:
        raise ConfigError(*(f"environment variable {name} is not set" for name in unset))
    link = Courier(destination, around)
    try:
        account, seen = link.account(), link.survey()
    finally:
        link.close()
    columns = FOUND_BY if destination.by_values else proposed(home)
    text = written(settings, destination, seen, account, columns)
    try:
        Sync.model_validate({"name": kind, **yaml.safe_load(text)}, context={"destinations": {kind: model}})
    except ValidationError as error:
        raise ConfigError(*(f"{kind}: {line}" for line in document.mistakes(error))) from None
    path.write_text(text, encoding="utf-8")
    return path, seen


def variables(settings: Mapping[str, Any]) -> list[str]:
    """The environment variables that settings name."""
    return re.findall(r'\{"env": "(\w+)"\}', json.dumps(settings))


def filled(model: type[BaseModel], said: Mapping[str, str]) -> dict[str, Any]:
    """The settings a destination needs: those said, each secret's own variable, and no others.

    ConfigError with a line for each that has to be said."""
    known = nested(said)
    kind = str(get_args(model.model_fields["type"].annotation)[0])
    settings, lacking = chosen(model, known, kind.upper(), "")
    if lacking:
        raise ConfigError(*(f"{kind} needs --set {line}" for line in lacking))
    return {"type": kind, **{name: value for name, value in settings.items() if name != "type"}}


def nested(said: Mapping[str, str]) -> dict[str, Any]:
    """`auth.client_id: X` → `auth: {client_id: X}`; values as YAML reads them, but a number as it was said:
    that of an account is a text, and may begin with a zero."""
    made: dict[str, Any] = {}
    for name, text in said.items():
        *above, last = name.split(".")
        inner = made
        for part in above:
            inner = inner.setdefault(part, {})
        found = yaml.safe_load(text)
        inner[last] = found if isinstance(found, str | bool | list | dict) else text
    return made


def chosen(
    model: type[BaseModel], known: Mapping[str, Any], prefix: str, inside: str
) -> tuple[dict[str, Any], list[str]]:
    """A model's settings and what is lacking. A secret not said is `PREFIX_NAME` in the environment."""
    made: dict[str, Any] = dict(known)
    lacking: list[str] = []
    for name, one in model.model_fields.items():
        kind = fitting(one, known.get(name))
        if kind is Secret and (one.is_required() or name in known):
            made[name] = {"env": str(known.get(name, f"{prefix}_{name.upper()}"))}
        elif kind is not None and kind is not Secret and (one.is_required() or name in known):
            made[name], more = chosen(kind, known.get(name, {}), prefix, f"{inside}{name}.")
            lacking += more
        elif isinstance(known.get(name), str) and str not in (one.annotation, *get_args(one.annotation)):
            made[name] = yaml.safe_load(known[name])
        elif one.is_required() and name not in known and name != "type":
            lacking.append(f"{inside}{name}=…")
    return made, lacking


def fitting(one: FieldInfo, said: Any) -> type[BaseModel] | None:
    """The model a setting is made of; where there are several ways, the first that knows what is said. None
    for a plain value."""
    ways = list(models(one.annotation))
    names = set(said) if isinstance(said, Mapping) else set()
    return next((way for way in ways if names <= way.model_fields.keys()), ways[0] if ways else None)


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (typing.Union, types.UnionType, typing.Annotated):
        for part in get_args(annotation):
            yield from models(part)


def proposed(home: Project) -> dict[str, FieldType]:
    """Of `PROPOSED`, the columns that some score of the project makes, worked out already or not."""
    there = {column.name for score in known_scores(home) for column in score.columns}
    return {name: kind for name, kind in PROPOSED.items() if name in there}


def known_scores(home: Project) -> list[Score]:
    """Those that can be worked out; all that ship while there is no source yet."""
    return list(home.scores.values()) if home.fed else home.shipped()


def written(
    settings: Mapping[str, Any],
    destination: AnyDestination,
    seen: Survey,
    account: str,
    columns: Mapping[str, FieldType],
) -> str:
    """The sync's file. A field that is there under nearly the column's name is used, else a new one named."""
    key = seen.keys[0] if seen.keys else destination.spelling("customer_id")
    by_email = "mail" in key.lower()
    origin = "email" if by_email else "customer_id"
    lines = [
        f"# For the account {account}. Try it: octo plan {settings['type']},",
        f"# then octo deliver {settings['type']} --limit 5",
        "reads: customer_profile",
        f"destination: {flow(dict(settings))}",
        f"mode: {'mirror' if gentle(destination) else 'upsert'}",
        *(
            ["consent: email_consent    # who did not agree is not sent, and is taken back"]
            if by_email
            else []
        ),
        f"key: {flow({'from': origin, 'to': key})}",
        "fields:",
    ]
    for name, template in seen.needs.items():
        needed = {"template": template, "to": name, "nulls": "default", "default": "-", "create_only": True}
        lines.append(f"  - {flow(needed)}    # nobody can be made without")
    for column, kind in columns.items():
        new = destination.spelling(column)
        there = alike(column, kind, seen) or alike(new, kind, seen)
        mapping = {"from": column, "to": there or new, "type": kind.value}
        about = "there already" if there else "to be made"
        lines.append(f"  - {flow(mapping | {'nulls': 'clear'})}    # {about}")
    return "\n".join(lines) + "\n"


def gentle(destination: AnyDestination) -> bool:
    """Whether who leaves can be taken back without a record being deleted."""
    return bool({Removal.LEAVE, Removal.CLEAR} & destination.removals)


def flow(value: Mapping[str, Any]) -> str:
    """A mapping as one line of YAML."""
    return yaml.safe_dump(dict(value), default_flow_style=True, sort_keys=False, width=10_000).strip()


def alike(column: str, kind: FieldType, seen: Survey) -> str | None:
    """The account's field of this name, but for case and punctuation, if it holds the type."""
    holds = {kind, FieldType.DECIMAL} if kind is FieldType.INTEGER else {kind}
    fit = [name for name, held in seen.fields.items() if held in holds and plain(name) == plain(column)]
    return fit[0] if fit else None


def plain(name: str) -> str:
    """Letters and digits only, without what tools put around a name of one's own."""
    bare = name.lower().removesuffix("__c").removeprefix("octo_")
    return "".join(letter for letter in bare if letter.isalnum())
