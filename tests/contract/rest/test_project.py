"""A whole project of ready files: a shop and three senders, copied as they are, refreshed in one go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.config import Project
from octo_dagster.refresh import refresh
from octo_dagster.source import Outside
from tests.conftest import Clock
from tests.contract.rest.front import EXAMPLES, VENDORS, Front

SECRETS = {
    **{name: value for vendor in VENDORS for name, value in vendor.env.items()},
    "KLAVIYO_API_KEY": "pk_sandbox",
    "MAILCHIMP_API_KEY": "sandboxkey-us21",
    "BREVO_API_KEY": "sandbox-key",
}


def test_a_shop_and_its_senders_are_one_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ready files of a shop, Brevo, Mailchimp and Klaviyo, copied into a project, feed one profile of each
    customer; told again, nothing moves."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "assets/sources"
    folder.mkdir(parents=True)
    for name in ("woocommerce", "brevo_events", "mailchimp_events", "klaviyo_events"):
        shutil.copy(EXAMPLES / f"{name}.yaml", folder)
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        front = Front(VENDORS[0], sandbox, clock, tmp_path)
        front.stock(8)
        sandbox.twin("brevo").happened("ZOÉ1@example.com", "requests", "<1>")
        sandbox.twin("mailchimp").campaign("sale", clock.at.isoformat())
        sandbox.twin("mailchimp").sent("sale", "zoé2@example.com")
        letter = {"$message": "m1"}
        sandbox.twin("klaviyo_events").happened("zoé3@example.com", "Received Email", clock.at, **letter)
        sandbox.twin("klaviyo_events").happened("zoé3@example.com", "Opened Email", clock.at, **letter)
        clock.sleep(60)
        project = Project(tmp_path, tmp_path / ".octo")
        monkeypatch.setenv("OCTO_SANDBOX", sandbox.address)
        project.check()
        outside = Outside(sandbox.address, clock.sleep, clock)
        done = refresh(project, clock.now(), "one", outside=outside)
        assert {table.table: (table.kept, table.rejected) for table in done.conformed} == {
            "customers": (7, 0),
            "products": (7, 0),
            "orders": (8, 0),
            "order_lines": (17, 0),
            "messages": (3, 0),
            "message_events": (2, 0),
        }
        with project.warehouse.connect() as connection:
            sent = connection.sql("select customer_id, channel from messages order by 1").fetchall()
            known = connection.sql("select count(*) from customer_profile").fetchall()
        assert sent == [("1", "email"), ("2", "email"), ("3", "email")]
        assert known == [(7,)]
        again = refresh(Project(tmp_path, tmp_path / ".octo"), clock.now(), "two", outside=outside)
        assert sum(table.rows + table.deleted for table in again.pulled) == 0
