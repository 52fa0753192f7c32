"""Tickets for a call list: one for each external id, made once, and nobody outside the helpdesk written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import BatchRejected, ConfigError, Fatal, Unanswered
from octo_dagster.model import Fields, FieldType, Op, Outcome
from octo_dagster.run import verify_only
from tests.contract.zendesk.desk import Front
from tests.vendors.zendesk import ZENDESK
from tests.world import World, row, world

CALL: Fields = {
    "subject": "Call Ada",
    "body": "Two orders, silent since May",
    "priority": "high",
    "requester": "c1",
}


@pytest.fixture
def front(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """An account that knows Ada, and a destination of tickets."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    with closing(Front(sandbox, object="tickets", ticket_tags=("octo_calls",))) as made:
        made.person("Ada", external_id="c1", email="ada@example.com")
        yield made


def tickets(front: Front) -> list[dict[str, Any]]:
    return list(front.twin.holdings()["tickets"])


def test_a_ticket_is_made_once(front: Front) -> None:
    """However often it is asked for there is one ticket, for that person, with its note and tags."""
    first, again = (front.do(Op.UPSERT, {"call-c1": CALL})["call-c1"] for _ in range(2))
    assert [(one.outcome, one.created) for one in (first, again)] == [
        (Outcome.ACCEPTED, True),
        (Outcome.ACCEPTED, False),
    ]
    (ticket,) = tickets(front)
    assert (ticket["subject"], ticket["description"], ticket["tags"]) == (
        CALL["subject"],
        CALL["body"],
        "octo_calls",
    )
    assert ticket["requester_id"] == front.user("c1").id
    assert front.destination.read(front.api, ["call-c1", "call-c2"], CALL) == {"call-c1": CALL}


def test_nobody_is_written_to(front: Front) -> None:
    """The first comment is an internal note: a public one would be mailed to the customer."""
    front.do(Op.UPSERT, {"call-c1": CALL})
    assert front.twin.notified == []
    assert front.account.mailed == []


@pytest.mark.parametrize("kind", ["drop_after", "error_after"])
def test_a_lost_reply_makes_no_second_ticket(front: Front, kind: str) -> None:
    """Made and not heard of, even when the search does not find it yet: asked again it is the same ticket."""
    front.sandbox.fault("zendesk", kind, method="POST", path="tickets")
    with pytest.raises(Unanswered):
        front.do(Op.UPSERT, {"call-c1": CALL})
    (ticket,) = tickets(front)
    front.twin.tickets[ticket["id"]][1]["external_id"] = None  # as long as it is not found
    assert front.do(Op.UPSERT, {"call-c1": CALL})["call-c1"].outcome is Outcome.ACCEPTED
    assert len(tickets(front)) == 1


def test_other_words_under_the_same_key_are_told(front: Front) -> None:
    """A ticket not found yet whose text changed meanwhile is refused by Zendesk, not doubled."""
    front.do(Op.UPSERT, {"call-c1": CALL})
    front.twin.tickets[1][1]["external_id"] = None
    with pytest.raises(BatchRejected, match="IdempotentRequestError"):
        front.do(Op.UPSERT, {"call-c1": {**CALL, "subject": "Call Ada today"}})
    assert len(tickets(front)) == 1


def test_a_ticket_there_is_follows_what_may_change(front: Front) -> None:
    """Subject, priority and due date follow; an agent's status and tags stay; an equal one is not written."""
    front.do(Op.UPSERT, {"call-c1": CALL})
    front.twin.tickets[1][1].update(status="pending", tags=["by_hand"])
    due = "2026-11-30T09:00:00Z"
    front.do(Op.UPSERT, {"call-c1": {**CALL, "priority": "urgent", "due_at": due}})
    (ticket,) = tickets(front)
    assert (ticket["priority"], ticket["due_at"], ticket["type"]) == ("urgent", due, "task")
    assert (ticket["status"], ticket["tags"], ticket["subject"]) == ("pending", "by_hand", "Call Ada")
    front.calls.clear()
    front.do(Op.UPSERT, {"call-c1": {**CALL, "priority": "urgent", "due_at": due}})
    assert [call for call in front.asked() if not call.startswith("GET")] == []


def test_what_cannot_be_is_refused_with_its_reason(front: Front) -> None:
    """Another note, a stranger as requester, no note, two tickets, a removal: rejected, nothing written."""
    front.do(Op.UPSERT, {"call-c1": CALL})
    front.person("Bob", external_id="c2")
    front.twin.bodies.clear()
    asked: list[tuple[Op, str, Fields, str]] = [
        (Op.UPSERT, "call-c1", {**CALL, "body": "Other words"}, "body: is as it was"),
        (Op.UPSERT, "call-c1", {**CALL, "requester": "c2"}, "requester: is as it was"),
        (Op.UPSERT, "call-c9", {**CALL, "requester": "c9"}, "requester: no user has this external id"),
        (Op.UPSERT, "call-c2", {"subject": "Call Bob"}, "body: a new ticket needs one"),
        (Op.CLEAR, "call-c1", {"subject": None}, "neither empties nor deletes"),
    ]
    for op, key, fields, why in asked:
        told = front.do(op, {key: fields})[key]
        assert (told.outcome, why in (told.reason or "")) == (Outcome.REJECTED, True), why
    assert front.do(Op.CLEAR, {"call-c9": {"subject": None}})["call-c9"].outcome is Outcome.ACCEPTED
    assert front.twin.bodies == []
    front.twin.tickets[2] = (front.account, dict(front.twin.tickets[1][1]))
    assert front.do(Op.UPSERT, {"call-c1": CALL})["call-c1"].reason == "external_id: 2 tickets have it"
    assert front.destination.read(front.api, ["call-c1"], CALL) == {}


def test_a_closed_ticket_says_so(front: Front) -> None:
    """Zendesk changes no closed ticket; its own words are the reason."""
    front.do(Op.UPSERT, {"call-c1": CALL})
    front.twin.tickets[1][1]["status"] = "closed"
    with pytest.raises(BatchRejected, match="closed prevents ticket update"):
        front.do(Op.UPSERT, {"call-c1": {**CALL, "subject": "Call Ada now"}})


def test_keys_that_would_find_other_tickets(front: Front) -> None:
    """A key with a comma would be looked for as two: neither ticket is touched, and none is made of it."""
    front.do(Op.UPSERT, dict.fromkeys(("call-1", "call-2"), CALL))
    told = front.do(Op.UPSERT, {"call-1,call-2": {**CALL, "subject": "Call both"}})["call-1,call-2"]
    assert (told.outcome, "comma" in str(told.reason)) == (Outcome.REJECTED, True)
    assert {ticket["subject"] for ticket in tickets(front)} == {"Call Ada"}
    assert len(tickets(front)) == 2


def test_a_ticket_for_nobody_in_particular(front: Front) -> None:
    """Without a requester it is the caller's own, and without a user of ours it reads as nobody's."""
    front.do(Op.UPSERT, {"call-x": {"subject": "Look at the list", "body": "Top ten"}})
    front.do(Op.UPSERT, {"call-x": {"subject": "Look at the list", "priority": None}})
    assert front.destination.read(front.api, ["call-x"], ["requester", "due_at"]) == {
        "call-x": {"requester": None, "due_at": None}
    }
    assert len(tickets(front)) == 1


def test_fields_a_ticket_does_not_have(front: Front) -> None:
    """What cannot be mapped is a line each, before the first call."""
    mapped = {"subject": FieldType.TEXT, "status": FieldType.TEXT, "due_at": FieldType.DATE}
    report = front.destination.ensure_fields(front.api, mapped, create=True)
    assert [line.partition(":")[0] for line in report.problems] == ["status", "due_at"]
    assert front.destination.limits(Op.UPSERT, 500).rows == 1


CALL_LIST = [
    {"template": "Call customer {customer_id}", "to": "subject"},
    {"template": "{orders} orders, {segment}", "to": "body", "create_only": True},
    {"from": "customer_id", "to": "requester"},
]


@pytest.fixture
def calls(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A sync that keeps a call list of three known customers."""
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)
    account = sandbox.twin("zendesk").accounts[0]
    for n in (1, 2, 3):
        account.create({"name": f"n{n}", "external_id": f"c{n}"}, 0.0)
    destination = {**ZENDESK.settings, "object": "tickets", "ticket_tags": ["octo_calls"]}
    key = {"from": "email", "to": "external_id"}
    return world(tmp_path, sandbox, ZENDESK, destination=destination, key=key, fields=CALL_LIST, verify=1.0)


@pytest.mark.parametrize("kind", ["drop_after", "drop_before", "error_after", "throttle", "expire"])
def test_a_call_list_is_kept_through_every_fault(calls: World, kind: str) -> None:
    """Delivered twice with a call gone wrong in each place: three tickets, every one held as asked."""
    for after in range(6):
        calls.sandbox.fault("zendesk", kind, after=after)
        calls.have([row(n) for n in (1, 2, 3)]).deliver()
        calls.sandbox.vendors["zendesk"].faults.clear()
    report = calls.deliver()
    held = calls.sandbox.twin("zendesk").holdings()["tickets"]
    assert (report.exit_code, calls.plan().changes) == (0, 0)
    assert sorted(ticket["external_id"] for ticket in held) == [f"customer{n}@example.com" for n in (1, 2, 3)]
    assert {ticket["description"] for ticket in held} == {"1 orders, new", "2 orders, lost", "3 orders, best"}


def test_a_changed_figure_leaves_the_note_alone(calls: World) -> None:
    """With `create_only` on the note, a new figure is no change; nothing is rejected, nothing is written."""
    calls.have([row(1)]).deliver()
    report = calls.have([row(1, orders=50)]).deliver(allow=True)
    assert (report.planned, report.exit_code) == (0, 0)


def test_an_archived_ticket_is_not_made_again(calls: World) -> None:
    """Out of every list after 120 days, a ticket is neither called gone nor doubled when its row changes."""
    calls.have([row(1), row(2)]).deliver()
    twin = calls.sandbox.twin("zendesk")
    twin.archived = {*twin.tickets}
    with pytest.raises(Fatal, match="nothing to compare"):
        verify_only(calls.sync, calls.project, 1.0, calls.around)
    assert (calls.deliver().planned, calls.deliver().exit_code) == (0, 0)
    calls.say(fields=[{"template": "Call {segment} customer", "to": "subject"}, *CALL_LIST[1:]])
    report = calls.have([row(1), row(2), row(3)]).deliver(allow=True)
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (1, 2, 4)
    assert sorted(ticket["external_id"] for ticket in twin.holdings()["tickets"]) == [
        f"customer{n}@example.com" for n in (1, 2, 3)
    ]


def test_a_call_list_is_no_mirror(calls: World) -> None:
    """No ticket is taken back, so a file that says so is refused before anything runs."""
    with pytest.raises(ConfigError, match="mode: zendesk cannot mirror"):
        calls.say(mode="mirror").deliver()
