"""A Klaviyo account to write to, with a list and without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.sandbox.server import Sandbox
from tests.contract.klaviyo.desk import Desk
from tests.vendors.klaviyo import KLAVIYO


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KLAVIYO.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def desk(sandbox: Sandbox, credentials: None) -> Iterator[Desk]:
    """A destination that keeps the list `Octo customers`."""
    with closing(Desk(sandbox)) as made:
        yield made


@pytest.fixture
def bare(sandbox: Sandbox, credentials: None) -> Iterator[Desk]:
    """A destination that touches no list."""
    with closing(Desk(sandbox, list=None)) as made:
        yield made
