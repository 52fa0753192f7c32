"""Salesforce's twin against what nobody here wrote: simple-salesforce, recorded replies, Postman's requests.

The recordings lie outside the project (`../shared`); where they are missing the tests on them skip.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce as Client
from simple_salesforce.exceptions import (
    SalesforceAuthenticationFailed,
    SalesforceMalformedRequest,
    SalesforceResourceNotFound,
)
from werkzeug.test import Client as Wire

from connectors.sandbox.salesforce.objects import OBJECTS, described
from connectors.sandbox.server import Sandbox
from tests.contract.salesforce.replay import Replay, app

SHARED = Path(__file__).parents[3] / "../shared"
RECORDED = SHARED / "recordings"
POSTMAN = SHARED / "specs/salesforce/postman"
needs_recordings = pytest.mark.skipif(
    not RECORDED.is_dir(),
    reason="../shared/recordings is not here: other people's calls, not ours to publish",
)
needs_postman = pytest.mark.skipif(
    not POSTMAN.is_dir(), reason="../shared/specs is not here: vendors' descriptions, not ours to publish"
)


class ToLoopback(HTTPAdapter):
    """Sends what is meant for Salesforce to the sandbox: the library always builds https addresses."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        request.url = (request.url or "").replace(
            "https://octo.my.salesforce.com", f"{self.sandbox}/salesforce"
        )
        return super().send(request, *args, **options)


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.mount("https://octo.my.salesforce.com", ToLoopback(sandbox.address))
        yield session


@pytest.fixture
def client(http: requests.Session, sandbox: Sandbox) -> Any:
    """simple-salesforce as its users use it, signed in by client credentials."""
    made = Client(
        session=http, domain="octo.my", consumer_key="octo-app", consumer_secret="octo-secret", version="61.0"
    )
    grant(made, "Contact", "Ext__c", {"type": "Text", "length": 100, "externalId": True, "unique": True})
    return made


def grant(client: Any, name: str, field: str, metadata: Mapping[str, Any]) -> None:
    """Make a field and let the caller see it, as an administrator would through the same API."""
    body = {"FullName": f"{name}.{field}", "Metadata": {"label": field, **metadata}}
    assert client.toolingexecute("sobjects/CustomField", "POST", body)["success"] is True
    role = client.query("SELECT Id FROM PermissionSet WHERE Name = 'Octo'")["records"][0]["Id"]
    permission = {"PermissionsRead": True, "PermissionsEdit": True, "Field": f"{name}.{field}"}
    client.FieldPermissions.create({"ParentId": role, "SobjectType": name, **permission})


def test_library_reads_back_what_it_creates(client: Any) -> None:
    """simple-salesforce creates, gets, updates, finds and deletes a record."""
    made = client.Contact.create({"LastName": "Müller", "Email": "zoe@example.com"})
    assert made["success"] is True
    assert client.Contact.get(made["id"])["LastName"] == "Müller"
    assert client.Contact.update(made["id"], {"Title": "CEO"}) == 204
    found = client.query("SELECT Id, Title FROM Contact WHERE Email = 'ZOE@example.com'")
    assert [(r["Id"], r["Title"]) for r in found["records"]] == [(made["id"], "CEO")]
    assert client.Contact.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound):
        client.Contact.get(made["id"])


def test_library_upserts_one(client: Any) -> None:
    """An upsert by external id answers 201 for a new record and 200 for a known one."""
    assert client.Contact.upsert("Ext__c/k1", {"LastName": "A"}) == 201
    assert client.Contact.upsert("Ext__c/K1", {"LastName": "B"}) == 200
    assert client.Contact.get_by_custom_id("Ext__c", "k1")["LastName"] == "B"


def test_library_describes(client: Any) -> None:
    """describe shows standard fields and those the permission set was given."""
    fields = {field["name"]: field for field in client.Contact.describe()["fields"]}
    assert fields["LastName"]["nillable"] is False
    assert fields["Ext__c"]["externalId"] is True


def test_library_pages_through_a_query(client: Any, sandbox: Sandbox) -> None:
    """More than 2,000 records come in pages, each once."""
    org = sandbox.twin("salesforce").orgs[0]
    for number in range(4_100):
        org.add("Contact", {"LastName": f"N{number}"})
    found = [record["LastName"] for record in client.query_all_iter("SELECT LastName FROM Contact")]
    assert sorted(found) == sorted(f"N{number}" for number in range(4_100))


def test_library_runs_a_bulk_job(client: Any, sandbox: Sandbox) -> None:
    """bulk2 uploads, waits and fetches all three result files; a bad row fails alone."""
    sandbox.twin("salesforce").job_seconds = 0.0
    rows = [{"Ext__c": f"k{n}", "LastName": f"N{n}", "Email": f"n{n}@example.com"} for n in range(20)]
    rows[7]["Email"] = "nowhere"
    [told] = client.bulk2.Contact.upsert(records=rows, external_id_field="Ext__c", wait=1)
    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (20, 1)
    results = client.bulk2.Contact.get_all_ingest_records(told["job_id"])
    assert len(results["successfulRecords"]) == 19
    assert results["unprocessedRecords"] == []
    [failed] = results["failedRecords"]
    assert failed["Ext__c"] == "k7"
    assert failed["sf__Error"] == "INVALID_EMAIL_ADDRESS:Email: invalid email address: nowhere:Email --"


def test_library_says_what_a_query_cannot_do(client: Any) -> None:
    """A column that is not there is INVALID_FIELD, in words that name it."""
    with pytest.raises(SalesforceMalformedRequest) as caught:
        client.query("SELECT Id, Foo__c FROM Contact")
    told: Any = caught.value.content
    assert told[0]["errorCode"] == "INVALID_FIELD"
    assert "No such column 'Foo__c' on entity 'Contact'" in told[0]["message"]


def test_library_signs_in_by_certificate(http: requests.Session, sandbox: Sandbox) -> None:
    """simple-salesforce's own JWT is accepted for the registered key, and for no other."""
    mine, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    public = mine.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    sandbox.twin("salesforce").register("jwt-app", "octo@example.com", public.decode())
    named: dict[str, Any] = {
        "username": "octo@example.com",
        "consumer_key": "jwt-app",
        "instance_url": "octo.my",
    }
    client = Client(session=http, domain="login", privatekey=pem(mine), version="61.0", **named)
    assert client.query("SELECT Id FROM Organization")["totalSize"] == 1
    with pytest.raises(SalesforceAuthenticationFailed):
        Client(session=http, domain="login", privatekey=pem(other), version="61.0", **named)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_old_assertion_is_refused(sandbox: Sandbox) -> None:
    """An assertion that lives longer than three minutes is not accepted."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    sandbox.twin("salesforce").register("jwt-app", "octo@example.com", public.decode())
    claims = {"iss": "jwt-app", "sub": "octo@example.com", "aud": "https://login.salesforce.com"}
    late = datetime.now(UTC) + timedelta(minutes=10)
    assertion = jwt.encode({**claims, "exp": late}, pem(key), algorithm="RS256")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}
    reply = Wire(app(sandbox.twin("salesforce"))).post("/services/oauth2/token", data=form)
    assert (reply.status_code, reply.json and reply.json["error"]) == (400, "invalid_grant")


# recorded ------------------------------------------------------------------------------------------


@cache
def recorded() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDED / "salesforce.jsonl").read_text().splitlines()]


def recorded_describe(name: str) -> dict[str, Any]:
    """CumulusCI's recording where there is one, else Grouparoo's."""
    file = RECORDED / f"cumulusci/GET_sobjects_{name}_describe.yaml"
    if file.exists():
        told: dict[str, Any] = json.loads(yaml.safe_load(file.read_text())["response"]["body"]["string"])
        return told
    path = f"/services/data/v42.0/sobjects/{name}/describe"
    found: dict[str, Any] = next(r["response"] for r in recorded() if r["path"] == path)
    return found


@needs_recordings
@pytest.mark.parametrize("name", ["Contact", "Lead", "Account"])
def test_fields_are_as_described(name: str) -> None:
    """Every standard field of the twin has, in a real org, the same type, size, rights and values."""
    real = {field["name"]: field for field in recorded_describe(name)["fields"]}
    said = ("type", "length", "precision", "scale", "digits", "nillable", "createable", "updateable",
            "defaultedOnCreate", "externalId", "unique", "idLookup", "restrictedPicklist", "soapType",
            "byteLength")  # fmt: skip
    for field in map(described, OBJECTS[name][1].values()):
        assert {n: field[n] for n in said} == {n: real[field["name"]][n] for n in said}, field["name"]
        values = {value["value"] for value in real[field["name"]]["picklistValues"]}
        assert {value["value"] for value in field["picklistValues"]} <= values


@needs_recordings
def test_describe_has_the_recorded_members() -> None:
    """A described field has every member a recorded one has, and no other."""
    ours = set(described(OBJECTS["Contact"][1]["Email"]))
    assert ours == set(recorded_describe("Contact")["fields"][0])


def shape(value: Any) -> Any:
    """Members and types without values; error codes, booleans and field names stay."""
    if isinstance(value, dict):
        kept = {"statusCode", "errorCode", "success", "fields", "message", "done", "created"}
        return {n: v if n in kept else shape(v) for n, v in value.items() if n != "records"}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def story(source: str) -> list[dict[str, Any]]:
    """A recorded test's calls: describe apart (it is compared field by field), and topics, which this twin
    does not have."""
    unknown = ("Topic", "0FT4S")
    rows = [r for r in recorded() if r["source"].endswith(source) and not r["path"].endswith("describe")]
    return [
        r
        for r in rows
        if not any(word in json.dumps([r["path"], r["request"], r.get("query")]) for word in unknown)
    ]


@needs_recordings
@pytest.mark.parametrize(
    ("source", "least"),
    [("additive.js", 23), ("lead.js", 18), ("reference.js", 6), ("custom.js", 7)],
)
def test_replayed_story_gets_replies_of_the_recorded_shape(source: str, least: int) -> None:
    """Collections create, update and delete, look-ups and refusals answer as the real org did."""
    replay = Replay()
    compared = 0
    for row in story(f"export-records-{source}"):
        unrecorded(replay, row)
        known = replay.ours(json.dumps([row["path"], row["request"], row.get("query")]))
        reply = replay.again(row)
        if strange(known, replay):
            continue
        assert reply.status_code == row["status"], row["path"]
        if "/sobjects/" in row["path"] and row["method"] == "GET" and row["status"] == 200:
            same_record(reply.json, row["response"])
        else:
            assert shape(reply.json) == shape(row["response"]), (row["path"], row["request"])
        compared += 1
    assert compared >= least


def unrecorded(replay: Replay, row: Mapping[str, Any]) -> None:
    """What the people of the recording did between two calls: convert a lead, delete one by another way."""
    leads = replay.twin.orgs[0].tables["Lead"]
    if "CANNOT_UPDATE_CONVERTED_LEAD" in json.dumps(row["response"]):
        leads[replay.ours(row["request"]["records"][0]["id"])]["IsConverted"] = True
    if row["status"] == 404 and row["method"] == "GET":
        leads.pop(replay.ours(row["path"].rpartition("/")[2]), None)


def strange(text: str, replay: Replay) -> bool:
    """Whether the call names a record made by a call that was not recorded."""
    known = set(replay.ids.values())
    prefixes = tuple(f"{prefix}4S" for prefix, _ in OBJECTS.values())
    words = text.replace('"', " ").replace("/", " ").replace("%2C", " ").replace(",", " ").split()
    return any(word.startswith(prefixes) and len(word) == 18 and word not in known for word in words)


def same_record(ours: Mapping[str, Any], real: Mapping[str, Any]) -> None:
    """Every field both have: equal text where the caller wrote it, same type where the vendor did."""
    for name in ("FirstName", "LastName", "Email", "Company", "AccountNumber", "Name"):
        if name in ours:
            assert ours[name] == real[name], name
    both = [name for name in ours if name in real and ours[name] is not None and real[name] is not None]
    assert all(type(ours[name]) is type(real[name]) for name in both)
    assert {"attributes", "Id", "CreatedDate"} <= set(both)
    assert len(ours["CreatedDate"]) == len(real["CreatedDate"])


@cache
def cumulus(name: str) -> list[dict[str, Any]]:
    told = yaml.safe_load((RECORDED / f"cumulusci/{name}.yaml").read_text())
    return [row for row in told["interactions"] if "request" in row]


@needs_recordings
def test_recorded_upserts_by_external_id() -> None:
    """CumulusCI's collections upserts answer id, success, errors and created, in the order of the request."""
    replay, compared = Replay(), 0
    for row in cumulus("TestUpsert.test_upsert__rest"):
        path = row["request"]["uri"].partition(".com")[2].replace("vxx.0", "v61.0")
        if row["request"]["method"] != "PATCH" or "Opportunity" in path:
            continue
        reply = replay.send("PATCH", path, json=json.loads(row["request"]["body"]))
        real = json.loads(row["response"]["body"]["string"])
        assert shape(reply.json) == shape(real)
        compared += 1
    assert compared >= 2


# Postman -------------------------------------------------------------------------------------------


def postman(path: str) -> tuple[str, str, str]:
    """(method, path below the instance, body) of one of the vendor's published requests."""
    told = json.loads((POSTMAN / f"{path}.json").read_text())
    return told["method"], told["url"].replace("{{_endpoint}}", ""), told.get("rawModeData") or ""


@needs_postman
def test_postman_bulk_requests_are_understood() -> None:
    """The vendor's own Bulk 2.0 requests, in order, take a job from its creation to its deletion."""
    replay = Replay()
    made = replay.twin.orgs[0].add("Account", {"Name": "Acme"})

    def send(name: str, **options: Any) -> Any:
        method, path, body = postman(f"bulk_v2/{name}")
        path = path.replace("{{version}}", "61.0").replace("{{_jobId}}", job)
        options.setdefault("data", body.replace('"Asset"', '"Account"'))
        return replay.send(method, path, **options)

    job = ""
    replay.twin.job_seconds = 0.0
    job = send("create_job").json["id"]
    assert send("upload_job_data", data=f"Id,Phone\n{made},12345\n").status_code == 201
    assert send("close_or_abort_a_job").json["state"] == "UploadComplete"
    assert send("get_job_info").json["state"] == "JobComplete"
    assert send("get_all_jobs").json["records"][0]["id"] == job
    assert made in send("get_job_successful_record_results").text
    assert send("get_job_failed_record_results").text == '"sf__Id","sf__Error","Id","Phone"\n'
    assert send("get_job_unprocessed_record_results").status_code == 200
    assert send("delete_job").status_code == 204


@needs_postman
def test_postman_collections_requests_are_understood() -> None:
    """The vendor's collections bodies are accepted once their placeholders hold values."""
    replay = Replay()

    def send(name: str, records: list[dict[str, Any]]) -> Any:
        method, path, body = postman(f"composite/{name}")
        path = path.replace("{{version}}", "61.0").replace("/<SOBJECT_API_NAME>", "")
        body = body.replace('"Boolean"', "false").replace('"SObject[]"', json.dumps(records))
        if method == "DELETE":
            return replay.send(method, path.split("?")[0], query_string={"ids": records[0]["Id"]})
        return replay.send(method, path, data=body)

    attributes = {"attributes": {"type": "Account"}}
    [made] = send("sobject_collections_create", [{**attributes, "Name": "Acme"}]).json
    [changed] = send("sobject_collections_update", [{**attributes, "Id": made["id"], "Phone": "1"}]).json
    [gone] = send("sobject_collections_delete", [{"Id": made["id"]}]).json
    assert [made["success"], changed["success"], gone["success"]] == [True, True, True]
