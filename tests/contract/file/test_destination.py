"""What is particular to files: whose file it is, in what order, who is in a file of changes, real folders."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.courier import Surroundings
from octo_dagster.run import Report, verify_only
from tests.contract.file.sftp_server import PASSWORD, USER, Server
from tests.contract.sitting import Sitting, build
from tests.vendors.file import BUCKET, FILE
from tests.world import World, row

SAID: dict[str, Any] = {
    "reads": "customer_profile",
    "destination": {"type": "file", "name": "calls.csv"},
    "mode": "mirror",
    "key": {"from": "email", "to": "email"},
    "fields": [{"from": "segment", "to": "segment"}, {"from": "orders", "to": "orders"}],
    "guards": {"max_removed": "100%", "max_changed": "100%"},
    "verify": 1.0,
}


class Shop(World):
    """A world without a sandbox: a real folder, a real server."""

    @property
    def around(self) -> Surroundings:
        return Surroundings(sleep=self.slept.append)

    def to(self, place: dict[str, Any], **said: Any) -> Shop:
        """Deliver there, these settings of the destination changed."""
        self.say(**SAID | {"destination": {**SAID["destination"], "to": place, **said}})
        return self

    def day(self, *numbers: int, **changed: Any) -> Report:
        """A day on which these customers are in the audience."""
        self.have([row(n, **changed) for n in numbers])
        return self.deliver(allow=True)


@pytest.fixture
def exports(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


@pytest.fixture
def shop(tmp_path: Path, exports: Path) -> Shop:
    return Shop(tmp_path, None, "file").to({"folder": str(exports)})  # type: ignore[arg-type]


def held(path: Path) -> list[tuple[str, str]]:
    """E-mail and orders, in the file's order."""
    rows = csv.DictReader(io.StringIO(path.read_text("utf-8"), newline=""))
    return [(found["email"].partition("@")[0], found["orders"]) for found in rows]


def test_a_real_folder_holds_the_audience(shop: Shop, exports: Path) -> None:
    """People enter, change and leave; the file is the audience, and no call is made for it."""
    assert shop.day(1, 2, 3).exit_code == 0
    assert held(exports / "calls.csv") == [("customer1", "1"), ("customer2", "2"), ("customer3", "3")]
    assert (exports / "calls.csv").stat().st_mode & 0o777 == 0o600
    report = shop.day(4, 2, orders=9)
    assert (report.exit_code, report.tally.accepted, report.calls) == (0, 4, 0)
    assert held(exports / "calls.csv") == [("customer2", "9"), ("customer4", "9")]
    assert shop.day(4, 2, orders=9).planned == 0
    assert [path.name for path in exports.iterdir()] == ["calls.csv"]


def test_a_call_list_is_ranked(shop: Shop, exports: Path) -> None:
    """`order_by` puts the greatest number first, text in its order, and whoever has no value last."""
    shop.to({"folder": str(exports)}, order_by=["-orders", "segment"])
    shop.have([row(9), row(10), row(100), row(3, orders=None), row(8, orders=10)]).deliver()
    names = [name for name, _ in held(exports / "calls.csv")]
    assert names == ["customer100", "customer8", "customer10", "customer9", "customer3"]
    refused = Shop(shop.folder / "other", None, "file").to({"folder": str(exports)}, order_by="score").day(1)  # type: ignore[arg-type]
    assert (refused.exit_code, "order_by" in str(refused.error)) == (7, True)


def test_a_ranking_by_a_column_that_is_not_there_yet(shop: Shop, exports: Path) -> None:
    """Removals go first, to a file that may lack what it is to be ranked by: they are carried out all the same."""
    shop.to({"folder": str(exports)}, order_by="-orders")
    shop.have([row(1), row(2), row(3)]).deliver()
    lines = (exports / "calls.csv").read_text("utf-8").splitlines()
    bare = [line.replace("orders", "old") for line in lines]
    (exports / "calls.csv").write_text("\r\n".join([*bare, ""]), "utf-8", newline="")
    assert shop.have([row(1, orders=4), row(3, orders=9)]).deliver(allow=True).exit_code == 0
    assert [name for name, _ in held(exports / "calls.csv")] == ["customer3", "customer1"]


def test_somebody_elses_file_is_not_written_over(shop: Shop, exports: Path) -> None:
    """A file without the key's column, or with a key twice, needs a person and stays as it is."""
    for theirs, reason in (("name;phone\r\nZoë;1\r\n", "did not write"), ("email\r\na\r\na\r\n", "row 3 ")):
        (exports / "calls.csv").write_text(theirs, "utf-8", newline="")
        report = shop.day(1)
        assert (report.exit_code, reason in str(report.error)) == (7, True)
        assert (exports / "calls.csv").read_bytes() == theirs.encode()


def test_a_row_that_somebody_else_put_there_stays(shop: Shop, exports: Path) -> None:
    """Who leaves loses the row Octo made for him; of one that was there before, only what Octo wrote goes."""
    file = exports / "calls.csv"
    file.write_text("email,note\r\ncustomer1@example.com,prefers evenings\r\n", "utf-8")
    assert shop.day(1, 2).exit_code == 0
    assert held(file) == [("customer1", "1"), ("customer2", "2")]
    assert shop.day(3).exit_code == 0
    assert file.read_text("utf-8").splitlines() == [
        "email,note,segment,orders",
        "customer1@example.com,prefers evenings,,",
        "customer3@example.com,,best,3",
    ]
    assert shop.deliver().planned == 0


def test_a_file_that_was_taken_away_is_told_of(shop: Shop, exports: Path) -> None:
    """Whoever takes the file away is found out by the next delivery's check, and `--full` writes it anew."""
    shop.day(1, 2, 3)
    (exports / "calls.csv").unlink()
    report = shop.day(1, 2, 3, 4)
    assert report.exit_code == 4
    assert report.verified is not None
    assert len(report.verified.drifts) == 3
    assert shop.deliver(allow=True).exit_code == 0
    assert sorted(held(exports / "calls.csv")) == [(f"customer{n}", str(n)) for n in (1, 2, 3, 4)]


def test_types_are_known_without_a_delivery(shop: Shop, exports: Path) -> None:
    """Verifying alone, in a new process, tells a true checkbox from the word, and a number from its spelling."""
    fields = [
        {"from": "consent", "to": "consent"},
        {"constant": "true", "to": "word"},
        {"from": "revenue", "to": "r"},
    ]
    shop.to({"folder": str(exports)}, csv={"decimal": ",", "delimiter": ";"}).say(fields=fields)
    shop.have([row(1, revenue=12), row(2, consent=False)]).deliver()
    assert b"customer1@example.com;true;true;12,00\r\n" in (exports / "calls.csv").read_bytes()
    found = verify_only(shop.sync, shop.project, 1.0, shop.around)
    assert (found.compared, found.drifts) == (2, ())


def test_a_workbook_keeps_what_a_person_wrote(shop: Shop, exports: Path) -> None:
    """A note a person wrote beside a row is on that row after others came and left."""
    shop.to({"folder": str(exports)}, name="calls.xlsx")
    shop.day(1, 2, 3)
    book = openpyxl.load_workbook(exports / "calls.xlsx")
    book.active["D1"], book.active["D3"] = "note", "call after six"
    book.save(exports / "calls.xlsx")
    assert shop.day(2, 4).exit_code == 0
    rows = list(openpyxl.load_workbook(exports / "calls.xlsx").worksheets[0].iter_rows(values_only=True))
    assert rows[1:] == [
        ("customer2@example.com", "lost", 2, "call after six"),
        ("customer4@example.com", "new", 4, None),
    ]


def changes(exports: Path) -> list[list[list[str]]]:
    """The rows of each file of changes, in the order in which they were made."""
    found = sorted(exports.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert all(path.name.startswith("calls-20") for path in found)
    return [list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))[1:] for path in found]


def test_each_person_is_in_one_file_of_entrants(shop: Shop, exports: Path) -> None:
    """`create_only`: whoever is new is in a new file, once for ever, whatever becomes of him."""
    shop.to({"folder": str(exports)}, holds="changes").say(mode="create_only")
    for numbers in ((1, 2), (1, 2), (2, 3), (1, 3), (1, 2, 3, 4)):
        assert shop.day(*numbers).exit_code == 0
    assert [[found[0] for found in rows] for rows in changes(exports)] == [
        ["customer1@example.com", "customer2@example.com"],
        ["customer3@example.com"],
        ["customer4@example.com"],
    ]


def test_a_file_of_changes_says_which(shop: Shop, exports: Path) -> None:
    """With a `change_column` a mirror says who is put and who is removed; without, it refuses to remove."""
    place = {"folder": str(exports)}
    shop.to(place, holds="changes", change_column="what").day(1, 2)
    assert shop.day(2, orders=9).exit_code == 0
    assert changes(exports) == [
        [["customer1@example.com", "new", "1", "put"], ["customer2@example.com", "lost", "2", "put"]],
        [["customer1@example.com", "removed"]],
        [["customer2@example.com", "lost", "9", "put"]],
    ]
    report = shop.to(place, holds="changes").day(3)
    assert (report.exit_code, "change_column" in str(report.error)) == (7, True)


def test_an_sftp_server_that_hangs_up_at_every_turn(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the server does, one delivery settles it: the file is the audience, each change is in one file."""
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    faults = (
        ["drop_at_open"],
        ["drop_before"],
        ["drop_after"],
        ["drop_before", "drop_after", "drop_at_open"],
    )
    with Server(tmp_path) as server:
        place = {"sftp": "127.0.0.1", "port": server.port, "user": USER, "folder": "exports"}
        place |= {"password": {"env": "SFTP_PASSWORD"}, "host_key": server.host_key}
        shop.to(place)
        for day, fault in enumerate(faults, start=1):
            server.faults += fault
            assert shop.day(*range(day, day + 5), orders=day).exit_code == 0
            assert sorted(held(tmp_path / "exports" / "calls.csv")) == [
                (f"customer{n}", str(day)) for n in range(day, day + 5)
            ]
        (tmp_path / "exports" / "calls.csv").unlink()
        entrants = Shop(tmp_path / "entrants", None, "file").to(place, holds="changes")  # type: ignore[arg-type]
        entrants.say(mode="create_only")
        for day, fault in enumerate(faults, start=1):
            server.faults += fault
            told = entrants.day(*range(day * 3)).exit_code
            assert told == (6 if len(fault) > 1 else 0)  # it hung up while it was asked, too
        assert entrants.day(*range(12)).exit_code == 0
    hidden = [path for path in (tmp_path / "exports").iterdir() if path.name.startswith(".")]
    for path in hidden:
        path.unlink()  # what was on its way when the server hung up: nobody's
    people = [found[0] for rows in changes(tmp_path / "exports") for found in rows]
    assert sorted(people) == sorted(f"customer{n}@example.com" for n in range(12))


def test_in_the_sandbox_no_real_folder_is_touched(tmp_path: Path, exports: Path, sandbox: Sandbox) -> None:
    """With a sandbox, folders and servers are folders of the sandbox's own."""
    server = {"sftp": "files.example.com", "user": "octo", "password": {"env": "P"}}
    server |= {"host_key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJcTqkQ0nrFgMbvVEGpUAuq0SO6vE4dnJpKYAFRiSgXV"}
    for place in ({"folder": str(exports)}, server):
        world = World(tmp_path / str(len(place)), sandbox, "file")
        world.say(**SAID | {"destination": {**SAID["destination"], "to": place}}).have([row(1)])
        assert world.deliver().exit_code == 0
    assert list(exports.iterdir()) == []
    tables = sandbox.twin("file").holdings()
    assert [[found["email"] for found in rows] for rows in tables.values()] == [["customer1@example.com"]] * 2
    assert {table.rpartition("/")[2] for table in tables} == {"calls.csv"}


@pytest.fixture
def bucket(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sitting]:
    for name, value in FILE.env.items():
        monkeypatch.setenv(name, value)
    made = Sitting(FILE, sandbox.address)
    yield made
    made.http.close()


def test_a_bucket_written_to_meanwhile_is_read_again(
    tmp_path: Path, sandbox: Sandbox, bucket: Sitting
) -> None:
    """Somebody's write between our reading and our writing is not lost: S3 says so, and the file is read again."""
    world = World(tmp_path, sandbox, "file").say(**SAID | {"destination": FILE.settings})
    world.have([row(1)]).deliver()
    sandbox.fault("file", "written_meanwhile")
    assert world.have([row(1), row(2)]).deliver().exit_code == 0
    assert [c.status for c in sandbox.calls("file") if c.method == "PUT"] == [200, 412, 200]
    bucket.upsert({"ada@example.com": {"text": "x"}})
    survey = bucket.destination.survey(bucket.api)
    assert (list(survey.fields)[:3], survey.keys) == (["email", "segment", "orders"], ("email",))


def test_a_file_of_changes_in_a_bucket(tmp_path: Path, sandbox: Sandbox, bucket: Sitting) -> None:
    """Staged, copied to its name, the staged one gone; a lost answer to any of it makes no second file."""
    said = {**FILE.settings, "name": "new.csv", "holds": "changes", "to": {**BUCKET, "folder": "mail"}}
    world = World(tmp_path, sandbox, "file").say(**SAID | {"destination": said, "mode": "create_only"})
    for day, method in enumerate(("PUT", "DELETE", "HEAD"), start=1):
        sandbox.fault("file", "drop_after", method=method)
        assert world.have([row(n) for n in range(day * 2)]).deliver().exit_code == 0
    files = {name: rows for name, rows in sandbox.twin("file").holdings().items() if "/." not in name}
    people = [found["email"] for rows in files.values() for found in rows]
    assert sorted(people) == [f"customer{n}@example.com" for n in range(6)]
    assert all(name.startswith("octo-exports/mail/new-20") for name in files)


def test_the_yaml_says_where(bucket: Sitting) -> None:
    """A place of no kind, a name with a folder in it, another ending: refused, and told what would do."""
    for wrong, words in (
        ({"to": {"ftp": "x"}}, "name one of folder, sftp, bucket"),
        ({"name": "in/calls.csv"}, "name"),
        ({"name": "calls.txt"}, "name"),
        ({"to": {**BUCKET, "endpoint": "http://minio"}}, "must be https"),
    ):
        with pytest.raises(ValueError, match=words):
            build(FILE, wrong)
