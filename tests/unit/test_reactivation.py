"""The call list's promises: what must not matter does not, equals are equal, and nobody is left out silently."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.scores.reactivation import borders, reactivation
from assets.scores.rfm import rfm
from assets.scores.rhythm import rhythm
from octo_dagster.errors import ConfigError
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import settings as settings_of
from octo_dagster.scoring.measures.segments import default_segments
from tests.scoring_cases import arrow, computed, fill_warehouse, needed

ROOT = Path(__file__).parents[2]
AS_OF = date(2024, 6, 30)
START = datetime.fromisoformat("2024-01-01")
PASSIVE: dict[str, Any] = {"passive_recency": 6, "big_from": 1}
"""Everybody who bought is passive and big."""

Rows = list[dict[str, Any]]
Base = dict[str, Rows]


def order(customer: str | None, hours: int, cents: int) -> dict[str, Any]:
    return {
        "customer_id": customer,
        "ordered_at": START + timedelta(hours=hours),
        "status": "completed",
        "net_amount": Decimal(cents) / 100,
    }


def happening(customer: str, hours: int, told: Mapping[str, str], at: str) -> dict[str, Any]:
    return {"customer_id": customer, at: START + timedelta(hours=hours), **told}


IDS = ["a", "b", "c", "d", "e", "f"]
HOURS = st.integers(0, 24 * 200)
BASES = st.fixed_dictionaries(
    {
        "customers": st.lists(st.sampled_from([True, True, False, None]), min_size=6, max_size=6).map(
            lambda said: [{"customer_id": i, "call_consent": c} for i, c in zip(IDS, said, strict=True)]
        ),
        "orders": st.lists(
            st.builds(order, st.sampled_from([*IDS, None]), HOURS, st.sampled_from([100, 2000, 2000, 9900])),
            max_size=20,
        ),
        "messages": st.lists(
            st.builds(
                happening,
                st.sampled_from(IDS),
                HOURS,
                st.sampled_from([{"channel": "call"}, {"channel": "mail"}, {"channel": "email"}]),
                st.just("sent_at"),
            ),
            max_size=5,
        ),
        "message_events": st.lists(
            st.builds(
                happening,
                st.sampled_from(IDS),
                HOURS,
                st.sampled_from([{"event_type": "unsubscribed"}, {"event_type": "opened"}]),
                st.just("occurred_at"),
            ),
            max_size=2,
        ),
    }
)
small = settings(max_examples=4)


def outcome(base: Mapping[str, Rows], as_of: date = AS_OF, **chosen: Any) -> Rows:
    with tempfile.TemporaryDirectory() as root:
        return computed(reactivation, base, Path(root), as_of, rfm, rhythm, **chosen)


@small
@given(BASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(base: Base, dice: Any) -> None:
    """Shuffled tables give the same table, row by row."""
    assert outcome({name: dice.sample(rows, len(rows)) for name, rows in base.items()}) == outcome(base)


@small
@given(BASES)
def test_later_rows_are_never_seen(base: Base) -> None:
    """As of an earlier day, orders, messages and events after it make no difference."""
    as_of = date(2024, 4, 15)
    end = datetime.fromisoformat("2024-04-16")
    at = {"orders": "ordered_at", "messages": "sent_at", "message_events": "occurred_at"}
    before = {n: [r for r in rows if n not in at or r[at[n]] < end] for n, rows in base.items()}
    assert outcome(base, as_of, **PASSIVE) == outcome(before, as_of, **PASSIVE)


@small
@given(BASES, st.sampled_from(["priority", "adjusted"]))
def test_every_big_passive_customer_has_a_place_or_a_reason(base: Base, rank_by: str) -> None:
    """Exactly one of the two; places start at 1, follow the priority, and equals share them."""
    rows = outcome(base, rank_by=rank_by, big_from=1)
    for row in rows:
        placed, excluded = row["reactivation_rank"], row["reactivation_excluded_because"]
        assert (placed is not None) + (excluded is not None) == row["is_big_passive"]
        assert row["is_in_top"] == (placed is not None and placed <= 100)
        assert (row["passive_segment"] is not None) == row["is_big_passive"] | row["is_small_passive"]
        assert (row["reactivation_priority"] is None) == (row["passive_segment"] is None)
    column = "reactivation_priority" + ("_adjusted" if rank_by == "adjusted" else "")
    listed = sorted((r["reactivation_rank"], -r[column]) for r in rows if r["reactivation_rank"])
    assert [weight for _, weight in listed] == sorted(weight for _, weight in listed)
    for number, (place, _) in enumerate(listed, 1):
        assert place <= number
        assert place == 1 or any(other == place - 1 or other < place for other, _ in listed)


@small
@given(BASES, st.integers(1, 9))
def test_a_customer_who_never_bought_changes_nothing(base: Base, number: int) -> None:
    """Somebody without an order moves nobody, whatever was sent to him."""
    stranger = f"z{number}"
    more = base | {
        "customers": [*base["customers"], {"customer_id": stranger, "call_consent": True}],
        "messages": [*base["messages"], happening(stranger, 50, {"channel": "call"}, "sent_at")],
    }
    assert outcome(more) == outcome(base)


@small
@given(BASES)
def test_the_same_by_hand(base: Base) -> None:
    """The select written by hand for the bench gives the same rows, column by column."""
    with tempfile.TemporaryDirectory() as root:
        filled = needed(base, (rfm, rhythm, reactivation))
        mine = computed(reactivation, filled, Path(root), AS_OF, rfm, rhythm)
        text = (ROOT / "octo_dagster/bench/by_hand/reactivation.sql").read_text("utf-8")
        warehouse = fill_warehouse(Path(root), filled)
        with warehouse.connect() as connection:
            by_hand = connection.sql(Template(text).substitute(as_of=AS_OF.isoformat()))
            rows = by_hand.order("customer_id").to_arrow_table().to_pylist()
    assert rows == mine


def test_the_shipped_settings_are_the_defaults() -> None:
    """`reactivation.yaml` shows the defaults, so that deleting it changes nothing."""
    told = settings_of.load_settings(reactivation, ROOT / "assets/scores/reactivation.yaml")
    assert told == {name: reactivation.settings[name].default for name in told}
    assert len(told) == 10


def test_do_not_contact_is_kept_wherever_the_shop_says_so(tmp_path: Path) -> None:
    """A true-or-false column `do_not_contact` of customers keeps people off the list, before any other reason."""
    base: Base = {
        "customers": [{"customer_id": i, "call_consent": True} for i in "ab"],
        "orders": [order("a", 0, 100), order("b", 0, 100)],
    }
    warehouse = fill_warehouse(tmp_path, base)
    customers = arrow("customers", base["customers"])
    warehouse.replace("customers", customers.append_column("do_not_contact", pa.array([True, None])))
    for score in (rfm, rhythm):
        scoring.run(score, warehouse, AS_OF)
    scoring.run(reactivation, warehouse, AS_OF, PASSIVE)
    with warehouse.connect() as connection:
        query = (
            "select reactivation_excluded_because, reactivation_rank from reactivation order by customer_id"
        )
        assert connection.sql(query).fetchall() == [("do not contact", None), (None, 1)]
    warehouse.replace("customers", customers.append_column("do_not_contact", pa.array(["yes", "no"])))
    with pytest.raises(ConfigError, match="customers: do_not_contact must hold true or false"):
        scoring.run(reactivation, warehouse, AS_OF)


@pytest.mark.parametrize("bins", range(3, 11))
def test_the_borders_are_those_of_the_default_segments(bins: int) -> None:
    """However many classes there are, passive and big begin where the corner segment of RFM does."""
    corner = default_segments(bins)[0]
    assert borders(bins, None, None) == (max(corner.recency), min(corner.frequency_monetary))
    assert borders(bins, 0, 1) == (0, 1)


def test_without_any_sign_of_passivity_the_settings_are_refused() -> None:
    """Neither recency nor rhythm: everybody would silently be active."""
    with pytest.raises(ConfigError, match=r"case: passive_ratio: with neither it nor `passive_recency`"):
        outcome({"customers": [], "orders": []}, passive_recency=0, passive_ratio=None)


@pytest.mark.parametrize("setting", ["big_from", "passive_recency"])
def test_a_border_beyond_rfms_classes_is_refused(setting: str) -> None:
    """With four classes nobody is big from the fifth on: said at once, not by an empty call list."""
    chosen: dict[str, Any] = {"bins": 4, setting: 5}
    with pytest.raises(ConfigError, match=f"case: {setting}: 5, and rfm has 4 classes only"):
        outcome({"customers": [], "orders": []}, **chosen)


def test_the_figures_behind_the_place_are_told() -> None:
    """The explanation names the rule, both priorities and the place, or the reason why there is none."""
    base: Base = {
        "customers": [{"customer_id": "a", "call_consent": True}, {"customer_id": "b"}],
        "orders": [order("a", 0, 1000), order("b", 0, 2000)],
    }
    assert reactivation.because is not None
    inforce = settings_of.plain_settings(reactivation, dict(PASSIVE))
    first, second = outcome(base, **PASSIVE)
    assert reactivation.because(first, inforce) == [
        "Big passive customers: passive by recency (rfm_recency up to 6, or rfi_ratio from 2 on)",
        "priority: rfm_revenue × rfm_orders = 10.00; × 1 / (1 + (rfi_ratio / 4)²) = 10.00",
        "place 1 of the call list by priority",
    ]
    assert reactivation.because(second, inforce)[-1] == "not on the call list: never asked about calls"
    active = outcome(base, passive_recency=0)[0]
    assert "not passive" in reactivation.because(active, inforce)[0]
