"""The button that sends owed rows again starts Dagster's run, of a real Dagster webserver in its own process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import expect

from octo_dagster.pages.syncs.dagster import Dagster, DagsterError
from tests.pages.conftest import Visit, chromium, serving, visit
from tests.pages.test_guides import follow, only_those, refused, tool
from tests.world import World

__all__ = ["chromium", "refused", "tool", "visit"]
ROOT = Path(__file__).parents[2]
SETTINGS = """
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
telemetry: {enabled: false}
"""
PATIENCE = 180.0


@contextmanager
def webserver(home: Path, project: Path) -> Iterator[str]:
    """Dagster's webserver over a project, without a daemon: runs start at once."""
    home.mkdir()
    (home / "dagster.yaml").write_text(SETTINGS)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-m", "dagster_webserver", *words],
        cwd=ROOT,
        env=os.environ | {"DAGSTER_HOME": str(home), "OCTO_PROJECT": str(project)},
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        until(lambda: answers(address), process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/server_info", trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


def until(true: object, process: subprocess.Popen[bytes]) -> None:
    """Wait for what is asked again and again; a process that ended will not bring it."""
    assert callable(true)
    end = time.monotonic() + PATIENCE
    while not true():
        assert process.poll() is None, "the webserver ended"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.5)


@pytest.mark.whole
def test_the_button_starts_dagsters_run(
    refused: World, visit: Visit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guide of operations with Dagster: the run it starts sends the two owed rows and no other, is green,
    is linked to, and was told the plan's id and no customer's key. For a sync that Dagster does not know yet, it
    says how it comes to."""
    with webserver(tmp_path / "dagster", refused.folder) as address, serving(refused.project) as served:
        monkeypatch.setenv("OCTO_DAGSTER", address)
        with pytest.raises(DagsterError, match=f"deliver_newer.* {address}/deployment/locations, Reload all"):
            Dagster(address).deliver("newer", "p", allow=False, by="eva")
        page = visit(served, "/")
        follow(page, refused)
        link = page.get_by_role("link", name="The run in Dagster")
        expect(link).to_be_visible(timeout=PATIENCE * 1000)
        run = re.sub(r".*/", "", link.get_attribute("href") or "")
        asked = {
            "query": "query($r: ID!) { runOrError(runId: $r) { ... on Run { status runConfigYaml jobName } } }"
        }
        told = {"status": ""}
        end = time.monotonic() + PATIENCE
        while told["status"] not in ("SUCCESS", "FAILURE") and time.monotonic() < end:
            time.sleep(1)
            body = {**asked, "variables": {"r": run}}
            told = httpx2.post(f"{address}/graphql", json=body, trust_env=False).json()["data"]["runOrError"]
        assert (told["status"], told["jobName"]) == ("SUCCESS", "deliver_customers")
        assert "example.com" not in told["runConfigYaml"]
        page.reload()
        expect(page.locator("#asked").locator("xpath=..").get_by_text("done", exact=True)).to_be_visible()
    only_those(refused)
