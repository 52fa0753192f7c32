"""Beside drt-core 1.2.1, another reverse ETL in Python, in front of the same twins in the same run.

Each destination both have holds 100,000 contacts; then a thousand change. Calls are all the twin got for
those thousand, signing in and looking at jobs included; drt is given the changed rows alone, as its cursor
would find them, and Octo finds them itself among the 100,000. Memory is the largest each process held: for
Octo over its first sync of 100,000; for drt over all 100,000 rows too (Salesforce, Sheets), or over the
thousand where its pace of 9 to 75 calls a second would take hours for all (HubSpot, Klaviyo, Zendesk). drt's
Zendesk does not look at its jobs, so that a user refused in one counts as sent; its Sheets writes the whole
tab anew each time, or appends. Needs `make peers`, and Linux.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from octo_dagster.bench.calls import customer_profile
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.stage import Stage, calls, project, sandbox
from octo_dagster.bench.vendors import SERVICE_ACCOUNT, VENDORS

PYTHON = Path(__file__).parents[2] / ".venv-peers/bin/python"
SCRIPT = Path(__file__).parent / "peers/drt_sync.py"
DELIVER = """
import json, sys
from pathlib import Path
from octo_dagster.bench.stage import Stage
from octo_dagster.config import Project
root = Path(sys.argv[1])
Stage(Project(root, root / ".octo"), sys.argv[2]).deliver()
(line,) = (one for one in open("/proc/self/status") if one.startswith("VmHWM"))
print(json.dumps({"peak_mb": int(line.split()[1]) / 1024}))
"""


@dataclass(frozen=True)
class Case:
    """One destination both have, as drt's project says it."""

    title: str
    """Of the vendor as we measure it."""
    host: str
    destination: Mapping[str, Any]
    columns: str
    """What drt selects of `customer_profile`."""
    whole: bool = False
    """Whether drt can send all of the rows within minutes."""
    rewrites: bool = False
    """Whether drt has no other way than to write everything anew."""
    env: Mapping[str, str] = field(default_factory=dict)


PROPERTIES = '{"octo_segment": "{{ row.segment }}", "octo_orders": "{{ row.orders }}"}'
CASES = (
    Case(
        "salesforce, bulk",
        "https://octo.my.salesforce.com",
        {
            "type": "salesforce_bulk",
            "instance_url": "https://octo.my.salesforce.com",
            "object_name": "Contact",
            "external_id_field": "Octo_Id__c",
            "poll_interval_seconds": 1,
            **{
                f"{name}_env": f"DRT_{name.upper()}"
                for name in ("client_id", "client_secret", "username", "password")
            },
        },
        "customer_id as Octo_Id__c, customer_id as LastName, segment as Octo_Segment__c, "
        "orders as Octo_Orders__c",
        whole=True,
        env={
            "DRT_CLIENT_ID": "octo-app",
            "DRT_CLIENT_SECRET": "octo-secret",
            "DRT_USERNAME": "octo",
            "DRT_PASSWORD": "sandbox-password",
        },
    ),
    Case(
        "zendesk",
        "https://octo.zendesk.com",
        {
            "type": "zendesk",
            "subdomain": "octo",
            "email": "agent@octo.example",
            "api_token_env": "DRT_TOKEN",
            "custom_fields_template": PROPERTIES,
        },
        "customer_id as external_id, customer_id as name, segment, orders",
        env={"DRT_TOKEN": "sandbox-token"},
    ),
    Case(
        "klaviyo",
        "https://a.klaviyo.com",
        {"type": "klaviyo", "properties_template": PROPERTIES},
        "email, segment, orders",
        env={"KLAVIYO_API_KEY": "pk_sandbox"},
    ),
    Case(
        "hubspot",
        "https://api.hubapi.com",
        {
            "type": "hubspot",
            "properties_template": f'{{"email": "{{{{ row.email }}}}", {PROPERTIES[1:]}',
            "auth": {"type": "bearer", "token_env": "HUBSPOT_SERVICE_KEY"},
        },
        "email, segment, orders",
        env={"HUBSPOT_SERVICE_KEY": "pat-eu1-sandbox"},
    ),
    Case(
        "google sheets",
        "https://sheets.googleapis.com",
        {"type": "google_sheets", "spreadsheet_id": "sandbox-spreadsheet-1", "sheet": "Octo"},
        "customer_id, segment, orders, revenue",
        whole=True,
        rewrites=True,
        env={"GOOGLE_SERVICE_ACCOUNT": SERVICE_ACCOUNT.read_text(encoding="utf-8")},
    ),
)


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Calls for the changed hundredth and memory, ours beside drt's."""
    if not PYTHON.exists():
        return
    customers = 2_000 if small else 100_000
    known = {vendor.title: vendor for vendor in VENDORS}
    for case in CASES:
        vendor = known[case.title]
        with sandbox() as (address, _):
            root = folder / case.title.replace(" ", "_")
            stage = Stage(project(root, vendor.sync()), address)
            stage.have(customer_profile(customers, later=False))
            ours = deliver(root, address)
            stage.have(customer_profile(customers, later=True))
            counted = len(calls(address, vendor.type))
            deliver(root, address)
            made = len(calls(address, vendor.type)) - counted
            theirs = drt(case, root / "drt", f"{address}/{vendor.type}", customers, whole=case.rewrites)
            drt_made = len(calls(address, vendor.type)) - counted - made
            if case.whole and not case.rewrites:
                theirs = drt(case, root / "drt_whole", f"{address}/{vendor.type}", customers, whole=True)
        rows = f"{customers:,}" if case.whole else f"{customers // 100:,}"
        title = f"{case.title}: calls for {customers // 100:,} changed of {customers:,}"
        yield Figure(title, made, "calls", "drt-core", drt_made)
        against = f"drt-core, {rows} rows"
        yield Figure(
            f"{case.title}: memory, {customers:,} rows", ours["peak_mb"], "MB", against, theirs["peak_mb"]
        )


def deliver(root: Path, address: str) -> dict[str, float]:
    """One plan and delivery of ours, in a process of its own."""
    said = [sys.executable, "-c", DELIVER, str(root), address]
    done = subprocess.run(said, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def drt(case: Case, folder: Path, address: str, customers: int, *, whole: bool) -> dict[str, float]:
    """One run of drt over every row, or over the changed ones. RuntimeError when it sends nothing."""
    (folder / ".drt").mkdir(parents=True)
    (folder / "syncs").mkdir()
    rows_into(folder / "shop.sqlite", customers, whole=whole)
    hosts = {case.host: address}
    sync = {
        "name": "customers",
        "model": f"select {case.columns} from customer_profile",
        "destination": dict(case.destination),
        "sync": {"mode": "full", "batch_size": 500},
    }
    texts = {
        "hosts.json": hosts,
        "drt_project.yml": {"name": "octo", "version": "0.1", "profile": "shop"},
        ".drt/profiles.yml": {"shop": {"type": "sqlite", "database": "shop.sqlite"}},
        "syncs/customers.yml": sync,
    }
    for name, text in texts.items():
        (folder / name).write_text(json.dumps(text))  # JSON is YAML
    env = {"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", "DO_NOT_TRACK": "1", **case.env}
    done = subprocess.run(
        [PYTHON, SCRIPT, folder], capture_output=True, text=True, check=False, env=env, timeout=900
    )
    if done.returncode or "failed" in done.stderr.lower():
        raise RuntimeError(f"drt, {case.title}: {done.stderr[-2_000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def rows_into(file: Path, customers: int, *, whole: bool) -> None:
    """The profile as drt reads it, from SQLite."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("create table customer_profile (customer_id, email, segment, orders, revenue)")
        numbers = range(0, customers, 1 if whole else 100)
        rows = (
            (f"c{n}", f"customer{n}@example.com", f"segment {n % 9}", n % 50 + 2, n % 100_000 / 100)
            for n in numbers
        )
        database.executemany("insert into customer_profile values (?, ?, ?, ?, ?)", rows)
