"""Databases of the sandbox's own, where real ones are while Octo delivers to the sandbox.

A database needs no twin but a lock on the real one: each name gets a SQLite file, private to this user and
gone with the sandbox, whose table `customers` refuses addresses at `nowhere` by a CHECK. User `octo`,
password `sandbox-password`.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import weakref
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import Twin, route

USER, PASSWORD = "octo", "sandbox-password"

CUSTOMERS = """create table customers (
    email text not null primary key check (email not like '%@nowhere'),
    note text)"""


class SqlTable(Twin):
    """As many databases as are asked for."""

    name = "sql_table"
    keys: ClassVar[Mapping[str, str]] = {
        "SQL_TABLE_ADDRESS": f"postgresql://{USER}:{PASSWORD}@db.example.com/shop"
    }
    settings: ClassVar[Mapping[str, str]] = {"table": "customers"}
    own_faults = frozenset()

    def reset(self) -> None:
        self.root: Path | None = None

    def file(self, database: str) -> Path:
        """A database's file, made when it is first asked for."""
        if self.root is None:
            self.root = Path(tempfile.mkdtemp(prefix="octo-sandbox-"))
            weakref.finalize(self, shutil.rmtree, self.root, ignore_errors=True)
        path = self.root / f"{database}.sqlite"
        if not path.exists():
            with closing(sqlite3.connect(path)) as connection:
                connection.execute(CUSTOMERS)
        return path

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        held: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(self.root.glob("*.sqlite")) if self.root else ():
            with closing(sqlite3.connect(path)) as connection:
                connection.row_factory = sqlite3.Row
                names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
                for (name,) in names:
                    rows = connection.execute(f'select * from "{name}"').fetchall()
                    held[f"{path.stem}.{name}"] = [dict(row) for row in rows]
        return held

    def authenticate(self, request: Request) -> Response | None:
        given = request.authorization
        if given is None or (given.username, given.password) != (USER, PASSWORD):
            return Response("password authentication failed", status=401)
        return None

    @route("GET", "/<database>")
    def lend(self, request: Request, database: str) -> Response:
        """Where this database is."""
        return Response(json.dumps({"path": str(self.file(database))}), mimetype="application/json")
