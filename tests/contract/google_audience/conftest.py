"""What the tests of Google's lists share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.sandbox.server import Sandbox
from tests.contract.sitting import Sitting
from tests.vendors.google_audience import GOOGLE


@pytest.fixture
def front(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitting]:
    """Signed in at the twin."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", GOOGLE.env["GOOGLE_SERVICE_ACCOUNT"])
    made = Sitting(GOOGLE, sandbox.address)
    with closing(made.http):
        yield made
