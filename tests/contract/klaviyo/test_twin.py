"""Klaviyo's twin enforces what Klaviyo does: quotas in windows, revisions, scopes, sizes, shapes."""

from __future__ import annotations

from typing import Any

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from connectors.sandbox.klaviyo.twin import Klaviyo
from tests.conftest import Clock

ADA = "ada@example.com"
KIND = "application/vnd.api+json"


@pytest.fixture
def twin(clock: Clock) -> Klaviyo:
    return Klaviyo(clock)


def ask(twin: Klaviyo, method: str, path: str, body: Any = None, **said: Any) -> Response:
    """One call, with all that a proper one has unless said otherwise."""
    headers = {
        "Authorization": "Klaviyo-API-Key pk_sandbox",
        "revision": "2026-07-15",
        **said.pop("headers", {}),
    }
    builder = EnvironBuilder(
        path,
        method=method,
        json=body,
        headers=headers,
        content_type=said.pop("kind", KIND) if body else None,
        **said,
    )
    return twin.answer(Request(builder.get_environ()))


def refusal(reply: Response) -> tuple[int, str, dict[str, str]]:
    """Status, code and source of a refusal."""
    (error,) = (reply.json or {})["errors"]
    assert error["status"] == reply.status_code
    return reply.status_code, error["code"], error["source"]


def job(*rows: Any, lists: tuple[str, ...] = ()) -> dict[str, Any]:
    profiles = {"data": [{"type": "profile", "attributes": row} for row in rows]}
    data: dict[str, Any] = {"type": "profile-bulk-import-job", "attributes": {"profiles": profiles}}
    if lists:
        data["relationships"] = {"lists": {"data": [{"type": "list", "id": one} for one in lists]}}
    return {"data": data}


JOBS = "/api/profile-bulk-import-jobs"


def test_a_burst_and_a_minute(twin: Klaviyo, clock: Clock) -> None:
    """Ten jobs a second, a hundred and fifty a minute; refused with the seconds to wait, and only then."""
    twin.enforced = True
    assert [ask(twin, "POST", JOBS, job({"email": ADA})).status_code for _ in range(11)] == [202] * 10 + [429]
    assert [ask(twin, "GET", "/api/profiles").status_code for _ in range(20)] == [200] * 20, (
        "another endpoint"
    )
    for _ in range(14):
        clock.sleep(1)
        assert {ask(twin, "POST", JOBS, job({"email": ADA})).status_code for _ in range(10)} == {202}
    clock.sleep(1)
    late = ask(twin, "POST", JOBS, job({"email": ADA}))
    assert refusal(late)[:2] == (429, "throttled")
    assert (late.headers["Retry-After"], "RateLimit-Limit" in late.headers) == ("45", False)
    clock.sleep(45)
    again = ask(twin, "POST", JOBS, job({"email": ADA}))
    told = {name: again.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")}
    assert told == {"Limit": "150, 10;w=1, 150;w=60", "Remaining": "149", "Reset": "60"}


def test_lists_a_day(twin: Klaviyo, clock: Clock) -> None:
    """A hundred and fifty lists may be made in a day."""
    twin.enforced = True
    body = {"data": {"type": "list", "attributes": {"name": "x"}}}
    for _ in range(150):
        clock.sleep(1)
        assert ask(twin, "POST", "/api/lists", body).status_code == 201
    clock.sleep(60)
    assert refusal(ask(twin, "POST", "/api/lists", body))[0] == 429


@pytest.mark.parametrize(
    ("told", "status"), [("", 400), ("today", 400), ("2024-10-15", 410), ("2026-10-15", 200)]
)
def test_revisions(twin: Klaviyo, told: str, status: int) -> None:
    """A revision must be named, and is served for two years."""
    assert ask(twin, "GET", "/api/profiles", headers={"revision": told}).status_code == status


@pytest.mark.parametrize("said", ["", "Bearer pk_sandbox", "Klaviyo-API-Key pk_none"])
def test_keys_and_scopes(twin: Klaviyo, said: str) -> None:
    """No key, a wrong scheme and a wrong key are 401; a key without the scope is 403 and names it."""
    assert ask(twin, "GET", "/api/profiles", headers={"Authorization": said}).status_code == 401
    twin.withheld = {"lists:write"}
    refused = ask(twin, "POST", JOBS, job({"email": ADA}))
    assert refusal(refused)[:2] == (403, "permission_denied")
    assert b"lists:write" in refused.data


@pytest.mark.parametrize(
    ("row", "pointer"),
    [
        ({"email": ADA, "shoe_size": 42}, "/shoe_size"),
        ({"email": ADA, "first_name": 7}, "/first_name"),
        ({"email": ADA, "location": {"floor": "3"}}, "/location/floor"),
        ({"email": ADA, "location": {"city": 3}}, "/location/city"),
        ({"email": ADA, "properties": ["x"]}, "/properties"),
    ],
)
def test_shapes_have_a_whole_job_refused(twin: Klaviyo, row: Any, pointer: str) -> None:
    """An unknown attribute or a value of a wrong type is 400 for the job, pointing at it; nothing is stored."""
    told = refusal(ask(twin, "POST", JOBS, job({"email": "bob@example.com"}, row)))
    assert told == (400, "invalid", {"pointer": f"/data/attributes/profiles/data/1/attributes{pointer}"})
    assert twin.holdings()["profiles"] == []


def test_sizes(twin: Klaviyo) -> None:
    """10,000 profiles and 5 MB a job, 100 KB a profile, 1,000 ids a call, 100 profiles and 10 lists a page."""
    assert ask(twin, "POST", JOBS, job(*[{"email": f"{n}@x.io"} for n in range(10_000)])).status_code == 202
    assert refusal(ask(twin, "POST", JOBS, job(*[{"email": "a@x.io"}] * 10_001)))[0] == 400
    large = {"properties": {"x": "y" * 99_000}}
    assert (
        ask(twin, "POST", JOBS, job(*[{"email": f"{n}@x.io", **large} for n in range(51)])).status_code == 413
    )
    assert refusal(ask(twin, "POST", JOBS, job({"email": ADA, "title": "y" * 101_000})))[0] == 400
    number = (ask(twin, "POST", "/api/lists", LIST).json or {})["data"]["id"]
    ids = {"data": [{"type": "profile", "id": "x"}] * 1_001}
    assert refusal(ask(twin, "DELETE", f"/api/lists/{number}/relationships/profiles", ids))[0] == 400
    for path, most in (("/api/profiles", 100), ("/api/lists", 10)):
        assert ask(twin, "GET", path, query_string={"page[size]": most}).status_code == 200
        told = refusal(ask(twin, "GET", path, query_string={"page[size]": most + 1}))
        assert told == (400, "invalid", {"parameter": "page[size]"})


LIST = {"data": {"type": "list", "attributes": {"name": "VIP"}}}


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/api/profiles", {"filter": 'contains(email,"x")'}),
        ("/api/profiles", {"filter": "any(email,oops)"}),
        ("/api/profiles", {"filter": 'any(email,"x")'}),
        ("/api/profiles", {"filter": 'equals(first_name,"x")'}),
        ("/api/profiles", {"fields[profile]": "email,shoe_size"}),
        ("/api/profiles", {"fields[profile]": "location.floor"}),
        ("/api/profiles", {"sort": "age"}),
        ("/api/profiles", {"page[cursor]": "xyz"}),
        ("/api/lists/{list}/profiles", {"filter": 'any(external_id,["c1"])'}),
    ],
)
def test_questions_that_make_no_sense(twin: Klaviyo, path: str, query: dict[str, str]) -> None:
    """An unknown field, operator, sort or cursor is 400; a list cannot be asked by external id."""
    number = (ask(twin, "POST", "/api/lists", LIST).json or {})["data"]["id"]
    ask(twin, "POST", "/api/profile-import", {"data": {"type": "profile", "attributes": {"email": ADA}}})
    assert refusal(ask(twin, "GET", path.replace("{list}", number), query_string=query))[:2] == (
        400,
        "invalid",
    )


def test_what_is_not_json_api(twin: Klaviyo) -> None:
    """Another media type is 415; no `data`, another type, no identifier, another id are 400; nobody is 404."""
    one = {"type": "profile", "id": "x", "attributes": {"email": ADA}}
    assert refusal(ask(twin, "POST", "/api/lists", LIST, kind="text/plain"))[0] == 415
    shapeless: list[Any] = [
        {"x": 1},
        {"data": {"type": "segment"}},
        {"data": {"type": "profile"}},
        {"data": []},
    ]
    for body in shapeless:
        assert refusal(ask(twin, "POST", "/api/profile-import", body))[0] == 400
    nobody = {"data": {"type": "profile", "attributes": {"first_name": "Ada"}}}
    assert refusal(ask(twin, "POST", "/api/profile-import", nobody))[0] == 400
    assert (
        refusal(ask(twin, "POST", JOBS, {"data": {"type": "profile-bulk-import-job", "attributes": {}}}))[0]
        == 400
    )
    assert refusal(ask(twin, "POST", JOBS, job({"email": ADA}, lists=("none",))))[0] == 404
    assert refusal(ask(twin, "PATCH", "/api/profiles/none", {"data": one}))[0] == 404
    assert refusal(ask(twin, "GET", "/api/segments"))[:2] == (404, "not_found")
    assert refusal(ask(twin, "PUT", "/api/lists"))[:2] == (405, "method_not_allowed")


def test_an_import_empties_nothing(twin: Klaviyo, clock: Clock) -> None:
    """Null, and `unset` too, change nothing in an import (guide); elsewhere null empties."""
    full = {"email": ADA, "title": "Countess", "properties": {"rfm": "best"}}
    ask(twin, "POST", "/api/profile-import", {"data": {"type": "profile", "attributes": full}})
    asked = job({"email": ADA, "title": None, "properties": {"rfm": None}})
    asked["data"]["attributes"]["profiles"]["data"][0]["meta"] = {"patch_properties": {"unset": ["rfm"]}}
    assert ask(twin, "POST", JOBS, asked).status_code == 202
    (row,) = twin.holdings()["profiles"]
    assert (row["title"], row["rfm"]) == ("Countess", "best")
    empty = {"type": "profile", "attributes": {"email": ADA, "title": None, "properties": {"rfm": None}}}
    assert ask(twin, "POST", "/api/profile-import", {"data": empty}).status_code == 200
    (row,) = twin.holdings()["profiles"]
    assert (row["title"], "rfm" in row) == (None, False)


def test_a_job_takes_its_time_and_is_forgotten(twin: Klaviyo, clock: Clock) -> None:
    """Queued until its time has come, processing for as many looks as it is told to, gone after a week."""
    twin.job_seconds, twin.job_looks = 30.0, 2
    number = (ask(twin, "POST", JOBS, job({"email": ADA})).json or {})["data"]["id"]

    def look() -> str:
        return str((ask(twin, "GET", f"{JOBS}/{number}").json or {})["data"]["attributes"]["status"])

    assert (look(), twin.holdings()["profiles"]) == ("queued", [])
    clock.sleep(31)
    assert [look() for _ in range(4)] == ["processing", "processing", "complete", "complete"]
    other = ask(twin, "GET", f"{JOBS}/{number}", headers={"Authorization": "Klaviyo-API-Key pk_sandbox_2"})
    assert refusal(other)[0] == 404
    clock.sleep(8 * 86_400)
    assert refusal(ask(twin, "GET", f"{JOBS}/{number}"))[0] == 404
