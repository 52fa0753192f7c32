"""The sandbox's page: what is held, what the last visit changed, who called."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from connectors.sandbox.server import Sandbox
from connectors.sandbox.vendor import QUIET_SECONDS
from tests.conftest import Clock


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    """A sandbox whose visits are told apart by the test's clock."""
    with Sandbox(clock=clock) as running:
        yield running


def visit(sandbox: Sandbox, clock: Clock, records: dict[str, dict[str, Any] | None]) -> None:
    """After a silence, one call, and the webhook's twin holds these (None: no longer)."""
    clock.sleep(2 * QUIET_SECONDS)
    requests.post(f"{sandbox.address}/webhook/octo", timeout=5)
    held = sandbox.twin("webhook").hooks.setdefault("octo", {})
    for key, fields in records.items():
        held.pop(key, None) if fields is None else held.setdefault(key, {}).update(fields)


def page(sandbox: Sandbox, search: str = "") -> str:
    reply = requests.get(f"{sandbox.address}/", params={"q": search}, timeout=5)
    assert reply.headers["Content-Type"].startswith("text/html")
    return re.sub(r"\s+", " ", reply.text)


def test_the_last_visit_s_changes_are_marked(sandbox: Sandbox, clock: Clock) -> None:
    """A changed cell shows what it was, beside records that are new and records that are gone."""
    visit(sandbox, clock, {"ada": {"rfm": "at risk", "orders": 1}, "bob": {"rfm": "loyal"}})
    visit(sandbox, clock, {"ada": {"rfm": "champion"}, "bob": None, "eve": {"rfm": "new"}})
    shown = page(sandbox)
    assert '<td class="was"><del>at risk</del>champion</td>' in shown
    assert shown.count('class="was"') == 1
    for state in ("changed", "gone", "new"):
        assert f'<span class="tag {state}">1 {state}</span>' in shown


def test_looking_does_not_unmark(sandbox: Sandbox, clock: Clock) -> None:
    """A later visit that changes nothing, such as one that only reads, leaves the marks as they were."""
    visit(sandbox, clock, {"ada": {"rfm": "at risk"}})
    visit(sandbox, clock, {"ada": {"rfm": "champion"}})
    visit(sandbox, clock, {})
    visit(sandbox, clock, {})
    assert "<del>at risk</del>champion" in page(sandbox)


def test_what_changed_is_not_far_away(sandbox: Sandbox, clock: Clock) -> None:
    """The address comes first, then the id, then the changed column, before all the others."""
    visit(sandbox, clock, {"7": {"one": 1, "two": 2, "rfm": "at risk", "mail": "ada@example.com"}})
    visit(sandbox, clock, {"7": {"rfm": "champion"}})
    assert re.findall(r"<th>(\w+)</th>", page(sandbox))[:5] == ["mail", "key", "rfm", "one", "two"]


def test_many_records_stay_readable(sandbox: Sandbox, clock: Clock) -> None:
    """Of 2,500 records the first 50 are shown, changed ones on top, and the search finds the others."""
    visit(sandbox, clock, {f"customer{n}": {"orders": n} for n in range(2_500)})
    visit(sandbox, clock, {"customer2400": {"orders": 7}})
    started = time.monotonic()
    shown = page(sandbox)
    assert time.monotonic() - started < 5
    rows = re.findall(r'<tr class="\w*"> ?<td[^>]*>(\w+)</td>', shown)
    assert len(rows) == 50
    assert rows[0] == "customer2400"
    assert "2,500, first 50 shown" in shown
    assert "1 of 2,500 match" in page(sandbox, "CUSTOMER2399")


def test_what_customers_are_called_is_only_text(sandbox: Sandbox, clock: Clock) -> None:
    """Values are shown as text, whatever they look like; nested and empty ones too."""
    nasty = "<script>alert('x')</script>"
    visit(sandbox, clock, {"ada": {"name": nasty, "more": {"of": ["a", "b"]}, "ok": True, "none": None}})
    shown = page(sandbox, nasty)
    assert nasty not in shown
    assert html.escape(nasty).replace("&#x27;", "&#39;") in shown
    assert "<td>a, b</td>" in shown
    assert "<th>more.of</th>" in shown
    assert "<th>none</th>" not in shown


def test_calls_and_faults_are_listed(sandbox: Sandbox, clock: Clock) -> None:
    """The latest call is first, a call that got no reply says so, and armed faults are in sight."""
    sandbox.fault("webhook", "drop_before", path="octo")
    with pytest.raises(requests.exceptions.ConnectionError):
        visit(sandbox, clock, {})
    visit(sandbox, clock, {})
    sandbox.fault("webhook", "throttle", method="POST", path="octo")
    shown = page(sandbox)
    assert shown.index(">401</td>") < shown.index(">cut off</td>")
    assert "fault armed: throttle on POST octo" in shown
    assert "Not called so far: " in shown
