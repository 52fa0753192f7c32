"""Google by others' word: its discovery document judges both sides, its own SDK works with the twin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import google.ads.datamanager_v1 as dm
import pytest
import requests
from google.ads.datamanager_v1.services.ingestion_service.transports import IngestionServiceRestTransport
from google.ads.datamanager_v1.services.user_list_service.transports import UserListServiceRestTransport
from google.api_core.exceptions import BadRequest, TooManyRequests
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import Exchange
from octo_dagster.model import Change, Op
from tests.contract.sitting import Sitting
from tests.vendors.google_audience import GOOGLE, VENDOR
from tests.vendors.hashed import sha256
from tests.world import World, row

jsonschema = pytest.importorskip("jsonschema")
SPEC = Path(__file__).parents[3] / "../shared/specs/google/datamanager.v1.json"


@dataclass(frozen=True)
class Heard:
    """One call as it went over the wire."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    status: int
    reply: Any


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox) -> list[Heard]:
    """Every call by the engine's session to this sandbox's Google, kept; to others and for tokens, none."""
    calls: list[Heard] = []
    send = Exchange.send
    here = f"{sandbox.address}/google_audience/"

    def listening(
        self: Exchange, request: requests.PreparedRequest, *args: Any, **how: Any
    ) -> requests.Response:
        reply = send(self, request, *args, **how)
        path, _, query = str(request.url).removeprefix(here).partition("?")
        if str(request.url).startswith(here) and path != "token":
            body = json.loads(request.body) if isinstance(request.body, bytes) else None
            asked = dict(parse_qsl(query))
            calls.append(Heard(str(request.method), path, asked, body, reply.status_code, reply.json()))
        return reply

    monkeypatch.setattr(Exchange, "send", listening)  # sends all the same; the call log keeps no bodies
    return calls


@pytest.fixture(scope="module")
def spec() -> Mapping[str, Any]:
    """The discovery document."""
    if not SPEC.exists():
        pytest.skip("../shared/specs is not here: vendors' descriptions, not ours to publish")
    loaded: Mapping[str, Any] = json.loads(SPEC.read_text("utf-8"))
    return loaded


def test_both_sides_speak_as_published(
    heard: list[Heard],
    spec: Mapping[str, Any],
    tmp_path: Path,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every request and reply of whole deliveries, a survey and failures fits the discovery document: its
    methods, their parameters, and bodies without a field it does not know."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", GOOGLE.env["GOOGLE_SERVICE_ACCOUNT"])
    shop = World(tmp_path, sandbox, "google_audience").say(**VENDOR.said())
    sandbox.twin("google_audience").refuses = {
        sha256("customer3@example.com"): "PROCESSING_ERROR_REASON_INVALID_FORMAT"
    }
    shop.have([row(n) for n in range(1, 5)]).deliver()
    shop.have([row(n, orders=50) for n in (1, 2)]).deliver()
    front = Sitting(GOOGLE, sandbox.address)
    with closing(front.http):
        front.destination.survey(front.api)
    found = {line for one in heard for line in differences(spec, one)}
    assert found == set()
    seen = {method(spec, one)["id"].removeprefix("datamanager.") for one in heard}
    assert seen == {
        "accountTypes.accounts.userLists.list",
        "accountTypes.accounts.userLists.create",
        "audienceMembers.ingest",
        "audienceMembers.remove",
        "requestStatus.retrieve",
    }


def test_the_judge_is_not_blind(spec: Mapping[str, Any]) -> None:
    """A wrong word, an unknown field and an unknown parameter are found on either side."""
    body = {"encoding": "hex", "members": []}
    wrong = Heard("POST", "v1/audienceMembers:ingest", {"all": "1"}, body, 200, {"requestId": 7})
    assert len(differences(spec, wrong)) == 4


def method(spec: Mapping[str, Any], one: Heard) -> Mapping[str, Any]:
    """The published method a call is one of."""
    for found in methods(spec):
        # `{+parent}` stands for several parts of the path.
        pattern = ".+".join(re.escape(part) for part in re.split(r"\{\+\w+\}", found["path"]))
        if found["httpMethod"] == one.method and re.fullmatch(pattern, one.path):
            return found
    raise AssertionError(f"{one.method} {one.path} is not published")


def methods(part: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Fixed paths first, then the longest: `v1/{+name}` fits them all."""
    found = [*part.get("methods", {}).values()]
    for inner in part.get("resources", {}).values():
        found += methods(inner)
    yield from sorted(found, key=lambda one: ("{" in one["path"], -len(one["path"])))


def differences(spec: Mapping[str, Any], one: Heard) -> set[str]:
    """Where a call is not as published."""
    known = method(spec, one)
    place = f"{one.method} {one.path}"
    found = {f"{place} ? {name}" for name in one.query if name not in known.get("parameters", {})}
    if "request" in known:
        found |= {f"{place} {line}" for line in misfits(spec, known["request"]["$ref"], one.body)}
    if one.status == 200:
        found |= {f"{place} 200 {line}" for line in misfits(spec, known["response"]["$ref"], one.reply)}
    return found


def misfits(spec: Mapping[str, Any], name: str, value: Any) -> Iterator[str]:
    schema = {"$ref": f"#/$defs/{name}", "$defs": {key: closed(one) for key, one in spec["schemas"].items()}}
    for error in jsonschema.Draft202012Validator(schema).iter_errors(value):
        yield f"{list(error.absolute_path)} {error.message}"


def closed(schema: Any) -> Any:
    """A discovery schema as a JSON schema, closed to fields it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": f"#/$defs/{schema['$ref']}"}
    made = {key: closed(value) for key, value in schema.items() if key in ("type", "enum", "items")}
    if "properties" in schema:
        made["properties"] = {name: closed(one) for name, one in schema["properties"].items()}
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made


@pytest.fixture
def service(sandbox: Sandbox) -> Iterator[dm.IngestionServiceClient]:
    """Google's own client in front of the twin."""
    sandbox.twin("google_audience").tokens["sdk"] = 1e12
    transport = IngestionServiceRestTransport(
        host=f"{sandbox.address.removeprefix('http://')}/google_audience",
        credentials=Credentials("sdk"),  # type: ignore[no-untyped-call]
        url_scheme="http",
    )
    with dm.IngestionServiceClient(transport=transport) as client:
        yield client


@pytest.fixture
def number(sandbox: Sandbox) -> int:
    """The id of a list that Google's own client made."""
    sandbox.twin("google_audience").tokens["sdk"] = 1e12
    transport = UserListServiceRestTransport(
        host=f"{sandbox.address.removeprefix('http://')}/google_audience",
        credentials=Credentials("sdk"),  # type: ignore[no-untyped-call]
        url_scheme="http",
    )
    parent = "accountTypes/GOOGLE_ADS/accounts/1000000001"
    with dm.UserListServiceClient(transport=transport) as client:
        info = dm.IngestedUserListInfo(upload_key_types=["CONTACT_ID"])
        wanted = dm.UserList(display_name="SDK", ingested_user_list_info=info)
        made = client.create_user_list(parent=parent, user_list=wanted)
        listed = list(client.list_user_lists(request={"parent": parent, "filter": 'display_name = "SDK"'}))
    assert [one.id for one in listed] == [made.id]
    return int(made.id)


def place(number: int) -> dm.Destination:
    account = dm.ProductAccount(account_type="GOOGLE_ADS", account_id="1000000001")
    return dm.Destination(operating_account=account, product_destination_id=str(number))


def people(*emails: str) -> list[dm.AudienceMember]:
    found = [dm.UserIdentifier(email_address=sha256(email)) for email in emails]
    return [dm.AudienceMember(user_data=dm.UserData(user_identifiers=[one])) for one in found]


def ingest(service: dm.IngestionServiceClient, number: int, *emails: str) -> dm.IngestAudienceMembersResponse:
    granted = dm.ConsentStatus.CONSENT_GRANTED
    request = dm.IngestAudienceMembersRequest(
        destinations=[place(number)],
        audience_members=people(*emails),
        consent=dm.Consent(ad_user_data=granted, ad_personalization=granted),
        encoding=dm.Encoding.HEX,
        terms_of_service=dm.TermsOfService(customer_match_terms_of_service_status="ACCEPTED"),
    )
    return service.ingest_audience_members(request=request)


def test_google_s_own_client_fills_a_list(
    service: dm.IngestionServiceClient, number: int, sandbox: Sandbox
) -> None:
    """Make a list, add two, ask what became of it, remove one: all by the SDK, parsed into its own models."""
    told = ingest(service, number, "ada@example.com", "bob@example.com")
    status = service.retrieve_request_status(request={"request_id": told.request_id})
    (one,) = status.request_status_per_destination
    assert one.request_status == dm.RequestStatusPerDestination.RequestStatus.SUCCESS
    assert one.audience_members_ingestion_status.user_data_ingestion_status.record_count == 2
    assert one.destination.product_destination_id == str(number)
    removal = dm.RemoveAudienceMembersRequest(
        destinations=[place(number)], audience_members=people("ada@example.com"), encoding=dm.Encoding.HEX
    )
    service.remove_audience_members(request=removal)
    (left,) = sandbox.twin("google_audience").holdings()["members"]
    assert left["emails"] == sha256("bob@example.com")


def test_the_sdk_reads_the_twin_s_errors(
    service: dm.IngestionServiceClient, number: int, sandbox: Sandbox
) -> None:
    """Refused members, an unknown request, too many calls and an ended session are the SDK's own exceptions."""
    with pytest.raises(BadRequest) as unknown:
        service.retrieve_request_status(request={"request_id": "7"})
    assert "INVALID_REQUEST_ID" in str(unknown.value.details)
    with pytest.raises(BadRequest):
        ingest(service, number)
    sandbox.fault("google_audience", "throttle", seconds=3)
    with pytest.raises(TooManyRequests) as busy:
        ingest(service, number, "ada@example.com")
    assert "quota_limit" in str(busy.value.details)
    sandbox.twin("google_audience").expire()
    with pytest.raises(RefreshError):  # it understands the 401, and has nothing to renew the token by
        ingest(service, number, "ada@example.com")


def test_both_call_alike(
    service: dm.IngestionServiceClient, number: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the same person, our request is the SDK's, but for the account that signs in, which it leaves out."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", GOOGLE.env["GOOGLE_SERVICE_ACCOUNT"])
    front = Sitting(GOOGLE, sandbox.address, {"list": "SDK"})
    with closing(front.http):
        batch = front.batch(Op.UPSERT, [Change("ada@example.com")])
        front.destination.send(front.api, batch)
    ingest(service, number, "ada@example.com")
    (_, ours), (_, theirs) = sandbox.twin("google_audience").bodies[-2:]
    assert ours["destinations"][0].pop("loginAccount")
    assert plain(ours) == plain(theirs)


WORDS = {"HEX": 1, "ACCEPTED": 1, "GOOGLE_ADS": 1, "CONSENT_GRANTED": 1}


def plain(body: Any) -> Any:
    """A body with words for numbers, as the SDK may spell an enum."""
    if isinstance(body, dict):
        return {name: plain(value) for name, value in body.items()}
    if isinstance(body, list):
        return [plain(value) for value in body]
    return WORDS.get(body, body)
