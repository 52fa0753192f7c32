"""Audience rules: read as text, checked against the table, answered by DuckDB."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pytest

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.rules import columns_of, where_sql

ROWS = pa.table(
    {
        "customer_id": pa.array(["1", "2", "3", "4"]),
        "rfm_recency": pa.array([1, 2, 6, None], pa.int64()),
        "rfm_frequency_monetary": pa.array([6, 3, 5, None], pa.int64()),
        "orders": pa.array([4, 2, 9, 0], pa.int64()),
        "revenue": pa.array([Decimal("0.30"), Decimal("20.00"), Decimal("99.99"), None], pa.decimal128(18, 2)),
        "ratio": pa.array([0.5, 1.5, None, 0.1]),
        "city": pa.array(["Lyon", "50% off", "L_on", None]),
        "email": pa.array(["a@x.fr", "b@x.fr", None, "d@y.fr"]),
        "email_consent": pa.array([True, False, None, True]),
        "birth_date": pa.array([date(1980, 1, 1), date(1990, 6, 1), None, None], pa.date32()),
        "last_order_at": pa.array([datetime.fromisoformat("2024-01-31T23:00:00"), datetime.fromisoformat("2024-02-01"), None, None], pa.timestamp("us")),
        "tags": pa.array([["x"], [], None, None], pa.list_(pa.string())),
    }
)  # fmt: skip


AS_OF = date(2024, 3, 1)


def members(rule: str) -> str:
    """The ids of the customers in the audience, one after the other."""
    with duckdb.connect() as connection:
        connection.register("profile", ROWS)
        found = connection.sql(
            f"select customer_id from profile where {where_sql(rule, ROWS.schema, as_of=AS_OF)} order by 1"
        ).fetchall()
    return "".join(row[0] for row in found)


@pytest.mark.parametrize(
    ("rule", "ids"),
    [
        ("rfm_recency in [1, 2] and rfm_frequency_monetary in [5, 6]", "1"),
        ("rfm_recency not in (1, 2)", "3"),
        ("rfm_recency == 6 or orders == 2", "23"),
        ("rfm_recency != 6", "12"),
        ("not rfm_recency == 6", "12"),
        ("not (rfm_recency == 6 or orders == 2)", "1"),
        ("orders > 1 and (rfm_recency == 6 or rfm_recency == 1)", "13"),
        ("orders > 5 or rfm_recency == 1 and orders < 3", "3"),
        ("2 <= orders < 5", "12"),
        ("5 > orders", "124"),
        ("rfm_recency is None", "4"),
        ("rfm_recency is not None", "123"),
        ("revenue <= 0.30", "1"),
        ("revenue == 0.3", "1"),
        ("revenue >= 20", "23"),
        ("ratio < 1.0", "14"),
        ("ratio > -1", "124"),
        ("'on' in city", "13"),
        ("'%' in city", "2"),
        ("'_' in city", "3"),
        ("'on' not in city", "2"),
        ("city == '50% off'", "2"),
        ("city in ['Lyon', \"it's\"]", "1"),
        ("email_consent", "14"),
        ("not email_consent", "2"),
        ("email_consent == True", "14"),
        ("birth_date < '1985-01-01'", "1"),
        ("'1985-01-01' <= birth_date <= '1990-06-01'", "2"),
        ("last_order_at < '2024-02-01'", "1"),
        ("last_order_at >= '2024-01-31T23:00:00'", "12"),
        ("orders > rfm_recency", "13"),
        ("last_order_at < days_ago(29)", "1"),
        ("last_order_at >= days_ago(29)", "2"),
        ("days_ago(30) <= last_order_at < days_ahead(0)", "12"),
        ("birth_date <= days_ago(12327)", "12"),
        ("birth_date <= days_ago(12328)", "1"),
        ("city.startswith('L')", "13"),
        ("city.startswith('%')", ""),
        ("not city.startswith('L')", "2"),
        ("email.endswith('@x.fr') and orders > 3", "1"),
        ("\n  orders == 2\n", "2"),
    ],
)
def test_a_rule_finds_its_customers(rule: str, ids: str) -> None:
    """Each form of rule gives exactly the customers it reads as; an empty value is in no comparison."""
    assert members(rule) == ids


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("rfm_recncy == 1", "passive.yaml: rule: column 'rfm_recncy' is unknown; did you mean 'rfm_recency'?"),
        ("zzz == 1", "column 'zzz' is unknown"),
        ("orders == 'two'", "'orders' holds a number, and 'two' is not one"),
        ("orders == True", "'orders' holds a number, and True is not one"),
        ("city == 3", "'city' holds text, and 3 is not one"),
        ("birth_date > '1990-13-01'", "'birth_date' holds a date, and '1990-13-01' is not one"),
        ("birth_date > '19900101'", "'birth_date' holds a date"),
        ("last_order_at > '2024-01-01T00:00:00+02:00'", "'last_order_at' holds a date and time"),
        ("last_order_at > 'soon'", "'last_order_at' holds a date and time"),
        ("email_consent == 'yes'", "'email_consent' holds true or false"),
        ("orders", "'orders' holds a number: compare it with something"),
        ("orders == None", "nothing equals None: write `orders is None`"),
        ("orders is 3", "`is` goes with None only"),
        ("'3' in orders", "'orders' holds a number: `in` looks into text only"),
        ("orders in []", "an empty list"),
        ("orders in city", "write `column in [..]`"),
        ("orders == city", "'orders' holds a number, 'city' holds text"),
        ("1 == 1", "names no column"),
        ("__import__('os').system('true')", "is not a condition"),
        ("orders == __import__('os')", "is neither a column nor a constant"),
        ("orders == 1 + 1", "is neither a column nor a constant"),
        ("city == f'{orders}'", "is neither a column nor a constant"),
        ("orders ==", "rule: cannot be read at character"),
        ("orders = 3", "rule: cannot be read at character"),
        ("last_order_at < days_ago()", "days_ago takes a whole number of days up to 36525: `days_ago(90)`"),
        ("last_order_at < days_ago(1.5)", "days_ago takes a whole number of days"),
        ("last_order_at < days_ago(-1)", "days_ago takes a whole number of days"),
        ("last_order_at < days_ago(99999)", "days_ago takes a whole number of days"),
        ("last_order_at < days_ago(True)", "days_ago takes a whole number of days"),
        ("last_order_at < days_ago(orders)", "days_ago takes a whole number of days"),
        ("last_order_at < days_ago(90)", "the table does not say for which day it is"),
        ("last_order_at < weeks_ago(9)", "'weeks_ago(9)' is neither a column nor a constant"),
        ("city.upper() == 'X'", "names no column"),
        ("city.startwith('X')", "is not a condition"),
        ("city.startswith()", "startswith takes one text: `city.startswith('text')`"),
        ("city.startswith(3)", "'city' holds text, and 3 is not one"),
        ("orders.startswith('3')", "'orders' holds a number: startswith looks at text only"),
        ("citi.startswith('X')", "column 'citi' is unknown; did you mean 'city'?"),
        ("tags == 'x'", "'tags' holds something rules cannot compare"),
        ("not " * 1200 + "email_consent", "more than 100 deep"),
        ("city" + ".x" * 1200 + " == 'X'", "more than 100 deep"),
        ("city == '\\ud800'", "a character that is none"),
        ("city == '\\0'", "a character that is none"),
        ("orders == 0x" + "f" * 4900, "a number too large"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_explained(rule: str, message: str) -> None:
    """What cannot be meant is refused in words that name the file, the column and the way out."""
    with pytest.raises(ConfigError) as refused:
        where_sql(rule, ROWS.schema, "passive.yaml")
    assert message in str(refused.value)


def test_a_relative_day_is_no_text() -> None:
    """A day so long ago stands beside a date or a time, never beside text that happens to look like one."""
    with pytest.raises(ConfigError, match="'city' holds text, and '2024-02-29' is not one"):
        members("city == days_ago(1)")


def test_the_columns_a_rule_names() -> None:
    """Every column once, in the order read by width; functions and constants are none."""
    assert set(columns_of("a == 1 and (b < days_ago(3) or c.startswith('x')) and a < 3")) == {"a", "b", "c"}


def test_text_cannot_leave_its_quotes() -> None:
    """A constant with quotes in it is text to DuckDB, never SQL."""
    assert members('city == "\' or 1=1 --"') == ""
