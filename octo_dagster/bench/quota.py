"""A delivery in front of a twin that enforces the vendor's published quota, beside the quota's own floor.

The floor of n calls under a quota of q in s seconds is (⌈n / q⌉ - 1) · s: the first q go at once. n is what
the twin was asked of the calls the quota is on, so that this measures waiting alone; whether the calls are
the fewest is measured under Calls. HubSpot: 100 calls in 10 s, 25,000 contacts. Zendesk: 200 calls a minute,
20,000 users in jobs that take a second. Klaviyo: 750 profiles a minute written one by one, as emptying a
property must be. A call refused for the quota (429) counts as asked, and lengthens the wall. Sheets,
Mailchimp, Meta, Salesforce and Brevo's imports need fewer calls than any quota of theirs at these sizes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from octo_dagster.bench.calls import customer_profile
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.stage import Stage, calls, project, sandbox, took
from octo_dagster.bench.vendors import VENDORS, ZENDESK, Vendor


@dataclass(frozen=True)
class Case:
    """One vendor under its quota."""

    vendor: str
    enforce: str
    """What is said to the twin, as `twin.…`."""
    asked: str
    """The calls the quota is on: a pattern of `METHOD path`."""
    most: int
    seconds: float
    customers: int
    emptied: bool = False
    """Whether a first sync comes before, and what is measured is its columns being emptied."""


CASES = (
    Case("hubspot", "twin.quota = 100", r".", 100, 10.0, 25_000),
    Case("zendesk", "twin.quota, twin.job_seconds = 200, 1.0", r".", 200, 60.0, 20_000),
    Case("klaviyo", "twin.enforced = True", r"PATCH /api/profiles/", 750, 60.0, 900, emptied=True),
)


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Wall and floor of each case; small, a hundredth of the customers, which no quota binds."""
    known = {vendor.title: vendor for vendor in VENDORS}
    for case in CASES:
        with sandbox(f"twin = sandbox.twin({case.vendor!r}); {case.enforce}") as (address, _):
            stage = Stage(project(folder / case.vendor, sync_of(known[case.vendor], case)), address)
            yield of(case, stage, case.customers // 100 if small else case.customers)


def sync_of(vendor: Vendor, case: Case) -> dict[str, object]:
    """The vendor's sync, at the plan the quota is of, with empty columns emptied there."""
    said = vendor.sync()
    fields = [field | {"nulls": "clear"} for field in said["fields"]] if case.emptied else said["fields"]
    settings = {**ZENDESK, "calls_a_minute": case.most} if vendor.type == "zendesk" else vendor.destination
    return said | {"fields": fields, "destination": settings, "guards": {"max_changed": 1.0}}


def of(case: Case, stage: Stage, customers: int) -> Figure:
    """One delivery's wall beside its floor."""
    full = customer_profile(customers, later=False)
    stage.have(full)
    if case.emptied:
        stage.deliver()
        stage.have(f"select * replace (cast(null as varchar) as segment) from ({full})")
    before = len(calls(stage.sandbox, case.vendor))
    cost = took(stage.deliver)
    asked = [" ".join(call) for call in calls(stage.sandbox, case.vendor)[before:]]
    bound = sum(bool(re.search(case.asked, call)) for call in asked)
    floor = (math.ceil(bound / case.most) - 1) * case.seconds
    what = "columns emptied" if case.emptied else "first sync"
    title = f"{case.vendor}, {what} of {customers:,}: {bound:,} calls under {case.most} in {case.seconds:g} s"
    return Figure(title, cost["wall"], "s", "the quota's floor", floor, 1.1 if floor else None)
