"""The sensor `watch` under Dagster: a real shop whose nightly run fails, then does not."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.factory import definitions
from assets.resources import Setup
from connectors.sandbox.server import Sandbox
from octo_dagster.config import Project
from octo_dagster.ops import alerts
from octo_dagster.ops.status import status
from tests.stories.dagster_shop import TODAY, Shop
from tests.vendors.webhook import WEBHOOK


def looked(shop: Shop) -> str:
    """What one look of the sensor says."""
    defs = shop.definitions
    sensor = defs.resolve_sensor_def("watch")
    context = dg.build_sensor_context(instance=shop.instance, repository_def=defs.get_repository_def())
    return str(sensor.evaluate_tick(context).skip_message)


def test_a_failed_run_fires_and_the_sync_that_went_well_is_in_the_log(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of Dagster that failed before any delivery began fires, and so does the source it could not read; one that did well is told of as done, its
    source counted, and its log is in the warehouse."""
    for name, value in WEBHOOK.env.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral(str(tmp_path / "dagster")) as instance:
        shop = Shop(tmp_path, sandbox, instance).open(4)
        (tmp_path / "shop.sqlite").rename(tmp_path / "away.sqlite")
        failed = shop.definitions.resolve_job_def("refresh_base").execute_in_process(
            instance=instance, raise_on_error=False
        )
        assert not failed.success
        looked(shop)
        assert {
            (row["rule"], row["subject"], row["state"]) for row in alerts.listed(shop.project.ledger)
        } == {("failed", "job refresh_base", "firing"), ("failed", "source shop", "firing")}
        (tmp_path / "shop.sqlite").unlink(missing_ok=True)
        (tmp_path / "away.sqlite").rename(tmp_path / "shop.sqlite")
        assert shop.definitions.resolve_job_def("refresh_base").execute_in_process(instance=instance).success
        job = shop.definitions.resolve_job_def("deliver_" + next(iter(shop.project.syncs)))
        assert job.execute_in_process(instance=instance).success
        assert "1 runs, 4 lines" in looked(shop)
        found = {one.kind: one for one in status(shop.project, TODAY.replace(tzinfo=None))}
        assert {one.outcome for one in found.values()} == {"done"}
        assert found["sync"].counts["planned"] == 4
        assert found["source"].counts["rejected"] == 0
        assert found["source"].counts["rows"] > 4


SOURCE = """
source: {type: push}
tables:
  orders:
    from: orders
    cursor: _post
    columns: {order_id: id, customer_id: who, net_amount: total, ordered_at: at}
"""


def test_one_shops_orders_do_not_hide_that_anothers_fail(tmp_path: Path) -> None:
    """A live run that failed fires until a run of the same source goes well, whatever those of others did."""
    folder = tmp_path / "assets" / "sources"
    folder.mkdir(parents=True)
    for name in ("east", "west"):
        (folder / f"{name}.yaml").write_text(SOURCE)
    (tmp_path / "assets" / "alerts.yaml").write_text("steady: 0\n")
    project = Project(tmp_path, tmp_path / ".octo")
    made = definitions(Setup(project))
    job = made.resolve_job_def("follow_orders")
    with dg.DagsterInstance.ephemeral(str(tmp_path / "dagster")) as instance:

        def after(source: str, status: dg.DagsterRunStatus) -> list[str]:
            instance.create_run_for_job(job, tags={"octo/source": source}, status=status)
            context = dg.build_sensor_context(instance=instance, repository_def=made.get_repository_def())
            made.resolve_sensor_def("watch").evaluate_tick(context)
            return [row["state"] for row in alerts.listed(project.ledger)]

        assert after("east", dg.DagsterRunStatus.FAILURE) == ["firing"]
        assert after("west", dg.DagsterRunStatus.SUCCESS) == ["firing"]
        assert after("east", dg.DagsterRunStatus.SUCCESS) == ["ok"]
