"""What every place promises: files whole or not at all, one writer at a time, and published once."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from connectors.destinations.file.places import FORGOTTEN_SECONDS, STALE_SECONDS, Place, ToFolder, part
from connectors.destinations.file.sftp import ToSftp
from connectors.sandbox.server import Sandbox
from octo_dagster.errors import Fatal, Retryable, Unanswered
from tests.contract.file.sftp_server import PASSWORD, USER, Server
from tests.contract.sitting import Sitting
from tests.vendors.file import FILE

WORLD = requests.Session()
"""A session that leads to no sandbox."""


@dataclass
class Ground:
    """A place, and a look at what is really there."""

    place: Place
    names: Callable[[], set[str]]
    folder: Path | None = None
    """Where the files are on this machine; a bucket's are nowhere on it."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "in").mkdir()
    with Server(tmp_path) as running:
        yield running


def to_server(server: Server, **said: Any) -> ToSftp:
    said = {"password": {"env": "SFTP_PASSWORD"}, "host_key": server.host_key} | said
    return ToSftp.model_validate(
        {"sftp": "127.0.0.1", "port": server.port, "user": USER, "folder": "in", **said}
    )


@pytest.fixture(params=["folder", "sftp", "bucket"])
def ground(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ground]:
    """Each kind of place, empty."""
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    for name, value in FILE.env.items():
        monkeypatch.setenv(name, value)
    if request.param == "bucket":
        sandbox: Sandbox = request.getfixturevalue("sandbox")
        sitting = Sitting(FILE, sandbox.address)
        yield Ground(sitting.api.place, lambda: set(sandbox.twin("file").buckets["octo-exports"]))
        sitting.http.close()
        return
    if request.param == "sftp":
        place = to_server(request.getfixturevalue("server")).place(WORLD)
        folder = tmp_path / "in"
        yield Ground(place, lambda: {path.name for path in folder.iterdir()}, folder)
        return
    local = ToFolder(folder=str(tmp_path)).place(WORLD)
    yield Ground(local, lambda: {path.name for path in tmp_path.iterdir()}, tmp_path)


def test_a_file_is_there_as_it_was_put(ground: Ground) -> None:
    """What is put is got back byte for byte; nothing else is left lying about."""
    assert ground.place.get("a.csv") is None
    assert ground.place.mark("a.csv") is None
    ground.place.put("a.csv", "é\r\n".encode() * 100_000, None)
    held = ground.place.get("a.csv")
    assert held is not None
    assert held[0] == "é\r\n".encode() * 100_000
    assert ground.place.mark("a.csv") == held[1]
    ground.place.put("a.csv", b"shorter", held[1])
    assert (ground.place.get("a.csv") or (b"",))[0] == b"shorter"
    assert ground.names() == {"a.csv"}


def test_of_two_writers_the_second_is_told(ground: Ground) -> None:
    """Whoever read an older file than the one that is there writes nothing, and may read again."""
    ground.place.put("a.csv", b"first", None)
    mark = ground.place.mark("a.csv")
    ground.place.put("a.csv", b"by somebody else", mark)
    for seen in (mark, None):
        with pytest.raises(Retryable):
            ground.place.put("a.csv", b"too late", seen)
    assert (ground.place.get("a.csv") or (b"",))[0] == b"by somebody else"
    assert ground.names() == {"a.csv"}


def test_a_file_that_was_taken_away_is_not_there(ground: Ground) -> None:
    """Writing over a file that is gone is refused too: it may have been picked up."""
    with pytest.raises((Retryable, Fatal)):
        ground.place.put("a.csv", b"content", "12 34 56")
    assert ground.names() == set()


def test_a_staged_file_is_published_once(ground: Ground) -> None:
    """It is hidden until it has its name; published again, or after somebody picked it up, it does not return."""
    ground.place.stage("b.csv", b"content")
    assert ground.names() == {part("b.csv")}
    ground.place.publish("b.csv")
    ground.place.publish("b.csv")
    assert ground.names() == {"b.csv"}
    assert (ground.place.get("b.csv") or (b"",))[0] == b"content"


def test_a_folder_is_private_and_never_made(tmp_path: Path) -> None:
    """A new file is for Octo's user alone, one that is there keeps its permissions; no folder is made."""
    place = ToFolder(folder=str(tmp_path)).place(WORLD)
    place.put("a.csv", b"content", None)
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o600
    (tmp_path / "a.csv").chmod(0o640)
    place.put("a.csv", b"more", place.mark("a.csv"))
    assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == 0o640
    missing = ToFolder(folder=str(tmp_path / "not-mounted")).place(WORLD)
    calls: list[Callable[[], object]] = [
        lambda: missing.put("a.csv", b"", None),
        lambda: missing.publish("a.csv"),
        lambda: missing.get("a.csv"),
    ]
    for call in calls:
        with pytest.raises(Fatal, match="not-mounted"):
            call()


def test_what_a_killed_delivery_left_is_swept(ground: Ground) -> None:
    """An unfinished file of long ago is taken away; one of now may be another delivery's, and one that was
    whole may still be asked for, until a week is over. What is not Octo's stays."""
    if ground.folder is None:
        pytest.skip("a bucket has no unfinished files, and its own rules for old ones")
    now, hour, week = time.time(), STALE_SECONDS + 60, FORGOTTEN_SECONDS + 60
    ages: dict[str, float] = {
        ".a[1].csv.0123abcd.part": hour,
        ".a[1].csv.0123abce.part": 0,
        ".a[1]-2026-03-01-120000-0123abcd.csv.part": week,
        ".a[1]-2026-03-01-120000-0123abce.csv.part": hour,
        ".other-2026-03-01-120000-0123abcd.csv.part": week,
        ".a[1].csv.part": week,
        "a[1]-2026-03-01-120000-0123abcd.csv": week,
    }
    for name, age in ages.items():
        (ground.folder / name).write_bytes(b"personal data")
        os.utime(ground.folder / name, (0, now - age))
    ground.place.put("a[1].csv", b"content", None)
    ground.place.stage("a[1]-2026-03-09-120000-89abcdef.csv", b"content")
    swept = {".a[1].csv.0123abcd.part", ".a[1]-2026-03-01-120000-0123abcd.csv.part"}
    made = {"a[1].csv", ".a[1]-2026-03-09-120000-89abcdef.csv.part"}
    assert ground.names() == set(ages) - swept | made


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """While a folder's file is written over and over, whoever opens it finds one whole version."""
    place = ToFolder(folder=str(tmp_path)).place(WORLD)
    versions = [bytes([65 + n]) * 300_000 for n in range(26)]
    place.put("a.csv", versions[0], None)
    seen, done = set(), threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.add((tmp_path / "a.csv").read_bytes())

    reader = threading.Thread(target=look)
    reader.start()
    for version in versions:
        place.put("a.csv", version, place.mark("a.csv"))
    done.set()
    reader.join()
    assert seen <= set(versions)


def test_a_server_that_hangs_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the renaming nothing was done, at the renaming nobody knows; either way the file is whole."""
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    place = to_server(server).place(WORLD)
    place.put("a.csv", b"old", None)
    for fault, error, held in (
        ("drop_at_open", Retryable, b"old"),
        ("drop_before", Unanswered, b"old"),
        ("drop_after", Unanswered, b"new"),
    ):
        mark = place.mark("a.csv")
        server.faults.append(fault)
        with pytest.raises(error):
            place.put("a.csv", b"new", mark)
        assert (server.root / "in" / "a.csv").read_bytes() == held


def test_who_the_server_is_and_who_octo_is(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another host key, a wrong password or a missing folder need a person; no server may be tried again."""
    monkeypatch.setenv("SFTP_PASSWORD", "wrong")
    with pytest.raises(Fatal, match="refuses octo"):
        to_server(server).place(WORLD).get("a.csv")
    monkeypatch.setenv("SFTP_PASSWORD", PASSWORD)
    other = paramiko.ECDSAKey.generate()
    strange = to_server(server, host_key=f"files.example.com {other.get_name()} {other.get_base64()}")
    rsa = to_server(server, host_key="ssh-rsa " + paramiko.RSAKey.generate(2048).get_base64())
    for place in (strange, rsa):
        with pytest.raises(Fatal, match="another key than host_key"):
            place.place(WORLD).get("a.csv")
    with pytest.raises(Fatal, match="does not let Octo write"):
        to_server(server, folder="nowhere").place(WORLD).put("a.csv", b"", None)
    server.renames_over = False
    place_ = to_server(server).place(WORLD)
    place_.put("a.csv", b"old", None)
    with pytest.raises(Fatal, match="posix-rename"):
        place_.put("a.csv", b"new", place_.mark("a.csv"))
    closed = to_server(server, port=1)
    with pytest.raises(Retryable, match="cannot connect"):
        closed.place(WORLD).get("a.csv")


def test_a_place_that_cannot_be_meant_is_refused() -> None:
    """No pinned key, no way in or two, a relative folder: the file is refused before anything runs."""
    good = {"sftp": "h", "user": "octo", "password": {"env": "P"}, "host_key": "ssh-ed25519 " + "A" * 68}
    for wrong in ({"host_key": "trust me"}, {"password": None}, {"key": {"env": "K"}}):
        with pytest.raises(ValueError, match=r"host_key|give one of"):
            ToSftp.model_validate(good | wrong)
    with pytest.raises(ValueError, match="whole path"):
        ToFolder(folder="exports")


@pytest.mark.skipif(shutil.which("sftp") is None, reason="OpenSSH's sftp is not installed")
def test_openssh_reads_what_octo_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSH's own client signs in at the same server with the same key, and gets the file Octo put there."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    monkeypatch.setenv("SFTP_KEY", pem.decode())
    (tmp_path / "in").mkdir()
    (tmp_path / "id").write_bytes(pem)
    (tmp_path / "id").chmod(0o600)
    with Server(tmp_path, paramiko.Ed25519Key.from_private_key(io.StringIO(pem.decode()))) as server:
        to = to_server(server, password=None, key={"env": "SFTP_KEY"})
        to.place(WORLD).put("a.csv", "Zoë\r\n".encode(), None)
        (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {server.host_key}\n")
        options = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={tmp_path / 'known'}"]
        command = ["sftp", "-q", "-F", "none", "-P", str(server.port), "-i", str(tmp_path / "id"), *options]
        subprocess.run(
            [*command, f"{USER}@127.0.0.1:in/a.csv", str(tmp_path / "got")], check=True, timeout=30
        )
    assert (tmp_path / "got").read_bytes() == "Zoë\r\n".encode()
