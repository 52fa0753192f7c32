"""Rows by push and webhooks: kept before they are thanked, judged as every source's rows are, lost never."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.keys import Keys
from octo_dagster.canonical.conform import conform, rejected_rows
from octo_dagster.canonical.pull import Pulled, pull
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.inbox import Inbox, Post

NOW = datetime(2026, 11, 22)  # noqa: DTZ001
TILL = """
source:
  type: push
  resources:
    lines: {of: orders, each: lines, sum: {net: [lines.price * lines.quantity]}}
hook: {by: octo, secret: {env: HOOK_SECRET}, into: orders}
max_rejected: 9
tables:
  orders:
    from: orders
    cursor: _post
    columns: {order_id: id, customer_id: customer.id, net_amount: total, ordered_at: at}
  order_lines:
    from: lines
    cursor: _post
    deletes: {within: id}
    columns: {order_id: id, line_no: lines.no, product_id: lines.product, quantity: lines.quantity, net_amount: net}
"""
SHOP = """
source:
  type: rest
  base_url: https://shop.example.com
  resources: {orders: {path: orders}}
hook: {by: %s, secret: [{env: OLD_SECRET}, {env: HOOK_SECRET}]}
tables:
  orders: {from: orders, columns: {order_id: id, net_amount: total, ordered_at: at}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A till that posts its orders, and two shops that knock."""
    monkeypatch.setenv("HOOK_SECRET", "knock knock")
    monkeypatch.setenv("OLD_SECRET", "who was there")
    folder = tmp_path / "assets" / "sources"
    folder.mkdir(parents=True)
    (folder / "till.yaml").write_text(TILL)
    for vendor in ("shopify", "woocommerce"):
        (folder / f"{vendor}.yaml").write_text(SHOP % vendor)
    return Project(tmp_path, tmp_path / ".octo")


@pytest.fixture
def till(project: Project) -> Iterator[TestClient]:
    """The till, which may post orders and nothing else."""
    secret = Keys(project.home).add("till", {"events": ["orders"]})
    with TestClient(app(project), headers={"Authorization": f"Bearer {secret}"}) as made:
        yield made


def order(number: int, **changed: Any) -> dict[str, Any]:
    """An order of one line."""
    line = {"no": 1, "product": "p1", "quantity": 2, "price": 1.10}
    made = {"id": f"o{number}", "customer": {"id": "c1"}, "total": 2.20, "at": "2026-11-01T10:00:00Z"}
    return made | {"lines": [line]} | changed


def pulled(project: Project) -> dict[str, Pulled]:
    """Pull and judge both tables."""
    intake = project.intakes["till"]
    made = {name: pull(intake, name, project.warehouse, NOW) for name in ("orders", "order_lines")}
    for name in made:
        conform(name, [intake], project.warehouse, NOW, "run")
    return made


def held(project: Project, query: str) -> list[tuple[Any, ...]]:
    """What the canonical tables hold."""
    with project.warehouse.connect() as connection:
        return connection.sql(query).fetchall()


def signed(body: bytes, at: float | None = None, secret: str = "knock knock") -> dict[str, str]:
    """The header Octo's own webhooks have."""
    when = int(time.time() if at is None else at)
    mac = hmac.new(secret.encode(), f"{when}.".encode() + body, "sha256").hexdigest()
    return {"X-Octo-Signature": f"t={when},v1={mac}"}


def test_what_is_posted_becomes_orders(project: Project, till: TestClient) -> None:
    """An order's newest post is the order; lines it lacks are gone; what was pulled is not pulled again."""
    two = [order(1), order(2, customer={"id": "c2"})]
    told = till.post("/v1/events/orders", json=two)
    assert (told.status_code, told.json()["accepted"], told.json()["rejected"]) == (202, 2, [])
    assert {name: one.rows for name, one in pulled(project).items()} == {"orders": 2, "order_lines": 2}
    more = order(1, total="3.30", lines=[{"no": 2, "product": "p2", "quantity": 3, "price": "1.1"}])
    assert till.post("/v1/events/orders", json=more).json()["post"] > told.json()["post"]
    assert {name: one.rows for name, one in pulled(project).items()} == {"orders": 1, "order_lines": 1}
    assert {name: one.rows for name, one in pulled(project).items()} == {"orders": 0, "order_lines": 0}
    found = held(project, "select order_id, customer_id, cast(net_amount as text) from orders order by 1")
    assert found == [("o1", "c1", "3.30"), ("o2", "c2", "2.20")]
    lines = "select order_id, line_no, cast(net_amount as text) from order_lines order by 1"
    assert held(project, lines) == [("o1", 2, "3.30"), ("o2", 1, "2.20")]


def test_before_anything_was_posted(project: Project, till: TestClient) -> None:
    """A source that was brought nothing yet is an empty table, pulled again without a word, and then has rows."""
    for _ in range(2):
        assert {name: one.rows for name, one in pulled(project).items()} == {"orders": 0, "order_lines": 0}
    assert held(project, "select count(*) from orders") == [(0,)]
    till.post("/v1/events/orders", json=order(1))
    assert pulled(project)["orders"].rows == 1


def test_good_rows_are_kept_though_others_are_refused(project: Project, till: TestClient) -> None:
    """Each bad row is named by its place; a value that is no number is judged with the table, and seen there."""
    rows = [order(1), {"total": 1}, 7, order(2, id=" "), order(3, total="much"), order(4, note="\ud800")]
    body = json.dumps(rows).encode()
    told = till.post("/v1/events/orders", content=body).json()
    assert (told["accepted"], [one["index"] for one in told["rejected"]]) == (2, [1, 2, 3, 5])
    assert told["rejected"][0]["message"] == "id is missing or empty: order_id"
    pulled(project)
    assert held(project, "select order_id from orders") == [("o1",)]
    assert [(row["field"], row["value"]) for row in rejected_rows(project.warehouse, "orders")] == [
        ("net_amount", "much")
    ]
    assert till.post("/v1/events/orders", json=[{"total": 1}]).status_code == 422
    assert project.intakes["till"].source.reached(project.intakes["till"].tables["orders"].pull()) == 1


def test_a_name_nobody_reads_is_told_of(project: Project, tmp_path: Path) -> None:
    """A misspelled column would be empty for ever without a word."""
    path = project.root / "assets" / "sources" / "till.yaml"
    told = yaml.safe_load(TILL)
    del told["tables"]["order_lines"], told["source"]["resources"]
    path.write_text(yaml.safe_dump(told))
    secret = Keys(project.home).add("till", {"events": "*"})
    with TestClient(app(project), headers={"Authorization": f"Bearer {secret}"}) as till:
        sent = order(1) | {"totall": 3}
        assert till.post("/v1/events/orders", json=sent).json()["ignored"] == ["lines", "totall"]


def test_the_same_post_again(project: Project, till: TestClient) -> None:
    """An Idempotency-Key that comes again is answered as it was and kept once; with other rows it is refused."""
    name = {"Idempotency-Key": "a"}
    first = till.post("/v1/events/orders", json=[order(1), {}], headers=name)
    assert till.post("/v1/events/orders", json=[order(1), {}], headers=name).json() == first.json()
    assert till.post("/v1/events/orders", json=order(2), headers=name).status_code == 409
    long = {"Idempotency-Key": "a" * 201}
    assert till.post("/v1/events/orders", json=order(2), headers=long).status_code == 422
    assert pulled(project)["orders"].rows == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[" * 200_000, 400),
        (b'{"id": NaN}', 400),
        (b"\xff", 400),
        (b"[]", 422),
        (b"[" + b"{}," * 1000 + b"{}]", 422),
        (b'"text"', 422),
        (json.dumps(dict.fromkeys(map(str, range(501)), 1) | order(1)).encode(), 422),
        (b" " * 1_000_001, 413),
    ],
)
def test_what_is_no_post(project: Project, till: TestClient, body: bytes, status: int) -> None:
    """Nothing of it is kept, and the answer never holds what was sent."""
    reply = till.post("/v1/events/orders", content=body)
    assert (reply.status_code, bool(reply.json()["error"]["message"])) == (status, True)
    assert Inbox(project.home).wakes() == {}


def test_a_key_posts_what_it_is_for(project: Project, till: TestClient) -> None:
    """A key for reading posts nothing, a key for posting reads nothing, and a name nobody reads is not there."""
    assert till.post("/v1/events/products", json={}).status_code == 403
    assert till.get("/v1/tables").json() == {"tables": []}
    for scope, status in (({"orders": "*"}, 403), ({"events": "*"}, 404)):
        secret = Keys(project.home).add(str(scope), scope)
        reply = till.post("/v1/events/nothing", json={}, headers={"Authorization": f"Bearer {secret}"})
        assert reply.status_code == status


def test_many_writers_and_a_reader(tmp_path: Path) -> None:
    """Posts of several writers at once all arrive, in one order, and a reader in between misses none."""
    seen: list[str | None] = []

    def write(name: str) -> None:
        inbox = Inbox(tmp_path)
        for n in range(20):
            row = (json.dumps([name, n]), None)
            inbox.keep(Post("till", "orders", name, [row], row[0].encode()), "{}")
        inbox.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
    for one in writers:
        one.start()
    reader, after = Inbox(tmp_path), 0
    while any(one.is_alive() for one in writers) or (reader.reached("till", "orders") or 0) > after:
        upto = reader.reached("till", "orders") or 0
        seen += [row.told for row in reader.rows("till", "orders", after, upto)]
        after = upto
    assert sorted(map(str, seen)) == sorted(json.dumps([name, n]) for name in "abc" for n in range(20))
    assert reader.wakes() == {"till": 60}
    reader.close()


@pytest.mark.parametrize("secret", ["knock knock", "who was there"])
@pytest.mark.parametrize(
    ("vendor", "header"),
    [("shopify", "X-Shopify-Hmac-Sha256"), ("woocommerce", "X-WC-Webhook-Signature")],
)
def test_a_vendors_knock(project: Project, vendor: str, header: str, secret: str) -> None:
    """Signed with the secret, or the one before it, over the very bytes, a hook wakes its source; else it
    is refused and nothing stirs."""
    body = b'{"id": 820982911946154508, "email": "jon@example.com"}'
    good = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    inbox = Inbox(project.home)
    with TestClient(app(project)) as client:
        for wrong in ("", "x", good[:-4] + "AAA=", good.encode().hex()):
            assert (
                client.post(f"/v1/hooks/{vendor}", content=body, headers={header: wrong}).status_code == 401
            )
        assert (
            client.post(f"/v1/hooks/{vendor}", content=body + b" ", headers={header: good}).status_code == 401
        )
        assert client.post("/v1/hooks/nobody", content=body, headers={header: good}).status_code == 404
        assert inbox.wakes() == {}
        assert client.post(f"/v1/hooks/{vendor}", content=body, headers={header: good}).status_code == 202
        assert inbox.wakes() == {vendor: 1}
        ping = client.post(f"/v1/hooks/{vendor}", content=b"webhook_id=7")
        assert ping.status_code == (200 if vendor == "woocommerce" else 401)
        assert inbox.wakes() == {vendor: 1}
    assert b"jon@" not in inbox.path.read_bytes()
    inbox.close()


def test_a_hook_that_is_data(project: Project) -> None:
    """For a source by push a hook's body is its rows; the same delivery again is one; what is no row is a
    rejected row that people see; an old signature opens nothing."""
    with TestClient(app(project)) as client:
        body = json.dumps(order(1)).encode()
        once = {"Idempotency-Key": "d1"}
        replies = [
            client.post("/v1/hooks/till", content=body, headers=signed(body) | once).json() for _ in range(2)
        ]
        assert replies == [{"post": 1}, {"post": 1}]
        odd = b"not json"
        assert client.post("/v1/hooks/till", content=odd, headers=signed(odd)).status_code == 202
        for headers in (signed(body, time.time() - 301), signed(body, secret="guessed"), {}):
            assert client.post("/v1/hooks/till", content=body, headers=headers).status_code == 401
    assert pulled(project)["orders"].rows == 2
    assert held(project, "select order_id from orders") == [("o1",)]
    rejected = rejected_rows(project.warehouse, "orders")
    assert [(row["reason"], row["value"], row["origin"]) for row in rejected] == [
        ("unreadable", "not JSON", "orders/2.1")
    ]


def test_an_unset_secret_says_so(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook whose secret is not in the environment is refused as our trouble, so that the vendor tries again."""
    monkeypatch.delenv("HOOK_SECRET")
    with TestClient(app(project)) as client:
        reply = client.post("/v1/hooks/till", content=b"{}", headers=signed(b"{}"))
    assert (reply.status_code, "HOOK_SECRET" in reply.text) == (503, False)


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        (", into: orders", "", "hook.into: is needed"),
        ("cursor: _post\n    columns", "columns", "tables.orders.cursor: say _post"),
        ("cursor: _post\n    columns", "cursor: _post\n    overlap: 5\n    columns", "overlap"),
        ("from: orders\n", "query: select 1\n", "query: a push source has none"),
        ("_post\n    columns", "_post\n    deletes: reconcile\n    columns", "cannot be asked for its keys"),
        ("of: orders, ", "", "source.resources.lines.of: Field required"),
        ("by: octo", "by: shopify", "tables.orders.cursor: shopify signs no time"),
    ],
)
def test_a_mistake_in_its_file(project: Project, old: str, new: str, mistake: str) -> None:
    """What cannot work is said by `octo check`, by file and field."""
    assert old in TILL
    (project.root / "assets" / "sources" / "till.yaml").write_text(TILL.replace(old, new, 1))
    with pytest.raises(ConfigError) as said:
        _ = Project(project.root, project.home).intakes
    assert mistake in str(said.value)
