"""Acme, an audience of Mailchimp's twin, and destinations signed in there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.sandbox.mailchimp.audience import Audience
from connectors.sandbox.server import Sandbox
from tests.contract.mailchimp.acme import Sit
from tests.contract.sitting import Sitting
from tests.vendors.mailchimp import MAILCHIMP


@pytest.fixture
def sit(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sit]:
    """Signs a Mailchimp destination in, with settings that differ from the examinee's."""
    monkeypatch.setenv("MAILCHIMP_API_KEY", "sandboxkey-us21")
    made: list[Sitting] = []

    def sign_in(**settings: Any) -> Sitting:
        made.append(Sitting(MAILCHIMP, sandbox.address, settings).ready())
        return made[-1]

    yield sign_in
    for one in made:
        one.http.close()


@pytest.fixture
def audience(sandbox: Sandbox) -> Audience:
    """The audience as Mailchimp holds it."""
    (found,) = sandbox.twin("mailchimp").accounts["sandboxkey-us21"]
    assert isinstance(found, Audience)
    return found
