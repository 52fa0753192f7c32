"""What every test of HubSpot starts with: its credentials, and the destination in front of its twin."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sandbox.server import Sandbox
from tests.contract.hubspot.front import BY_ID, Front
from tests.vendors.hubspot import HUBSPOT


@pytest.fixture(autouse=True)
def _signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in HUBSPOT.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Front]:
    """By a property of the shop's and without a list, unless the test says otherwise."""
    made = Front(sandbox, **getattr(request, "param", BY_ID)).ready()
    yield made
    made.close()
