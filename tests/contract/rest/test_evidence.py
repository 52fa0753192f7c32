"""The three senders by others' word: their published descriptions judge what we ask and what the twins answer, and
their own clients read the same from the twins.

Shops have no published description here. WooCommerce 3.0 and ShopifyAPI 12.7 of PyPI, run against the twins by hand
on 2026-11-22, read customers, products and orders by page and by GraphQL cursor; they are not in the lock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import mailchimp_marketing
import pytest
import yaml
from brevo import Brevo as BrevoClient
from klaviyo_api import KlaviyoAPI
from werkzeug.wrappers import Request, Response

from connectors.registry import sources
from connectors.sandbox.server import Sandbox
from octo_dagster import document
from octo_dagster.canonical.intake import Intake
from octo_dagster.source import Outside
from tests.conftest import Clock
from tests.contract.brevo import test_evidence as brevo
from tests.contract.klaviyo import recording as klaviyo
from tests.contract.mailchimp import test_evidence as mailchimp
from tests.contract.rest.front import EXAMPLES

ADA = "ada@example.com"


@dataclass
class Heard:
    """One call of ours and its answer."""

    method: str
    path: str
    query: dict[str, str]
    revision: str | None
    status: int
    reply: Any


class Recorder(Sandbox):
    """A sandbox that writes down every exchange."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.heard: dict[str, list[Heard]] = {}

    def __enter__(self) -> Recorder:
        super().__enter__()
        return self

    def answer(self, request: Request) -> Response | None:
        request.environ["wsgi.input"] = BytesIO(request.get_data())
        reply = super().answer(request)
        name, _, path = request.path.lstrip("/").partition("/")
        if reply is not None:
            told = json.loads(reply.get_data())
            query, revision = request.args.to_dict(), request.headers.get("revision")
            one = Heard(request.method, f"/{path}", query, revision, reply.status_code, told)
            self.heard.setdefault(name, []).append(one)
        return reply


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    """Three senders with a little in each, and their keys."""
    monkeypatch.setenv("KLAVIYO_API_KEY", "pk_sandbox")
    monkeypatch.setenv("MAILCHIMP_API_KEY", "sandboxkey-us21")
    monkeypatch.setenv("BREVO_API_KEY", "sandbox-key")
    clock = Clock()
    with Recorder(clock) as running:
        for number in range(201):
            running.twin("klaviyo_events").happened(
                ADA, "Received Email", clock.at, **{"$message": str(number)}
            )
        running.twin("mailchimp").campaign("sale", clock.at.isoformat())
        running.twin("mailchimp").sent("sale", ADA)
        running.twin("mailchimp").did(
            "sale", ADA, "click", clock.at.isoformat(), url="https://x", ip="127.0.0.1"
        )
        running.twin("brevo").happened(ADA, "requests", "<1>", templateId=4)
        running.twin("brevo").happened(ADA, "clicks", "<1>", link="https://x")
        yield running


def pulled(name: str, sandbox: Recorder) -> None:
    """A first pull and a second of both tables by the ready file."""
    intake = document.load(EXAMPLES / f"{name}.yaml", Intake, {"sources": sources()})
    for table in intake.tables.values():
        first = intake.source.read(table.pull(None, Outside(sandbox.address)))
        assert first.table().num_rows
        intake.source.read(table.pull(first.state, Outside(sandbox.address))).batches.close()


def described(path: Path) -> Any:
    if not path.exists():
        pytest.skip("../shared/specs is not here: vendors' descriptions, not ours to publish")
    return yaml.safe_load(path.read_bytes()) if path.suffix == ".yaml" else json.loads(path.read_bytes())


def test_klaviyo_speaks_as_described(sandbox: Recorder) -> None:
    """What we ask for and what the twin answers is as Klaviyo's OpenAPI file has it, both ways."""
    judge = klaviyo.Judge(described(klaviyo.SPEC))
    pulled("klaviyo_events", sandbox)
    heard = sandbox.heard["klaviyo_events"]
    one = klaviyo.Exchange
    asked = [one(h.method, h.path, h.query, h.revision, None, h.status, h.reply) for h in heard]
    assert {line for each in asked for line in judge.differences(each)} == set()
    assert len(asked) == 8


def test_mailchimp_speaks_as_described(sandbox: Recorder) -> None:
    """What we ask for and what the twin answers is as Mailchimp's published file has it, both ways."""
    spec = described(mailchimp.SPEC)
    pulled("mailchimp_events", sandbox)
    asked = [
        mailchimp.Exchange(h.method, h.path.removeprefix("/3.0"), h.query, None, h.status, h.reply)
        for h in sandbox.heard["mailchimp"]
    ]
    assert {line for each in asked for line in mailchimp.differences(spec, each)} == set()
    assert len(asked) == 8


def test_brevo_speaks_as_described(sandbox: Recorder) -> None:
    """What we ask for and what the twin answers is as Brevo's published file has it, both ways."""
    spec = described(brevo.SPEC)
    pulled("brevo_events", sandbox)
    asked = [
        brevo.Exchange(h.method, h.path.removeprefix("/v3"), h.query, None, h.status, h.reply)
        for h in sandbox.heard["brevo"]
    ]
    assert {line for each in asked for line in brevo.differences(spec, each)} == set()
    assert len(asked) == 8


def test_their_own_clients_read_the_same(sandbox: Recorder) -> None:
    """Klaviyo's, Mailchimp's and Brevo's Python clients read the twins' events, page by page."""
    reader = KlaviyoAPI(
        "pk_sandbox", max_delay=1, max_retries=0, test_host=f"{sandbox.address}/klaviyo_events"
    )
    page = reader.Events.get_events(page_size=200, include=["metric", "profile"], sort="datetime")
    assert len(page.data) == 200
    assert page.links.next.startswith("https://a.klaviyo.com/api/events?")
    client = mailchimp_marketing.Client()
    client.set_config({"api_key": "sandboxkey-us21"})
    client.api_client.host = f"{sandbox.address}/mailchimp/3.0"
    sent = client.reports.get_campaign_recipients("sale")
    did = client.reports.get_email_activity_for_campaign("sale")
    assert (sent["sent_to"][0]["email_address"], did["emails"][0]["activity"][0]["action"]) == (ADA, "click")
    with httpx.Client() as web:
        brevo_client = BrevoClient(
            api_key="sandbox-key", base_url=f"{sandbox.address}/brevo/v3", max_retries=0, httpx_client=web
        )
        report = brevo_client.transactional_emails.get_email_event_report(sort="asc")
    assert report.events is not None
    assert [(one.email, one.event) for one in report.events] == [(ADA, "requests"), (ADA, "clicks")]
