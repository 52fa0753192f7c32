"""What guards refuse: another place, another audience; and what a share means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.guard import allowed, trips
from octo_dagster.delivery.plan import Counts, Plan
from octo_dagster.errors import PlanRefused, PlanStale
from octo_dagster.model import FieldType
from octo_dagster.run import carry_out
from octo_dagster.sync import Guards
from tests.vendors.brevo import BREVO
from tests.vendors.examinee import Examinee
from tests.vendors.salesforce import SALESFORCE
from tests.vendors.webhook import WEBHOOK
from tests.world import World, row, world


def plan(**counts: int) -> Plan:
    """A plan with these counts."""
    return Plan("p", "s", "mirror", "t", 1, 1, "d", Counts(**counts), "k", {"k": FieldType.TEXT})


def shop_of(
    examinee: Examinee, folder: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, **said: Any
) -> World:
    for name, value in examinee.env.items():
        monkeypatch.setenv(name, value)
    made = world(folder, sandbox, examinee, **said)
    examinee.prepare(sandbox.twin(examinee.name))
    return made


MOVES: list[tuple[Examinee, str, dict[str, Any], dict[str, Any]]] = [
    (BREVO, "SEGMENT", {"list": "Others"}, {}),
    (BREVO, "SEGMENT", {}, {"key": {"from": "customer_id", "to": "EXT_ID"}}),
    (SALESFORCE, "Octo_Segment__c", {"object": "Lead"}, {}),
]


@pytest.mark.parametrize(("examinee", "field", "settings", "said"), MOVES)
def test_another_place_is_another_sync(
    examinee: Examinee,
    field: str,
    settings: dict[str, Any],
    said: dict[str, Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sync whose list, object or key field is edited is refused: nothing is known of what is held there."""
    fields = [{"from": "segment", "to": field}]
    shop = shop_of(examinee, tmp_path, sandbox, monkeypatch, fields=fields)
    assert shop.have([row(1)]).deliver().exit_code == 0
    calls = len(sandbox.calls(examinee.name))
    shop.say(destination={**examinee.settings, **settings}, **said)
    with pytest.raises(PlanRefused, match="Give the sync for the new place a name of its own"):
        shop.plan()
    assert len(sandbox.calls(examinee.name)) == calls


def test_a_mistyped_address_can_be_mended(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that took nothing may be corrected; one that took something is the sync's for good."""
    shop = shop_of(WEBHOOK, tmp_path, sandbox, monkeypatch).have([row(1)])
    address = str(WEBHOOK.settings["url"])
    shop.say(destination={**WEBHOOK.settings, "url": f"{address}/no/such"})
    assert shop.deliver().exit_code == 7
    shop.say(destination=WEBHOOK.settings)
    assert shop.deliver().tally.accepted == 1
    shop.say(destination={**WEBHOOK.settings, "url": f"{address}2"}).have([row(2)])
    assert "these credentials belong to" in str(shop.deliver().error)


def test_an_edited_audience_makes_a_plan_stale(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan drawn under an audience's old rule is refused once the rule is another."""
    shop = shop_of(WEBHOOK, tmp_path, sandbox, monkeypatch, audience="some")
    rule = tmp_path / "assets" / "audiences" / "some.yaml"
    rule.parent.mkdir(parents=True)
    rule.write_text("rule: orders >= 1\n")
    drawn = shop.have([row(1), row(2)]).plan()
    assert drawn.changes == 2
    rule.write_text("rule: orders >= 2\n")
    with pytest.raises(PlanStale, match="its audience moved"):
        carry_out(drawn, shop.sync, shop.project, drawn.id, shop.around)
    assert shop.deliver().tally.accepted == 1


@pytest.mark.parametrize(
    ("most", "of", "may"),
    [(0.05, 20, 1), (0.05, 1, 1), (0.05, 0, 0), (3, 1_000, 3), (0, 1_000, 0), (1.0, 7, 7), (0.07, 100, 7)],
)
def test_shares_and_counts(most: int | float, of: int, may: int) -> None:
    """A share is rounded up, so that one of a few may move; a whole number is a count."""
    assert allowed(most, of) == may


def test_what_trips() -> None:
    """Each guard says how much would change of how much, and what is usual; a first delivery trips none."""
    guards = Guards()
    assert trips(plan(rows=100, added=100), guards) == ()
    assert trips(plan(rows=0, held=100, removed=100), guards) == (
        "the source is empty and 100 records are held",
        "100 of 100 would be removed; at most 5% is usual",
    )
    assert trips(plan(rows=100, held=100, changed=51), guards) == (
        "51 of 100 would be changed; at most 50% is usual",
    )
    assert trips(plan(rows=100, held=100, invalid=6), Guards(max_invalid=5)) == (
        "6 of 100 would be invalid; at most 5 is usual",
    )
