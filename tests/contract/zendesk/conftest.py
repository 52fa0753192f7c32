"""What the tests of Zendesk's users start with: credentials, and the destination in front of its twin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.sandbox.server import Sandbox
from tests.contract.zendesk.desk import Front
from tests.vendors.zendesk import ZENDESK


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(sandbox: Sandbox, credentials: None) -> Iterator[Front]:
    """A new account with the mapped fields made."""
    with closing(Front(sandbox)) as made:
        yield made.ready()
