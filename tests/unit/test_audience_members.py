"""Who entered and left an audience, and when: `audience_members` after each look."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from octo_dagster.audiences.memberships import (
    Movement,
    Overlap,
    Size,
    latest,
    overlap,
    sizes,
    track,
)
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.warehouse import Warehouse

MONDAY, TUESDAY, WEDNESDAY, FRIDAY = (date(2024, 6, day) for day in (3, 4, 5, 7))
CONDITIONS = {"many": "coalesce(orders >= 2, false)", "some": "coalesce(orders >= 1, false)"}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def have(warehouse: Warehouse, **orders: int | None) -> None:
    """Make the profile hold these customers with so many orders."""
    table = {"customer_id": list(orders), "orders": pa.array(list(orders.values()), pa.int64())}
    warehouse.replace(PROFILE, pa.table(table))


def stays(warehouse: Warehouse, audience: str = "many") -> list[tuple[str, int, int | None]]:
    """(customer, day of June entered, day of June left), sorted."""
    with warehouse.connect() as connection:
        return connection.sql(
            f"""select customer_id, day(entered_on), day(left_on) from audience_members
                where audience = '{audience}' order by customer_id, entered_on"""
        ).fetchall()


def test_entering_and_leaving(warehouse: Warehouse) -> None:
    """A stay begins the day a customer is first seen in the audience and ends the day he is not any more."""
    have(warehouse, a=2, b=2, c=1)
    first = track(warehouse, CONDITIONS, MONDAY)
    assert first.since is None
    assert first.movements == (Movement("many", 2, 2, 0, True), Movement("some", 3, 3, 0, True))
    have(warehouse, a=2, b=1, c=2)
    second = track(warehouse, CONDITIONS, TUESDAY)
    assert stays(warehouse) == [("a", 3, None), ("b", 3, 4), ("c", 4, None)]
    assert second.since == MONDAY
    assert second.movements == (Movement("many", 2, 1, 1, False), Movement("some", 3, 0, 0, False))
    assert latest(warehouse) == second
    assert second.as_dict()["since"] == "2024-06-03"


def test_coming_back_is_a_stay_of_its_own(warehouse: Warehouse) -> None:
    """Whoever left and comes back has two rows; the first keeps its days."""
    for day, orders in ((MONDAY, 2), (TUESDAY, 0), (FRIDAY, 2)):
        have(warehouse, a=orders)
        track(warehouse, CONDITIONS, day)
    assert stays(warehouse) == [("a", 3, 4), ("a", 7, None)]


def test_the_same_day_again_changes_nothing(warehouse: Warehouse) -> None:
    """A second look the same day gives the same rows and the same report."""
    have(warehouse, a=2, b=2)
    track(warehouse, CONDITIONS, MONDAY)
    have(warehouse, a=2, c=2)
    once = track(warehouse, CONDITIONS, TUESDAY)
    rows = stays(warehouse)
    assert track(warehouse, CONDITIONS, TUESDAY) == once
    assert stays(warehouse) == rows


def test_the_same_day_with_better_rows(warehouse: Warehouse) -> None:
    """What an earlier look the same day found is undone: an entry or exit that was none leaves no trace."""
    have(warehouse, a=2, b=2)
    track(warehouse, CONDITIONS, MONDAY)
    have(warehouse, a=0, b=2, c=2)
    track(warehouse, CONDITIONS, TUESDAY)
    have(warehouse, a=2, b=2, c=0)
    told = track(warehouse, CONDITIONS, TUESDAY)
    assert stays(warehouse) == [("a", 3, None), ("b", 3, None)]
    assert told.since == MONDAY


def test_days_left_out(warehouse: Warehouse) -> None:
    """After some days without a look, changes are of the day they were seen, and the report says since when."""
    have(warehouse, a=2)
    track(warehouse, CONDITIONS, MONDAY)
    have(warehouse, b=2)
    told = track(warehouse, CONDITIONS, FRIDAY)
    assert (told.since, told.as_of) == (MONDAY, FRIDAY)
    assert stays(warehouse) == [("a", 3, 7), ("b", 7, None)]


def test_an_earlier_day_changes_nothing(warehouse: Warehouse) -> None:
    """A run for a day in the past leaves the newer memberships alone and says so."""
    have(warehouse, a=2)
    track(warehouse, CONDITIONS, WEDNESDAY)
    have(warehouse, b=2)
    version = warehouse.version("audience_members")
    told = track(warehouse, CONDITIONS, TUESDAY)
    assert told.kept
    assert told.as_of == WEDNESDAY
    assert stays(warehouse) == [("a", 5, None)]
    assert warehouse.version("audience_members") == version


def test_an_audience_without_a_file_any_more(warehouse: Warehouse) -> None:
    """Its customers leave that day; the day after it is not spoken of; a new one is marked as first seen."""
    have(warehouse, a=2)
    track(warehouse, CONDITIONS, MONDAY)
    new: Mapping[str, str] = {"some": CONDITIONS["some"], "none": "false", "all": "true"}
    told = track(warehouse, new, TUESDAY)
    assert told.movements == (
        Movement("all", 1, 1, 0, True),
        Movement("many", 0, 0, 1, False),
        Movement("some", 1, 0, 0, False),
    )
    assert "many" not in {movement.audience for movement in track(warehouse, new, WEDNESDAY).movements}
    assert stays(warehouse) == [("a", 3, 4)]


def test_without_audiences_or_customers(warehouse: Warehouse) -> None:
    """No audience, or nobody in one, is no mistake; before the first look there is nothing to tell."""
    assert latest(warehouse) is None
    have(warehouse)
    assert track(warehouse, {}, MONDAY).movements == ()
    assert track(warehouse, CONDITIONS, TUESDAY).movements == ()
    assert sizes(warehouse, CONDITIONS) == [Size("many", 0, 0.0, {}), Size("some", 0, 0.0, {})]
    assert overlap(warehouse, {}) == []


def test_types_stay_the_same(warehouse: Warehouse) -> None:
    """The table has the same columns and types from the first look on."""
    have(warehouse, a=1)
    track(warehouse, CONDITIONS, MONDAY)
    before = warehouse.schema("audience_members")
    have(warehouse, a=2)
    track(warehouse, CONDITIONS, TUESDAY)
    assert warehouse.schema("audience_members") == before
    assert [str(field.type) for field in before] == ["string", "string", "date32[day]", "date32[day]"]


def test_sizes_and_who_can_be_reached(warehouse: Warehouse) -> None:
    """A channel counts those who agreed to it and have its address; nobody asked is not agreed."""
    warehouse.replace(
        PROFILE,
        pa.table(
            {
                "customer_id": ["a", "b", "c", "d"],
                "orders": pa.array([2, 2, 2, 0], pa.int64()),
                "email": ["a@x", None, "c@x", "d@x"],
                "phone": ["1", "2", None, "4"],
                "email_consent": [True, True, None, True],
                "call_consent": [True, False, True, True],
            }
        ),
    )
    many, some = sizes(warehouse, CONDITIONS)
    assert (many.customers, many.share, many.reached_by) == (3, 0.75, {"email": 1, "call": 1})
    assert some.customers == 3


def test_overlap(warehouse: Warehouse) -> None:
    """Each pair once: customers in both, as a share of either."""
    have(warehouse, a=2, b=1, c=1, d=None)
    told = overlap(warehouse, {**CONDITIONS, "nobody": "false"})
    assert told == [
        Overlap("many", "some", 1, 1.0, 0.3333),
        Overlap("many", "nobody", 0, 0.0, 0.0),
        Overlap("some", "nobody", 0, 0.0, 0.0),
    ]
