"""The purchase rhythm holds for any orders, says what led to it, and agrees with others' reading of real ones."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.rhythm import rhythm, rhythm_shares_by_cohort
from octo_dagster.errors import ConfigError
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.measures.cycles import STAGES
from octo_dagster.scoring.settings import checked_settings, load_settings, plain_settings
from octo_dagster.scoring.sql import table_of
from octo_dagster.warehouse import Warehouse
from tests.orders import fill
from tests.postgres import postgres, scores_only
from tests.scoring_cases import by_hand, computed

__all__ = ["postgres", "scores_only"]

AS_OF = date(2024, 6, 30)
SHARED = Path(__file__).parents[2] / "../shared/data"
small = settings(max_examples=6)

Rows = list[dict[str, Any]]


def order(customer: str | None, day: int, status: str = "completed", amount: str = "10.00") -> dict[str, Any]:
    at = datetime.fromisoformat("2024-04-01T12:00") + timedelta(days=day)
    return {"customer_id": customer, "ordered_at": at, "status": status, "net_amount": Decimal(amount)}


BASES = st.lists(
    st.builds(
        order,
        st.sampled_from([*"abcde", None]),
        st.integers(0, 100),
        st.sampled_from(["completed", "completed", "completed", "cancelled", "returned"]),
        st.sampled_from(["10.00", "25.50", "0.00"]),
    ),
    max_size=40,
)


def outcome(orders: Sequence[dict[str, Any]], as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return computed(rhythm, {"orders": list(orders)}, Path(root), as_of, **chosen)


@small
@given(BASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(orders: Rows, dice: Any) -> None:
    """Shuffled orders give the same table, in the same order."""
    assert outcome(dice.sample(orders, len(orders))) == outcome(orders)


@small
@given(BASES)
def test_an_order_split_in_two_changes_nothing(orders: Rows) -> None:
    """An order entered as two of the same day is one purchase still."""
    assert outcome([*orders, *orders]) == outcome(orders)


@small
@given(BASES, st.integers(0, 90), st.integers(1, 9))
def test_a_single_purchase_of_anybody_moves_nobody(orders: Rows, day: int, times: int) -> None:
    """A customer who bought on one day, and guests, change no other customer's figures."""
    more = [order("z", day)] * times + [order(None, day + 1), order(None, day)]
    assert [row for row in outcome([*orders, *more]) if row["customer_id"] != "z"] == outcome(orders)


@small
@given(BASES)
def test_later_orders_are_never_seen(orders: Rows) -> None:
    """The rhythm as of a day is the same whether or not the later orders are in the table."""
    as_of = date(2024, 5, 20)
    assert outcome(orders, as_of) == outcome([o for o in orders if o["ordered_at"].date() <= as_of], as_of)


@small
@given(BASES, st.integers(1, 4), st.integers(1, 5))
def test_figures_are_in_range_and_agree(orders: Rows, minimum: int, shrinkage: int) -> None:
    """Cycle, ratio, expected date, lateness and stage tell one story, whatever the settings."""
    ends = [float(stage.below or "inf") for stage in STAGES]
    words = dict(zip((stage.en for stage in STAGES), zip([0, *ends[:-1]], ends, strict=True), strict=True))
    for row in outcome(orders, minimum=minimum, shrinkage=shrinkage):
        bought, ratio, due = row["rfi_purchase_days"], row["rfi_ratio"], row["rfi_next_expected_date"]
        assert row["rfi_first_purchase_date"] <= row["rfi_last_purchase_date"] <= AS_OF
        assert (row["rfi_first_purchase_date"] == row["rfi_last_purchase_date"]) == (bought == 1)
        if row["rfi_avg_delay"] is None:
            assert (row["rfi_label"], ratio, due, row["return_index"]) == (
                "single purchase",
                None,
                None,
                None,
            )
            continue
        assert row["rfi_avg_delay"] >= 1
        assert (ratio >= 1) == (due <= AS_OF)
        assert row["rfi_days_late"] == max((AS_OF - due).days, 0)
        assert 0 < row["return_index"] <= Decimal(bought) / 30
        if bought < minimum:
            assert row["rfi_label"] == ("single purchase" if bought == 1 else "too few purchases")
        else:
            low, high = words[row["rfi_label"]]
            assert low <= ratio < high


@small
@given(BASES)
def test_equal_customers_have_equal_figures(orders: Rows) -> None:
    """A customer who bought on the same days as another has all his figures."""
    twin = [{**row, "customer_id": "twin"} for row in orders if row["customer_id"] == "a"]
    rows = {row.pop("customer_id"): row for row in outcome([*orders, *twin])}
    assert rows.get("twin") == rows.get("a")


@small
@given(BASES)
def test_the_same_by_hand(orders: Rows) -> None:
    """`by_hand/rhythm.sql` gives the score's rows exactly."""
    with tempfile.TemporaryDirectory() as root:
        assert by_hand("rhythm", {"orders": orders}, AS_OF, Path(root)) == outcome(orders)


def told(orders: Rows, customer: str, **chosen: Any) -> list[str]:
    (row,) = [row for row in outcome(orders, **chosen) if row["customer_id"] == customer]
    assert rhythm.because is not None
    return rhythm.because(row, plain_settings(rhythm, checked_settings(rhythm, chosen, "test")))


MONTHLY = [order("a", 0), order("a", 30), order("a", 60), order("b", 80), order("b", 80)]


def test_it_says_what_led_to_the_label() -> None:
    """The cycle with where it comes from, what of it has passed by when, and the bounds of the stage."""
    assert told(MONTHLY, "a") == [
        "bought on 3 days, every 30.0 on plain average: a cycle of 30.00 days, the mean by logarithms of"
        " these gaps and 2 of the usual length",
        "last bought on 2024-05-31, expected again by 2024-06-30: 1.0000 of the cycle has passed",
        "late: from 1 to below 2 cycles",
    ]
    assert (
        told(MONTHLY, "b")[0] == "bought on one day only: the usual cycle of those who came back, 30.00 days"
    )
    assert told(MONTHLY, "b")[2] == "single purchase: placed from 2 purchase days on"
    assert told([order("a", 0), order("a", 2)], "a")[2] == "inactive: from 4 on cycles"
    assert told([order("a", 0)], "a") == [
        "single purchase: nobody in this shop has come back yet, so no cycle is known"
    ]


def test_who_stands_on_a_bound_is_told_the_stage_he_is_in() -> None:
    """A ratio of exactly 1.1 is past a stage that ends at 1.1, in the label and in its reason."""
    stages = [{"en": "early", "fr": "tôt", "below": 1.1}, {"en": "end", "fr": "fin"}]
    orders = [order("a", -3), order("a", 27), order("a", 57)]
    assert told(orders, "a", stages=stages)[2] == "end: from 1.1 on cycles"


def test_the_shipped_settings_are_the_defaults() -> None:
    """`rhythm.yaml` shows the defaults, stages included, so that deleting it changes nothing."""
    folder = Path(__file__).parents[2] / "assets/scores"
    for score in (rhythm, rhythm_shares_by_cohort):
        shipped = load_settings(score, folder / f"{score.name}.yaml")
        assert shipped == {name: score.settings[name].default for name in shipped} != {}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"stages": [{"en": "a", "fr": "a", "below": 2}, {"en": "b", "fr": "b", "below": 1}, {"en": "c", "fr": "c"}]}, "stages: `below` must rise from stage to stage"),
        ({"stages": [{"en": "a", "fr": "a"}, {"en": "b", "fr": "b"}]}, "stages: `below` must rise from stage to stage"),
        ({"stages": [{"en": "a", "fr": "a", "below": 1}, {"en": "b", "fr": "b", "below": 2}]}, "stages: 'b' is the last: it has no `below`"),
        ({"single": {"en": "late", "fr": "seul"}}, "stages: 'late' is given twice"),
        ({"too_few": {"en": "few", "fr": "inactif"}}, "stages: 'inactif' is given twice"),
        ({"minimum": 0}, "minimum"),
        ({"shrinkage": 0}, "shrinkage"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(chosen: dict[str, Any], message: str) -> None:
    """Stages that do not rise, an end of the last one, labels given twice and bad numbers are refused."""
    with pytest.raises(ConfigError, match=message):
        checked_settings(rhythm, chosen, "rhythm.yaml")


@pytest.mark.parametrize(("period", "cohorts"), [("quarter", ["2024-Q1", "2024-Q2"]), ("month", ["2024-03", "2024-04", "2024-11"])])  # fmt: skip
def test_shares_by_cohort(period: str, cohorts: list[str], tmp_path: Path) -> None:
    """Customers are counted by when they bought first; the shares of a cohort add up to 1."""
    days = {"quarter": [-1, 0, 40], "month": [-1, 0, 225]}[period]
    orders = [
        order(f"{day}{n}", day + extra) for day in days for n in range(3) for extra in range(0, 9 * n + 1, 9)
    ]
    rows = computed(
        rhythm_shares_by_cohort, {"orders": orders}, tmp_path, date(2025, 1, 31), rhythm, period=period
    )
    assert sorted({row["cohort"] for row in rows}) == cohorts
    for cohort in cohorts:
        mine = [row for row in rows if row["cohort"] == cohort]
        assert sum(row["share"] for row in mine) == pytest.approx(Decimal(1), abs=Decimal("0.001"))
        (single,) = [row for row in mine if row["rfi_label"] == "single purchase"]
        assert single["share"] == pytest.approx(Decimal(1) / 3, abs=Decimal("0.0001"))


def real_orders(shop: str) -> pa.Table:
    file = SHARED / shop / "orders.parquet"
    if not file.exists():
        pytest.skip(f"{file} is not there")
    return read(
        "select order_id::varchar as order_id, customer_id::varchar as customer_id, ordered_at::timestamp as"
        f" ordered_at, status, net_amount::decimal(18, 2) as net_amount from '{file}'"
    )


def read(query: str, **tables: pa.Table) -> pa.Table:
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table)
        return connection.sql(query).to_arrow_table()


@pytest.mark.parametrize(
    ("shop", "last_day"), [("online_retail", date(2011, 12, 9)), ("complete_journey", date(2018, 1, 1))]
)
def test_purchase_days_are_those_of_pymc_marketing(shop: str, last_day: date, tmp_path: Path) -> None:
    """Purchase days, first and last of real shops agree with `rfm_summary` of pymc-marketing 0.19.2, exactly.

    Its table counts free orders of Complete Journey as purchases: they are put at one cent here."""
    orders = real_orders(shop)
    if shop == "complete_journey":
        free = "select * replace (greatest(net_amount, 0.01)::decimal(18, 2) as net_amount) from orders"
        orders = read(free, orders=orders)
    warehouse = Warehouse(tmp_path)
    warehouse.replace("orders", orders)
    scoring.run(rhythm, warehouse, last_day)
    expected = SHARED / f"pymc_marketing_expected/summary_{shop}.parquet"
    with warehouse.connect() as connection:
        odd = connection.sql(f"""
            select count(*) from rhythm full join (select * replace (customer_id::varchar as customer_id)
                from '{expected}') theirs using (customer_id)
            where rfi_purchase_days is distinct from frequency + 1
                or rfi_last_purchase_date - rfi_first_purchase_date is distinct from recency
                or date '{last_day}' - rfi_first_purchase_date is distinct from "T\"""").fetchall()
    assert odd == [(0,)]


def test_postgres_agrees_on_a_real_shop(scores_only: sa.Engine, tmp_path: Path) -> None:
    """Every figure of Online Retail's customers is the same on PostgreSQL as on DuckDB."""
    orders = real_orders("online_retail")
    warehouse = Warehouse(tmp_path)
    warehouse.replace("orders", orders)
    scoring.run(rhythm, warehouse, date(2011, 8, 31))
    fill(scores_only, orders)
    tables = {"orders": table_of("orders", orders.schema)}
    theirs = scoring.rows_on(scores_only, scoring.statement(rhythm, tables, date(2011, 8, 31), {}))
    with warehouse.connect() as connection:
        assert theirs == connection.sql("select * from rhythm").to_arrow_table().to_pylist()
