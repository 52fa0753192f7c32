"""The bench of the live lane: what it says when orders do not arrive, and the shop that it makes up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import psutil
import pytest

from octo_dagster.bench import stage
from octo_dagster.bench.burst import burst
from octo_dagster.bench.crowd import Crowd
from octo_dagster.bench.live import one_by_one
from octo_dagster.bench.world import ROOT, TWIN, World, fill, now
from octo_dagster.config import Project
from octo_dagster.demo.walk import CREDENTIALS

CUSTOMERS = 60


@pytest.fixture(scope="module")
def deserted() -> Iterator[World]:
    """A shop and both tools, as after the night, and nobody who follows its orders. In a folder of our own:
    pytest's is closed to PostgreSQL's user."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="octo-world-")))
        variables = stack.enter_context(pytest.MonkeyPatch.context())
        shop = stack.enter_context(Crowd(folder / "shop", CUSTOMERS, now()))
        sandbox, _ = stack.enter_context(stage.sandbox(TWIN))
        told = {
            "SHOP_DATABASE_URL": shop.url,
            "OCTO_SANDBOX": sandbox,
            "OCTO_HOME": str(folder / "home"),
            "OCTO_PROJECT": str(ROOT),
        }
        for name, value in {**CREDENTIALS, **told}.items():
            variables.setenv(name, value)
        project = Project.here()
        fill(shop, project)
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        yield World(shop, project, sandbox, instance, psutil.Process(), patience=0.2)


def test_the_crowd_is_a_shop_like_the_demos(deserted: World) -> None:
    """Every row keeps to its contract, most customers have bought, and all who agreed are at Brevo."""
    with deserted.project.warehouse.connect() as connection:
        counts = "select count(*), count(*) filter (where orders > 0) from customer_profile"
        customers, buyers = connection.sql(counts).fetchall()[0]
        refused = connection.sql("select count(*) from rejected_rows").fetchall()[0][0]
    assert (customers, refused) == (CUSTOMERS, 0)
    assert customers / 2 < buyers
    assert buyers / 10 < len(deserted.households) < buyers / 2
    assert all(deserted.held(household) > 0 for household in deserted.households)


def test_a_lost_order_is_told_as_a_figure(deserted: World) -> None:
    """An order nobody follows does not end the measurement: it is a figure that is not met, with the reason."""
    (lost,) = one_by_one(deserted, 2)
    assert lost.met is False
    assert "an order is lost after 0.2 s: no run was asked for" in lost.measure


def test_a_failed_burst_tells_what_is_owed(deserted: World) -> None:
    """Every customer whose orders did not come is counted as having too few, and it says that no run began."""
    told = {figure.measure.split(": ", 1)[1]: figure for figure in burst(deserted, 5, 0.1)}
    few = told["customers with too few orders"]
    assert few.value == few.other > 0
    assert few.met is False
    assert told["customers with too many orders"].met is True
    assert told["no run was asked for"].met is False
