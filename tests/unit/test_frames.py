"""Scores worked out from data frames: what they see, what is kept of what they return, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from octo_dagster.errors import ConfigError
from octo_dagster.score import Frames, Score, Tables, frame_score, score
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse
from tests.orders import SCHEMA, rows_of

AS_OF = date(2024, 1, 31)
COLUMNS = {"mean_amount": ("decimal", "What an order is worth"), "seen": ("integer", "Visits of anybody")}


@frame_score(reads=("orders",), optional=("visits",), columns=COLUMNS)
def worth(tables: Frames, *, as_of: date, chunk: int = 0) -> pd.DataFrame | Iterator[pd.DataFrame]:
    """The mean amount of a customer's orders."""
    means = tables.frame("orders").groupby("customer_id").net_amount.apply(lambda a: float(a.mean()))
    made = means.rename("mean_amount").reset_index().assign(seen=len(tables.frame("visits")))
    if not chunk:
        return made
    return (made[at : at + chunk] for at in range(0, len(made), chunk))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Three orders of two customers, one of them after the day."""
    house = Warehouse(tmp_path)
    rows = [("a", 1, "1.00"), ("a", 2, "2.01"), ("b", 3, "7.00"), ("b", 40, "99.00")]
    told = [
        {
            "order_id": str(number),
            "customer_id": customer,
            "ordered_at": datetime.fromisoformat("2024-01-01 23:59") + timedelta(days=number - 1),
            "status": "completed",
            "net_amount": Decimal(amount),
        }
        for customer, number, amount in rows
    ]
    house.replace("orders", pa.Table.from_pylist(told, schema=SCHEMA))
    return house


@pytest.mark.parametrize("chunk", [0, 1])
def test_frames_become_a_table(warehouse: Warehouse, chunk: int) -> None:
    """Whole or in chunks, rows are cast to the declared types, a float to four places; what is later than the
    day is not seen, and an optional table that nobody feeds is empty."""
    told = scoring.run(worth, warehouse, AS_OF, {"chunk": chunk})
    assert told.rows == 2
    assert rows_of(warehouse, "worth") == [
        {"customer_id": "a", "mean_amount": Decimal("1.5050"), "seen": 0},
        {"customer_id": "b", "mean_amount": Decimal("7.0000"), "seen": 0},
    ]


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        ({"customer_id": ["a", "a"], "n": [1, 2]}, "2 rows for 1 customers"),
        ({"customer_id": ["a", None], "n": [1, 2]}, "1 without customer_id"),
        ({"customer_id": ["a"], "m": [1]}, "declares .*'n'.* returns .*'m'"),
    ],
)
def test_a_broken_contract_writes_nothing(
    warehouse: Warehouse, frame: dict[str, list[Any]], problem: str
) -> None:
    """A customer twice, a row of nobody or other columns than declared: ConfigError, and no table."""

    def broken(tables: Frames, *, as_of: date) -> pd.DataFrame:
        return pd.DataFrame(frame)

    made = frame_score(reads=("orders",), columns={"n": ("integer", "")})(broken)
    with pytest.raises(ConfigError, match=problem):
        scoring.run(made, warehouse, AS_OF)
    assert "broken" not in warehouse.names()


@pytest.mark.parametrize("amount", ["jane@shop.fr", float("inf")])
def test_a_value_of_another_type_is_refused_unseen(warehouse: Warehouse, amount: object) -> None:
    """What does not fit its column stops the score, in words that do not show it; nothing is written."""

    @frame_score(reads=("orders",), columns={"amount": ("decimal", "A number")})
    def odd(tables: Frames, *, as_of: date) -> pa.Table:
        """A value that is no number there is."""
        return pa.table({"customer_id": ["a"], "amount": [amount]})

    with pytest.raises(ConfigError, match=r"odd: some customer's value cannot be worked out \(") as stopped:
        scoring.run(odd, warehouse, AS_OF)
    assert "jane" not in str(stopped.value)
    assert "odd" not in warehouse.names()


def test_a_table_of_its_own_has_its_own_key(warehouse: Warehouse) -> None:
    """With a key of two columns a customer may have many rows, sorted by the key."""

    def days(tables: Tables, *, as_of: date) -> sa.Select[Any]:
        o = tables["orders"].c
        return sa.select(o.customer_id, o.ordered_at.label("at"))

    columns = {"customer_id": ("text", "who"), "at": ("datetime", "when")}
    made: Score = score(reads=("orders",), key=("customer_id", "at"), columns=columns)(days)
    assert scoring.run(made, warehouse, AS_OF).rows == 4
    assert [row["customer_id"] for row in rows_of(warehouse, "days")] == ["a", "a", "b", "b"]
    assert not made.on_profile


def test_columns_may_follow_the_settings(warehouse: Warehouse) -> None:
    """A score whose columns depend on a setting declares those of the setting in force."""

    def wide(tables: Tables, *, as_of: date, top: int = 1) -> sa.Select[Any]:
        o = tables["orders"].c
        tops = [sa.func.max(o.order_id).label(f"top_{n}") for n in range(top)]
        return sa.select(o.customer_id, *tops).group_by(o.customer_id)

    made = score(reads=("orders",), columns=lambda s: {f"top_{n}": ("text", "") for n in range(s["top"])})(
        wide
    )
    assert made.output == ("customer_id", "top_0")
    assert made.given_settings({"top": 2}).output == ("customer_id", "top_0", "top_1")
    scoring.run(made, warehouse, AS_OF, {"top": 2})
    assert list(rows_of(warehouse, "wide")[0]) == ["customer_id", "top_0", "top_1"]
