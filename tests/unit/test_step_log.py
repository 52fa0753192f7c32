"""The log of pulls, judgements and scores: a row for each, however it ended, once, and no older than is kept."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from octo_dagster.config import Project
from octo_dagster.errors import OctoError, SourceError
from octo_dagster.ops import runlog
from octo_dagster.ops.rules import Alerts, facts
from octo_dagster.ops.status import status
from octo_dagster.refresh import judged_in, pulled_in, refresh
from octo_dagster.steps import Step, Trail
from tests.orders import rows_of
from tests.postgres import postgres

__all__ = ["postgres"]
NOW = datetime.fromisoformat("2026-04-01 03:00")
SOURCE: dict[str, Any] = {
    "max_rejected": "50%",
    "tables": {
        "customers": {"from": "people", "columns": {"customer_id": "id", "email": "mail"}},
        "orders": {
            "from": "buys",
            "columns": {"order_id": "id", "customer_id": "who", "ordered_at": "at", "net_amount": "total"},
        },
    },
}


def shop(folder: Path) -> Project:
    """Two customers with an order each, one order without a day."""
    (folder / "assets" / "sources").mkdir(parents=True)
    url = f"sqlite:///{folder / 'shop.sqlite'}"
    source = {"source": {"type": "sql", "url": url}, **SOURCE}
    (folder / "assets" / "sources" / "shop.yaml").write_text(yaml.safe_dump(source))
    with closing(sqlite3.connect(folder / "shop.sqlite")) as database:
        database.executescript(
            """create table people (id, mail); create table buys (id, who, at, total);
            insert into people values ('a', 'a@example.com'), ('b', 'b@example.com');
            insert into buys values ('1', 'a', '2026-03-01 10:00', 10), ('2', 'b', 'soon', 10),
                                    ('3', 'b', '2026-03-02 10:00', 10)"""
        )
    return Project(folder, folder / ".octo")


def logged(project: Project) -> list[tuple[Any, ...]]:
    """Kind, name, how it ended and the figures, in the order they began."""
    runlog.write(project)
    rows = sorted(rows_of(project.warehouse, runlog.STEP_RUNS), key=lambda row: row["started_at"])
    figures = ("kind", "name", "outcome", "rows", "kept", "rejected")
    return [tuple(row[name] for name in figures) for row in rows]


def test_every_pull_and_judgement_is_a_row(tmp_path: Path) -> None:
    """A refresh leaves a row for each table pulled and judged, with its counts, once however often it is written."""
    made = shop(tmp_path)
    refresh(made, NOW, "run1")
    expected = [
        ("pull", "customers", "done", 2, None, None),
        ("pull", "orders", "done", 3, None, None),
        ("judge", "customers", "done", 2, 2, 0),
        ("judge", "orders", "done", 3, 2, 1),
    ]
    assert logged(made) == expected
    assert logged(made) == expected
    assert {row["run"] for row in rows_of(made.warehouse, runlog.STEP_RUNS)} == {"run1"}
    assert all(row["seconds"] >= 0 for row in rows_of(made.warehouse, runlog.STEP_RUNS))
    assert not list((made.home / "locks").glob("_step_*"))


def test_what_fails_is_a_row_with_its_reason_and_an_alert_until_it_goes_well(tmp_path: Path) -> None:
    """A source that cannot be read is told of by the log, the status and an alert's fact; its next pull clears
    them."""
    made = shop(tmp_path)
    (tmp_path / "shop.sqlite").rename(tmp_path / "away")
    with pytest.raises(OctoError):
        pulled_in(made, made.intakes["shop"], "orders", NOW, "run1")
    assert logged(made)[-1][:3] == ("pull", "orders", "failed")
    (row,) = rows_of(made.warehouse, runlog.STEP_RUNS)
    assert "Error" in row["error"]

    def failing() -> list[str]:
        return [one.subject for one in facts(made, Alerts(), NOW) if one.rule == "failed" and one.fires]

    assert failing() == ["source shop"]
    (one,) = status(made, NOW)
    assert (one.outcome, one.error) == ("failed", f"orders: {row['error']}")
    (tmp_path / "shop.sqlite").unlink(missing_ok=True)
    (tmp_path / "away").rename(tmp_path / "shop.sqlite")
    for table in ("customers", "orders"):
        pulled_in(made, made.intakes["shop"], table, NOW, "run2")
        judged_in(made, table, NOW, "run2")
    assert failing() == []
    assert status(made, NOW)[0].outcome == "done"


def test_an_address_is_not_kept_and_a_bug_is_its_kind_alone(tmp_path: Path) -> None:
    """What an error quotes of a customer is hidden; what is no error on purpose is named, not quoted."""
    made = shop(tmp_path)
    for error in (SourceError("mail jane@example.com is odd"), ValueError("jane@example.com")):
        with pytest.raises(type(error)), Step(made, "score", "rfm", "run1", as_of=date(2026, 3, 31)):
            raise error
    runlog.write(made)
    said = {row["error"] for row in rows_of(made.warehouse, runlog.STEP_RUNS)}
    assert said == {"SourceError: mail j…@example.com is odd", "ValueError"}


KILLED = """
import os, sys
from datetime import datetime
from pathlib import Path
from octo_dagster.config import Project
from octo_dagster.steps import Step, Trail
project = Project(Path(sys.argv[1]), Path(sys.argv[1]) / ".octo")
with Step(project, "score", "rfm", "run1"):
    os.kill(os.getpid(), 9)
"""


def test_what_is_killed_is_interrupted_and_what_runs_is_not(tmp_path: Path) -> None:
    """A step whose process died is in the log as interrupted; one that is under way is not there yet."""
    made = shop(tmp_path)
    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ), check=False)
    assert died.returncode == -9
    with Step(made, "pull", "orders", "run2", source="shop"):
        assert logged(made) == [("score", "rfm", "interrupted", None, None, None)]
    assert logged(made)[-1][:3] == ("pull", "orders", "done")


def test_on_postgres_many_begin_at_once(
    tmp_path: Path, postgres: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of a first night, side by side over one ledger in PostgreSQL, are each there once."""
    monkeypatch.setenv("OCTO_LEDGER", postgres.url.render_as_string(hide_password=False))
    made = shop(tmp_path)

    def one(number: int) -> None:
        with Step(Project(tmp_path, made.home), "score", f"s{number}", "run1"):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, range(4)))
    assert {(kind, name, ended) for kind, name, ended, *_ in logged(made)} == {
        ("score", f"s{number}", "done") for number in range(4)
    }
    made.ledger.close()


def test_the_log_goes_no_further_back_than_is_kept(tmp_path: Path) -> None:
    """Rows older than `keep_log` days leave the tables and the ledger; they do not come back, nothing else goes."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "project.yaml").write_text("keep_log: 30\n")
    made = shop(tmp_path)
    for days in (40, 20, 0):
        made.ledger.clock = lambda days=days: NOW - timedelta(days)  # type: ignore[misc]
        with Step(made, "score", f"s{days}", "run"):
            pass
        made.ledger.begin_run("customers", f"run{days}", "plan")
        made.ledger.end_run(f"run{days}", "done", {}, None)
        if days:
            runlog.write(made)
    runlog.write(made)
    runlog.write(made)
    assert {row["name"] for row in rows_of(made.warehouse, runlog.STEP_RUNS)} == {"s20", "s0"}
    assert {row["run"] for row in rows_of(made.warehouse, runlog.SYNC_RUNS)} == {"run20", "run0"}


KILLED_LIVE = """
import os, sys
from pathlib import Path
from octo_dagster.config import Project
from octo_dagster.steps import Trail
project = Project(Path(sys.argv[1]), Path(sys.argv[1]) / ".octo")
with Trail(project.ledger, "run1") as trail:
    trail.begin("pull", "orders", "shop")
    trail.begin("judge", "orders")
    os.kill(os.getpid(), 9)
"""


def test_a_live_run_that_is_killed_leaves_what_it_had_begun(tmp_path: Path) -> None:
    """What was over is done, what was under way is interrupted; of a run that goes on nothing is there yet."""
    made = shop(tmp_path)
    died = subprocess.run([sys.executable, "-c", KILLED_LIVE, str(tmp_path)], check=False)
    assert died.returncode == -9
    with Trail(made.ledger, "run2") as trail:
        trail.begin("pull", "orders", "shop")
        trail.begin("judge", "orders")
        assert [row[:3] for row in logged(made)] == [
            ("pull", "orders", "done"),
            ("judge", "orders", "interrupted"),
        ]
    assert len(logged(made)) == len(logged(made)) == 4
    assert not list((made.home / "locks").glob("_step_*"))


def test_a_judgement_that_fails_is_its_sources(tmp_path: Path) -> None:
    """A table whose rows break their contract too often fails its source, without Dagster too."""
    made = shop(tmp_path)
    refresh(made, NOW, "run1")
    path = tmp_path / "assets" / "sources" / "shop.yaml"
    path.write_text(path.read_text().replace("50%", "1%"))
    again = Project(tmp_path, made.home)
    with pytest.raises(SourceError):
        judged_in(again, "orders", NOW, "run2")
    (one,) = status(again, NOW)
    assert one.outcome == "failed"
    assert str(one.error).startswith("orders: SourceError: ")


def test_what_was_written_long_ago_is_not_looked_at_again(tmp_path: Path) -> None:
    """A step that ended late, after others were written, is there all the same; each once."""
    made = shop(tmp_path)
    late = Step(made, "score", "slow", "run1")
    with late:
        for day in range(4):
            made.ledger.clock = lambda day=day: NOW + timedelta(day)  # type: ignore[misc]
            with Step(made, "score", f"s{day}", "run1"):
                pass
            runlog.write(made)
    expected = ["s0", "s1", "s2", "s3", "slow"]
    for _ in range(2):
        assert sorted(name for _, name, *_ in logged(made)) == expected
