"""The promise: a live run is a fork of a process that waits, and is started, ended and missed like any other."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher import LaunchRunContext, WorkerStatus
from dagster._core.run_coordinator import SubmitRunContext

from assets.live.coordinator import LiveFirst
from assets.live.launcher import LANE, ForkedRunLauncher, connected, worker

SETTINGS = """
telemetry: {enabled: false}
run_launcher:
  module: assets.live.launcher
  class: ForkedRunLauncher
  config: {module: forked_jobs}
run_coordinator: {module: assets.live.coordinator, class: LiveFirst}
"""
JOBS = Path(__file__).parents[1] / "forked_jobs.py"
ENDED = dg.DagsterRunStatus


@dataclass(frozen=True)
class Lane:
    """An instance whose live runs are forked, and a project of two jobs."""

    folder: Path
    instance: dg.DagsterInstance

    @property
    def launcher(self) -> ForkedRunLauncher:
        launcher = self.instance.run_launcher
        assert isinstance(launcher, ForkedRunLauncher)
        return launcher

    def asked(self, job: str) -> dg.DagsterRun:
        """A run of a job of `forked_jobs` that nobody has started."""
        repository = ReconstructableRepository.for_module("forked_jobs", "defs", str(self.folder / "assets"))
        origin = repository.get_reconstructable_job(job).get_python_origin()
        definition = repository.get_definition().get_job(job)
        return self.instance.create_run_for_job(definition, tags={LANE: "live"}, job_code_origin=origin)

    def launch(self, job: str) -> str:
        """Start a run; its id."""
        run = self.asked(job)
        self.launcher.launch_run(LaunchRunContext(run, workspace=None))
        return run.run_id

    def said(self, run: str) -> str:
        """What the run's step wrote, once it has."""
        file = self.folder / "said" / run
        until(lambda: file.exists() and file.read_text())
        return file.read_text()

    def status(self, run: str) -> dg.DagsterRunStatus:
        found = self.instance.get_run_by_id(run)
        assert found is not None
        return found.status

    def ends(self, run: str, status: dg.DagsterRunStatus) -> None:
        until(lambda: self.status(run) in (ENDED.SUCCESS, ENDED.FAILURE, ENDED.CANCELED))
        assert self.status(run) == status

    def pid(self, run: str) -> int:
        pid = worker(self.launcher.folder / run)
        assert pid is not None
        return pid


def until(there: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def lane(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lane]:
    """No parent yet; the one that is started ends with the test."""
    for name in ("assets", "said", "dagster"):
        (tmp_path / name).mkdir()
    shutil.copy(JOBS, tmp_path / "assets")
    (tmp_path / "dagster" / "dagster.yaml").write_text(SETTINGS)
    monkeypatch.setenv("SAID", str(tmp_path / "said"))
    monkeypatch.setenv("OCTO_PROJECT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "assets"))
    monkeypatch.syspath_prepend(str(tmp_path / "assets"))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        made = Lane(tmp_path, instance)
        yield made
        for parent in made.launcher.parents:
            assert parent.stdin is not None
            parent.stdin.close()
            parent.kill()
            parent.wait(timeout=30)


def test_a_forked_run(lane: Lane) -> None:
    """It is the parent's child and succeeds; one that is terminated is cancelled, one that is killed has
    failed within a second, and only what lives is said to live."""
    run = lane.launch("saying")
    (parent,) = lane.launcher.parents
    assert lane.said(run) == f"first {parent.pid}"
    lane.ends(run, ENDED.SUCCESS)

    ended, killed = lane.launch("lingering"), lane.launch("lingering")
    assert lane.said(ended) == lane.said(killed) == "here"
    living = lane.instance.get_run_by_id(killed)
    assert living is not None
    assert lane.launcher.check_run_worker_health(living).status == WorkerStatus.RUNNING
    assert lane.launcher.terminate(ended)
    lane.ends(ended, ENDED.CANCELED)
    os.kill(lane.pid(killed), signal.SIGKILL)
    lane.ends(killed, ENDED.FAILURE)
    assert lane.launcher.parents == [parent]


@pytest.mark.whole
def test_one_live_run_at_a_time(lane: Lane) -> None:
    """A live run that is alone begins beside the queue; one that is not has to queue."""
    coordinator = lane.instance.run_coordinator
    assert isinstance(coordinator, LiveFirst)
    first = lane.asked("lingering")
    assert coordinator.alone(first)
    coordinator.submit_run(SubmitRunContext(first, workspace=None))  # type: ignore[arg-type] # it needs none
    assert lane.said(first.run_id) == "here"
    assert not coordinator.alone(lane.asked("saying"))
    assert lane.launcher.terminate(first.run_id)
    lane.ends(first.run_id, ENDED.CANCELED)


@pytest.mark.whole
def test_a_parent_that_is_killed(lane: Lane) -> None:
    """Its runs live on and can be ended, a dead one is found out by its file, and the next run gets a new
    parent."""
    ended, killed = lane.launch("lingering"), lane.launch("lingering")
    assert lane.said(ended) == lane.said(killed) == "here"
    (parent,) = lane.launcher.parents
    parent.kill()
    parent.wait()
    assert lane.launcher.terminate(ended)
    lane.ends(ended, ENDED.CANCELED)
    os.kill(lane.pid(killed), signal.SIGKILL)
    until(lambda: worker(lane.launcher.folder / killed) is None)
    dead = lane.instance.get_run_by_id(killed)
    assert dead is not None
    assert lane.launcher.check_run_worker_health(dead).status == WorkerStatus.FAILED
    lane.ends(lane.launch("saying"), ENDED.SUCCESS)


@pytest.mark.whole
def test_a_changed_file(lane: Lane) -> None:
    """A run that is asked for after a file changed is of the changed definitions."""
    assert lane.said(lane.launch("saying")).startswith("first ")
    file = lane.folder / "assets" / "forked_jobs.py"
    file.write_text(file.read_text().replace('"first"', '"second"'))
    assert lane.said(lane.launch("saying")).startswith("second ")
    assert len(lane.launcher.parents) == 1


@pytest.mark.whole
def test_a_parent_ends_with_who_started_it(lane: Lane) -> None:
    """When the process that started it is gone, and nobody asks any more, so is the parent; what it was
    listening on is refused. While others ask it stays, and forks for them."""
    lane.launcher.warm()
    (parent,) = lane.launcher.parents
    assert parent.stdin is not None
    parent.stdin.close()
    assert lane.said(lane.launch("saying")) == f"first {parent.pid}"
    assert parent.wait(timeout=60) == 0
    with pytest.raises(ConnectionRefusedError):
        connected(lane.launcher.address)
