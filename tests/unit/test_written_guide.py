"""The guide to scores of one's own: every example in it is run as it stands."""

from __future__ import annotations

import re
import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.config import Project
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from tests.orders import SCHEMA, rows_of

SCORES = Path(__file__).parents[2] / "assets" / "scores"
EXAMPLE = re.compile(r"```\w+\n# assets/scores/(\S+)\n(.*?)```", re.DOTALL)
SOURCE = {
    "source": {"type": "files", "folder": "data"},
    "tables": {
        "customers": {"from": "c.csv", "columns": {"customer_id": "id", "company_size": "size"}},
        "orders": {"from": "o.csv", "columns": {"order_id": "id", "ordered_at": "at", "net_amount": "sum"}},
    },
}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A shop with RFM, a column of its own, and every example of the guide."""
    for folder in ("scores", "sources"):
        (tmp_path / "assets" / folder).mkdir(parents=True)
    (tmp_path / "assets/sources/shop.yaml").write_text(yaml.safe_dump(SOURCE))
    shutil.copy(SCORES / "rfm.py", tmp_path / "assets" / "scores")
    for name, text in EXAMPLE.findall((SCORES / "README.md").read_text("utf-8")):
        (tmp_path / "assets" / "scores" / name).write_text(text)
    made = Project(tmp_path, tmp_path / ".octo")
    known = datetime.fromisoformat("2023-06-30")
    people = [
        {"customer_id": "a", "email": "a@x.fr", "phone": "1", "email_consent": True, "created_at": known},
        {"customer_id": "b", "email": "b@example.com", "phone": "2", "company_size": 250, "created_at": None},
        {"customer_id": "c", "email": None, "phone": None, "company_size": 9, "created_at": None},
    ]
    schema = CONTRACTS["customers"].arrow.append(pa.field("company_size", pa.int64()))
    made.warehouse.replace("customers", pa.Table.from_pylist(people, schema=schema))
    bought = [("a", "2024-06-01", "100"), ("a", "2024-06-20", "50.50"), ("b", "2022-01-01", "20")]
    orders = [
        {
            "order_id": str(number),
            "customer_id": customer,
            "ordered_at": datetime.fromisoformat(at),
            "status": "completed",
            "net_amount": Decimal(sum_),
        }
        for number, (customer, at, sum_) in enumerate(bought)
    ]
    made.warehouse.replace("orders", pa.Table.from_pylist(orders, schema=SCHEMA))
    return made


def test_every_example_of_the_guide(project: Project) -> None:
    """The files the guide shows make the columns it says, on the profile, with the reasons it says."""
    assert set(project.scores) == {"rfm", "lead_score", "basket", "paid", "steadiness"}
    for score in project.scores.values():
        scoring.run(score, project.warehouse, date(2024, 6, 30))
    profile.build(project.warehouse, list(project.scores.values()), date(2024, 6, 30))
    a, b, c = rows_of(project.warehouse, profile.TABLE)
    assert a["lead_score_because"] == "+10 may be written to; +3 rfm_revenue"
    assert b["lead_score_because"].endswith("; -50 one of us")
    assert (a["lead_score"], a["lead_score_points"]) == (51, 13)
    assert (b["lead_score"], b["lead_score_points"]) == (1, -20)
    assert c["lead_score"] is None
    assert a["basket"] == Decimal("75.0958")
    assert (a["paid_in_all"], b["paid_in_all"]) == (Decimal("150.50"), Decimal("20.00"))
    assert (a["order_spread"], b["order_spread"]) == (Decimal("35.0018"), None)
