"""The parent of live runs: imports the definitions once, opens nothing, and forks a process for each run.

python -m assets.live.parent LISTENER FOLDER MODULE, by `launcher.py`. One thread, no database, no
connection: what is open in a process, or locked by a thread of it, is broken in its copy. It begins
anew when a file it has imported changes, by `exec`, with the same socket: who asks meanwhile waits, and
gets the new definitions. It ends when its standard input has, which is when whoever started it is
gone, and nobody has asked for a while: Dagster's code servers live for a minute each, and every one of
them finds this parent where it was. Its runs live on.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

import duckdb
from dagster import DagsterInstance
from dagster._cli.api import execute_run_command
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, deserialize_value

from octo_dagster.config import Project

CHILDREN = "OCTO_FORKED"
"""The variable in which a parent that begins anew tells itself whose children it has."""
BEAT = 0.5
"""Seconds between two looks at the children."""
CODE = ("assets", "connectors", "octo_dagster")
READ = (".py", ".yaml", ".sql")
GRACE = 30.0
"""Seconds it waits for somebody to ask, once whoever started it is gone; sensors ask every ten."""
SLOW = 5
"""Seconds a client may take to say which run."""

Stamp = tuple[tuple[str, int, int], ...]


def main(number: int, folder: Path, module: str) -> None:
    """Serve until standard input ends."""
    stamp = stamped()
    definitions = importlib.import_module(module).defs
    definitions.get_repository_def().get_all_jobs()
    for name in used(folder.parent):
        importlib.import_module(name)
    duckdb.default_connection().close()  # somebody opened it; it has threads
    gc.collect()
    gc.freeze()  # so that a child's collector does not copy what it shares with us
    with socket.socket(fileno=number) as listener:
        serve(listener, folder, stamp, json.loads(os.environ.pop(CHILDREN, "{}")))
    os._exit(0)  # nothing is open; what libraries say of themselves at an ordinary end is of no use


def used(home: Path) -> list[str]:
    """What a run imports when it begins: the modules of Dagster's storages and of its executor."""
    named = [part for part in InstanceRef.from_dir(str(home)) if isinstance(part, ConfigurableClassData)]
    return [*(part.module_name for part in named), "dagster._core.executor.in_process"]


def serve(listener: socket.socket, folder: Path, stamp: Stamp, children: dict[str, str]) -> None:
    """`children`: process → what it was asked to run."""
    watched, heard = [listener, sys.stdin], time.monotonic()
    while sys.stdin in watched or time.monotonic() - heard < GRACE:
        ready, _, _ = select.select(watched, [], [], BEAT)
        reap(folder, children)
        if sys.stdin in ready:
            watched.remove(sys.stdin)  # whoever started it is gone
        if stamped() != stamp:
            renew(listener, children)
        if listener in ready:
            heard = time.monotonic()
            with suppress(OSError):  # a client that went away
                answer(listener, folder, children)


def answer(listener: socket.socket, folder: Path, children: dict[str, str]) -> None:
    """One run for one client, who hears first that we listen: by then it may have given up waiting."""
    client, _ = listener.accept()
    with client, client.makefile("rwb") as line:
        client.settimeout(SLOW)
        line.write(b"ready\n")
        line.flush()
        request = line.readline().decode()
        if not request.endswith("\n"):
            return
        if begun := threads():
            line.write(f"what was imported has begun threads: {begun}\n".encode())
            return
        children[str(fork(folder, request.strip()))] = request.strip()
        line.write(b"forked\n")


def fork(folder: Path, request: str) -> int:
    """A process for a run, which holds its file's lock from before it is there."""
    run, _, args = request.partition(" ")
    with (folder / run).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = os.fork()
        if pid == 0:
            lock.write(str(os.getpid()))
            lock.flush()
            apart(partial(execute_run_command.main, [args], standalone_mode=False), keep=lock.fileno())
        return pid


def apart(work: Callable[[], object], keep: int | None = None) -> NoReturn:
    """Do this in a process that was just forked, and end with it: nothing of the parent's goes on here."""
    code = 1
    try:
        own_world(keep)
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    finally:  # what was raised was told to the run's log, or is told on standard error
        if code and sys.exc_info()[1]:
            sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(code)


def own_world(keep: int | None) -> None:
    """None of the parent's sockets, no words to its standard input, and signals as a new process has them."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):  # Dagster tells every event on standard output
        os.dup2(nothing, number)
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - of this process, not of a folder
        if int(name) > 2 and int(name) != keep:
            with suppress(OSError):
                os.close(int(name))
    signal.signal(signal.SIGINT, signal.default_int_handler)


def reap(folder: Path, children: dict[str, str]) -> None:
    """Take note of the runs that ended. For one that was killed, and cannot say so, another process does."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        request = children.pop(str(pid), None)
        if request is None:
            continue
        if status and not threads() and not os.fork():
            apart(partial(report, folder, request, status))
        elif not status:
            (folder / request.partition(" ")[0]).unlink(missing_ok=True)


def report(folder: Path, request: str, status: int) -> None:
    """Have the run failed, if its process did not see to that itself."""
    run_id, _, args = request.partition(" ")
    ended = os.waitstatus_to_exitcode(status)
    how = f"was killed by {signal.Signals(-ended).name}" if ended < 0 else f"ended with code {ended}"
    ref = deserialize_value(args, ExecuteRunArgs).instance_ref
    if ref is None:
        return
    with DagsterInstance.from_ref(ref) as instance:
        run = instance.get_run_by_id(run_id)
        if run is not None and run.status == DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run)
        elif run is not None and not run.is_finished:
            instance.report_run_failed(run, f"The process of this run {how}.")
    (folder / run_id).unlink(missing_ok=True)


def renew(listener: socket.socket, children: dict[str, str]) -> NoReturn:
    """Begin anew in this very process, whose children stay its own."""
    listener.set_inheritable(True)
    os.environ[CHILDREN] = json.dumps(children)
    number = str(listener.fileno())
    os.execv(sys.executable, [sys.executable, "-m", "assets.live.parent", number, *sys.argv[2:]])  # noqa: S606


def stamped() -> Stamp:
    """Every file that what was imported may come from, with its time and size."""
    roots = {Project.here().root / "assets", *(Path(__file__).parents[2] / name for name in CODE)}
    return tuple(
        (entry.path, entry.stat().st_mtime_ns, entry.stat().st_size)
        for root in sorted(roots)
        for entry in files(root)
    )


def files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The code and settings of a folder and those in it."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from files(Path(entry.path))
            elif entry.name.endswith(READ):
                yield entry


def threads() -> list[str]:
    """The names of this process's other threads, those of libraries too where the system tells; but for
    jemalloc's, which knows of forks."""
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        return [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    mine = str(os.getpid())
    told = [(task / "comm").read_text().strip() for task in tasks.iterdir() if task.name != mine]
    return [name for name in told if name != "jemalloc_bg_thd"]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
