"""The server as a process: uvicorn, without a line of log for who asked after whom."""

from __future__ import annotations

import gc
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from octo_dagster.api.patience import Patient

SHARED = 0.0005
"""Seconds a thread that makes a large page of a table keeps the interpreter from who answers web pages."""
CONNECTIONS = 900
"""At once; below the files a process may usually have open (1,024)."""


def serve(app: ASGIApp, host: str, port: int, announce: Callable[[str], object]) -> None:
    """Serve the read API, with pages or without, until the process is told to stop; `announce` is given the
    address once it is bound.

    There is no access log: an address may hold an e-mail."""
    with socket.create_server((host, port), backlog=2048) as bound:
        announce(f"http://{host}:{bound.getsockname()[1]}")
        sys.setswitchinterval(SHARED)
        gc.freeze()  # what was imported is never garbage: not looking at it again saves a tenth of a second
        uvicorn.Server(settings(app)).run([bound])


def settings(app: ASGIApp, connection: type[Patient] = Patient) -> uvicorn.Config:
    """How it is served: no end of nothing. Past the last connection there may be, the answer is 503."""
    return uvicorn.Config(
        app,
        http=connection,
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        limit_concurrency=CONNECTIONS,
    )
