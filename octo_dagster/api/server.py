"""The read API as a process: uvicorn, without a line of log for who asked after whom."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn

from octo_dagster.api.app import app
from octo_dagster.config import Project


def serve(project: Project, host: str, port: int, announce: Callable[[str], object]) -> None:
    """Serve until the process is told to stop; `announce` is given the address once it is bound.

    There is no access log: an address may hold an e-mail."""
    with socket.create_server((host, port), backlog=2048) as bound:
        settings = uvicorn.Config(app(project), access_log=False, log_level="warning", server_header=False)
        announce(f"http://{host}:{bound.getsockname()[1]}")
        uvicorn.Server(settings).run([bound])
