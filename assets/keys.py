"""What things are called in Dagster: asset keys, groups, pools. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from pydantic import BaseModel

from octo_dagster.canonical import CONTRACTS
from octo_dagster.config import Project
from octo_dagster.destination import AnyDestination, Secret
from octo_dagster.intake import Intake
from octo_dagster.sync import Sync

SOURCES, BASE, SCORES, CUSTOMERS, SYNCS, TOOLS = (
    "sources",
    "base",
    "scores",
    "customers",
    "syncs",
    "tools",
)
"""The groups, in the order of the way of the data."""

PROFILE = dg.AssetKey(["customer_profile"])


def raw(intake: Intake, table: str) -> dg.AssetKey:
    """The rows of one table of a source, as they came: `shop/orders`."""
    return dg.AssetKey([intake.name, table])


def table(project: Project, name: str) -> dg.AssetKey:
    """The asset that writes this table of the warehouse."""
    for intake in project.intakes.values():
        for fed in intake.tables:
            if name == intake.raw(fed):
                return raw(intake, fed)
    return dg.AssetKey([name])


def audience(name: str) -> dg.AssetKey:
    return dg.AssetKey(["audiences", name])


def plan(sync: Sync) -> dg.AssetKey:
    """What a delivery would change: `brevo_contacts/plan`."""
    return dg.AssetKey([sync.name, "plan"])


def delivery(sync: Sync) -> dg.AssetKey:
    """The changes sent: `brevo_contacts/delivery`."""
    return dg.AssetKey([sync.name, "delivery"])


def vendor(sync: Sync) -> dg.AssetKey:
    """What people see at the vendor: `brevo/contacts`, `salesforce/contact`."""
    named = getattr(sync.destination, "object", None)
    return dg.AssetKey([sync.destination.type, str(named or "contacts").lower()])


def needs(project: Project, name: str) -> list[dg.AssetKey]:
    """What a canonical table is judged from: its sources' rows, and the tables it refers to."""
    feeding = [raw(intake, name) for intake in project.intakes.values() if name in intake.tables]
    fed = {fed for intake in project.intakes.values() for fed in intake.tables}
    referred = {f.references for f in CONTRACTS[name].fields if f.references in fed}
    return feeding + [dg.AssetKey([str(other)]) for other in sorted(str(r) for r in referred)]


def table_pool(name: str) -> str:
    """One step at a time writes a table, so the last to write has read the newest."""
    return f"table_{name}"


def account_pool(destination: AnyDestination) -> str:
    """One step at a time speaks to an account: type, hosts and the names (never values) of its secrets."""
    hosts = sorted(urlsplit(host).netloc for host in destination.hosts())
    return "/".join([destination.type, *hosts, *sorted(set(secrets(destination)))])


def secrets(model: BaseModel) -> Iterator[str]:
    """The environment variables a destination's settings name."""
    for value in vars(model).values():
        yield from named_in(value)


def named_in(value: Any) -> Iterator[str]:
    if isinstance(value, Secret):
        yield value.env
    elif isinstance(value, BaseModel):
        yield from secrets(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from named_in(inner)
