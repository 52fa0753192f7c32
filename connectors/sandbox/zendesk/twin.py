"""Zendesk's twin: users, user fields, background jobs and tickets of two accounts.

The OAuth clients `octo-client` / `octo-client-secret` and `octo-client-2` / `octo-client-secret-2` belong
to octo.zendesk.com and octo-two.zendesk.com.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.twin import route
from connectors.sandbox.zendesk.account import Account
from connectors.sandbox.zendesk.fields import Refused, absent
from connectors.sandbox.zendesk.jobs import (
    KEPT_SECONDS,
    MOST_JOBS,
    Job,
    Work,
    rows_of,
    update,
    upsert,
)
from connectors.sandbox.zendesk.tickets import Tickets
from connectors.sandbox.zendesk.users import Users
from connectors.sandbox.zendesk.wire import API, Throttled, listed, part, read, said

FIELDS_PAGE = 100
TOO_MANY = "Number of allowed API requests per minute exceeded"


LEGACY = base64.b64encode(b"agent@octo.example/token:sandbox-token").decode()


class Zendesk(Users, Tickets):
    """`https://octo.zendesk.com` and `https://octo-two.zendesk.com`, told apart by whose token it is."""

    name: ClassVar[str] = "zendesk"
    keys: ClassVar[Mapping[str, str]] = {
        "ZENDESK_CLIENT_ID": "octo-client",
        "ZENDESK_CLIENT_SECRET": "octo-client-secret",
    }
    settings: ClassVar[Mapping[str, str]] = {"subdomain": "octo"}
    bookkeeping: ClassVar[frozenset[str]] = frozenset({"created_at", "updated_at"})

    def reset(self) -> None:
        self.job_seconds = 0.0
        """How long after it was asked for a job is carried out, by the clock."""
        self.strict_looks = False
        """Whether a look at many jobs is 404 when Zendesk knows none of them; the reference does not say."""
        self.job_looks = 0
        """How many looks find it working after that."""
        self.bulk_import = True
        """Whether the account's owner had user bulk import switched on; it is off at first."""
        self.quota: int | None = None
        """Calls an account may make in a minute, of the clock's; None: as many as it likes."""
        self.minute = (0, 0)
        """The minute of the last call, and the calls in it."""
        self.token_seconds = 1800.0
        self.accounts = [Account("octo", 360_000_000_000), Account("octo-two", 420_000_000_000)]
        self.clients = {
            "octo-client": ("octo-client-secret", self.accounts[0]),
            "octo-client-2": ("octo-client-secret-2", self.accounts[1]),
        }
        self.tokens: dict[str, tuple[Account, float]] = {}
        self.legacy = {LEGACY: self.accounts[0]}
        """API tokens made before 2026-10-27; they end on 2027-04-30."""
        self.jobs: dict[str, Job] = {}
        self.bodies: list[tuple[str, str, Any]] = []
        """Every write asked for: method, path, body. For tests that prove what is never sent."""
        self.reset_users()
        self.reset_tickets()

    def expire(self) -> None:
        self.tokens.clear()

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        """The first account's."""
        self.work()
        account = self.accounts[0]
        return {
            "users": [account.row(user) for user in account.users.values() if user.active],
            "tickets": self.ticket_rows(account),
            "user_fields": [field.shown(account.site) for field in account.fields.values()],
        }

    # how it answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        path = request.path.removesuffix(".json")  # every path may end so
        request = Request(request.environ | {"PATH_INFO": path})
        try:
            with self.lock:
                self.work()
                if request.method != "GET":
                    self.bodies.append((request.method, path, request.get_json(silent=True)))
                self.count()
            made = super().answer(request)
        except Refused as refused:
            made = said(refused.body, refused.status)
        except Throttled as haste:
            made = haste.told()
        made.headers["x-rate-limit"] = "700"
        made.headers["x-rate-limit-remaining"] = "699"  # says nothing of the limits per user (recorded)
        return made

    def count(self) -> None:
        """One call more in this minute; Throttled over quota, until the next minute begins."""
        now, (minute, calls) = self.clock(), self.minute
        self.minute = (int(now // 60), calls + 1 if minute == int(now // 60) else 1)
        if self.quota is not None and self.minute[1] > self.quota:
            raise Throttled(TOO_MANY, 60 - now % 60)

    def authenticate(self, request: Request) -> Response | None:
        if request.path == "/oauth/tokens":
            return None
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind == "Basic" and token in self.legacy:
            return None
        if kind != "Bearer" or self.tokens.get(token, (None, 0.0))[1] <= self.clock():
            told = "The access token provided is expired, revoked, malformed or invalid for other reasons."
            return said({"error": "invalid_token", "error_description": told}, 401)
        return None

    def refusal(self, error: HTTPException) -> Response:
        return said({"error": "InvalidEndpoint", "description": "Not found"}, error.code or 404)

    def throttled(self, wait: float) -> Response:
        return Throttled(TOO_MANY, wait).told()

    def account(self, request: Request) -> Account:
        token = request.headers["Authorization"].partition(" ")[2]
        return self.legacy[token] if token in self.legacy else self.tokens[token][0]

    @route("POST", "/oauth/tokens")
    def sign_in(self, request: Request) -> Response:
        asked = read(request)
        secret, account = self.clients.get(str(asked.get("client_id")), ("", self.accounts[0]))
        if asked.get("grant_type") != "client_credentials":
            raise Refused(400, "unsupported_grant_type", "The grant type is not supported.")
        if not secret or secret != asked.get("client_secret"):
            told = "Client authentication failed due to unknown client, or no client authentication."
            return said({"error": "invalid_client", "error_description": told}, 401)
        token = f"zd{len(self.tokens)}-{account.number()}"
        self.tokens[token] = (account, self.clock() + self.token_seconds)
        scope = asked.get("scope", "read")
        told_token = {"access_token": token, "token_type": "bearer", "scope": scope}
        return said(told_token | {"expires_in": int(self.token_seconds)})

    # jobs ------------------------------------------------------------------------------------------

    @route("POST", f"{API}/users/create_or_update_many")
    def create_or_update_many(self, request: Request) -> Response:
        return self.start(request, upsert)

    @route("PUT", f"{API}/users/update_many")
    def update_many(self, request: Request) -> Response:
        return self.start(request, update)

    def start(self, request: Request, work: Work) -> Response:
        if not self.bulk_import:
            return said({"error": "Forbidden", "message": "Data imports are not enabled"}, 403)
        rows = rows_of(read(request))
        if sum(job.ended is None for job in self.jobs.values()) >= MOST_JOBS:
            raise Refused(429, "TooManyJobs", "Maximum of 30 queued or running jobs is reached")
        account, due = self.account(request), self.clock() + self.job_seconds
        half = self.fault("half_job")
        job = Job(f"{account.number():032x}", account, work, rows, due, self.job_looks, half)
        self.jobs[job.id] = job
        return said({"job_status": job.shown()})

    def work(self) -> None:
        """Carry out every job whose time has come, and forget the old ones."""
        now = self.clock()
        for job in list(self.jobs.values()):
            if not job.done and job.due <= now:
                job.carry_out(now)
            if job.ended is not None and job.ended + KEPT_SECONDS < now:
                del self.jobs[job.id]

    @route("GET", f"{API}/job_statuses/show_many")
    def show_jobs(self, request: Request) -> Response:
        found = [self.looked(request, one) for one in request.args.get("ids", "").split(",")]
        if self.strict_looks and not any(found):
            raise absent()
        return said({"job_statuses": [job.shown() for job in found if job], "count": len(found)})

    @route("GET", f"{API}/job_statuses/<number>")
    def show_job(self, request: Request, number: str) -> Response:
        job = self.looked(request, number)
        if job is None:
            raise absent()
        return said({"job_status": job.shown()})

    def looked(self, request: Request, number: str) -> Job | None:
        job = self.jobs.get(number)
        if job is None or job.account is not self.account(request):
            return None
        job.look(self.clock())
        return job

    # user fields -----------------------------------------------------------------------------------

    @route("GET", f"{API}/user_fields")
    def show_fields(self, request: Request) -> Response:
        account, page = self.account(request), int(request.args.get("page", 1))
        rows = [field.shown(account.site) for field in account.fields.values()]
        start, end = (page - 1) * FIELDS_PAGE, page * FIELDS_PAGE
        more = f"{account.site}{API}/user_fields.json?page={page + 1}" if end < len(rows) else None
        return listed("user_fields", rows[start:end], more)

    @route("POST", f"{API}/user_fields")
    def create_field(self, request: Request) -> Response:
        if self.role != "admin":
            told = "You do not have access to this page. Please contact the account owner of this help desk"
            raise Refused(403, "Forbidden", told)
        account = self.account(request)
        made = account.add_field(part(request, "user_field"))
        return said({"user_field": made.shown(account.site)}, 201)
