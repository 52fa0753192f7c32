"""Signing in: by a key, or by the link `octo serve` printed; and signing out."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from octo_dagster.pages.door import SESSION, cookie
from octo_dagster.pages.render import page as shown
from octo_dagster.pages.sessions import LASTS, Sessions

router = APIRouter()


def sessions(request: Request) -> Sessions:
    made: Sessions = request.app.state.sessions
    return made


@router.get("/signin")
def ask(request: Request, next: str = "/", once: str = "") -> Response:  # noqa: A002 - the address says so
    """The form; or straight in, by the link of the terminal."""
    if once:
        token = sessions(request).by_link(once)
        if token is not None:
            return entered(request, token, next)
        return shown(request, "templates/signin.html", 403, next=inside(next), problem="signin.used")
    return shown(request, "templates/signin.html", next=inside(next), problem=None)


@router.post("/signin")
def sign_in(
    request: Request,
    key: Annotated[str, Form(max_length=200)] = "",
    next: Annotated[str, Form(max_length=2_000)] = "/",  # noqa: A002 - the form's field
) -> Response:
    """A session for who has a key; who has a wrong one is told nothing more, and after some to wait. A right
    key never waits: behind a proxy that is not known as one, all visitors have one address."""
    held, address = sessions(request), request.client.host if request.client else ""
    token = held.by_key(key.strip())
    if token is None and held.waits(address):
        return shown(request, "templates/signin.html", 429, next=inside(next), problem="signin.wait")
    if token is None:
        held.missed(address)
        return shown(request, "templates/signin.html", 403, next=inside(next), problem="signin.wrong")
    return entered(request, token, next)


@router.post("/signout")
def sign_out(request: Request) -> Response:
    """End the session, here and on the server."""
    sessions(request).end(cookie(request.headers, SESSION))
    gone = RedirectResponse("/signin", 303)
    gone.delete_cookie(SESSION)
    return gone


def entered(request: Request, token: str, wanted: str) -> Response:
    """To where he wanted to go, with the cookie that is his session."""
    reply = RedirectResponse(inside(wanted), 303)
    secure = "https" in (request.url.scheme, urlsplit(request.headers.get("origin", "")).scheme)
    reply.set_cookie(SESSION, token, LASTS, httponly=True, samesite="strict", secure=secure)
    return reply


def inside(wanted: str) -> str:
    """An address of these pages; home for any other, however it is spelled."""
    plain = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if plain else "/"
