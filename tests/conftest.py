"""What every test may ask for: a sandbox in this process or in its own, and a clock that obeys."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings

from connectors.sandbox.server import Sandbox

SERVE = "from connectors.sandbox.server import serve; serve(0, lambda made: print(made.address, flush=True))"

# A property is about what comes out: how long a busy machine takes for it says nothing. What failed once is
# not kept, so that every run of a commit is alike.
settings.register_profile("octo", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("octo")


class Clock:
    """Time that moves only when told to, or slept through: callable as seconds since 1970."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) -> None:
        self.at = start

    def __call__(self) -> float:
        return self.at.timestamp()

    def now(self) -> datetime:
        """Naive UTC, as the warehouse and the ledger keep it."""
        return self.at.replace(tzinfo=None)

    def sleep(self, seconds: float) -> None:
        """Let time pass, without waiting."""
        self.at += timedelta(seconds=seconds)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is proven whole only is left out of every other run."""
    if os.environ.get("OCTO_PROVE") == "all":
        return
    left = [item for item in items if item.get_closest_marker("whole")]
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=left)


@pytest.fixture(autouse=True)
def _no_settings_leak_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's OCTO_* settings and proxies must not change what a test does."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in list(os.environ):
        if name.startswith("OCTO_") and name != "OCTO_PROVE":
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _loggers_speak() -> None:
    """What a test before this one silenced: Alembic, which makes Dagster's storage, every logger; vendors'
    SDKs, which other tests use, that of the calls."""
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    logging.getLogger("urllib3").setLevel(logging.NOTSET)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A fresh sandbox in this process."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox_process() -> Iterator[str]:
    """A fresh sandbox in a process of its own, for tests that kill theirs; its address."""
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
