"""Brevo under the whole engine: plan, deliver, settle and verify against the twin."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.delivery.pace import Pace
from octo_dagster.errors import ConfigError
from octo_dagster.run import carry_out, prepare
from tests.vendors.brevo import BREVO
from tests.world import World, row, world

FIELDS = [
    {"from": "segment", "to": "SEGMENT", "nulls": "clear"},
    {"from": "orders", "to": "ORDERS"},
    {"from": "revenue", "to": "REVENUE", "nulls": "clear"},
    {"from": "consent", "to": "WANTS_MAIL", "type": "boolean"},
]
EVERYTHING = {"max_removed": 1.0, "max_changed": 1.0}


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A mirror of the customers in one list; who leaves the audience leaves the list."""
    for name, value in BREVO.env.items():
        monkeypatch.setenv(name, value)
    return world(tmp_path, sandbox, BREVO, fields=FIELDS, mode="mirror", guards=EVERYTHING)


def held(shop: World) -> dict[str, dict[str, Any]]:
    """E-mail → contact, of those in the list."""
    rows = shop.sandbox.twin("brevo").holdings()["contacts"]
    return {found["email"]: found for found in rows if found["lists"] == "Octo customers"}


def test_who_leaves_the_audience_leaves_the_list_only(shop: World) -> None:
    """The contact stays, with its blocklist mark; the others stay in the list."""
    shop.have([row(n) for n in range(5)]).deliver()
    account = shop.sandbox.twin("brevo").accounts["sandbox-key"]
    account.find("EMAIL", "customer1@example.com").email_blacklisted = True
    report = shop.have([row(n) for n in range(5) if n != 1]).deliver()
    assert set(held(shop)) == {f"customer{n}@example.com" for n in (0, 2, 3, 4)}
    gone = account.find("EMAIL", "customer1@example.com")
    assert (gone.lists, gone.email_blacklisted) == (set(), True)
    assert (report.tally.accepted, report.exit_code) == (1, 0)


@pytest.mark.parametrize("kind", ["half_job", "drop_after", "drop_before", "error_after", "throttle"])
def test_a_job_gone_wrong_is_made_good(shop: World, kind: str) -> None:
    """Failed, cut off or refused for haste: every customer is held as wanted, once, and the run is green."""
    how = {} if kind == "half_job" else {"path": "/contacts/import"}
    shop.sandbox.fault("brevo", kind, **how)
    report = shop.have([row(n) for n in range(1, 9)]).deliver()
    assert (report.tally.accepted, report.unaccounted, report.exit_code) == (8, 0, 0)
    assert {found["ORDERS"] for found in held(shop).values()} == set(range(1, 9))
    assert len(shop.sandbox.twin("brevo").holdings()["contacts"]) == 8
    assert shop.plan().changes == 0


def test_orders_in_a_trickle_spend_nothing_of_the_hundred_calls_an_hour(shop: World) -> None:
    """Once the account is known, a change asks neither after it nor after its job: both have 100 calls an
    hour between them, and orders come faster. Other credentials are asked for anew, and refused."""
    shop.have([row(n) for n in range(8)]).deliver()
    before = len(shop.sandbox.calls("brevo"))
    for orders in range(50, 53):
        report = shop.have([row(n, orders=orders if n < 4 else n) for n in range(8)]).deliver()
        assert (report.tally.accepted, report.exit_code) == (4, 0)
    calls = shop.sandbox.calls("brevo")[before:]
    assert calls
    assert [call.path for call in calls if not call.path.startswith("/v3/contacts")] == []
    assert sorted(found["ORDERS"] for found in held(shop).values()) == [4, 5, 6, 7, 52, 52, 52, 52]

    os.environ["BREVO_API_KEY"] = "sandbox-key-2"
    report = shop.have([row(1)]).deliver()
    assert (report.exit_code, "octo-sandbox-2" in (report.error or "")) == (7, True)


def test_a_used_up_quota_keeps_nobody_waiting(shop: World, tmp_path: Path) -> None:
    """Who may not wait for it hears so at once, with nothing sent; when there is quota again all is sent."""
    sync, project = shop.have([row(1)]).sync, shop.project
    hurried = replace(shop.around, queue=0.0, pace_store=tmp_path / "pace.sqlite")
    with closing(Pace(sync.destination.rates, hurried.pace_store, "brevo")) as pace:
        for _ in range(100):
            pace.wait("/v3/processes/1")
    report = carry_out(prepare(sync, project, around=hurried), sync, project, around=hurried)
    assert report.error == "brevo: its quota of 100 calls in 3,600 s is used up; what is left stays owed"
    assert (report.exit_code, held(shop)) == (5, {})
    assert shop.deliver().tally.accepted == 1


def test_what_brevo_drops_in_silence_is_rejected(shop: World) -> None:
    """Where an import does not hear `false`, the row is counted as rejected with the field's name."""
    shop.have([row(1), row(2)]).deliver()
    shop.sandbox.twin("brevo").deaf_to_false = True
    report = shop.have([row(1, consent=False), row(2, segment=None)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (1, 1, 4)
    log = sa.select(CHANGELOG.c.reason).where(CHANGELOG.c.outcome == "rejected")
    (line,) = shop.project.ledger.read(log)
    assert line["reason"] == "accepted by the destination, but not stored: WANTS_MAIL"
    assert "SEGMENT" not in held(shop)["customer2@example.com"]


def test_who_withdraws_consent_is_never_kept_on_the_list(shop: World) -> None:
    """A file that would only empty his fields, and leave him where he is written to, is refused; so is `delete`,
    which comes to the same for whoever Octo did not make. Who may leave, leaves."""
    shop.say(on_remove="clear", consent="consent")
    with pytest.raises(ConfigError, match=r"customers\.yaml: on_remove: with `consent`, leave"):
        shop.plan()
    shop.say(on_remove="delete", consent="consent")
    with pytest.raises(ConfigError, match=r"customers\.yaml: on_remove: brevo can clear, leave"):
        shop.plan()
    shop.say(on_remove="leave", consent="consent").have([row(1), row(2)]).deliver()
    assert shop.have([row(1, consent=False), row(2)]).deliver().exit_code == 0
    assert set(held(shop)) == {"customer2@example.com"}


def test_clear_empties_and_keeps(shop: World) -> None:
    """`on_remove: clear` empties what Octo wrote; the contact and its place in the list stay."""
    shop.say(on_remove="clear").have([row(1), row(2)]).deliver()
    assert shop.have([row(2)]).deliver().exit_code == 0
    assert "ORDERS" not in held(shop)["customer1@example.com"]
    assert held(shop)["customer2@example.com"]["ORDERS"] == 2
