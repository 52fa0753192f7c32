"""What Salesforce's twin refuses, and in which words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from werkzeug.wrappers import Response

from tests.contract.salesforce.replay import Replay


def refused(replay: Replay, record: Mapping[str, Any]) -> dict[str, Any]:
    """The reply to creating one contact."""
    records = [{"attributes": {"type": "Contact"}, **record}]
    reply: Response = replay.send(
        "POST", "/services/data/v61.0/composite/sobjects", json={"records": records}
    )
    told: dict[str, Any] = json.loads(reply.get_data())[0]
    return told


@pytest.mark.parametrize(
    ("record", "code", "fields"),
    [
        ({"FirstName": "A"}, "REQUIRED_FIELD_MISSING", ["LastName"]),
        ({"LastName": "x" * 81}, "STRING_TOO_LONG", ["LastName"]),
        ({"LastName": "A", "Email": "badone"}, "INVALID_EMAIL_ADDRESS", ["Email"]),
        ({"LastName": "A", "CleanStatus": "No"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["CleanStatus"]),
        ({"LastName": "A", "CreatedDate": "2020-01-01T00:00:00Z"}, "INVALID_FIELD_FOR_INSERT_UPDATE",
         ["CreatedDate"]),
    ],
)  # fmt: skip
def test_bad_row_is_refused(record: Mapping[str, Any], code: str, fields: list[str]) -> None:
    """A bad row is refused by its own code and names its field."""
    [error] = refused(Replay(), record)["errors"]
    assert (error["statusCode"], error["fields"]) == (code, fields)


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"LastName": "A", "Nothing__c": 1}, "INVALID_FIELD"),
        ({"LastName": "A", "Birthdate": "yesterday"}, "JSON_PARSER_ERROR"),
        ({"LastName": "A", "MailingLatitude": "north"}, "JSON_PARSER_ERROR"),
    ],
)
def test_unreadable_row_fails_the_call(record: Mapping[str, Any], code: str) -> None:
    """A field that is not there, or a value of another type, fails the call as a whole."""
    assert refused(Replay(), record)["errorCode"] == code


def test_more_than_200_records_are_refused() -> None:
    """A collection of 201 is refused whole."""
    records = [{"attributes": {"type": "Contact"}, "LastName": "A"}] * 201
    replay = Replay()
    reply = replay.send("POST", "/services/data/v61.0/composite/sobjects", json={"records": records})
    assert (reply.status_code, replay.twin.holdings().get("Contact")) == (400, None)


def test_all_or_none_keeps_nothing_of_a_bad_call() -> None:
    """With allOrNone one bad row undoes the others, which say so."""
    replay = Replay()
    records = [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("A", None)]
    body = {"allOrNone": True, "records": records}
    told = replay.send("POST", "/services/data/v61.0/composite/sobjects", json=body).json
    codes = [row["errors"][0]["statusCode"] for row in told]
    assert codes == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"]
    assert replay.twin.holdings().get("Contact") is None


def test_key_twice_in_one_call_refuses_both() -> None:
    """Two rows of one external id in a call are both refused, capitals or not."""
    replay = Replay()
    records = [
        {"attributes": {"type": "Contact"}, "LastName": "A", "Custom_External_ID__c": key}
        for key in ("k", "K")
    ]
    path = "/services/data/v61.0/composite/sobjects/Contact/Custom_External_ID__c"
    told = replay.send("PATCH", path, json={"allOrNone": False, "records": records}).json
    assert [row["errors"][0]["statusCode"] for row in told] == ["DUPLICATE_VALUE", "DUPLICATE_VALUE"]


def test_quota_ends_calls() -> None:
    """Over the quota every call is refused with 403 and says how many were used."""
    replay = Replay()
    replay.twin.quota = replay.twin.orgs[0].used
    reply = replay.send("GET", "/services/data/v61.0/limits")
    assert (reply.status_code, reply.json[0]["errorCode"]) == (403, "REQUEST_LIMIT_EXCEEDED")
    used = replay.twin.orgs[0].used
    assert reply.headers["Sforce-Limit-Info"] == f"api-usage={used}/{used}"
