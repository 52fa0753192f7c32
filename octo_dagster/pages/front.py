"""What `octo serve` serves: the read API and the pages in one process, each behind its own door."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from socket import gethostbyname

from starlette.types import ASGIApp, Receive, Scope, Send

from octo_dagster.api.app import app as api
from octo_dagster.api.gate import OPEN
from octo_dagster.config import Project
from octo_dagster.pages.app import app as pages
from octo_dagster.pages.sessions import Sessions


class Front:
    """Sends programs to the API (`/v1/…` and what is open of it) and people to the pages."""

    def __init__(self, api: ASGIApp, pages: ASGIApp) -> None:
        self.api, self.pages = api, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        programs = scope["type"] == "lifespan" or path == "/v1" or path.startswith("/v1/") or path in OPEN
        await (self.api if programs else self.pages)(scope, receive, send)


def front(project: Project, sessions: Sessions) -> ASGIApp:
    """The API and the pages of one project."""
    return Front(api(project), pages(project, sessions))


def served(project: Project, host: str, *, pages: bool) -> tuple[ASGIApp, Callable[[str], str]]:
    """What to serve, and what to tell the person at the terminal of an address: on this machine alone, a link
    that signs him in, once."""
    if not pages:
        return api(project), lambda address: f"Octo answers at {address}/v1"
    sessions = Sessions(project.home)
    alone = ip_address(gethostbyname(host)).is_loopback

    def words(address: str) -> str:
        way = (
            f"{address}/signin?once={sessions.link()}" if alone else f"{address} (octo keys add NAME --pages)"
        )
        return f"Octo answers at {address}/v1\nPages: {way}"

    return front(project, sessions), words
