"""Klaviyo's twin: profiles, lists and import jobs of two accounts, at any revision still served."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from math import ceil
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.klaviyo.account import Account, Profile
from connectors.sandbox.klaviyo.jobs import KEPT_SECONDS, Job, rows_of
from connectors.sandbox.klaviyo.people import People
from connectors.sandbox.klaviyo.quota import ENDPOINTS, JOBS, Endpoint, endpoint
from connectors.sandbox.klaviyo.wire import SITE, Refused, absent, paged, said
from connectors.sandbox.twin import route

REVISION = re.compile(r"(\d{4}-\d\d-\d\d)(\.\w+)?")
SERVED_DAYS = 731
"""A revision is served for two years (versioning policy)."""


class Klaviyo(People):
    """`https://a.klaviyo.com`. Accounts: the keys `pk_sandbox` and `pk_sandbox_2`."""

    name: ClassVar[str] = "klaviyo"
    keys: ClassVar[Mapping[str, str]] = {"KLAVIYO_API_KEY": "pk_sandbox"}

    def reset(self) -> None:
        self.job_seconds = 0.0
        """How long after it was asked for an import is carried out, by the clock."""
        self.job_looks = 1
        """How many looks find it unfinished after that."""
        self.checks_values = False
        """Whether one bad address or phone number has a whole job refused at once, as Segment met it
        (action-destinations #3203), or is an import error, as the spec has it."""
        self.keeps_payload = True
        """Whether an import error says which row it was; the spec lets `original_payload` be null."""
        self.forgets: set[str] = set()
        """Addresses whose rows an import passes over: neither stored nor among its errors, and not counted.
        The spec does not say that this cannot happen."""
        self.enforced = False
        """Whether the quotas are enforced, by a clock that runs as waits do."""
        self.withheld: set[str] = set()
        """Scopes the keys lack."""
        self.windows: Counter[tuple[str, str, int]] = Counter()
        self.bodies: list[tuple[str, str, Any]] = []
        """Every write asked for: method, path, body. For tests that prove what is never sent."""
        self.accounts = {"pk_sandbox": Account("OCTO01"), "pk_sandbox_2": Account("OCTO02")}
        self.jobs: dict[str, Job] = {}

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        self.work()
        accounts = list(self.accounts.values())
        return {
            "profiles": [row(account, one) for account in accounts for one in account.profiles.values()],
            "lists": [
                {
                    "id": held.id,
                    "name": held.name,
                    "profiles": sum(held.id in one.lists for one in account.profiles.values()),
                }
                for account in accounts
                for held in account.lists.values()
            ],
        }

    # how it answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        request = Request(request.environ | {"PATH_INFO": request.path.rstrip("/") or "/"})
        try:
            with self.lock:
                self.work()
                if request.method != "GET":
                    self.bodies.append(
                        (request.method, request.path, request.get_json(silent=True, force=True))
                    )
            return self.metered(request, super().answer(request))
        except Refused as refused:
            return self.metered(request, refused.told())

    def authenticate(self, request: Request) -> Response | None:
        """Revision, key, scopes, quota."""
        self.check_revision(request.headers.get("revision", ""))
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind != "Klaviyo-API-Key" or not key:
            raise Refused(401, "not_authenticated", "Missing or invalid private key.")
        if key not in self.accounts:
            raise Refused(401, "authentication_failed", f"Invalid API key: {key[:3]}...")
        name = endpoint(request.method, request.path)
        if name is not None:
            lacking = self.withheld & {*ENDPOINTS[name].scopes}
            if lacking:
                told = f"The API key is missing required scopes: {', '.join(sorted(lacking))}"
                raise Refused(403, "permission_denied", told)
            self.count(name, ENDPOINTS[name])
        return None

    def check_revision(self, told: str) -> None:
        """Which words a missing revision is refused in is not documented; a retired one is gone (410)."""
        found = REVISION.fullmatch(told)
        if not found:
            raise Refused(400, "invalid", f"'{told}' is not a valid revision.", parameter="revision")
        day = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        if (datetime.fromtimestamp(self.clock(), UTC) - day).days > SERVED_DAYS:
            raise Refused(410, "gone", f"Revision {told} is no longer supported.")

    def count(self, name: str, quota: Endpoint) -> None:
        """One call more in the fixed windows of a second, a minute, a day; 429 over quota."""
        if not self.enforced:
            return
        now = self.clock()
        windows = [("s", 1, quota.burst), ("m", 60, quota.steady), ("d", 86_400, quota.daily)]
        for unit, seconds, most in windows:
            if most is not None and self.windows[name, unit, int(now // seconds)] >= most:
                raise throttling(seconds - now % seconds)
        for unit, seconds, _ in windows:
            self.windows[name, unit, int(now // seconds)] += 1

    def metered(self, request: Request, reply: Response) -> Response:
        """The reply with what is left of the minute; a 429 has `Retry-After` instead."""
        name = endpoint(request.method, request.path)
        if name is not None and reply.status_code != 429:
            now, quota = self.clock(), ENDPOINTS[name]
            used = self.windows[name, "m", int(now // 60)]
            reply.headers["RateLimit-Limit"] = f"{quota.steady}, {quota.burst};w=1, {quota.steady};w=60"
            reply.headers["RateLimit-Remaining"] = str(max(0, quota.steady - used))
            reply.headers["RateLimit-Reset"] = str(ceil(60 - now % 60))
        return reply

    def refusal(self, error: HTTPException) -> Response:
        code = "method_not_allowed" if error.code == 405 else "not_found"
        return Refused(error.code or 404, code, str(error.description)).told()

    def throttled(self, wait: float) -> Response:
        return throttling(wait).told()

    def account(self, request: Request) -> Account:
        return self.accounts[request.headers["Authorization"].partition(" ")[2]]

    @route("GET", "/api/accounts")
    def get_accounts(self, request: Request) -> Response:
        number = self.account(request).id
        address = dict.fromkeys(("address1", "address2", "city", "region", "country", "zip"), "")
        contact = {
            "default_sender_name": "Octo sandbox",
            "default_sender_email": f"{number.lower()}@example.com",
            "website_url": "https://example.com",
            "organization_name": "Octo sandbox",
            "street_address": address,
        }
        shown = {
            "test_account": True,
            "contact_information": contact,
            "industry": "Ecommerce",
            "timezone": "Europe/Paris",
            "preferred_currency": "EUR",
            "public_api_key": number,
            "locale": "fr-FR",
        }
        here = {"self": f"{SITE}/api/accounts/{number}"}
        made = {"type": "account", "id": number, "attributes": shown, "links": here}
        return said({"data": [made], "links": {"self": f"{SITE}/api/accounts"}})

    # jobs ------------------------------------------------------------------------------------------

    @route("POST", JOBS)
    def start_import(self, request: Request) -> Response:
        account = self.account(request)
        rows, lists = rows_of(request, checks_values=self.checks_values)
        for number in lists:
            account.list(number)
        now, number = self.clock(), f"01JOB{account.number():021d}"
        half = self.fault("half_job")
        due = now + self.job_seconds
        job = Job(number, account, rows, lists, now, due, self.job_looks, half, self.forgets)
        self.jobs[number] = job
        return said({"data": job.shown()}, 202)

    def work(self) -> None:
        """Carry out every import whose time has come, and forget the old ones."""
        now = self.clock()
        for job in list(self.jobs.values()):
            if job.started is None and job.due <= now:
                job.carry_out(now)
            if job.created + KEPT_SECONDS < now:
                del self.jobs[job.id]

    def job(self, request: Request, number: str) -> Job:
        job = self.jobs.get(number)
        if job is None or job.account is not self.account(request):
            raise absent("profile-bulk-import-job", number)
        return job

    @route("GET", f"{JOBS}/<number>")
    def get_job(self, request: Request, number: str) -> Response:
        job = self.job(request, number)
        job.look(self.clock())
        return said({"data": job.shown()})

    @route("GET", f"{JOBS}/<number>/import-errors")
    def get_errors(self, request: Request, number: str) -> Response:
        page, links = paged(request, self.job(request, number).errors, 100, 20)
        rows = [one if self.keeps_payload else without_payload(one) for one in page]
        return said({"data": rows, "links": links})


def without_payload(error: dict[str, Any]) -> dict[str, Any]:
    return {**error, "attributes": {**error["attributes"], "original_payload": None}}


def throttling(wait: float) -> Refused:
    """429, with the seconds to wait."""
    seconds = max(1, ceil(wait))
    told = f"Request was throttled. Expected available in {seconds} second{'s' * (seconds > 1)}."
    return Refused(429, "throttled", told, wait=seconds)


def row(account: Account, profile: Profile) -> dict[str, Any]:
    """As the page and the tests see a profile."""
    location = {f"location.{name}": value for name, value in profile.location.items()}
    return {
        "id": profile.id,
        "email": None,
        **profile.plain,
        **location,
        **profile.properties,
        "lists": ", ".join(account.lists[number].name for number in profile.lists),
        "consent": profile.consent,
        "suppressed": profile.suppressed,
    }
