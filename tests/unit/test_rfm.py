"""RFM's promises: exact where R's package is the measure, and indifferent to what must not matter."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.rfm import rfm
from octo_dagster.errors import ConfigError
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import settings as settings_of
from octo_dagster.scoring.measures.segments import default_segments
from octo_dagster.scoring.sql import compiled
from octo_dagster.warehouse import Warehouse
from tests.orders import Rows, scored, select

SHARED = Path(__file__).parents[2] / "../shared"
RFM_YAML = Path(__file__).parents[2] / "assets/scores/rfm.yaml"
AS_OF = date(2024, 6, 30)

shared = pytest.mark.skipif(not SHARED.exists(), reason="../shared, the data sets, is not here")

ORDERS = f"""select cast(row_number() over () as text) order_id, customer_id, order_date::timestamp ordered_at,
    'completed' status, revenue::decimal(18, 2) net_amount from '{SHARED}/data/r_rfm/rfm_data_orders.parquet'"""
RETAIL = f"""select order_id, cast(customer_id as text) customer_id, ordered_at::timestamp ordered_at, status,
    net_amount::decimal(18, 2) net_amount from '{SHARED}/data/online_retail/orders.parquet'
    where status = 'completed' and net_amount > 0"""
CUSTOMERS = f"""select c.customer_id::bigint || '-' || i order_id, c.customer_id::bigint::text customer_id,
    most_recent_visit::timestamp ordered_at, 'completed' status,
    (case when i = 1 then revenue - (number_of_orders - 1) * 0.01 else 0.01 end)::decimal(18, 2) net_amount
    from '{SHARED}/data/r_rfm/rfm_data_customer.parquet' c, range(1, 1 + number_of_orders::bigint) t(i)"""
CUSTOM = {
    "bins": 5,
    "cuts_recency": (115, 181, 297, 482),
    "cuts_frequency": (4, 5, 6, 8),
    "cuts_monetary": (256, 382, 506, 666),
}


@shared
@pytest.mark.parametrize(
    ("orders", "as_of", "expected", "chosen"),
    [
        (ORDERS, date(2006, 12, 31), "orders_bins5", {"method": "r_rfm", "bins": 5}),
        (ORDERS, date(2006, 12, 31), "orders_bins6", {"method": "r_rfm", "bins": 6}),
        (ORDERS, date(2006, 12, 31), "orders_custom", CUSTOM),
        (RETAIL, date(2011, 12, 10), "online_retail_bins5", {"method": "r_rfm", "bins": 5}),
        (RETAIL, date(2011, 12, 10), "online_retail_bins6", {"method": "r_rfm", "bins": 6}),
        (CUSTOMERS, date(2007, 1, 1), "customer_bins5", {"method": "r_rfm", "bins": 5}),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 30 else "",
)
def test_r_mode_equals_the_r_package(
    orders: str, as_of: date, expected: str, chosen: dict[str, Any], tmp_path: Path
) -> None:
    """Every class of every customer is the one that R's package `rfm` 0.3.0 gives."""
    warehouse = Warehouse(tmp_path)
    with duckdb.connect() as connection:
        warehouse.replace("orders", connection.sql(orders).to_arrow_table())
    scoring.run(rfm, warehouse, as_of, chosen)
    with warehouse.connect() as connection:
        (customers, same), *_ = connection.sql(
            f"""select count(*), count(*) filter (where (r.rfm_recency, r.rfm_frequency, r.rfm_monetary,
                r.rfm_recency_days, r.rfm_orders) = (e.recency_score, e.frequency_score, e.monetary_score,
                e.recency_days, e.transaction_count))
            from '{SHARED}/data/r_rfm/expected_{expected}.parquet' e
            full join rfm r on r.customer_id = cast(e.customer_id as text)"""
        ).fetchall()
    assert customers == same > 900


@shared
def test_online_retail_counts(tmp_path: Path) -> None:
    """On Online Retail the 4,338 known customers of the facts have a row, and ties are never split."""
    warehouse = Warehouse(tmp_path)
    with duckdb.connect() as connection:
        warehouse.replace("orders", connection.sql(RETAIL).to_arrow_table())
    assert scoring.run(rfm, warehouse, date(2011, 12, 10)).rows == 4338
    with warehouse.connect() as connection:
        split = connection.sql(
            "select rfm_orders from rfm group by 1 having count(distinct rfm_frequency) > 1"
        ).fetchall()
    assert split == []


def order(customer: str | None, day: int, status: str, cents: int) -> dict[str, Any]:
    return {
        "order_id": "x",
        "customer_id": customer,
        "ordered_at": datetime.fromisoformat("2024-06-01") + timedelta(hours=6 * day),
        "status": status,
        "net_amount": Decimal(cents) / 100,
    }


BASES = st.lists(
    st.builds(
        order,
        st.sampled_from(["a", "b", "c", "d", "e", None]),
        st.integers(0, 140),
        st.sampled_from(["completed", "completed", "completed", "returned", "cancelled"]),
        st.integers(-5000, 20000),
    ),
    max_size=25,
)
small = settings(max_examples=6)


def outcome(orders: Sequence[dict[str, Any]], as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return scored(rfm, orders, Path(root), as_of, **chosen)


@small
@given(BASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(orders: list[dict[str, Any]], dice: Any) -> None:
    """Shuffled orders give the same table, byte for byte in the same order."""
    assert outcome(dice.sample(orders, len(orders))) == outcome(orders)


@small
@given(BASES, st.integers(0, 100), st.integers(1, 10000))
def test_a_guest_changes_nothing(orders: list[dict[str, Any]], day: int, cents: int) -> None:
    """An order without a customer moves nobody's class."""
    assert outcome([*orders, order(None, day, "completed", cents)]) == outcome(orders)


@small
@given(BASES)
def test_later_orders_are_never_seen(orders: list[dict[str, Any]]) -> None:
    """A score as of the 20th is the same whether or not the later orders are in the table."""
    as_of = date(2024, 6, 20)
    before = [row for row in orders if row["ordered_at"].date() <= as_of]
    assert outcome(orders, as_of) == outcome(before, as_of)


@small
@given(
    BASES, st.sampled_from(["repeat_aware", "strict", "r_rfm"]), st.sampled_from(["mean", "product_sextile"])
)
def test_classes_are_in_range_and_rise(orders: list[dict[str, Any]], method: str, fxm: str) -> None:
    """Every class is 1 to 6, everybody has a segment, equals share a class and more is never less."""
    rows = outcome(orders, method=method, fxm=fxm)
    for row in rows:
        assert row["rfm_segment"]
        for name in ("recency", "frequency", "monetary", "frequency_monetary"):
            assert 1 <= row[f"rfm_{name}"] <= 6
    for name, measure in (("frequency", "orders"), ("monetary", "revenue")):
        ranked = sorted((row[f"rfm_{measure}"], row[f"rfm_{name}"]) for row in rows)
        assert [c for _, c in ranked] == sorted(c for _, c in ranked)
        assert len({c for _, c in set(ranked)}) <= len(set(ranked)) == len({m for m, _ in ranked})


def test_the_best_becoming_passive_are_where_the_help_page_puts_them() -> None:
    """With six bins the default segment takes recency 1–2 and FxM 5–6, and there are at most ten."""
    segments = default_segments(6)
    passive = next(segment for segment in segments if segment.en == "Best customers becoming passive")
    assert (passive.recency, passive.frequency_monetary) == ((1, 2), (5, 6))
    assert len(segments) <= 10


def test_the_shipped_settings_are_the_defaults() -> None:
    """`rfm.yaml` shows the defaults, segments included, so that deleting it changes nothing."""
    told = settings_of.load_settings(rfm, RFM_YAML)
    assert told.pop("segments") == default_segments(6)
    assert told == {name: rfm.settings[name].default for name in told}


@pytest.mark.parametrize("bins", range(3, 11))
def test_default_segments_tile_every_plane(bins: int) -> None:
    """The default segments cover each cell once for every number of bins: no ConfigError."""
    assert "rfm_segment" in select(rfm, AS_OF, bins=bins).selected_columns


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"segments": default_segments(6)[1:]}, r"rfm: segments: cell \(recency 1, frequency_monetary 5\) is in no segment"),
        ({"segments": (*default_segments(6), default_segments(6)[0])}, r"cell \(recency 1, frequency_monetary 5\) is in Best customers becoming passive and Best"),
        ({"segments": (*default_segments(6), default_segments(6)[0])}, "'Best customers becoming passive' is given twice"),
        ({"segments": default_segments(7)}, r"cell \(recency 1, frequency_monetary 7\) is outside the 6×6 plane"),
        ({"since": date(2024, 7, 1)}, "rfm: since: 2024-07-01 is after the day of the score, 2024-06-30"),
        ({"cuts_recency": (1, 2)}, "rfm: cuts_recency: 6 bins need 5 cuts, not 2"),
        ({"cuts_monetary": (5, 4, 3, 2, 1)}, "rfm: cuts_monetary: must rise from cut to cut"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(chosen: dict[str, Any], message: str) -> None:
    """Holes, overlaps, foreign cells and bad cuts are refused with the cell or the setting's name."""
    with pytest.raises(ConfigError, match=message):
        select(rfm, AS_OF, **chosen)


@pytest.mark.parametrize(("setting", "days"), [("window_days", 36_501), ("window_days", 0)])
def test_days_nobody_means_are_refused(setting: str, days: int) -> None:
    """A stretch of days is one day to a century: a slip of the finger is told, not an overflow of dates."""
    with pytest.raises(ConfigError, match=f"rfm.yaml: {setting}: "):
        settings_of.checked_settings(rfm, {setting: days}, "rfm.yaml")


def test_no_floating_division_reaches_duckdb() -> None:
    """The compiled text divides by // only, for every method: a float would move customers silently."""
    for method in ("repeat_aware", "strict", "r_rfm"):
        for fxm in ("mean", "product_sextile"):
            text = compiled(select(rfm, AS_OF, method=method, fxm=fxm))
            assert "//" in text
            assert not re.search(r"(?<!/)/(?!/)|floor|double|float|real", text, re.IGNORECASE)
