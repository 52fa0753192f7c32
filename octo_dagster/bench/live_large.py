"""The same with a million customers, three million orders and 7.5 million lines in the shop's PostgreSQL.

Everything as above: the night has made every table and score, and both tools hold their contacts (Salesforce
everybody, Brevo the three in ten who agreed); then single orders at random moments. Rows are made up
(`bench/crowd.py`). *Memory*: the most that a process held at once (Linux's VmHWM, looked at twice a second)
while the orders came, of a live run, which shares with its parent what the parent has imported, and of that
parent, which stays between runs.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from octo_dagster.bench.crowd import Crowd
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.live import one_by_one
from octo_dagster.bench.rfm import peak_mb
from octo_dagster.bench.world import now, opened

PARENT = "assets.live.parent"
"""In the command line of the process live runs are forked from, and of every run."""
BEAT = 0.5


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Waiting, then memory. Small: a thousand customers, few orders."""
    customers, orders = (1_000, 3) if small else (1_000_000, 20)
    with opened(folder, Crowd(folder / "shop", customers, now())) as world:
        with watched(world.daemon) as peaks:
            yield from one_by_one(world, orders)
        title = f"{customers:,} customers: memory"
        yield Figure(f"{title} of a live run", peaks["run"], "MB", "its parent", peaks["parent"])


@contextmanager
def watched(daemon: psutil.Process) -> Iterator[Counter[str]]:
    """The most memory that a live run, and the parent of them, have held so far, in MB."""
    peaks, over = Counter[str](), threading.Event()

    def look() -> None:
        while not over.wait(BEAT):
            for kind, process in family(daemon):
                with suppress(FileNotFoundError, psutil.NoSuchProcess):  # it has just ended
                    peaks[kind] = max(peaks[kind], peak_mb(process.pid))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peaks
    finally:
        over.set()
        watcher.join()


def family(daemon: psutil.Process) -> Iterator[tuple[str, psutil.Process]]:
    """The parent of live runs, and those under way."""
    for process in daemon.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if PARENT in process.cmdline():
                above = process.parent()
                yield "run" if above and PARENT in above.cmdline() else "parent", process
