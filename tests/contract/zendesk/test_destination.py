"""What Zendesk's destination promises beyond the common exam: people left alone, jobs told apart, few calls."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.errors import BatchRejected, Fatal, Retryable, Unanswered
from octo_dagster.model import Fields, FieldType, Op, Outcome
from tests.contract.zendesk.desk import TYPES, Front
from tests.vendors.zendesk import ZENDESK

ADA: Fields = {"name": "Ada", "rfm": "champion"}
BOB: Fields = {"name": "Bob", "rfm": "lost"}
ROOT = Path(__file__).parents[3]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ZENDESK.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def front(sandbox: Sandbox, credentials: None) -> Iterator[Front]:
    """A new account with the mapped fields made."""
    with closing(Front(sandbox)) as made:
        yield made.ready()


# what must be impossible ---------------------------------------------------------------------------

FORBIDDEN = {"tags", "suspended", "verified", "role", "active", "password", "identities", "organization_id"}


@pytest.mark.parametrize("op", [Op.UPSERT, Op.CLEAR])
@pytest.mark.parametrize("many", [True, False])
def test_people_stay_as_they_are(front: Front, op: Op, many: bool) -> None:
    """Tags, suspension and role outlive every operation, nobody is deleted, and no request can speak of it."""
    ada = front.person("Ada", external_id="c1", tags=["vip", "said_no"], suspended=True, role="agent")
    bob = front.person("Bob", external_id="c2", tags=["wholesale"])
    records: dict[str, Fields] = {"c1": {"rfm": "a", "best": True}, "c2": {"rfm": None, "best": False}}
    front.do(op, records if many else {"c1": records["c1"]})
    assert (ada.tags, bob.tags) == (["vip", "said_no"], ["wholesale"])
    assert (ada.plain["suspended"], ada.plain["role"], ada.active, bob.active) == (True, "agent", True, True)
    assert front.said("/users") & FORBIDDEN == set()
    assert [call for call in front.asked() if call.startswith("DELETE")] == []


def test_deleting_is_not_offered(front: Front) -> None:
    """A sync may not even say `on_remove: delete`, and a batch that does is never carried out as one."""
    assert front.destination.removals == {"clear"}
    front.person("Ada", external_id="c1")
    front.do(Op.UPSERT, {"c2": BOB})
    assert {user.active for user in front.account.users.values()} == {True}


def test_a_new_user_gets_no_mail(front: Front) -> None:
    """Zendesk asks a new user to verify the address unless told not to; nobody is asked."""
    front.do(Op.UPSERT, {"c1": {**ADA, "email": "ada@example.com"}})
    front.do(
        Op.UPSERT,
        {"c2": {**BOB, "email": "bob@example.com"}, "c3": {"name": "Eve", "email": "eve@example.com"}},
    )
    assert front.account.mailed == []
    assert len(front.account.users) == 3


def test_a_segments_tag_comes_and_goes_alone(sandbox: Sandbox, credentials: None) -> None:
    """With `tag_people` the checkbox's own tag is put on and taken off; the others stay where they are."""
    with closing(Front(sandbox, tag_people=True)) as front:
        front.ready()
        ada = front.person("Ada", external_id="c1", tags=["vip"])
        front.do(Op.UPSERT, {"c1": {"best": True}, "c2": {**BOB, "best": True}})
        assert (ada.tags, front.user("c2").tags) == (["vip", "best"], ["best"])
        front.do(Op.UPSERT, {"c1": {"best": False}})
        front.do(Op.CLEAR, {"c2": {"best": None}})
        assert (ada.tags, front.user("c2").tags) == (["vip"], [])


def test_a_checkbox_that_tags_nobody_is_told_of(sandbox: Sandbox, credentials: None) -> None:
    """A checkbox from before `tag_people` would put its tag on nobody: a problem, not a segment that stays empty."""
    with closing(Front(sandbox)) as plain:
        plain.ready()
    with closing(Front(sandbox, tag_people=True)) as front:
        (line,) = front.destination.ensure_fields(front.api, TYPES, create=True).problems
        assert line.startswith("best: has no tag, which `tag_people` needs")
        front.account.fields["best"].tag = "best"
        assert front.destination.ensure_fields(front.api, TYPES, create=True).problems == ()


THEIRS = ["tags", "role", "suspended", "verified", "organization_id", "identities", "password", "active"]


@pytest.mark.parametrize("name", THEIRS)
def test_what_is_zendesks_own_cannot_be_mapped(front: Front, name: str) -> None:
    """A property that decides over a person is a problem before the first call, and no field is made of it."""
    report = front.destination.ensure_fields(front.api, {name: FieldType.TEXT}, create=True)
    assert [line.partition(":")[0] for line in report.problems] == [name]
    assert (report.created, set(front.account.fields)) == ((), set(TYPES))


def test_zenpy_stays_in_one_file() -> None:
    """zenpy is GPLv3: no other file of the project imports it."""
    files = [path for top in ("octo_dagster", "connectors", "assets") for path in (ROOT / top).rglob("*.py")]
    using = [
        p.name for p in files if re.search(r"^\s*(from|import) zenpy", p.read_text("utf-8"), re.MULTILINE)
    ]
    assert using == ["desk.py"]


def test_nothing_personal_or_secret_is_logged(
    sandbox: Sandbox, credentials: None, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its most talkative, no customer, no secret and no token is written down."""
    caplog.set_level(logging.DEBUG)
    with closing(Front(sandbox)) as front:
        front.ready()
        front.do(Op.UPSERT, {"c1": {**ADA, "email": "ada@example.com"}, "c2": BOB})
        front.destination.read(front.api, ["c1"], ["email"])
        hidden = [*ZENDESK.env.values(), *front.twin.tokens, "ada@example.com", "champion"]
    assert caplog.records != []
    assert [word for word in hidden if word in caplog.text] == []


# users ---------------------------------------------------------------------------------------------


def test_a_user_known_by_address_is_adopted(front: Front) -> None:
    """Somebody who wrote to the helpdesk before is that same user afterwards, under the shop's id."""
    ada = front.person("Ada L.", email="ada@example.com")
    front.do(Op.UPSERT, {"c1": {"email": "Ada@Example.com", "rfm": "champion"}, "c2": BOB})
    assert (ada.external_id, ada.values["rfm"], ada.plain["name"]) == ("c1", "champion", "Ada L.")
    assert len(front.account.users) == 2


@pytest.mark.parametrize("many", [True, False])
def test_a_changed_address_becomes_the_first(front: Front, many: bool) -> None:
    """Zendesk only adds a new address beside the old one; it is put first, and the old one is kept."""
    ada = front.person("Ada", external_id="c1", email="old@example.com")
    records: dict[str, Fields] = {
        "c1": {"email": "New@example.com"},
        "c2": {**BOB, "email": "bob@example.com"},
    }
    told = front.do(Op.UPSERT, records if many else {"c1": records["c1"]})
    assert {receipt.outcome for receipt in told.values()} == {Outcome.ACCEPTED}
    assert ada.emails == ["New@example.com", "old@example.com"]
    front.calls.clear()
    front.do(Op.UPSERT, records)
    assert [call for call in front.asked() if "identities" in call] == []
    assert front.account.mailed == []


def test_a_user_who_keeps_another_id_is_not_believed(front: Front) -> None:
    """Should Zendesk update the user of an address and leave its external id, the row is rejected, told so."""
    front.account.adopts = False
    front.person("Ada", external_id="theirs", email="ada@example.com")
    told = front.do(Op.UPSERT, {"c1": {**ADA, "email": "ada@example.com"}, "c2": BOB})
    assert (told["c1"].outcome, told["c2"].outcome) == (Outcome.REJECTED, Outcome.ACCEPTED)
    assert told["c1"].reason == "external_id: the user of this address has another"


def test_an_address_that_cannot_be_first_is_rejected(front: Front) -> None:
    """What Zendesk refuses, or has not got at all, is that row's reason; its neighbours are done."""
    for key in ("c1", "c2"):
        front.person(key, external_id=key, email=f"{key}@example.com")
    records: dict[str, Fields] = {"c1": {"email": "new@example.com"}, "c2": {"rfm": "x"}}
    front.sandbox.fault("zendesk", "error_before", path="make_primary", status=422)
    told = front.do(Op.UPSERT, records)
    assert (told["c1"].outcome, told["c2"].outcome) == (Outcome.REJECTED, Outcome.ACCEPTED)
    assert told["c1"].reason == "email: Service unavailable"
    batch = front.start(Op.UPSERT, records)
    front.twin.work()
    front.user("c1").emails.remove("new@example.com")
    answer = front.destination.settle(front.api, batch)
    assert answer is not None
    assert [receipt.reason for receipt in answer.receipts] == ["email: Zendesk keeps another address", None]


def test_nobody_loses_name_or_address(front: Front) -> None:
    """An emptied name or address is refused before the call, alone; taking back leaves both."""
    front.do(Op.UPSERT, {"c1": {**ADA, "email": "ada@example.com"}})
    told = front.do(Op.UPSERT, {"c1": {"name": " ", "email": None, "rfm": "x"}, "c2": BOB})
    assert (told["c1"].outcome, told["c1"].reason) == (
        Outcome.REJECTED,
        "email, name: cannot be emptied in Zendesk",
    )
    assert told["c2"].outcome is Outcome.ACCEPTED
    front.do(Op.CLEAR, {"c1": {"name": None, "email": None, "rfm": None}})
    ada = front.user("c1")
    assert (ada.plain["name"], ada.email, ada.values["rfm"]) == ("Ada", "ada@example.com", None)


def test_taking_back_names_alone_is_no_call(front: Front) -> None:
    """Where nothing may be emptied nothing is written, and the removal is done."""
    front.do(Op.UPSERT, {"c1": ADA})
    front.calls.clear()
    told = front.do(Op.CLEAR, {"c1": {"name": None}})
    assert told["c1"].outcome is Outcome.ACCEPTED
    assert front.asked() == ["GET /api/v2/users/show_many.json"]


def test_who_went_away_meanwhile_is_taken_back(front: Front) -> None:
    """A user deleted by an agent between the look and the write, alone or in a job, is as good as cleared."""
    front.twin.job_seconds = 1e9
    for key in ("c1", "c2"):
        front.person(key, external_id=key)
    batch = front.start(Op.CLEAR, {"c1": {"rfm": None}, "c2": {"rfm": None}})
    front.account.delete(front.user("c1"))
    front.twin.job_seconds = 0.0
    for job in front.twin.jobs.values():
        job.due = 0.0
    front.destination.settle(front.api, batch)
    answer = front.destination.settle(front.api, batch)
    assert answer is not None
    assert {receipt.outcome for receipt in answer.receipts} == {Outcome.ACCEPTED}


def test_ids_with_commas_and_signs(front: Front) -> None:
    """Ids that an address would cut or change are read as they were written."""
    records = {key: {**ADA, "rfm": key} for key in ("a,b", "a b&c=d", "50% +1", "#é/?", "Zoë")}
    front.do(Op.UPSERT, records)
    held = front.destination.read(front.api, [*records, "a"], ["rfm", "external_id"])
    assert held == {key: {"rfm": key, "external_id": key} for key in records}


def test_a_thousand_users_are_read_in_ten_calls(front: Front) -> None:
    """A hundred ids in one call, and fewer when they are long."""
    front.destination.read(front.api, [f"customer-{n}" for n in range(1_000)], ["rfm"])
    assert len(front.calls) == 10
    front.calls.clear()
    front.destination.read(front.api, [f"{n:0250d}" for n in range(100)], ["rfm"])
    assert len(front.calls) == 5


# fields --------------------------------------------------------------------------------------------


def test_fields_that_cannot_hold_their_values_are_problems(front: Front) -> None:
    """Wrong type, bad key, a list, a deactivated one, one Zendesk refuses: a line each, and nothing made."""
    front.account.add_field({"key": "Score", "type": "dropdown", "title": "Score"})
    front.account.fields["best"].active = False
    mapped = {
        "rfm": FieldType.DECIMAL,
        "best": FieldType.BOOLEAN,
        "two words": FieldType.TEXT,
        "choices": FieldType.LIST,
        "phone": FieldType.INTEGER,
        "score": FieldType.TEXT,
        "Score": FieldType.TEXT,
        "spent": FieldType.INTEGER,
    }
    report = front.destination.ensure_fields(front.api, mapped, create=True)
    named = {line.partition(":")[0] for line in report.problems}
    assert named == {"rfm", "best", "two words", "choices", "phone", "score"}
    assert "taken" in " ".join(report.problems)  # Zendesk's own word on `score`
    assert (report.created, report.existing) == ((), ("Score", "spent"))


def test_fields_beyond_the_first_page_are_known(front: Front) -> None:
    """An account with more than a hundred user fields: the last is found, not made again."""
    for number in range(150):
        front.account.add_field({"key": f"theirs_{number}", "type": "text", "title": "theirs"})
    report = front.destination.ensure_fields(front.api, {"theirs_149": FieldType.TEXT}, create=True)
    assert (report.created, report.existing, report.problems) == ((), ("theirs_149",), ())


def test_values_come_back_in_our_words(front: Front) -> None:
    """Decimals are exact, a date is a day (Zendesk keeps midnight), a checkbox is never empty."""
    spent = Decimal("12345678901.23")
    front.do(Op.UPSERT, {"c1": {**ADA, "spent": spent, "last_order": "2026-02-28", "best": None, "rfm": ""}})
    assert front.user("c1").values["last_order"] == "2026-02-28T00:00:00+00:00"
    held = front.destination.read(front.api, ["c1"], TYPES)
    assert held == {"c1": {"spent": spent, "last_order": "2026-02-28", "best": False, "rfm": None}}


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
