"""Where a delivery touches the outside world, and a process that dies there.

`Doom` watches a run from outside, through the interpreter's profiler: our code is as it is. Before and
after every call, every write of the ledger and every commit of its database it counts one boundary, and
at the chosen one the process kills itself with SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import types
from pathlib import Path
from typing import Any

import psycopg

from connectors.destinations.file.places import Folder
from octo_dagster.delivery import draw
from octo_dagster.delivery.courier import Courier
from octo_dagster.delivery.http import Exchange
from octo_dagster.delivery.ledger import Ledger

WATCHED = {
    function.__code__: name
    for name, function in {
        "call": Exchange.once,
        "account": Courier.account,
        "open": Courier.open,
        "send": Courier.send,
        "ask": Courier.ask,
        "confirm": Courier.confirm,
        "read": Courier.read,
        "intend": Ledger.intend,
        "token": Ledger.token,
        "withdraw": Ledger.withdraw,
        "settle": Ledger.settle,
        "doubt": Ledger.doubt,
        "bind": Ledger.bind,
        "begin_run": Ledger.begin_run,
        "end_run": Ledger.end_run,
        "plan": draw.write,
        "commit": psycopg.Connection.commit,
        "file": Folder.stage_as,
    }.items()
}


class Doom:
    """Kill this process at the n-th boundary; with n = 0 only count them."""

    def __init__(self, at: int, witness: Path) -> None:
        self.at = at
        self.witness = witness
        self.seen = 0

    def __enter__(self) -> Doom:
        sys.setprofile(self.watch)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        self.witness.write_text(f"{self.seen} survived")

    def watch(self, frame: types.FrameType, event: str, what: Any) -> None:
        name = WATCHED.get(frame.f_code) if event in ("call", "return") else None
        if name is not None:
            self.boundary(f"{'before' if event == 'call' else 'after'} {name}")
        elif event in ("c_call", "c_return") and is_commit(what):
            self.boundary(f"{'before' if event == 'c_call' else 'after'} commit")

    def boundary(self, name: str) -> None:
        self.seen += 1
        if self.seen == self.at:
            self.witness.write_text(f"{self.seen} {name}")
            os.kill(os.getpid(), signal.SIGKILL)


def is_commit(what: Any) -> bool:
    """Whether a C function is a database connection's commit."""
    owner = getattr(what, "__self__", None)
    return getattr(what, "__name__", "") == "commit" and isinstance(owner, sqlite3.Connection)
