"""A small shop that delivers to a webhook, for the stories about the engine itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from tests.vendors.webhook import WEBHOOK
from tests.world import World, world


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """One sync called `customers`, in front of the webhook's twin."""
    for name, value in WEBHOOK.env.items():
        monkeypatch.setenv(name, value)
    return world(tmp_path, sandbox, WEBHOOK)
