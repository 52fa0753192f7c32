"""Running a score: settings, contract, note, report, and the same integers on two databases."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from assets.scores.rfm import rfm
from octo_dagster.canonical import contracts as canonical
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.score import Score, Tables, score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import settings as settings_of
from octo_dagster.scoring.sql import compiled
from octo_dagster.warehouse import Warehouse
from tests.orders import SCHEMA, fill, rows_of, scored, select
from tests.postgres import postgres, scores_only

__all__ = ["postgres", "scores_only"]
SHARED = Path(__file__).parents[2] / "../shared"
AS_OF = date(2024, 2, 1)
ORDERS = [
    {"order_id": "1", "customer_id": "b", "ordered_at": datetime.fromisoformat("2024-01-01"), "status": "completed", "net_amount": Decimal("30.00")},
    {"order_id": "2", "customer_id": "a", "ordered_at": datetime.fromisoformat("2024-01-09"), "status": "completed", "net_amount": Decimal("10.00")},
]  # fmt: skip


@score(reads=("orders",), columns={"odd": ("boolean", "Whether the id has a percent sign")})
def odd(tables: Tables, *, as_of: date, sign: str = "50%") -> Any:
    """A score with a percent sign in a constant."""
    orders = tables["orders"].c
    return sa.select(orders.customer_id, sa.func.max(orders.customer_id == sign).label("odd")).group_by(
        orders.customer_id
    )


@score(reads=("orders",), columns={"again": ("integer", "Breaks its contract: a row per order")})
def again(tables: Tables, *, as_of: date) -> Any:
    """One row per order, which is wrong."""
    return sa.select(tables["orders"].c.customer_id, sa.literal(1).label("again"))


def test_the_table_is_sorted_and_its_note_tells_how(tmp_path: Path) -> None:
    """The table is named after the score, sorted, and noted with date, every setting and what was read."""
    rows = scored(rfm, ORDERS, tmp_path, AS_OF, bins=5)
    assert [row["customer_id"] for row in rows] == ["a", "b"]
    note = Warehouse(tmp_path).note("rfm")
    assert note["as_of"] == "2024-02-01"
    assert note["reads"] == {"orders": 0}
    assert note["settings"]["bins"] == 5
    assert note["settings"]["method"] == "repeat_aware"


def test_the_report_tells_sizes_cuts_and_shares(tmp_path: Path) -> None:
    """Each class says how many customers, from what figure to what, and its share of revenue; as JSON too."""
    warehouse = Warehouse(tmp_path)
    warehouse.replace("orders", pa.Table.from_pylist(ORDERS, schema=SCHEMA))
    report = scoring.run(rfm, warehouse, AS_OF)
    assert report.rows == 2
    found = {(figure.column, figure.value): figure for figure in report.classes}
    assert (found["rfm_recency", 1].low, found["rfm_recency", 1].high) == (31, 31)
    assert found["rfm_monetary", 4].share == 0.75
    assert {key[1] for key in found if key[0] == "rfm_segment"} == {
        row["rfm_segment"] for row in rows_of(warehouse, "rfm")
    }
    assert json.loads(json.dumps(report.as_dict()))["classes"][0]["customers"] == 1


def test_declared_types_are_the_written_types(tmp_path: Path) -> None:
    """What the columns declare is what the warehouse holds: int64, text, money, naive microseconds."""
    scored(rfm, ORDERS, tmp_path, AS_OF)
    types = {field.name: str(field.type) for field in Warehouse(tmp_path).schema("rfm")}
    assert types["rfm_recency"] == "int64"
    assert types["rfm_revenue"] == "decimal128(18, 2)"
    assert types["rfm_last_order_at"] == "timestamp[us]"
    assert types["rfm_segment"] == "string"


def test_the_canonical_orders_are_enough() -> None:
    """RFM compiles over the canonical table for each database that has spellings, and reads no more."""
    tables = {name: canonical.sqlalchemy_table(name) for name in rfm.reads}
    query = scoring.statement(rfm, tables, AS_OF, {})
    assert "//" in compiled(query)
    dialect: sa.Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    assert "//" not in str(query.compile(dialect=dialect))


def test_a_percent_sign_stays_one(tmp_path: Path) -> None:
    """Constants reach DuckDB as written; a dialect with percent parameters would double the sign."""
    orders = [{**ORDERS[0], "customer_id": "50%"}, {**ORDERS[1], "customer_id": "it's"}]
    assert [row["odd"] for row in scored(odd, orders, tmp_path, AS_OF)] == [True, False]
    assert [row["odd"] for row in scored(odd, orders, tmp_path, AS_OF, sign="it's")] == [False, True]


def test_a_customer_twice_is_refused(tmp_path: Path) -> None:
    """A score with two rows for a customer, or none named, writes nothing."""
    for customers in (["a", "a"], ["a", None]):
        orders = [{**row, "customer_id": customer} for row, customer in zip(ORDERS, customers, strict=True)]
        with pytest.raises(ConfigError, match="again: 2 rows for 1 customers"):
            scored(again, orders, tmp_path, AS_OF)
    assert Warehouse(tmp_path).names() == ["orders"]


def test_columns_must_be_as_declared() -> None:
    """Selecting other columns than declared is refused before anything runs."""
    renamed = Score("renamed", "", ("orders",), again.columns[:0], again.compute)
    with pytest.raises(ConfigError, match=r"renamed: columns: declares \['customer_id'\], selects"):
        select(renamed, AS_OF)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    """A score whose table is not there says which."""
    with pytest.raises(SourceError, match="score rfm reads orders: no such table"):
        scoring.run(rfm, Warehouse(tmp_path), AS_OF)


def test_wrong_settings_are_addressed() -> None:
    """Unknown, ill-typed and out-of-range settings are refused, all at once, with file and field."""
    raw = {
        "bins": 2,
        "methode": "strict",
        "segments": [{"en": "x", "fr": "y", "recency": ["high"], "frequency_monetary": [1]}],
    }
    with pytest.raises(ConfigError) as refused:
        settings_of.checked_settings(rfm, raw, "rfm.yaml")
    told = "\n".join(refused.value.problems)
    assert "rfm.yaml: bins: Input should be greater than or equal to 3" in told
    assert "rfm.yaml: methode: Extra inputs are not permitted" in told
    assert "rfm.yaml: segments.0.recency.0: Input should be a valid integer" in told


def test_what_only_the_score_can_judge_is_addressed_too() -> None:
    """A hole in the segments is found when the file is read, not when the score runs."""
    raw = {
        "segments": [
            {"en": "x", "fr": "y", "recency": [1, 2, 3, 4, 5, 6], "frequency_monetary": [1, 2, 3, 4, 5]}
        ]
    }
    with pytest.raises(ConfigError) as refused:
        settings_of.checked_settings(rfm, raw, "rfm.yaml")
    assert (
        refused.value.problems[0]
        == "rfm.yaml: segments: cell (recency 1, frequency_monetary 6) is in no segment"
    )
    assert len(refused.value.problems) == 6


def test_no_file_means_defaults(tmp_path: Path) -> None:
    """Without a settings file, or with an empty one, every setting has its default."""
    assert settings_of.load_settings(rfm, tmp_path / "none.yaml") == {}
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert settings_of.load_settings(rfm, tmp_path / "empty.yaml") == {}


@pytest.mark.skipif(not SHARED.exists(), reason="../shared, the data sets, is not here")
def test_complete_journey_is_the_same_on_postgres(scores_only: sa.Engine, tmp_path: Path) -> None:
    """155,848 real orders give the same row for each household on DuckDB and PostgreSQL, all methods."""
    with duckdb.connect() as connection:
        orders = connection.sql(
            f"""select cast(order_id as text) order_id, cast(customer_id as text) customer_id,
            ordered_at::timestamp ordered_at, status, net_amount::decimal(18, 2) net_amount
            from '{SHARED}/data/complete_journey/orders.parquet'"""
        ).to_arrow_table()
    warehouse = Warehouse(tmp_path)
    warehouse.replace("orders", orders)
    fill(scores_only, orders)
    for chosen in ({}, {"method": "strict", "fxm": "product_sextile"}, {"method": "r_rfm"}):
        scoring.run(rfm, warehouse, date(2017, 12, 31), chosen)
        there = scoring.rows_on(scores_only, select(rfm, date(2017, 12, 31), **chosen))
        assert len(there) > 2400
        assert there == rows_of(warehouse, "rfm")
