"""What is particular to Meta: counts that name nobody, codes that tell everything, audiences too small to leave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.destinations.meta_audience.destination import MetaAudience
from connectors.destinations.meta_audience.graph import content, counted, minutes_to_wait
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.errors import BatchRejected, Fatal, Retryable, Unanswered
from octo_dagster.model import Change, FieldType, Op, Outcome
from tests.contract.sitting import Sitting
from tests.vendors.hashed import sha256
from tests.vendors.meta_audience import META, VENDOR
from tests.world import World, row

ADA, BOB, EVE = "ada@example.com", "bob@example.com", "eve@example.com"


@pytest.fixture
def front(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitting]:
    """Signed in at the twin."""
    monkeypatch.setenv("META_TOKEN", "sandbox-token")
    made = Sitting(META, sandbox.address)
    with closing(made.http):
        yield made


@pytest.fixture
def shop(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    """A mirror of the customers in one audience."""
    monkeypatch.setenv("META_TOKEN", "sandbox-token")
    return World(tmp_path, sandbox, "meta_audience").say(**VENDOR.said())


def people(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [dict(one) for one in sandbox.twin("meta_audience").holdings()["members"]]


def reasons(shop: World) -> dict[str, str]:
    query = sa.select(CHANGELOG).where(CHANGELOG.c.outcome == "rejected")
    return {line["key"]: line["reason"] for line in shop.project.ledger.read(query)}


def test_each_call_is_a_session_of_its_own(front: Sitting, sandbox: Sandbox) -> None:
    """The session ends with its one batch, says how many people are in it, and is never used twice."""
    front.upsert({ADA: {"LN": "Lovelace"}, BOB: {}})
    front.upsert({EVE: {}})
    sent = [form for method, path, form in sandbox.twin("meta_audience").bodies if path.endswith("/users")]
    sessions = [json.loads(form["session"]) for form in sent]
    assert len({session.pop("session_id") for session in sessions}) == 2
    fixed = {"batch_seq": 1, "last_batch_flag": True}
    assert sessions == [{**fixed, "estimated_num_total": 2}, {**fixed, "estimated_num_total": 1}]


def test_an_entry_meta_calls_invalid_is_found(shop: World) -> None:
    """Meta counts one invalid entry among twenty and does not say whose it is: halving finds it, and it alone."""
    twin = shop.sandbox.twin("meta_audience")
    twin.strange = {sha256("customer7@example.com")}
    report = shop.have([row(n) for n in range(1, 21)]).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (19, 1, 4)
    assert {"customer7@example.com"} == reasons(shop).keys()
    assert "1 were invalid" in reasons(shop)["customer7@example.com"]
    assert len(people(shop.sandbox)) == 19


def test_an_audience_too_small_to_leave(shop: World) -> None:
    """Meta lets nobody out of a small audience: each is told with Meta's words, stays owed, and others go on."""
    shop.have([row(n) for n in range(1, 6)]).deliver()
    shop.sandbox.twin("meta_audience").smallest = 5
    rows = [row(n) for n in (2, 3, 4, 5, 6)]
    report = shop.have(rows).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (1, 1, 4)
    assert reasons(shop)["customer1@example.com"].startswith("AUDIENCE_TOO_SMALL: You cannot remove users")
    again = shop.deliver()  # there are six now, so one may leave
    assert (again.planned, again.tally.accepted, again.exit_code) == (1, 1, 0)
    assert len(people(shop.sandbox)) == 5


def test_a_number_that_may_not_be_taken_back_is_owed(shop: World) -> None:
    """Where the old number must stay, the new one is not told, and the change is tried again."""
    shop.have([row(1), row(2)]).deliver()
    shop.sandbox.twin("meta_audience").smallest = 2
    report = shop.have([row(1, orders=50), row(2)]).deliver()
    assert (report.tally.rejected, report.exit_code) == (1, 4)
    shop.sandbox.twin("meta_audience").smallest = 0
    assert shop.deliver().exit_code == 0
    assert VENDOR.held(shop.sandbox.address) == [
        ("customer1@example.com", "new", 50),
        ("customer2@example.com", "lost", 2),
    ]


def test_nobody_stays_by_a_number_the_ledger_does_not_know(shop: World) -> None:
    """Who could not be told by another number, and then leaves, is gone by every number."""
    shop.have([row(1), row(2)]).deliver()
    shop.sandbox.twin("meta_audience").smallest = 2
    shop.have([row(1, orders=50), row(2)]).deliver()
    shop.sandbox.twin("meta_audience").smallest = 0
    assert shop.have([row(2)]).deliver(allow=True).exit_code == 0
    assert len(people(shop.sandbox)) == 1


def test_who_leaves_is_found_by_everything_he_was_told_by(shop: World) -> None:
    """Address and number both go: whom Meta knows by his number only would stay otherwise."""
    shop.have([row(1), row(2)]).deliver()
    shop.have([row(2)]).deliver()
    sent = [form for method, _, form in shop.sandbox.twin("meta_audience").bodies if method == "DELETE"]
    (payload,) = [json.loads(form["payload"]) for form in sent]
    assert payload == {
        "schema": ["EMAIL", "PHONE"],
        "data": [[sha256("customer1@example.com"), sha256("491100001")]],
    }


def test_nothing_leaves_in_clear(shop: World) -> None:
    """No address, number or name is in any call, and the token is in none of their addresses."""
    shop.have([row(n, segment="Lovelace") for n in (1, 2)]).deliver()
    shop.have([row(2, segment="Babbage", orders=7)]).deliver()
    bodies = json.dumps(shop.sandbox.twin("meta_audience").bodies)
    assert len(shop.sandbox.twin("meta_audience").bodies) == 5
    for secret in (
        "customer1",
        "customer2",
        "@",
        "Lovelace",
        "lovelace",
        "babbage",
        "491100001",
        "sandbox-token",
    ):
        assert secret not in bodies


CODES = [
    (400, 80003, {}, Retryable),
    (400, 17, {"error_subcode": 2446079, "is_transient": True}, Retryable),
    (403, 4, {}, Retryable),
    (400, 613, {"error_subcode": 1487742}, Retryable),
    (400, 2650, {}, Retryable),
    (400, 190, {}, Fatal),
    (401, 190, {}, Fatal),
    (400, 100, {"error_subcode": 1713230}, Fatal),
    (400, 200, {}, Fatal),
    (400, 2, {"is_transient": True}, Unanswered),
    (500, 1, {}, Unanswered),
    (400, 368, {"is_transient": True}, Unanswered),
    (502, None, {}, Unanswered),
]


@pytest.mark.parametrize(("status", "code", "more", "kind"), CODES)
def test_codes_say_what_to_do_next(
    front: Sitting, status: int, code: int | None, more: dict[str, Any], kind: type[Exception]
) -> None:
    """Too much is asked again later, a bad token needs a person, what Meta calls transient may have been done."""
    reply = told(front, status, {} if code is None else {"error": {"code": code, "message": "x", **more}})
    assert type(front.destination.failure(reply)) is kind


def told(front: Sitting, status: int, body: Any, **headers: str) -> Any:
    """A reply of Meta's."""
    reply = front.http.get("https://graph.facebook.com/v25.0/act_1001?access_token=sandbox-token")
    reply.status_code, reply._content = status, json.dumps(body).encode()
    reply.headers.update(headers)
    return reply


def test_the_header_says_how_many_minutes(front: Sitting) -> None:
    """The longest of the minutes the header asks for, as seconds; none where it asks for none or is no JSON."""
    uses = [{"type": "custom_audience", "estimated_time_to_regain_access": n} for n in (0, 19)]
    for header, wanted in ((json.dumps({"1001": uses}), 1_140.0), ("{}", None), ("nonsense", None)):
        reply = told(front, 400, {}, **{"x-business-use-case-usage": header})
        assert minutes_to_wait(reply) == wanted


def test_the_audience_is_the_oldest_of_its_name(front: Sitting, sandbox: Sandbox) -> None:
    """Of two of one name the older is used, on whatever page it is, and none is made."""
    twin = sandbox.twin("meta_audience")
    first = twin.add_audience("1001", "Octo customers")
    for n in range(600):
        twin.add_audience("1001", f"other {n}")
    twin.add_audience("1001", "Octo customers")
    front.upsert({ADA: {}})
    assert [one["audience"] for one in twin.holdings()["members"]] == ["Octo customers"]
    assert (len(first.people), len(twin.accounts["1001"])) == (1, 602)


def test_who_was_told_by_many_is_taken_back_by_all(front: Sitting, sandbox: Sandbox) -> None:
    """Of people told by several numbers of whom no answer ever came, the rows are more than a call takes."""
    front.upsert({ADA: {"PHONE": "+33612345678"}, BOB: {}})
    tried = tuple({"PHONE": f"+33600{n:06}"} for n in range(10_000))
    told = front.carry_out(Op.LEAVE, Change(ADA, perhaps=tried))
    assert (told[ADA].outcome, len(people(sandbox))) == (Outcome.ACCEPTED, 1)
    sent = [form for method, _, form in sandbox.twin("meta_audience").bodies if method == "DELETE"]
    assert [len(json.loads(form["payload"])["data"]) for form in sent] == [10_000, 1]


def test_nobody_leaves_an_audience_there_is_not(front: Sitting, sandbox: Sandbox) -> None:
    """A removal makes no audience, and is as good as done where there is none."""
    assert front.carry_out(Op.LEAVE, Change(ADA))[ADA].outcome is Outcome.ACCEPTED
    assert sandbox.twin("meta_audience").accounts["1001"] == {}


def test_a_removal_that_was_done_is_not_forgotten(front: Sitting, sandbox: Sandbox) -> None:
    """When the old number is taken back and the new one cannot be told, it is not as if nothing was done."""
    front.upsert({ADA: {"PHONE": "+33612345678"}})
    sandbox.fault("meta_audience", "throttle", method="POST", path="/users", times=1)
    with pytest.raises(Unanswered, match="taken back already"):
        front.upsert({ADA: {"PHONE": "+33699999999"}})


def test_a_missing_count_is_no_success() -> None:
    """Fewer entries received than were sent is a refusal of the batch."""
    counted({"num_received": 2, "num_invalid_entries": 0}, [{}, {}])
    with pytest.raises(BatchRejected, match="of 2 entries 1 were received"):
        counted({"num_received": 1, "num_invalid_entries": 0}, [{}, {}])


@pytest.mark.parametrize("told", [{}, {"num_received": 2}, {"audience_id": "1", "num_invalid_entries": 0}])
def test_a_reply_without_counts_is_no_answer(told: dict[str, Any]) -> None:
    """Where Meta does not say how many it received and found invalid, the entries may be in or not."""
    with pytest.raises(Unanswered, match="of 2 entries it is not told"):
        counted(told, [{}, {}])


@pytest.mark.parametrize("body", [True, None, ["x"]])
def test_json_that_is_no_object_is_no_answer(front: Sitting, body: Any) -> None:
    """A good status with anything but an object says neither yes nor no."""
    with pytest.raises(Unanswered, match="says nothing"):
        content(told(front, 200, body))


def test_columns_are_refused(front: Sitting) -> None:
    """An audience holds no columns: whoever maps one is told what people are found by."""
    types = {"EMAIL": FieldType.TEXT, "PHONE": FieldType.TEXT, "RFM": FieldType.TEXT, "FN": FieldType.LIST}
    report = front.destination.ensure_fields(front.api, types, create=True)
    assert [line.partition(":")[0] for line in report.problems] == ["RFM", "FN"]
    assert front.destination.key_problem("EXTERN_ID") == "must be EMAIL or PHONE"
    with pytest.raises(Fatal, match="shows nobody"):
        front.destination.read(front.api, [ADA], ["FN"])


def test_what_a_newcomer_is_shown(front: Sitting, sandbox: Sandbox) -> None:
    """The audiences there are, what may be mapped, and the permission that is missing."""
    twin = sandbox.twin("meta_audience")
    twin.add_audience("1001", "Best customers")
    assert front.destination.survey(front.api).missing == ()
    twin.denied = {"ads_management"}
    shown = front.destination.survey(front.api)
    assert (shown.keys, shown.places) == (("EMAIL", "PHONE"), {"audience": ("Best customers",)})
    assert shown.missing == ("ads_management: audiences can neither be made nor filled",)


def test_settings_are_said_plainly() -> None:
    """`act_` is not part of the account's number."""
    with pytest.raises(ValueError, match="ad_account"):
        MetaAudience.model_validate({**META.settings, "ad_account": "act_1001"})
