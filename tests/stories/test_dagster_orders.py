"""The promise: a new order reaches the tools within seconds, and touches nothing it need not touch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import SourceError
from octo_dagster.live.follow import follow
from octo_dagster.ops import runlog
from tests.orders import rows_of
from tests.stories.dagster_shop import DELIVERY, PLAN, Shop, address, checks, failure, metadata

ASKED_FOR = dg.DagsterRunStatus.NOT_STARTED


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Eight customers, nothing pulled yet."""
    monkeypatch.setenv("WEBHOOK_SECRET", "sandbox-key")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Shop(tmp_path, sandbox, instance).open(8)


def look(shop: Shop, cursor: str | None = None) -> dg.SensorResult:
    """One look of the sensor, as the daemon has it."""
    context = dg.build_sensor_context(
        instance=shop.instance, cursor=cursor, repository_def=shop.definitions.get_repository_def()
    )
    found = shop.definitions.resolve_sensor_def("new_orders")(context)
    assert isinstance(found, dg.SensorResult)
    return found


def wanted(shop: Shop, cursor: str | None = None) -> dg.RunRequest:
    """The one run a look asks for."""
    (request,) = look(shop, cursor).run_requests or ()
    return request


def test_a_new_order(shop: Shop) -> None:
    """The night, then an order: the sensor asks for a run of that shop, which changes exactly that
    customer at the tool, and is seen on the very tables, plan and delivery of the night."""
    assert "never pulled" in str(look(shop).skip_reason)
    night = shop.run("nightly")
    assert night.success, failure(night)
    assert {key: held["segment"] for key, held in shop.held.items()} == shop.profile("rfm_segment")
    assert all(passed for passed, _ in checks(night).values())
    assert "nothing new" in str(look(shop).skip_reason)

    before = shop.held
    shop.buy(8, "2026-03-30")
    seen = look(shop)
    (request,) = seen.run_requests or ()
    done = shop.obey(request)
    assert done.success, failure(done)
    runlog.write(shop.project)
    mine = {row["lane"] for row in rows_of(shop.project.warehouse, "step_runs") if row["run"] == done.run_id}
    assert mine == {"live"}
    told = {e.asset_key.to_user_string() for e in done.get_asset_materialization_events() if e.asset_key}
    assert told >= {
        "raw_shop_orders",
        "orders",
        "rfm",
        "customer_profile",
        "letters_plan",
        "letters_delivery",
    }
    assert checks(done) == dict.fromkeys(("guards", "unsettled"), (True, "ERROR")) | {
        "rejected": (True, "WARN")
    }
    assert metadata(done, DELIVERY)["plan"].value == metadata(done, PLAN)["plan"].value
    assert {key: held["orders"] for key, held in shop.held.items() if held != before[key]} == {address(8): 9}
    assert "nothing new" in str(look(shop, seen.cursor).skip_reason)


def test_a_failed_run_owes_the_order(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that failed at the tool is asked for again, later each time, though nobody orders any more; a new
    order does not wait for that and takes the first along."""
    assert shop.run("nightly").success
    shop.buy(1, "2026-03-30")
    seen = look(shop)
    (request,) = seen.run_requests or ()
    assert wanted(shop).run_key == request.run_key
    monkeypatch.setenv("WEBHOOK_SECRET", "not-the-key")
    assert not shop.obey(request).success
    assert "1 in a row" in str(look(shop, seen.cursor).skip_reason)
    shop.pause = 0
    again = wanted(shop, seen.cursor)
    assert again.run_key != request.run_key
    assert not shop.obey(again).success
    assert wanted(shop, seen.cursor).run_key not in {request.run_key, again.run_key}
    shop.pause = 30
    assert "2 in a row" in str(look(shop, seen.cursor).skip_reason)

    monkeypatch.setenv("WEBHOOK_SECRET", "sandbox-key")
    assert shop.held[address(1)]["orders"] == 1
    shop.buy(2, "2026-03-31")
    last = look(shop, seen.cursor)
    (request,) = last.run_requests or ()
    assert shop.obey(request).success
    assert (shop.held[address(1)]["orders"], shop.held[address(2)]["orders"]) == (2, 3)
    assert "nothing new" in str(look(shop, last.cursor).skip_reason)


def test_orders_of_one_second(shop: Shop) -> None:
    """An order of the very second up to which the last run pulled is seen as well, and then there is quiet."""
    assert shop.run("nightly").success
    shop.buy(1, "2026-03-30")
    seen = look(shop)
    (request,) = seen.run_requests or ()
    assert shop.obey(request).success
    assert "nothing new" in str(look(shop, seen.cursor).skip_reason)
    shop.buy(2, "2026-03-30")
    for table in ("buys", "items"):
        shop.sql(
            f"update {table} set changed = changed - 1 where rowid = (select max(rowid) from {table})", [()]
        )
    late = look(shop, seen.cursor)
    (request,) = late.run_requests or ()
    assert shop.obey(request).success
    assert shop.held[address(2)]["orders"] == 3
    assert "nothing new" in str(look(shop, late.cursor).skip_reason)


def test_orders_in_a_row_share_a_run(shop: Shop) -> None:
    """While a run for this shop is under way the sensor asks for no other; what came meanwhile, and that
    run did not take along, is asked for when it has ended."""
    assert shop.run("refresh_base").success
    shop.buy(1, "2026-03-30")
    seen = look(shop)
    (request,) = seen.run_requests or ()
    begun = shop.instance.create_run_for_job(
        shop.definitions.resolve_job_def("follow_orders"), tags=dict(request.tags), status=ASKED_FOR
    )
    shop.buy(2, "2026-03-31")
    again = look(shop, seen.cursor)
    assert "under way" in str(again.skip_reason)
    assert again.cursor == seen.cursor
    shop.instance.report_run_failed(begun)
    assert wanted(shop, again.cursor).run_key != request.run_key


def test_an_order_placed_while_a_run_is_under_way(shop: Shop) -> None:
    """What was placed after a run began, and pulled by it all the same, is not refused as of the future."""
    assert shop.run("refresh_base").success
    begun = datetime(2026, 4, 1)  # noqa: DTZ001 - naive UTC, as everywhere

    def place(step: str) -> None:
        if step == "pull shop.orders":
            shop.buy(3, "2026-04-01 00:00:00.001")

    done = follow(shop.project, begun, "live", progress=place)
    assert (done.rejected, done.judged["orders"]) == (0, 1)


def test_a_shop_that_cannot_be_reached(shop: Shop) -> None:
    """A source that is down makes the look red; it is not mistaken for a shop without orders."""
    assert shop.run("refresh_base").success
    shop.sql("alter table buys rename to gone")
    with pytest.raises(SourceError, match="no such table"):
        look(shop)


def test_a_field_is_traced_to_the_shops_own_column(shop: Shop) -> None:
    """From the tool's field one can walk back, column by column, to the order's date in the shop."""
    done = shop.run("nightly")
    assert done.success, failure(done)
    found: dict[Any, Any] = {
        e.asset_key: e.materialization.metadata["dagster/column_lineage"]
        for e in done.get_asset_materialization_events()
        if "dagster/column_lineage" in e.materialization.metadata
    }
    found = {key: said.value.deps_by_column for key, said in found.items()}
    todo, seen = [(DELIVERY, "segment")], set()
    while todo:
        key, column = todo.pop()
        seen.add((key.to_user_string(), column))
        todo += [(dep.asset_key, dep.column_name) for dep in found.get(key, {}).get(column, [])]
    assert seen >= {
        ("letters_plan", "segment"),
        ("customer_profile", "rfm_segment"),
        ("rfm", "rfm_segment"),
        ("orders", "ordered_at"),
        ("raw_shop_orders", "at"),
    }
    assert ("raw_shop_orders", "id") not in seen
    assert [dep.column_name for dep in found[PLAN]["greeting"]] == ["first_name", "orders"]


def test_the_rfm_page_tells(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The score's page has its picture, its classes, its settings, the one day of the run, and leads to our
    own page where OCTO_PAGES says those are."""
    monkeypatch.setenv("OCTO_PAGES", "https://octo.example.org/")
    done = shop.run("refresh_base")
    said = metadata(done, dg.AssetKey(["rfm"]))
    assert said["picture"].value.startswith("![RFM](data:image/png;base64,")
    assert len(said["picture"].value) < 100_000
    assert said["page"].value == "https://octo.example.org/rfm"
    profile = metadata(done, dg.AssetKey(["customer_profile"]))
    assert profile["page"].value == "https://octo.example.org/customers"
    assert (
        said["as_of"].value
        == metadata(done, dg.AssetKey(["customer_profile"]))["as_of"].value
        == "2026-03-31"
    )
    assert sum(r.data["customers"] for r in said["classes/rfm_recency"].value.records) == 8
    assert {r.data["setting"] for r in said["settings"].value.records} >= {"bins", "method"}
    assert shop.held == {}


def test_rejected_rows(shop: Shop) -> None:
    """A row that breaks its contract is a warning with its reason; too many fail the table and what
    follows."""
    shop.buy(1, "no date")
    done = shop.run("refresh_base")
    assert done.success, failure(done)
    assert checks(done)["rejected_rows"] == (False, "WARN")
    said = metadata(done, dg.AssetKey(["orders"]))
    assert [r.data for r in said["reasons"].value.records] == [{"": "ordered at: not a date", "rows": 1}]
    shop.buy(1, *["no date"] * 50)
    done = shop.run("refresh_base")
    assert not done.success
    assert "51 of 87 rows rejected" in failure(done)
    assert checks(done)["rejected_rows"] == (False, "ERROR")
    assert dg.AssetKey(["rfm"]) not in [e.asset_key for e in done.get_asset_materialization_events()]


def test_a_sync_with_its_own_hours(shop: Shop) -> None:
    """A sync with a schedule is left out of the night and of new orders, and runs at its own hours."""
    shop.say(schedule="0 6 * * 1")
    definitions = shop.definitions
    steps = {
        name: {node.name for node in definitions.resolve_job_def(name).nodes_in_topological_order}
        for name in ("nightly", "follow_orders", "deliver_letters")
    }
    assert [name for name, nodes in steps.items() if "letters_plan" in nodes] == ["deliver_letters"]
    assert steps["follow_orders"] == {"follow", "note"}
    assert definitions.resolve_schedule_def("deliver_letters_schedule").cron_schedule == "0 6 * * 1"
