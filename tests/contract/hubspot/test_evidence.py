"""HubSpot by others' word: its official client drives the twin, its descriptions judge both sides.

Nothing here was written from our reading of the API: `hubspot-api-client` 12 (HubSpot's own, by the paths of
v3) talks to the twin and its models parse the twin's replies; every request of the destination and every
reply of the twin is held against HubSpot's published description of 2026-09 (`shapes.py`). There are no
recordings of real accounts here, so what no description says (which status a partly failed upsert has, what
order results come in, what a merge leaves) rests on the guides and on what people report.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from hubspot import HubSpot as Client
from hubspot.crm import contacts, lists, properties
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.crm.lists.exceptions import ApiException as ListsException
from hubspot.crm.properties.exceptions import ApiException as PropertiesException

from connectors.sandbox.server import Sandbox
from octo_dagster.model import Fields, Op
from tests.contract.hubspot.front import ADA, BOB, EVE, TYPES, Front
from tests.contract.hubspot.shapes import CALLS, ERROR, misfits
from tests.vendors.hubspot import KEY

MODELS: Mapping[str, tuple[Any, str]] = {
    "GET /crm/properties/V/contacts": (properties, "CollectionResponsePropertyNoPaging"),
    "POST /crm/properties/V/contacts": (properties, "ModelProperty"),
    "PATCH /crm/properties/V/contacts/x": (properties, "ModelProperty"),
    "POST /crm/properties/V/contacts/groups": (properties, "PropertyGroup"),
    "POST /crm/objects/V/contacts/batch/upsert": (
        contacts,
        "BatchResponseSimplePublicUpsertObjectWithErrors",
    ),
    "POST /crm/objects/V/contacts/batch/create": (contacts, "BatchResponseSimplePublicObjectWithErrors"),
    "POST /crm/objects/V/contacts/batch/update": (contacts, "BatchResponseSimplePublicObjectWithErrors"),
    "POST /crm/objects/V/contacts/batch/read": (contacts, "BatchResponseSimplePublicObjectWithErrors"),
    "POST /crm/lists/V": (lists, "ListCreateResponse"),
    "POST /crm/lists/V/search": (lists, "ListSearchResponse"),
    "PUT /crm/lists/V/1/memberships/add": (lists, "MembershipsUpdateResponse"),
}
"""The client's model of the reply, of the calls it has one for."""


# HubSpot's own client ------------------------------------------------------------------------------


class Official:
    """`hubspot-api-client`, its APIs turned to the sandbox."""

    def __init__(self, address: str) -> None:
        client = Client(access_token=KEY)
        self.batch = client.crm.contacts.batch_api
        self.properties = client.crm.properties.core_api
        self.groups = client.crm.properties.groups_api
        self.lists = client.crm.lists.lists_api
        self.members = client.crm.lists.memberships_api
        for api in (self.batch, self.properties, self.groups, self.lists, self.members):
            api.api_client.configuration.host = f"{address}/hubspot"

    def upsert(self, *rows: tuple[str, dict[str, str]]) -> Any:
        """By address, each with a mark of its own."""
        inputs = [
            contacts.SimplePublicObjectBatchInputUpsert(
                id=key, id_property="email", properties=fields, object_write_trace_id=str(n)
            )
            for n, (key, fields) in enumerate(rows)
        ]
        return self.batch.upsert(contacts.BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs))

    def read(self, *keys: str) -> Any:
        return self.batch.read(
            contacts.BatchReadInputSimplePublicObjectId(
                id_property="email",
                properties=["email", "octo_rfm"],
                properties_with_history=[],
                inputs=[contacts.SimplePublicObjectId(id=key) for key in keys],
            )
        )

    def make(self, name: str) -> Any:
        return self.properties.create(
            "contacts",
            properties.PropertyCreate(
                name=name, label=name, type="string", field_type="text", group_name="contactinformation"
            ),
        )


@pytest.fixture
def official(sandbox: Sandbox) -> Official:
    return Official(sandbox.address)


def test_client_keeps_contacts(official: Official) -> None:
    """It makes a property, upserts, reads, updates and archives contacts, and sees who failed and why."""
    assert official.make("octo_rfm").field_type == "text"
    made = official.upsert((ADA, {"octo_rfm": "best"}), (BOB, {"nowhere": "x"}), (EVE, {"octo_rfm": "new"}))
    assert (made.status, made.num_errors, [one.new for one in made.results]) == ("COMPLETE", 1, [True, True])
    assert made.errors[0].category == "VALIDATION_ERROR"
    assert made.errors[0].context["objectWriteTraceId"] == ["1"]
    found = official.read(ADA, BOB, EVE)
    assert {one.properties["email"]: one.properties["octo_rfm"] for one in found.results} == {
        ADA: "best",
        EVE: "new",
    }
    assert found.errors[0].context["ids"] == [BOB]
    ada = next(one for one in found.results if one.properties["email"] == ADA)
    change = contacts.SimplePublicObjectBatchInput(id=ada.id, properties={"octo_rfm": ""})
    told = official.batch.update(contacts.BatchInputSimplePublicObjectBatchInput(inputs=[change]))
    assert told.results[0].properties["octo_rfm"] is None
    official.batch.archive(
        contacts.BatchInputSimplePublicObjectId(inputs=[contacts.SimplePublicObjectId(id=ada.id)])
    )
    assert official.read(ADA).results == []


def test_client_keeps_a_list(official: Official) -> None:
    """It makes a static list, finds it by name, and adds and removes members."""
    (ada,) = official.upsert((ADA, {})).results
    asked = lists.ListCreateRequest(name="Best", object_type_id="0-1", processing_type="MANUAL")
    made = official.lists.create(asked).list
    assert official.lists.get_by_name("Best", "0-1").list.list_id == made.list_id
    added = official.members.add(made.list_id, [ada.id, "999"])
    assert (added.records_ids_added, added.record_ids_missing) == ([ada.id], ["999"])
    assert [one.record_id for one in official.members.get_page(made.list_id).results] == [ada.id]
    assert official.members.remove(made.list_id, [ada.id]).record_ids_removed == [ada.id]


def test_client_is_refused_in_its_own_words(official: Official) -> None:
    """What is wrong reaches its user as an exception with HubSpot's category."""
    official.make("octo_rfm")
    with pytest.raises(PropertiesException) as twice:
        official.make("octo_rfm")
    with pytest.raises(ApiException) as doubled:
        official.upsert((ADA, {}), (ADA, {}))
    with pytest.raises(ListsException) as absent:
        official.lists.get_by_name("nowhere", "0-1")
    told = [json.loads(one.value.body)["category"] for one in (twice, doubled, absent)]
    assert told == ["OBJECT_ALREADY_EXISTS", "VALIDATION_ERROR", "OBJECT_NOT_FOUND"]


# HubSpot's own descriptions ------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """One call as it went over the wire, V for the version in its path."""

    call: str
    asked: Any
    status: int
    told: Any

    @classmethod
    def of(cls, reply: requests.Response, version: str) -> Exchange:
        path = (reply.request.path_url or "").removeprefix("/hubspot").partition("?")[0]
        path = re.sub(r"^/crm/v3/(\w+)", r"/crm/\1/V", path).replace(f"/{version}", "/V")
        asked = json.loads(reply.request.body) if reply.request.body else None
        told = reply.json() if reply.content else None
        return cls(f"{reply.request.method} {path}", asked, reply.status_code, told)


def life(sandbox: Sandbox, version: str, id_property: str) -> list[Exchange]:
    """Everything the destination can be asked, and how it went over the wire."""
    front = Front(sandbox, version=version, id_property=id_property, list="Best")
    seen: list[Exchange] = []
    front.http.hooks["response"].append(lambda reply, **_: seen.append(Exchange.of(reply, version)))
    front.destination.account(front.api)
    front.person(EVE, firstname="Eve")
    front.ready()
    ada, bob, eve = (ADA, BOB, EVE) if id_property == "email" else ("a1", "b1", "e1")
    address: Fields = {} if id_property == "email" else {"email": EVE}
    record: Fields = {"octo_rfm": "best", "octo_spent": 7, "octo_best": True, "octo_last": "2026-11-22"}
    front.account.rules = {"octo_rfm": "[a-z]+"}
    front.do(Op.UPSERT, {ada: {**record, "octo_likes": ["tea"]}, bob: {"octo_rfm": "BAD"}, eve: address})
    front.account.rules = {}
    front.do(Op.UPSERT, {ada: {"octo_rfm": None}, bob: {"octo_rfm": "new"}})
    front.read(ada, bob, "nobody@example.com")
    front.do(Op.CLEAR, {ada: dict.fromkeys(TYPES)})
    front.do(Op.LEAVE, {ada: {}})
    front.do(Op.DELETE, {bob: {}})
    front.destination.survey(front.api)
    front.close()
    return seen


ways = pytest.mark.parametrize("id_property", ["email", "octo_id"])


@ways
@pytest.mark.parametrize("version", ["2026-09", "2026-03", "v3"])
def test_every_call_and_reply_is_as_described(version: str, id_property: str, sandbox: Sandbox) -> None:
    """Both sides of every exchange hold what the description requires, of its types, and nothing it does not name."""
    seen = life(sandbox, version, id_property)
    wrong: list[str] = []
    met = set()
    for one in seen:
        (pattern,) = [call for call in CALLS if re.fullmatch(call, one.call)]
        asked, replies = CALLS[pattern]
        met.add(pattern)
        wrong += [f"{one.call} {misfit}" for misfit in misfits(one.asked, asked)]
        shape = replies.get(one.status, ERROR if one.status >= 400 else ())
        wrong += [f"{one.call} {one.status} {misfit}" for misfit in misfits(one.told, shape)]
    assert wrong == []
    other = "upsert" if id_property == "email" else "create"
    everything = {call for call in CALLS if id_property == "email" or "archive" in call or "batch" in call}
    assert everything - met == {call for call in CALLS if call.endswith(f"batch/{other}")}


@ways
def test_clients_models_parse_every_reply(id_property: str, sandbox: Sandbox) -> None:
    """HubSpot's models of v3 take the twin's replies: nothing required is missing, nothing is invented."""
    parsed = 0
    for one in life(sandbox, "v3", id_property):
        name = re.sub(r"/\d+/memberships/\w+", "/1/memberships/add", one.call)
        name = re.sub(r"PATCH (.*)/\w+$", r"PATCH \1/x", name)
        if name in MODELS and one.status < 400:
            module, model = MODELS[name]
            api = module.ApiClient(module.Configuration())
            api.deserialize(Body(json.dumps(one.told)), model)
            assert list(invented(module, model, one.told)) == [], one.call
            parsed += 1
    assert parsed > 15


@dataclass(frozen=True)
class Body:
    """A reply as the client hands it to its models."""

    data: str


def invented(module: Any, kind: str, value: Any, place: str = "") -> Iterator[str]:
    """The parts of a reply that the client's model does not know."""
    inner = re.fullmatch(r"(?:list\[|dict\[str, )(.+)\]", kind)
    if inner and value is not None:
        for one in value if isinstance(value, list) else value.values():
            yield from invented(module, inner[1], one, f"{place}[]")
        return
    model = getattr(module, kind, None)
    if model is None or not hasattr(model, "openapi_types") or not isinstance(value, dict):
        return
    known = {spelled: model.openapi_types[name] for name, spelled in model.attribute_map.items()}
    for name, one in value.items():
        if name in known:
            yield from invented(module, known[name], one, f"{place}.{name}")
        else:
            yield f"{place}.{name}"
