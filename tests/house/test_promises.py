"""What people rely on by name: the command's verbs, its exit codes, and that no secret is ever shown."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from octo_dagster import errors
from octo_dagster.config import Project
from octo_dagster.errors import OctoError
from tests.contract.sitting import build
from tests.vendors.every import EXAMINEES
from tests.vendors.examinee import Examinee

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("help.txt")


def said(*arguments: str) -> str:
    """What `octo` prints, 100 columns wide and without colours."""
    env = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    code = "from octo_dagster.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


def test_the_command_is_as_written_down() -> None:
    """`octo --help` is `tests/house/help.txt`; after a change that is meant, SNAPSHOT=write makes it anew."""
    words = re.sub(r"Usage: .*? \[", "Usage: octo [", said("--help")).strip() + "\n"
    if os.environ.get("SNAPSHOT") == "write":
        SNAPSHOT.write_text(words, encoding="utf-8")
    assert SNAPSHOT.read_text(encoding="utf-8") == words


def kinds() -> list[type[OctoError]]:
    """Every error of the tree."""
    found = [value for value in vars(errors).values() if inspect.isclass(value)]
    return [value for value in found if issubclass(value, OctoError)]


def test_exit_codes_are_documented() -> None:
    """Every error stands in the tree at the top of `errors.py`, and every exit code in the README."""
    tree = errors.__doc__ or ""
    for kind in kinds():
        line = next((line for line in tree.splitlines() if re.search(rf"\b{kind.__name__}\b", line)), None)
        assert line is not None, kind
        told = re.search(r"exit (\d)", line)
        assert told is None or int(told[1]) == kind.exit_code, kind
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {
        int(code) for code in re.findall(r"\b(\d)\s+(?=[a-z])", readme.partition("Exit codes")[2][:600])
    }
    assert {kind.exit_code for kind in kinds()} | {0} <= listed


@pytest.mark.parametrize("examinee", EXAMINEES, ids=lambda examinee: examinee.name)
def test_a_destination_shows_no_secret(examinee: Examinee, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its repr nor its file as JSON holds a credential, set or not."""
    for name, value in examinee.env.items():
        monkeypatch.setenv(name, value)
    made = build(examinee)
    shown = repr(made) + str(made) + made.model_dump_json()
    assert [value for value in examinee.env.values() if value in shown] == []


def test_the_shipped_files_are_good(tmp_path: Path) -> None:
    """Every YAML file of `assets/` loads, secrets unset: a file names them, it does not hold them."""
    project = Project(ROOT, tmp_path)
    assert project.syncs
    assert project.audiences
    assert project.intakes
    assert not (tmp_path / "ledger.sqlite").exists(), "reading files makes no state"
