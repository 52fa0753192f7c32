"""The API against its own description, for as long as it takes; and what it thanked for, after a kill."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from schemathesis import GenerationMode

from octo_dagster.inbox import Inbox
from tests.fuzz import fuzzed
from tests.reading import published

pytestmark = pytest.mark.prove

EXAMPLES = 400 if os.environ.get("OCTO_PROVE") == "all" else 25


def test_nothing_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked, allowed or not, of each of its operations, no answer is other than it says."""
    monkeypatch.setenv("HOOK_SECRET", "knock knock")
    asked = fuzzed(published(tmp_path), EXAMPLES, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))
    assert len(asked) == 15


POSTING = """
import sys
from pathlib import Path
from octo_dagster.inbox import Inbox, Post
inbox, name, n = Inbox(Path(sys.argv[1])), sys.argv[2], 0
while True:
    n += 1
    row = '{"id": "%s-%d"}' % (name, n)
    inbox.keep(Post("till", "orders", name, [(row, None)] * 3, row.encode(), str(n)), "{}")
    print(n, flush=True)
"""
KILLS = 30 if os.environ.get("OCTO_PROVE") == "all" else 3


def test_what_was_thanked_for_is_there(tmp_path: Path) -> None:
    """Of posts by two processes that are killed at any moment, every one that was acknowledged is in the inbox,
    whole and once; one that was not is there whole or not at all."""
    chance = random.Random(7)
    thanked: dict[str, int] = {}
    for turn in range(KILLS):
        names = [f"a{turn}", f"b{turn}"]
        running = [
            subprocess.Popen(
                [sys.executable, "-c", POSTING, str(tmp_path), name], stdout=subprocess.PIPE, text=True
            )
            for name in names
        ]
        time.sleep(1 + chance.random())
        for name, process in zip(names, running, strict=True):
            process.kill()
            thanked[name] = len(process.communicate()[0].splitlines())
    inbox = Inbox(tmp_path)
    told = [row.told or "" for row in inbox.rows("till", "orders", 0, inbox.reached("till", "orders") or 0)]
    inbox.close()
    held = {text: told.count(text) for text in set(told)}
    assert set(held.values()) == {3}
    for name, count in thanked.items():
        mine = sum(text.startswith(f'{{"id": "{name}-') for text in held)
        assert count <= mine <= count + 1
    assert sum(thanked.values()) > KILLS
