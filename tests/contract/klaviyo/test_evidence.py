"""Klaviyo by others' word: the vendor's SDK drives the twin, the published description judges both sides.

Nothing here was written from our reading of the API: `klaviyo-api` 25 (whose models are strict) talks to the
twin and reads our requests, and all that a whole run of the engine asks and is told is validated against
`../shared/specs/klaviyo/stable.json`. There are recordings of the API's predecessors only; of this one there
is a real refusal quoted in klaviyo-api-node #75, which has more than the description says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from klaviyo_api import KlaviyoAPI
from openapi_client.exceptions import ApiException
from openapi_client.models.list_create_query import ListCreateQuery
from openapi_client.models.list_members_delete_query import ListMembersDeleteQuery
from openapi_client.models.profile_import_job_create_query import ProfileImportJobCreateQuery
from openapi_client.models.profile_partial_update_query import ProfilePartialUpdateQuery

from connectors.destinations.klaviyo.destination import Klaviyo
from connectors.sandbox.klaviyo.quota import ENDPOINTS
from octo_dagster.model import FieldType, Op
from tests.contract.klaviyo.desk import ADA, BOB, EVE, Desk
from tests.contract.klaviyo.recording import SPEC, Exchange, Judge, Recording
from tests.contract.test_engine import Exam, customer, customers, told
from tests.vendors.klaviyo import KLAVIYO, VENDOR
from tests.world import World

RECORDED = {f"{family} errors.{name}" for family in ("4XX",) for name in ("status", "links", "meta")}
"""What a real refusal has that the description does not name."""
SPARSE = {"GET /api/lists/{id}/profiles 200 data.attributes"}
"""`joined_group_at` is called required, which a call that asks for other fields only leaves out all the same."""
QUERIES: Mapping[str, Any] = {
    "POST /api/lists": ListCreateQuery,
    "POST /api/profile-bulk-import-jobs": ProfileImportJobCreateQuery,
    "PATCH /api/profiles/{id}": ProfilePartialUpdateQuery,
    "DELETE /api/lists/{id}/relationships/profiles": ListMembersDeleteQuery,
}
"""Every call of ours that has a body → the SDK's model of it."""


@pytest.fixture
def recording() -> Iterator[Recording]:
    with Recording() as running:
        yield running


@pytest.fixture(scope="module")
def judge() -> Judge:
    """The published description."""
    if not SPEC.exists():
        pytest.skip("../shared/specs is not here: vendors' descriptions, not ours to publish")
    return Judge(json.loads(SPEC.read_text("utf-8")))


def engine_run(folder: Path, recording: Recording) -> None:
    """A first sync, nothing to do, changes, values emptied, a refused row, a departure, and looking at it all."""
    exam = Exam(VENDOR, World(folder, recording, "klaviyo").say(**told(VENDOR)))
    rows = customers(6)
    for some in (rows, rows, [customer(1, orders=9), *rows[1:]], rows[1:]):
        assert exam.have(some).deliver().exit_code == 0
    empty = {kind.value: None for kind in FieldType} | {"segment": None}
    assert exam.have([rows[1] | empty, *rows[2:]]).deliver().exit_code == 0
    exam.verify()
    fields = [{"from": "text", "to": "phone_number"}, {"from": "segment", "to": "location.city"}]
    exam.world.say(fields=fields, mode="upsert")
    assert (
        exam.have([customer(7, text="+9990000000000"), customer(8, text="+33612345678")]).deliver().exit_code
        == 4
    )


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[Exchange]:
    """All that the engine asked and was told, with the calls that a sync by external id and a survey make."""
    with pytest.MonkeyPatch.context() as environment, Recording() as recording:
        for name, value in {**KLAVIYO.env, "NO_PROXY": "127.0.0.1"}.items():
            environment.setenv(name, value)
        engine_run(tmp_path_factory.mktemp("shop"), recording)
        by_hand(recording)
    return recording.heard


def by_hand(recording: Recording) -> None:
    """The calls no run of that one sync makes."""
    with closing(Desk(recording)) as desk:
        desk.do(Op.UPSERT, {"c1": {"email": ADA}, "c2": {"rfm": "x"}}, "external_id")
        desk.destination.read(desk.api, ["c1", "c2"], ["rfm", "location.city", "first_name"])
        desk.do(Op.LEAVE, {"c1": {}}, "external_id")
        desk.destination.survey(desk.api)


def test_both_sides_speak_as_published(ours: list[Exchange], judge: Judge) -> None:
    """Every request and reply of a whole run fits the description, but for what real refusals have besides."""
    found = {line for one in ours for line in judge.differences(one)}
    assert {line for line in found - SPARSE if line.split(" ", 2)[2] not in RECORDED} == set()
    assert {one.place(judge.spec) for one in ours} == {place for place in ENDPOINTS if place not in BEYOND}, (
        "every call the connector can make was made"
    )


BEYOND = {
    "GET /api/lists/{id}",
    "POST /api/lists/{id}/relationships/profiles",
    "GET /api/profiles/{id}",
    "POST /api/profile-import",
}
"""What the twin has for people and other tools; the connector never asks for it."""


def test_the_sdks_models_read_every_request(ours: list[Exchange], judge: Judge) -> None:
    """Klaviyo's own models take each body of ours, strictly, and would send the very same."""
    seen = set()
    for one in ours:
        if one.body is not None:
            place = one.place(judge.spec)
            model = QUERIES[place].from_dict(one.body)
            assert without_nulls(model.to_dict()) == without_nulls(one.body), place
            seen.add(place)
    assert seen == QUERIES.keys()


def without_nulls(value: Any) -> Any:
    """The value without the nulls in it, of which the models add some."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def test_the_judge_is_not_blind(judge: Judge) -> None:
    """A wrong type, an unknown field, a bad query, a missing revision and an undescribed path are all found."""
    body = {"data": {"type": "list", "attributes": {"name": 7, "color": "red"}}}
    wrong = Exchange("POST", "/api/lists", {"x": "1"}, None, body, 204, None)
    assert judge.differences(wrong) == {
        "POST /api/lists data.attributes.name",
        "POST /api/lists data.attributes.color",
        "POST /api/lists ? x",
        "POST /api/lists revision",
        "POST /api/lists 204",
    }
    query = {"page[size]": "101", "fields[profile]": "email,shoe_size", "sort": "age"}
    many = Exchange(
        "GET", "/api/profiles", query, "2026-07-15", None, 200, {"data": [{"type": "profile"}], "x": 1}
    )
    assert judge.differences(many) >= {
        "GET /api/profiles ? page[size]",
        "GET /api/profiles ? fields[profile]",
        "GET /api/profiles ? sort",
        "GET /api/profiles 200 x",
    }
    assert judge.differences(Exchange("GET", "/api/none", {}, "r", None, 200, {})) == {
        "GET undescribed: not described"
    }


def test_quotas_and_scopes_are_the_published_ones(judge: Judge) -> None:
    """The twin's quotas and scopes are those of the description, and the connector's pace is within them."""
    for name, endpoint in ENDPOINTS.items():
        method, path = name.split()
        operation = judge.spec["paths"][path][method.lower()]
        quota = operation["x-klaviyo-ratelimit"]
        assert (f"{endpoint.burst}/s", f"{endpoint.steady}/m") == (quota["burst"], quota["steady"]), name
        assert set(endpoint.scopes) == set(operation["x-klaviyo-scopes"]), name
        paced = [r for r in Klaviyo.rates if re.search(r.paths or "", path)]
        for rate in paced if name not in BEYOND else ():
            assert rate.calls <= (endpoint.burst if rate.seconds == 1 else endpoint.steady), name
        assert paced or name in BEYOND, name


@pytest.fixture
def client(recording: Recording) -> KlaviyoAPI:
    """Klaviyo's own client in front of the twin."""
    return KlaviyoAPI("pk_sandbox", max_delay=1, max_retries=0, test_host=f"{recording.address}/klaviyo")


def job_of(rows: list[dict[str, Any]], number: str) -> dict[str, Any]:
    profiles = {"data": [{"type": "profile", "attributes": attributes} for attributes in rows]}
    lists = {"data": [{"type": "list", "id": number}]}
    data = {"type": "profile-bulk-import-job", "attributes": {"profiles": profiles}}
    return {"data": data | {"relationships": {"lists": lists}}}


def test_klaviyos_own_client_imports_and_reads(
    client: KlaviyoAPI, recording: Recording, judge: Judge
) -> None:
    """List, import, job, errors, profiles, members: the SDK sees what it wrote, and the twin speaks as described."""
    assert client.Accounts.get_accounts().data[0].id == "OCTO01"
    number = client.Lists.create_list({"data": {"type": "list", "attributes": {"name": "VIP"}}}).data.id
    rows: list[dict[str, Any]] = [
        {"email": ADA, "properties": {"rfm": "best"}},
        {"email": BOB},
        {"phone_number": "+9990000000000"},
    ]
    job = client.Profiles.bulk_import_profiles(job_of(rows, number)).data.id
    client.Profiles.get_bulk_import_profiles_job(job)
    done = client.Profiles.get_bulk_import_profiles_job(job).data.attributes
    assert (done.status, done.total_count, done.completed_count, done.failed_count) == ("complete", 3, 2, 1)
    (error,) = client.Profiles.get_errors_for_bulk_import_profiles_job(job).data
    assert error.attributes.original_payload == {"phone_number": "+9990000000000"}
    found = client.Profiles.get_profiles(filter=f"any(email,['{ADA}','{EVE}'])", page_size=100).data
    assert [(one.attributes.email, one.attributes.properties) for one in found] == [(ADA, {"rfm": "best"})]
    asked = {"filter": f'equals(email,"{BOB}")', "additional_fields_profile": ["subscriptions"]}
    (bob,) = client.Lists.get_profiles_for_list(number, **asked).data
    assert bob.attributes.subscriptions.email.marketing.consent == "NEVER_SUBSCRIBED"
    assert client.Lists.get_lists(filter='equals(name,"VIP")').data[0].id == number
    found_lines = {line for one in recording.heard for line in judge.differences(one)}
    assert found_lines == set()


def test_klaviyos_own_client_changes_and_moves(client: KlaviyoAPI, recording: Recording) -> None:
    """Single profiles and membership by the SDK: created, emptied by null and by `unset`, taken off the list."""
    number = client.Lists.create_list({"data": {"type": "list", "attributes": {"name": "VIP"}}}).data.id
    told = {"email": ADA, "first_name": "Ada", "properties": {"rfm": "best", "vip": True}}
    made = client.Profiles.create_or_update_profile({"data": {"type": "profile", "attributes": told}}).data
    same = [{"type": "profile", "id": made.id}]
    client.Lists.add_profiles_to_list(number, {"data": same})
    asked = {
        "type": "profile",
        "id": made.id,
        "attributes": {"first_name": None},
        "meta": {"patch_properties": {"unset": ["rfm"], "append": {"tags": "x"}}},
    }
    changed = client.Profiles.update_profile(made.id, {"data": asked}).data.attributes
    assert (changed.first_name, changed.properties) == (None, {"vip": True, "tags": ["x"]})
    for _ in range(2):
        client.Lists.remove_profiles_from_list(number, {"data": same})
    assert client.Lists.get_profiles_for_list(number).data == []
    assert client.Profiles.get_profile(made.id).data.attributes.email == ADA
    other = {"type": "profile", "attributes": {"phone_number": "+33612345678"}}
    client.Profiles.create_or_update_profile({"data": other})
    both = {"type": "profile", "attributes": {"email": ADA, "phone_number": "+33612345678"}}
    with pytest.raises(ApiException) as twice:
        client.Profiles.create_or_update_profile({"data": both})
    (error,) = json.loads(str(twice.value.body))["errors"]
    assert (error["status"], error["code"], error["title"]) == (409, "duplicate_profile", "Conflict.")
    assert error["detail"] == "A profile already exists with one of these identifiers."
    assert set(error) == {"id", "status", "code", "title", "detail", "source", "links", "meta"}
    assert set(error["meta"]) == {"duplicate_profile_id"}


def test_klaviyos_own_client_is_refused_like_anybody(recording: Recording) -> None:
    """A wrong key is 401, a missing profile 404, too many calls are 429 with the time to wait."""
    host = f"{recording.address}/klaviyo"
    stranger = KlaviyoAPI("pk_none", max_delay=1, max_retries=0, test_host=host)
    friend = KlaviyoAPI("pk_sandbox", max_delay=1, max_retries=0, test_host=host)
    calls: list[tuple[Callable[[], Any], int, str]] = [
        (lambda: stranger.Lists.get_list("none"), 401, "authentication_failed"),
        (lambda: friend.Profiles.get_profile("none"), 404, "not_found"),
        (lambda: friend.Profiles.get_profiles(filter="contains(email,'x')"), 400, "invalid"),
    ]
    for call, status, code in calls:
        with pytest.raises(ApiException) as refused:
            call()
        (error,) = json.loads(str(refused.value.body))["errors"]
        assert (refused.value.status, error["code"]) == (status, code)
    recording.fault("klaviyo", "throttle", seconds=3)
    with pytest.raises(ApiException) as busy:
        friend.Lists.create_list({"data": {"type": "list", "attributes": {"name": "VIP"}}})
    assert (busy.value.status, dict(busy.value.headers or {}).get("Retry-After")) == (429, "3")
