"""Zendesk's jobs row by row, the way without bulk import, and what each refusal means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from octo_dagster.errors import BatchRejected, Fatal, Retryable, Unanswered
from octo_dagster.model import Fields, Op, Outcome
from tests.contract.zendesk.desk import ADA, BOB, Front

# jobs ----------------------------------------------------------------------------------------------


def test_a_jobs_rows_are_told_apart_by_place(front: Front) -> None:
    """A failed row's `id` is its position; the reason reaches its own key, and created ones are told."""
    front.person("Ada", external_id="c1")
    told = front.do(
        Op.UPSERT, {"c1": ADA, "c2": {"rfm": "nameless"}, "c3": BOB, "c4": {**BOB, "email": "badmail"}}
    )
    assert [told[key].created for key in ("c1", "c3")] == [False, True]
    assert told["c2"].reason == "UserUpdateError: Name: is too short (minimum is 1 characters)"
    assert told["c4"].reason == "UserUpdateError: Email: badmail is not properly formatted"
    assert set(front.account.keys) == {"c1", "c3"}


def test_rows_are_known_however_they_are_held(front: Front) -> None:
    """Asked for in another order, or with fewer rows, each key still gets what was said of it."""
    records: dict[str, Fields] = {"c1": ADA, "c2": {"rfm": "nameless"}, "c3": BOB, "c4": {**BOB, "name": ""}}
    batch = front.start(Op.UPSERT, records)
    for changes in (batch.changes[::-1], batch.changes[1:3]):
        answer = front.destination.settle(front.api, replace(batch, changes=changes))
        assert answer is not None
        told = {receipt.key: receipt.outcome is Outcome.ACCEPTED for receipt in answer.receipts}
        assert told == {change.key: change.key in ("c1", "c3") for change in changes}


def test_a_look_that_fails_takes_nothing_back(front: Front) -> None:
    """A user written alone whose address cannot be looked at has a token, not an error: it was sent."""
    batch = front.start(Op.UPSERT, {"c1": {**ADA, "email": "ada@example.com"}})
    assert batch.token is not None
    front.sandbox.fault("zendesk", "throttle", path="show_many")
    with pytest.raises(Retryable):
        front.destination.settle(front.api, batch)
    answer = front.destination.settle(front.api, batch)
    assert answer is not None
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.ACCEPTED]


def test_a_short_answer_decides_nothing(front: Front) -> None:
    """When a job tells of fewer rows than were asked, none is believed: read back."""
    batch = front.start(Op.UPSERT, {"c1": ADA, "c2": BOB, "c3": BOB})
    front.twin.work()
    for job in front.twin.jobs.values():
        job.results.pop()
    assert front.destination.settle(front.api, batch) is None


def test_a_row_nobody_understands_is_unknown(front: Front) -> None:
    """A row that is neither Created, Updated nor Failed is left to reading back."""
    batch = front.start(Op.UPSERT, {"c1": ADA, "c2": BOB})
    front.twin.work()
    for job in front.twin.jobs.values():
        job.results[0] = {"id": 7, "status": "Deferred"}
    answer = front.destination.settle(front.api, batch)
    assert answer is not None
    assert [receipt.outcome for receipt in answer.receipts] == [Outcome.UNKNOWN, Outcome.ACCEPTED]


def test_a_running_job_keeps_its_token(front: Front) -> None:
    """While the job runs one look is one call and nothing is decided."""
    front.twin.job_looks = 2
    batch = front.start(Op.UPSERT, {"c1": ADA, "c2": BOB})
    front.calls.clear()
    answer = front.destination.settle(front.api, batch)
    assert answer is not None
    assert (answer.token, answer.receipts, len(front.calls)) == (batch.token, (), 1)


def test_a_failed_and_a_forgotten_job_are_read_back(front: Front) -> None:
    """A failed job may have done half its rows; one older than a day is known no longer."""
    front.sandbox.fault("zendesk", "half_job")
    batch = front.start(Op.UPSERT, {"c1": ADA, "c2": BOB})
    assert front.destination.settle(front.api, batch) is None
    assert front.destination.read(front.api, batch.keys, ["rfm"]) == {"c1": {"rfm": "champion"}}
    for front.twin.strict_looks in (False, True):
        assert front.destination.settle(front.api, replace(batch, token="0815/0,1")) is None


def test_too_many_jobs_may_go_again(front: Front) -> None:
    """At thirty unfinished jobs nothing is started, and the call may go again later."""
    front.twin.job_seconds = 1e9
    for n in range(30):
        front.start(Op.UPSERT, {f"c{n}": ADA, f"d{n}": BOB})
    with pytest.raises(Retryable, match="TooManyJobs") as refused:
        front.start(Op.UPSERT, {"c1": ADA, "d1": BOB})
    assert refused.value.wait is not None
    assert len(front.twin.jobs) == 30


# bulk import off, and other refusals ---------------------------------------------------------------


def test_without_bulk_import_many_are_refused_once(front: Front) -> None:
    """The first job is asked for and refused; from then on no call is spent on it, and one alone goes."""
    front.twin.bulk_import = False
    with pytest.raises(BatchRejected, match="bulk import is off"):
        front.do(Op.UPSERT, {"c1": ADA, "c2": BOB})
    front.calls.clear()
    with pytest.raises(BatchRejected):
        front.do(Op.UPSERT, {"c1": ADA, "c2": BOB})
    assert front.calls == []
    assert front.do(Op.UPSERT, {"c1": ADA})["c1"].outcome is Outcome.ACCEPTED
    assert front.asked() == ["POST /api/v2/users/create_or_update.json"]


def test_one_user_too_often_may_go_again(front: Front) -> None:
    """The sixth change of one user within a minute is asked to wait as long as Zendesk says."""
    front.twin.updates_a_minute = 5
    for n in range(6):
        front.do(Op.UPSERT, {"c1": {**ADA, "rfm": str(n)}})
    with pytest.raises(Retryable, match="single unique user") as refused:
        front.do(Op.UPSERT, {"c1": {**ADA, "rfm": "6"}})
    assert 55 <= (refused.value.wait or 0) <= 60
    assert front.user("c1").values["rfm"] == "5"


@pytest.mark.parametrize(
    ("status", "error"), [(403, Fatal), (404, BatchRejected), (409, Retryable), (422, BatchRejected)]
)
def test_refusals_by_what_to_do_next(front: Front, status: int, error: type[Exception]) -> None:
    """No permission needs a person, a conflict may go again, and what is wrong with a row is the row's."""
    front.sandbox.fault("zendesk", "error_before", path="create_or_update", status=status)
    with pytest.raises(error):
        front.do(Op.UPSERT, {"c1": ADA})


def test_success_without_json_is_no_answer(front: Front) -> None:
    """A proxy's page in place of a reply says nothing of what was done."""
    front.sandbox.fault("zendesk", "error_after", path="create_or_update", status=200)
    with pytest.raises(Unanswered):
        front.do(Op.UPSERT, {"c1": ADA})
    assert front.user("c1").values["rfm"] == "champion"


def test_who_is_gone_alone_is_as_good_as_cleared(front: Front) -> None:
    """One user deleted between the look and the write: Zendesk's 404 is no trouble, and nobody is made."""
    front.person("Ada", external_id="c1")
    front.sandbox.fault("zendesk", "error_before", method="PUT", path="users/", status=404)
    assert front.do(Op.CLEAR, {"c1": {"rfm": None}})["c1"].outcome is Outcome.ACCEPTED
    assert len(front.account.users) == 1


def test_the_pace_is_the_accounts(front: Front) -> None:
    """The quota depends on the plan, so it is said in the file; unsaid, it is the smallest plan's."""
    said = front.destination.model_copy(update={"calls_a_minute": 700})
    assert [(one.calls, one.seconds) for one in (*front.destination.rates, *said.rates)] == [
        (200, 60),
        (700, 60),
    ]


def test_a_key_that_is_not_the_external_id_is_refused(front: Front) -> None:
    """A sync's file that names another key is told so before anything runs."""
    assert front.destination.key_problem("email") == "must be external_id"
    assert front.destination.key_problem("external_id") is None
