"""The read API: that what is told is what the tables hold."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.gate import Gate
from octo_dagster.config import Project
from octo_dagster.serving.publish import replacing
from tests.reading import EVERYTHING, PEOPLE, PROFILE, asking, refusal


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


def test_an_audience_tells_of_what_time_a_page_is(project: Project, client: TestClient) -> None:
    """Pages of one publication have one version, and those of the next one another."""
    asked = {"limit": "3"}
    first = client.get("/v1/audiences/best/members", params=asked).json()
    second = client.get("/v1/audiences/best/members", params=asked | {"after": first["next"]}).json()
    assert first["version"] == second["version"]
    project.publish()
    third = client.get("/v1/audiences/best/members", params=asked | {"after": second["next"]}).json()
    assert third["version"] != second["version"]


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
        {"where": "last_order_at:lt:9999-12-31T23:59:59-14:00"},
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
    assert isinstance(slow, Gate)
    slow.app = slow.app.app.app  # type: ignore[attr-defined] # FastAPI itself, without what stands before it
    assert isinstance(slow.app, FastAPI)
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
