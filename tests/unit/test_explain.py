"""Why a customer has his scores, told without his personal data."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from assets.scores.rfm import rfm
from assets.scores.rfm_trend import rfm_trend
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError, SourceError
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.scoring.explain import explain, masked
from octo_dagster.warehouse import Warehouse
from octo_dagster.words import Speaker
from tests.orders import SCHEMA


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    """Seven customers, six of whom bought once, on successive days for rising amounts."""
    house = Warehouse(tmp_path)
    ids = list("abcdefg")
    house.replace(
        "customers", pa.table({"customer_id": ids, "email": [f"{x}nna.lee@example.org" for x in ids]})
    )
    orders = [
        {
            "order_id": customer,
            "customer_id": customer,
            "ordered_at": datetime.fromisoformat(f"2024-01-0{day}"),
            "status": "completed",
            "net_amount": Decimal(10 * day),
        }
        for day, customer in enumerate("abcdef", start=1)
    ]
    house.replace("orders", pa.Table.from_pylist(orders, schema=SCHEMA))
    return house


def test_figures_cut_points_and_rules_are_told(warehouse: Warehouse) -> None:
    """Each class stands with the range of its class, FxM with its arithmetic, the segment with its cells."""
    scoring.run(rfm, warehouse, date(2024, 1, 10))
    lines = explain(warehouse, "d", [rfm]).lines()
    assert lines[0] == "customer d (d…@example.org)"
    assert "rfm, as of 2024-01-10" in lines
    assert "  rfm_recency = 4 (same class: rfm_recency_days from 6 to 6)" in lines
    assert any(line.startswith("  rfm_recency_days = 6 · rfm_orders = 1 · ") for line in lines)
    assert "  → frequency × monetary: the mean of 1 and 4, halves upwards, is 3" in lines
    assert "  → Regular customers slowing down: recency in [3, 4] and frequency × monetary in [3, 4]" in lines


def test_the_settings_in_force_are_the_ones_told(warehouse: Warehouse) -> None:
    """The explanation follows the settings noted with the table, not today's defaults."""
    scoring.run(rfm, warehouse, date(2024, 1, 10), {"fxm": "product_sextile", "language": "fr", "bins": 3})
    lines = explain(warehouse, "f", [rfm]).lines()
    assert "  → frequency × monetary: class 3 of orders × revenue" in lines
    assert "  → Meilleurs clients actifs: recency in [3] and frequency × monetary in [3]" in lines


def test_it_is_plain_json_without_personal_data(warehouse: Warehouse) -> None:
    """As a dict it is JSON, and nothing in it spells the customer's address."""
    scoring.run(rfm, warehouse, date(2024, 1, 10))
    told = json.dumps(explain(warehouse, "a", [rfm]).as_dict())
    assert "nna.lee" not in told
    assert json.loads(told)["scores"][0]["facts"][0]["column"] == "rfm_recency"


def test_absence_is_explained_too(warehouse: Warehouse) -> None:
    """A score that has not run, and one without a row for the customer, say so."""
    assert explain(warehouse, "g", [rfm]).scores[0].reasons == ("not worked out yet",)
    scoring.run(rfm, warehouse, date(2024, 1, 10))
    assert explain(warehouse, "g", [rfm]).lines()[-1] == "  → the score has no row for this customer"


def test_settings_changed_since_the_run(warehouse: Warehouse) -> None:
    """A score whose settings ask for other columns by now says so, and the profile is not joined from it."""
    scoring.run(rfm_trend, warehouse, date(2024, 1, 10))
    changed = rfm_trend.given_settings({"recent_days": 14})
    (told,) = explain(warehouse, "a", [changed]).scores
    assert told.reasons == (Speaker("en").tell("explain.changed"),)
    with pytest.raises(
        SourceError, match="customer_profile reads rfm_trend, whose settings ask for other columns"
    ):
        profile.build(warehouse, [changed], date(2024, 1, 10))


def test_a_setting_newer_than_the_table(warehouse: Warehouse) -> None:
    """What a table of an earlier Octo was worked out with is completed by the defaults."""
    scoring.run(rfm, warehouse, date(2024, 1, 10))
    note = warehouse.note("rfm")
    del note["settings"]["fxm"]
    with warehouse.connect() as connection:
        warehouse.replace("rfm", connection.sql("from rfm").to_arrow_table(), note)
    assert "mean of" in explain(warehouse, "a", [rfm]).scores[0].reasons[0]


def test_an_unknown_customer_is_an_error(warehouse: Warehouse, tmp_path: Path) -> None:
    """Nobody of that id, or no customers at all, is said plainly."""
    with pytest.raises(SourceError, match="customer 'zz' is not in customers"):
        explain(warehouse, "zz", [rfm])
    with pytest.raises(SourceError, match="no customers yet"):
        explain(Warehouse(tmp_path / "empty"), "a", [rfm])


@pytest.mark.parametrize(
    ("email", "shown"),
    [
        ("anna.lee@example.org", "a…@example.org"),
        ("nobody", None),
        ("@x.org", None),
        (None, None),
        ("", None),
    ],
)
def test_emails_are_masked(email: str | None, shown: str | None) -> None:
    """The first letter and the domain are all that is shown."""
    assert masked(email) == shown


def test_scenarios_are_explained_among_the_scores(tmp_path: Path) -> None:
    """Without names everything on the profile is told, the customer's scenario too; a wrong name is refused."""
    project = Project(Path(__file__).parents[2], tmp_path)
    assert [score.name for score in project.chosen(None)] == [*project.scores, "scenario_state"]
    assert [score.name for score in project.chosen(["scenario_state"])] == ["scenario_state"]
    with pytest.raises(ConfigError, match=r"there is no score 'rmf'; there are .*scenario_state"):
        project.chosen(["rmf"])
