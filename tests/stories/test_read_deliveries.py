"""The promise: another system sees what each tool was told of a customer, and what a sync would change next."""

from __future__ import annotations

import sqlite3
from typing import Any

from starlette.testclient import TestClient

from octo_dagster.api.app import app
from octo_dagster.api.keys import Keys
from tests.world import World, row

WHOLE = dict.fromkeys(("customer_profile", "sync_changelog", "sync_runs"), "*")


def asking(shop: World, tables: Any) -> TestClient:
    """A caller with a new key for these tables."""
    keys = Keys(shop.project.home)
    secret = keys.add(f"key {len(keys.all())}", tables)
    return TestClient(app(shop.project), headers={"Authorization": f"Bearer {secret}"})


def test_what_a_tool_was_told_of_a_customer(shop: World) -> None:
    """What it holds, since when, and how the last try ended; as the ledger says, while a run writes it."""
    shop.have([row(1), row(2), row(3, segment="x" * 2_000)]).deliver()
    shop.project.publish()
    with asking(shop, WHOLE) as client:
        assert client.get("/v1/syncs").status_code == 200
        writer = sqlite3.connect(shop.project.home / "ledger.sqlite", isolation_level=None)
        writer.execute("begin immediate")
        asked = {"by": "email", "include": "deliveries"}
        told = client.get("/v1/customers/CUSTOMER1@example.com", params=asked).json()["deliveries"]
        assert [(one["sync"], one["type"], one["outcome"]) for one in told] == [
            ("customers", "webhook", "accepted")
        ]
        assert (told[0]["key"], told[0]["fields"]["orders"]) == ("customer1@example.com", 1)
        assert told[0]["at"].endswith("Z")
        refused = client.get("/v1/customers/c3", params={"include": "all"}).json()["deliveries"]
        assert [(one["outcome"], one["attempts"], one["fields"]) for one in refused] == [
            ("rejected", 1, None)
        ]
        assert "1000" in refused[0]["reason"]
        writer.execute("rollback")
        writer.close()
        body = {"value": "customer2@example.com", "include": ["deliveries"]}
        assert client.post("/v1/customers/lookup", json=body).json()["deliveries"][0]["outcome"] == "accepted"
    with asking(shop, {"customer_profile": "*", "sync_changelog": ["sync"]}) as client:
        assert client.get("/v1/customers/c1?include=deliveries").status_code == 403
        assert list(client.get("/v1/customers/c1?include=all").json()) == ["customer_id", "profile", "as_of"]


def test_a_customer_no_tool_was_told_of(shop: World) -> None:
    """Who was never sent, or has no key, has no deliveries; nothing is made up."""
    shop.have([row(1), row(2, email=None)])
    shop.project.publish()
    with asking(shop, WHOLE) as client:
        for who in ("c1", "c2"):
            assert client.get(f"/v1/customers/{who}?include=deliveries").json()["deliveries"] == []


def test_a_plan_page_by_page(shop: World) -> None:
    """Its figures, and every change once, with what is held now; whoever may see runs only sees no record."""
    shop.say(guards={"max_invalid": 1.0}).have([row(n) for n in range(4)]).deliver()
    plan = shop.have([row(1), row(2, orders=9), *[row(n) for n in range(5, 9)], row(9, email=" ")]).plan()
    with asking(shop, WHOLE) as client:
        plans = client.get("/v1/syncs/customers/plans").json()["plans"]
        assert [one["changes_in_all"] for one in plans] == [5, 4]
        assert plans[0]["counts"]["added"] == 4
        path, seen = f"/v1/syncs/customers/plans/{plan.id}", []
        after: int | None = -1
        while after is not None:
            page = client.get(path, params={"limit": 2, "after": after}).json()
            seen += page["changes"]
            after = page["next"]
        assert [one["position"] for one in seen] == list(range(5))
        changed = [one for one in seen if one["kind"] == "changed"]
        assert [(one["key"], one["fields"]["orders"], one["before"]["orders"]) for one in changed] == [
            ("customer2@example.com", 9, 2)
        ]
        assert [one["reason"] for one in client.get(path).json()["invalid"]] == ["email: the row has no key"]
        for missing in ("plans/abc", "plans/..%2f..", "plans/%2e%2e"):
            assert client.get(f"/v1/syncs/customers/{missing}").status_code in (404, 422)
    with asking(shop, {"sync_runs": "*"}) as client:
        assert client.get("/v1/syncs/customers/plans").status_code == 200
        assert client.get(path).status_code == 403
