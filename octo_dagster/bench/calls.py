"""The writes a delivery makes beside the fewest the vendor's published limits allow, and rows a second.

The fewest are worked out here from each vendor's documents, not from our destinations; for n changes: webhook
⌈n / 500⌉ POSTs; Salesforce sObject collections ⌈n / 200⌉ PATCHes, Bulk API 2.0 three calls (make, fill,
start) for each 100 MB; Brevo ⌈n / 35,000⌉ imports (8 MB of these records); Zendesk ⌈n / 100⌉ jobs; Mailchimp
⌈n / 500⌉; Klaviyo ⌈n / 10,000⌉ jobs; HubSpot ⌈n / 100⌉; Sheets ⌈n / 5,000⌉ (2 MB of these rows); Meta and
Google's audiences ⌈n / 10,000⌉, where the changed have left; a file is written once, and so is
a SQL table, by one statement. Calls that sign in, make fields, look at a job or read back are not counted;
but when nothing changed, any call at all counts. Rows a second are of the first sync: wall, in front of a
twin that answers at once and shares the two cores; beside it what the vendor's quota lets through or, where
none binds, the twin's processor time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import psutil

from octo_dagster.bench.figure import Figure
from octo_dagster.bench.stage import Stage, project, sandbox, took
from octo_dagster.bench.vendors import VENDORS, Vendor


def figures(folder: Path, customers: int = 25_000) -> Iterator[Figure]:
    """First sync, 1 % changed and nothing changed, at every vendor."""
    with sandbox() as (address, twin):
        for number, vendor in enumerate(VENDORS):
            stage = Stage(project(folder / str(number), vendor.sync()), address)
            with vendor.counted(address) as made:
                yield from at(vendor, made, stage, twin, customers)


def at(
    vendor: Vendor, made: Callable[[], tuple[int, int]], stage: Stage, twin: psutil.Process, customers: int
) -> Iterator[Figure]:
    """The figures of one vendor, in front of its twin."""
    for title, later in (
        (f"first sync of {customers:,}", False),
        ("1 % changed", True),
        ("nothing changed", True),
    ):
        stage.have(customer_profile(customers, later=later))
        before, reports = made(), []
        cost = took(lambda: reports.append(stage.deliver()), twin)  # noqa: B023 - called at once
        writes, every = (a - b for a, b in zip(made(), before, strict=True))
        planned = reports[0].planned
        fewest = vendor.fewest(planned) + (0 if later else vendor.once)
        yield Figure(
            f"{vendor.title}: {title}", writes if planned else every, "writes", "fewest possible", fewest, 1.0
        )
        if not later:
            against = ("its quota", vendor.quota) if vendor.quota else alone(vendor, customers, cost["other"])
            rate = customers / cost["wall"]
            yield Figure(f"{vendor.title}: rows a second", rate, "rows", *against)


def alone(vendor: Vendor, customers: int, seconds: float) -> tuple[str, float]:
    """What the rows a second are held against: the twin's processor seconds; for SQL, the plainest INSERT."""
    if not vendor.statements:
        return "the twin alone", customers / max(seconds, 0.01)
    with duckdb.connect() as source, closing(sqlite3.connect(":memory:")) as target:
        source.execute("set enable_progress_bar = false")
        every = customer_profile(customers, later=False)
        rows = source.execute(f"select email, segment, orders, revenue::varchar from ({every})").fetchall()
        target.execute(
            "create table customers (email text primary key, segment text, orders int, revenue num)"
        )
        cost = took(lambda: target.executemany("insert into customers values (?, ?, ?, ?)", rows))
    return "sqlite3's executemany", customers / cost["wall"]


def customer_profile(customers: int, *, later: bool) -> str:
    """A small profile; `later`, every hundredth customer has bought once more, and agrees no more."""
    again = "cast(i % 100 = 0 as integer)" if later else "0"
    return f"""select 'c' || i as customer_id, 'customer' || i || '@example.com' as email,
                      'segment ' || i % 9 as segment, i % 50 + {again} as orders,
                      cast(i % 100000 / 100 as decimal(18, 2)) as revenue, date '2026-01-01' as last_order,
                      {again} = 0 as agrees
               from range({customers}) t(i)"""
