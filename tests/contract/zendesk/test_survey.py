"""What a newcomer is shown of a Zendesk account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType
from tests.contract.zendesk.desk import TYPES, Front
from tests.vendors.zendesk import ZENDESK


@pytest.fixture
def front(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    with closing(Front(sandbox)) as made:
        yield made


def test_user_fields_with_their_types(front: Front) -> None:
    """Properties and user fields as they are to be mapped; one of a type Octo writes none of is told as such."""
    front.ready()
    front.account.add_field({"key": "tier", "type": "dropdown", "title": "Tier"})
    front.account.add_field({"key": "boss", "type": "lookup", "title": "Boss"})
    seen = front.destination.survey(front.api)
    expected = {**TYPES, "tier": FieldType.TEXT, "boss": None, "external_id": FieldType.TEXT}
    assert {name: seen.fields[name] for name in expected} == expected
    assert (seen.keys, seen.missing) == (("external_id",), ())
    assert seen.places == {"object": ("users", "tickets")}
    assert {call.method for call in front.calls} == {"GET"}


def test_a_user_who_is_no_admin_lacks_a_permission(front: Front) -> None:
    """An agent can make no user fields, and is told so before Zendesk does; tickets an agent can make."""
    front.twin.role = "agent"
    (line,) = front.destination.survey(front.api).missing
    assert line == (
        "Admin role: this user is an agent; user fields cannot be made, nor users written by the hundred"
    )
    with pytest.raises(Fatal, match="403"):
        front.ready()


@pytest.mark.parametrize(("role", "lines"), [("agent", 0), ("end-user", 1)])
def test_a_call_list_needs_an_agent(sandbox: Sandbox, front: Front, role: str, lines: int) -> None:
    """A ticket's fields are fixed."""
    front.twin.role = role
    with closing(Front(sandbox, object="tickets")) as tickets:
        seen = tickets.destination.survey(tickets.api)
    assert len(seen.missing) == lines
    assert (seen.fields["due_at"], seen.fields["subject"]) == (FieldType.DATETIME, FieldType.TEXT)
