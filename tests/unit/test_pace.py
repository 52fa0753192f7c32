"""The pace of calls: really kept, by path, over processes, and leaving nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from octo_dagster.delivery.pace import Pace
from octo_dagster.destination import Rate

CALLER = """
import sys, time
from pathlib import Path
from octo_dagster.destination import Rate
from octo_dagster.delivery.pace import Pace
pace = Pace([Rate(5, 0.5)], Path(sys.argv[1]), "shop")
print("ready", flush=True)
sys.stdin.readline()
for _ in range(8):
    pace.wait("/")
    print(time.time(), flush=True)
pace.close()
"""


@pytest.mark.parametrize("shared", [True, False])
def test_a_rate_is_kept(shared: bool, tmp_path: Path) -> None:
    """The sixth call of five allowed waits for the window to move on, with a store and without."""
    started = time.monotonic()
    with closing(Pace([Rate(5, 0.6)], tmp_path / "pace.sqlite" if shared else None, "shop")) as pace:
        for _ in range(5):
            pace.wait("/")
        assert time.monotonic() - started < 0.6
        pace.wait("/")
    assert time.monotonic() - started >= 0.6


def test_a_rate_covers_its_paths_only(tmp_path: Path) -> None:
    """A slow lane for some paths does not hold up the others."""
    started = time.monotonic()
    with closing(Pace([Rate(1, 60, "^/processes")], tmp_path / "pace.sqlite", "shop")) as pace:
        pace.wait("/processes/1")
        for _ in range(20):
            pace.wait("/contacts")
    assert time.monotonic() - started < 30


def test_accounts_do_not_share_a_rate(tmp_path: Path) -> None:
    """Another account has a budget of its own in the same store."""
    started = time.monotonic()
    for account in ("one", "two", "three"):
        with closing(Pace([Rate(1, 60)], tmp_path / "pace.sqlite", account)) as pace:
            pace.wait("/")
    assert time.monotonic() - started < 30


def test_two_processes_add_up_to_one_quota(tmp_path: Path) -> None:
    """Two processes together wait as often as one that made all their calls."""
    store = str(tmp_path / "pace.sqlite")
    callers = [
        subprocess.Popen(
            [sys.executable, "-c", CALLER, store], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for caller in callers:
        assert caller.stdout is not None
        assert caller.stdout.readline() == "ready\n"
    started = time.time()
    told = [caller.communicate("go\n", timeout=60)[0] for caller in callers]
    calls = sorted(float(line) for lines in told for line in lines.split())
    assert len(calls) == 16
    # Sixteen calls at five per half second wait three times; eight apiece, unshared, would wait once.
    assert calls[-1] - started >= 1.49


def test_old_calls_are_forgotten_and_no_thread_is_left(tmp_path: Path) -> None:
    """The store does not grow with the number of calls, and a closed pace leaves no thread."""
    before = threading.active_count()
    with closing(Pace([Rate(100, 0.05)], tmp_path / "pace.sqlite", "shop")) as pace:
        for _ in range(300):
            pace.wait("/")
        kept = pace.lanes[0].bucket.count()
        assert isinstance(kept, int)
        assert kept <= 200
        assert threading.active_count() == before
