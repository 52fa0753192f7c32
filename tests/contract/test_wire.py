"""The exam every destination sits against its twin, call by call and without the engine.

Who sits it is said in `tests/vendors/`; what it may ask is in `sitting.py`.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from connectors.registry import destinations
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import BatchRejected, Expired, Fatal, Retryable, Unanswered
from octo_dagster.model import Change, FieldType, Op, Outcome, Removal
from tests.contract.sitting import Sitting, build, filled
from tests.vendors.every import EXAMINEES
from tests.vendors.examinee import Examinee

each = pytest.mark.parametrize("examinee", EXAMINEES, ids=lambda examinee: examinee.name)
BEFORE = ("error_before", "drop_before")
AFTER = ("error_after", "drop_after")


@pytest.fixture
def sitting(examinee: Examinee, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitting]:
    """A destination signed in at a fresh twin, its fields made."""
    for name, value in examinee.env.items():
        monkeypatch.setenv(name, value)
    examinee.prepare(sandbox.twin(examinee.name))
    made = Sitting(examinee, sandbox.address)
    with closing(made.http):
        yield made.ready()


def test_every_destination_sits_the_exam() -> None:
    """A destination that is not among the examinees is not merged."""
    assert sorted(destinations()) == sorted(examinee.name for examinee in EXAMINEES)


@pytest.mark.parametrize("name", sorted(destinations()))
def test_every_destination_has_a_twin(name: str, sandbox: Sandbox) -> None:
    """A destination without a sandbox of the same name is not merged."""
    twin = importlib.util.find_spec(f"connectors.sandbox.{name}")
    assert twin is not None, f"destinations/{name}.py has no sandbox/{name}.py"
    assert name in sandbox.vendors


@each
def test_hosts_lead_to_twins_there_are(examinee: Examinee, sandbox: Sandbox) -> None:
    """Every host of the destination is a bare origin and has a twin to be routed to."""
    hosts = build(examinee).hosts()
    assert hosts
    for host, twin in hosts.items():
        assert host.startswith(("https://", "http://")), host
        assert host.count("/") == 2, host
        assert twin in sandbox.vendors


@each
def test_no_secret_is_ever_shown(examinee: Examinee, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the repr nor the dump of a destination holds the value of a credential."""
    for name, value in examinee.env.items():
        monkeypatch.setenv(name, value)
    destination = build(examinee)
    shown = f"{destination!r} {destination} {destination.model_dump_json()}"
    assert not [name for name, value in examinee.env.items() if value in shown]


@each
def test_the_account_is_always_the_same(examinee: Examinee, sitting: Sitting) -> None:
    """Asking twice, and signing in anew, gives one and the same account."""
    first = sitting.account()
    sitting.sign_in()
    assert first
    assert sitting.account() == first


@each
def test_another_account_is_told_apart(
    examinee: Examinee, sitting: Sitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credentials or settings of a second account give another account id."""
    first = sitting.account()
    for name, value in examinee.second.items():
        monkeypatch.setenv(name, value)
    other = Sitting(examinee, sitting.address, examinee.second_settings)
    with closing(other.http):
        assert other.account() != first


@each
def test_wrong_credentials_need_a_person(
    examinee: Examinee, sitting: Sitting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused credentials are Fatal, at the latest when the first batch is sent."""
    for name, value in examinee.wrong.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Fatal):
        Sitting(examinee, sitting.address).upsert(sitting.records(1))


@each
def test_missing_fields_are_made_once(examinee: Examinee, sandbox: Sandbox, sitting: Sitting) -> None:
    """`ensure_fields` makes what is missing, then finds it; without leave it makes nothing and says so."""
    destination, types = sitting.destination, examinee.types
    sandbox.vendors[examinee.name].reset()
    examinee.prepare(sandbox.twin(examinee.name))
    sitting.sign_in()
    refused = destination.ensure_fields(sitting.api, types, create=False)
    made = destination.ensure_fields(sitting.api, types, create=True)
    found = destination.ensure_fields(sitting.api, types, create=True)
    assert refused.created == ()
    assert bool(refused.problems) == examinee.creates_fields
    assert bool(made.created) == examinee.creates_fields
    assert {*made.created, *made.existing} == {*types}
    assert made.problems == found.problems == found.created == ()
    assert {*found.existing} == {*types}


@each
def test_what_is_sent_is_what_is_read(examinee: Examinee, sitting: Sitting) -> None:
    """Every value of every type, in any script, comes back as it was sent."""
    records = sitting.records(7)
    sitting.upsert(records)
    assert sitting.read(*records) == records


@pytest.mark.parametrize("examinee", [e for e in EXAMINEES if not e.look], ids=lambda examinee: examinee.name)
def test_only_what_is_asked_for_is_read(examinee: Examinee, sitting: Sitting) -> None:
    """Of a record with many fields, the fields asked for come back and no others."""
    key, name = examinee.key(1), next(iter(examinee.types))
    sitting.upsert(sitting.records(1))
    held = sitting.destination.read(sitting.api, [key], [name])
    assert held == {key: {name: examinee.record(1)[name]}}


@each
def test_a_full_batch_goes_at_once(examinee: Examinee, sitting: Sitting) -> None:
    """The largest batch the destination lets the engine cut (500 at most, here) is accepted whole."""
    records = sitting.records(min(500, sitting.destination.limits(Op.UPSERT, 500).rows))
    sitting.upsert(records)
    assert sitting.read(*records) == records


@each
def test_sending_twice_changes_nothing(examinee: Examinee, sitting: Sitting) -> None:
    """An upsert repeated is accepted and makes no second record."""
    records = sitting.records(3)
    sitting.upsert(records)
    sitting.upsert(records)
    assert sitting.read(*records) == records


@each
def test_an_awkward_key_is_only_a_key(examinee: Examinee, sitting: Sitting) -> None:
    """A key with a quote and a plus sign is written, read back and told from its neighbours."""
    records = {examinee.awkward: examinee.record(1), **sitting.records(1)}
    sitting.upsert(records)
    assert sitting.read(examinee.awkward) == {examinee.awkward: examinee.record(1)}


@each
def test_keys_are_answered_as_they_were_asked(examinee: Examinee, sitting: Sitting) -> None:
    """Where case does not matter to the vendor, it matters neither in receipts nor in what is read."""
    lower, upper = examinee.key(1), examinee.key(1).upper()
    told = sitting.carry_out(Op.UPSERT, Change(upper, examinee.record(1)))
    assert told[upper].outcome is Outcome.ACCEPTED
    assert sitting.read(upper) == {upper: examinee.record(1)}
    assert bool(sitting.read(lower)) == sitting.destination.keys_ignore_case


@each
def test_a_field_not_sent_is_left_alone(examinee: Examinee, sitting: Sitting) -> None:
    """Writing one field does not touch the others."""
    key, record = examinee.key(1), examinee.record(1)
    name = next(name for name, kind in examinee.types.items() if kind is FieldType.TEXT)
    sitting.upsert({key: record})
    sitting.upsert({key: {name: "only this"}})
    assert sitting.read(key) == {key: {**record, name: "only this"}}


@each
def test_null_empties_a_field(examinee: Examinee, sitting: Sitting) -> None:
    """A field sent as None is empty afterwards, whatever its type; the record stays."""
    key = examinee.key(1)
    sitting.upsert({key: examinee.record(1)})
    sitting.upsert({key: dict.fromkeys(examinee.types)})
    held = sitting.read(key)[key]
    assert filled(held, examinee.types) == sitting.cleared()


@each
def test_unknown_keys_are_absent(examinee: Examinee, sitting: Sitting) -> None:
    """Of a thousand keys only those held come back, and no keys give nothing."""
    records = sitting.records(2)
    sitting.upsert(records)
    strangers = [examinee.key(n) for n in range(1_000, 2_000)]
    assert sitting.read(*strangers, *records) == records
    assert sitting.read() == {}


@each
def test_a_poisoned_row_harms_itself_only(examinee: Examinee, sitting: Sitting) -> None:
    """A row the vendor will not have is rejected with a reason, alone, or makes its batch be refused."""
    good = sitting.records(3)
    bad = Change(examinee.poison_key or examinee.key(9), {**examinee.record(9), **examinee.poison})
    changes = [Change(key, fields) for key, fields in good.items()]
    try:
        told = sitting.carry_out(Op.UPSERT, changes[0], bad, *changes[1:])
    except BatchRejected:
        with pytest.raises(BatchRejected, match=r"\w"):
            sitting.carry_out(Op.UPSERT, bad)
        sitting.upsert(good)
    else:
        assert told[bad.key].outcome is Outcome.REJECTED
        assert told[bad.key].reason
        assert all(told[key].outcome is Outcome.ACCEPTED for key in good)
    assert sitting.read(*good, bad.key) == good


def removing(op: Op) -> pytest.MarkDecorator:
    able = [e for e in EXAMINEES if Removal(op.value) in build(e).removals]
    return pytest.mark.parametrize("examinee", able, ids=lambda examinee: examinee.name)


@removing(Op.CLEAR)
def test_clear_empties_the_fields_and_keeps_the_record(examinee: Examinee, sitting: Sitting) -> None:
    """`clear` leaves a record without the mapped fields, and its neighbour as it was."""
    (key, _), (neighbour, kept) = sitting.records(2).items()
    sitting.upsert(sitting.records(2))
    told = sitting.carry_out(Op.CLEAR, Change(key, dict.fromkeys(examinee.types)))
    held = sitting.read(key, neighbour)
    assert told[key].outcome is Outcome.ACCEPTED
    assert filled(held[key], examinee.types) == sitting.cleared()
    assert held[neighbour] == kept


@removing(Op.CLEAR)
def test_clear_makes_no_record(examinee: Examinee, sitting: Sitting) -> None:
    """Clearing a record somebody else deleted does not bring it back empty."""
    key = examinee.key(5)
    sitting.carry_out(Op.CLEAR, Change(key, dict.fromkeys(examinee.types)))
    assert sitting.read(key) == {}


@removing(Op.DELETE)
def test_delete_takes_the_record_away(examinee: Examinee, sitting: Sitting) -> None:
    """`delete` takes this record and no other; deleting one that is gone is as good as done."""
    (key, _), (neighbour, kept) = sitting.records(2).items()
    sitting.upsert(sitting.records(2))
    for _ in range(2):
        told = sitting.carry_out(Op.DELETE, Change(key))
        assert told[key].outcome is Outcome.ACCEPTED
        assert sitting.read(key, neighbour) == {neighbour: kept}


@removing(Op.LEAVE)
def test_leave_takes_the_record_off_the_list(examinee: Examinee, sitting: Sitting) -> None:
    """`leave` takes this record off the list and no other; leaving twice is as good as once."""
    (key, _), (neighbour, kept) = sitting.records(2).items()
    sitting.upsert(sitting.records(2))
    for _ in range(2):
        told = sitting.carry_out(Op.LEAVE, Change(key))
        assert told[key].outcome is Outcome.ACCEPTED
        assert sitting.read(key, neighbour) == {neighbour: kept}


by_http = pytest.mark.parametrize(
    "examinee", [e for e in EXAMINEES if e.by_http], ids=lambda examinee: examinee.name
)


@by_http
def test_too_many_calls_may_go_again(examinee: Examinee, sandbox: Sandbox, sitting: Sitting) -> None:
    """Over quota nothing was done, and the wait the vendor asks for is passed on."""
    sandbox.fault(examinee.name, "throttle", times=None, seconds=7)
    with pytest.raises(Retryable) as refused:
        sitting.upsert(sitting.records(1))
    sandbox.vendors[examinee.name].faults.clear()
    assert (refused.value.wait is not None) == examinee.tells_wait
    assert sitting.read(examinee.key(1)) == {}


@by_http
@pytest.mark.parametrize("kind", [*BEFORE, *AFTER])
def test_no_answer_is_not_an_answer(
    examinee: Examinee, kind: str, sandbox: Sandbox, sitting: Sitting
) -> None:
    """A 5xx or a cut connection may mean done or not: it is Unanswered, and sending again is harmless."""
    sandbox.fault(examinee.name, kind, times=None)
    with pytest.raises(Unanswered):
        sitting.upsert(sitting.records(2))
    sandbox.vendors[examinee.name].faults.clear()
    if kind in BEFORE:
        assert sitting.read(*sitting.records(2)) == {}
    sitting.upsert(sitting.records(2))
    assert sitting.read(*sitting.records(2)) == sitting.records(2)


@each
def test_a_closed_door_is_certainly_not_sent(examinee: Examinee, sitting: Sitting) -> None:
    """When no connection can be made, nothing was done and the call may go again."""
    with socket.socket() as deaf:  # bound, so that nobody else answers there, but not listening
        deaf.bind(("127.0.0.1", 0))
        with pytest.raises(Retryable):
            Sitting(examinee, f"http://127.0.0.1:{deaf.getsockname()[1]}").upsert(sitting.records(1))


@pytest.mark.parametrize("examinee", [e for e in EXAMINEES if e.sessions], ids=lambda examinee: examinee.name)
def test_an_ended_session_is_renewed(examinee: Examinee, sandbox: Sandbox, sitting: Sitting) -> None:
    """When the session has ended the call says Expired, and after signing in again it goes through."""
    sandbox.twin(examinee.name).expire()
    with pytest.raises(Expired):
        sitting.upsert(sitting.records(1))
    sitting.sign_in()
    sitting.upsert(sitting.records(1))
    assert sitting.read(examinee.key(1)) == sitting.records(1)
