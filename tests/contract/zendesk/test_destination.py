"""What Zendesk's destination promises beyond the common exam: people left alone, addresses, fields."""

from __future__ import annotations

import logging
import re
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.model import Fields, FieldType, Op, Outcome
from tests.contract.zendesk.desk import ADA, BOB, TYPES, Front
from tests.vendors.zendesk import ZENDESK

ROOT = Path(__file__).parents[3]


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
