"""Each way of writing to a vendor, as it is measured: a sync of a few columns, and what it costs at least."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from octo_dagster.bench.stage import calls

SERVICE_ACCOUNT = Path(__file__).parents[2] / "connectors/sandbox/google_sheets/service_account.json"
CREDENTIALS = {
    "WEBHOOK_SECRET": "sandbox-key",
    "BREVO_API_KEY": "sandbox-key",
    "SALESFORCE_CLIENT_ID": "octo-app",
    "SALESFORCE_CLIENT_SECRET": "octo-secret",
    "ZENDESK_CLIENT_ID": "octo-client",
    "ZENDESK_CLIENT_SECRET": "octo-client-secret",
    "MAILCHIMP_API_KEY": "sandboxkey-us21",
    "KLAVIYO_API_KEY": "pk_sandbox",
    "HUBSPOT_SERVICE_KEY": "pat-eu1-sandbox",
    "GOOGLE_SERVICE_ACCOUNT": SERVICE_ACCOUNT.read_text(encoding="utf-8"),
    "META_TOKEN": "sandbox-token",
    "SHOP_DATABASE": "postgresql://octo:sandbox-password@db.example.com/bench",
    "S3_ACCESS_KEY": "octo-access",
    "S3_SECRET_KEY": "octo-secret",
}
"""What the twins accept, for `octo bench` to put into the environment."""


TABLE = "bench_customers"
"""The table of the SQL destination; no other statement names it."""


def a_call(rows: int) -> Callable[[int], int]:
    """So many changes in one call."""
    return lambda changes: math.ceil(changes / rows)


@dataclass(frozen=True)
class Vendor:
    """A way of writing to one vendor."""

    title: str
    destination: Mapping[str, Any]
    key: str
    fields: Mapping[str, str]
    """Column → field."""
    writes: str
    """The calls that write records: a pattern of `METHOD path`."""
    fewest: Callable[[int], int]
    """Changes → the fewest such calls there can be, by the vendor's published limits."""
    key_from: str = "email"
    once: int = 0
    """Such calls that only the first sync makes, for want of another kind: a tab and its headings."""
    quota: float | None = None
    """Rows a second that the vendor's published quota lets through; None where it has none that binds."""
    statements: bool = False
    """Whether it is asked in SQL: then `writes` is a pattern of statements, and no twin counts them."""
    members: bool = False
    """Whether it holds no columns, only who is in: then a changed customer is one who has left."""

    @property
    def type(self) -> str:
        return str(self.destination["type"])

    def sync(self) -> dict[str, Any]:
        """The sync's file."""
        return {
            "destination": self.destination,
            "key": {"from": self.key_from, "to": self.key},
            "fields": [{"from": column, "to": name} for column, name in self.fields.items()],
            "guards": {"max_changed": 1.0},
            **({"mode": "mirror", "consent": "agrees"} if self.members else {}),
        }

    @contextmanager
    def counted(self, address: str) -> Iterator[Callable[[], tuple[int, int]]]:
        """How many calls there were so far: those that write records, and all of them."""
        if not self.statements:
            yield lambda: self.of([" ".join(call) for call in calls(address, self.type)])
            return
        asked: list[str] = []

        def note(_: object, cursor: object, statement: str, *rest: object) -> None:
            asked.extend([statement] * (TABLE in statement))

        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            yield lambda: self.of(asked)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)

    def of(self, asked: Sequence[str]) -> tuple[int, int]:
        return sum(bool(re.search(self.writes, one)) for one in asked), len(asked)


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
HUBSPOT = {"type": "hubspot", "service_key": {"env": "HUBSPOT_SERVICE_KEY"}, "id_property": "octo_id"}
KLAVIYO = {"type": "klaviyo", "api_key": {"env": "KLAVIYO_API_KEY"}, "list": "Octo customers"}
BREVO = {"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "Octo customers"}
SHEETS = {
    "type": "google_sheets",
    "service_account": {"env": "GOOGLE_SERVICE_ACCOUNT"},
    "spreadsheet": "sandbox-spreadsheet-1",
    "tab": "Octo",
}
BUCKET = {
    "bucket": "octo-exports",
    "region": "eu-west-3",
    "access_key": {"env": "S3_ACCESS_KEY"},
    "secret_key": {"env": "S3_SECRET_KEY"},
}


def plain(prefix: str = "") -> dict[str, str]:
    return {name: f"{prefix}{name}" for name in ("segment", "orders", "revenue")}


CONTACT = {name: f"Octo_{name.capitalize()}__c" for name in plain()} | {"customer_id": "LastName"}

VENDORS = (
    Vendor(  # our own limit: 500 records a POST
        "webhook",
        {"type": "webhook", "url": "https://hooks.example.com/octo", "secret": {"env": "WEBHOOK_SECRET"}},
        "email",
        plain(),
        r"^POST /octo$",
        a_call(500),
    ),
    Vendor(  # sObject collections: 200 records a call
        "salesforce, collections",
        {**SALESFORCE, "bulk_from": 1_000_000},
        "Octo_Id__c",
        CONTACT,
        r"^PATCH .*/composite/sobjects/",
        a_call(200),
        key_from="customer_id",
    ),
    Vendor(  # Bulk API 2.0: to make, fill and start a job of at most 100 MB, here never reached
        "salesforce, bulk",
        {**SALESFORCE, "bulk_from": 1},
        "Octo_Id__c",
        CONTACT,
        r"^(POST|PUT|PATCH) .*/jobs/ingest",
        lambda changes: 3 * math.ceil(changes / 1_000_000),
        key_from="customer_id",
    ),
    Vendor(  # contacts/import: 8 MB of JSON a job, some 35,000 of these records
        "brevo",
        BREVO,
        "EMAIL",
        {k: v.upper() for k, v in plain("octo_").items()},
        r"^POST .*/contacts/import$",
        a_call(35_000),
    ),
    Vendor(  # users/create_or_update_many: 100 users a job
        "zendesk",
        ZENDESK,
        "external_id",
        {"customer_id": "name", **plain("octo_")},
        r"^(POST|PUT) /api/v2/users/",
        a_call(100),
        key_from="customer_id",
        quota=2_500 / 2 * 100 / 60,  # each job is looked at once
    ),
    Vendor(  # POST lists/ID: 500 members a call, with their tag
        "mailchimp",
        {
            "type": "mailchimp",
            "api_key": {"env": "MAILCHIMP_API_KEY"},
            "audience": "Acme",
            "tag": "Octo customers",
        },
        "EMAIL",
        {"segment": "O_SEGMENT", "orders": "O_ORDERS", "revenue": "O_REVENUE"},
        r"^(POST /3\.0/lists/\w+(/segments/\d+)?|(PUT|PATCH|DELETE) .*)$",
        a_call(500),
    ),
    Vendor(  # profile-bulk-import-jobs: 10,000 profiles and 5 MB a job, into the list as well
        "klaviyo",
        KLAVIYO,
        "email",
        plain("octo_"),
        r"^(POST /api/profile-|PATCH /api/profiles/)",
        a_call(10_000),
        quota=150 * 10_000 / 60,
    ),
    Vendor(  # batch/upsert: 100 contacts a call
        "hubspot",
        HUBSPOT,
        "octo_id",
        {"email": "email", **plain("octo_")},
        r"^POST .*/batch/(upsert|update)$",
        a_call(100),
        key_from="customer_id",
        quota=100 * 100 / 10,
    ),
    Vendor(  # spreadsheets:batchUpdate: of any size; 2 MB is advised, which is 5,000 rows of eight cells
        "google sheets",
        SHEETS,
        "customer_id",
        plain(),
        r"^POST .*:batchUpdate$",
        a_call(5_000),
        key_from="customer_id",
        once=1,
        quota=60 * 5_000 / 60,
    ),
    Vendor(  # users: 10,000 people a call
        "meta audience",
        {
            "type": "meta_audience",
            "access_token": {"env": "META_TOKEN"},
            "ad_account": "1001",
            "audience": "Octo",
        },
        "EMAIL",
        {"segment": "LN"},
        r"^(POST|DELETE) /v25.0/\d+/users$",
        a_call(10_000),
        members=True,
    ),
    Vendor(  # audienceMembers:ingest and :remove: 10,000 people a call
        "google audience",
        {
            "type": "google_audience",
            "service_account": {"env": "GOOGLE_SERVICE_ACCOUNT"},
            "ads_account": "1000000001",
            "list": "Octo",
            "consent": {"ad_user_data": "granted", "ad_personalization": "granted"},
            "terms": "accepted",
        },
        "email",
        {"segment": "family_name"},
        r"^POST .*audienceMembers:",
        a_call(10_000),
        members=True,
    ),
    Vendor(  # one file, written whole
        "file in a bucket",
        {"type": "file", "name": "customers.csv", "to": BUCKET},
        "email",
        plain(),
        r"^PUT /octo-exports/",
        lambda changes: min(changes, 1),
    ),
    Vendor(  # one INSERT, or one UPDATE, from a staged table, however many rows
        "sql table",
        {"type": "sql_table", "address": {"env": "SHOP_DATABASE"}, "table": TABLE},
        "email",
        plain(),
        rf'^(insert into|update|delete from) "{TABLE}"',
        lambda changes: min(changes, 1),
        statements=True,
    ),
)
