"""Google Sheets by others' word: its discovery document judges both sides, its clients drive the twin, recorded
traffic is replayed.

Nothing here was written from our reading of the API. The document and the recordings lie outside the project
(`../shared`); where they are missing the tests on them skip.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import google_auth_httplib2  # type: ignore[import-untyped]
import gspread
import httplib2
import jwt
import pytest
import requests
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError
from requests.adapters import HTTPAdapter
from werkzeug.test import Client as Wire
from werkzeug.wrappers import Request, Response

from connectors.sandbox.google_sheets.grid import Book, Tab, entered
from connectors.sandbox.google_sheets.twin import ACCOUNT, AUDIENCE, SCOPE
from connectors.sandbox.server import Sandbox
from octo_dagster.model import FieldType, Op
from tests.contract.google_sheets.front import Front, people, person
from tests.vendors.google_sheets import GOOGLE_SHEETS
from tests.world import row, world

jsonschema = pytest.importorskip("jsonschema")
SHARED = Path(__file__).parents[3] / "../shared"
SPEC, RECORDED = SHARED / "specs/google/sheets.v4.json", SHARED / "recordings/sheets.jsonl"
needs_spec = pytest.mark.skipif(
    not SPEC.is_file(), reason="../shared/specs is not here: vendors' descriptions, not ours to publish"
)
needs_recordings = pytest.mark.skipif(
    not RECORDED.is_file(),
    reason="../shared/recordings is not here: other people's calls, not ours to publish",
)
FIRST = "sandbox-spreadsheet-1"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOGLE_SHEETS.env.items():
        monkeypatch.setenv(name, value)


# the discovery document ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """One call as it went over the wire."""

    method: str
    path: str
    query: Mapping[str, Any]
    body: Any
    status: int
    reply: Any


class Overheard(Sandbox):
    """A sandbox that keeps every exchange with Sheets, word for word."""

    def __init__(self) -> None:
        self.heard: list[Exchange] = []
        super().__init__()

    def answer(self, request: Request) -> Response | None:
        """The reply, kept before it goes."""
        body = request.get_data()
        request = Request(request.environ | {"wsgi.input": io.BytesIO(body)})
        reply = super().answer(request)
        path = request.path.partition("/google_sheets")[2]
        if reply is not None and path.startswith("/v4/"):
            told = json.loads(reply.get_data()) if reply.get_data() else None
            asked = json.loads(body) if body else None
            self.heard.append(Exchange(request.method, path, request.args, asked, reply.status_code, told))
        return reply


@pytest.fixture
def overheard() -> Iterator[Overheard]:
    running = Overheard()
    with running:
        yield running


@cache
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SPEC.read_text())
    return found


def methods(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from resource.get("methods", {}).values()
    for below in resource.get("resources", {}).values():
        yield from methods(below)


def method_of(exchange: Exchange) -> Mapping[str, Any]:
    """The one method of the document that this call is."""
    found = [
        method
        for method in methods(document())
        if method["httpMethod"] == exchange.method
        and re.fullmatch(
            "/" + re.sub(r"\\{\w+\\}", "[^/:]+(:?[^/:]+)??", re.escape(method["flatPath"])), exchange.path
        )
    ]
    assert len(found) == 1, (exchange.path, [one["id"] for one in found])
    return found[0]


def as_schema(said: Any) -> Any:
    """A discovery schema as JSON Schema, in which nothing is allowed that it does not name."""
    if isinstance(said, list):
        return [as_schema(one) for one in said]
    if not isinstance(said, dict):
        return said
    if "$ref" in said:
        return {"$ref": f"#/$defs/{said['$ref']}"}
    if said.get("type") == "any":
        return {}
    kept = {name: said[name] for name in ("type", "enum") if name in said}
    if "items" in said:
        kept["items"] = as_schema(said["items"])
    if "properties" in said:
        kept["properties"] = {name: as_schema(one) for name, one in said["properties"].items()}
    if said.get("type") == "object":
        kept["additionalProperties"] = as_schema(said.get("additionalProperties", False))
    return kept


@cache
def validator(name: str) -> Any:
    definitions = {one: as_schema(said) for one, said in document()["schemas"].items()}
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})


def unknown(mask: str, name: str) -> list[str]:
    """The fields of a mask like `a,b(c.d)` that the schema has not."""
    parts = re.findall(r"[\w*]+|[.,()]", mask)
    wrong, stack, at = [], [], name
    for part in parts:
        if part == "(":
            stack.append(at)
        elif part == ")":
            stack.pop()
        elif part == ",":
            at = stack[-1] if stack else name
        elif part != ".":
            said = document()["schemas"].get(at, {}).get("properties", {}).get(part)
            wrong += [] if said else [part]
            said = (said or {}).get("items", said or {})
            at = said.get("$ref", "")
    return wrong


def faults(exchange: Exchange) -> list[str]:
    """How this exchange breaks the document; nothing when it does not."""
    method = method_of(exchange)
    known = {*method["parameters"], *document()["parameters"]}
    wrong = [f"? {name}" for name in exchange.query if name not in known]
    if exchange.status == 200:
        wrong += unknown(exchange.query.get("fields", ""), method["response"]["$ref"])
        wrong += [
            f"< {e.json_path}: {e.message}"
            for e in validator(method["response"]["$ref"]).iter_errors(exchange.reply)
        ]
    if exchange.body is not None:
        wrong += [
            f"> {e.json_path}: {e.message}"
            for e in validator(method["request"]["$ref"]).iter_errors(exchange.body)
        ]
    return [f"{method['id']} {line}"[:300] for line in wrong]


def all_we_do(sandbox: Sandbox, folder: Path) -> None:
    """Every verb of the destination, by the engine and by hand, ranked and not, with what people do between."""
    key = {"from": "customer_id", "to": "customer_id"}
    for tab, order in (("Octo", None), ("Ranked", "orders")):
        said = {
            "destination": {**GOOGLE_SHEETS.settings, "tab": tab, "order_by": order},
            "on_remove": "delete",
        }
        shop = world(folder / tab, sandbox, GOOGLE_SHEETS, key=key, mode="mirror", **said)
        shop.have([row(n) for n in range(1, 30)]).deliver()
        shop.have([row(n, orders=n + 90 * (n % 4 == 0)) for n in range(2, 35)]).deliver()
    front = Front(sandbox, tab="Octo", order_by="rank").ready()
    front.do(Op.UPSERT, people(1, 2))
    front.sign_in()
    front.meanwhile(front.row_above())
    front.do(Op.UPSERT, {"c2": person(2, orders=9)})
    front.types_in(["x"], at=3, column=9)
    front.do(Op.DELETE, {"c1": {}, "c2": {}})
    front.do(Op.CLEAR, {"c3": {"name": None}})
    front.destination.survey(front.api)
    front.close()


@needs_spec
def test_all_that_goes_over_the_wire_is_in_the_document(overheard: Overheard, tmp_path: Path) -> None:
    """Every request of the destination, its field mask too, and every reply of the twin keep to the document."""
    all_we_do(overheard, tmp_path)
    assert [line for exchange in overheard.heard for line in faults(exchange)] == []
    used = {method_of(exchange)["id"] for exchange in overheard.heard}
    assert used == {
        "sheets.spreadsheets.get",
        "sheets.spreadsheets.getByDataFilter",
        "sheets.spreadsheets.batchUpdate",
        "sheets.spreadsheets.values.batchGet",
    }
    kinds = {
        kind
        for e in overheard.heard
        if e.path.endswith("batchUpdate")
        for one in e.body["requests"]
        for kind in one
    }
    assert {"addSheet", "updateCells", "appendCells", "deleteDimension", "sortRange"} <= kinds


@needs_spec
def test_the_judge_sees_mistakes() -> None:
    """A request field, a reply field, a parameter and a mask that Sheets does not know are all found."""
    path = f"/v4/spreadsheets/{FIRST}:batchUpdate"
    bad = Exchange(
        "POST",
        path,
        {"fields": "replies,nothing.sheets", "speed": "1"},
        {"requests": [{"sortRange": {"rank": 1}}]},
        200,
        {"replies": [{"x": {}}]},
    )
    found = " ".join(faults(bad))
    assert all(word in found for word in ("? speed", "nothing", "'rank'", "'x'"))


# its clients ---------------------------------------------------------------------------------------


@pytest.fixture
def token(sandbox: Sandbox) -> str:
    """A token of the twin's, for an assertion signed by PyJWT as RFC 7523 says."""
    now = int(time.time())
    claims = {"iss": ACCOUNT["client_email"], "scope": SCOPE, "aud": AUDIENCE, "iat": now, "exp": now + 3_600}
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": jwt.encode(claims, ACCOUNT["private_key"], algorithm="RS256"),
    }
    with requests.Session() as http:
        http.trust_env = False
        reply = http.post(f"{sandbox.address}/google_sheets/token", data=form, timeout=10).json()
    assert (reply["token_type"], reply["expires_in"]) == ("Bearer", 3_599)
    return str(reply["access_token"])


class ToLoopback(HTTPAdapter):
    """Sends what is meant for Google to the sandbox."""

    def __init__(self, sandbox: str) -> None:
        self.sandbox = sandbox
        super().__init__()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        host = "https://sheets.googleapis.com"
        request.url = (request.url or "").replace(host, f"{self.sandbox}/google_sheets")
        return super().send(request, *args, **options)


@pytest.fixture
def shared(sandbox: Sandbox, token: str) -> Iterator[gspread.Spreadsheet]:
    """The first spreadsheet, opened by gspread as its users do."""
    with requests.Session() as http:
        http.trust_env = False
        http.headers["Authorization"] = f"Bearer {token}"
        http.mount("https://", ToLoopback(sandbox.address))
        client = gspread.Client(auth=None, session=http)  # type: ignore[arg-type]
        yield client.open_by_key(FIRST)


def test_gspread_as_its_users_use_it(shared: gspread.Spreadsheet) -> None:
    """Tabs, rows, cells, notes, sorting, inserting and deleting by gspread's own verbs."""
    sheet = shared.add_worksheet("People", rows=20, cols=5)
    sheet.append_rows([["id", "n", "said"], ["b", 2, "=1+1"], ["a", 1.5, "x"]])
    sheet.update([["=B2*2"]], "D2", value_input_option=gspread.utils.ValueInputOption.user_entered)
    sheet.insert_note("A3", "a note")
    assert sheet.get_note("A3") == "a note"
    sheet.sort((1, "asc"), range="A2:E20")
    assert sheet.get_values(value_render_option=gspread.utils.ValueRenderOption.formula) == [
        ["id", "n", "said", ""],
        ["a", 1.5, "x", ""],
        ["b", 2, "=1+1", "=B3*2"],
    ]
    assert sheet.get_note("A2") == "a note"
    sheet.insert_rows([["new"]], row=2)
    sheet.batch_update([{"range": "B2", "values": [[7]]}, {"range": "C2", "values": [["y"]]}])
    assert sheet.get_all_records()[0] == {"id": "new", "n": 7, "said": "y", "": ""}
    sheet.delete_rows(2)
    sheet.add_cols(1)
    sheet.batch_clear(["C3"])
    assert (sheet.row_values(3)[:3], sheet.col_count) == (["b", "2", ""], 6)
    assert [one.title for one in shared.worksheets()] == ["Sheet1", "People"]
    with pytest.raises(gspread.exceptions.APIError, match=r"400.*Unable to parse range"):
        shared.values_get("Nowhere!A1")
    with pytest.raises(gspread.exceptions.APIError, match=r"400.*exceeds grid limits"):
        sheet.update([["x"]], "A21")
    shared.del_worksheet(sheet)


def test_googles_own_client(sandbox: Sandbox, token: str) -> None:
    """google-api-python-client, by its own discovery document: a batch, its reply, a read, a refusal."""
    known = Credentials(token)  # type: ignore[no-untyped-call]
    http = google_auth_httplib2.AuthorizedHttp(known, http=httplib2.Http())
    where = {"api_endpoint": f"{sandbox.address}/google_sheets"}
    sheets = build("sheets", "v4", static_discovery=True, http=http, client_options=where).spreadsheets()
    made = sheets.batchUpdate(
        spreadsheetId=FIRST,
        body={
            "requests": [
                {"addSheet": {"properties": {"sheetId": 7, "title": "It's ours"}}},
                {
                    "updateCells": {
                        "start": {"sheetId": 7},
                        "rows": [{"values": [{"userEnteredValue": {"stringValue": "=A1"}, "note": "n"}]}],
                        "fields": "userEnteredValue,note",
                    }
                },
            ],
            "includeSpreadsheetInResponse": True,
            "responseIncludeGridData": True,
            "responseRanges": ["'It''s ours'!A1:B2"],
        },
    ).execute()
    ((sheet,), (reply, empty)) = made["updatedSpreadsheet"]["sheets"], made["replies"]
    assert (reply["addSheet"]["properties"]["title"], empty) == ("It's ours", {})
    (cell,) = sheet["data"][0]["rowData"][0]["values"]
    assert (cell["effectiveValue"], cell["note"]) == ({"stringValue": "=A1"}, "n")
    found = sheets.values().get(spreadsheetId=FIRST, range="'It''s ours'!A:A").execute()
    assert found == {"range": "'It''s ours'!A1:A1000", "majorDimension": "ROWS", "values": [["=A1"]]}
    body = {"requests": [{"appendCells": {"sheetId": 99, "rows": [], "fields": "*"}}]}
    with pytest.raises(HttpError, match="No grid with id: 99") as refused:
        sheets.batchUpdate(spreadsheetId=FIRST, body=body).execute()
    assert refused.value.status_code == 400
    http.http.close()


# recorded traffic ----------------------------------------------------------------------------------


def recordings() -> list[dict[str, Any]]:
    found = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    return [one for one in found if one["host"] == "sheets.googleapis.com"]


@needs_recordings
def test_recorded_traffic_is_answered_alike(sandbox: Sandbox) -> None:
    """What Google answered to another connector, call after call: the twin answers the same."""
    twin, calls = sandbox.twin("google_sheets"), recordings()
    number = calls[0]["path"].split("/")[3]
    tabs = [
        Tab(
            p["sheetId"],
            p["title"],
            p["gridProperties"]["columnCount"],
            [{} for _ in range(p["gridProperties"]["rowCount"])],
        )
        for p in (one["properties"] for one in calls[0]["response"]["sheets"])
    ]
    twin.books[number] = Book(number, "Test Suite google-sheets", {"me"}, tabs=tabs)
    twin.tokens["t"] = ("me", float("inf"))
    header = calls[1]["response"]["values"][0]
    tabs[-1].rows[0] = {n: tabs[-1].cell(0, n).__class__(entered(name)) for n, name in enumerate(header)}
    wire = Wire(Request.application(twin.answer))
    asked = {"valueInputOption": "RAW", "includeValuesInResponse": "true"}
    differing = []
    for call in calls:
        twin.quota = 0 if call["status"] == 429 else None
        path, query = call["path"].replace("/:", ":"), asked if call["request"] else {}
        reply = wire.open(
            path, method=call["method"], query_string=query, json=call["request"], headers=BEARER
        )
        if reply.status_code != call["status"] or not within(reply.get_json(), call["response"]):
            differing.append((call["method"], path[-40:], reply.get_json(), call["response"]))
    assert differing == []
    assert len(calls) > 30


BEARER = {"Authorization": "Bearer t"}


def within(mine: Any, theirs: Any) -> bool:
    """Whether all the twin says Google said as well; of lists, as many."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        return all(
            name in theirs and within(one, theirs[name]) for name, one in mine.items() if name not in OURS
        )
    if isinstance(mine, list) and isinstance(theirs, list):
        return len(mine) == len(theirs) and all(map(within, mine, theirs))
    return bool(mine == theirs)


OURS = {"timeZone"}


def test_every_type_is_a_cell(sandbox: Sandbox) -> None:
    """No type of ours becomes anything but text, a number or a truth in the cell."""
    front = Front(sandbox)
    front.types = {"customer_id": FieldType.TEXT, **GOOGLE_SHEETS.types}
    front.destination.expect(front.api, front.types)
    front.ready().do(Op.UPSERT, {"c1": GOOGLE_SHEETS.record(1), "c2": GOOGLE_SHEETS.record(2)})
    kinds = {
        name: {next(iter(front.tab.cell(r, c).value or {}), None) for r in (1, 2)}
        for c, name in enumerate(front.types)
    }
    numbers = {"octo_integer", "octo_decimal"}
    assert kinds == {
        name: {"numberValue"}
        if name in numbers
        else {"boolValue"}
        if name == "octo_boolean"
        else {"stringValue"}
        for name in front.types
    }
    front.close()
