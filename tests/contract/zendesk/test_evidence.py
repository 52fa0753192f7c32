"""Zendesk's twin against what nobody here wrote: zenpy as its users use it, and recorded replies.

The recordings lie outside the project (`../shared`); where they are missing the tests on them skip.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from werkzeug.test import Client as Wire
from werkzeug.wrappers import Request
from zenpy import Zenpy
from zenpy.lib.api_objects import Comment, Ticket, User, UserField
from zenpy.lib.exception import APIException, TooManyValuesException

from connectors.sandbox.server import Sandbox
from connectors.sandbox.zendesk.twin import Zendesk
from tests.conftest import Clock

RECORDED = Path(__file__).parents[3] / "../shared/recordings/zendesk.jsonl"
needs_recordings = pytest.mark.skipif(
    not RECORDED.is_file(),
    reason="../shared/recordings is not here: other people's calls, not ours to publish",
)
HOST = "https://octo.zendesk.com"
CLIENT = {
    "grant_type": "client_credentials",
    "client_id": "octo-client",
    "client_secret": "octo-client-secret",
}


# zenpy ---------------------------------------------------------------------------------------------


class ToLoopback(HTTPAdapter):
    """Sends what is meant for Zendesk to the sandbox, and lets zenpy see the address it asked."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        asked = request.url or ""
        request.url = asked.replace(HOST, f"{self.sandbox}/zendesk")
        reply = super().send(request, *args, **options)
        request.url = asked
        return reply


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Any]:
    """zenpy, signed in with a token of the twin's."""
    with requests.Session() as session:
        session.trust_env = False
        session.mount(HOST, ToLoopback(sandbox.address))
        token = session.post(f"{HOST}/oauth/tokens", json=CLIENT).json()["access_token"]
        yield Zenpy(subdomain="octo", oauth_token=token, session=session, disable_cache=True)


def test_library_makes_fields_and_users(client: Any) -> None:
    """zenpy makes a user field, creates, updates, finds and deletes a user."""
    client.user_fields.create(UserField(key="rfm", type="text", title="RFM"))
    assert [field.key for field in client.user_fields()] == ["rfm"]
    made = client.users.create_or_update(User(name="Zoé", external_id="k1", user_fields={"rfm": "best"}))
    made.name = "Zoë"
    client.users.update(made)
    (found,) = client.users(external_ids=["K1"])
    assert (found.id, found.name, found.user_fields["rfm"]) == (made.id, "Zoë", "best")
    client.users.delete(found)
    assert list(client.users.search(external_id="k1")) == []
    with pytest.raises(APIException):
        client.users(id=made.id)


def test_library_runs_a_job(client: Any) -> None:
    """A job over many users ends with a row for each in order; more than a hundred are refused."""
    users = [User(name=f"N{n}", external_id=f"k{n}") for n in range(3)] + [User(external_id="k3")]
    job = client.users.create_or_update(users)
    (ended,) = client.job_status(ids=[job.id])["job_statuses"]
    assert (job.status, ended.status) == ("queued", "completed")
    assert [row.status for row in ended.results] == ["Created", "Created", "Created", "Failed"]
    assert client.job_status(id=job.id).status == "completed"
    with pytest.raises(TooManyValuesException):
        client.users.create_or_update([User(name="N", external_id=str(n)) for n in range(101)])


def test_library_makes_a_ticket(client: Any) -> None:
    """zenpy creates a ticket, finds it by its external id and changes it."""
    audit = client.tickets.create(Ticket(subject="Call", external_id="t1", comment=Comment(body="Ring her")))
    (found,) = client.tickets(external_id="t1")
    found.priority = "high"
    client.tickets.update(found)
    (again,) = client.tickets(external_id="t1")
    assert (audit.ticket.id, again.priority, again.description) == (found.id, "high", "Ring her")


# recorded ------------------------------------------------------------------------------------------


@cache
def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in RECORDED.read_text().splitlines()]


class Replay:
    """The recorded account, and its calls sent to a twin with ids replaced by those the twin gave."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.twin = Zendesk(clock)
        self.twin.updates_a_minute = 5
        self.account = self.twin.accounts[0]
        for field in recorded()[0]["response"]["user_fields"]:
            self.account.add_field(field)
        self.wire = Wire(Request.application(self.twin.answer))
        token = self.wire.post("/oauth/tokens", json=CLIENT).json or {}
        self.headers = {"Authorization": f"Bearer {token['access_token']}"}
        self.ids: dict[str, str] = {}

    def again(self, row: Mapping[str, Any]) -> Any:
        """The twin's reply to a recorded request; learns the ids it gives."""
        path = row["path"]
        for theirs, mine in self.ids.items():
            path = path.replace(theirs, mine)
        reply = self.wire.open(path, method=row["method"], headers=self.headers, json=row["request"])
        told = row["response"]
        if isinstance(told, dict) and "user" in told:
            self.ids[str(told["user"]["id"])] = str((reply.json or {})["user"]["id"])
        return reply

    def unrecorded(self, number: int) -> None:
        """What happened between two recorded calls, seen from what the second one tells."""
        if number == 15:
            self.clock.sleep(60)
        if number in (16, 21):  # another address came to the user
            person = self.account.users[int(self.ids["421941820731" if number == 16 else "421758455292"])]
            email = "othergrouparoo@demo.com" if number == 16 else "almostgrouparoo@demo.com"
            self.account.write(person, {"email": email}, self.clock())
            place = "390981158372" if number == 16 else "390986566751"
            self.ids[place] = str(person.id * 1_000 + len(person.emails))
        if number == 19:
            anakin = self.account.users[int(self.ids["1903375554467"])]
            self.account.name(anakin, "skywalker123")
            anakin.tags.insert(0, "test_recently_added")
            anakin.values["text_field"] = "change"
        if number == 23:
            self.account.users[int(self.ids["421941820731"])].tags.remove("outsider")


SAME = (
    "name",
    "email",
    "external_id",
    "tags",
    "alias",
    "role",
    "verified",
    "active",
    "suspended",
    "user_fields",
)


@needs_recordings
def test_a_recorded_story_is_answered_as_it_was(clock: Clock) -> None:
    """All thirty-one calls of the recording: the same status, the same members, the same values."""
    replay = Replay(clock)
    for number, row in enumerate(recorded()):
        replay.unrecorded(number)
        reply = replay.again(row)
        assert reply.status_code == row["status"], (number, reply.text)
        told = row["response"]
        if isinstance(told, str):
            assert reply.mimetype == "text/plain"
            assert told.startswith(reply.text)
        elif "user" in told:
            mine = reply.json["user"]
            assert set(mine) == set(told["user"])
            assert {name: mine[name] for name in SAME} == {name: told["user"][name] for name in SAME}, number
        elif "identities" in told:
            assert compared(reply.json["identities"]) == compared(told["identities"])
        elif "error" in told:
            assert reply.json == told
    assert number == 30


def compared(identities: list[dict[str, Any]]) -> list[tuple[str, bool, str]]:
    return [(one["value"], one["primary"], one["type"]) for one in identities]


@needs_recordings
def test_user_fields_are_listed_as_recorded(clock: Clock) -> None:
    """Every member a recorded user field has is said, and no other; keys, types and choices are the same."""
    replay, row = Replay(clock), recorded()[0]
    mine = replay.again(row).json
    theirs = row["response"]
    assert set(mine) == set(theirs)
    for field, told in zip(mine["user_fields"], theirs["user_fields"], strict=True):
        assert set(field) == set(told)
        assert (field["key"], field["type"], field.get("tag")) == (told["key"], told["type"], told.get("tag"))
    assert mine["user_fields"][7]["custom_field_options"] == theirs["user_fields"][7]["custom_field_options"]
