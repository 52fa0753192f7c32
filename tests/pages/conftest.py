"""A real small shop, worked out whole, served by a real server, looked at by a real browser.

`shop` is made once a session and never written to. A test that changes something takes `own_shop`, a copy.
`visit(...)` gives a signed-in page; whatever it loads from elsewhere, and whatever its console complains of,
fails the test.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from filelock import FileLock
from playwright.sync_api import Browser, Locator, Page, Response, sync_playwright

from octo_dagster.config import Project
from octo_dagster.pages.front import front
from octo_dagster.pages.sessions import Sessions
from tests.pages.shop import made

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@dataclass
class Served:
    """A project's pages at an address."""

    project: Project
    sessions: Sessions
    address: str

    def session(self, may_act: bool = True) -> str:
        """A new session's token."""
        name = f"{'acting' if may_act else 'looking'} {time.monotonic_ns()}"
        secret = self.sessions.keys.add(name, {}, pages="act" if may_act else "look")
        token = self.sessions.by_key(secret)
        assert token is not None
        return token


@contextmanager
def serving(project: Project) -> Iterator[Served]:
    """The API and the pages of a project by uvicorn, on a port of the system's choice."""
    sessions = Sessions(project.home)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        config = uvicorn.Config(front(project, sessions), access_log=False, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.01)
        yield Served(project, sessions, f"http://127.0.0.1:{bound.getsockname()[1]}")
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def finished_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project whose every score, audience and sync was run once; the same for all processes
    of this run of tests."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(base / "pages.lock"):
        if not (base / "shop").exists():
            made(base / "shop.draft")
            (base / "shop.draft").rename(base / "shop")
    return base / "shop"


@pytest.fixture(scope="session")
def shop(finished_shop: Path) -> Iterator[Served]:
    """The shop, served; for looking at only."""
    with serving(Project(finished_shop, finished_shop / ".octo")) as served:
        yield served


@pytest.fixture
def own_shop(finished_shop: Path, tmp_path: Path) -> Iterator[Served]:
    """A copy of the shop, served; for tests that change it."""
    shutil.copytree(finished_shop, tmp_path / "shop")
    with serving(Project(tmp_path / "shop", tmp_path / "shop" / ".octo")) as served:
        yield served


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a file. Not for longer: while playwright is at work its event loop runs,
    and nothing else in the process could run another (Dagster does)."""
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield browser
        browser.close()


@dataclass
class Looked:
    """What happened in a browser that should not have."""

    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


Visit = Callable[..., Page]


@pytest.fixture
def visit(chromium: Browser) -> Iterator[Visit]:
    """`visit(served, "/customers", language="fr", phone=True, may_act=False)`: a page, signed in."""
    looked, contexts = Looked(), []

    def go(served: Served, path: str = "/", **how: Any) -> Page:
        context = chromium.new_context(
            base_url=served.address,
            viewport=PHONE if how.get("phone") else DESK,  # type: ignore[arg-type]
            locale=how.get("language", "en"),
            java_script_enabled=how.get("scripts", True),
            color_scheme="dark" if how.get("dark") else "light",
            has_touch=bool(how.get("phone")),
        )
        contexts.append(context)
        if how.get("signed_in", True):
            token = served.session(how.get("may_act", True))
            context.add_cookies([{"name": "octo_session", "value": token, "url": served.address}])
        context.on("request", lambda request: outside(request.url, served.address, looked))
        page = context.new_page()
        page.on("console", lambda said: complained(said.type, said.text, looked))
        page.on("response", lambda response: refused(response, looked))
        page.on("pageerror", lambda error: looked.complaints.append(str(error)))
        page.goto(path)
        return page

    yield go
    for context in contexts:
        context.close()
    assert looked.elsewhere == [], "a page loads from elsewhere"
    assert looked.complaints == [], "the console complains"


def through(way: Locator) -> None:
    """Press a link or a button that leads to another page, and wait until that page is whole: what is read
    next is read there, and what was sent has been answered."""
    with way.page.expect_navigation():
        way.click()


def outside(url: str, address: str, looked: Looked) -> None:
    if not url.startswith((address, "data:", "blob:")):
        looked.elsewhere.append(url)


def complained(kind: str, text: str, looked: Looked) -> None:
    """A page that is refused as such is no complaint; what a page loads and is refused, is."""
    if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
        looked.complaints.append(text)


def refused(response: Response, looked: Looked) -> None:
    if response.status >= 400 and response.request.resource_type != "document":
        looked.complaints.append(f"{response.status}: {response.url}")
