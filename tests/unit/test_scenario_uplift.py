"""What a scenario brings, on bases where the truth is known; and the same on PostgreSQL."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from octo_dagster.canonical.contracts import sqlalchemy_table
from octo_dagster.scenarios.enrolment import COLUMNS, TABLE
from octo_dagster.scenarios.followed import scenario_uplift
from octo_dagster.scenarios.scenario import Scenario
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.sql import table_of
from octo_dagster.warehouse import Warehouse
from tests.postgres import postgres, scores_only
from tests.scenario_cases import Rows, fill, run_again, table
from tests.scoring_cases import fill_postgres

__all__ = ["postgres", "scores_only"]
START = date(2024, 3, 1)
SCENARIO = Scenario.model_validate(
    {
        "name": "win_back",
        "rule": "orders >= 1",
        "holdout": "25%",
        "steps": [{"channel": "mail"}],
        "measured_over": 60,
    }
)


def order(customer: str, day: int, amount: str = "20.00", status: str = "completed") -> dict[str, Any]:
    at = datetime.fromisoformat("2024-03-01 12:00:00") + timedelta(days=day)
    return {"customer_id": customer, "ordered_at": at, "net_amount": Decimal(amount), "status": status}


def measured(root: Path, treated: int, held_out: int) -> dict[str, Any]:
    """4,000 customers enter; of each hundred in turn so many of the treated and of the holdout buy later."""
    warehouse = Warehouse(root)
    people = [{"customer_id": f"c{n}"} for n in range(4000)]
    orders = [order(f"c{n}", -300) for n in range(4000)]
    fill(warehouse, {"customers": people, "orders": orders})
    _, rows = run_again(warehouse, [SCENARIO], START)
    for arm, share in ((False, treated), (True, held_out)):
        mine = [row["customer_id"] for row in rows if row["holdout"] is arm]
        orders += [order(name, 1 + n % 59) for n, name in enumerate(mine) if n % 100 < share]
        orders += [order(name, 61) for name in mine]  # too late to count
    fill(warehouse, {"customers": people, "orders": orders})
    run_again(warehouse, [SCENARIO], START + timedelta(days=60))
    (told,) = table(warehouse, "scenario_uplift")
    return told


def test_an_effect_that_is_there_is_found(tmp_path: Path) -> None:
    """Twenty of a hundred against ten: the interval holds the ten points and leaves out nothing."""
    told = measured(tmp_path, 20, 10)
    assert (told["treated"] + told["holdout"], told["enough_data"], told["verdict"]) == (
        4000,
        True,
        "more buy",
    )
    assert abs(told["treated_share"] - Decimal("0.2")) < Decimal("0.01")
    assert abs(told["holdout_share"] - Decimal("0.1")) < Decimal("0.01")
    assert 0 < told["uplift_low"] < Decimal("0.1") < told["uplift_high"] < Decimal("0.15")
    assert 0 < told["revenue_uplift_low"] < 2 < told["revenue_uplift_high"]


def test_no_effect_is_not_made_up(tmp_path: Path) -> None:
    """Ten of a hundred on both sides: the interval holds nothing at all."""
    told = measured(tmp_path, 10, 10)
    assert told["uplift_low"] < 0 < told["uplift_high"]
    assert told["verdict"] == "no difference shown"


def test_with_few_customers_there_is_no_verdict(tmp_path: Path) -> None:
    """Too few buyers for an interval: none is given, and the verdict says so; nobody counts before his days are over."""
    warehouse = Warehouse(tmp_path)
    people = [{"customer_id": f"c{n}"} for n in range(20)]
    fill(warehouse, {"customers": people, "orders": [order(f"c{n}", -300) for n in range(20)]})
    run_again(warehouse, [SCENARIO], START)
    assert table(warehouse, "scenario_uplift") == []
    run_again(warehouse, [SCENARIO], START + timedelta(days=59))
    assert table(warehouse, "scenario_uplift") == []
    run_again(warehouse, [SCENARIO], START + timedelta(days=60))
    (told,) = table(warehouse, "scenario_uplift")
    assert (told["treated"] + told["holdout"], told["uplift"], told["uplift_low"]) == (20, 0, None)
    assert (told["enough_data"], told["verdict"]) == (False, "not enough data")


def enrolments(query: str) -> pa.Table:
    """`scenario_enrolments` with the columns of a DuckDB select, the others empty."""
    with duckdb.connect() as connection:
        columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        connection.execute(f"create table told ({columns}); insert into told by name {query}")
        return connection.sql("from told").to_arrow_table()


def test_the_interval_is_wrong_about_once_in_twenty(tmp_path: Path) -> None:
    """Of 200 scenarios without any effect, about ten seem to have one: a 95 % interval, neither more nor less."""
    warehouse = Warehouse(tmp_path)
    people = """select 's' || s as scenario, 'c' || c as customer_id, date '2024-03-01' as entered_on,
        c % 2 = 0 as holdout, 60 as measured_days from range(200) a(s), range(400) b(c)"""
    warehouse.replace(TABLE, enrolments(people.replace("'c' || c", "s || '-' || c")))
    buyers = """select s || '-' || c as order_id, s || '-' || c as customer_id, timestamp '2024-03-10' as ordered_at,
        'completed' as status, 20::decimal(18, 2) as net_amount from range(200) a(s), range(400) b(c)
        where hash(s, c) % 1000 < 150"""
    with duckdb.connect() as connection:
        warehouse.replace("orders", connection.sql(buyers).to_arrow_table())
    scoring.run(scenario_uplift, warehouse, date(2024, 6, 1))
    rows = table(warehouse, "scenario_uplift")
    assert len(rows) == 200
    assert all(row["enough_data"] for row in rows)
    assert 2 <= sum(row["verdict"] != "no difference shown" for row in rows) <= 20


STORY = """select * from (values
    ('x', 'a', date '2024-01-01', false, 30, timestamp '2023-12-01', null),
    ('x', 'b', date '2024-01-01', true, 30, timestamp '2023-12-01', null),
    ('x', 'c', date '2024-01-01', false, 30, null, null),
    ('x', 'a', date '2024-02-01', false, 30, timestamp '2023-12-01', null),
    ('y', 'd', date '2024-01-01', false, 30, timestamp '2024-01-01 08:00', null),
    ('y', 'e', date '2024-02-02', false, 30, null, null))
    t(scenario, customer_id, entered_on, holdout, measured_days, last_order_at, left_on)"""
ORDERS = [
    order("a", -60, "50.00"),  # 2024-01-01, the day of entering
    order("a", -30, "5.00"),  # 2024-01-31, the last day
    order("a", -40, "-15.00", "returned"),
    order("a", -25, "900.00"),  # 2024-02-05, after the second time he entered
    order("b", -45, "500.00", "cancelled"),
    order("b", -29, "500.00"),  # 2024-02-01, a day too late
    order("c", -50, "12.50"),
    order("d", -60, "9.00"),
]


def test_what_counts_as_a_purchase(tmp_path: Path) -> None:
    """From the day of entering to the last of the days, if later than what was known; returns take away;
    only the first time counts, and only who has no day left."""
    warehouse = Warehouse(tmp_path)
    fill(warehouse, {"orders": ORDERS})
    warehouse.replace(TABLE, enrolments(STORY))
    scoring.run(scenario_uplift, warehouse, date(2024, 3, 2))
    names = (
        "scenario",
        "treated",
        "treated_buyers",
        "treated_revenue",
        "holdout",
        "holdout_buyers",
        "uplift",
    )
    told = [tuple(str(row[name]) for name in names) for row in table(warehouse, "scenario_uplift")]
    assert told == [
        ("x", "2", "2", "26.25", "1", "0", "1.0000"),
        ("y", "1", "1", "9.00", "0", "0", "None"),
    ]


def test_amounts_of_any_size_are_measured(tmp_path: Path) -> None:
    """The squares of what a customer spent outgrow 64 bits from thirty million on; the figures stay right."""
    warehouse = Warehouse(tmp_path)
    people = """select 'x' as scenario, 'c' || n as customer_id, date '2024-01-01' as entered_on,
        n % 2 = 0 as holdout, 30 as measured_days from range(40) t(n)"""
    orders = [order(f"c{n}", -50, f"{n // 2 + 1}000000000.00") for n in range(40) if n % 4 < 2]
    fill(warehouse, {"orders": orders})
    warehouse.replace(TABLE, enrolments(people))
    scoring.run(scenario_uplift, warehouse, date(2024, 3, 2), {"enough": 5})
    (told,) = table(warehouse, "scenario_uplift")
    assert told["treated_revenue"] == Decimal("5000000000.00")
    assert told["revenue_uplift"] == 0
    assert told["revenue_uplift_high"] == Decimal("4096475295.89")


def test_postgres_measures_the_same(tmp_path: Path, scores_only: sa.Engine) -> None:
    """The same statement gives the same figures on PostgreSQL, to the last digit, in both languages."""
    warehouse = Warehouse(tmp_path)
    fill(warehouse, {"orders": ORDERS})
    rows = enrolments(STORY)
    warehouse.replace(TABLE, rows)
    fill_postgres(scores_only, {"orders": ORDERS})
    columns = ", ".join(f"{n} {t.replace('varchar', 'text')}" for n, t in COLUMNS.items())
    with scores_only.begin() as connection:
        connection.exec_driver_sql(f"drop table if exists {TABLE}; create table {TABLE} ({columns})")
        insert = sa.insert(table_of(TABLE, rows.schema))
        connection.execute(insert, rows.to_pylist())
    tables = {TABLE: table_of(TABLE, rows.schema), "orders": sqlalchemy_table("orders")}
    for chosen in ({}, {"language": "fr", "enough": 5}):
        scoring.run(scenario_uplift, warehouse, date(2024, 3, 2), chosen)
        query = scoring.statement(scenario_uplift, tables, date(2024, 3, 2), chosen)
        with scores_only.connect() as connection:
            found: Rows = [dict(row) for row in connection.execute(query).mappings()]
        assert sorted(found, key=lambda row: str(row["scenario"])) == table(warehouse, "scenario_uplift")
