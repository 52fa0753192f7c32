"""The exam of a destination under the whole engine: what is promised to its users, whatever the vendor.

`test_wire.py` examines a destination alone; here it is planned, delivered, settled and verified, in front
of its twin. Parametrised over every vendor of `tests/vendors/`; a vendor added there sits it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.delivery.verify import Verified
from octo_dagster.errors import DeliveryError
from octo_dagster.model import FieldType, Mode, Removal
from octo_dagster.run import Report, verify_only
from tests.vendors.every import VENDORS
from tests.vendors.examinee import SAMPLES
from tests.vendors.vendor import Vendor
from tests.world import World

COLUMNS = pa.schema(
    {
        "customer_id": pa.string(),
        "email": pa.string(),
        "segment": pa.string(),
        "orders": pa.int64(),
        "consent": pa.bool_(),
        "text": pa.string(),
        "integer": pa.int64(),
        "decimal": pa.decimal128(18, 2),
        "boolean": pa.bool_(),
        "date": pa.string(),
        "datetime": pa.string(),
        "list": pa.list_(pa.string()),
    }
)


def customer(number: int, **changed: Any) -> dict[str, Any]:
    """The n-th customer, with a value of every type."""
    values = {kind.value: samples[number % 3] for kind, samples in SAMPLES.items()}
    return {
        "customer_id": f"c{number}",
        "email": f"customer{number}@example.com",
        "segment": ["best", "new", "lost"][number % 3],
        "orders": number,
        "consent": True,
        **values,
        "decimal": Decimal(str(values["decimal"])),
    } | changed


def customers(count: int) -> list[dict[str, Any]]:
    return [customer(n) for n in range(1, count + 1)]


@dataclass
class Exam:
    """One vendor, a project that delivers to it, and what may be asked of both."""

    vendor: Vendor
    world: World
    seen: int = 0
    """Calls counted already."""

    @property
    def twin(self) -> Any:
        return self.world.sandbox.twin(self.vendor.name)

    def have(self, rows: Sequence[Mapping[str, Any]]) -> Exam:
        """Make the customer profile hold these rows."""
        self.world.project.warehouse.replace("customer_profile", pa.Table.from_pylist(list(rows), COLUMNS))
        return self

    def deliver(self) -> Report:
        """Plan and deliver, with a person's word."""
        return self.world.deliver(allow=True)

    @property
    def readable(self) -> bool:
        """Whether the vendor shows what it holds."""
        return self.world.sync.destination.can_read()

    def verify(self) -> Verified:
        """Compare everything."""
        return verify_only(self.world.sync, self.world.project, 1.0, self.world.around)

    def same(self, count: int) -> bool:
        """Whether so many records are found as the ledger says, where they can be looked at."""
        return not self.readable or self.verify() == Verified(count, ())

    def held(self) -> dict[str, tuple[str | None, int | None]]:
        """Key → segment, orders of the records that hold any; fails when anyone is there twice."""
        found = self.vendor.held(self.world.sandbox.address)
        assert len({key for key, *_ in found}) == len(found), "nobody is there twice"
        return {key: (segment, orders) for key, segment, orders in found}

    def keys(self) -> set[str]:
        """The keys of all the records there are, emptied ones too; what Mailchimp archived is there no more."""
        rows = self.twin.holdings().get(self.vendor.table, [])
        return {row[self.vendor.key] for row in rows if row.get("status") != "archived"}

    def filled(self) -> set[str]:
        """The keys of the records that hold anything of ours, in the list the sync keeps or not."""
        rows = self.twin.holdings().get(self.vendor.table, [])
        records = [(self.vendor.shown or self.vendor.columns)(row) for row in rows]
        return {key for key, *values in records if values != [None, None]}

    def key(self, number: int) -> str:
        return str(customer(number)[self.vendor.key_from])

    def writes(self) -> int:
        """The writing calls that were carried out since the last time this was asked."""
        calls = self.world.sandbox.calls(self.vendor.name)
        new, self.seen = calls[self.seen :], len(calls)
        asked = [f"{call.method} {call.path}" for call in new if (call.status or 500) < 300]
        return sum(any(re.search(write, call) for write in self.vendor.writes) for call in asked)

    def strange_calls(self) -> list[str]:
        """The calls made, carried out or not, that the vendor's `may_call` does not name."""
        made = {f"{call.method} {call.path}" for call in self.world.sandbox.calls(self.vendor.name)}
        return sorted(c for c in made if not any(re.fullmatch(p, c) for p in self.vendor.may_call))

    def reasons(self, outcome: str) -> dict[str, str]:
        """Key → the reason the log gives for this outcome."""
        query = sa.select(CHANGELOG).where(CHANGELOG.c.outcome == outcome)
        return {line["key"]: line["reason"] for line in self.world.project.ledger.read(query)}

    def elsewhere(self, folder: Path, **said: Any) -> Exam:
        """Another tool that writes to the same account."""
        return Exam(
            self.vendor, World(folder, self.world.sandbox, self.vendor.name).say(**told(self.vendor) | said)
        )


def told(vendor: Vendor) -> dict[str, Any]:
    """The vendor's sync with a field of every type it knows besides."""
    said = vendor.said()
    mapped = {mapping["to"] for mapping in said["fields"]}
    every = [
        {"from": kind.value, "to": name, "type": kind.value, "nulls": "clear"}
        for name, kind in vendor.examinee.types.items()
        if name not in mapped
    ]
    return said | {"fields": [*said["fields"], *every], "consent": "consent"}


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def exam(
    request: pytest.FixtureRequest, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Exam]:
    """A project with one mirror sync in front of one vendor, nothing delivered yet."""
    vendor: Vendor = request.param
    for name, value in vendor.examinee.env.items():
        monkeypatch.setenv(name, value)
    if hasattr(sandbox.twin(vendor.name), "job_seconds"):
        sandbox.twin(vendor.name).job_seconds = 0.0
    vendor.prepare(sandbox.address)
    before = len(sandbox.calls(vendor.name))
    sat = Exam(vendor, World(tmp_path, sandbox, vendor.name).say(**told(vendor)), before)
    yield sat
    assert sat.strange_calls() == [], "a call the connector has no business with"


def test_first_then_nothing_then_only_what_changed(exam: Exam) -> None:
    """Everyone once, then nobody and no call at all, then 1 % and a departure: in the fewest calls there can be."""
    for_new, for_changed, for_removed = exam.vendor.least
    first = exam.have(customers(300)).deliver()
    assert (first.tally.accepted, first.unaccounted, first.exit_code) == (300, 0, 0)
    assert exam.writes() == for_new
    assert exam.held() == {exam.key(n): (customer(n)["segment"], n) for n in range(1, 301)}
    again = exam.deliver()
    assert (again.planned, again.calls, again.exit_code) == (0, 0, 0)
    rows = [customer(n, orders=n + 1_000 * (n % 100 == 0)) for n in range(1, 301)]
    changed = exam.have(rows).deliver()
    assert (changed.planned, changed.tally.accepted, exam.writes()) == (3, 3, for_changed)
    assert exam.held()[exam.key(200)] == (customer(200)["segment"], 1_200)
    left = exam.have(rows[1:]).deliver()
    assert (left.planned, left.tally.accepted, exam.writes()) == (1, 1, for_removed)
    assert exam.key(1) not in exam.held()


@pytest.mark.whole
def test_a_shop_of_twenty_five_thousand(exam: Exam) -> None:
    """First sync, nothing, 1 % changed, fields emptied, some gone: each time what is held is the profile."""
    many = exam.vendor.most
    rows = {n: customer(n, orders=n % 50) for n in range(1, many + 1)}
    first = exam.have([*rows.values()]).deliver()
    assert (first.tally.accepted, first.unaccounted, first.exit_code) == (many, 0, 0)
    assert exam.deliver().calls == 0
    for number in range(100, many + 1, 100):
        rows[number] |= {"orders": rows[number]["orders"] + 50}
    for number in range(50, many + 1, 500):
        rows[number] |= {"segment": None}
    for number in range(1, many + 1, 250):
        del rows[number]
    touched = sum(len(range(start, many + 1, step)) for start, step in ((100, 100), (50, 500), (1, 250)))
    later = exam.have([*rows.values()]).deliver()
    assert (later.planned, later.tally.accepted, later.exit_code) == (touched, touched, 0)
    assert exam.held() == {exam.key(n): (one["segment"], one["orders"]) for n, one in rows.items()}
    assert exam.deliver().calls == 0


def test_paced_as_in_production(exam: Exam, tmp_path: Path) -> None:
    """With its calls counted on disk, as every real run counts them, each vendor is delivered to."""
    exam.world.pace_store = tmp_path / "pace.sqlite"
    assert exam.have(customers(3)).deliver().exit_code == 0
    assert exam.have(customers(2)).deliver().exit_code == 0
    assert len(exam.held()) == 2


def test_every_type_reads_back_equal_filled_or_empty(exam: Exam) -> None:
    """Each value of each type is held as it was sent, emptied when it is emptied, and found so by verifying."""
    rows = customers(3)
    assert exam.have(rows).deliver().exit_code == 0
    assert exam.same(3)
    empty = {kind.value: None for kind in FieldType} | {"segment": None}
    report = exam.have([rows[0], rows[1] | empty, rows[2]]).deliver()
    assert (report.planned, report.tally.accepted, report.exit_code) == (1, 1, 0)
    assert exam.held()[exam.key(2)] == (None, 2)
    assert exam.same(3)
    assert exam.world.plan().changes == 0


def test_consent_withdrawn(exam: Exam) -> None:
    """Who withdraws consent is taken back; who gives it again is there again."""
    exam.have(customers(3)).deliver()
    exam.have([customer(1), customer(2, consent=False), customer(3)]).deliver()
    assert set(exam.held()) == {exam.key(1), exam.key(3)}
    assert exam.have(customers(3)).deliver().exit_code == 0
    assert set(exam.held()) == {exam.key(1), exam.key(2), exam.key(3)}


def test_a_poisoned_row(exam: Exam) -> None:
    """A row the vendor refuses is told with its reason and spoils no other; mended, it goes."""
    rows = customers(12)
    rows[6] |= exam.vendor.poison(rows[6])
    report = exam.have(rows).deliver()
    assert (report.tally.accepted, report.tally.rejected, report.exit_code) == (11, 1, 4)
    assert len(exam.held()) == 11
    ((key, reason),) = exam.reasons("rejected").items()
    assert (key, bool(reason)) == (rows[6][exam.vendor.key_from], True)
    assert exam.have(customers(12)).deliver().exit_code == 0
    assert len(exam.held()) == 12


def test_two_rows_claim_one_key(exam: Exam) -> None:
    """Neither is sent, both are told of, and the record stays as it was."""
    exam.have(customers(4)).deliver()
    twice = [customer(3, orders=88), customer(3, orders=99)]
    report = exam.have([customer(1), customer(2), *twice, customer(4)]).deliver()
    assert (report.invalid, report.planned, report.exit_code) == (2, 0, 0)
    assert exam.held()[exam.key(3)] == (customer(3)["segment"], 3)
    assert set(exam.reasons("invalid")) == {exam.key(3)}


WHOLE = os.environ.get("OCTO_PROVE") == "all"
FAILING = ("drop_after", "drop_before", "error_after", "error_before", "throttle")


@pytest.mark.parametrize("kind", FAILING)
def test_every_call_fails_once(exam: Exam, kind: str) -> None:
    """Whichever call it is that fails: nobody is lost or doubled, and one more run makes sure."""
    for after in range(0, 12, 3) if WHOLE else (FAILING.index(kind) * 2,):
        exam.world.sandbox.fault(exam.vendor.name, kind, after=after, seconds=1)
        exam.have([customer(n, orders=after) for n in range(1, 25 + after)]).world.deliver(allow=True)
        exam.world.sandbox.vendors[exam.vendor.name].faults.clear()
        assert exam.deliver().exit_code == 0
        assert set(exam.held().values()) == {(segment, after) for segment in ("best", "new", "lost")}
        assert len(exam.held()) == 24 + after


def test_a_lost_reply_and_asked_too_much(exam: Exam) -> None:
    """A reply to a write that is lost, then a vendor that asks to wait, are both got over within the run."""
    exam.have(customers(24)).deliver()
    exam.world.sandbox.fault(exam.vendor.name, "drop_after", path=exam.vendor.lost)
    assert exam.have([customer(n, orders=n + 50) for n in range(1, 10)]).deliver().exit_code == 0
    exam.world.sandbox.fault(exam.vendor.name, "throttle", path=exam.vendor.lost, times=3, seconds=7)
    assert exam.have([customer(n, orders=n + 60) for n in range(1, 10)]).deliver().exit_code == 0
    assert {found[1] for found in exam.held().values()} == set(range(61, 70))
    assert exam.vendor.examinee.tells_wait is any(slept >= 7 for slept in exam.world.slept)


@pytest.mark.parametrize("after", range(2, 12) if WHOLE else (5,))
def test_nothing_stays_of_a_delivery_broken_off(exam: Exam, after: int) -> None:
    """Put off for good in the middle, a delivery leaves nothing behind of who then withdraws consent."""
    exam.world.sandbox.fault(exam.vendor.name, "throttle", after=after, times=None, seconds=1)
    exam.have(customers(24)).world.deliver(allow=True)
    exam.world.sandbox.vendors[exam.vendor.name].faults.clear()
    gone = exam.have([customer(n, consent=n > 12) for n in range(1, 25)]).deliver()
    assert (gone.exit_code, gone.unaccounted) == (0, 0)
    assert set(exam.held()) == {exam.key(n) for n in range(13, 25)}
    if exam.world.sync.removal is not Removal.LEAVE:
        assert exam.filled() == set(exam.held()), "nobody's columns either"


def test_nobody_is_left_as_he_was_between_two_answers(exam: Exam) -> None:
    """Changed again and again while no reply comes back, new ones too, each is in the end as he is now, only."""
    exam.have(customers(6)).deliver()
    for orders in (100, 200):
        exam.world.sandbox.fault(exam.vendor.name, "drop_after", path=exam.vendor.lost, times=None)
        with suppress(DeliveryError):  # where not even the last run can be asked after
            exam.have([customer(n, orders=orders) for n in range(1, 10)]).world.deliver(allow=True)
        exam.world.sandbox.vendors[exam.vendor.name].faults.clear()
    assert exam.have([customer(n, orders=300) for n in range(2, 10)]).deliver().exit_code == 0
    assert exam.held() == {exam.key(n): (customer(n)["segment"], 300) for n in range(2, 10)}


def test_an_expired_session(exam: Exam) -> None:
    """A session that ends in the middle is renewed, once, and the delivery goes on."""
    if not exam.vendor.examinee.sessions:
        pytest.skip(f"{exam.vendor.name} has no sessions")
    for after in range(6):
        exam.world.sandbox.fault(exam.vendor.name, "expire", after=after)
        report = exam.have([customer(n, orders=after) for n in range(1, 4)]).deliver()
        assert (report.exit_code, {found[1] for found in exam.held().values()}) == (0, {after})
        exam.world.sandbox.vendors[exam.vendor.name].faults.clear()


def test_another_account_and_no_account(exam: Exam, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials of another account, or none that are good: exit 7, and not one record is written."""
    examinee = exam.vendor.examinee
    exam.have(customers(2)).deliver()
    exam.writes()
    for env, settings in ((examinee.second, examinee.second_settings), (examinee.wrong, {})):
        for name, value in {**examinee.env, **env}.items():
            monkeypatch.setenv(name, value)
        exam.world.say(destination={**told(exam.vendor)["destination"], **settings})
        report = exam.have(customers(3)).deliver()
        assert (report.exit_code, report.tally.accepted, report.unaccounted) == (7, 0, 1)
        assert report.error
    assert exam.writes() == 0


def test_missing_fields(exam: Exam) -> None:
    """Fields that are missing are made; where that is forbidden nothing is written, and each is named."""
    if not exam.vendor.examinee.creates_fields:
        pytest.skip(f"{exam.vendor.name} needs no fields made")
    refused = exam.have(customers(1)).world.say(create_fields=False).deliver()
    assert (refused.exit_code, refused.unaccounted, exam.writes()) == (7, 1, 0)
    assert exam.vendor.orders in str(refused.error)
    made = exam.world.say(create_fields=True).deliver()
    assert (made.exit_code, exam.vendor.orders in made.fields.created) == (0, True)


@pytest.mark.parametrize("mode", [Mode.UPDATE_ONLY, Mode.CREATE_ONLY])
def test_modes_that_hold_back(exam: Exam, mode: Mode, tmp_path: Path) -> None:
    """update_only creates nobody; create_only touches nobody who was there; both say whom they skipped."""
    if mode not in exam.world.sync.destination.modes:
        pytest.skip(f"{exam.vendor.name} cannot {mode}")
    exam.elsewhere(tmp_path / "theirs").have([customer(1, orders=900)]).deliver()
    report = exam.have(customers(3)).world.say(mode=mode.value).deliver()
    wanted = (
        {exam.key(1): 1}
        if mode is Mode.UPDATE_ONLY
        else {exam.key(n): n for n in (2, 3)} | {exam.key(1): 900}
    )
    assert {key: orders for key, (_, orders) in exam.held().items()} == wanted
    assert (report.tally.accepted + report.tally.skipped, report.exit_code) == (3, 0)
    assert len(exam.reasons("skipped")) == report.tally.skipped > 0


def test_deleting_spares_what_others_made(exam: Exam, tmp_path: Path) -> None:
    """Under `on_remove: delete` a record that was there before Octo survives, with our fields empty; one that
    Octo made is gone."""
    if Removal.DELETE not in exam.world.sync.destination.removals:
        pytest.skip(f"{exam.vendor.name} cannot delete")
    exam.elsewhere(tmp_path / "theirs").have([customer(1)]).deliver()
    exam.world.say(on_remove="delete")
    assert exam.have(customers(3)).deliver().exit_code == 0
    assert exam.have([customer(3)]).deliver().exit_code == 0
    assert set(exam.held()) == {exam.key(3)}
    assert exam.keys() & {exam.key(n) for n in (1, 2, 3)} == {exam.key(1), exam.key(3)}


def test_verifying_heals_another_hand(exam: Exam, tmp_path: Path) -> None:
    """A record that another tool changed is found by reading back, and put right by the next run."""
    if not exam.readable:
        pytest.skip(f"{exam.vendor.name} shows nobody what it holds")
    exam.have(customers(5)).deliver()
    exam.elsewhere(tmp_path / "theirs").have([customer(2, orders=555)]).deliver()
    drifts = exam.verify().drifts
    assert [(drift.key, drift.fields) for drift in drifts] == [(exam.key(2), (exam.vendor.orders,))]
    report = exam.deliver()
    assert (report.planned, report.tally.accepted, report.exit_code) == (1, 1, 0)
    assert exam.held()[exam.key(2)] == (customer(2)["segment"], 2)
    assert exam.verify() == Verified(5, ())


def test_awkward_keys(exam: Exam) -> None:
    """Keys with quotes, plus signs, capitals and blanks round them are sent, found again and taken back."""
    if exam.vendor.key_from == "email":
        names = ["o'brien+octo@example.com", "UPPER@Example.com", "  spaced@example.com\t"]
    else:
        names = ["O'Brien", 'a"b', "50% & more, yes\\", "  spaced\t", "c 1", "Zoë"]
    rows = [customer(n, **{exam.vendor.key_from: name}) for n, name in enumerate(names, start=1)]
    assert exam.have(rows).deliver().exit_code == 0
    assert exam.same(len(names))
    assert {key.lower() for key in exam.held()} == {name.strip().lower() for name in names}
    assert exam.have(rows[1:]).deliver().exit_code == 0
    assert len(exam.held()) == len(names) - 1


@pytest.mark.parametrize("removal", [Removal.CLEAR, Removal.LEAVE])
def test_what_belongs_to_others_is_left_alone(exam: Exam, removal: Removal) -> None:
    """Whatever Octo does to a customer, from entering to leaving: records, columns, tags and lists of others
    are as they were, and who unsubscribed is still unsubscribed."""
    if removal not in exam.world.sync.destination.removals:
        pytest.skip(f"{exam.vendor.name} cannot {removal}")
    # Emptied but still on a list is nothing for who withdraws consent: such a file is refused.
    exam.world.say(on_remove=removal.value, consent="consent" if removal is Removal.LEAVE else None)
    assert exam.have(customers(3)).deliver().exit_code == 0
    exam.vendor.others(exam.twin)
    theirs = exam.vendor.theirs(exam.twin)
    assert theirs
    steps = (
        [customer(n, orders=n + 70, segment=None) for n in range(1, 4)],
        [customer(1, consent=False), customer(2), customer(3)],
        [customer(1), customer(3)],
        customers(3),
    )
    for rows in steps:
        assert exam.have(rows).deliver().exit_code == 0
        assert exam.vendor.theirs(exam.twin) == theirs
