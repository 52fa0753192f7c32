"""Everything running at once, for looking at: the demo's shop and sandbox, and Dagster's pages."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from octo_dagster.demo.walk import CREDENTIALS, PLACES, opened
from octo_dagster.pages.syncs.dagster import ADDRESS

SANDBOX_PORT = 4100
DAGSTER_PORT = 3000
DAGSTER = f"http://127.0.0.1:{DAGSTER_PORT}"
PAGES = "http://127.0.0.1:4200"
SERVE = [sys.executable, "-c", "from octo_dagster.cli import main; main()", "serve", "--publish"]
SETTINGS = "assets/dagster.yaml"


def stay(root: Path, console: Console) -> bool:
    """Walk the demo, then keep all of it up until Ctrl-C; whether the walk went as promised."""
    with opened(root, console, SANDBOX_PORT) as walk:
        good = walk.walk()
        home = walk.project.home / "dagster"
        home.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / SETTINGS, home / "dagster.yaml")
        console.rule("[bold]Everything is up; Ctrl-C ends it", align="left")
        console.print(f"Dagster (assets, runs, reruns):  {DAGSTER}")
        console.print(f"Pages and read API:              {PAGES}, by the link below")
        console.print(f"Sandbox (what each tool holds):  {walk.sandbox.address}")
        console.print(f"The RFM plane:                   {walk.save_picture()}")
        console.print("For octo in another terminal, say there first:")
        for line in exports():
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        serving = subprocess.Popen(  # noqa: S603 - our own command
            SERVE, cwd=root, env=os.environ | {ADDRESS: DAGSTER}, start_new_session=True
        )
        try:
            dagster(root, home)
        finally:
            end(serving)
    return good


def exports() -> list[str]:
    """What makes another terminal's `octo` one of this project, for a shell: without, it would begin a home
    of its own, whose keys this server does not know."""
    return [f"export {name}={shlex.quote(os.environ[name])}" for name in (*PLACES, *CREDENTIALS)]


def dagster(root: Path, home: Path) -> None:
    """Dagster's webserver and daemon, until it ends or Ctrl-C; its whole family of processes with it."""
    command = [sys.executable, "-m", "dagster", "dev", "--port", str(DAGSTER_PORT), "--host", "127.0.0.1"]
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, no words from outside
        [*command, "--workspace", "workspace.yaml"],
        cwd=root,
        env=os.environ | {"DAGSTER_HOME": str(home.resolve()), "OCTO_AUTOMATE": "1", "OCTO_PAGES": PAGES},
        start_new_session=True,
    )
    try:
        process.wait()
    except KeyboardInterrupt:
        pass
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], patience: float = 15.0) -> None:
    """Ask the process group to stop, and kill what is left of it."""
    for request in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, request)
        deadline = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)  # waiting for another process to end
