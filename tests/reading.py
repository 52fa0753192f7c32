"""What the read API's tests read: a small project, published, and whoever asks it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.keys import Keys
from octo_dagster.config import Project

PEOPLE = [
    {
        "customer_id": f"c{n}",
        "email": "shared@example.com" if n in (8, 9) else f"Customer{n}@example.com",
        "segment": ["best", None, "lost"][n % 3],
        "revenue": None if n == 4 else Decimal(n % 4) + Decimal("0.10"),
        "orders": n,
        "active": n % 2 == 0,
        "born": date(1990, 1, n),
        "last_order_at": datetime.fromisoformat(f"2026-11-0{n}T10:00:00"),
    }
    for n in range(1, 10)
]
PROFILE = pa.schema(
    {
        "customer_id": pa.string(),
        "email": pa.string(),
        "segment": pa.string(),
        "revenue": pa.decimal128(18, 2),
        "orders": pa.int64(),
        "active": pa.bool_(),
        "born": pa.date32(),
        "last_order_at": pa.timestamp("us"),
    }
)
PRODUCTS = [
    {"product_id": f"p{n}", "name": f"Thé n° {n}", "price": Decimal("4.50"), "image_url": f"/p{n}.jpg"}
    for n in range(1, 4)
]
RECOMMENDED = [
    {"customer_id": "c1", "list": "discover", "rank": rank, "product_id": f"p{rank}", "reason": "popular"}
    | {"reason_text": "popular now"}
    for rank in (2, 1)
]
RELATED = [
    {"product_id": "p1", "rank": rank, "related_product_id": f"p{rank + 1}", "strength": 9.5}
    for rank in (1, 2)
]
STAYS = [
    {"audience": "best", "customer_id": f"c{n}", "entered_on": date(2026, 11, n), "left_on": None}
    for n in range(1, 8)
] + [{"audience": "best", "customer_id": "c9", "entered_on": date(2026, 11, 1), "left_on": date(2026, 11, 2)}]
EVERYTHING = dict.fromkeys(
    (
        "customer_profile",
        "recommendations",
        "related_products",
        "audience_members",
        "sync_runs",
        "sync_changelog",
    ),
    "*",
)


def published(folder: Path) -> Project:
    """A project with everything the API tells of, published."""
    made = Project(folder, folder / ".octo")
    tables = {
        "products": pa.Table.from_pylist(PRODUCTS),
        "recommendations": pa.Table.from_pylist(RECOMMENDED),
        "related_products": pa.Table.from_pylist(RELATED),
        "audience_members": pa.Table.from_pylist(STAYS),
    }
    for name, table in tables.items():
        made.warehouse.replace(name, table)
    made.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE, PROFILE), {"as_of": "2026-11-22"})
    made.publish()
    return made


def asking(project: Project, tables: Any, per_second: int = 10_000) -> TestClient:
    """A caller with a new key for these tables."""
    keys = Keys(project.home)
    secret = keys.add(f"key {len(keys.all())}", tables, per_second)
    return TestClient(
        app(project), headers={"Authorization": f"Bearer {secret}"}, raise_server_exceptions=False
    )


def refusal(reply: Any) -> tuple[int, str]:
    """Status and code of an error; fails when it is not told as every error is."""
    assert reply.json()["error"]["message"]
    return reply.status_code, reply.json()["error"]["code"]
