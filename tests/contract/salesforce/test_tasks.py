"""A call list as tasks: made once, worked on by people, and never reopened by a delivery."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.sandbox.server import Sandbox
from octo_dagster.model import Change, Fields, FieldType, Op, Outcome, Removal
from tests.contract.salesforce.front import Front
from tests.contract.sitting import build
from tests.vendors.salesforce import SALESFORCE
from tests.world import World, row, world

SETTINGS = {"object": "Task"}
TYPES = {
    "Subject": FieldType.TEXT,
    "Description": FieldType.TEXT,
    "WhoId": FieldType.TEXT,
    "ActivityDate": FieldType.DATE,
}
CALL: Fields = {"Subject": "Call Ada", "WhoId": "c1", "ActivityDate": "2026-11-30"}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(sandbox: Sandbox) -> Iterator[Front]:
    """An org that knows Ada, and a destination of tasks."""
    with closing(Front(sandbox, SETTINGS, TYPES)) as made:
        made.people("c1")
        yield made


def tasks(front: Front) -> dict[str, dict[str, Any]]:
    return {one["Octo_Id__c"]: one for one in front.rows("Task")}


def work(front: Front, key: str, **values: Any) -> None:
    """What a person does with a task."""
    front.org.update("Task", tasks(front)[key]["Id"], values)


def test_a_task_is_made_once(front: Front) -> None:
    """However often it is delivered there is one task, for that person, open and due on that day."""
    first, again = (front.do(Op.UPSERT, {"call-1": CALL})["call-1"] for _ in range(2))
    assert [(one.outcome, one.created) for one in (first, again)] == [
        (Outcome.ACCEPTED, True),
        (Outcome.ACCEPTED, False),
    ]
    (task,) = front.rows("Task")
    (ada,) = front.rows("Contact")
    assert (task["WhoId"], task["Status"], task["Priority"]) == (ada["Id"], "Not Started", "Normal")
    assert front.destination.read(front.api, ["call-1", "call-2"], list(CALL)) == {"call-1": CALL}


def test_two_hundred_tasks_are_one_call(front: Front) -> None:
    """The tasks go in one call, after a look for the people; a change that names nobody needs no look."""
    calls = {f"call-{n}": {**CALL, "Subject": f"Call {n}"} for n in range(200)}
    before = front.calls()
    front.do(Op.UPSERT, calls)
    assert front.asked(before) == ["GET query", "PATCH composite/sobjects/Task/Octo_Id__c"]
    before = front.calls()
    front.do(Op.UPSERT, {"call-1": {"Subject": "Call now"}}, known=True)
    assert front.asked(before) == ["PATCH composite/sobjects/Task/Octo_Id__c"]


def test_a_task_that_people_deleted_comes_back_whole(front: Front) -> None:
    """A change of its subject makes it anew with who is to be called and the status of new tasks."""
    front.settings = {**SETTINGS, "status": "Waiting on someone else"}
    front.open().sitting.carry_out(Op.UPSERT, Change("call-1", CALL))
    front.org.delete("Task", tasks(front)["call-1"]["Id"])
    change = Change("call-1", {"Subject": "Call now"}, known=True)
    told = front.sitting.carry_out(Op.UPSERT, change)["call-1"]
    assert told.outcome is Outcome.ACCEPTED
    (task,) = front.rows("Task")
    (ada,) = front.rows("Contact")
    assert (task["Subject"], task["WhoId"], task["Status"]) == (
        "Call now",
        ada["Id"],
        "Waiting on someone else",
    )


@pytest.mark.parametrize("known", [True, False])
def test_what_is_completed_stays_completed(front: Front, known: bool) -> None:
    """A later delivery changes what is mapped and no status, even when the ledger was lost."""
    front.settings = {**SETTINGS, "status": "Waiting on someone else"}
    front.open().do(Op.UPSERT, {"call-1": CALL})
    assert tasks(front)["call-1"]["Status"] == "Waiting on someone else"
    work(front, "call-1", Status="Completed")
    front.do(Op.UPSERT, {"call-1": {**CALL, "Subject": "Call Ada today"}}, known=known)
    task = tasks(front)["call-1"]
    assert (task["Status"], task["IsClosed"], task["Subject"]) == ("Completed", True, "Call Ada today")


def test_who_leaves_the_list_loses_the_task_nobody_took_up(front: Front) -> None:
    """A task as Octo made it goes; one that is worked on, done, or not Octo's stays."""
    calls = {f"call-{n}": CALL for n in range(1, 4)}
    front.do(Op.UPSERT, calls)
    work(front, "call-2", Status="In Progress")
    work(front, "call-3", Status="Completed")
    front.org.insert("Task", {"Subject": "By hand", "Octo_Id__c": "call-4"})
    told = front.do(Op.LEAVE, {f"call-{n}": {} for n in range(1, 6)})
    assert {one.outcome for one in told.values()} == {Outcome.ACCEPTED}
    assert set(tasks(front)) == {"call-2", "call-3", "call-4"}
    front.settings = {**SETTINGS, "status": "Deferred"}
    front.open().do(Op.UPSERT, {"call-5": CALL})
    front.do(Op.LEAVE, {"call-5": {}})
    assert "call-5" not in tasks(front)
    assert front.removals == frozenset({Removal.LEAVE})


def test_a_key_of_two_tasks(front: Front) -> None:
    """Activities cannot be unique: a change is refused by Salesforce, and both of Octo's go."""
    front.do(Op.UPSERT, {"call-1": CALL})
    front.org.tables["Task"][front.org.new_id("00T")] = second = {**front.rows("Task")[0]}
    (second["Id"],) = [id_ for id_, found in front.org.tables["Task"].items() if found is second]
    front.org.indexes.clear()
    told = front.do(Op.UPSERT, {"call-1": CALL})["call-1"]
    assert (told.outcome, (told.reason or "")[:21]) == (Outcome.REJECTED, "DUPLICATE_EXTERNAL_ID")
    assert front.do(Op.LEAVE, {"call-1": {}})["call-1"].outcome is Outcome.ACCEPTED
    assert front.rows("Task") == []


def test_who_is_not_there_is_told_of(front: Front) -> None:
    """A task for a customer without a contact is rejected with the reason; one for nobody is made."""
    told = front.do(
        Op.UPSERT, {"call-1": CALL, "call-9": {**CALL, "WhoId": "c9"}, "call-0": {"Subject": "x"}}
    )
    reason = "UNKNOWN_PERSON: no Contact has this Octo_Id__c; sync the Contact first (WhoId)"
    assert (told["call-9"].outcome, told["call-9"].reason) == (Outcome.REJECTED, reason)
    assert set(tasks(front)) == {"call-1", "call-0"}
    assert front.destination.read(front.api, ["call-0"], ["WhoId"]) == {"call-0": {"WhoId": None}}


def test_leads_are_called_too(front: Front) -> None:
    """With `people: Lead` the task is a lead's."""
    (lead,) = front.people("l1", kind="Lead")
    front.settings = {**SETTINGS, "people": "Lead"}
    front.open().do(Op.UPSERT, {"call-1": {**CALL, "WhoId": "l1"}})
    assert tasks(front)["call-1"]["WhoId"] == lead
    assert front.destination.read(front.api, ["call-1"], ["WhoId"]) == {"call-1": {"WhoId": "l1"}}


def test_its_fields_are_made_on_activities(front: Front) -> None:
    """The key is an External ID, not unique; both it and a column are visible on tasks afterwards."""
    front.types = {**TYPES, "Octo_Orders__c": FieldType.INTEGER}
    assert front.open().report.problems == ()
    assert front.report.created == ("Octo_Orders__c",)
    fields = front.org.fields["Task"]
    assert (fields["Octo_Id__c"].has("E"), fields["Octo_Id__c"].has("Q")) == (True, False)


def test_what_is_wrong_is_told_before_the_first_call(front: Front) -> None:
    """A status mapped or not there, and people without the key: a line each."""
    front.types = {**TYPES, "Status": FieldType.TEXT}
    front.settings = {**SETTINGS, "status": "Someday"}
    front.org.fields["Contact"].pop("Octo_Id__c")
    assert [line.partition(":")[0] for line in front.open().report.problems] == ["status", "Status", "WhoId"]
    with pytest.raises(ValidationError, match="`status` is for"):
        build(SALESFORCE, {"object": "Contact", "status": "Not Started"})


CALL_LIST = [
    {"template": "Call customer {customer_id}", "to": "Subject"},
    {"template": "{orders} orders, {segment}", "to": "Description", "create_only": True},
    {"from": "customer_id", "to": "WhoId", "create_only": True},
]


@pytest.fixture
def calls(front: Front, tmp_path: Path) -> World:
    """A sync that keeps a call list of three known customers."""
    front.people("c2", "c3")
    destination = {**SALESFORCE.settings, **SETTINGS, "status": "Not Started"}
    key = {"from": "email", "to": "Octo_Id__c"}
    said = {"destination": destination, "key": key, "fields": CALL_LIST, "mode": "mirror", "verify": 1.0}
    guards = {"max_removed": "100%", "max_changed": "100%"}
    return world(tmp_path, front.sandbox, SALESFORCE, **said, guards=guards)


@pytest.mark.parametrize("kind", ["drop_after", "expire"])
def test_a_call_list_is_kept_through_every_fault(calls: World, front: Front, kind: str) -> None:
    """Delivered with a call gone wrong in each place: three tasks, every one held as asked, one completed."""
    for after in (5, 6, 7):
        calls.sandbox.fault("salesforce", kind, after=after)
        calls.have([row(n) for n in (1, 2, 3)]).deliver()
        calls.sandbox.vendors["salesforce"].faults.clear()
    work(front, "customer1@example.com", Status="Completed")
    report = calls.have([row(n, orders=n + 50) for n in (1, 2, 3)]).deliver(allow=True)
    assert (report.exit_code, calls.plan().changes) == (0, 0)
    held = {
        one["Octo_Id__c"]: (one["Subject"], one["Description"], one["Status"]) for one in front.rows("Task")
    }
    assert held == {
        "customer1@example.com": ("Call customer c1", "1 orders, new", "Completed"),
        "customer2@example.com": ("Call customer c2", "2 orders, lost", "Not Started"),
        "customer3@example.com": ("Call customer c3", "3 orders, best", "Not Started"),
    }


def test_a_customer_comes_back_on_the_list(calls: World, front: Front) -> None:
    """Off the list the task goes; on it again there is a new one, open."""
    calls.have([row(1), row(2)]).deliver()
    calls.have([row(2)]).deliver(allow=True)
    assert set(tasks(front)) == {"customer2@example.com"}
    assert calls.have([row(1), row(2)]).deliver(allow=True).exit_code == 0
    assert tasks(front)["customer1@example.com"]["Status"] == "Not Started"
