"""Messages and their events from Brevo, Mailchimp and Klaviyo, by their ready files: each is the customer's whose
address it went to, counted once, whatever is told late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.registry import sources
from connectors.sandbox.server import Sandbox
from octo_dagster import document
from octo_dagster.canonical.conform import conform, rejected_rows
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import Pulled, pull
from octo_dagster.errors import SourceError
from octo_dagster.source import Outside
from octo_dagster.warehouse import Warehouse
from tests.conftest import Clock
from tests.contract.rest.front import EXAMPLES

PEOPLE = {"c1": "ada@example.com", "c2": "Bob@Example.com"}
STRANGER = "nobody@example.com"
Held = tuple[set[tuple[str, ...]], set[tuple[str, ...]]]


@dataclass
class Post:
    """A vendor's account of messages, and a shop's customers."""

    vendor: str
    sandbox: Sandbox
    clock: Clock
    warehouse: Warehouse
    shop: Intake

    @property
    def twin(self) -> Any:
        return self.sandbox.twin(self.intake.source.sandbox)  # type: ignore[attr-defined]

    @property
    def intake(self) -> Intake:
        return document.load(EXAMPLES / f"{self.vendor}.yaml", Intake, {"sources": sources()})

    def pull(self) -> dict[str, Pulled]:
        """Pull and judge; customers are there already."""
        outside = Outside(self.sandbox.address, self.clock.sleep, self.clock)
        now, intake = self.clock.now(), self.intake
        made = {table: pull(intake, table, self.warehouse, now, outside) for table in intake.tables}
        for table in made:
            conform(table, [intake], self.warehouse, now, "run")
        return made

    def held(self) -> Held:
        """Messages as (customer, channel, sent), events as (customer, kind, of a message we have)."""
        with self.warehouse.connect() as connection:
            sent = connection.sql("select customer_id, channel, sent_at::text from messages").fetchall()
            events = connection.sql(
                """select e.customer_id, e.event_type, coalesce(m.customer_id = e.customer_id, false)::text
                from message_events e left join messages m using (message_id)"""
            ).fetchall()
        return set(sent), set(events)


@pytest.fixture
def shop(tmp_path: Path) -> Intake:
    lines = "".join(f"{key},{email}\n" for key, email in PEOPLE.items())
    (tmp_path / "people.csv").write_text(f"id,email\n{lines}c3,two@example.com\nc4,two@example.com\n")
    told = {"from": "*.csv", "columns": {"customer_id": "id", "email": "email"}}
    source = {"type": "files", "folder": str(tmp_path)}
    made = {"name": "shop", "source": source, "tables": {"customers": told}}
    return Intake.model_validate(made, context={"sources": sources()})


@pytest.fixture
def post(
    request: pytest.FixtureRequest, shop: Intake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Post]:
    """The account of the vendor that the test names, and the shop's customers in our table."""
    monkeypatch.setenv("KLAVIYO_API_KEY", "pk_sandbox")
    monkeypatch.setenv("MAILCHIMP_API_KEY", "sandboxkey-us21")
    monkeypatch.setenv("BREVO_API_KEY", "sandbox-key")
    clock, warehouse = Clock(), Warehouse(tmp_path / "warehouse")
    pull(shop, "customers", warehouse, clock.now())
    conform("customers", [shop], warehouse, clock.now(), "run")
    with Sandbox(clock=clock) as sandbox:
        yield Post(request.param, sandbox, clock, warehouse, shop)


def by(vendor: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("post", [vendor], indirect=True)


@by("klaviyo_events")
def test_klaviyo(post: Post) -> None:
    """Pages, metrics by name, profiles by address; what is told a few hours late is found, and once."""
    start = post.clock.at - timedelta(hours=30)
    for number in range(230):
        post.twin.happened(
            "ada@example.com",
            "Received Email",
            start + timedelta(minutes=number),
            **{"$message": f"m{number}"},
        )
    post.twin.happened("bob@example.com", "Received SMS", start, **{"$message": "s1"})
    post.twin.happened(STRANGER, "Received Email", start, **{"$message": "m0"})
    post.twin.happened("two@example.com", "Received Email", start, **{"$message": "m0"})
    post.twin.happened("ada@example.com", "Placed Order", start)
    post.twin.happened(
        "ada@example.com", "Opened Email", start + timedelta(minutes=240), **{"$message": "m0"}
    )
    done = post.pull()
    sent, events = post.held()
    assert (done["messages"].rows, len(sent), ("c2", "sms", stamp(start)) in sent) == (233, 231, True)
    assert ("c1", "Opened Email", "true") in events
    assert {row["value"] for row in rejected_rows(post.warehouse, "messages")} == {"•••"}
    assert {(row["reason"], row["field"]) for row in rejected_rows(post.warehouse)} == {
        ("unknown", "customer_id")
    }
    post.twin.happened("bob@example.com", "Clicked SMS", start + timedelta(minutes=200), **{"$message": "s1"})
    post.clock.sleep(3_600)
    assert {table: done.rows for table, done in post.pull().items()} == {"messages": 0, "message_events": 1}
    assert ("c2", "Clicked SMS", "true") in post.held()[1]


@by("klaviyo_events")
def test_an_open_of_apples_is_a_machines(post: Post) -> None:
    """What Apple Mail opens by itself is no sign of a reader; what a person opened elsewhere is."""
    for number, private in enumerate((True, False, "True", "False"), start=1):
        told = {"$message": f"m{number}", "Apple Privacy Open": private}
        post.twin.happened("ada@example.com", "Opened Email", post.clock.at - timedelta(hours=number), **told)
    post.twin.happened(
        "ada@example.com", "Opened Email", post.clock.at - timedelta(days=1), **{"$message": "m9"}
    )
    post.pull()
    with post.warehouse.connect() as connection:
        found = connection.sql("select event_type from message_events order by occurred_at desc").fetchall()
    assert [kind for (kind,) in found] == [
        "Machine Open",
        "Opened Email",
        "Machine Open",
        "Opened Email",
        "Opened Email",
    ]


@by("mailchimp_events")
def test_mailchimp(post: Post) -> None:
    """Each campaign's recipients and what they did; late opens of an earlier campaign arrive, once."""
    sent = (post.clock.at - timedelta(days=3)).isoformat()
    post.twin.campaign("welcome", sent)
    for email in (*PEOPLE.values(), STRANGER):
        post.twin.sent("welcome", email)
    post.twin.did("welcome", "ada@example.com", "open", sent)
    post.pull()
    at = stamp(datetime.fromisoformat(sent))
    assert post.held() == ({("c1", "email", at), ("c2", "email", at)}, {("c1", "open", "true")})
    post.clock.sleep(86_400)
    post.twin.campaign("sale", post.clock.at.isoformat())
    post.twin.sent("sale", PEOPLE["c2"])
    post.twin.did("welcome", "Bob@Example.com", "click", post.clock.at.isoformat(), url="https://x")
    post.twin.did("sale", "Bob@Example.com", "bounce", post.clock.at.isoformat(), type="hard")
    done = post.pull()
    assert {table: one.rows for table, one in done.items()} == {"messages": 1, "message_events": 2}
    assert post.held()[1] == {("c1", "open", "true"), ("c2", "click", "true"), ("c2", "bounce", "true")}
    assert post.pull()["message_events"].rows == 0
    post.clock.sleep(timedelta(days=60).total_seconds())
    post.twin.campaign("late", post.clock.at.isoformat())
    post.twin.sent("late", "ada@example.com")
    post.twin.did("late", "ada@example.com", "open", post.clock.at.isoformat())
    post.pull()
    before = len(post.sandbox.calls("mailchimp"))
    post.pull()
    paths = {call.path for call in post.sandbox.calls("mailchimp")[before:]}
    assert paths == {"/3.0/reports", "/3.0/reports/late/sent-to", "/3.0/reports/late/email-activity"}


@by("mailchimp_events")
def test_a_campaign_that_is_gone_meanwhile_is_no_mistake(post: Post) -> None:
    """A campaign deleted between the list and its report is passed over; an overloaded front door is waited
    for, and the others arrive."""
    for name in ("kept", "gone"):
        post.twin.campaign(name, post.clock.at.isoformat())
        post.twin.sent(name, "ada@example.com")
    post.sandbox.fault("mailchimp", "error_before", path="reports/gone/", times=None, status=404)
    post.sandbox.fault("mailchimp", "overload", times=2)
    assert post.pull()["messages"].rows == 1


@by("brevo_events")
def test_brevo(post: Post) -> None:
    """Events of every day since, by day; one of today is not counted twice, and pages go to their end."""
    for number in range(3):
        post.twin.happened("ada@example.com", "requests", f"<{number}>")
        post.twin.happened("ada@example.com", "delivered", f"<{number}>")
        post.clock.sleep(3_600)
    post.twin.happened(STRANGER, "requests", "<9>")
    post.pull()
    sent, events = post.held()
    assert (len(sent), events) == (3, {("c1", "delivered", "true")})
    assert {done.rows for done in post.pull().values()} == {0}
    post.twin.happened("bob@example.com", "requests", "<4>")
    post.twin.happened("bob@example.com", "hardBounces", "<4>")
    assert {done.rows for done in post.pull().values()} == {1}
    assert ("c2", "hardBounces", "true") in post.held()[1]


@by("brevo_events")
def test_brevo_is_asked_for_no_more_days_than_it_has(post: Post) -> None:
    """A source that nobody pulled for half a year asks for what Brevo still has, and is not refused."""
    post.twin.happened("ada@example.com", "requests", "<1>")
    post.pull()
    post.clock.sleep(timedelta(days=180).total_seconds())
    post.twin.happened("ada@example.com", "requests", "<2>")
    assert post.pull()["messages"].rows == 1


@by("klaviyo_events")
def test_a_key_that_was_withdrawn_is_said_plainly(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key the vendor does not know any more stops the pull, with the vendor's code and without the key."""
    monkeypatch.setenv("KLAVIYO_API_KEY", "pk_gone")
    with pytest.raises(SourceError, match="401 not_authenticated") as refused:
        post.pull()
    assert "pk_gone" not in str(refused.value)


def stamp(at: datetime) -> str:
    return at.replace(tzinfo=None).isoformat(sep=" ")
