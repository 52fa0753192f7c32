"""History afterwards: each past day as it was, once, whatever happens in between, and nothing else touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from octo_dagster.cli import app
from octo_dagster.config import Project
from octo_dagster.errors import Busy, ConfigError
from octo_dagster.ops.backfill import Every, Wish, backfill, work
from octo_dagster.pages.board import Board
from octo_dagster.pages.scores.ends import days_of, ends
from octo_dagster.pages.scores.movement import flowed, known
from octo_dagster.scoring import compute as scoring
from tests.orders import rows_of
from tests.scoring_cases import arrow

TODAY = date(2024, 5, 10)
SOURCE = """
source: {type: sql, url: {env: SHOP}}
tables:
  orders: {from: orders, columns: {order_id: id, customer_id: who, ordered_at: at, net_amount: total}}
  customers: {from: people, columns: {customer_id: id}}
"""
SCORES = ("rfm", "rhythm", "reactivation")


def shop(folder: Path) -> Project:
    """Five months of orders of eleven customers, and the scores Octo comes with."""
    (folder / "assets" / "sources").mkdir(parents=True)
    (folder / "assets" / "scores").mkdir()
    (folder / "assets" / "sources" / "shop.yaml").write_text(SOURCE)
    (folder / "assets" / "project.yaml").write_text("shipped_scores: true\n")
    made = Project(folder, folder / ".octo")
    orders = [
        {
            "order_id": f"o{n}",
            "customer_id": f"c{n % 11}",
            "ordered_at": f"2024-{1 + n // 12:02}-{1 + n % 12 * 2:02} 09:00",
            "net_amount": f"{10 + 7 * n}.00",
        }
        for n in range(60)
    ]
    made.warehouse.replace("orders", arrow("orders", orders))
    made.warehouse.replace("customers", arrow("customers", [{"customer_id": f"c{n}"} for n in range(11)]))
    return made


def past(made: Project, score: str) -> dict[date, list[dict[str, Any]]]:
    """Day → the score's rows, without the day."""
    found: dict[date, list[dict[str, Any]]] = {}
    for row in sorted(rows_of(made.warehouse, f"{score}_past"), key=lambda row: row["customer_id"]):
        found.setdefault(row.pop("as_of"), []).append(row)
    return found


def test_a_past_day_is_what_the_score_gave_that_day(tmp_path: Path) -> None:
    """Each month's end holds exactly the rows of the score, and of those it reads, run for that day when no
    later order had come; the tables of today stay at their version."""
    made = shop(tmp_path)
    for name in SCORES:
        scoring.run(made.scores[name], made.warehouse, TODAY)
    before = {name: made.warehouse.version(name) for name in made.warehouse.names()}
    done = backfill(made, work(made, Wish(SCORES, date(2024, 3, 1)), TODAY))
    assert {name: made.warehouse.version(name) for name in before} == before
    days = [date(2024, 3, 31), date(2024, 4, 30)]
    assert [(one.score, one.as_of) for one in done] == [(name, day) for day in days for name in SCORES]
    orders = rows_of(made.warehouse, "orders")
    for day in reversed(days):
        then = [row for row in orders if row["ordered_at"].date() <= day]
        made.warehouse.replace("orders", arrow("orders", then))
        for name in SCORES:
            scoring.run(made.scores[name], made.warehouse, day)
            rows = sorted(rows_of(made.warehouse, name), key=lambda row: row["customer_id"])
            assert past(made, name)[day] == rows


def test_what_is_done_is_not_done_again_until_it_would_be_other(tmp_path: Path) -> None:
    """A second backfill has nothing to do; one of weeks does the weeks; other settings, and `again`, do the days
    anew in place of the old ones, also where the settings are of a score that is only read."""
    made = shop(tmp_path)
    wish = Wish(("reactivation",))
    assert len(backfill(made, work(made, wish, TODAY))) == 4
    assert work(made, wish, TODAY).steps == 0
    weeks = Wish(("reactivation",), date(2024, 4, 20), every=Every.WEEK)
    assert [one.as_of.day for one in backfill(made, work(made, weeks, TODAY))] == [21, 28, 5]
    (tmp_path / "assets" / "scores" / "rfm.yaml").write_text("bins: 3\n")
    again = Project(tmp_path, tmp_path / ".octo")
    left = work(again, wish, TODAY)
    assert (left.steps, left.skipped) == (4, 0)
    backfill(again, left)
    assert work(again, wish, TODAY).skipped == 4
    assert work(again, Wish(("reactivation",), again=True), TODAY).steps == 4
    counts = {day: len(rows) for day, rows in past(again, "reactivation").items()}
    assert len(counts) == 7
    assert set(counts.values()) == {11}


KILLED = """
import os, sys
from datetime import date
from pathlib import Path
from octo_dagster.config import Project
from octo_dagster.ops.backfill import Wish, backfill, work
project = Project(Path(sys.argv[1]), Path(sys.argv[1]) / ".octo")
left = [3]
def killed(past):
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), 9)
backfill(project, work(project, Wish(("rfm",)), date(2024, 5, 10)), killed)
"""


def test_killed_in_between_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was written before the kill is not done again, nothing is there twice, and the whole is what an
    undisturbed backfill makes."""
    made, calm = shop(tmp_path / "killed"), shop(tmp_path / "calm")
    died = subprocess.run([sys.executable, "-c", KILLED, str(made.root)], env=dict(os.environ), check=False)
    assert died.returncode == -9
    left = work(made, Wish(("rfm",)), TODAY)
    assert (left.steps, left.skipped) == (1, 3)
    backfill(made, left)
    backfill(calm, work(calm, Wish(("rfm",)), TODAY))
    assert past(made, "rfm") == past(calm, "rfm")
    assert len(past(made, "rfm")) == 4


def test_two_at_once_are_one(tmp_path: Path) -> None:
    """While one backfill is under way another is refused, and has written nothing."""
    made = shop(tmp_path)
    with made.ledger.lock("_backfill"), pytest.raises(Busy):
        backfill(made, work(made, Wish(("rfm",)), TODAY))
    assert made.warehouse.version("rfm_past") is None


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (Wish(("rfmx",)), "there is no score 'rfmx'"),
        (Wish(until=TODAY), "not over yet; the last that is over is 2024-05-09"),
        (
            Wish(since=date(2024, 4, 1), until=date(2024, 3, 1)),
            "the first day, 2024-04-01, is after the last, 2024-03-01",
        ),
    ],
    ids=["score", "today", "backwards"],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, wish: Wish, words: str) -> None:
    """An unknown score, a day that is not over, and an end before its beginning are named."""
    with pytest.raises(ConfigError, match=words):
        work(shop(tmp_path), wish, TODAY)


def test_nothing_is_worked_out_before_the_first_order(tmp_path: Path) -> None:
    """Asked from long ago, it begins when the shop did; a period wholly before that has no days."""
    made = shop(tmp_path)
    long_ago = work(made, Wish(("rfm",), since=date(1990, 1, 1)), TODAY)
    assert list(long_ago.days) == [
        date(2024, month, day) for month, day in ((1, 31), (2, 29), (3, 31), (4, 30))
    ]
    before = Wish(("rfm",), since=date(1990, 1, 1), until=date(1999, 12, 31))
    assert work(made, before, TODAY).steps == 0


def test_the_command_says_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table has a line for each score, JSON a value for each day, and a second run says it had been done."""
    made = shop(tmp_path)
    monkeypatch.setenv("OCTO_PROJECT", str(made.root))
    asked = ["backfill", "--score", "rfm", "--from", "2024-02-01", "--to", "2024-04-01"]
    first, second = CliRunner().invoke(app, asked), CliRunner().invoke(app, [*asked, "--json"])
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "│ rfm_past │ 2    │ 2024-02-29 │ 2024-03-31 │ 22" in first.output
    assert '"done_before": 2' in second.output


def test_the_page_of_movement_knows_the_days_that_were_worked_out(tmp_path: Path) -> None:
    """Beside the periods of `rfm_history` it takes any day of a backfill, each customer once, in the segment he
    was in; days of other settings are of other segments, and are left out."""
    made = shop(tmp_path)
    for name in ("rfm", "rfm_history"):
        scoring.run(made.scores[name], made.warehouse, TODAY)
    monthly = {row["period_end"] for row in rows_of(made.warehouse, "rfm_history")}
    backfill(made, work(made, Wish(("rfm",), date(2024, 3, 18), date(2024, 4, 30), Every.WEEK), TODAY))
    backfill(made, work(made, Wish(("rfm",), date(2024, 4, 1), date(2024, 4, 30)), TODAY))
    weeks = {date(2024, 3, 24), date(2024, 3, 31), *(date(2024, 4, day) for day in (7, 14, 21, 28))}
    board = Board(made)
    assert ends(board) == sorted(monthly | weeks)
    period = (date(2024, 3, 24), date(2024, 4, 30))
    then = {row["customer_id"]: row["rfm_segment"] for row in past(made, "rfm")[period[0]]}
    now = {row["customer_id"]: row["rfm_segment"] for row in past(made, "rfm")[period[1]]}
    expected = Counter((then.get(who), now.get(who)) for who in {*then, *now})
    moved = {(flow.was, flow.now): flow.customers for flow in flowed(board, period, known(board))}
    assert moved == expected
    counts = board.select(f"select day, count(*) as n from ({days_of(board, ends(board))}) group by day")
    assert {row["day"]: row["n"] for row in counts}[period[1]] == len(now)
    (tmp_path / "assets" / "scores" / "rfm.yaml").write_text("bins: 3\n")
    assert ends(Board(Project(tmp_path, made.home))) == sorted(monthly)
