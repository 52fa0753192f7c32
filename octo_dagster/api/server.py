"""The server as a process: uvicorn, without a line of log for who asked after whom."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp


def serve(app: ASGIApp, host: str, port: int, announce: Callable[[str], object]) -> None:
    """Serve the read API, with pages or without, until the process is told to stop; `announce` is given the
    address once it is bound.

    There is no access log: an address may hold an e-mail."""
    with socket.create_server((host, port), backlog=2048) as bound:
        settings = uvicorn.Config(app, access_log=False, log_level="warning", server_header=False)
        announce(f"http://{host}:{bound.getsockname()[1]}")
        uvicorn.Server(settings).run([bound])
