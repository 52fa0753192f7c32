"""A shop at the vendor a test names, its pages three records long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from tests.conftest import Clock
from tests.contract.rest.front import VENDORS, Front, Vendor


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def front(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Front]:
    """An empty shop, its pages three records long."""
    vendor: Vendor = request.param
    for name, value in vendor.env.items():
        monkeypatch.setenv(name, value)
    clock = Clock()
    with Sandbox(clock=clock) as sandbox:
        yield Front(vendor, sandbox, clock, tmp_path, {"size": 3})


def at(name: str) -> pytest.MarkDecorator:
    """Only the shop at this vendor."""
    chosen = next(vendor for vendor in VENDORS if vendor.name == name)
    return pytest.mark.parametrize("front", [chosen], ids=[name], indirect=True)
