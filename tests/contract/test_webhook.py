"""What the webhook promises beyond the exam: its signature, its repeats, its reading of odd replies."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import requests

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import BatchRejected, Fatal, Unanswered
from octo_dagster.model import Batch, Change, FieldType, Op
from tests.contract.sitting import Sitting, build
from tests.unit.test_http import hearing
from tests.vendors.webhook import WEBHOOK


@pytest.fixture
def sitting(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitting]:
    monkeypatch.setenv("WEBHOOK_SECRET", WEBHOOK.env["WEBHOOK_SECRET"])
    made = Sitting(WEBHOOK, sandbox.address)
    with closing(made.http):
        yield made


def batch(number: int, *keys: str) -> Batch:
    changes = tuple(Change(key, {"orders": number}) for key in keys)
    return Batch(f"batch-{number}", Op.UPSERT, changes, "email", {"orders": FieldType.INTEGER})


def test_a_batch_that_comes_twice_is_taken_once(sitting: Sitting) -> None:
    """The receiver can tell a repeat by its `Idempotency-Key`, so an older one cannot undo a newer."""
    for number in (1, 2, 1):
        sitting.destination.send(sitting.api, batch(number, "ada"))
    assert sitting.destination.read(sitting.api, ["ada"], ["orders"]) == {"ada": {"orders": 2}}


@pytest.mark.parametrize(("age", "status"), [(0, 200), (301, 401), (-360, 401)])
def test_an_old_signature_is_refused(sandbox: Sandbox, age: int, status: int) -> None:
    """The receiver takes what was signed within five minutes; a recorded call cannot be played again later."""
    at, body = str(int(time.time()) - age), b'{"keys": []}'
    mac = hmac.new(b"sandbox-key", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"Octo-Signature": f"t={at},v1={mac}"}
    reply = requests.post(f"{sandbox.address}/webhook/octo/read", data=body, headers=headers, timeout=5)
    assert reply.status_code == status


def answered(words: str, keys: tuple[str, ...] = ("ada",)) -> dict[str, str | None]:
    """Key → reason, as read from a receiver that answers with these words."""
    destination = build(WEBHOOK)
    with hearing(destination, words.encode()) as http:
        sent = destination.send(destination.connect(http), batch(1, *keys))
    return {receipt.key: receipt.reason for receipt in sent.receipts}


@pytest.fixture
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", "sandbox-key")


@pytest.mark.usefixtures("_secret")
@pytest.mark.parametrize(
    "words",
    [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_any_2xx_takes_the_batch(words: str) -> None:
    """A receiver that has nothing to refuse need not answer in JSON, or at all."""
    assert answered(words) == {"ada": None}


@pytest.mark.usefixtures("_secret")
@pytest.mark.parametrize("body", ['{"rejected": [{"key": "ADA", "reason": "no"}]}', '{"created": ["ADA"]}'])
def test_an_answer_about_keys_nobody_sent_is_none(body: str) -> None:
    """A reply about other keys than were sent proves nothing about those that were."""
    words = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with pytest.raises(Unanswered, match="not sent"):
        answered(words)


@pytest.mark.usefixtures("_secret")
@pytest.mark.parametrize(
    "body",
    [
        "{",
        "[]",
        "null",
        '"ok"',
        '{"rejected": 1}',
        '{"rejected": ["ada"]}',
        '{"rejected": [{}]}',
        '{"created": "ada"}',
        '{"created": [1]}',
    ],
)
def test_an_answer_spelled_otherwise_is_no_answer(body: str) -> None:
    """A reply that may refuse somebody in words Octo does not know takes nobody, and ends no run."""
    words = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    with pytest.raises(Unanswered, match=r"JSON that is none|does not say"):
        answered(words)


@pytest.mark.usefixtures("_secret")
@pytest.mark.parametrize("status", [300, 304])
def test_only_2xx_takes_the_batch(status: int) -> None:
    """A reply that is neither success nor refusal was no receipt of anything."""
    with pytest.raises(Fatal, match="only 2xx"):
        answered(f"HTTP/1.1 {status} Well\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.usefixtures("_secret")
@pytest.mark.parametrize(("status", "error"), [(400, BatchRejected), (413, BatchRejected), (404, Fatal)])
def test_a_4xx_is_about_the_batch_or_the_address(status: int, error: type[Exception]) -> None:
    """A batch that is refused may be cut smaller; an address that is not there needs a person."""
    with pytest.raises(error, match=f"{status} why"):
        answered(f"HTTP/1.1 {status} No\r\nContent-Length: 3\r\n\r\nwhy")


@pytest.mark.usefixtures("_secret")
def test_the_receiver_may_tell_whom_it_made() -> None:
    """By that Octo knows which records are its own to delete; of a receiver that does not tell, none is."""
    destination = build(WEBHOOK)
    made: list[set[bool | None]] = []
    for body in ('{"created": ["ada"]}', '{"created": []}', "{}"):
        words = (
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        with hearing(destination, words.encode()) as http:
            sent = destination.send(destination.connect(http), batch(1, "ada"))
        made.append({receipt.created for receipt in sent.receipts})
    assert made == [{True}, {False}, {None}]


def test_reading_is_for_those_who_offer_it() -> None:
    """Without `readable` the engine is told that nothing can be read back."""
    assert build(WEBHOOK).can_read()
    assert not build(WEBHOOK, {"readable": False}).can_read()
