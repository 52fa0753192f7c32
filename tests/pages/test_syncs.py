"""Syncs' pages: what would change is seen before it is sent, a person's word sends exactly that, and what the
tool refused goes again alone. What is asserted is what the tool's twin holds afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger import now
from octo_dagster.delivery.plan import Options
from octo_dagster.ops import alerts
from octo_dagster.ops.rules import Fact
from tests.pages.conftest import Served, Visit, serving, through
from tests.pages.test_every_page import FAULTS
from tests.vendors.webhook import WEBHOOK
from tests.world import World, row, world

LONG = "x" * 1_001
"""A value the twin refuses, for its row only."""
PATIENCE = 60_000
"""Milliseconds an errand may take on a busy machine; it usually takes two thousand."""


@pytest.fixture
def tool(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A sync called `customers` in front of the webhook's twin."""
    for name, value in {**WEBHOOK.env, "OCTO_SANDBOX": sandbox.address}.items():
        monkeypatch.setenv(name, value)
    return world(tmp_path, sandbox, WEBHOOK).say(mode="mirror")


@pytest.fixture
def served(tool: World) -> Iterator[Served]:
    with serving(tool.project) as made:
        yield made


def rows(*numbers: int, **changed: Any) -> list[dict[str, Any]]:
    return [row(n, **changed) for n in numbers]


def drawn(page: Page) -> None:
    """Ask what would change, and wait until it is there."""
    page.get_by_role("button", name="What would change?").click()
    page.wait_for_url("**/plans/*", timeout=PATIENCE)


def test_a_plan_is_seen_then_sent(tool: World, served: Served, visit: Visit) -> None:
    """A preview sends nothing and shows each field before and after; approving sends exactly that plan, also
    when only the keyboard is used; the run's figures add up."""
    tool.have(rows(*range(20)))
    tool.deliver()
    tool.have(rows(*range(1, 20)) + rows(30) + rows(40, email=None))
    tool.have(rows(2, segment="changed") + rows(*[n for n in range(1, 20) if n != 2]) + rows(30))
    before, calls = tool.holdings("octo"), len(tool.sandbox.calls("webhook"))
    page = visit(served, "/syncs")
    page.get_by_role("link", name="customers", exact=True).click()
    drawn(page)
    assert (tool.holdings("octo"), len(tool.sandbox.calls("webhook"))) == (before, calls)
    assert "customer0@example.com" in page.locator("#changes ~ .scroll tbody").inner_text()  # removals first
    through(page.get_by_role("link", name="Changed (1)"))
    moved = page.locator("#changes ~ .scroll tbody tr")
    assert (moved.locator("del").inner_text(), moved.locator("ins").inner_text()) == ("lost", "changed")
    page.get_by_role("button", name="Approve: send 3 changes").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("3 changes carried out: 3 accepted, 0 rejected.")).to_be_visible(timeout=PATIENCE)
    held = tool.holdings("octo")
    assert (held["customer2@example.com"]["segment"], held["customer30@example.com"]["orders"]) == (
        "changed",
        30,
    )
    assert held["customer0@example.com"].get("segment") is None
    figures = page.locator("#runs").locator("xpath=ancestor::section").locator("tbody tr").first
    assert figures.locator("td.number").all_inner_texts()[:6] == ["3", "3", "0", "0", "0", "0"]


def test_a_guard_wants_an_explicit_word(tool: World, served: Served, visit: Visit) -> None:
    """A plan the guards refuse says why, is not sent without the box being ticked, and is sent with it."""
    tool.have(rows(*range(20)))
    tool.deliver()
    tool.have(rows(*range(10)))
    page = visit(served, "/syncs/customers")
    drawn(page)
    assert "10 of 20 would be removed" in page.get_by_role("alert").inner_text()
    page.get_by_role("button", name="Approve: send 10 changes").click()
    expect(page.get_by_label("Although the guards refuse it")).to_be_focused()  # the browser asks for the box
    assert page.url.split("/")[-2] == "plans"
    headers, cookies = {"origin": served.address}, {"octo_session": served.session()}
    httpx2.post(f"{page.url}/approve", headers=headers, cookies=cookies)
    page.goto("/syncs/customers/errand")
    expect(page.get_by_text("A guard refuses this plan; nothing was sent.")).to_be_visible(timeout=PATIENCE)
    assert all(found.get("segment") for found in tool.holdings("octo").values())
    page.get_by_role("link", name="The plan", exact=True).click()
    page.get_by_label("Although the guards refuse it").check()
    page.get_by_role("button", name="Approve: send 10 changes").click()
    expect(page.get_by_text("10 changes carried out: 10 accepted, 0 rejected.")).to_be_visible(
        timeout=PATIENCE
    )
    assert sum(not found.get("segment") for found in tool.holdings("octo").values()) == 10


def test_what_is_owed_goes_again_alone(tool: World, served: Served, visit: Visit) -> None:
    """Refused rows are listed with the tool's reason; the button sends them again and no other row."""
    tool.have(rows(*range(1, 10)) + rows(10, 11, segment=LONG))
    tool.deliver()
    tool.have(rows(*range(1, 10), segment="moved too") + rows(10, 11))
    page = visit(served, "/syncs/customers/owed")
    assert page.get_by_role("heading", level=1).inner_text() == "2 rows are owed"
    assert "TOO_LONG" in page.locator("tbody").inner_text()
    page.get_by_role("button", name="Send these 2 rows again, and nothing else").click()
    expect(page.get_by_text("2 changes carried out: 2 accepted, 0 rejected.")).to_be_visible(timeout=PATIENCE)
    held = tool.holdings("octo")
    assert held["customer10@example.com"]["segment"] == row(10)["segment"]
    assert held["customer1@example.com"]["segment"] == row(1)["segment"]
    page.goto("/syncs/customers/changes")
    page.get_by_label("Outcome").select_option("rejected")
    page.get_by_label("Record").fill("Customer10@example.com")
    through(page.get_by_role("button", name="Filter"))
    assert page.locator("tbody tr").count() == 1
    assert "example.com" not in page.url


def test_a_refused_plan_is_gone(tool: World, served: Served, visit: Visit) -> None:
    """A plan that was refused cannot be carried out by anybody; one the world has left behind says so."""
    tool.have(rows(1, 2))
    plan = tool.plan()
    page = visit(served, f"/syncs/customers/plans/{plan.id}")
    through(page.get_by_role("button", name="Refuse"))
    assert "nothing was sent" in page.get_by_role("status").inner_text()
    assert not tool.project.plans.path("customers", plan.id).exists()
    stale = tool.plan()
    tool.have(rows(1, 2, 3))
    page.goto(f"/syncs/customers/plans/{stale.id}")
    assert "cannot be carried out any more" in page.locator("main").inner_text()
    assert page.get_by_role("button", name="Approve").count() == 0


def test_a_busy_sync_is_said_kindly(tool: World, served: Served, visit: Visit) -> None:
    """While a run has the sync, who wants a preview is told to try again, and nothing breaks."""
    tool.have(rows(1))
    page = visit(served, "/syncs/customers")
    with tool.project.ledger.lock("customers"):
        page.get_by_role("button", name="What would change?").click()
        told = page.get_by_text("Another run of this sync is under way. Try again when it is over.")
        expect(told).to_be_visible(timeout=PATIENCE)


def test_who_may_look_changes_nothing(tool: World, served: Served, visit: Visit) -> None:
    """A key that may only look sees plans and no buttons, and is refused what buttons do."""
    tool.have(rows(1))
    plan = tool.plan(Options(limit=1))
    page = visit(served, f"/syncs/customers/plans/{plan.id}", may_act=False)
    assert page.locator("main button").count() == 0
    cookies, headers = {"octo_session": served.session(may_act=False)}, {"origin": served.address}
    for path in (f"plans/{plan.id}/approve", f"plans/{plan.id}/refuse", "preview", "retry"):
        reply = httpx2.post(f"{served.address}/syncs/customers/{path}", cookies=cookies, headers=headers)
        assert reply.status_code == 403
    assert (tool.project.plans.load("customers", plan.id).id, tool.holdings("octo")) == (plan.id, {})


def test_every_page_of_a_sync_is_for_everybody(tool: World, served: Served, visit: Visit) -> None:
    """On a phone, in French: plan, owed rows, changes and the sync itself have nothing one stumbles over."""
    tool.have(rows(*range(1, 10)) + rows(10, 11, segment=LONG))
    tool.deliver()
    tool.have(rows(*range(5)))
    plan = tool.plan()
    for path in ("", "/owed", "/changes", f"/plans/{plan.id}"):
        page = visit(served, f"/syncs/customers{path}", language="fr", phone=True)
        assert page.evaluate(FAULTS) == [], path


def test_when_it_runs_next(tool: World, served: Served) -> None:
    """A sync's page and the list say when it is due by its file: its own hours, else those of the night."""
    cookies = {"octo_session": served.session(may_act=False)}
    tool.say(schedule="5 4 1 1 *")
    assert "1 Jan 20" in httpx2.get(f"{served.address}/syncs", cookies=cookies).text
    own = httpx2.get(f"{served.address}/syncs/customers", cookies=cookies).text
    assert (", 04:05" in own, "with the night" in own) == (True, False)
    tool.say(schedule=None)
    assert "with the night" in httpx2.get(f"{served.address}/syncs/customers", cookies=cookies).text


def test_alarms_stand_above_the_list(tool: World, served: Served) -> None:
    """What fires, in words, and what is older than its hours let it be, is said above the syncs with a link."""
    tool.have(rows(1, 2)).deliver()
    sizes = Fact("audience", "audience best", True, "audience", {"n": 30, "usual": 1234})
    failed = Fact("failed", "source shop", True, "failed", {"error": "<b>no</b>"})
    alerts.watch(tool.project, now(), [sizes, failed])
    tool.say(fresh_within=0.000_000_1)
    cookies = {"octo_session": served.session(may_act=False), "octo_language": "en"}
    told = httpx2.get(f"{served.address}/syncs", cookies=cookies).text
    assert "What needs looking at" in told
    assert "nothing good since" in told
    assert '<a href="/audiences/best">best</a>: audience, ' in told
    assert "30 customers; usual are 1,234. Its rule" in told
    assert "source shop: failed, " in told
    assert "&lt;b&gt;no&lt;/b&gt;" in told
    said = httpx2.get(f"{served.address}/syncs", cookies={**cookies, "octo_language": "fr"}).text
    assert "30 clients ; d&#39;habitude 1\N{NARROW NO-BREAK SPACE}234. Sa règle" in said
    assert "source shop: échec, " in said
