"""`docs/api.md` does what it says: its YAML is sound, its Python runs, its calls are those there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
import yaml
from starlette.testclient import TestClient

from connectors import registry
from octo_dagster.api.app import app
from octo_dagster.api.command import scopes
from octo_dagster.api.keys import Keys
from octo_dagster.api.server import settings
from octo_dagster.canonical.intake import Intake
from octo_dagster.config import Project
from tests.reading import EVERYTHING, published

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The page's code in one language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", blocks("yaml"))
def test_its_sources_are_sound(text: str) -> None:
    """Each YAML block is a whole source's file."""
    told = {"name": "shown", **yaml.safe_load(text)}
    assert Intake.model_validate(told, context={"sources": registry.sources()}).tables


def test_its_calls_are_there(tmp_path: Path) -> None:
    """Every address on the page is one of the API's, and every one of the API's is on the page."""
    known = TestClient(app(published(tmp_path))).get("/openapi.json").json()["paths"]
    shapes = {re.sub(r"\{\w+\}", "X", path) for path in known}
    said = {
        re.sub(r"\{\w+\}|\$\{.*?\)\}|<\w+>|4711|\bNAME\b", "X", one)
        for one in re.findall(r"/v1/[\w/{}<>$()]+", PAGE)
    }
    said = {
        path.replace("events/orders", "events/X").replace("tables/customer_profile", "tables/X")
        for path in said
    }
    assert said <= shapes
    assert shapes - said <= {"/v1/tables", "/v1/tables/X"}


@contextmanager
def answering(project: Project) -> Iterator[str]:
    """The API of a project at an address."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        running = uvicorn.Server(settings(app(project)))
        thread = threading.Thread(target=running.run, args=([bound],))
        thread.start()
        try:
            yield f"127.0.0.1:{bound.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join(10)


THEIRS = {"4711": "c1", "ada@example.com": "customer1@example.com", "rfm_segment": "segment"}
"""What the page's shop has → what the tests' shop has."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_its_calls_are_answered(tmp_path: Path) -> None:
    """Each curl of the page and of the README, pasted into a shell, is answered with what was asked for; the
    order that is posted to the page's own source is taken."""
    (tmp_path / "assets/sources").mkdir(parents=True)
    (tmp_path / "assets/sources/till.yaml").write_text(blocks("yaml")[0], encoding="utf-8")
    project = published(tmp_path)
    keys = Keys(project.home)
    held = {"OCTO_KEY": keys.add("docs", EVERYTHING), "TILL_KEY": keys.add("till", scopes(["events:orders"]))}
    calls = re.findall(r"^curl (?:.*\\\n)*.*$", "".join(blocks("sh")), re.MULTILINE)
    calls += re.findall(r"^curl .*$", README, re.MULTILINE)
    with answering(project) as address:
        for call in calls:
            told = call.replace("localhost:4200", address).replace("$KEY", "$OCTO_KEY")
            for theirs, ours in THEIRS.items():
                told = told.replace(theirs, ours)
            told = told.replace("curl ", "curl -sS --fail-with-body --noproxy '*' ", 1)
            shell = ["sh", "-c", told]
            done = subprocess.run(shell, env=os.environ | held, capture_output=True, check=False, timeout=60)
            answer = json.loads(done.stdout)
            assert done.returncode == 0, (call, answer, done.stderr)
            assert answer.get("customer_id") == "c1" or answer.get("accepted") == 1, call
    assert len(calls) >= 5


def test_its_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pasted into a file, it prints the rows that are asked for, page after page."""
    project = published(tmp_path)
    monkeypatch.setenv("OCTO_KEY", Keys(project.home).add("docs", EVERYTHING))
    with answering(project) as address:
        for text in blocks("python"):
            exec(text.replace("localhost:4200", address), {})
    assert capsys.readouterr().out.splitlines() == ["5 {'customer_id': 'c9', 'orders': 9}", "9"]


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node here")
def test_its_javascript_is_javascript(tmp_path: Path) -> None:
    """Node reads it without a complaint."""
    for text in blocks("js"):
        file = tmp_path / "shown.mjs"
        file.write_text(text)
        subprocess.run(["node", "--check", str(file)], check=True, timeout=60)
