"""The way in to the pages: who looks, in which language, who sent a form, what a browser may load."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from octo_dagster.pages.board import Board, one_page
from octo_dagster.pages.pictures import picture_hosts
from octo_dagster.pages.sessions import Sessions, Visitor
from octo_dagster.words import LANGUAGES, Speaker, language_of

SESSION, LANGUAGE = "octo_session", "octo_language"
"""Cookies."""
SIGN_IN = "/signin"
STATIC = "/static/"
"""What is shown to everybody: the one address, and all below the other."""
MOST_BYTES = 200_000
"""Of a form."""
YEAR = 365 * 24 * 3600


class Door:
    """Lets who has a session through; `request.state` then holds `visitor` and `speaker`."""

    def __init__(self, app: ASGIApp, board: Board, sessions: Sessions) -> None:
        self.app, self.board, self.sessions = app, board, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with one_page():
            await self.show(scope, receive, send)

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request for a page."""
        request = Request(scope)
        # in a thread: what is read for it must not hold up the read API, which this loop answers too
        said, visitor, policy = await run_in_threadpool(self.met, request)
        scope.setdefault("state", {}).update(speaker=said, visitor=visitor)
        going = guarded(send, policy, chosen(request))
        if (refused := strange(request)) is not None:
            await refused(scope, receive, going)
        elif visitor is None and not open_to_all(scope["path"]):
            await ask_to_sign_in(request)(scope, receive, going)
        else:
            await self.app(scope, receive, going)

    def met(self, request: Request) -> tuple[Speaker, Visitor | None, str]:
        """Who speaks to whom, and what the page may load."""
        return self.heard(request), self.sessions.who(cookie(request.headers, SESSION)), self.policy()

    def heard(self, request: Request) -> Speaker:
        """Who speaks to this visitor."""
        asked, kept = request.query_params.get("lang"), cookie(request.headers, LANGUAGE)
        accepted = request.headers.get("accept-language", "")
        settings = self.board.settings
        return Speaker(language_of(asked, kept, accepted, settings.language), self.board.currency)

    def policy(self) -> str:
        """What a page may load: what this server has, and the shop's own pictures of its products."""
        pictures = " ".join(["'self'", "data:", *picture_hosts(self.board)])
        return (
            f"default-src 'none'; script-src 'self'; style-src 'self'; img-src {pictures};"
            " connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none';"
            " frame-ancestors 'none'"
        )


def open_to_all(path: str) -> bool:
    """Whether who has not signed in may see it. `path` is what is routed by: an address put together again
    from the Host header could name another."""
    return path == SIGN_IN or path.startswith(STATIC)


def cookie(headers: Headers, name: str) -> str:
    """A cookie's value; empty without it."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def host_of(origin: str) -> str | None:
    """The host of an address, with its port; None where there is none to be read."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def strange(request: Request) -> Response | None:
    """The refusal of a form that is too long, or that another site's page sent; None for any other request.

    A browser says from where a form comes: `Origin`, and `Sec-Fetch-Site` where it has it. Whether by HTTPS
    is not compared: a proxy in front may speak it, and we not."""
    if request.method in ("GET", "HEAD"):
        return None
    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdigit() and len(length) < 19) or int(length) > MOST_BYTES:
        return PlainTextResponse("too long a form\n", 413)
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    ours = request.headers.get("host", "")
    if host_of(origin or "") != ours or not ours or site != "same-origin":
        return PlainTextResponse("this form was not sent from a page of Octo\n", 403)
    return None


def ask_to_sign_in(request: Request) -> Response:
    """To the sign-in page, and from there to where one wanted to go; a script is told 401."""
    if request.method != "GET" or request.headers.get("sec-fetch-dest", "document") != "document":
        return PlainTextResponse("sign in\n", 401)
    wanted = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/signin?next={quote(wanted, safe='')}" if wanted != "/" else "/signin", 303)


def chosen(request: Request) -> str | None:
    """The cookie that keeps a language once it was chosen."""
    asked = request.query_params.get("lang")
    return f"{LANGUAGE}={asked}; Path=/; Max-Age={YEAR}; SameSite=Lax" if asked in LANGUAGES else None


def guarded(send: Send, policy: str, keep: str | None) -> Send:
    """The reply, with what browsers must keep to."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["content-security-policy"] = policy
            headers["x-content-type-options"] = "nosniff"
            headers["referrer-policy"] = "same-origin"
            headers["cross-origin-opener-policy"] = "same-origin"
            headers.setdefault("cache-control", "no-store")
            if keep:
                headers.append("set-cookie", keep)
        await send(message)

    return sent
