"""Salesforce's bulk jobs: what they write, what they tell, and every place at which they can break off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from connectors.destinations.salesforce.bulk import failed
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Expired, Retryable, Unanswered
from octo_dagster.model import Batch, Change, Op, Outcome
from tests.contract.sitting import Sitting
from tests.vendors.salesforce import SALESFORCE


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SALESFORCE.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def twin(sandbox: Sandbox) -> Any:
    made = sandbox.twin("salesforce")
    made.job_seconds = 0.0
    made.add_key("Customer__c", "Octo_Id__c")
    made.add_key("Contact", "Octo_Id__c")
    return made


@pytest.fixture
def jobs(sandbox: Sandbox, twin: Any) -> Iterator[Sitting]:
    """Signed in, and sending even one record by a bulk job."""
    made = Sitting(SALESFORCE, sandbox.address, {"bulk_from": 1})
    with closing(made.http):
        yield made.ready()


def opened(sitting: Sitting, changes: list[Change]) -> Batch:
    """A batch whose job is open."""
    batch = sitting.batch(Op.UPSERT, changes)
    return replace(batch, token=sitting.destination.open(sitting.api, batch))


def outcomes(sitting: Sitting, batch: Batch) -> dict[str, Outcome]:
    told = sitting.destination.settle(sitting.api, batch)
    assert told is not None
    return {receipt.key: receipt.outcome for receipt in told.receipts}


def changes(sitting: Sitting, count: int) -> list[Change]:
    return [Change(key, fields) for key, fields in sitting.records(count).items()]


def test_a_job_writes_every_type_as_sent(jobs: Sitting) -> None:
    """What goes by CSV is read back as it was sent: any script, quotes, commas, lists, dates, numbers."""
    records = jobs.records(6)
    records[SALESFORCE.key(1)]["Octo_Text__c"] = 'two\nlines, "quoted"\r\nthree'
    records[SALESFORCE.key(2)]["Octo_Text__c"] = "first\rsecond"
    jobs.upsert(records)
    assert jobs.read(*records) == records


def test_results_are_read_as_utf_8(jobs: Sitting) -> None:
    """Keys outside ASCII are known again in the result files, whatever charset the reply's headers imply."""
    rows = [Change("zoë@example.com", SALESFORCE.record(1)), Change("שלום", SALESFORCE.poison)]
    told = jobs.carry_out(Op.UPSERT, *rows)
    assert [told[row.key].outcome for row in rows] == [Outcome.ACCEPTED, Outcome.REJECTED]


def test_rows_of_a_job_may_have_different_fields(jobs: Sitting) -> None:
    """A field that a row does not have is left alone, although another row of the job has it."""
    a, b = SALESFORCE.key(1), SALESFORCE.key(2)
    jobs.upsert(jobs.records(2))
    jobs.upsert({a: {"Octo_Integer__c": 9}, b: {"Octo_Text__c": None, "Octo_List__c": []}})
    held = jobs.read(a, b)
    assert held[a] == {**SALESFORCE.record(1), "Octo_Integer__c": 9}
    assert held[b] == {**SALESFORCE.record(2), "Octo_Text__c": None, "Octo_List__c": None}


def test_a_job_clears_every_type(jobs: Sitting) -> None:
    """None empties a field by CSV too; a checkbox becomes false."""
    key = SALESFORCE.key(1)
    jobs.upsert(jobs.records(1))
    jobs.upsert({key: dict.fromkeys(SALESFORCE.types)})
    assert jobs.read(key) == {key: jobs.cleared()}


def test_a_job_makes_what_people_deleted_whole_again(jobs: Sitting, twin: Any) -> None:
    """A record that a job made anew of the one field that changed has the others, too."""
    (one,) = changes(jobs, 1)
    jobs.carry_out(Op.UPSERT, one)
    before = jobs.read(one.key)
    name = jobs.destination.model_dump()["object"]
    (made,) = twin.holdings()[name]
    twin.orgs[0].delete(name, made["Id"])
    field = next(field for field in one.fields if field != SALESFORCE.key_field)
    told = jobs.carry_out(Op.UPSERT, Change(one.key, {field: one.fields[field]}, known=True))
    assert told[one.key].outcome is Outcome.ACCEPTED
    assert jobs.read(one.key) == before


def test_a_job_tells_bad_rows_apart(jobs: Sitting) -> None:
    """A refused row of a job has its reason, and whether a row was created is told."""
    rows = changes(jobs, 5)
    jobs.carry_out(Op.UPSERT, rows[0])
    rows[3] = Change(rows[3].key, {**rows[3].fields, **SALESFORCE.poison})
    told = jobs.carry_out(Op.UPSERT, *rows)
    assert [told[row.key].created for row in rows] == [False, True, True, None, True]
    refused = told[rows[3].key]
    assert refused.outcome is Outcome.REJECTED
    assert (refused.reason or "").startswith("STRING_TOO_LONG: Octo Text: data value too large")
    assert (refused.reason or "").endswith("(Octo_Text__c)")


def test_a_job_takes_its_time(jobs: Sitting, twin: Any) -> None:
    """Until the job is over settle keeps its token and decides nothing."""
    twin.job_looks = 2
    batch = opened(jobs, changes(jobs, 3))
    token = jobs.destination.send(jobs.api, batch).token
    first = jobs.destination.settle(jobs.api, batch)
    assert first is not None
    assert (token, first.token, first.receipts) == (batch.token, batch.token, ())
    jobs.destination.settle(jobs.api, batch)
    assert set(outcomes(jobs, batch).values()) == {Outcome.ACCEPTED}


def test_a_job_never_filled_sent_nothing(jobs: Sitting, twin: Any) -> None:
    """After a crash between opening and uploading the job is aborted and all its rows are unsent."""
    batch = opened(jobs, changes(jobs, 3))
    assert set(outcomes(jobs, batch).values()) == {Outcome.UNSENT}
    assert twin.jobs[batch.token][1].state == "Aborted"
    assert jobs.read(*batch.keys) == {}


def test_a_job_that_failed_half_way_is_told_row_by_row(jobs: Sitting, twin: Any) -> None:
    """Rows a failed job had written are accepted, those it did not reach are unsent."""
    twin.armed["half_job"] = 1
    told = jobs.carry_out(Op.UPSERT, *changes(jobs, 10))
    written = {key for key, receipt in told.items() if receipt.outcome is Outcome.ACCEPTED}
    assert len(written) == 5
    assert {told[key].outcome for key in told.keys() - written} == {Outcome.UNSENT}
    assert set(jobs.read(*told)) == written


def test_rows_missing_from_the_results_are_unknown(jobs: Sitting, twin: Any) -> None:
    """A row in none of the three files is unknown, never accepted."""
    batch = opened(jobs, changes(jobs, 3))
    jobs.destination.send(jobs.api, batch)
    jobs.destination.settle(jobs.api, batch)
    job = twin.jobs[batch.token][1]
    job.done = [row for row in job.done if row[1][0] != batch.keys[1]]
    expected = [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.ACCEPTED]
    assert outcomes(jobs, batch) == dict(zip(batch.keys, expected, strict=True))


STEPS = {"upload": ("PUT", "batches"), "start": ("PATCH", "jobs/ingest")}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("error_before", 500),
        ("error_after", 500),
        ("error_after", 503),
        ("drop_before", 0),
        ("drop_after", 0),
    ],
)
def test_a_job_broken_off_is_never_done_twice_or_lost(
    jobs: Sitting, sandbox: Sandbox, twin: Any, step: str, kind: str, status: int
) -> None:
    """Wherever the upload breaks off, a look at the job says whether its rows are written or unsent."""
    method, path = STEPS[step]
    batch = opened(jobs, changes(jobs, 3))
    sandbox.fault("salesforce", kind, method=method, path=path, status=status or 500)
    again = step == "upload" and status == 503
    with pytest.raises(Retryable if again else Unanswered):
        jobs.destination.send(jobs.api, batch)
    if again:
        with pytest.raises(Unanswered):  # it had been stored after all: the job takes no second upload
            jobs.destination.send(jobs.api, batch)
    started = step == "start" and kind.endswith("after")
    expected = Outcome.ACCEPTED if started else Outcome.UNSENT
    assert set(outcomes(jobs, batch).values()) == {expected}
    assert set(jobs.read(*batch.keys)) == (set(batch.keys) if started else set())


def test_a_session_that_ends_before_the_upload_is_renewed(jobs: Sitting, twin: Any) -> None:
    """The job outlives the session it was opened in."""
    batch = opened(jobs, changes(jobs, 3))
    twin.expire()
    with pytest.raises(Expired):
        jobs.destination.send(jobs.api, batch)
    jobs.sign_in()
    jobs.destination.send(jobs.api, batch)
    assert set(outcomes(jobs, batch).values()) == {Outcome.ACCEPTED}


def test_a_forgotten_job_is_nothing(jobs: Sitting, twin: Any) -> None:
    """A job Salesforce no longer knows settles as None."""
    batch = opened(jobs, changes(jobs, 1))
    twin.jobs.clear()
    assert jobs.destination.settle(jobs.api, batch) is None


def test_a_job_of_unknown_columns_writes_nothing(jobs: Sitting) -> None:
    """A column that is not there fails the job before its first row: unsent, with the job's own reason."""
    batch = opened(jobs, [Change("k1", {"Gone__c": "x"})])
    jobs.destination.send(jobs.api, batch)
    told = jobs.destination.settle(jobs.api, batch)
    assert told is not None
    [receipt] = told.receipts
    assert (receipt.outcome, receipt.reason) == (
        Outcome.UNSENT,
        "InvalidBatch : Field name not found : Gone__c",
    )


def test_what_csv_cannot_say_is_rejected(jobs: Sitting) -> None:
    """Text that means *empty* in CSV, and list items with the separator in them, are refused, not changed."""
    rows = [Change("k1", {"Octo_Text__c": "#N/A"}), Change("k2", {"Octo_List__c": ["a;b"]})]
    told = jobs.carry_out(Op.UPSERT, *rows, Change("k3", {"Octo_Text__c": "fine"}))
    assert [told[key].outcome for key in ("k1", "k2", "k3")] == [
        Outcome.REJECTED,
        Outcome.REJECTED,
        Outcome.ACCEPTED,
    ]
    assert jobs.carry_out(Op.UPSERT, *rows).keys() == {"k1", "k2"}
    assert jobs.read("k1", "k2") == {}


def test_locked_rows_go_again(jobs: Sitting, twin: Any) -> None:
    """A row that somebody else was writing is unsent rather than rejected."""
    twin.orgs[0].locked_rows = 1
    told = jobs.carry_out(Op.UPSERT, *changes(jobs, 2))
    assert sorted(receipt.outcome for receipt in told.values()) == [Outcome.ACCEPTED, Outcome.UNSENT]


def test_large_plans_go_by_jobs_and_their_rest_too(sandbox: Sandbox, twin: Any) -> None:
    """From `bulk_from` on a plan is cut for jobs; what is left over and too many for one call is a job too."""
    destination = Sitting(SALESFORCE, sandbox.address).destination
    assert destination.limits(Op.UPSERT, 1_999).rows == 200
    assert destination.limits(Op.UPSERT, 2_000).rows == 100_000
    assert destination.limits(Op.CLEAR, 1_000_000).rows == 200
    sitting = Sitting(SALESFORCE, sandbox.address).ready()
    with closing(sitting.http):
        assert opened(sitting, changes(sitting, 200)).token is None
        assert opened(sitting, changes(sitting, 201)).token is not None


def test_allowing_duplicates_is_said_on_every_write_and_never_by_jobs(sandbox: Sandbox, twin: Any) -> None:
    """A bulk job cannot say that duplicates are wanted, so such a sync uses none."""
    sitting = Sitting(SALESFORCE, sandbox.address, {"allow_duplicates": True, "bulk_from": 1}).ready()
    with closing(sitting.http):
        assert sitting.destination.limits(Op.UPSERT, 50_000).rows == 200
        assert opened(sitting, changes(sitting, 3)).token is None
        assert sitting.api.headers == {"Sforce-Duplicate-Rule-Header": "allowSave=true"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("REQUIRED_FIELD_MISSING:Required fields are missing: [LastName]:LastName --",
         "REQUIRED_FIELD_MISSING: Required fields are missing: [LastName] (LastName)"),
        ("DUPLICATE_VALUE:duplicate value found: X duplicates value: --",
         "DUPLICATE_VALUE: duplicate value found: X duplicates value"),
        ("SOMETHING", "SOMETHING:"),
    ],
)  # fmt: skip
def test_errors_of_jobs_read_like_those_of_calls(error: str, reason: str) -> None:
    """`CODE:message:fields --` becomes `CODE: message (fields)`."""
    assert (failed("k", error).reason or "").strip() == reason
