"""Real databases for tests: PostgreSQL, MariaDB where there is one, SQLite; and a door that hangs up at COMMIT."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa


@pytest.fixture(scope="session")
def mysql() -> Iterator[sa.URL]:
    """The database that OCTO_MYSQL names, or one of a MariaDB of this test process's own."""
    pytest.importorskip("pymysql", reason="MySQL's driver is not installed: the extra `mysql`")
    if named := os.environ.get("OCTO_MYSQL"):
        yield sa.make_url(named).set(drivername="mysql+pymysql")
        return
    if shutil.which("mariadbd") is None or shutil.which("mariadb-install-db") is None:
        pytest.skip("there is no mariadbd, and OCTO_MYSQL names no database")
    with tempfile.TemporaryDirectory(prefix="octo-my-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        data = f"--datadir={folder}/data"
        user = ["--user=mysql"] if os.geteuid() == 0 else []
        make = [
            "mariadb-install-db",
            "--no-defaults",
            data,
            "--auth-root-authentication-method=normal",
            *user,
        ]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, timeout=120)
        serve = [
            "mariadbd",
            "--no-defaults",
            data,
            f"--socket={folder}/data/socket",
            "--skip-networking",
            *user,
        ]
        with subprocess.Popen(serve, stderr=subprocess.DEVNULL) as process:
            yield ready(Path(folder, "data", "socket"))
            process.terminate()


def ready(door: Path) -> sa.URL:
    """The address of a database made for the tests, once the server answers at its socket."""
    url = sa.URL.create("mysql+pymysql", "root", query={"unix_socket": str(door)})
    for _ in range(600):
        if door.exists():
            break
        time.sleep(0.1)
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        connection.exec_driver_sql("create database octo")
    return url.set(database="octo")


class Door:
    """A way to PostgreSQL's socket on a port of this machine, that can hang up at COMMIT: `before` it is passed
    on, or `after` it was answered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.faults: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.threads = [threading.Thread(target=self.serve)]

    def serve(self) -> None:
        while True:
            try:
                caller, _ = self.listener.accept()
            except OSError:  # the end
                return
            thread = threading.Thread(target=self.pass_on, args=(caller,))
            self.threads.append(thread)
            thread.start()

    def pass_on(self, caller: socket.socket) -> None:
        """Bytes both ways, until one side ends or a COMMIT is to be lost."""
        with caller, socket.socket(socket.AF_UNIX) as server:
            server.connect(self.path)
            back = threading.Thread(target=pump, args=(server, caller))
            back.start()
            while asked := receive(caller):
                commits = b"COMMIT" in asked
                if commits and self.faults[:1] == ["before"]:
                    self.faults.pop(0)
                    break
                if commits and self.faults[:1] == ["after"]:
                    self.faults.pop(0)
                    caller.shutdown(socket.SHUT_RDWR)
                    server.sendall(asked)
                    time.sleep(0.1)  # for the server to commit
                    break
                server.sendall(asked)
            server.shutdown(socket.SHUT_RDWR)
            back.join()

    def __enter__(self) -> Door:
        self.threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join()


def receive(end: socket.socket) -> bytes:
    try:
        return end.recv(65_536)
    except OSError:
        return b""


def pump(source: socket.socket, target: socket.socket) -> None:
    """Everything one side says, to the other."""
    while told := receive(source):
        try:
            target.sendall(told)
        except OSError:
            return
    try:
        target.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
