"""Google Sheets' twin: three spreadsheets shared with one service account, whose key lies beside this file.

`sandbox-spreadsheet-1` and `-2` it may edit, `-3` it may only look at. The token endpoint is here too.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import jwt
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.google_sheets import shown
from connectors.sandbox.google_sheets.changes import apply
from connectors.sandbox.google_sheets.grid import Book, Entered, Refused, Tab, entered, invalid, plain
from connectors.sandbox.google_sheets.ranges import Area, area, grid_area
from connectors.sandbox.google_sheets.values import Values
from connectors.sandbox.twin import route

KEY = Path(__file__).parent / "service_account.json"
ACCOUNT: Mapping[str, str] = json.loads(KEY.read_text())
SERVICE_ACCOUNT = f'"$(cat {shlex.quote(str(KEY))})"'
"""The sandbox's one service account, no secret, and its key as a shell reads it."""
AUDIENCE = "https://oauth2.googleapis.com/token"
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
SPREADSHEETS = tuple(f"sandbox-spreadsheet-{number}" for number in (1, 2, 3))
INCLUDED = frozenset({"COMMENTS_VIEW_MODE_INCLUDED", "COMMENTS_VIEW_MODE_DEFAULT_FOR_CURRENT_ACCESS"})
NO_LOGIN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
    "valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class GoogleSheets(Values):
    """`https://sheets.googleapis.com` and `https://oauth2.googleapis.com`."""

    name: ClassVar[str] = "google_sheets"
    keys: ClassVar[Mapping[str, str]] = {"GOOGLE_SHEETS_SERVICE_ACCOUNT": SERVICE_ACCOUNT}
    settings: ClassVar[Mapping[str, str]] = {"spreadsheet": "sandbox-spreadsheet-1", "tab": "Customers"}
    own_faults: ClassVar[frozenset[str]] = frozenset()

    def reset(self) -> None:
        self.quota: int | None = None
        """Reads, and writes, that one user may make in a minute of the clock's (Google: 60); None: any."""
        self.minute = 0
        self.used: Counter[str] = Counter()
        self.token_seconds = 3_599.0
        self.tokens: dict[str, tuple[str, float]] = {}
        self.meanwhile: list[list[Mapping[str, Any]]] = []
        """What somebody else does in the moment before each of the next writes: requests of a batchUpdate."""
        self.bodies: list[tuple[str, Any]] = []
        """Path and body of every write asked for, for tests that prove what is never sent."""
        email = ACCOUNT["client_email"]
        self.books = {
            name: Book(name, f"Sandbox {n}", {email} if n < 3 else set(), {email})
            for n, name in enumerate(SPREADSHEETS, start=1)
        }

    def expire(self) -> None:
        self.tokens.clear()

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        """The first spreadsheet: each tab's rows by their headers."""
        held: dict[str, list[dict[str, Any]]] = {}
        for tab in self.books[SPREADSHEETS[0]].tabs:
            names = {column: str(plain(cell.effective)) for column, cell in tab.rows[0].items() if cell.value}
            held[tab.title] = [
                {name: plain(tab.cell(row, column).effective) for column, name in names.items()}
                for row in range(1, tab.used())
            ]
        return held

    def add_tab(self, book: Book, title: str) -> Tab:
        """What somebody does by hand: a new tab at the end."""
        book.tabs.append(Tab(1_000 + len(book.tabs), title))
        return book.tabs[-1]

    def entered(self, value: Any) -> Entered | None:
        """A value as a person's typing leaves it in a cell, were it plain text, a number or a truth."""
        return entered(value)

    # how it answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        try:
            return super().answer(request)
        except Refused as refused:
            return failed(refused.code, refused.status, str(refused))

    def authenticate(self, request: Request) -> Response | None:
        if request.path == "/token":
            return None
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or self.tokens.get(token, ("", 0.0))[1] <= self.clock():
            return failed(401, "UNAUTHENTICATED", NO_LOGIN)
        writes = request.method != "GET" and not request.path.endswith("DataFilter")
        return self.count("Write" if writes else "Read")

    def count(self, kind: str) -> Response | None:
        """One call more in this minute; a refusal over quota, until the next minute begins."""
        minute = int(self.clock() // 60)
        if minute != self.minute:
            self.minute, self.used = minute, Counter()
        self.used[kind] += 1
        return self.throttled(0, kind) if self.quota is not None and self.used[kind] > self.quota else None

    def throttled(self, wait: float, kind: str = "Write") -> Response:
        """As recorded; Google does not say how long to wait."""
        metric = f"{kind} requests"
        told = (
            f"Quota exceeded for quota metric '{metric}' and limit '{metric} per minute per user' of service "
            "'sheets.googleapis.com' for consumer 'project_number:172856096362'."
        )
        metadata = {
            "quota_limit": f"{kind}RequestsPerMinutePerUser",
            "quota_metric": f"sheets.googleapis.com/{kind.lower()}_requests",
            "service": "sheets.googleapis.com",
        }
        reason = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": metadata,
        }
        return failed(429, "RESOURCE_EXHAUSTED", told, [reason])

    def broken(self, status: int) -> Response:
        state = {503: "UNAVAILABLE", 502: "UNKNOWN"}.get(status, "INTERNAL")
        return failed(status, state, "The service is currently unavailable.")

    def refusal(self, error: HTTPException) -> Response:
        return Response("<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>", 404, mimetype="text/html")

    @route("POST", "/token")
    def sign_in(self, request: Request) -> Response:
        """A signed assertion for a token (RFC 7523, as Google's service accounts do)."""
        if request.form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            return said({"error": "unsupported_grant_type", "error_description": "Invalid grant_type"}, 400)
        problem = self.problem(request.form.get("assertion", ""))
        if problem:
            return said({"error": "invalid_grant", "error_description": problem}, 400)
        token = f"ya29.sandbox-{len(self.tokens)}-{self.clock():.6f}"
        self.tokens[token] = (ACCOUNT["client_email"], self.clock() + self.token_seconds)
        return said({"access_token": token, "expires_in": int(self.token_seconds), "token_type": "Bearer"})

    def problem(self, assertion: str) -> str | None:
        """Why an assertion is refused."""
        try:
            named = jwt.decode(assertion, options={"verify_signature": False})
            if named.get("iss") != ACCOUNT["client_email"]:
                return "Invalid grant: account not found"
            claims = jwt.decode(
                assertion,
                public_key(),
                algorithms=["RS256"],
                audience=AUDIENCE,
                options={"verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            return f"Invalid JWT Signature: {type(error).__name__}"
        if SCOPE not in str(claims.get("scope", "")).split():
            return "Invalid scope"
        return (
            None
            if 0 < claims["exp"] - claims["iat"] <= 3_600
            else "Invalid JWT: Token must be a short-lived token"
        )

    def book(self, request: Request, name: str) -> Book:
        """The spreadsheet of this id, if the caller may do this to it."""
        book = self.books.get(name)
        if book is None:
            raise Refused(404, "NOT_FOUND", "Requested entity was not found.")
        who = self.tokens[request.headers["Authorization"].partition(" ")[2]][0]
        reads = request.method == "GET" or request.path.endswith("DataFilter")
        if who not in (book.editors | book.viewers if reads else book.editors):
            raise Refused(403, "PERMISSION_DENIED", "The caller does not have permission")
        return book

    def changing(self, request: Request, name: str) -> tuple[Book, dict[str, Any]]:
        """The spreadsheet and the body of a write; somebody else may have been at it just before."""
        book = self.book(request, name)
        body = request.get_json(silent=True)
        if not isinstance(body, dict):
            raise invalid("Invalid JSON payload received.")
        self.bodies.append((request.path, body))
        if self.meanwhile:
            apply(book, self.meanwhile.pop(0))
        return book, body

    # spreadsheets ----------------------------------------------------------------------------------

    @route("GET", "/v4/spreadsheets/<name>")
    def show(self, request: Request, name: str) -> Response:
        book = self.book(request, name)
        areas = [area(book, text).inside() for text in request.args.getlist("ranges")]
        return self.masked(request, book, areas, request.args)

    @route("POST", "/v4/spreadsheets/<name>:getByDataFilter")
    def show_by_filter(self, request: Request, name: str) -> Response:
        book = self.book(request, name)
        body = request.get_json()
        areas = [self.filtered(book, one) for one in body["dataFilters"]]
        return self.masked(request, book, areas, body)

    def filtered(self, book: Book, said: Mapping[str, Any]) -> Area:
        """What one DataFilter selects; this twin keeps no developer metadata."""
        found = grid_area(book, said["gridRange"]) if "gridRange" in said else area(book, said["a1Range"])
        return found.inside()

    def masked(self, request: Request, book: Book, areas: list[Area], asked: Mapping[str, Any]) -> Response:
        """With a mask, cells are shown when it names them (discovery: `includeGridData` is then ignored)."""
        mask = shown.mask(request.args.get("fields", ""))
        grid = (
            "data" in mask.get("sheets", {}) if mask else str(asked.get("includeGridData")).lower() == "true"
        )
        comments = asked.get("commentsViewMode") in INCLUDED
        return said(shown.part(shown.book(book, areas, grid=grid, comments=comments), mask))

    @route("POST", "/v4/spreadsheets/<name>:batchUpdate")
    def change(self, request: Request, name: str) -> Response:
        book, body = self.changing(request, name)
        if not body.get("requests"):
            raise invalid("Must specify at least one request.")
        told: dict[str, Any] = {"spreadsheetId": book.id, "replies": apply(book, body["requests"])}
        mask = shown.mask(request.args.get("fields", ""))
        if body.get("includeSpreadsheetInResponse"):
            areas = [area(book, text).inside() for text in body.get("responseRanges", [])]
            below = mask.get("updatedSpreadsheet", {})
            grid = "data" in below.get("sheets", {}) if mask else bool(body.get("responseIncludeGridData"))
            told["updatedSpreadsheet"] = shown.book(book, areas, grid=grid, comments=False)
        return said(shown.part(told, mask))


@cache
def public_key() -> Any:
    """What the service account's signatures are checked with."""
    return load_pem_private_key(ACCOUNT["private_key"].encode(), None).public_key()


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def failed(code: int, status: str, message: str, details: list[Any] | None = None) -> Response:
    """An error in Google's form (recorded)."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return said({"error": error | ({"details": details} if details else {})}, code)
