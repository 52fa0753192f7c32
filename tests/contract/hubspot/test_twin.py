"""What HubSpot's twin refuses, in HubSpot's words: a destination that does such things fails in front of it."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import Client as Wire
from werkzeug.wrappers import Request

from connectors.sandbox.hubspot.account import Account
from connectors.sandbox.hubspot.twin import HubSpot
from tests.conftest import Clock
from tests.vendors.hubspot import KEY

CONTACTS = "/crm/objects/2026-09/contacts"
PROPERTIES = "/crm/properties/2026-09/contacts"
TEXT = {
    "name": "plan",
    "label": "Plan",
    "type": "string",
    "fieldType": "text",
    "groupName": "contactinformation",
}


class Bare:
    """The twin, asked directly."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.twin = HubSpot(clock)
        self.account: Account = self.twin.accounts[KEY]
        self.wire = Wire(Request.application(self.twin.answer))

    def ask(self, method: str, path: str, body: Any = None, key: str = KEY) -> Any:
        return self.wire.open(path, method=method, json=body, headers={"Authorization": f"Bearer {key}"})

    def upsert(self, *rows: dict[str, Any]) -> Any:
        """By address, each with a mark, unless it is said otherwise."""
        inputs = [
            {"idProperty": "email", "properties": {}, "objectWriteTraceId": str(n), **one}
            for n, one in enumerate(rows)
        ]
        return self.ask("POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})

    def make(self, **said: Any) -> Any:
        return self.ask("POST", PROPERTIES, {**TEXT, **said})


@pytest.fixture
def bare(clock: Clock) -> Bare:
    return Bare(clock)


@pytest.mark.parametrize(
    ("property_", "value", "code"),
    [
        ("nowhere", "x", "PROPERTY_DOESNT_EXIST"),
        ("count", "1,5", "INVALID_NUMBER"),
        ("count", "NaN", "INVALID_NUMBER"),
        ("born", "1795305600001", "INVALID_DATE"),
        ("born", "22/11/2026", "INVALID_DATE"),
        ("seen", "yesterday", "INVALID_DATE"),
        ("vip", "yes", "INVALID_OPTION"),
        ("likes", "tea;wine", "INVALID_OPTION"),
        ("createdate", "2026-11-22", "READ_ONLY_VALUE"),
        ("num_associated_deals", "3", "READ_ONLY_VALUE"),
        ("email", "nowhere", "INVALID_EMAIL"),
        ("plan", "x" * 65_537, "PROPERTY_VALUE_TOO_LONG"),
    ],
)
def test_values_that_do_not_fit(bare: Bare, property_: str, value: str, code: str) -> None:
    """Each is refused by its code, in the row that has it, and that row is not written."""
    yes_no = [{"label": one, "value": one} for one in ("true", "false")]
    tea = [{"label": "tea", "value": "tea"}]
    for said in (
        {},
        {"name": "count", "type": "number", "fieldType": "number"},
        {"name": "born", "type": "date", "fieldType": "date"},
        {"name": "seen", "type": "datetime", "fieldType": "date"},
        {"name": "vip", "type": "bool", "fieldType": "booleancheckbox", "options": yes_no},
        {"name": "likes", "type": "enumeration", "fieldType": "checkbox", "options": tea},
    ):
        assert bare.make(**said).status_code == 201
    reply = bare.upsert({"id": "a@x.com", "properties": {property_: value}}, {"id": "b@x.com"})
    (error,) = reply.json["errors"]
    assert (reply.status_code, reply.json["numErrors"], len(reply.json["results"])) == (207, 1, 1)
    assert error["errors"][0]["code"] == code
    assert error["context"]["objectWriteTraceId"] == ["0"]
    assert [one.properties["email"] for one in bare.account.there()] == ["b@x.com"]


def test_without_marks_one_bad_row_fails_all(bare: Bare) -> None:
    """Partial success is for inputs that each have a mark of their own."""
    for mark in (None, "same"):
        reply = bare.upsert(
            {"id": "a@x.com", "objectWriteTraceId": mark},
            {"id": "nowhere", "objectWriteTraceId": mark},
        )
        assert (reply.status_code, reply.json["category"]) == (400, "VALIDATION_ERROR")
        assert list(bare.account.there()) == []


@pytest.mark.parametrize(
    "rows",
    [
        [{"id": "a@x.com"}, {"id": "A@x.com"}],
        [{"id": f"{n}@x.com"} for n in range(101)],
        [{"id": "a@x.com", "properties": {"firstname": 5}}],
        [{"id": "a", "idProperty": "firstname"}],
        [{"id": ""}],
    ],
    ids=["twice", "101", "a number", "not unique", "no id"],
)
def test_batches_refused_whole(bare: Bare, rows: list[dict[str, Any]]) -> None:
    """A key twice, the hundred-and-first input, a value that is no text, a property that is not unique."""
    reply = bare.upsert(*rows)
    assert (reply.status_code, reply.json["category"]) == (400, "VALIDATION_ERROR")
    assert list(bare.account.there()) == []


def test_a_body_without_inputs_is_a_success_of_nothing(bare: Bare) -> None:
    """As people were bitten by: COMPLETE, and nothing done (rudder-transformer #5147)."""
    reply = bare.ask("POST", f"{CONTACTS}/batch/upsert", [{"id": "a@x.com"}])
    assert (reply.status_code, reply.json["status"], reply.json["results"]) == (200, "COMPLETE", [])


def test_a_partial_upsert_by_address_empties_the_rest(bare: Bare) -> None:
    """The strictest reading of "not supported": what an upsert by address does not mention is gone."""
    bare.upsert({"id": "a@x.com", "properties": {"firstname": "Ada", "phone": "1"}})
    bare.upsert({"id": "a@x.com", "properties": {"phone": "2"}})
    (ada,) = bare.account.there()
    assert ada.properties == {"email": "a@x.com", "phone": "2"}


def test_properties_that_cannot_be_made(bare: Bare) -> None:
    """A name in capitals, a form of another type, a group or choices that will not do; and a name twice."""
    wrong: tuple[dict[str, Any], ...] = (
        {"name": "Plan"},
        {"type": "number"},
        {"groupName": "nobodys"},
        {"type": "bool", "fieldType": "booleancheckbox"},
        {"label": ""},
    )
    assert {bare.make(**said).status_code for said in wrong} == {400}
    assert [bare.make().status_code for _ in range(2)] == [201, 409]


def test_who_may_not(bare: Bare) -> None:
    """No key, another's key, a key without the scope: 401, 401, and 403 with the scope's name."""
    path = f"{CONTACTS}/batch/read"
    assert bare.wire.open(path, method="POST").status_code == 401
    assert bare.ask("POST", path, {}, key="nobody").json["category"] == "INVALID_AUTHENTICATION"
    bare.twin.scopes[KEY] = frozenset()
    reply = bare.ask("POST", path, {"inputs": [], "properties": []})
    assert (reply.status_code, reply.json["category"]) == (403, "MISSING_SCOPES")
    assert reply.json["errors"][0]["context"] == {"requiredGranularScopes": ["crm.objects.contacts.read"]}


def test_limits_roll(bare: Bare) -> None:
    """Ten rolling seconds; a 429 names its policy, has no Retry-After, and only the day's headers."""
    bare.twin.quota = 2
    path = "/account-info/2026-09/details"
    told = [bare.ask("GET", path).status_code]
    bare.clock.sleep(9)
    told += [bare.ask("GET", path).status_code, (refused := bare.ask("GET", path)).status_code]
    bare.clock.sleep(1)
    told += [bare.ask("GET", path).status_code, bare.ask("GET", path).status_code]
    assert told == [200, 200, 429, 200, 429]
    assert refused.json["policyName"] == "TEN_SECONDLY_ROLLING"
    assert "Retry-After" not in refused.headers
    assert "X-HubSpot-RateLimit-Remaining" not in refused.headers
    assert refused.headers["X-HubSpot-RateLimit-Daily-Remaining"] == "249998"


def test_lists(bare: Bare) -> None:
    """Names are unique, an active list takes nobody, strangers are told as missing, versions must be known."""
    asked = {"name": "Best", "objectTypeId": "0-1", "processingType": "MANUAL"}
    made = bare.ask("POST", "/crm/lists/2026-09", asked).json["list"]
    assert bare.ask("POST", "/crm/lists/2026-09", asked).status_code == 400
    reply = bare.ask("PUT", f"/crm/lists/2026-09/{made['listId']}/memberships/add", ["999"])
    assert reply.json == {"recordsIdsAdded": [], "recordIdsRemoved": [], "recordIdsMissing": ["999"]}
    active = bare.account.add_list("Active", "DYNAMIC", 0.0)
    assert bare.ask("PUT", f"/crm/lists/2026-09/{active.id}/memberships/add", []).status_code == 400
    assert bare.ask("POST", "/crm/lists/2031-01", asked).status_code == 404


def test_a_merged_contacts_address_leads_to_the_other(bare: Bare) -> None:
    """After a merge both addresses name one contact, which shows the second among its others."""
    bare.upsert({"id": "a@x.com"}, {"id": "b@x.com"})
    one, two = bare.account.there()
    bare.account.merge(one, two, 0.0)
    asked = {
        "idProperty": "email",
        "properties": ["email", "hs_additional_emails"],
        "propertiesWithHistory": [],
    }
    reply = bare.ask("POST", f"{CONTACTS}/batch/read", asked | {"inputs": [{"id": "b@x.com"}]})
    (shown,) = reply.json["results"]
    assert (shown["id"], shown["properties"]["hs_additional_emails"]) == (one.id, "b@x.com")
