"""The guides of `docs/` are followed to the letter: every name in bold is pressed in a browser, in the guide's
order, every block of code runs as it stands there, and what comes of it is read from the tool."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
import yaml
from playwright.sync_api import Browser, Page, expect

from connectors.sandbox.server import Sandbox
from octo_dagster.api.command import scopes
from octo_dagster.config import Project
from octo_dagster.pages.syncs import figures
from tests.pages.conftest import Served, Visit, serving, through
from tests.pages.test_syncs import LONG, PATIENCE, rows
from tests.vendors.webhook import WEBHOOK
from tests.world import World, world

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def tool(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """The twin that a guide's sync delivers to."""
    for name, value in {**WEBHOOK.env, "OCTO_SANDBOX": sandbox.address}.items():
        monkeypatch.setenv(name, value)
    return sandbox


def guide(name: str) -> str:
    return (DOCS / f"{name}.md").read_text(encoding="utf-8")


def steps(name: str) -> dict[int, list[str]]:
    """Number of a step → what is pressed in it, in order."""
    parts = re.split(r"^(\d)\. ", guide(name), flags=re.MULTILINE)[1:]
    return {
        int(n): re.findall(r"\*\*(.+?)\*\*", text) for n, text in zip(parts[::2], parts[1::2], strict=True)
    }


def block(name: str, language: str) -> str:
    """The guide's only block of this language, as a reader would copy it."""
    (found,) = re.findall(rf"^ *```{language}\n(.*?)^ *```", guide(name), re.MULTILINE | re.DOTALL)
    return re.sub(r"^   ", "", found, flags=re.MULTILINE)


def press(page: Page, name: str) -> None:
    """Press the link or the button of this name; `a customer` is the first of a sample."""
    if name == "a customer":
        through(page.locator("#sample ~ * a, #sample + * a").first)
        return
    link = page.get_by_role("link", name=name, exact=True)
    through(link.first if link.count() else page.get_by_role("button", name=name))


def test_marketing(own_shop: Served, tool: Sandbox, visit: Visit) -> None:
    """From the audience to one customer's reasons, to a plan, to the tool: what was previewed is what it holds."""
    syncs = own_shop.project.root / "assets" / "syncs"
    (syncs / "win_back.yaml").write_text(block("marketing", "yaml"), "utf-8")
    shown = Project(own_shop.project.root, own_shop.project.home).sync("win_back")
    assert shown.audience == "best_customers_becoming_passive"
    told = yaml.safe_load((syncs / "letters.yaml").read_text("utf-8")) | {"audience": shown.audience}
    (syncs / "win_back.yaml").write_text(yaml.safe_dump(told), "utf-8")
    page, ways = visit(own_shop, "/"), steps("marketing")
    for name in (*ways[1], *ways[2]):
        press(page, name)
    assert "/customers/" in page.url
    assert "rfm" in page.locator("section", has=page.locator("#why")).inner_text()
    for name in ways[3]:
        press(page, name)
    page.wait_for_url("**/plans/*", timeout=PATIENCE)
    planned = int(page.locator(".tile", has_text="Added").locator("b").inner_text())
    assert planned > 0
    press(page, ways[4][0])
    expect(page.get_by_text(f"{planned} accepted, 0 rejected.")).to_be_visible(timeout=PATIENCE)
    assert len(tool.twin("webhook").holdings()["octo"]) == planned


@pytest.fixture
def refused(tmp_path: Path, tool: Sandbox) -> World:
    """A sync of which yesterday two rows were refused."""
    made = world(tmp_path, tool, WEBHOOK)
    made.have(rows(*range(1, 10)) + rows(10, 11, segment=LONG)).deliver()
    return made


def mend(world: World) -> None:
    """Write the guide's fields into the sync's file."""
    world.say(**yaml.safe_load(block("operations", "yaml")))


def follow(page: Page, refused: World) -> None:
    """The guide of operations up to the button that sends."""
    ways = steps("operations")
    for name in ways[1]:
        press(page, name)
    reason = "TOO_LONG: over 1000 characters (segment)"
    assert reason in guide("operations")
    assert page.locator("tbody").inner_text().count(reason) == 2
    mend(refused)
    press(page, ways[3][0])


def only_those(refused: World) -> None:
    """The two owed rows are there as the mended mapping says, the others as they were."""
    held = refused.holdings("octo")
    assert [held[f"customer{n}@example.com"]["segment"] for n in (10, 11)] == ["c10", "c11"]
    assert not any(str(held[f"customer{n}@example.com"]["segment"]).startswith("c") for n in range(1, 10))
    assert figures.owed(refused.project.ledger, "customers") == []


def test_operations(refused: World, visit: Visit) -> None:
    """From the state of a sync to its refused rows; the mapping mended, those rows go again and no other."""
    with serving(refused.project) as served:
        page = visit(served, "/")
        follow(page, refused)
        expect(page.get_by_text("2 changes carried out: 2 accepted")).to_be_visible(timeout=PATIENCE)
    only_those(refused)


@contextmanager
def at_an_address(app: Any) -> Iterator[str]:
    """A shop's own server."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_web(shop: Served, chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guide's server and page, as they stand there: a visitor sees what Octo recommends to him, the key
    reads nothing else and never reaches the browser, and no other site's page can read the API."""
    words = block("web", "sh").split()
    key = shop.sessions.keys.add(words[3], scopes(words[5:]))
    for name, value in {"OCTO_API": shop.address, "OCTO_KEY": key, "OCTO_PATIENCE": "20"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    Path("shop.html").write_text(block("web", "html"), "utf-8")
    told: dict[str, Any] = {"signed_in": lambda request: "c10"}
    exec(compile(block("web", "python"), "docs/web.md", "exec"), told)
    headers = {"Authorization": f"Bearer {os.environ['OCTO_KEY']}"}
    lists = httpx2.get(f"{shop.address}/v1/customers/c10/recommendations", headers=headers)
    names = [product["name"] for products in lists.json().values() for product in products]
    assert names
    assert httpx2.get(f"{shop.address}/v1/tables/orders", headers=headers).status_code in (403, 404)
    with at_an_address(told["app"]) as address:
        page = chromium.new_page()
        page.goto(address)
        expect(page.locator("#for-you li")).to_have_count(len(names), timeout=PATIENCE)
        assert page.locator("#for-you li").all_inner_texts() == names
        assert key not in page.content()
        stolen = "address => fetch(address).then(() => 'read', () => 'refused')"
        assert page.evaluate(stolen, f"{shop.address}/v1/customers/c10/recommendations") == "refused"
        page.close()
