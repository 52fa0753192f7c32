"""A project: its YAML files as types, and where its state is kept."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field

from connectors import registry
from octo_dagster import document
from octo_dagster.audiences.roster import Audience, Priority, Roster, roster, unknown
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import Intake
from octo_dagster.delivery.ledger import Ledger
from octo_dagster.delivery.mapping import compiled
from octo_dagster.delivery.plan import Folder
from octo_dagster.errors import ConfigError
from octo_dagster.hours import Cron, Zone
from octo_dagster.scenarios.followed import scenario_state
from octo_dagster.scenarios.scenario import Scenario
from octo_dagster.scenarios.scenario import check as check_scenarios
from octo_dagster.score import Score
from octo_dagster.scoring import library
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.scoring.profile import origins
from octo_dagster.scoring.rules import where_sql
from octo_dagster.scoring.settings import FAR, fresh_within, hours_of
from octo_dagster.scoring.written.files import written_scores
from octo_dagster.serving.publish import Published, publish
from octo_dagster.serving.touch import touch
from octo_dagster.sync import Sync
from octo_dagster.warehouse import Warehouse
from octo_dagster.words import Language

T = TypeVar("T")

SHIPPED = Path(__file__).parents[1] / "assets" / "scores"
"""The scores Octo comes with."""


class Settings(BaseModel):
    """`assets/project.yaml`: what holds for every score and page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "project"
    language: Language = "en"
    """Of every label: `en` or `fr`."""
    nightly: Cron = "0 2 * * *"
    """When everything is worked out anew and delivered. After midnight, when a day is whole."""
    timezone: Zone = "UTC"
    """In which `nightly` and every `schedule` are meant."""
    keep_log: int = Field(default=400, ge=1)
    """Days the tables of the log (`sync_runs`, `sync_changelog`, `step_runs`) go back."""
    serve: bool = False
    """Whether every run publishes the tables to the read API (`octo serve`) at its end."""
    shipped_scores: bool = False
    """Whether the scores Octo comes with are worked out beside the project's own; one of the same name is
    the project's."""


@dataclass(frozen=True)
class Project:
    """Everything there is to a project: `root/assets/*.yaml` says what, `home` holds the state."""

    root: Path
    home: Path

    @classmethod
    def here(cls) -> Project:
        """The project of this process: OCTO_PROJECT (default: the working folder, or where Octo is
        installed from) and OCTO_HOME (default: `.octo` in it)."""
        root = Path(os.environ.get("OCTO_PROJECT") or found())
        return cls(root, Path(os.environ.get("OCTO_HOME") or root / ".octo"))

    @cached_property
    def syncs(self) -> Mapping[str, Sync]:
        """Name → sync, for every file of `assets/syncs/`."""
        context = {"destinations": registry.destinations()}
        return self.all("syncs", lambda path: document.load(path, Sync, context))

    @cached_property
    def intakes(self) -> Mapping[str, Intake]:
        """Name → source, for every file of `assets/sources/`."""
        context = {"sources": registry.sources(), "home": self.home}
        return self.all("sources", lambda path: document.load(path, Intake, context))

    @cached_property
    def audiences(self) -> Mapping[str, Audience]:
        """Name → audience, for every file of `assets/audiences/`."""
        return self.all("audiences", lambda path: document.load(path, Audience))

    @cached_property
    def priorities(self) -> Mapping[str, Priority]:
        """Name → priority list, for every file of `assets/priorities/`."""
        return self.all("priorities", lambda path: document.load(path, Priority))

    @cached_property
    def roster(self) -> Roster:
        """The audiences and priority lists, checked against one another."""
        return roster(self.audiences, self.priorities)

    @cached_property
    def settings(self) -> Settings:
        """What holds for the whole project: `assets/project.yaml`, or the defaults without that file."""
        path = self.root / "assets" / "project.yaml"
        return document.load(path, Settings) if path.exists() else Settings()

    @cached_property
    def library(self) -> library.Library:
        """The scores of `assets/scores/`: those that can be worked out from what the sources feed, set as
        their YAML files say and each after those it reads; and those that cannot, with what they lack."""
        folder = self.root / "assets" / "scores"
        shipped = scores_in(SHIPPED) if self.settings.shipped_scores else {}
        scores, shared = {**shipped, **scores_in(folder)}, {"language": self.settings.language}
        known = library.arranged(scores, folder, self.fed, shared)
        own = written_scores(folder, {**scores, **known.scores}, self.carried)
        return library.arranged({**scores, **own}, folder, self.fed, shared) if own else known

    def shipped(self) -> list[Score]:
        """The scores Octo comes with, whether or not this project has what they read."""
        return list(scores_in(SHIPPED).values())

    @property
    def scores(self) -> Mapping[str, Score]:
        """Name → score, of those that can be worked out, each after those it reads."""
        return self.library.scores

    @cached_property
    def hours(self) -> Mapping[str, str]:
        """Score → the cron line of its file's `schedule`, of those that have hours of their own. ConfigError
        for one that is none."""
        folder = self.root / "assets" / "scores"
        told = {name: hours_of(folder / f"{name}.yaml") for name in self.scores}
        return {name: line for name, line in told.items() if line}

    @cached_property
    def windows(self) -> Mapping[str, timedelta]:
        """`source NAME`, `score NAME`, `sync NAME` → how old it may be, of those whose files say it."""
        folder = self.root / "assets" / "scores"
        said = {f"source {name}": intake.fresh_within for name, intake in self.intakes.items()}
        said |= {f"score {name}": fresh_within(folder / f"{name}.yaml") for name in self.scores}
        said |= {f"sync {name}": sync.fresh_within for name, sync in self.syncs.items()}
        return {name: timedelta(hours=hours) for name, hours in said.items() if hours}

    @cached_property
    def scenarios(self) -> Mapping[str, Scenario]:
        """Name → scenario, for every file of `assets/scenarios/`."""
        return self.all("scenarios", lambda path: document.load(path, Scenario))

    @property
    def told_scores(self) -> list[Score]:
        """Everything the profile is joined from and `explain` tells of: the scores, and who is where in the
        scenarios."""
        return [*self.scores.values(), *([scenario_state] if self.scenarios else [])]

    def chosen(self, names: Sequence[str] | None) -> list[Score]:
        """These scores, or all without names. ConfigError for a name that is not among them."""
        told = {score.name: score for score in self.told_scores}
        unknown = [name for name in names or () if name not in told]
        if unknown:
            raise ConfigError(f"there is no score {unknown[0]!r}; there are {', '.join(told) or 'none'}")
        return [told[name] for name in names or told]

    @cached_property
    def fed(self) -> frozenset[str]:
        """The canonical tables some source feeds."""
        return frozenset(table for intake in self.intakes.values() for table in intake.tables)

    @property
    def carried(self) -> frozenset[str]:
        """The columns sources bring of customers beyond those every shop has."""
        tables = [i.tables["customers"] for i in self.intakes.values() if "customers" in i.tables]
        return frozenset(name for table in tables for name in table.columns) - {*CONTRACTS["customers"].names}

    def all(self, folder: str, load: Callable[[Path], T]) -> dict[str, T]:
        """Every YAML file of a folder, loaded. ConfigError holds the mistakes of all of them."""
        made: dict[str, T] = {}
        problems: list[str] = []
        for path in sorted((self.root / "assets" / folder).glob("*.yaml")):
            try:
                made[path.stem] = load(path)
            except ConfigError as error:
                problems += error.problems
        if problems:
            raise ConfigError(*problems)
        return made

    def sync(self, name: str) -> Sync:
        """One sync by name. ConfigError, naming those there are, when there is none."""
        if name not in self.syncs:
            raise ConfigError(f"there is no sync {name!r}; there are {', '.join(self.syncs) or 'none'}")
        return self.syncs[name]

    def where(self, sync: Sync) -> str | None:
        """The sync's audience as SQL over the table it reads; None when it has none."""
        if sync.audience is None:
            return None
        if sync.audience not in self.audiences:
            raise ConfigError(f"{sync.name}.yaml: audience: {unknown(sync.audience, self.audiences)}")
        return self.roster.sql(sync.audience, self.warehouse.schema(sync.reads), self.day_of(sync.reads))

    def conditions(self) -> dict[str, str]:
        """Audience → who is in it, as SQL over the customer profile there is; an audience that only syncs of
        another table name is left out. ConfigError holds the mistakes of all rules; or no profile."""
        elsewhere = {s.audience for s in self.syncs.values() if s.reads != PROFILE}
        here = {s.audience for s in self.syncs.values() if s.reads == PROFILE}
        self.warehouse.existing(PROFILE)
        schema, day = self.warehouse.schema(PROFILE), self.day_of(PROFILE)
        made: dict[str, str] = {}
        problems: list[str] = []
        for name in sorted(self.audiences.keys() - (elsewhere - here)):
            try:
                made[name] = self.roster.sql(name, schema, day)
            except ConfigError as wrong:
                problems += wrong.problems
        if problems:
            raise ConfigError(*dict.fromkeys(problems))
        return made

    def preview(self, rule: str) -> str:
        """Who would be in an audience with this rule, as SQL over the customer profile there is."""
        self.warehouse.existing(PROFILE)
        schema, day = self.warehouse.schema(PROFILE), self.day_of(PROFILE)
        return f"coalesce({where_sql(rule, schema, 'audience', day)}, false)"

    def day_of(self, table: str) -> date | None:
        """The day a table was worked out for; None if it was not made for one."""
        said = self.warehouse.note(table).get("as_of")
        return date.fromisoformat(said) if said else None

    def check(self) -> None:
        """Everything that can be known without calling anyone: all files, and each sync, audience and
        score against the tables there are. ConfigError holds every mistake of every file."""
        problems = [
            *complaints(self.check_endings),
            *complaints(self.check_sources),
            *complaints(lambda: self.audiences),
            *complaints(lambda: self.priorities),
            *complaints(lambda: self.roster),
            *complaints(lambda: self.scores),
            *complaints(lambda: self.hours),
            *complaints(self.check_windows),
            *complaints(self.check_profile),
            *complaints(self.check_scenarios),
            *complaints(self.check_audiences),
        ]
        unread = complaints(lambda: self.syncs)
        syncs = [] if unread else list(self.syncs.values())
        problems += unread + [line for s in syncs for line in complaints(partial(self.check_sync, s))]
        if problems:
            raise ConfigError(*dict.fromkeys(problems))

    def check_windows(self) -> None:
        """How old the scores' tables may be, as their files say it."""
        for name in self.scores:
            fresh_within(self.root / "assets" / "scores" / f"{name}.yaml")

    def check_endings(self) -> None:
        """No file is passed over, settings and all, for its ending."""
        if passed := sorted((self.root / "assets").glob("*/*.yml")):
            raise ConfigError(
                *(f"{path.parent.name}/{path.name}: not read; end it in .yaml" for path in passed)
            )

    def check_sources(self) -> None:
        """Every source's file, and that nothing of it is still the example's."""
        lines = [line for intake in self.intakes.values() for line in complaints(intake.finished)]
        if lines:
            raise ConfigError(*lines)

    def check_profile(self) -> None:
        """No two of customers, their order figures, scores and scenarios may bring the profile one column."""
        origins([*CONTRACTS["customers"].names, *sorted(self.carried)], self.told_scores)

    def check_scenarios(self) -> None:
        """The scenarios' files; and their rules against the profile, once there is one."""
        scenarios = list(self.scenarios.values())
        if scenarios and self.warehouse.version(PROFILE) is not None:
            day = self.day_of(PROFILE) or FAR
            check_scenarios(scenarios, self.warehouse.schema(PROFILE), day)

    def check_audiences(self) -> None:
        """The audiences' rules against the profile, once there is one."""
        if self.warehouse.version(PROFILE) is not None:
            self.conditions()

    def check_sync(self, sync: Sync) -> None:
        """The sync's columns and audience against the table it reads, once there is one."""
        if self.warehouse.version(sync.reads) is not None:
            compiled(sync, self.warehouse.schema(sync.reads))
            self.where(sync)
        elif sync.audience is not None and sync.audience not in self.audiences:
            raise ConfigError(f"{sync.name}.yaml: audience: {unknown(sync.audience, self.audiences)}")

    def secrets(self) -> dict[str, bool]:
        """Every environment variable the files name, and whether it is set."""
        said = [model.model_dump_json() for model in (*self.syncs.values(), *self.intakes.values())]
        names = {name for text in said for name in re.findall(r'\{"env":"(\w+)"\}', text)}
        return {name: bool(os.environ.get(name)) for name in sorted(names)}

    @cached_property
    def warehouse(self) -> Warehouse:
        """The project's tables."""
        return Warehouse(self.home / "warehouse")

    @cached_property
    def ledger(self) -> Ledger:
        """The project's ledger: OCTO_LEDGER, a SQLAlchemy address, or a SQLite file in `home`."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data, for this user only
        url = os.environ.get("OCTO_LEDGER") or f"sqlite:///{self.home / 'ledger.sqlite'}"
        return Ledger(url, self.home / "locks")

    def publish(self) -> Published:
        """Write the serving copy the read API answers from. ConfigError while there is no profile.

        What the live lane brought while it was written was told the copy before it, and is told this one."""
        made = publish(self.warehouse, self.home, [s.key.from_ for s in self.syncs.values()])
        touch(self.warehouse, self.home)
        return made

    @property
    def plans(self) -> Folder:
        """Where drawn plans are kept."""
        return Folder(self.home / "plans")


def scores_in(folder: Path) -> dict[str, Score]:
    """Name → score, for every score the folder's Python files define themselves; one they import from one
    another is not a second one. ConfigError when two files define the same name."""
    scores: dict[str, Score] = {}
    for path in sorted(folder.glob("[!_]*.py")):
        module = loaded(path)
        for value in vars(module).values():
            if isinstance(value, Score) and value.compute.__module__ == module.__name__:
                if value.name in scores:
                    raise ConfigError(f"{path.name}: score {value.name} is defined in another file too")
                scores[value.name] = value
    return scores


def complaints(check: Callable[[], object]) -> list[str]:
    """The mistakes a check finds; none when all is well."""
    try:
        check()
    except ConfigError as error:
        return list(error.problems)
    return []


def loaded(path: Path) -> ModuleType:
    """A Python file of the project as a module, under a name of its own."""
    spec = importlib.util.spec_from_file_location(f"octo_scores_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path.name}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    try:
        spec.loader.exec_module(module)
    except SyntaxError as wrong:
        raise ConfigError(f"{path.name}: line {wrong.lineno}: {wrong.msg}") from None
    except ImportError as wrong:
        raise ConfigError(f"{path.name}: {wrong}") from None
    return module


def found() -> Path:
    """The working folder if it has `assets/`, else the folder Octo itself lies in."""
    here = Path.cwd()
    return here if (here / "assets").is_dir() else Path(__file__).resolve().parents[1]
