"""The writes a delivery makes beside the fewest the vendor's published limits allow.

The fewest are worked out here from each vendor's documents, not from our destinations; for n changes:
webhook ⌈n / 500⌉ POSTs; Salesforce sObject collections ⌈n / 200⌉ PATCHes; Salesforce Bulk API 2.0 three calls
(make, fill, start) for each 100 MB; Brevo ⌈n / 35,000⌉ imports (8 MB of these records); Zendesk ⌈n / 100⌉
jobs. Calls that sign in, make fields, look at a job or read back are not counted; but when nothing changed,
any call at all counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from octo_dagster.bench.figure import Figure
from octo_dagster.bench.stage import Stage, calls, project, sandbox

CREDENTIALS = {
    "WEBHOOK_SECRET": "sandbox-key",
    "BREVO_API_KEY": "sandbox-key",
    "SALESFORCE_CLIENT_ID": "octo-app",
    "SALESFORCE_CLIENT_SECRET": "octo-secret",
    "ZENDESK_CLIENT_ID": "octo-client",
    "ZENDESK_CLIENT_SECRET": "octo-client-secret",
}
"""What the twins accept, for `octo bench` to put into the environment."""


@dataclass(frozen=True)
class Vendor:
    """A way of writing to one vendor, and what it costs at the least."""

    title: str
    destination: Mapping[str, Any]
    key: str
    fields: Mapping[str, str]
    """Column → field."""
    writes: str
    """The calls that write records: a pattern of `METHOD path`."""
    per: int
    each: int = 1

    def sync(self) -> dict[str, Any]:
        return {
            "destination": self.destination,
            "key": {
                "from": "customer_id" if self.destination["type"] == "salesforce" else "email",
                "to": self.key,
            },
            "fields": [{"from": column, "to": name} for column, name in self.fields.items()],
            "guards": {"max_changed": 1.0},
        }

    def fewest(self, changes: int) -> int:
        return self.each * math.ceil(changes / self.per)

    def made(self, address: str) -> tuple[int, int]:
        """Of the calls the twin got so far: those that write records, and all of them."""
        got = [" ".join(call) for call in calls(address, str(self.destination["type"]))]
        return sum(bool(re.search(self.writes, call)) for call in got), len(got)


SALESFORCE = {
    "type": "salesforce",
    "domain": "octo",
    "object": "Contact",
    "auth": {
        "client_id": {"env": "SALESFORCE_CLIENT_ID"},
        "client_secret": {"env": "SALESFORCE_CLIENT_SECRET"},
    },
    "permission_set": "Octo",
}
ZENDESK = {
    "type": "zendesk",
    "subdomain": "octo",
    "auth": {"client_id": {"env": "ZENDESK_CLIENT_ID"}, "client_secret": {"env": "ZENDESK_CLIENT_SECRET"}},
    "calls_a_minute": 2_500,
}
FIELDS = {"segment": "Octo_Segment__c", "orders": "Octo_Orders__c", "revenue": "Octo_Revenue__c"}
VENDORS = (
    Vendor(  # our own limit: 500 records a POST
        "webhook",
        {"type": "webhook", "url": "https://hooks.example.com/octo", "secret": {"env": "WEBHOOK_SECRET"}},
        "email",
        {"segment": "segment", "orders": "orders", "revenue": "revenue"},
        r"^POST /octo$",
        per=500,
    ),
    Vendor(  # sObject collections: 200 records a call
        "salesforce, collections",
        {**SALESFORCE, "bulk_from": 1_000_000},
        "Octo_Id__c",
        {**FIELDS, "customer_id": "LastName"},
        r"^PATCH .*/composite/sobjects/",
        per=200,
    ),
    Vendor(  # Bulk API 2.0: to make, fill and start a job of at most 100 MB, here never reached
        "salesforce, bulk",
        {**SALESFORCE, "bulk_from": 1},
        "Octo_Id__c",
        {**FIELDS, "customer_id": "LastName"},
        r"^(POST|PUT|PATCH) .*/jobs/ingest",
        per=1_000_000,
        each=3,
    ),
    Vendor(  # contacts/import: 8 MB of JSON a job, some 35,000 of these records
        "brevo",
        {"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "Octo customers"},
        "EMAIL",
        {"segment": "OCTO_SEGMENT", "orders": "OCTO_ORDERS", "revenue": "OCTO_REVENUE"},
        r"^POST .*/contacts/import$",
        per=35_000,
    ),
    Vendor(  # users/create_or_update_many: 100 users a job
        "zendesk",
        ZENDESK,
        "external_id",
        {
            "customer_id": "name",
            "segment": "octo_segment",
            "orders": "octo_orders",
            "revenue": "octo_revenue",
        },
        r"^(POST|PUT) /api/v2/users/",
        per=100,
    ),
)


def figures(folder: Path, customers: int = 25_000) -> Iterator[Figure]:
    """First sync, 1 % changed and nothing changed, at every vendor."""
    for number, vendor in enumerate(VENDORS):
        with sandbox() as (address, _):
            stage = Stage(project(folder / str(number), vendor.sync()), address)
            yield from at(vendor, stage, customers)


def at(vendor: Vendor, stage: Stage, customers: int) -> Iterator[Figure]:
    for title, later in (
        (f"first sync of {customers:,}", False),
        ("1 % changed", True),
        ("nothing changed", True),
    ):
        stage.have(customer_profile(customers, later=later))
        before = vendor.made(stage.sandbox)
        report = stage.deliver()
        writes, every = (a - b for a, b in zip(vendor.made(stage.sandbox), before, strict=True))
        made = writes if report.planned else every
        fewest = vendor.fewest(report.planned)
        yield Figure(f"{vendor.title}: {title}", made, "writes", "fewest possible", fewest, 1.0)


def customer_profile(customers: int, *, later: bool) -> str:
    """A small profile; `later`, every hundredth customer has bought once more."""
    again = "cast(i % 100 = 0 as integer)" if later else "0"
    return f"""select 'c' || i as customer_id, 'customer' || i || '@example.com' as email,
                      'segment ' || i % 9 as segment, i % 50 + {again} as orders,
                      cast(i % 100000 / 100 as decimal(18, 2)) as revenue, date '2026-01-01' as last_order
               from range({customers}) t(i)"""
