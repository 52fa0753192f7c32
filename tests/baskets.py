"""A small shop for tests of recommendations: who bought what how many days ago, as a warehouse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from assets.scores.category_recommendations import category_recommendations
from assets.scores.recommendations import recommendations, related_products
from assets.scores.recommended import recommended
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse
from tests.orders import Rows, rows_of

AS_OF = date(2024, 6, 30)
NOON = datetime.fromisoformat("2024-06-30T12:00")
ANY: dict[str, Any] = {"minimum_buyers": 1}
"""In a small shop every product has enough buyers."""


def bought(*lines: Any, **common: Any) -> list[dict[str, Any]]:
    """One order of one line for each (customer, product, days ago, further columns)."""
    return [
        {"customer_id": customer, "product_id": product, "ago": ago} | common | (more[0] if more else {})
        for customer, product, ago, *more in lines
    ]


def product(product_id: str, **more: Any) -> dict[str, Any]:
    return {"product_id": product_id, "name": product_id.capitalize()} | more


def shop(
    root: Path,
    lines: Sequence[Mapping[str, Any]],
    products: Sequence[Mapping[str, Any]] = (),
    *,
    customers: Sequence[Mapping[str, Any]] = (),
    visits: Sequence[tuple[str, str, int]] = (),
) -> Warehouse:
    """A warehouse of these rows. Customers of the lines are known without being named."""
    warehouse = Warehouse(root)
    named = {str(row["customer_id"]): dict(row) for row in customers}
    for line in lines:
        if line["customer_id"] is not None:
            named.setdefault(line["customer_id"], {"customer_id": line["customer_id"]})
    placed = [
        {
            "order_id": f"o{number}",
            "line_no": 1,
            "ordered_at": NOON - timedelta(days=line["ago"]),
            "status": "completed",
            "net_amount": Decimal(10),
            "is_return": False,
            "quantity": Decimal(1),
            **line,
        }
        for number, line in enumerate(lines)
    ]
    seen = [
        {"visit_id": str(n), "customer_id": c, "product_id": p, "visited_at": NOON - timedelta(days=ago)}
        for n, (c, p, ago) in enumerate(visits)
    ]
    fill(warehouse, "customers", list(named.values()))
    fill(warehouse, "orders", placed)
    fill(warehouse, "order_lines", placed)
    if products:
        fill(warehouse, "products", products)
    if visits:
        fill(warehouse, "visits", seen)
    return warehouse


def fill(warehouse: Warehouse, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """The canonical table of this name, with the fields its contract knows."""
    schema = CONTRACTS[name].arrow
    kept = [{field: row.get(field) for field in schema.names} for row in rows]
    warehouse.replace(name, pa.Table.from_pylist(kept, schema=schema))


SHARED = ("minimum_buyers", "new_days", "excluded_categories")


def run(warehouse: Warehouse, score: Score, as_of: date = AS_OF, **settings: Any) -> Rows:
    """The score's rows; those it reads are worked out first."""
    if score.name == "recommendations":
        run(warehouse, related_products, as_of, **{k: v for k, v in settings.items() if k in SHARED})
    scoring.run(score, warehouse, as_of, settings)
    return rows_of(warehouse, score.name)


def lists(warehouse: Warehouse, name: str, as_of: date = AS_OF, **settings: Any) -> dict[str, list[str]]:
    """Customer → the products of one list, best first."""
    found: dict[str, list[str]] = {}
    for row in sorted(run(warehouse, recommendations, as_of, **settings), key=lambda row: int(row["rank"])):
        of = found.setdefault(row["customer_id"], [])
        if row["list"] == name:
            of.append(row["product_id"])
    return found


def told(warehouse: Warehouse, as_of: date = AS_OF, **settings: Any) -> dict[tuple[str, str, str], str]:
    """(customer, list, product) → the sentence."""
    rows = run(warehouse, recommendations, as_of, **settings)
    return {(row["customer_id"], row["list"], row["product_id"]): row["reason_text"] for row in rows}


def on_profile(warehouse: Warehouse, chosen: Mapping[str, Any], **settings: Any) -> dict[str, dict[str, Any]]:
    """Customer → his columns, as `chosen` asks for them."""
    run(warehouse, recommendations, **settings)
    run(warehouse, category_recommendations)
    return {row.pop("customer_id"): row for row in run(warehouse, recommended, **chosen)}
