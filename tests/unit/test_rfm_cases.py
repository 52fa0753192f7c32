"""Every case file of RFM gives its expected table, on DuckDB and on a real PostgreSQL alike."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
import yaml

from assets.scores.rfm import rfm
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import settings as settings_of
from tests.orders import SCHEMA, Rows, fill, scored, select
from tests.postgres import postgres, scores_only

__all__ = ["postgres", "scores_only"]
CASES = sorted((Path(__file__).parents[1] / "cases/scores/rfm").glob("*.txt"))


def read_table(text: str) -> list[dict[str, str]]:
    """A `|` table as dicts; lines that start with # are prose."""
    lines = [line for line in text.strip().splitlines() if not line.startswith("#")]
    cells = [[cell.strip() for cell in line.split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[1:]]


def read_case(path: Path) -> tuple[Rows, date, dict[str, Any], list[dict[str, str]]]:
    """The orders, the as-of date, the other settings and the expected rows of a case file."""
    given, then = path.read_text("utf-8").split("----\n")
    line, _, expected = then.partition("\n")
    settings = yaml.safe_load(line)
    orders = [
        {
            "order_id": str(number),
            "customer_id": row["customer"] or None,
            "ordered_at": datetime.fromisoformat(row["ordered_at"]),
            "status": row["status"],
            "net_amount": Decimal(row["net_amount"]),
        }
        for number, row in enumerate(read_table(given))
    ]
    as_of = settings.pop("as_of")
    return orders, as_of, settings_of.checked_settings(rfm, settings, path.name), read_table(expected)


def spelled(rows: Rows, columns: list[str]) -> list[dict[str, str]]:
    """Rows in the words of a case file."""
    named = {column: "customer_id" if column == "customer" else f"rfm_{column}" for column in columns}
    return [{column: str(row[name]) for column, name in named.items()} for row in rows]


def columns_of(expected: list[dict[str, str]]) -> list[str]:
    return list(expected[0]) if expected else ["customer"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_duckdb_gives_the_expected_table(path: Path, tmp_path: Path) -> None:
    """The rows of the case, run by DuckDB and written to the warehouse, are the expected ones in order."""
    orders, as_of, settings, expected = read_case(path)
    assert spelled(scored(rfm, orders, tmp_path, as_of, **settings), columns_of(expected)) == expected


def test_postgres_gives_the_expected_tables(scores_only: sa.Engine) -> None:
    """The same statement run by PostgreSQL gives the expected rows of every case."""
    for path in CASES:
        orders, as_of, settings, expected = read_case(path)
        fill(scores_only, pa.Table.from_pylist(orders, schema=SCHEMA))
        rows = scoring.rows_on(scores_only, select(rfm, as_of, **settings))
        assert (path.stem, spelled(rows, columns_of(expected))) == (path.stem, expected)


def test_every_named_pitfall_has_a_case() -> None:
    """The pitfalls measured in the facts are each kept by a case file."""
    stems = {path.stem for path in CASES}
    assert stems >= {"ties", "one_order_base", "returns_and_cancelled", "negative_revenue", "no_orders"}
