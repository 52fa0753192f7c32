"""The profile: one row per customer, order figures and every score beside the customer's own columns."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from assets.scores.rfm import rfm
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.score import Tables, score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.warehouse import Warehouse
from tests.orders import SCHEMA, Rows, rows_of

AS_OF = date(2024, 2, 1)


@score(reads=("orders",), columns={"country": ("text", "Takes a name that customers have")})
def clash(tables: Tables, *, as_of: date) -> Any:
    """A score whose column the customers have too."""
    return sa.select(tables["orders"].c.customer_id)


def order(number: str, customer: str | None, day: str, status: str, amount: str) -> dict[str, Any]:
    return {
        "order_id": number,
        "customer_id": customer,
        "ordered_at": datetime.fromisoformat(day),
        "status": status,
        "net_amount": Decimal(amount),
    }


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Three customers: one with orders and a return, one without, one who only cancelled; a stranger."""
    house = Warehouse(tmp_path)
    customers = {"customer_id": ["b", "a", "c"], "country": ["FR", "DE", None], "shoe_size": [41, 42, 43]}
    house.replace("customers", pa.table(customers))
    orders = [
        order("1", "a", "2024-01-01", "completed", "10.00"),
        order("2", "a", "2024-01-05", "completed", "10.05"),
        order("3", "a", "2024-01-06", "returned", "-0.04"),
        order("4", "a", "2024-01-07", "returned", "10.00"),
        order("5", "a", "2024-02-02", "completed", "99.00"),
        order("6", "c", "2024-01-01", "cancelled", "10.00"),
        order("7", "stranger", "2024-01-01", "completed", "10.00"),
        order("8", None, "2024-01-01", "completed", "10.00"),
    ]
    house.replace("orders", pa.Table.from_pylist(orders, schema=SCHEMA))
    scoring.run(rfm, house, AS_OF)
    return house


def built(warehouse: Warehouse) -> Rows:
    profile.build(warehouse, [rfm], AS_OF)
    return rows_of(warehouse, profile.TABLE)


def test_one_row_per_customer_sorted(warehouse: Warehouse) -> None:
    """Every customer has one row, buyer or not, sorted by id; strangers have none but are counted."""
    report = profile.build(warehouse, [rfm], AS_OF)
    assert [row["customer_id"] for row in rows_of(warehouse, profile.TABLE)] == ["a", "b", "c"]
    assert (report.rows, report.buyers, report.strangers) == (3, 1, 1)
    assert json.loads(json.dumps(report.as_dict()))["as_of"] == "2024-02-01"


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_joined_in_stretches_it_is_the_same(warehouse: Warehouse, at_once: int) -> None:
    """However many customers are joined at a time, the profile holds the same rows."""
    whole = built(warehouse)
    profile.build(warehouse, [rfm], AS_OF, at_once)
    made = rows_of(warehouse, profile.TABLE)
    assert sorted(made, key=itemgetter("customer_id")) == whole


def test_order_figures_follow_the_rules_of_rfm(warehouse: Warehouse) -> None:
    """Figures count what RFM counts: the same orders, revenue and dates; averages are exact to the cent."""
    a, b, c = built(warehouse)
    assert (a["orders"], a["revenue"], a["average_order"]) == (2, Decimal("20.01"), Decimal("10.01"))
    assert (a["rfm_orders"], a["rfm_revenue"], a["rfm_last_order_at"]) == (
        2,
        a["revenue"],
        a["last_order_at"],
    )
    assert a["first_order_at"] == datetime.fromisoformat("2024-01-01")
    for row in (b, c):
        assert (row["orders"], row["revenue"], row["average_order"], row["rfm_recency"]) == (
            0,
            None,
            None,
            None,
        )


def test_extra_columns_and_types_are_carried(warehouse: Warehouse) -> None:
    """Columns only this shop has are carried, and money stays money."""
    assert [row["shoe_size"] for row in built(warehouse)] == [42, 41, 43]
    types = {field.name: str(field.type) for field in warehouse.schema(profile.TABLE)}
    assert types["revenue"] == types["average_order"] == "decimal128(18, 2)"
    assert types["last_order_at"] == "timestamp[us]"
    assert types["orders"] == "int64"


def test_lineage_names_every_column(warehouse: Warehouse) -> None:
    """Each column of the profile, in order, says which table and columns it comes from."""
    report = profile.build(warehouse, [rfm], AS_OF)
    assert list(report.lineage) == warehouse.schema(profile.TABLE).names
    assert report.lineage["rfm_segment"] == (("rfm", "rfm_segment"),)
    assert ("orders", "net_amount") in report.lineage["revenue"]
    assert report.lineage["shoe_size"] == (("customers", "shoe_size"),)


def test_the_note_tells_exactly_what_was_read(warehouse: Warehouse) -> None:
    """The version of every table that went in is kept with the profile's version."""
    built(warehouse)
    assert warehouse.note(profile.TABLE) == {
        "as_of": "2024-02-01",
        "reads": {"customers": 0, "orders": 0, "rfm": 0},
    }


def test_a_customer_twice_is_never_written(warehouse: Warehouse) -> None:
    """If `customers` held someone twice the profile would too: refused, nothing written."""
    warehouse.append("customers", pa.table({"customer_id": ["a"], "country": ["FR"], "shoe_size": [1]}))
    with pytest.raises(AssertionError, match="4 rows, 3 ids for 4 customers"):
        profile.build(warehouse, [rfm], AS_OF)
    assert profile.TABLE not in warehouse.names()


def test_a_score_that_was_not_run_is_named(warehouse: Warehouse) -> None:
    """A profile without one of its scores is not built: its columns would silently be gone."""
    with pytest.raises(SourceError, match="customer_profile reads clash: no such table"):
        profile.build(warehouse, [rfm, clash], AS_OF)


def test_two_columns_of_one_name_are_refused(warehouse: Warehouse) -> None:
    """A score may not take the name of a column that is already there."""
    with pytest.raises(ConfigError, match="customer_profile: country comes from both customers and clash"):
        profile.lineage_of(warehouse, [clash])
