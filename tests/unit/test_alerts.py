"""Alerts: told on change and on recovery, at least once, over real sockets; and the run log in the warehouse."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from octo_dagster.config import Project
from octo_dagster.delivery.journal import unlogged
from octo_dagster.delivery.ledger import Entry
from octo_dagster.delivery.plan import Line
from octo_dagster.errors import ConfigError
from octo_dagster.ops import alerts, runlog
from octo_dagster.ops.channels import Letter, Untold
from octo_dagster.ops.rules import Alerts, Fact, far
from octo_dagster.ops.status import status
from octo_dagster.words import LANGUAGES, Speaker
from tests.postgres import postgres

__all__ = ["postgres"]
NOW = datetime.fromisoformat("2026-11-22 12:00")
MINUTE = timedelta(minutes=1)


class Inbox(ThreadingHTTPServer):
    """Takes every POST, or refuses with `answer`; keeps (path, headers, body)."""

    daemon_threads = True
    answer = 200

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), Taker)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def letters(self, path: str = "/hook") -> list[dict[str, Any]]:
        return [json.loads(body) for where, _, body in self.got if where == path]


class Taker(BaseHTTPRequestHandler):
    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.answer == 200:
            self.server.got.append((self.path, dict(self.headers), body))
        self.send_response(self.server.answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Post(socketserver.StreamRequestHandler):
    """As much of SMTP as one letter needs."""

    def handle(self) -> None:
        kept: list[str] = self.server.kept  # type: ignore[attr-defined]
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                kept.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
            if word == b"QUIT":
                return


def project(folder: Path, inbox: Inbox, **said: Any) -> Project:
    """A project without anything in it but alerts, told to a signed webhook."""
    (folder / "assets").mkdir(exist_ok=True)
    hook = {"type": "webhook", "url": f"{inbox.address}/hook", "secret": {"env": "ALERT_SECRET"}}
    path = folder / "assets" / "alerts.yaml"
    path.write_text(yaml.safe_dump({"channels": {"hook": hook}} | said))
    return Project(folder, folder / ".octo")


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_SECRET", "s3cret")


def failing(*, fires: bool) -> Fact:
    return Fact("failed", "job nightly", fires, *SAID[fires])


SAID = {True: ("job_failed", {"run": "1"}), False: ("job_well", {"run": "2"})}


def test_a_storm_is_one_message_and_one_recovery(tmp_path: Path, inbox: Inbox) -> None:
    """A hundred failing runs are told once, and that they are over once."""
    made = project(tmp_path, inbox)
    for minute in range(100):
        alerts.watch(made, NOW + minute * MINUTE, [failing(fires=True)])
    for minute in range(100, 150):
        alerts.watch(made, NOW + minute * MINUTE, [failing(fires=False)])
    assert [letter["state"] for letter in inbox.letters()] == ["firing", "ok"]
    assert [row["state"] for row in alerts.listed(made.ledger)] == ["ok"]


def test_what_comes_and_goes_is_told_once(tmp_path: Path, inbox: Inbox) -> None:
    """A recovery that does not last is none; the alert has fired since it first did."""
    made = project(tmp_path, inbox)
    for minute in range(0, 60, 5):
        alerts.watch(made, NOW + minute * MINUTE, [failing(fires=minute % 10 == 0)])
    assert [letter["state"] for letter in inbox.letters()] == ["firing"]
    (row,) = alerts.listed(made.ledger)
    assert (row["state"], row["since"]) == ("firing", NOW)


def test_a_reminder_comes_when_asked_for(tmp_path: Path, inbox: Inbox) -> None:
    """What still fires after `remind_after` hours is told again, under an id of its own."""
    made = project(tmp_path, inbox, remind_after=1)
    for minute in range(0, 130, 10):
        alerts.watch(made, NOW + minute * MINUTE, [failing(fires=True)])
    told = inbox.letters()
    assert [letter["state"] for letter in told] == ["firing", "still firing", "still firing"]
    assert len({letter["id"] for letter in told}) == 3


def test_a_channel_that_is_down_loses_nothing(tmp_path: Path, inbox: Inbox) -> None:
    """The letter waits, the look does not fail, and what was refused is told later, signed."""
    made = project(tmp_path, inbox)
    inbox.answer = 503
    told = alerts.watch(made, NOW, [failing(fires=True)])
    assert (told.sent, told.waiting, told.troubles) == (0, 1, ("hook: answered 503",))
    inbox.answer = 200
    assert alerts.watch(made, NOW + MINUTE, [failing(fires=True)]).sent == 1
    ((_, headers, body),) = inbox.got
    at, _, sign = headers["Octo-Signature"].removeprefix("t=").partition(",v1=")
    assert sign == hmac.new(b"s3cret", f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Idempotency-Key"] == json.loads(body)["id"]


def test_a_secret_that_is_not_set_loses_nothing(
    tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its secret a channel takes nothing, and nothing fails for it."""
    made = project(tmp_path, inbox)
    monkeypatch.delenv("ALERT_SECRET")
    assert alerts.watch(made, NOW, [failing(fires=True)]).waiting == 1
    monkeypatch.setenv("ALERT_SECRET", "s3cret")
    assert alerts.watch(made, NOW, [failing(fires=True)]).sent == 1


KILLED = """
import os, sys
from datetime import datetime
from pathlib import Path
from octo_dagster.config import Project
from octo_dagster.ops.alerts import settle
from octo_dagster.ops.rules import Alerts, Fact
project = Project(Path(sys.argv[1]), Path(sys.argv[1]) / ".octo")
fact = Fact("failed", "job nightly", True, "job_failed", {"run": "1"})
settle([fact], Alerts.of(project), project.ledger, datetime(2026, 11, 22, 12))
os.kill(os.getpid(), 9)
"""


def test_killed_before_telling_it_is_told_by_the_next(tmp_path: Path, inbox: Inbox) -> None:
    """A process that dies after the state is kept and before anybody is told leaves the letter to the next."""
    made = project(tmp_path, inbox)
    died = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=dict(os.environ), check=False)
    assert died.returncode == -9
    alerts.watch(made, NOW + MINUTE, [failing(fires=True)])
    alerts.watch(made, NOW + 2 * MINUTE, [failing(fires=True)])
    assert [letter["state"] for letter in inbox.letters()] == ["firing"]


def test_slack_and_email_are_told_in_words(
    tmp_path: Path, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack's webhook gets its text with angle brackets escaped, people get a letter."""
    monkeypatch.setenv("SLACK", f"{inbox.address}/slack")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.kept = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        mail = {"type": "email", "host": "127.0.0.1", "port": server.server_address[1], "tls": "no"}
        people = {"from": "octo@example.com", "to": ["ops@example.com"]}
        channels = {"slack": {"type": "slack", "url": {"env": "SLACK"}}, "mail": mail | people}
        made = project(tmp_path, inbox, channels=channels)
        told = alerts.watch(
            made, NOW, [Fact("failed", "job nightly", True, "failed", {"error": "1 < 2 & so on"})]
        )
        server.shutdown()
        thread.join()
        assert (told.sent, told.waiting) == (2, 0)
        (letter,) = server.kept  # type: ignore[attr-defined]
    assert "Subject: Alert: job nightly: failed" in letter
    assert "1 < 2 & so on" in letter
    assert "1 &lt; 2 &amp; so on" in inbox.letters("/slack")[0]["text"]


def test_on_postgres_the_same(
    tmp_path: Path, inbox: Inbox, postgres: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger in PostgreSQL keeps the states as SQLite does."""
    monkeypatch.setenv("OCTO_LEDGER", postgres.url.render_as_string(hide_password=False))
    made = project(tmp_path, inbox, steady=0)
    for fires in (True, True, False, False):
        alerts.watch(made, NOW, [failing(fires=fires)])
    assert [letter["state"] for letter in inbox.letters()] == ["firing", "ok"]
    made.ledger.close()


def test_a_mistake_in_the_file_is_named(tmp_path: Path, inbox: Inbox) -> None:
    """An unknown rule, an unknown channel to test, and a channel that refuses are said."""
    with pytest.raises(ConfigError, match=r"alerts.yaml: rules"):
        Alerts.of(project(tmp_path, inbox, rules=["sometimes"]))
    good = project(tmp_path, inbox)
    with pytest.raises(ConfigError, match="there are hook"):
        alerts.try_channel(good, "pager", NOW)
    inbox.answer = 500
    with pytest.raises(Untold, match="500"):
        alerts.try_channel(good, "hook", NOW)


@pytest.mark.parametrize(
    ("value", "usual", "odd"),
    [
        (100, [100, 98, 103, 99, 101, 97, 5000, 102], False),
        (900, [100, 98, 103, 99, 101, 97, 5000, 102], True),
        (0, [100, 98, 103, 99, 101, 97, 5000, 102], True),
        (9, [0] * 10, False),
        (110, [100] * 10, False),
    ],
    ids=["as ever", "many", "none", "few where none are usual", "a little more than always"],
)
def test_what_is_far_from_usual(value: int, usual: list[int], odd: bool) -> None:
    """One odd run among the earlier ones moves nothing; small numbers and small moves are no alarm."""
    assert far(value, usual, 6) is odd


def ran(made: Project, number: int, at: datetime, status: str = "done", **counts: int) -> None:
    """A delivery of the sync `customers` in the ledger, begun at `at`; what it rejected is owed."""
    made.ledger.clock = lambda: at
    made.ledger.begin_run("customers", f"run{number}", "plan")
    keys = [f"c{number}-{n}" for n in range(counts.get("rejected", 0))]
    refused = [Entry(key, key, "added", "rejected", None, None, keep=True, reason="NO") for key in keys]
    made.ledger.settle("customers", f"run{number}", "none", refused, None)
    made.ledger.end_run(f"run{number}", status, {"planned": 100, **counts}, None)


def crm(folder: Path, inbox: Inbox) -> Project:
    """A project with one sync, `customers`, whose alerts recover at once."""
    made = project(folder, inbox, steady=0)
    sync = {
        "destination": {
            "type": "webhook",
            "url": "https://x.example.com/",
            "secret": {"env": "ALERT_SECRET"},
        },
        "key": {"from": "email", "to": "email"},
        "fields": [{"from": "segment", "to": "segment"}],
        "fresh_within": 30,
    }
    (folder / "assets" / "syncs").mkdir()
    (folder / "assets" / "syncs" / "customers.yaml").write_text(yaml.safe_dump(sync))
    return made


def firing(made: Project, at: datetime) -> set[str]:
    """The rules that fire for the sync after a look."""
    alerts.watch(made, at)
    (one,) = status(made, at)
    return set(one.alerts)


def test_what_runs_did_is_what_fires(tmp_path: Path, inbox: Inbox) -> None:
    """Rejected over the share, a full resync, a volume far from usual, a failure and staleness: each from the
    ledger's own runs, each gone when the next run is well."""
    made = crm(tmp_path, inbox)
    for number in range(10):
        ran(made, number, NOW + number * MINUTE)
    alerts.watch(made, NOW + 10 * MINUTE)
    assert alerts.listed(made.ledger) == []

    ran(made, 11, NOW + 11 * MINUTE, rejected=6)
    assert firing(made, NOW + 11 * MINUTE) == {"rejected"}
    keys = [f"c11-{n}" for n in range(6)]
    mended = [Entry(key, key, "added", "accepted", "print", "{}") for key in keys]
    made.ledger.settle("customers", "run11", "none", mended, None)  # those alone, sent again
    assert firing(made, NOW + 11 * MINUTE) == set()
    ran(made, 12, NOW + 12 * MINUTE, full=1, planned=5000)
    assert firing(made, NOW + 12 * MINUTE) == {"full_resync"}
    ran(made, 13, NOW + 13 * MINUTE, planned=900)
    assert firing(made, NOW + 13 * MINUTE) == {"volume"}
    ran(made, 14, NOW + 14 * MINUTE, "failed")
    assert "failed" in firing(made, NOW + 14 * MINUTE)
    ran(made, 15, NOW + 15 * MINUTE)
    assert firing(made, NOW + 15 * MINUTE) == set()
    assert firing(made, NOW + timedelta(hours=40)) == {"stale"}


def test_an_order_is_no_night(tmp_path: Path, inbox: Inbox) -> None:
    """Runs of the live lane and careful tries are not what a night's volume is held against, nor held against
    it; one refused row of theirs is a share of all since the night, many of them are told."""
    made = crm(tmp_path, inbox)
    for number in range(10):
        ran(made, number, NOW + number * MINUTE, planned=100 + number)
    for number in range(10, 50):
        ran(made, number, NOW + number * MINUTE, planned=1, part=1, rejected=int(number == 20))
    assert firing(made, NOW + 50 * MINUTE) == set()
    ran(made, 51, NOW + 51 * MINUTE, planned=105)
    assert firing(made, NOW + 51 * MINUTE) == set()
    for number in range(60, 80):
        ran(made, number, NOW + number * MINUTE, planned=1, part=1, rejected=1)
    assert firing(made, NOW + 80 * MINUTE) == {"rejected"}
    ran(made, 81, NOW + 81 * MINUTE, planned=5000)
    assert firing(made, NOW + 81 * MINUTE) == {"volume"}


DELIVERING = """
import os, sys
from pathlib import Path
from octo_dagster.config import Project
ledger = Project(Path(sys.argv[1]), Path(sys.argv[1]) / ".octo").ledger
with ledger.lock("customers"):
    ledger.begin_run("customers", "run2", "plan")
    os.kill(os.getpid(), 9)
"""


def test_a_delivery_that_is_killed_is_told(tmp_path: Path, inbox: Inbox) -> None:
    """Nobody has to deliver again to learn that a run died; one that is under way is left alone."""
    made = crm(tmp_path, inbox)
    ran(made, 1, NOW)
    with made.ledger.lock("customers"):
        made.ledger.begin_run("customers", "run0", "plan")
        assert firing(made, NOW) == set()
    made.ledger.end_run("run0", "done", {}, None)
    died = subprocess.run(
        [sys.executable, "-c", DELIVERING, str(tmp_path)], env=dict(os.environ), check=False
    )
    assert died.returncode == -9
    later = datetime.now(UTC).replace(tzinfo=None)
    assert "failed" in firing(made, later)
    (row,) = [one for one in alerts.listed(made.ledger) if one["rule"] == "failed"]
    assert row["what"].startswith("Run run2 was interrupted. `octo status`")
    runlog.write(made)
    with made.warehouse.connect() as connection:
        found = connection.sql("select run, status from sync_runs order by run").fetchall()
    assert found == [("run0", "done"), ("run1", "done"), ("run2", "interrupted")]


def test_what_is_no_more_fires_no_more(tmp_path: Path, inbox: Inbox) -> None:
    """The alert of a sync that was renamed, or is muted from now on, does not stand for ever."""
    made = crm(tmp_path, inbox)
    ran(made, 1, NOW, "failed")
    assert firing(made, NOW) == {"failed"}
    syncs = tmp_path / "assets" / "syncs"
    (syncs / "customers.yaml").rename(syncs / "people.yaml")
    alerts.watch(Project(tmp_path, made.home), NOW + MINUTE)
    assert alerts.listed(made.ledger) == []


def test_a_french_project_is_told_in_french(tmp_path: Path, inbox: Inbox) -> None:
    """What is told is in the project's language; a page asks in its visitor's."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "project.yaml").write_text("language: fr\n")
    made = crm(tmp_path, inbox)
    ran(made, 1, NOW, "failed")
    alerts.watch(made, NOW)
    (letter,) = [one for one in inbox.letters() if one["rule"] == "failed"]
    assert letter["what"].startswith("L'exécution run1 a échoué. `octo status`")
    assert (letter["language"], letter["state"]) == ("fr", "firing")
    told = Letter(**{**letter, "at": NOW})
    assert told.title == "Alerte : synchronisation customers : échec"
    (row,) = [one for one in alerts.listed(made.ledger) if one["rule"] == "failed"]
    assert row["what"].startswith("Run run1 failed.")
    alerts.try_channel(made, "hook", NOW)
    assert Letter(**{**inbox.letters()[-1], "at": NOW}).title == "Essai : canal hook : les alertes arrivent"


def test_every_alert_has_its_words() -> None:
    """Each rule, and each state it can be in, has a name in both languages; what a fact wants to say is there."""
    for language in LANGUAGES:
        speaker = Speaker(language)
        for rule in Alerts().rules:
            assert speaker.say(f"alert.rule.{rule}")
        for state in ("firing", "still firing", "ok", "test"):
            assert speaker.say(f"alert.state.{state}")


def test_every_run_is_in_the_warehouse_once(tmp_path: Path, inbox: Inbox) -> None:
    """Runs and lines are appended when they are new, however often they are written; a run under way is not."""
    made = project(tmp_path, inbox)
    ran(made, 1, NOW, accepted=100)
    made.ledger.begin_run("customers", "run2", "plan")
    lines = [Line(n, "added", f"k{n}", f"K{n}", {}, None, None, None) for n in range(3)]
    made.ledger.log("customers", "run1", [unlogged(line, "skipped", "because") for line in lines])
    with made.ledger.lock("customers"):
        assert runlog.write(made) == (1, 3)
        assert runlog.write(made) == (0, 0)
    made.ledger.end_run("run2", "done", {"planned": 2}, None)
    made.ledger.log("customers", "run2", [unlogged(lines[0], "skipped", "because")])
    assert runlog.write(made) == (1, 1)
    with made.warehouse.connect() as connection:
        runs = connection.sql("select run, planned, accepted from sync_runs order by run").fetchall()
        keys = connection.sql("select key, reason from sync_changelog order by id").fetchall()
    assert runs == [("run1", 100, 100), ("run2", 2, None)]
    assert keys == [(f"k{n}", "because") for n in (0, 1, 2, 0)]
