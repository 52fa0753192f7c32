"""Webhooks that are data: what was signed once is taken once, and an old order never hides a newer one."""

from __future__ import annotations

import base64
import hmac
import json
import os
import sqlite3
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.gate import CROWD, Bucket, Crowd
from octo_dagster.canonical.conform import conform, rejected_rows
from octo_dagster.canonical.pull import pull
from octo_dagster.config import Project
from octo_dagster.inbox import Inbox

NOW = datetime(2026, 11, 22)  # noqa: DTZ001
SOURCE = """
source: {type: push}
hook: {by: %s, secret: {env: HOOK_SECRET}, into: orders}
max_rejected: 9
tables:
  orders:
    from: orders
    cursor: %s
    columns: {order_id: id, net_amount: total, ordered_at: at}
"""
SECRET = "knock knock"
HEADER = {"shopify": "X-Shopify-Hmac-Sha256", "woocommerce": "X-WC-Webhook-Signature"}
NAME = {"shopify": "X-Shopify-Webhook-Id", "woocommerce": "X-WC-Webhook-Delivery-ID"}
FIRST, SECOND, THIRD = (f"2026-11-01T10:00:0{second}Z" for second in range(3))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three shops whose hooks are their orders: two vendors', and one that signs as Octo does."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    folder = tmp_path / "assets" / "sources"
    folder.mkdir(parents=True)
    for vendor, cursor in (("shopify", "updated_at"), ("woocommerce", "updated_at"), ("octo", "_post")):
        told = (
            (SOURCE % (vendor, cursor))
            .replace("orders\n", f"{vendor}\n")
            .replace("into: orders", f"into: {vendor}")
        )
        (folder / f"{vendor}.yaml").write_text(told)
    return Project(tmp_path, tmp_path / ".octo")


def body(total: str, updated_at: str) -> bytes:
    """An order, as it is at one moment."""
    order = {"id": "o1", "total": total, "at": "2026-11-01T09:00:00Z", "updated_at": updated_at}
    return json.dumps(order).encode()


def by_vendor(vendor: str, text: bytes, delivery: str) -> dict[str, str]:
    """The headers of a vendor that signs the body, and nothing else."""
    mac = base64.b64encode(hmac.digest(SECRET.encode(), text, "sha256")).decode()
    return {HEADER[vendor]: mac, NAME[vendor]: delivery, "Idempotency-Key": delivery}


def by_octo(text: bytes, at: int, once: str | None = None) -> dict[str, str]:
    """The headers of a sender that signs when it did."""
    mac = hmac.new(SECRET.encode(), f"{at}.".encode() + text, "sha256").hexdigest()
    return {"X-Octo-Signature": f"t={at},v1={mac}"} | ({"Idempotency-Key": once} if once else {})


def total(project: Project, vendor: str) -> str:
    """What the order is worth now, after a pull."""
    intake = project.intakes[vendor]
    pull(intake, "orders", project.warehouse, NOW)
    conform("orders", [intake], project.warehouse, NOW, "run")
    assert rejected_rows(project.warehouse, "orders") == []
    with project.warehouse.connect() as connection:
        found: list[tuple[str]] = connection.sql("select cast(net_amount as text) from orders").fetchall()
    assert len(found) == 1
    return found[0][0]


@pytest.mark.parametrize("vendor", ["shopify", "woocommerce"])
def test_a_captured_delivery_brought_again(project: Project, vendor: str) -> None:
    """Under another delivery id, which nobody signed, it is thanked for and not taken; the order stays as its
    newest version says."""
    old, new = body("10.00", FIRST), body("25.00", SECOND)
    with TestClient(app(project)) as client:
        for text, name, status, post in ((old, "a", 202, 1), (new, "b", 202, 2), (old, "c", 200, 1)):
            reply = client.post(f"/v1/hooks/{vendor}", content=text, headers=by_vendor(vendor, text, name))
            assert (reply.status_code, reply.json()) == (status, {"post": post})
            assert total(project, vendor) == ("10.00" if name == "a" else "25.00")
        late = body("11.00", FIRST)  # a version that overtook none, and was never seen
        reply = client.post(f"/v1/hooks/{vendor}", content=late, headers=by_vendor(vendor, late, "d"))
    assert (reply.status_code, total(project, vendor)) == (202, "25.00")


@pytest.mark.parametrize("vendor", ["shopify", "woocommerce"])
def test_a_retry_that_is_spelled_otherwise(project: Project, vendor: str) -> None:
    """The delivery id of before with another signed body is no reason to refuse an order."""
    with TestClient(app(project)) as client:
        for text in (body("10.00", FIRST), body("25.00", SECOND), body("25.00", SECOND) + b" "):
            reply = client.post(f"/v1/hooks/{vendor}", content=text, headers=by_vendor(vendor, text, "a"))
            assert reply.status_code == 202
    assert total(project, vendor) == "25.00"


def test_two_versions_of_one_second(project: Project) -> None:
    """A vendor's clock tells no two changes of one second apart; the one that came last is the order."""
    with TestClient(app(project)) as client:
        for text in (body("10.00", FIRST), body("25.00", FIRST)):
            assert (
                client.post(
                    "/v1/hooks/shopify", content=text, headers=by_vendor("shopify", text, "a")
                ).status_code
                == 202
            )
    assert total(project, "shopify") == "25.00"


def test_a_captured_request_within_its_five_minutes(project: Project) -> None:
    """What was signed with a time is taken once too, whatever the request calls itself; the same words signed
    anew are news."""
    at = int(time.time())
    old, new = body("10.00", FIRST), body("25.00", SECOND)
    with TestClient(app(project)) as client:

        def sent(text: bytes, stamp: int, once: str | None) -> int:
            return client.post("/v1/hooks/octo", content=text, headers=by_octo(text, stamp, once)).status_code

        assert [sent(old, at, "a"), sent(new, at, "b"), sent(old, at, "c"), sent(old, at, None)] == [
            *(202, 202),
            *(200, 200),
        ]
        assert total(project, "octo") == "25.00"
        assert sent(old, at + 1, None) == 202
        assert total(project, "octo") == "10.00"


def test_an_octo_delivery_tried_again(project: Project) -> None:
    """Signed at another second it is the delivery of its Idempotency-Key; with other words it is another."""
    at = int(time.time())
    old, new = body("10.00", FIRST), body("25.00", SECOND)
    with TestClient(app(project)) as client:
        tries = [(old, 0, "a"), (new, 1, "b"), (old, 2, "a"), (body("30.00", THIRD), 3, "a")]
        replies = [
            client.post("/v1/hooks/octo", content=text, headers=by_octo(text, at + later, once)).status_code
            for text, later, once in tries
        ]
    assert replies == [202, 202, 200, 202]
    assert total(project, "octo") == "30.00"


def test_a_noisy_source_is_alone_with_its_noise(project: Project) -> None:
    """Who knocks too often for one source is answered 429 there, and nobody else is."""
    with TestClient(app(project)) as client:
        door = client.app.app.app.app.state.door  # type: ignore[attr-defined]
        door.knocks.buckets["testclient", "shopify"] = Bucket(0.001, time.monotonic())
        flooded = client.post("/v1/hooks/shopify", content=b"{}")
        assert (flooded.status_code, flooded.json()["error"]["code"]) == (429, "too_many_requests")
        assert int(flooded.headers["Retry-After"]) >= 1
        assert client.post("/v1/hooks/woocommerce", content=b"{}").status_code == 401
        text = body("10.00", FIRST)
        assert (
            client.post("/v1/hooks/octo", content=text, headers=by_octo(text, int(time.time()))).status_code
            == 202
        )
    assert door.wait("198.51.100.7", "shopify") == 0


def test_allowances_of_strangers_are_not_kept_for_ever() -> None:
    """However many come, what is remembered of them stays small, and he who knocks is not forgotten."""
    crowd = Crowd(1)
    assert [crowd.wait("noisy", 0.0) > 0 for _ in range(3)] == [False, False, True]
    for stranger in range(CROWD - 1):
        crowd.wait(stranger, 0.0)
    assert (len(crowd.buckets), crowd.wait("noisy", 0.0) > 0) == (CROWD, True)
    crowd.wait("one more", 0.0)
    assert len(crowd.buckets) == CROWD


def test_a_commit_that_fails(tmp_path: Path) -> None:
    """It leaves nothing half open: the next who writes is not refused for it."""
    inbox = Inbox(tmp_path)
    inbox.wake("shop")
    inbox.connection().execute("pragma foreign_keys = on")
    inbox.connection().execute("create table whole (id primary key)")
    inbox.connection().execute("create table part (whole references whole deferrable initially deferred)")
    with pytest.raises(sqlite3.IntegrityError), inbox.writing() as file:
        file.execute("insert into part values (1)")
    inbox.wake("shop")
    assert inbox.wakes() == {"shop": 2}
    inbox.close()


def test_a_fork_while_somebody_writes(tmp_path: Path) -> None:
    """A process forked in the middle of another thread's turn writes for itself, and waits for nobody who is
    not there."""
    inbox, inside, done = Inbox(tmp_path), threading.Event(), threading.Event()
    inbox.wake("shop")

    def slow() -> None:
        with inbox.lock:
            inside.set()
            done.wait()

    thread = threading.Thread(target=slow)
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        threading.Timer(10, os._exit, [9]).start()
        inbox.wake("shop")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    done.set()
    thread.join()
    assert (os.waitstatus_to_exitcode(status), inbox.wakes()) == (0, {"shop": 2})
    inbox.close()
