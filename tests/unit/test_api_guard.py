"""The read API: who may see what, what is refused, and that it is what it says of itself."""

from __future__ import annotations

import base64
import json
import logging

import pyarrow as pa
import pytest
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.command import scopes
from octo_dagster.api.gate import MOST_BYTES, Gate
from octo_dagster.api.keys import Keys
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.serving.publish import FILE
from octo_dagster.serving.tables import SIGNED
from tests.fuzz import fuzzed
from tests.reading import EVERYTHING, asking, refusal


def test_a_key_sees_its_columns_only(project: Project) -> None:
    """What a key is not for it cannot read, filter or sort by, nor find anybody by; other tables are not there."""
    with asking(project, {"customer_profile": ["customer_id", "segment"]}) as client:
        assert client.get("/v1/customers/c2").json()["profile"] == {"customer_id": "c2", "segment": "lost"}
        rows = client.get("/v1/tables/customer_profile", params={"limit": 1}).json()["rows"]
        assert rows == [{"customer_id": "c1", "segment": None}]
        assert [one["name"] for one in client.get("/v1/tables").json()["tables"]] == ["customer_profile"]
        for asked in ({"columns": "email"}, {"where": "email:starts:C"}, {"sort": "revenue"}):
            assert refusal(client.get("/v1/tables/customer_profile", params=asked)) == (400, "bad_request")
        assert refusal(client.get("/v1/customers/c1?columns=email")) == (400, "bad_request")
        assert refusal(client.get("/v1/customers/customer1@example.com?by=email")) == (400, "bad_request")
        assert refusal(client.get("/v1/tables/products")) == (404, "not_found")
        for path in (
            "customers/c1/recommendations",
            "audiences/best/members",
            "products/p1/related",
            "syncs",
        ):
            assert refusal(client.get(f"/v1/{path}"))[0] == 403, path
        assert refusal(client.get("/v1/customers/c1?include=audiences"))[0] == 403
    with asking(project, {"customer_profile": ["segment"]}) as client:
        assert refusal(client.get("/v1/tables/customer_profile"))[0] == 403


def test_a_key_for_some_columns_learns_no_other_by_a_list(project: Project) -> None:
    """Answers that are made of a table's rows need all its columns; an id that a key may not see is not told."""
    some = {"customer_profile": ["email"], "audience_members": ["audience"], "sync_changelog": ["sync"]}
    some |= {"recommendations": ["customer_id"], "related_products": ["product_id"], "sync_runs": ["sync"]}
    with asking(project, some) as client:
        one = "customers/customer1@example.com"
        told = client.get(f"/v1/{one}?by=email").json()
        assert told == {"profile": {"email": "Customer1@example.com"}, "as_of": "2026-11-22"}
        for path in (
            f"{one}?by=email&include=audiences",
            f"{one}?by=email&include=recommendations",
            f"{one}/recommendations?by=email",
            "audiences/best/members",
            "products/p1/related",
            "syncs",
            "syncs/any/changes",
        ):
            assert refusal(client.get(f"/v1/{path}"))[0] == 403, path


def test_a_key_without_columns_is_not_made() -> None:
    """`--table name:$COLUMNS` with nothing in the variable is refused, not taken for every column."""
    assert scopes(["orders", "products: name, price"]) == {"orders": "*", "products": ["name", "price"]}
    for said in (["orders:"], ["orders: ,"], [":id"], [""], ["orders:id", "orders:day"]):
        with pytest.raises(ConfigError, match="--table"):
            scopes(said)


def test_a_table_without_rows_and_tokens_made_up(project: Project) -> None:
    """A table that is empty now is a page without rows; nobody makes a token to its older versions himself."""
    columns = {"product_id": pa.string(), "tags": pa.list_(pa.string()), "price": pa.decimal128(18, 2)}
    project.warehouse.replace("products", pa.schema(columns).empty_table())
    with asking(project, {"products": "*"}) as client:
        told = client.get("/v1/tables/products", params={"where": "price:gt:1"}).json()
        assert (told["rows"], told["next"]) == ([], None)
        assert refusal(client.get("/v1/tables/products?where=tags:eq:x")) == (400, "bad_request")
        for version in (-1, 0, 99, True, 10**30):
            token = {"version": version, "table": "products", "sort": None, "last": [""]}
            after = base64.urlsafe_b64encode(bytes(SIGNED) + json.dumps(token).encode()).decode()
            asked = {"after": after, "columns": "tags"}
            assert refusal(client.get("/v1/tables/products", params=asked)) == (400, "bad_request"), version


def test_nobody_without_a_good_key(project: Project) -> None:
    """No key, a wrong one, one that was revoked: 401, from the next request on. The key is kept nowhere."""
    keys = Keys(project.home)
    secret = keys.add("web", EVERYTHING)
    with TestClient(app(project)) as client:
        for given in ("", "Bearer", "Bearer wrong", f"Basic {secret}", f"Bearer {secret}x"):
            reply = client.get("/v1/customers/c1", headers={"Authorization": given})
            assert refusal(reply) == (401, "unauthorized")
        good = {"Authorization": f"Bearer {secret}"}
        assert client.get("/v1/customers/c1", headers=good).status_code == 200
        keys.revoke("web")
        assert refusal(client.get("/v1/customers/c1", headers=good)) == (401, "unauthorized")
    assert secret not in keys.path.read_text()
    assert keys.path.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="not used again"):
        keys.add("web", EVERYTHING)


def test_asked_too_often_or_too_much(project: Project) -> None:
    """A key has its requests a second, and no more until it waits as long as it is told; bodies have a limit."""
    now = [0.0]
    keys = Keys(project.home)
    headers = {"Authorization": f"Bearer {keys.add('slow', EVERYTHING, per_second=5)}"}
    gate = Gate(app(project).app, keys, lambda: now[0])  # type: ignore[attr-defined]
    with TestClient(gate, headers=headers) as client:
        assert [client.get("/v1/customers/c1").status_code for _ in range(11)] == [200] * 10 + [429]
        reply = client.get("/v1/customers/c1")
        now[0] += float(reply.headers["Retry-After"])
        assert client.get("/v1/customers/c1").status_code == 200
        long = client.post("/v1/customers/lookup", content=b" " * (MOST_BYTES + 1))
        assert refusal(long) == (413, "too_large")


def test_every_error_is_json(client: TestClient) -> None:
    """A path or a method there is not is told as everything else is."""
    assert refusal(client.get("/v1/nothing")) == (404, "not_found")
    assert refusal(client.delete("/v1/customers/c1"))[0] == 405
    assert refusal(client.get("/v1/tables/customer_profile?limit=0")) == (422, "invalid")
    assert refusal(client.get("/v1/syncs/nothing/runs")) == (404, "not_found")


def test_nobody_is_named_in_a_log(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger of the server's at its most talkative, no address that was asked for is written down."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx2", "httpcore2", "httpcore"):  # the test's own client
        logging.getLogger(name).setLevel(logging.WARNING)
    client.get("/v1/customers/customer1@example.com?by=email")
    client.get("/v1/customers/nobody@example.com?by=email")
    assert "@example.com" not in caplog.text


def test_its_own_description_holds(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schemathesis, which reads the OpenAPI and asks all it allows, finds no answer that is not described and
    nothing that breaks; `make prove` asks for longer, and what is not allowed, too."""
    monkeypatch.setenv("HOOK_SECRET", "knock knock")
    asked = fuzzed(project, 10, (GenerationMode.POSITIVE,))
    assert len(asked) == 15
    assert min(asked.values()) > 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_error_of_ours_is_told_as_json(project: Project, method: str) -> None:
    """A serving copy that is none, asked for by either way: 500, and nothing of what is wrong with it."""
    key = Keys(project.home).add(f"web {method}", EVERYTHING)
    (project.home / FILE).unlink()
    (project.home / FILE).write_bytes(b"no database" * 1_000)
    path, told = ("/v1/customers/c1", None) if method == "GET" else ("/v1/customers/lookup", {"value": "c1"})
    with TestClient(app(project), raise_server_exceptions=False) as client:
        reply = client.request(method, path, json=told, headers={"Authorization": f"Bearer {key}"})
    assert refusal(reply) == (500, "our_fault")
    assert "database" not in reply.text
