"""What things are called in Dagster: asset keys, groups, pools. Nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import dagster as dg
from pydantic import BaseModel

from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import Intake
from octo_dagster.config import Project
from octo_dagster.destination import AnyDestination, Secret
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


SERVED = "serving_copy"
"""What the read API answers from."""


def table(name: str) -> dg.AssetKey:
    """The asset that writes this table of the warehouse is called as the table is."""
    return dg.AssetKey([name])


def raw(intake: Intake, name: str) -> dg.AssetKey:
    """The rows of one table of a source, as they came: `raw_shop_orders`."""
    return table(intake.raw(name))


def audience(name: str) -> dg.AssetKey:
    return dg.AssetKey(["audiences", name])


def plan(sync: Sync) -> dg.AssetKey:
    """What a delivery would change. One name, for the graph shows only the last part of a key."""
    return dg.AssetKey([f"{sync.name}_plan"])


def delivery(sync: Sync) -> dg.AssetKey:
    """The changes sent: `brevo_contacts_delivery`."""
    return dg.AssetKey([f"{sync.name}_delivery"])


def vendor(sync: Sync) -> dg.AssetKey:
    """What people see at the tool: `contacts_in_brevo`, `contact_in_salesforce`."""
    named = getattr(sync.destination, "object", None)
    return dg.AssetKey([f"{str(named or 'contacts').lower()}_in_{sync.destination.type}"])


def needs(project: Project, name: str) -> list[dg.AssetKey]:
    """What a canonical table is judged from: its sources' rows, and the tables it refers to."""
    feeding = [raw(intake, name) for intake in project.intakes.values() if name in intake.tables]
    fed = {fed for intake in project.intakes.values() for fed in intake.tables}
    referred = {f.references for f in CONTRACTS[name].fields if f.references in fed}
    return feeding + [table(name) for name in sorted(str(other) for other in referred)]


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
