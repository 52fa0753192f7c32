"""Starts a run of the live lane without the seconds its imports take: forked off a process that has them all.

`dagster.yaml`: run_launcher: {module: assets.live.launcher, class: ForkedRunLauncher}. Runs of other
lanes, and every run when no parent can be had, start as Dagster's default launcher starts them. A
forked run does not need its parent to live on: it holds a lock on a file of `$DAGSTER_HOME/forked`, by
which anyone sees that it lives, and which says whom to interrupt.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._config import Array, Field, UserConfigSchema
from dagster._core.launcher import (
    CheckRunHealthResult,
    DefaultRunLauncher,
    LaunchRunContext,
    WorkerStatus,
)
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData, serialize_value

LANE = "octo/lane"
"""The tag of a run that says which lane it is of: live, night, hand."""

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A library that begins a thread when it is imported cannot be forked; orders need no matrices."""

SILENT = ConfigurableClassData(
    "dagster._core.storage.noop_compute_log_manager", "NoOpComputeLogManager", "{}"
)
"""What a step writes on standard output is not kept: for that Dagster starts four processes a step, which
takes longer than most steps, and a live run says everything in its events."""

PATIENCE = 60.0
"""Seconds a run waits for a parent that is importing, before it starts in the ordinary way."""


class ForkedRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher, but for the lanes it is told: those runs are forked."""

    def __init__(
        self,
        lanes: Sequence[str] = ("live",),
        module: str = "octo_dagster.definitions",
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(inst_data)
        self.lanes = frozenset(lanes)
        self.module = module
        self.parents: list[subprocess.Popen[bytes]] = []

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        return {
            "lanes": Field(Array(str), default_value=["live"], description="Whose runs are forked."),
            "module": Field(str, default_value="octo_dagster.definitions", description="Imported once."),
        }

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> ForkedRunLauncher:
        return cls(inst_data=inst_data, **config_value)

    @property
    def folder(self) -> Path:
        """Where each forked run has its file."""
        return Path(self._instance.root_directory) / "forked"

    @property
    def address(self) -> Path:
        """The parent's socket, in a folder of this user's alone: `DAGSTER_HOME` may be too long a path."""
        mine = Path(tempfile.gettempdir()) / f"octo-{os.getuid()}"
        mine.mkdir(mode=0o700, exist_ok=True)
        owner = mine.lstat()
        if owner.st_uid != os.getuid() or owner.st_mode & 0o77:
            raise PermissionError(f"{mine} is not this user's alone")
        named = f"{self.folder.resolve()} {sys.executable} {self.module}"
        return mine / hashlib.sha256(named.encode()).hexdigest()[:16]

    def launch_run(self, context: LaunchRunContext) -> None:
        """Fork it where it is of our lanes and there is a parent; else as by default."""
        run = context.dagster_run
        if run.tags.get(LANE) not in self.lanes or not self.fork(run):
            super().launch_run(context)

    def fork(self, run: dg.DagsterRun) -> bool:
        """Whether the run now has a process of its own."""
        if run.job_code_origin is None:
            return False
        args = ExecuteRunArgs(
            job_origin=run.job_code_origin,
            run_id=run.run_id,
            instance_ref=self._instance.get_ref()._replace(compute_logs_data=SILENT),
            set_exit_code_on_failure=True,
        )
        try:
            with closing(self.parent()) as parent:
                ask(parent, f"{run.run_id} {serialize_value(args)}")
        except OSError as error:
            # It may have been forked and only the answer lost: then it must not start twice.
            forked = worker(self.folder / run.run_id) is not None
            if not forked:
                self._instance.report_engine_event(
                    f"No parent to fork this run from ({error}); it starts in a process of its own.", run
                )
            return forked
        return True

    def warm(self) -> None:
        """Have a parent that is importing, or has; for whoever knows that a run will soon be wanted."""
        self.parent().close()

    def parent(self) -> socket.socket:
        """A connection to the parent, which is started where there is none."""
        try:
            return connected(self.address)
        except OSError:
            with held(self.address.with_suffix(".lock")):
                try:
                    return connected(self.address)  # another process was faster
                except OSError:
                    self.start()
                    return connected(self.address)

    def start(self) -> None:
        """A new parent, listening from this moment on although it is still importing. It ends with this
        process: its standard input is a pipe nobody else holds."""
        for parent in [parent for parent in self.parents if parent.poll() is not None]:
            self.parents.remove(parent)
            if parent.stdin:
                parent.stdin.close()
        self.address.unlink(missing_ok=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(str(self.address))
            listener.listen(64)
            number = listener.fileno()
            command = [sys.executable, "-m", "assets.live.parent", str(number), str(self.folder), self.module]
            made = subprocess.Popen(  # noqa: S603 - our own interpreter, no words from outside
                command,
                stdin=subprocess.PIPE,
                pass_fds=[number],
                start_new_session=True,
                env=os.environ | ONE_THREAD,
            )
        self.parents.append(made)

    def terminate(self, run_id: str) -> bool:
        """Interrupt the run, which then ends as cancelled; False where it has ended already."""
        pid = worker(self.folder / run_id)
        run = self._instance.get_run_by_id(run_id)
        if pid is None or run is None or run.is_finished:
            return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
        self._instance.report_run_canceling(run)
        os.kill(pid, signal.SIGINT)
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed when it was forked and its process is gone. Of other runs nobody is asked, as by default."""
        gone = (self.folder / run.run_id).exists() and worker(self.folder / run.run_id) is None
        return CheckRunHealthResult(WorkerStatus.FAILED if gone else WorkerStatus.RUNNING)


def connected(address: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    try:
        made.settimeout(PATIENCE)
        made.connect(str(address))
    except OSError:
        made.close()
        raise
    return made


def ask(parent: socket.socket, request: str) -> None:
    """Have a run forked. The parent says first that it listens: whoever gave up waiting by then has sent
    nothing. OSError unless it says that it did."""
    with parent.makefile("rwb") as line:
        if line.readline() != b"ready\n":
            raise ConnectionError("it ended")
        line.write(request.encode() + b"\n")
        line.flush()
        if (said := line.readline()) != b"forked\n":
            raise ConnectionError(said.decode().strip() or "it ended")


def worker(file: Path) -> int | None:
    """The process that runs this run; None when there is none, or none any more."""
    try:
        with file.open() as told:
            fcntl.flock(told, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(file.read_text() or 0) or None
    except FileNotFoundError:
        return None
    return None


@contextmanager
def held(path: Path) -> Iterator[None]:
    """One process at a time."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
