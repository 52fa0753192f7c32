"""Cron lines and what they mean in a time zone, in files and in Dagster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pytest

from assets import keys
from assets.factory import definitions
from assets.resources import Setup
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.hours import checked_cron, due, farthest
from octo_dagster.ops.rules import Alerts, facts


def at(*parts: int) -> datetime:
    """A moment in UTC, without a zone."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("line", "after", "then"),
    [
        ("0 2 * * *", at(2026, 1, 10), at(2026, 1, 10, 1)),
        ("0 2 * * *", at(2026, 7, 10), at(2026, 7, 11)),
        ("30 2 * * *", at(2026, 3, 29), at(2026, 3, 29, 1)),
        ("30 2 * * *", at(2026, 10, 24, 12), at(2026, 10, 25, 0, 30)),
        ("30 2 * * *", at(2026, 10, 25, 0, 30), at(2026, 10, 26, 1, 30)),
    ],
    ids=["winter", "summer", "an hour that is not there", "an hour twice", "the day after"],
)
def test_when_a_line_is_due_in_paris(line: str, after: datetime, then: datetime) -> None:
    """By the clocks people look at, on the two days they are changed as well."""
    assert due(line, "Europe/Paris", after) == then


def test_how_far_apart_runs_may_be() -> None:
    """On working days only, a weekend lies between two of them."""
    assert farthest("0 6 * * 1-5", "UTC", at(2026, 11, 22)) == timedelta(days=3)


@pytest.mark.parametrize("asked", [at(2026, 11, 20, 12), at(2026, 11, 21, 10), at(2026, 11, 23, 3)])
def test_hours_by_day_leave_out_nights_and_weekends(asked: datetime) -> None:
    """Every five minutes on working days is not stale on a Saturday, whenever one asks."""
    assert farthest("*/5 8-18 * * 1-5", "Europe/Paris", asked) == timedelta(days=2, hours=13, minutes=5)


@pytest.mark.parametrize("line", ["nonsense", "61 * * * *", "0 2 30 2 *", ""])
def test_a_line_that_is_none(line: str) -> None:
    """It is refused when the file is read, and not at the hour it never comes."""
    with pytest.raises(ValueError, match="cron line"):
        checked_cron(line)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with one source, two scores and a night of its own."""
    assets = tmp_path / "assets"
    (assets / "sources").mkdir(parents=True)
    (assets / "scores").mkdir()
    (assets / "project.yaml").write_text(
        "shipped_scores: true\nnightly: 30 3 * * *\ntimezone: Europe/Paris\n"
    )
    (assets / "scores" / "rhythm.yaml").write_text("schedule: 0 5 * * 1\n")
    (assets / "sources" / "files.yaml").write_text(
        "source: {type: files, folder: .}\ntables:\n  orders:\n    from: '*.csv'\n"
        "    columns: {order_id: id, customer_id: who, ordered_at: at, net_amount: sum}\n"
    )
    return tmp_path


def test_a_score_with_hours_of_its_own(shop: Path) -> None:
    """It leaves the night, and its own schedule works it out and joins the profile anew, by the shop's clock."""
    project = Project(shop, shop / ".octo")
    project.check()
    made = definitions(Setup(project))
    schedules = made.get_repository_def().schedule_defs
    told = {one.name: (one.cron_schedule, one.execution_timezone) for one in schedules}
    assert told == {
        "nightly_schedule": ("30 3 * * *", "Europe/Paris"),
        "score_rhythm_schedule": ("0 5 * * 1", "Europe/Paris"),
    }
    selected = {
        job: {key.to_user_string() for key in made.resolve_job_def(job).asset_layer.executable_asset_keys}
        for job in ("nightly", "score_rhythm")
    }
    assert "rhythm" not in selected["nightly"]
    assert "rfm" in selected["nightly"]
    assert selected["score_rhythm"] == {"rhythm", "customer_profile"}


def test_a_table_is_stale_after_its_own_hours(shop: Path) -> None:
    """A nightly table after a day and some, a weekly one after a week and some."""
    graph = definitions(Setup(Project(shop, shop / ".octo"))).resolve_asset_graph()
    windows = {}
    for name in ("rfm", "rhythm"):
        policy = graph.get(dg.AssetKey([name])).freshness_policy
        assert policy is not None
        windows[name] = policy.fail_window.to_timedelta()  # type: ignore[attr-defined]
    assert timedelta(hours=27) <= windows["rfm"] <= timedelta(hours=28)
    assert timedelta(days=7, hours=3) <= windows["rhythm"] <= timedelta(days=7, hours=4)
    assert keys.PROFILE in {spec.key for spec in graph.asset_nodes}


def test_a_file_says_itself_how_old_its_table_may_be(shop: Path) -> None:
    """A source's or a score's `fresh_within` is Dagster's freshness, the status's, and what the alert `stale`
    goes by, whether it is shorter or longer than the hours."""
    source = shop / "assets" / "sources" / "files.yaml"
    source.write_text("fresh_within: 72\n" + source.read_text())
    (shop / "assets" / "scores" / "rfm.yaml").write_text("fresh_within: 1.5\nbins: 6\n")
    project = Project(shop, shop / ".octo")
    project.check()
    assert project.scores["rfm"].in_force["bins"] == 6
    graph = definitions(Setup(project)).resolve_asset_graph()
    windows = {}
    for name in ("rfm", "orders", "raw_files_orders"):
        policy = graph.get(dg.AssetKey([name])).freshness_policy
        assert policy is not None
        windows[name] = policy.fail_window.to_timedelta()  # type: ignore[attr-defined]
    day = timedelta(days=1)
    assert windows == {"rfm": timedelta(hours=1.5), "orders": 3 * day, "raw_files_orders": 3 * day}
    project.warehouse.replace("rfm", pa.table({"customer_id": ["a"]}))
    project.warehouse.replace("orders", pa.table({"order_id": ["1"]}))
    later = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=40)
    stale = {fact.subject: fact.fires for fact in facts(project, Alerts(), later) if fact.rule == "stale"}
    assert stale == {"source files": False, "score rfm": True}


@pytest.mark.parametrize("said", ["soon", "0", "yes"])
def test_a_window_that_is_none_is_named(shop: Path, said: str) -> None:
    """By the file and the field."""
    (shop / "assets" / "scores" / "rhythm.yaml").write_text(f"fresh_within: {said}\n")
    with pytest.raises(ConfigError, match=r"rhythm\.yaml: fresh_within: not a number of hours above 0"):
        Project(shop, shop / ".octo").check()


def test_hours_that_are_none_are_named(shop: Path) -> None:
    """By the file and the field, beside every other mistake."""
    (shop / "assets" / "scores" / "rhythm.yaml").write_text("schedule: weekly\n")
    with pytest.raises(ConfigError, match=r"rhythm\.yaml: schedule: not a cron line"):
        Project(shop, shop / ".octo").check()
