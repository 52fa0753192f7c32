"""What the engine itself costs: first sync, 1 % changed, nothing changed, where twins answer at once.

The twin runs in a process of its own, whose share of the processor is told apart. Beside it, a bare loop:
it reads the same rows from the same table and POSTs the same bodies, in the fewest calls, and remembers
nothing: no plan, no ledger, no receipts, no way back from a lost reply.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import requests

from octo_dagster.bench.calls import customer_profile
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.stage import Stage, project, sandbox, took
from octo_dagster.bench.vendors import VENDORS, Vendor

WEBHOOK, BULK = VENDORS[0], VENDORS[2]
PER = 500
"""Records a POST to the webhook takes."""


def figures(folder: Path, customers: int = 100_000) -> Iterator[Figure]:
    """Processor time a row, and what of it is the engine's, by webhook and by Salesforce's bulk jobs."""
    for vendor in (WEBHOOK, BULK):
        with sandbox() as (address, twin):
            stage = Stage(project(folder / str(VENDORS.index(vendor)), vendor.sync()), address)
            stage.have(customer_profile(customers, later=False))
            first = took(lambda stage=stage: stage.deliver(), twin)  # type: ignore[misc]
            yield from told(vendor, f"{customers:,} added", first, customers)
            if vendor is WEBHOOK:
                bare = took(lambda stage=stage: post_all(stage), twin)  # type: ignore[misc]
                title = f"{vendor.title}, {customers:,} added"
                yield Figure(f"{title}: engine's processor", first["cpu"], "s", "bare loop", bare["cpu"])
                yield Figure(f"{title}: wall", first["wall"], "s", "bare loop", bare["wall"])
            yield from again(vendor, stage, customers, first["cpu"])


def told(vendor: Vendor, what: str, took: dict[str, float], rows: int) -> Iterator[Figure]:
    each = 1_000_000 / rows
    title = f"{vendor.title}, {what}: engine's processor a row"
    yield Figure(title, took["cpu"] * each, "µs", "the twin's", took["other"] * each)


def again(vendor: Vendor, stage: Stage, customers: int, first: float) -> Iterator[Figure]:
    """The second and third day, beside the first."""
    for what, later in (("nothing changed", False), ("1 % changed", True)):
        stage.have(customer_profile(customers, later=later))
        cost = took(stage.deliver)
        title = f"{vendor.title}, {what} of {customers:,}: engine's processor"
        yield Figure(title, cost["cpu"], "s", "first sync", first)


def post_all(stage: Stage) -> None:
    """The bare loop."""
    with stage.project.warehouse.connect() as connection, requests.Session() as session:
        session.trust_env = False
        reader = connection.sql(
            "select email, segment, orders, revenue from customer_profile"
        ).to_arrow_reader(PER)
        for batch in reader:
            rows = batch.to_pylist()
            for start in range(0, len(rows), PER):
                post(session, stage.sandbox, rows[start : start + PER])


def post(session: requests.Session, address: str, rows: list[dict[str, object]]) -> None:
    records = [{"key": row.pop("email"), "fields": row} for row in rows]
    name = uuid.uuid4().hex
    said = {"batch": name, "op": "upsert", "key_field": "email", "records": records}
    body = json.dumps(said, ensure_ascii=False, default=float).encode()
    at = str(int(time.time()))
    mac = hmac.new(b"sandbox-key", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Octo-Signature": f"t={at},v1={mac}", "Idempotency-Key": name}
    session.post(f"{address}/webhook/bare", data=body, headers=headers, timeout=60).raise_for_status()
