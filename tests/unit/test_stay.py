"""What `make dev` says while everything is up."""

from __future__ import annotations

import subprocess

import pytest

from octo_dagster.demo.stay import exports
from octo_dagster.demo.walk import CREDENTIALS, PLACES


def test_another_terminal_is_led_to_the_same_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines it prints, pasted into a shell, give what is started there each value whole."""
    values = {name: f"/a shop's/{name}?$x&y" for name in (*PLACES, *CREDENTIALS)}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    lines = exports()
    for name in values:
        monkeypatch.delenv(name)
    shell = ["sh", "-c", "\n".join([*lines, "env -0"])]
    told = subprocess.run(shell, capture_output=True, text=True, check=True, timeout=60).stdout
    there = dict(one.split("=", 1) for one in told.split("\0") if "=" in one)
    assert {name: there.get(name) for name in values} == values
