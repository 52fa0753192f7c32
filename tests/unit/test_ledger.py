"""The ledger, on SQLite and on a real PostgreSQL: what it keeps, what it counts, who may hold a sync."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from octo_dagster.delivery.ledger import Entry, Ledger, OpenBatch
from octo_dagster.delivery.ledger_tables import CHANGELOG, FIELDS, MAYBE, RUNS, SNAPSHOT, UNSURE
from octo_dagster.errors import Busy
from tests.postgres import postgres  # noqa: F401 - a fixture
from tests.processes import PROCESSES

AT = datetime(2026, 11, 22, 12, tzinfo=UTC).replace(tzinfo=None)


@dataclass(frozen=True)
class Place:
    """Where a ledger is; it can be opened from any process."""

    url: str
    locks: Path

    def open(self) -> Ledger:
        return Ledger(self.url, self.locks, lambda: AT)


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty database of either kind; a schema of its own is one to PostgreSQL."""
    if request.param == "sqlite":
        return Place(f"sqlite:///{tmp_path / 'ledger.sqlite'}", tmp_path / "locks")
    engine: sa.Engine = request.getfixturevalue("postgres")
    name = f"ledger_{uuid.uuid4().hex}"
    with engine.begin() as connection:
        connection.execute(sa.text(f"create schema {name}"))
    url = engine.url.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(
        hide_password=False
    )
    return Place(url, tmp_path / "locks")


@pytest.fixture
def ledger(place: Place) -> Iterator[Ledger]:
    made = place.open()
    yield made
    made.close()


def batch(**said: Any) -> OpenBatch:
    """An intent of rows 0 to 9."""
    return replace(OpenBatch("b1", "p1", "upsert", ((0, 10),), None, AT), **said)


def held(key: str, **said: Any) -> Entry:
    """An accepted addition."""
    return replace(Entry(key, key.upper(), "added", "accepted", f"print of {key}", '{"a":1}'), **said)


def refused(key: str, reason: str = "TOO_LONG") -> Entry:
    return Entry(key, key.upper(), "changed", "rejected", None, None, keep=True, reason=reason)


def snapshot(ledger: Ledger, key: str) -> dict[str, Any]:
    return dict(ledger.rows("s", [key])[key])


def test_an_intent_lives_until_its_receipts(ledger: Ledger) -> None:
    """What was about to be sent is told back as it was, with its job's name, until it is settled."""
    ledger.intend("s", "r1", batch())
    ledger.token("b1", "job 7")
    assert ledger.unsettled("s") == [batch(token="job 7")]
    assert ledger.unsettled("another") == []
    ledger.settle("s", "r1", "b1", [held("a")], batch(rows=((3, 5), (7, 8)), token="job 7"))
    assert ledger.unsettled("s") == [batch(rows=((3, 5), (7, 8)), token="job 7")]
    ledger.settle("s", "r1", "b1", [held("b")], None)
    assert ledger.unsettled("s") == []
    assert [row.key for page in ledger.held("s") for row in page] == ["a", "b"]
    ledger.intend("s", "r1", batch(id="b2"))
    ledger.withdraw("s", "b2")
    assert ledger.unsettled("s") == []


def test_a_refusal_keeps_what_was_held_and_counts(ledger: Ledger) -> None:
    """A rejected change leaves fingerprint and fields; reason and attempts are kept, and gone once accepted."""
    ledger.settle("s", "r1", "b", [held("a")], None)
    ledger.settle("s", "r2", "b", [refused("a"), refused("new")], None)
    ledger.settle("s", "r3", "b", [refused("a", "WORSE")], None)
    known = snapshot(ledger, "a")
    assert (known["fingerprint"], known["owed"], known["attempts"]) == ("print of a", "WORSE", 2)
    assert snapshot(ledger, "new")["fingerprint"] is None
    assert ledger.fields("s", ["a", "new"]) == {"a": '{"a":1}'}
    ledger.settle("s", "r4", "b", [held("a")], None)
    assert (snapshot(ledger, "a")["owed"], snapshot(ledger, "a")["attempts"]) == (None, 0)


def test_a_removal_leaves_nothing_held(ledger: Ledger) -> None:
    """Taken back, a key holds no fingerprint and no fields."""
    ledger.settle("s", "r1", "b", [held("a")], None)
    ledger.settle("s", "r2", "b", [held("a", op="removed", fingerprint=None, fields=None)], None)
    assert snapshot(ledger, "a")["fingerprint"] is None
    assert ledger.fields("s", ["a"]) == {}


@pytest.mark.parametrize(
    ("first", "second", "known"),
    [(True, False, True), (True, None, True), (None, True, True), (False, True, False), (None, None, None)],
)
def test_who_created_a_record(
    ledger: Ledger, first: bool | None, second: bool | None, known: bool | None
) -> None:
    """The first word on who created a held record stands; once nothing is held, the question is new."""
    ledger.settle("s", "r", "b", [held("a", created=first)], None)
    ledger.settle("s", "r", "b", [held("a", created=second)], None)
    assert snapshot(ledger, "a")["created"] is known
    ledger.settle("s", "r", "b", [held("a", fingerprint=None, fields=None)], None)
    ledger.settle("s", "r", "b", [held("a", created=False)], None)
    assert snapshot(ledger, "a")["created"] is False


def test_who_created_a_record_that_was_gone(ledger: Ledger) -> None:
    """A record Octo created, that vanished and is there again, is somebody else's: it is never deleted."""
    ledger.settle("s", "r", "b", [held("a", created=True)], None)
    ledger.doubt("s", "r", ["a"], MAYBE)
    ledger.settle("s", "r", "b", [held("a", created=False)], None)
    assert snapshot(ledger, "a")["created"] is False


def test_doubt_is_for_what_is_held(ledger: Ledger) -> None:
    """Only held keys come into doubt; doubting nobody moves nothing, so that a drawn plan stays fresh."""
    ledger.settle("s", "r", "b", [held("a"), held("b"), refused("never")], None)
    revision = ledger.revision("s")
    ledger.doubt("s", "r", [])
    assert ledger.revision("s") == revision
    ledger.doubt("s", "r", ["a", "never"])
    ledger.doubt("s", "r", ["b"], MAYBE)
    prints = {row.key: row.fingerprint for page in ledger.held("s") for row in page}
    assert prints == {"a": UNSURE, "b": MAYBE, "never": None}
    assert ledger.revision("s") == revision + 2


def test_every_write_moves_the_revision(ledger: Ledger) -> None:
    """Whatever may make a plan wrong makes it stale; a job's name and a log line do not."""
    writes: list[Callable[[], None]] = [
        lambda: ledger.bind("s", "account"),
        lambda: ledger.intend("s", "r", batch()),
        lambda: ledger.settle("s", "r", "b1", [held("a")], None),
        lambda: ledger.intend("s", "r", batch(id="b2")),
        lambda: ledger.withdraw("s", "b2"),
    ]
    for number, write in enumerate(writes, start=1):
        write()
        assert ledger.revision("s") == number
    ledger.log("s", "r", [refused("a")])
    assert (ledger.revision("s"), ledger.revision("another")) == (len(writes), 0)


def test_the_first_account_stays(ledger: Ledger) -> None:
    """Once an account may hold something of a sync it is the sync's; a mistaken one that holds nothing is not."""
    ledger.bind("s", "mistaken")
    assert ledger.account("s") is None
    ledger.bind("s", "first")
    ledger.intend("s", "r", batch())
    ledger.bind("s", "second")
    assert ledger.account("s") == "first"
    ledger.settle("s", "r", "b1", [held("a")], None)
    ledger.bind("s", "third")
    assert ledger.account("s") == "first"


def test_runs_and_their_ends(ledger: Ledger) -> None:
    """A run that never ended is called interrupted once the next one of its sync begins."""
    ledger.begin_run("s", "r1", "p1")
    ledger.begin_run("t", "r2", "p2")
    ledger.begin_run("s", "r3", "p3")
    ledger.end_run("r3", "done", {"accepted": 3}, None)
    runs = {row["run"]: row["status"] for row in ledger.read(sa.select(RUNS))}
    assert runs == {"r1": "interrupted", "r2": "running", "r3": "done"}


def test_every_change_is_a_line_of_the_log(ledger: Ledger) -> None:
    """Accepted and refused changes are logged in order, with reason and moment."""
    ledger.settle("s", "r", "b", [held("a", changed='{"a":[1,2]}'), refused("b")], None)
    lines = ledger.read(sa.select(CHANGELOG).order_by(CHANGELOG.c.id))
    assert [(line["key"], line["outcome"], line["reason"], line["at"]) for line in lines] == [
        ("a", "accepted", None, AT),
        ("b", "rejected", "TOO_LONG", AT),
    ]


ODD = ["o'brien", 'a"b\\c', "🐙", "עמית", "a\tb", " ", "%_", "null", "x" * 2_000]


def test_odd_keys(ledger: Ledger) -> None:
    """A key of any characters is kept and found again; syncs do not see one another's."""
    ledger.settle("s", "r", "b", [held(key, reason=None) for key in ODD], None)
    ledger.settle("t", "r", "b", [held(ODD[0], fields="{}")], None)
    assert set(ledger.rows("s", ODD)) == set(ODD)
    assert set(ledger.fields("s", ODD)) == set(ODD)
    assert ledger.fields("t", ODD) == {ODD[0]: "{}"}
    ledger.doubt("s", "r", ODD)
    assert {row["fingerprint"] for row in ledger.read(sa.select(SNAPSHOT.c.fingerprint))} >= {UNSURE}


def test_many_pages(ledger: Ledger) -> None:
    """Every key is told once, whatever the size of the pages."""
    ledger.settle("s", "r", "b", [held(f"k{n:04}") for n in range(2_500)], None)
    pages = [[row.key for row in page] for page in ledger.held("s", size=1_000)]
    assert [len(page) for page in pages] == [1_000, 1_000, 500]
    assert sorted(key for page in pages for key in page) == [f"k{n:04}" for n in range(2_500)]
    assert len(ledger.read(sa.select(FIELDS))) == 2_500


def test_a_database_error_tells_no_data(ledger: Ledger) -> None:
    """What a database complains of never shows whose row it was."""
    with pytest.raises(sa.exc.DBAPIError) as caught:
        ledger.settle("s", "r", "b", [held("ada@example.com\x00", op=None)], None)
    assert "ada@example.com" not in str(caught.value)


# processes ----------------------------------------------------------------------------------------------


def open_and_write(place: Place, number: int, at: float) -> int:
    """In a process of its own: open the ledger for the first time at this moment, and write to it."""
    time.sleep(max(at - time.time(), 0))
    ledger = place.open()
    for n in range(20):
        ledger.intend(f"s{number}", "r", batch(id=f"{number} {n}"))
        ledger.settle(f"s{number}", "r", f"{number} {n}", [held(f"k{n}")], None)
    ledger.close()
    return number


def test_several_processes_begin_at_once(place: Place) -> None:
    """Processes that open an empty database at the same moment all get their ledger, and lose no write."""
    with ProcessPoolExecutor(8, PROCESSES) as pool:
        at = time.time() + 2
        assert sorted(pool.map(open_and_write, [place] * 8, range(8), [at] * 8)) == list(range(8))
    ledger = place.open()
    assert [ledger.revision(f"s{number}") for number in range(8)] == [40] * 8
    assert sum(len(page) for number in range(8) for page in ledger.held(f"s{number}")) == 160
    ledger.close()


def hold(place: Place, told: Any) -> None:
    """In a process of its own: take a sync's lock, say so, and never let go."""
    with place.open().lock("s"):
        told.send(os.getpid())
        signal.pause()


def test_one_process_at_a_time_and_none_after_death(place: Place, ledger: Ledger) -> None:
    """While one process has a sync, others are told so at once; when it is killed the sync is free."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=hold, args=(place, there))
    process.start()
    assert here.poll(60)
    here.recv()
    with pytest.raises(Busy, match="another run of this sync is under way"), ledger.lock("s"):
        pass
    with ledger.lock("another"):
        pass
    process.kill()
    process.join()
    freed = take(ledger)
    assert freed, "the lock of a dead process is free"


def take(ledger: Ledger) -> bool:
    """Whether the lock can be had within a moment: a database notices a death a little later."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with ledger.lock("s"):
                return True
        except Busy:
            continue
    return False
