"""What a newcomer is shown of a Brevo account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType
from tests.contract.sitting import Sitting
from tests.vendors.brevo import BREVO


@pytest.fixture
def brevo(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitting]:
    for name, value in BREVO.env.items():
        monkeypatch.setenv(name, value)
    made = Sitting(BREVO, sandbox.address)
    with closing(made.http):
        yield made


def test_attributes_lists_and_keys(sandbox: Sandbox, brevo: Sitting) -> None:
    """Attributes as they are to be mapped, without those of consent; the lists of the sync's own folder."""
    twin: Any = sandbox.twin("brevo")
    account = twin.accounts["sandbox-key"]
    theirs = brevo.api.made("/contacts/folders", {"name": "Theirs"})
    ours = brevo.api.made("/contacts/folders", {"name": "Octo"})
    twin.add_list(account, "Newsletter", theirs)
    twin.add_list(account, "Best customers", ours)
    brevo.ready()
    for name, kind in (("OPT_IN", "boolean"), ("MOOD", "id")):
        account.attributes[name] = type(account.attributes["FIRSTNAME"])(name, "normal", kind)
    seen = brevo.destination.survey(brevo.api)
    assert seen.fields["OCTO_INTEGER"] is FieldType.DECIMAL
    assert seen.fields["OCTO_LIST"] is FieldType.LIST
    assert (seen.fields["EMAIL"], seen.fields["MOOD"]) == (FieldType.TEXT, None)
    assert "OPT_IN" not in seen.fields
    assert (seen.keys, seen.missing) == (("EMAIL", "EXT_ID"), ())
    assert seen.places["list"] == ("Best customers",)
    assert {"Theirs", "Octo"} <= set(seen.places["folder"])
    assert brevo.destination.spelling("rfm_segment") == "RFM_SEGMENT"


def test_a_new_account_has_no_lists_of_ours(sandbox: Sandbox, brevo: Sitting) -> None:
    """Without the folder there are none to name; nothing is made by looking."""
    before = dict(sandbox.twin("brevo").holdings())
    assert brevo.destination.survey(brevo.api).places["list"] == ()
    assert sandbox.twin("brevo").holdings() == before


def test_a_key_that_is_none_is_no_missing_permission(
    sandbox: Sandbox, brevo: Sitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key has every right in its account, so what is refused is the key."""
    for name, value in BREVO.wrong.items():
        monkeypatch.setenv(name, value)
    brevo.sign_in()
    with pytest.raises(Fatal, match="401"):
        brevo.destination.survey(brevo.api)
