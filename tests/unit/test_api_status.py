"""How everything stands and what it did, read by other systems."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from octo_dagster.cli import app
from octo_dagster.ops import runlog
from octo_dagster.ops.backfill import Wish, backfill, work
from octo_dagster.steps import Step
from tests.reading import asking, refusal
from tests.unit.test_backfill import TODAY, shop


def test_the_status_is_that_of_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may see runs is told what `octo status --json` prints; nobody else is."""
    made = shop(tmp_path)
    monkeypatch.setenv("OCTO_PROJECT", str(made.root))
    printed = json.loads(CliRunner().invoke(app, ["status", "--json"]).output)
    with asking(made, {"sync_runs": "*"}) as client:
        assert client.get("/v1/status").json() == {"status": printed}
        assert {one["kind"] for one in printed} == {"source", "score"}
    with asking(made, {"customer_profile": "*"}) as client:
        assert refusal(client.get("/v1/status"))[0] == 403


def test_the_log_and_the_past_are_tables(tmp_path: Path) -> None:
    """What ran, and what a score gave on a past day, are read a page at a time as any table, by a key for them."""
    made = shop(tmp_path)
    backfill(made, work(made, Wish(("rfm",), date(2024, 4, 1)), TODAY))
    with Step(made, "pull", "orders", "run1", source="shop") as step:
        step.say(rows=60)
    runlog.write(made)
    with asking(made, {"step_runs": "*", "rfm_past": "*"}) as client:
        (row,) = client.get("/v1/tables/step_runs").json()["rows"]
        assert (row["source"], row["name"], row["rows"], row["outcome"]) == ("shop", "orders", 60, "done")
        asked: dict[str, str | int] = {
            "where": "as_of:eq:2024-04-30",
            "columns": "as_of,customer_id",
            "limit": 4,
        }
        page = client.get("/v1/tables/rfm_past", params=asked).json()
        assert [one["customer_id"] for one in page["rows"]] == ["c0", "c1", "c10", "c2"]
        assert {one["as_of"] for one in page["rows"]} == {"2024-04-30"}
        assert refusal(client.get("/v1/tables/sync_runs"))[0] == 404
