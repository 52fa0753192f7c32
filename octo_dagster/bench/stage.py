"""What is measured on: a project with one sync and one table, and a sandbox in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psutil
import requests

from octo_dagster.config import Project
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.run import Report, carry_out, prepare

SERVE = """
from connectors.sandbox.server import Sandbox
with Sandbox() as sandbox:
    {}
    print(sandbox.address, flush=True)
    sandbox.thread.join()
"""


@dataclass(frozen=True)
class Stage:
    """A project whose one sync is called `customers`."""

    project: Project
    sandbox: str

    def deliver(self) -> Report:
        """Plan and deliver once. RuntimeError unless every change was accepted: no other figure counts."""
        around = Surroundings(sandbox=self.sandbox)
        sync = self.project.sync("customers")
        plan = prepare(sync, self.project, around=around)
        report = carry_out(plan, sync, self.project, around=around)
        if report.tally.accepted != plan.changes or report.exit_code:
            raise RuntimeError(f"{sync.destination.type}: {report}")
        return report

    def have(self, query: str) -> None:
        """Make the customer profile hold what a DuckDB query answers."""
        with duckdb.connect() as connection:
            connection.execute("set enable_progress_bar = false")
            self.project.warehouse.replace("customer_profile", connection.sql(query).to_arrow_reader(100_000))


def project(root: Path, sync: Mapping[str, Any]) -> Project:
    """A project with this sync, in a folder that is made for it."""
    file = root / "assets" / "syncs" / "customers.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(sync))  # JSON is YAML
    return Project(root, root / ".octo")


@contextmanager
def sandbox(first: str = "pass") -> Iterator[tuple[str, psutil.Process]]:
    """A fresh sandbox's address and process; `first` is a statement about `sandbox`, for its own process."""
    code = SERVE.format(first)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the sandbox has no output")
        try:
            yield process.stdout.readline().strip(), psutil.Process(process.pid)
        finally:  # whatever went wrong, for `with` waits for its end
            process.kill()


def calls(address: str, vendor: str) -> list[tuple[str, str]]:
    """Method and path of the calls a twin got, oldest first."""
    told = requests.get(f"{address}/_sandbox/{vendor}/calls", timeout=60).json()
    return [(call["method"], call["path"]) for call in told]


def took(go: Callable[[], object], other: psutil.Process | None = None) -> dict[str, float]:
    """Wall and processor seconds of a call, and the processor seconds another process spent meanwhile."""
    before = spent(other)
    wall, cpu = time.perf_counter(), time.process_time()
    go()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"wall": wall, "cpu": cpu, "other": spent(other) - before}


def spent(process: psutil.Process | None) -> float:
    if process is None:
        return 0.0
    times = process.cpu_times()
    return float(times.user + times.system)
