"""Brevo by others' word: the vendor's SDK drives the twin, the published OpenAPI file judges both sides.

Nothing here was written from our reading of the API: `brevo-python` 5.1 (Brevo's own client and its reply
models) talks to the twin, and every request of the destination and every reply of the twin is validated
against `../shared/specs/brevo/openapi-konfig-2024.yaml`. The SDK is the newer of the two: where they differ
it wins, and the difference stands in SDK_WINS with its reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import requests
import yaml
from brevo import Brevo as Client
from brevo.account.types.get_account_response import GetAccountResponse
from brevo.contacts.types.add_contact_to_list_request_body_emails import AddContactToListRequestBodyEmails
from brevo.contacts.types.create_attribute_request_enumeration_item import (
    CreateAttributeRequestEnumerationItem,
)
from brevo.contacts.types.get_attributes_response import GetAttributesResponse
from brevo.contacts.types.get_contact_info_response import GetContactInfoResponse
from brevo.contacts.types.get_folder_lists_response import GetFolderListsResponse
from brevo.contacts.types.get_folders_response import GetFoldersResponse
from brevo.contacts.types.get_list_response import GetListResponse
from brevo.contacts.types.get_lists_response import GetListsResponse
from brevo.contacts.types.import_contacts_request_json_body_item import ImportContactsRequestJsonBodyItem
from brevo.contacts.types.import_contacts_response import ImportContactsResponse
from brevo.contacts.types.remove_contact_from_list_request_body_ext_ids import (
    RemoveContactFromListRequestBodyExtIds,
)
from brevo.core.api_error import ApiError
from brevo.process.types.get_process_response import GetProcessResponse
from brevo.types.get_contacts import GetContacts
from brevo.types.post_contact_info import PostContactInfo
from pydantic import BaseModel

from connectors.destinations.brevo.destination import Brevo
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.model import Batch, Change, FieldType, Op, Value

jsonschema = pytest.importorskip("jsonschema")
SPEC = Path(__file__).parents[3] / "../shared/specs/brevo/openapi-konfig-2024.yaml"
ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"

MODELS: Mapping[str, type[BaseModel]] = {
    "GET /account": GetAccountResponse,
    "GET /contacts": GetContacts,
    "POST /contacts/import": ImportContactsResponse,
    "GET /contacts/attributes": GetAttributesResponse,
    "GET /contacts/folders": GetFoldersResponse,
    "GET /contacts/folders/{folderId}/lists": GetFolderListsResponse,
    "GET /contacts/lists": GetListsResponse,
    "GET /contacts/lists/{listId}": GetListResponse,
    "GET /contacts/lists/{listId}/contacts": GetContacts,
    "POST /contacts/lists/{listId}/contacts/add": PostContactInfo,
    "POST /contacts/lists/{listId}/contacts/remove": PostContactInfo,
    "GET /contacts/{identifier}": GetContactInfoResponse,
    "GET /processes/{processId}": GetProcessResponse,
}
"""The SDK's model of every reply it has one for."""

SDK_WINS: Mapping[str, str] = {
    "GET /account 200 enterprise": "GetAccountResponse.enterprise",
    "GET /account 200 organization_id": "GetAccountResponse.organization_id",
    "GET /account 200 user_id": "GetAccountResponse.user_id",
    "GET /contacts 200 contacts.whatsappBlacklisted": "GetContactDetails.whatsapp_blacklisted",
    "GET /contacts/attributes 200 attributes.enumeration.valueStr": "valueStr: text of a category's value",
    "GET /contacts/attributes 200 attributes.multiCategoryOptions": "multiple-choice attributes came after 2024",
    "GET /contacts/attributes 200 attributes.type": "type multiple-choice came after 2024",
    "GET /contacts/lists/{listId}/contacts 200 contacts.whatsappBlacklisted": "as in GET /contacts",
    "GET /contacts/{identifier} 200 whatsappBlacklisted": "as in GET /contacts",
    "GET /contacts/{identifier} ? identifierType": "get_contact_info(identifier_type=…)",
    "DELETE /contacts/{identifier} ? identifierType": "delete_contact(identifier_type=…)",
    "PUT /contacts/{identifier} ? identifierType": "update_contact(identifier_type=…)",
    "GET /processes/{processId} 200 info": "GetProcessResponse.info: the reports of refused rows",
    "POST /contacts/attributes/{attributeCategory}/{attributeName} multiCategoryOptions": "create_attribute(…)",
    "POST /contacts/attributes/{attributeCategory}/{attributeName} type": "type multiple-choice",
    "PUT /contacts/attributes/{attributeCategory}/{attributeName} multiCategoryOptions": "update_attribute(…)",
    "POST /contacts 400 metadata": "ContactErrorModel.metadata: which identifier is taken",
    "POST /contacts/lists/{listId}/contacts/remove the whole": "extIds: RemoveContactFromListRequestBodyExtIds",
    "POST /contacts/lists/{listId}/contacts/remove 201 contacts.failure": "the spec's oneOf: [] fits both kinds",
}
"""`METHOD path place` → what the SDK says that the spec of 2024 does not."""


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
    def of(cls, method: str, url: str, body: bytes, status: int, reply: bytes) -> Exchange:
        parts = urlsplit(url)
        path = parts.path.partition("/v3")[2]
        query = dict(parse_qsl(parts.query))
        return cls(method, path, query, as_json(body), status, as_json(reply))


def as_json(content: bytes) -> Any:
    return json.loads(content) if content else None


@pytest.fixture
def heard() -> list[Exchange]:
    return []


@pytest.fixture
def client(sandbox: Sandbox, heard: list[Exchange]) -> Iterator[Client]:
    """Brevo's own client in front of the twin; all it hears is kept."""

    def keep(reply: httpx.Response) -> None:
        asked = reply.request
        heard.append(Exchange.of(asked.method, str(asked.url), asked.read(), reply.status_code, reply.read()))

    with httpx.Client(event_hooks={"response": [keep]}) as web:
        base = f"{sandbox.address}/brevo/v3"
        yield Client(api_key="sandbox-key", base_url=base, max_retries=0, httpx_client=web)


def exchange_all(client: Client) -> tuple[int, int]:
    """Everything round an import, by the SDK; the ids of the list and of the process."""
    contacts = client.contacts
    client.account.get_account()
    contacts.create_attribute("normal", "RFM", type="text")
    contacts.create_attribute("normal", "TAGS", type="multiple-choice", multi_category_options=["a"])
    contacts.update_attribute("normal", "TAGS", multi_category_options=["b"])
    women = CreateAttributeRequestEnumerationItem(value=1, label="Women")
    contacts.create_attribute("category", "GENDER", type="category", enumeration=[women])
    contacts.get_attributes()
    folder = contacts.create_folder(name="Octo").id
    number = int(contacts.create_list(folder_id=folder, name="VIP").id)
    contacts.get_folders()
    contacts.get_folder_lists(folder)
    contacts.get_lists()
    rows = [
        ImportContactsRequestJsonBodyItem(email=ADA, attributes={"RFM": "champion", "TAGS": ["a", "b"]}),
        ImportContactsRequestJsonBodyItem(email=BOB, attributes={"RFM": "lost", "SMS": "+33612345678"}),
        ImportContactsRequestJsonBodyItem(email="nowhere@example", attributes={}),
    ]
    process = contacts.import_contacts(json_body=rows, list_ids=[number], update_existing_contacts=True)
    client.process.get_process(process.process_id)
    client.process.get_process(process.process_id)
    return number, int(process.process_id)


def read_all(client: Client, number: int, process: int) -> None:
    """What `exchange_all` wrote is what the SDK sees."""
    done = client.process.get_process(process)
    assert done.status == "completed"
    assert done.info is not None
    assert done.info.import_ is not None
    assert done.info.import_.duplicate_ext_id is None
    assert "nowhere@example" in httpx.get(str(done.info.import_.invalid_emails)).text
    ada = client.contacts.get_contact_info(ADA)
    assert (ada.email, ada.list_ids, ada.email_blacklisted) == (ADA, [number], False)
    assert ada.attributes.model_extra == {"RFM": "champion", "TAGS": ["a", "b"]}
    found = client.contacts.get_contacts_from_list(number, limit=500, sort="asc")
    assert [one.email for one in found.contacts] == [ADA, BOB]
    assert client.contacts.get_contacts(limit=1).count == 2
    assert client.contacts.get_list(number).name == "VIP"


def move_all(client: Client, number: int) -> None:
    """Create, update, add, remove and delete one contact; errors are of the SDK's own kind."""
    contacts = client.contacts
    made = contacts.create_contact(email=EVE, ext_id="c-9", attributes={"RFM": "new"})
    assert made is not None
    contacts.update_contact("c-9", identifier_type="ext_id", attributes={"RFM": "loyal"})
    assert contacts.get_contact_info(made.id).attributes.model_extra == {"EXT_ID": "c-9", "RFM": "loyal"}
    added = contacts.add_contact_to_list(number, request=AddContactToListRequestBodyEmails(emails=[EVE, ADA]))
    assert (added.contacts.success, added.contacts.failure) == ([EVE], [ADA])
    leave = RemoveContactFromListRequestBodyExtIds(ext_ids=["c-9"])
    assert contacts.remove_contact_from_list(number, request=leave).contacts.success == ["c-9"]
    with pytest.raises(ApiError) as gone:
        contacts.remove_contact_from_list(number, request=leave)
    assert (gone.value.status_code, gone.value.body["code"]) == (400, "invalid_parameter")
    with pytest.raises(ApiError) as twice:
        contacts.create_contact(email=EVE)
    assert twice.value.body["code"] == "duplicate_parameter"
    contacts.delete_contact(EVE, identifier_type="email_id")
    with pytest.raises(ApiError) as missing:
        contacts.get_contact_info(EVE)
    assert (missing.value.status_code, missing.value.body["code"]) == (404, "document_not_found")


def test_brevos_own_client_imports_and_reads(client: Client) -> None:
    """Attribute, folder, list, import, process, contact: the SDK sees what it wrote."""
    read_all(client, *exchange_all(client))


def test_brevos_own_client_moves_changes_and_deletes(client: Client) -> None:
    """Single contacts and membership by the SDK, with what goes wrong on the way."""
    number, _ = exchange_all(client)
    move_all(client, number)


def test_brevos_own_client_is_refused_like_anybody(sandbox: Sandbox, client: Client) -> None:
    """A wrong key is 401, too many calls are 429 with the time to wait in Brevo's own header."""
    base = f"{sandbox.address}/brevo/v3"
    with httpx.Client() as web, pytest.raises(ApiError) as stranger:
        Client(api_key="nobody", base_url=base, max_retries=0, httpx_client=web).account.get_account()
    assert (stranger.value.status_code, stranger.value.body["code"]) == (401, "unauthorized")
    sandbox.fault("brevo", "throttle", seconds=3)
    with pytest.raises(ApiError) as busy:
        client.account.get_account()
    assert busy.value.status_code == 429
    assert busy.value.headers is not None
    assert busy.value.headers["x-sib-ratelimit-reset"] == "3"


def our_traffic(sandbox: Sandbox, heard: list[Exchange]) -> None:
    """One of every call the destination makes, heard on the wire."""
    destination = Brevo.model_validate(
        {"type": "brevo", "api_key": {"env": "BREVO_API_KEY"}, "list": "Octo customers"}
    )

    def keep(reply: requests.Response, **_: Any) -> None:
        asked = reply.request
        body = asked.body if isinstance(asked.body, bytes) else b""
        if asked.url and "/v3/" in asked.url:
            heard.append(Exchange.of(str(asked.method), asked.url, body, reply.status_code, reply.content))

    with closing(session(destination, UNPACED, sandbox=sandbox.address)) as http:
        http.hooks["response"].append(keep)
        api = destination.connect(http)
        destination.account(api)
        types = {f"OCTO_{kind.value.upper()}": kind for kind in FieldType}
        destination.ensure_fields(api, types, create=True)
        batch = Batch("b", Op.UPSERT, rows(), "EMAIL", {"EMAIL": FieldType.TEXT, **types})
        sent = destination.send(api, batch)
        for _ in range(3):
            destination.settle(api, replace(batch, token=sent.token))
        destination.read(api, [f"{n}{EVE}" for n in range(3)], types)
        destination.read(api, [EVE, ADA], types)
        for op in (Op.CLEAR, Op.LEAVE, Op.LEAVE):
            destination.send(api, replace(batch, op=op, changes=batch.changes[:1]))


def rows() -> tuple[Change, ...]:
    full: dict[str, Value] = {
        "OCTO_TEXT": "Zoë",
        "OCTO_DECIMAL": 3,
        "OCTO_BOOLEAN": False,
        "OCTO_DATE": "2026-11-22",
        "OCTO_LIST": ["a"],
    }
    return (Change(ADA, full), Change(BOB, {"OCTO_TEXT": None}), Change("nowhere@example", {}))


@pytest.fixture
def traffic(
    sandbox: Sandbox, client: Client, heard: list[Exchange], monkeypatch: pytest.MonkeyPatch
) -> list[Exchange]:
    """All that the destination and the SDK said and were told, in two accounts of one twin."""
    monkeypatch.setenv("BREVO_API_KEY", "sandbox-key-2")
    our_traffic(sandbox, heard)
    number, process = exchange_all(client)
    read_all(client, number, process)
    move_all(client, number)
    return heard


def test_the_sdks_models_parse_every_reply(traffic: list[Exchange]) -> None:
    """Each reply fits the SDK's model of it, strictly, and has no field the model does not know."""
    seen = set()
    for one in traffic:
        place = f"{one.method} {template(MODELS_PATHS, one.path)}"
        if one.status < 300 and place in MODELS:
            seen.add(place)
            assert unknown(MODELS[place].model_validate(one.reply)) == set(), place
    assert seen == MODELS.keys()


MODELS_PATHS = [place.split()[1] for place in MODELS]


def unknown(value: Any) -> set[str]:
    """The fields of a parsed reply that its models do not declare; a contact's attributes are its own."""
    if isinstance(value, list):
        return set().union(*(unknown(one) for one in value)) if value else set()
    if not isinstance(value, BaseModel) or type(value).__name__.endswith("Attributes"):
        return set()
    found = set(value.model_extra or ())
    return found.union(*(unknown(getattr(value, name)) for name in type(value).model_fields))


@pytest.fixture(scope="module")
def spec() -> Mapping[str, Any]:
    """The published description, as a nested mapping."""
    if not SPEC.exists():
        pytest.skip("../shared/specs is not here: vendors' descriptions, not ours to publish")
    loaded: Mapping[str, Any] = yaml.load(SPEC.read_text(), Loader=yaml.CSafeLoader)
    return loaded


def test_both_sides_speak_as_published(traffic: list[Exchange], spec: Mapping[str, Any]) -> None:
    """Requests and replies fit the published description but for what the newer SDK says, and all of that."""
    found = {line for one in traffic for line in differences(spec, one)}
    assert found == SDK_WINS.keys()
    assert len(traffic) > 40


def test_the_judge_is_not_blind(spec: Mapping[str, Any]) -> None:
    """A wrong type, an unknown switch, an undocumented status and an invented error code are all found."""
    body = {"jsonBody": "x", "listIds": [1], "emptyAll": True}
    wrong = Exchange("POST", "/contacts/import", {}, body, 202, {"processId": "7"})
    assert differences(spec, wrong) == {
        "POST /contacts/import jsonBody",
        "POST /contacts/import emptyAll",
        "POST /contacts/import 202 processId",
    }
    strange = Exchange("GET", "/contacts/lists/3/contacts", {"limit": "501"}, None, 418, None)
    assert differences(spec, strange) == {
        "GET /contacts/lists/{listId}/contacts ? limit",
        "GET /contacts/lists/{listId}/contacts 418",
    }
    invented = Exchange("GET", "/contacts/7", {}, None, 404, {"code": "gone", "message": "x"})
    assert differences(spec, invented) == {"GET /contacts/{identifier} 404 code"}


def differences(spec: Mapping[str, Any], one: Exchange) -> set[str]:
    """Where an exchange is not as the description says: `METHOD path place`."""
    path = template(spec["paths"], one.path)
    place = f"{one.method} {path}"
    operation = spec["paths"][path][one.method.lower()]
    asked = body_schema(spec, operation.get("requestBody", {}))
    found = {f"{place} {line}" for line in misfits(asked, one.body)}
    known = {p["name"]: p["schema"] for p in operation.get("parameters", ()) if p["in"] == "query"}
    for name, value in one.query.items():
        read: Any = int(value) if value.isdigit() else value
        schema = known.get(name, {})
        if name not in known or misfits(schema, [read] if schema.get("type") == "array" else read):
            found.add(f"{place} ? {name}")
    told = operation["responses"].get(str(one.status))
    if told is None:
        return {*found, f"{place} {one.status}"}
    return found | {f"{place} {one.status} {line}" for line in misfits(body_schema(spec, told), one.reply)}


def template(paths: Any, path: str) -> str:
    """The described path that fits, the one with fewest places in it."""
    fits = [p for p in paths if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(p)), path)]
    return min(fits, key=lambda p: str(p).count("{"), default="undescribed")


def body_schema(spec: Mapping[str, Any], message: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The JSON schema of a request's or a reply's body; None when it has no body."""
    if "$ref" in message:
        message = spec["components"]["responses"][message["$ref"].rsplit("/", 1)[1]]
    content = message.get("content", {}).get("application/json")
    return inline(spec, content["schema"]) if content else None


def inline(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema without references and `allOf`, every object with named properties closed to others."""
    if "$ref" in schema:
        return inline(spec, spec["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]])
    if "allOf" in schema:
        parts = [inline(spec, part) for part in schema["allOf"]]
        properties = {name: sub for part in parts for name, sub in part["properties"].items()}
        required = [name for part in parts for name in part.get("required", ())]
        return {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
    made = dict(schema)
    if schema.get("properties"):
        made["properties"] = {name: inline(spec, sub) for name, sub in schema["properties"].items()}
        made.setdefault("additionalProperties", False)
    if "items" in schema:
        made["items"] = inline(spec, schema["items"])
    if "oneOf" in schema:
        made["oneOf"] = [inline(spec, sub) for sub in schema["oneOf"]]
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
