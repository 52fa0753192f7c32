"""What Zendesk's twin refuses, and in which words: a twin that takes everything proves nothing."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client as Wire
from werkzeug.wrappers import Request

from connectors.sandbox.zendesk.twin import Zendesk
from tests.conftest import Clock

CLIENT = {
    "grant_type": "client_credentials",
    "client_id": "octo-client",
    "client_secret": "octo-client-secret",
}


class Caller:
    """Somebody with a token of the first account, which knows Ada and three user fields."""

    def __init__(self, clock: Clock) -> None:
        self.twin = Zendesk(clock)
        self.wire = Wire(Request.application(self.twin.answer))
        token = self.wire.post("/oauth/tokens", json=CLIENT).json or {}
        self.headers = {"Authorization": f"Bearer {token['access_token']}"}
        account = self.twin.accounts[0]
        for kind in ("integer", "date", "text", "dropdown", "checkbox"):
            account.add_field({"key": f"a_{kind}", "type": kind, "title": kind})
        self.ada = account.create({"name": "Ada", "external_id": "c1", "email": "ada@example.com"}, clock())
        account.create({"name": "Bob", "external_id": "c2", "email": "bob@example.com"}, clock())

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        options.setdefault("headers", self.headers)
        return self.wire.open(path, method=method, json=body, **options)


@pytest.fixture
def caller(clock: Clock) -> Caller:
    return Caller(clock)


def user(**values: Any) -> dict[str, Any]:
    return {"user": {"external_id": "c1", **values}}


UPSERT, FIELDS, TICKETS = "/api/v2/users/create_or_update.json", "/api/v2/user_fields", "/api/v2/tickets"
REFUSED: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/oauth/tokens", {**CLIENT, "grant_type": "password"}, 400, "unsupported_grant_type"),
    ("POST", "/oauth/tokens", {**CLIENT, "client_secret": "x"}, 401, "invalid_client"),
    ("GET", "/api/v2/nothing", None, 404, "InvalidEndpoint"),
    ("DELETE", UPSERT, None, 405, "InvalidEndpoint"),
    ("POST", UPSERT, ["not an object"], 400, "InvalidValue"),
    ("POST", UPSERT, {"users": []}, 400, "InvalidValue"),
    ("POST", UPSERT, user(user_fields={"a_integer": "many"}), 422, "A_integer: must be a number"),
    ("POST", UPSERT, user(user_fields={"a_integer": 1.5}), 422, "A_integer: must be a number"),
    ("POST", UPSERT, user(user_fields={"a_date": "tomorrow"}), 422, "A_date: is not a date"),
    ("POST", UPSERT, user(user_fields={"a_text": 7}), 422, "A_text: is invalid"),
    ("POST", UPSERT, user(user_fields={"a_dropdown": "pear"}), 422, "pear is not one of the options"),
    ("POST", UPSERT, user(name=""), 422, "Name: is too short"),
    ("POST", UPSERT, user(email="bob@example.com"), 422, "already being used by another user"),
    ("POST", UPSERT, user(external_id="new"), 422, "Name: is too short"),
    ("POST", "/api/v2/users/create_or_update_many", {"users": "x"}, 422, "Unprocessable Entity"),
    ("PUT", "/api/v2/users/update_many", {"users": [{}] * 101}, 400, "Maximum 100 users"),
    ("GET", f"/api/v2/users/show_many?external_ids={',' * 100}", None, 400, "TooManyValues"),
    ("GET", "/api/v2/users/4711", None, 404, "RecordNotFound"),
    ("GET", "/api/v2/job_statuses/4711", None, 404, "RecordNotFound"),
    ("POST", FIELDS, {"user_field": {"key": "a b", "type": "text", "title": "t"}}, 422, "letters"),
    ("POST", FIELDS, {"user_field": {"key": "A_TEXT", "type": "text", "title": "t"}}, 422, "taken"),
    ("POST", FIELDS, {"user_field": {"key": "b", "type": "blob", "title": "t"}}, 422, "Type: is invalid"),
    ("POST", FIELDS, {"user_field": {"key": "b", "type": "text"}}, 422, "Title: is invalid"),
    ("POST", TICKETS, {"ticket": {"subject": "Call"}}, 422, "Description: cannot be blank"),
    ("POST", TICKETS, {"ticket": {"comment": {"body": "x"}, "requester_id": 9}}, 422, "is not a user"),
    ("POST", TICKETS, {"ticket": {"comment": {"body": "x"}, "priority": "top"}}, 422, "not recognized"),
    ("PUT", f"{TICKETS}/4711", {"ticket": {}}, 404, "RecordNotFound"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), REFUSED)
def test_it_refuses(caller: Caller, method: str, path: str, body: Any, status: int, words: str) -> None:
    """Each wrong request has Zendesk's status and error, and changes nothing."""
    before = caller.twin.holdings()
    reply = caller.send(method, path, body)
    assert (reply.status_code, words in reply.text) == (status, True), reply.text
    assert caller.twin.holdings() == before


def test_nobody_gets_in_without_a_token(caller: Caller, clock: Clock) -> None:
    """No token, another scheme, a token that has run out: 401 in the words of OAuth."""
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x"}):
        assert caller.send("GET", "/api/v2/users/me", headers=headers).status_code == 401
    assert caller.send("GET", "/api/v2/users/me").status_code == 200
    clock.sleep(caller.twin.token_seconds)
    assert caller.send("GET", "/api/v2/users/me").json["error"] == "invalid_token"


def test_it_would_do_the_harm_others_must_not(caller: Caller) -> None:
    """Tags replaced, a user suspended and mailed, a public note sent on: the twin does it when it is asked."""
    caller.ada.tags = ["vip"]
    caller.send("POST", UPSERT, user(tags=["new"], suspended=True, email="second@example.com"))
    assert (caller.ada.tags, caller.ada.plain["suspended"]) == (["new"], True)
    assert caller.ada.emails == ["ada@example.com", "second@example.com"]
    assert "ada@example.com" in caller.twin.accounts[0].mailed
    caller.send("POST", TICKETS, {"ticket": {"comment": {"body": "hello"}, "tags": ["a"]}})
    caller.send("PUT", f"{TICKETS}/1", {"ticket": {"tags": ["b"]}})
    assert (caller.twin.notified, caller.twin.tickets[1][1]["tags"]) == ([1], ["b"])


def test_an_unknown_field_is_dropped_without_a_word(caller: Caller) -> None:
    """A user field the account does not have is neither kept nor complained of; a known one is kept."""
    reply = caller.send("POST", UPSERT, user(user_fields={"a_integer": "42", "nowhere": 1}))
    assert (reply.status_code, caller.ada.values) == (200, {"a_integer": 42})


def test_a_job_is_forgotten_after_a_day(caller: Caller, clock: Clock) -> None:
    """A finished job can be read for a day, and is nobody's in another account."""
    job = caller.send("POST", "/api/v2/users/create_or_update_many", {"users": [{"external_id": "c1"}]}).json
    path = f"/api/v2/job_statuses/{job['job_status']['id']}.json"
    assert caller.send("GET", path).json["job_status"]["status"] == "completed"
    other = {**CLIENT, "client_id": "octo-client-2", "client_secret": "octo-client-secret-2"}
    token = caller.send("POST", "/oauth/tokens", other).json["access_token"]
    assert caller.send("GET", path, headers={"Authorization": f"Bearer {token}"}).status_code == 404
    caller.twin.token_seconds = 1e9
    caller.headers = {
        "Authorization": f"Bearer {caller.send('POST', '/oauth/tokens', CLIENT).json['access_token']}"
    }
    clock.sleep(86_401)
    assert caller.send("GET", path).status_code == 404


def test_a_ticket_key_lasts_two_hours(caller: Caller, clock: Clock) -> None:
    """Within two hours the same key is the same ticket, said by a header; afterwards it is another."""
    caller.twin.token_seconds = 1e9
    token = caller.send("POST", "/oauth/tokens", CLIENT).json["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "k"}
    made = []
    for wait in (0, 7_100, 200):
        clock.sleep(wait)
        made.append(caller.send("POST", TICKETS, {"ticket": {"comment": {"body": "x"}}}, headers=headers))
    assert [reply.headers["x-idempotency-lookup"] for reply in made] == ["miss", "hit", "miss"]
    assert [reply.json["ticket"]["id"] for reply in made] == [1, 1, 2]
