"""The job `backfill` under Dagster: asked for in the launchpad, done once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from connectors.sandbox.server import Sandbox
from tests.orders import rows_of
from tests.stories.dagster_shop import Shop
from tests.vendors.webhook import WEBHOOK


def ran(shop: Shop, **asked: Any) -> tuple[dg.ExecuteInProcessResult, str]:
    """One run of the job, and what its log says, or why it failed."""
    job = shop.definitions.resolve_job_def("backfill")
    done = job.execute_in_process(
        run_config={"ops": {"past": {"config": asked}}}, instance=shop.instance, raise_on_error=False
    )
    if not done.success:
        failure = done.failure_data_for_node("past")
        return done, str(failure and failure.error_display_string)
    return done, "\n".join(entry.user_message for entry in shop.instance.all_logs(done.run_id))


def test_the_launchpad_works_the_past_out_once(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The days asked for are in the score's table of the past, which the catalogue shows; asked for again
    nothing is done; a day that is none, and a score that is none, fail with words."""
    for name, value in WEBHOOK.env.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral(str(tmp_path / "dagster")) as instance:
        shop = Shop(tmp_path, sandbox, instance).open(4)
        assert shop.definitions.resolve_job_def("refresh_base").execute_in_process(instance=instance).success
        asked = {"scores": ["rfm"], "since": "2026-03-25", "until": "2026-03-27", "every": "DAY"}
        done, said = ran(shop, **asked)
        assert done.success
        assert "3 days of a score done now, 0 before" in said
        event = instance.get_latest_materialization_event(dg.AssetKey(["rfm_past"]))
        assert event is not None
        rows = rows_of(shop.project.warehouse, "rfm_past")
        assert sorted({str(row["as_of"]) for row in rows}) == ["2026-03-25", "2026-03-26", "2026-03-27"]
        assert "0 days of a score done now, 3 before" in ran(shop, **asked)[1]
        for wrong, words in (
            ({"since": "soon"}, "since, until: Invalid"),
            ({"scores": ["rfmx"]}, "no score 'rfmx'"),
        ):
            failed, said = ran(shop, **wrong)
            assert not failed.success
            assert words in said
