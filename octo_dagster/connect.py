"""A real account, looked at before anything is written to it: `octo check --connect`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from octo_dagster.config import Project
from octo_dagster.delivery import guard
from octo_dagster.delivery.courier import Courier, Surroundings
from octo_dagster.destination import Survey
from octo_dagster.errors import ConfigError, DeliveryError
from octo_dagster.model import FieldType
from octo_dagster.run import courier, types_of
from octo_dagster.sync import Sync


@dataclass(frozen=True, slots=True)
class Connection:
    """What signing in to one sync's destination showed. Nothing was written."""

    sync: str
    type: str
    account: str | None = None
    """Who this is at the vendor; None when signing in failed."""
    there: tuple[str, ...] = ()
    """Mapped fields the account has."""
    to_be_made: tuple[str, ...] = ()
    """Mapped fields the first delivery will make."""
    problems: tuple[str, ...] = ()
    """A line for each thing a person must mend before a delivery can succeed."""
    survey: Survey = field(default_factory=Survey)
    error: str | None = None
    """Why there is no connection."""
    exit_code: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        told = {name: getattr(self, name) for name in ("sync", "type", "account", "there", "to_be_made")}
        return told | {"problems": self.problems, "survey": plain(self.survey), "error": self.error}


def plain(survey: Survey) -> dict[str, Any]:
    """A survey as plain values."""
    return {
        "fields": dict(survey.fields),
        "keys": survey.keys,
        "places": dict(survey.places),
        "needs": dict(survey.needs),
        "missing": survey.missing,
    }


def look(sync: Sync, project: Project, around: Surroundings | None = None) -> Connection:
    """Sign in, say whose account it is, and hold the sync's mapping against the fields that are there."""
    try:
        with courier(sync, project, around) as link:
            account = link.account()
            guard.check_account(sync, project.ledger, account)
            survey = link.survey()
            return held_against(sync, types_of(sync, project), survey, account, link)
    except (DeliveryError, ConfigError) as stopped:
        return Connection(sync.name, sync.destination.type, error=str(stopped), exit_code=stopped.exit_code)


def held_against(
    sync: Sync, types: Mapping[str, FieldType], survey: Survey, account: str, link: Courier
) -> Connection:
    """The sync's mapping against an account."""
    mapped = [sync.key.to, *(mapping.to for mapping in sync.fields)]
    complaints = link.ensure_fields(types, create=False).problems
    missing = [name for name in mapped if name not in survey.fields]
    makes = sync.create_fields and not sync.destination.by_values
    wanting = [line for line in complaints if makes and line.partition(":")[0] in missing]
    problems = tuple(line for line in complaints if line not in wanting)
    return Connection(
        sync.name,
        sync.destination.type,
        account,
        there=tuple(name for name in mapped if name in survey.fields),
        to_be_made=tuple(line.partition(":")[0] for line in wanting),
        problems=problems,
        survey=survey,
        exit_code=7 if problems or survey.missing else 0,
    )
