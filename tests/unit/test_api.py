"""The read API: who may see what, and that what is told is what the tables hold."""

from __future__ import annotations

import base64
import io
import json
import logging
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.command import scopes
from octo_dagster.api.gate import MOST_BYTES, Gate
from octo_dagster.api.keys import Keys
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.serving.publish import replacing
from octo_dagster.serving.tables import SIGNED

PEOPLE = [
    {
        "customer_id": f"c{n}",
        "email": "shared@example.com" if n in (8, 9) else f"Customer{n}@example.com",
        "segment": ["best", None, "lost"][n % 3],
        "revenue": None if n == 4 else Decimal(n % 4) + Decimal("0.10"),
        "orders": n,
        "active": n % 2 == 0,
        "born": date(1990, 1, n),
        "last_order_at": datetime.fromisoformat(f"2026-11-0{n}T10:00:00"),
    }
    for n in range(1, 10)
]
PROFILE = pa.schema(
    {
        "customer_id": pa.string(),
        "email": pa.string(),
        "segment": pa.string(),
        "revenue": pa.decimal128(18, 2),
        "orders": pa.int64(),
        "active": pa.bool_(),
        "born": pa.date32(),
        "last_order_at": pa.timestamp("us"),
    }
)
PRODUCTS = [
    {"product_id": f"p{n}", "name": f"Thé n° {n}", "price": Decimal("4.50"), "image_url": f"/p{n}.jpg"}
    for n in range(1, 4)
]
RECOMMENDED = [
    {"customer_id": "c1", "list": "discover", "rank": rank, "product_id": f"p{rank}", "reason": "popular"}
    | {"reason_text": "popular now"}
    for rank in (2, 1)
]
RELATED = [
    {"product_id": "p1", "rank": rank, "related_product_id": f"p{rank + 1}", "strength": 9.5}
    for rank in (1, 2)
]
STAYS = [
    {"audience": "best", "customer_id": f"c{n}", "entered_on": date(2026, 11, n), "left_on": None}
    for n in range(1, 8)
] + [{"audience": "best", "customer_id": "c9", "entered_on": date(2026, 11, 1), "left_on": date(2026, 11, 2)}]
QUICK = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
EVERYTHING = dict.fromkeys(
    (
        "customer_profile",
        "recommendations",
        "related_products",
        "audience_members",
        "sync_runs",
        "sync_changelog",
    ),
    "*",
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with everything the API tells of, published."""
    made = Project(tmp_path, tmp_path / ".octo")
    tables = {
        "products": pa.Table.from_pylist(PRODUCTS),
        "recommendations": pa.Table.from_pylist(RECOMMENDED),
        "related_products": pa.Table.from_pylist(RELATED),
        "audience_members": pa.Table.from_pylist(STAYS),
    }
    for name, table in tables.items():
        made.warehouse.replace(name, table)
    made.warehouse.replace("customer_profile", pa.Table.from_pylist(PEOPLE, PROFILE), {"as_of": "2026-11-22"})
    made.publish()
    return made


@pytest.fixture
def client(project: Project) -> Iterator[TestClient]:
    """Somebody who may see everything."""
    with asking(project, EVERYTHING) as made:
        yield made


def asking(project: Project, tables: Any, per_second: int = 10_000) -> TestClient:
    """A caller with a new key for these tables."""
    keys = Keys(project.home)
    secret = keys.add(f"key {len(keys.all())}", tables, per_second)
    return TestClient(
        app(project), headers={"Authorization": f"Bearer {secret}"}, raise_server_exceptions=False
    )


def refusal(reply: Any) -> tuple[int, str]:
    """Status and code of an error; fails when it is not told as every error is."""
    assert reply.json()["error"]["message"]
    return reply.status_code, reply.json()["error"]["code"]


def test_a_customer_as_the_table_has_him(client: TestClient) -> None:
    """Every column of the profile, with the types JSON has for them, and what goes beside it when asked for."""
    told = client.get("/v1/customers/c2", params={"include": "audiences,recommendations"}).json()
    assert told == {
        "customer_id": "c2",
        "profile": {
            "customer_id": "c2",
            "email": "Customer2@example.com",
            "segment": "lost",
            "revenue": 2.1,
            "orders": 2,
            "active": True,
            "born": "1990-01-02",
            "last_order_at": "2026-11-02T10:00:00Z",
        },
        "audiences": {"best": "2026-11-02"},
        "recommendations": {},
        "as_of": "2026-11-22",
    }
    some = client.get("/v1/customers/c2", params={"columns": "orders, segment"}).json()["profile"]
    assert list(some.items()) == [("orders", 2), ("segment", "lost")]


def test_a_customer_by_his_address(client: TestClient) -> None:
    """By e-mail whatever its case, in the address or in a body; two who share one are not guessed between."""
    found = client.get("/v1/customers/ CUSTOMER3@example.com", params={"by": "email"})
    assert found.json()["customer_id"] == "c3"
    asked = {"by": "email", "value": "customer3@EXAMPLE.com", "columns": "orders"}
    assert client.post("/v1/customers/lookup", json=asked).json()["profile"] == {"orders": 3}
    assert refusal(client.get("/v1/customers/shared@example.com?by=email")) == (409, "ambiguous")
    assert refusal(client.get("/v1/customers/nobody@example.com?by=email")) == (404, "not_found")
    assert refusal(client.get("/v1/customers/c99")) == (404, "not_found")
    assert refusal(client.get("/v1/customers/c1?by=orders")) == (400, "bad_request")


def test_what_to_show(client: TestClient) -> None:
    """Recommendations and related products come best first, with what the page shows of each product."""
    lists = client.get("/v1/customers/c1/recommendations").json()
    assert [(one["rank"], one["name"], one["image_url"]) for one in lists["discover"]] == [
        (1, "Thé n° 1", "/p1.jpg"),
        (2, "Thé n° 2", "/p2.jpg"),
    ]
    related = client.get("/v1/products/p1/related", params={"limit": 1}).json()
    assert [(one["product_id"], one["price"], one["strength"]) for one in related] == [("p2", 4.5, 9.5)]
    assert refusal(client.get("/v1/products/p9/related")) == (404, "not_found")


def test_an_audience_page_by_page(client: TestClient) -> None:
    """Everybody who is in it now, once, in order; who left is not there."""
    found: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get("/v1/audiences/best/members", params={"after": after, "limit": 3}).json()
        found += [one["customer_id"] for one in page["members"]]
        after = page["next"]
    assert found == [f"c{n}" for n in range(1, 8)]


@pytest.mark.parametrize(
    "sort", [None, "revenue", "-revenue", "segment", "-segment", "-last_order_at", "active", "born"]
)
def test_a_table_page_by_page(project: Project, client: TestClient, sort: str | None) -> None:
    """Whatever the sort, with ties and empty values in it, pages hold every row once and in order, of the
    version the first page was of, while others write."""
    path, wanted = "/v1/tables/customer_profile", {"limit": "2"} | ({"sort": sort} if sort else {})
    page = client.get(path, params=wanted).json()
    whole = client.get(path, params=wanted | {"limit": "100"}).json()["rows"]
    changed = pa.Table.from_pylist(PEOPLE[:4], PROFILE)
    rows = page["rows"]
    while page["next"]:
        project.warehouse.replace("customer_profile", changed)
        page = client.get(path, params=wanted | {"after": page["next"]}).json()
        rows += page["rows"]
    assert rows == whole
    assert sorted(row["customer_id"] for row in rows) == [f"c{n}" for n in range(1, 10)]
    if sort:
        values = [row[sort.removeprefix("-")] for row in rows]
        told = [value for value in values if value is not None]
        assert told == sorted(told, reverse=sort.startswith("-"))
        assert values[len(told) :] == [None] * (len(values) - len(told))


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["orders:gte:8"], {8, 9}),
        (["revenue:lt:1", "active:eq:true"], {8}),
        (["segment:null:true"], {1, 4, 7}),
        (["segment:in:best,lost", "orders:lt:4"], {2, 3}),
        (["segment:ne:best", "orders:lte:3"], {1, 2}),
        (["email:starts:Customer7"], {7}),
        (["last_order_at:gt:2026-11-08T12:00:00+01:00"], {9}),
        (["born:eq:1990-01-05"], {5}),
        (["segment:eq:x' or '1'='1"], set()),
        (["segment:eq:a:b,c"], set()),
    ],
)
def test_filters(client: TestClient, where: list[str], found: set[int]) -> None:
    """Each operator on each type; a value is a value, whatever is written in it."""
    rows = client.get("/v1/tables/customer_profile", params={"where": where}).json()["rows"]
    assert {row["orders"] for row in rows} == found


@pytest.mark.parametrize(
    "asked",
    [
        {"where": "orders:gte:many"},
        {"where": "orders:near:3"},
        {"where": "orders:starts:3"},
        {"where": "nothing:eq:1"},
        {"where": "orders"},
        {"where": 'orders" = 1 or "orders:eq:1'},
        {"where": "orders:eq:99999999999999999999999"},
        {"where": "revenue:eq:NaN"},
        {"where": "born:eq:2026-02-30"},
        {"sort": "nothing"},
        {"sort": 'orders"; drop table customer_profile; --'},
        {"columns": "orders,nothing"},
        {"after": "nothing"},
        {"after": "e30"},
    ],
)
def test_what_cannot_be_asked(client: TestClient, asked: dict[str, str]) -> None:
    """A mistake is a 400 that says where it is, and never what was sent."""
    reply = client.get("/v1/tables/customer_profile", params=asked)
    assert refusal(reply) == (400, "bad_request")
    assert "drop table" not in reply.text or "sort" in asked


def test_the_same_rows_in_every_form(client: TestClient) -> None:
    """JSON, CSV and Arrow hold the same; Arrow keeps decimals exact, CSV makes no formula of a value."""
    path, wanted = "/v1/tables/customer_profile", {"columns": "customer_id,revenue", "limit": "3"}
    rows = client.get(path, params=wanted).json()
    arrow = client.get(path, params=wanted | {"format": "arrow"})
    table = pa.ipc.open_stream(io.BytesIO(arrow.content)).read_all()
    assert table.to_pylist() == [
        {"customer_id": p["customer_id"], "revenue": p["revenue"]} for p in PEOPLE[:3]
    ]
    assert arrow.headers["Octo-Next"] == rows["next"]
    lines = client.get(path, params=wanted | {"format": "csv"}).text.splitlines()
    assert lines == ["customer_id,revenue", "c1,1.10", "c2,2.10", "c3,3.10"]


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


def test_a_publication_is_seen_at_once(project: Project, client: TestClient) -> None:
    """The next question is answered from the new copy; a publication that fails leaves the old one."""
    project.warehouse.replace("customer_profile", pa.Table.from_pylist([PEOPLE[0] | {"orders": 99}], PROFILE))
    assert client.get("/v1/customers/c1").json()["profile"]["orders"] == 1
    project.publish()
    assert client.get("/v1/customers/c1").json()["profile"]["orders"] == 99
    assert refusal(client.get("/v1/customers/c2")) == (404, "not_found")
    project.warehouse.replace("products", pa.table({"name": ["no key"]}))
    with pytest.raises(Exception, match="product_id"):
        project.publish()
    assert client.get("/v1/customers/c1").json()["profile"]["orders"] == 99
    kept = [path for path in project.home.iterdir() if "serving-" in path.name and path.suffix == ".sqlite"]
    assert kept == [(project.home / "serving.sqlite").resolve()]


def test_a_row_that_changes_in_place_is_seen(project: Project, client: TestClient) -> None:
    """What another process writes into the copy is in the next answer, pictures at hand and all."""
    assert client.get("/v1/customers/c1/recommendations").json()["discover"][0]["image_url"] == "/p1.jpg"
    with replacing(project.home), closing(sqlite3.connect(project.home / "serving.sqlite")) as copy, copy:
        told = json.loads(copy.execute("select told from customers where customer_id = 'c1'").fetchone()[0])
        told[4] = 77
        copy.execute("update customers set told = ? where customer_id = 'c1'", (json.dumps(told),))
        copy.execute("update products set told = replace(told, '/p1.jpg', '/new.jpg')")
        copy.execute("update about set told = ? where name = 'as_of'", ('"2026-11-23"',))
    now = client.get("/v1/customers/c1").json()
    assert (now["profile"]["orders"], now["as_of"]) == (77, "2026-11-23")
    assert client.get("/v1/customers/c1/recommendations").json()["discover"][0]["image_url"] == "/new.jpg"


def test_the_short_way_answers_as_the_long_one(project: Project, client: TestClient) -> None:
    """What is answered before FastAPI reads it is what FastAPI answers, refusals and all."""
    slow = app(project)
    slow.app.user_middleware.clear()  # type: ignore[attr-defined]
    with TestClient(slow, headers=dict(client.headers)) as other:
        for path in (
            "customers/c1",
            "customers/ Customer2@example.com?by=email&include=audiences,recommendations",
            "customers/c1?columns=orders,segment&include=all",
            "customers/c1?columns=nothing",
            "customers/c1?include=nothing",
            "customers/nobody?by=",
            "customers/shared@example.com?by=email",
            "customers/c1/recommendations",
            "customers/nobody/recommendations",
            "products/p1/related?limit=1",
            "products/p9/related",
            "products/p1/related?limit=0",
            "products/p1/related?limit=ten",
            "customers/c1?" + "&".join(f"x{n}=1" for n in range(30)),
        ):
            quick, long = client.get(f"/v1/{path}"), other.get(f"/v1/{path}")
            assert (quick.status_code, quick.content) == (long.status_code, long.content), path
            assert quick.headers["content-type"] == long.headers["content-type"]


def test_before_anything_is_published(tmp_path: Path) -> None:
    """A server that was started too early says so, and what to do."""
    with asking(Project(tmp_path, tmp_path / ".octo"), EVERYTHING) as client:
        assert refusal(client.get("/v1/customers/c1")) == (503, "not_published")


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


def test_its_own_description_holds(project: Project) -> None:
    """Schemathesis, which reads the OpenAPI and asks all it allows and does not, finds no answer that is not
    described and nothing that breaks. That a described question is never refused is not among its checks:
    which columns there are is the project's, and no description can say it."""
    keys = Keys(project.home)
    headers = {"Authorization": f"Bearer {keys.add('fuzz', EVERYTHING, 100_000)}"}
    schema = schemathesis.openapi.from_asgi("/openapi.json", app(project))
    asked: Counter[str] = Counter()

    @QUICK
    def ask(case: Any) -> None:
        asked[case.operation.label] += 1
        case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

    for found in schema.get_all_operations():
        given(case=found.ok().as_strategy())(ask)()  # type: ignore[union-attr]
    assert len(asked) == 14
    assert min(asked.values()) > 1
