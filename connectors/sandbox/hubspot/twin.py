"""HubSpot's twin: contacts, properties and lists of two accounts, by dated paths and by those of v3.

Sources: the published OpenAPI files of 2026-09 and v3, the guides, the models of `hubspot-api-client` 12
(v3) and `hubspot-sdk` 0.1 (2026-03), and what people report of real accounts. No recordings were to be had.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.hubspot.account import Account
from connectors.sandbox.hubspot.contacts import Contacts
from connectors.sandbox.hubspot.fields import new, options_of
from connectors.sandbox.hubspot.lists import Lists
from connectors.sandbox.hubspot.wire import Refused, absent, invalid, read, said
from connectors.sandbox.twin import route

PROPERTIES = "/crm/properties/<version>/contacts"
VERSIONS = ("2026-09", "2026-03", "v3")
FIRST, SECOND = "pat-eu1-sandbox", "pat-eu1-sandbox-2"
SCOPES = {
    ("GET", "objects"): "crm.objects.contacts.read",
    ("POST", "objects"): "crm.objects.contacts.write",
    ("GET", "properties"): "crm.schemas.contacts.read",
    ("POST", "properties"): "crm.schemas.contacts.write",
    ("PATCH", "properties"): "crm.schemas.contacts.write",
    ("GET", "lists"): "crm.lists.read",
    ("POST", "lists"): "crm.lists.write",
    ("PUT", "lists"): "crm.lists.write",
    ("DELETE", "lists"): "crm.lists.write",
}
READS = re.compile(r"/batch/read$|/search$")
SECONDLY, DAILY = ("TEN_SECONDLY_ROLLING", "ten_secondly_rolling"), ("DAILY", "daily")


class HubSpot(Contacts, Lists):
    """`https://api.hubapi.com`. Service keys: `pat-eu1-sandbox` and `pat-eu1-sandbox-2`."""

    name: ClassVar[str] = "hubspot"
    keys: ClassVar[Mapping[str, str]] = {"HUBSPOT_SERVICE_KEY": "pat-eu1-sandbox"}
    bookkeeping: ClassVar[frozenset[str]] = frozenset({"createdate", "lastmodifieddate"})

    def reset(self) -> None:
        self.accounts = {FIRST: Account(146_000_001), SECOND: Account(146_000_002)}
        self.scopes = dict.fromkeys(self.accounts, frozenset(SCOPES.values()))
        """What a key may do."""
        self.quota: int | None = None
        """Calls in ten rolling seconds, of the clock's; None: as many as one likes."""
        self.daily = 250_000
        """Calls left until midnight."""
        self.recent: deque[float] = deque()
        self.bodies: list[tuple[str, str, Any]] = []
        """Every write asked for: method, path, body. For tests that prove what is never sent."""
        self.reset_contacts()

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        """Both accounts'."""
        accounts = list(self.accounts.values())
        return {
            "contacts": [
                {"id": one.id, **one.properties, "lists": ", ".join(inside(account, one.id))}
                for account in accounts
                for one in account.there()
            ],
            "lists": [
                {
                    "listId": one.id,
                    "name": one.name,
                    "processingType": one.processing,
                    "size": len(one.members),
                }
                for account in accounts
                for one in account.lists.values()
            ],
            "properties": [
                {"name": one.name, "type": one.type, "fieldType": one.form, "hasUniqueValue": one.unique}
                for account in accounts
                for one in account.properties.values()
                if not one.own
            ],
        }

    # how it answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        path = re.sub(r"^/crm/v3/(\w+)", r"/crm/\1/v3", request.environ["PATH_INFO"])
        request = Request(request.environ | {"PATH_INFO": path})
        try:
            with self.lock:
                self.count()
                if request.method != "GET":
                    self.bodies.append((request.method, path, request.get_json(silent=True)))
            made = super().answer(request)
        except Refused as refused:
            made = said(refused.body, refused.status)
        return self.metered(made)

    def count(self) -> None:
        """One call more. Refused over the quota of ten seconds, or of the day."""
        now = self.clock()
        while self.recent and self.recent[0] <= now - 10:
            self.recent.popleft()
        if self.daily <= 0:
            raise haste(*DAILY)
        if self.quota is not None and len(self.recent) >= self.quota:
            raise haste(*SECONDLY)
        self.recent.append(now)
        self.daily -= 1

    def metered(self, reply: Response) -> Response:
        """With the headers of the limits; on a 429 there are the daily ones only, and no Retry-After."""
        reply.headers["X-HubSpot-RateLimit-Daily"] = "250000"
        reply.headers["X-HubSpot-RateLimit-Daily-Remaining"] = str(self.daily)
        if reply.status_code != 429:
            most = self.quota or 100
            reply.headers["X-HubSpot-RateLimit-Interval-Milliseconds"] = "10000"
            reply.headers["X-HubSpot-RateLimit-Max"] = str(most)
            reply.headers["X-HubSpot-RateLimit-Remaining"] = str(max(0, most - len(self.recent)))
        return reply

    def authenticate(self, request: Request) -> Response | None:
        kind, _, key = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or key not in self.accounts:
            message = "Authentication credentials not found. This API supports OAuth 2.0 authentication."
            return said(Refused(401, "INVALID_AUTHENTICATION", message).body, 401)
        family = request.path.split("/")[2]
        verb = "GET" if READS.search(request.path) else request.method
        scope = SCOPES.get((verb, family))
        if scope and scope not in self.scopes[key]:
            told = {
                "message": "One or more of the following scopes are required.",
                "context": {"requiredGranularScopes": [scope]},
            }
            message = "This app hasn't been granted all required scopes to make this call."
            return said(Refused(403, "MISSING_SCOPES", message, errors=[told]).body, 403)
        return None

    def refusal(self, error: HTTPException) -> Response:
        return said(absent().body, error.code or 404)

    def throttled(self, wait: float) -> Response:
        return self.metered(said(haste(*SECONDLY).body, 429))

    def broken(self, status: int) -> Response:
        return said(Refused(status, "INTERNAL_ERROR", "internal error").body, status)

    def account(self, request: Request) -> Account:
        """The key's account. Refused when the path has a version HubSpot does not know."""
        version = [*request.path.split("/"), "", ""][3]
        if version not in VERSIONS and not request.path.startswith("/account-info"):
            raise absent()
        return self.accounts[request.headers["Authorization"].partition(" ")[2]]

    # the account, its properties -------------------------------------------------------------------

    @route("GET", "/account-info/<version>/details")
    def get_details(self, request: Request, version: str) -> Response:
        if version not in VERSIONS:
            raise absent()
        return said(
            {
                "portalId": self.account(request).portal,
                "accountType": "DEVELOPER_TEST",
                "timeZone": "Europe/Paris",
                "companyCurrency": "EUR",
                "additionalCurrencies": [],
                "utcOffset": "+01:00",
                "utcOffsetMilliseconds": 3_600_000,
                "uiDomain": "app-eu1.hubspot.com",
                "dataHostingLocation": "eu1",
            }
        )

    @route("GET", PROPERTIES)
    def get_properties(self, request: Request, version: str) -> Response:
        return said({"results": [one.shown() for one in self.account(request).properties.values()]})

    @route("POST", PROPERTIES)
    def create_property(self, request: Request, version: str) -> Response:
        account = self.account(request)
        made = new(read(request), self.clock())
        if made.name in account.properties:
            message = f"A property named '{made.name}' already exists."
            raise Refused(409, "OBJECT_ALREADY_EXISTS", message)
        if made.group not in account.groups:
            raise invalid(f"Property group {made.group} does not exist")
        account.properties[made.name] = made
        return said(made.shown(), 201)

    @route("GET", f"{PROPERTIES}/<name>")
    def get_property(self, request: Request, version: str, name: str) -> Response:
        account = self.account(request)
        if name not in account.properties:
            raise absent(f"Property {name} does not exist")
        return said(account.properties[name].shown())

    @route("PATCH", f"{PROPERTIES}/<name>")
    def update_property(self, request: Request, version: str, name: str) -> Response:
        account, body = self.account(request), read(request)
        found = account.properties.get(name)
        if found is None:
            raise absent(f"Property {name} does not exist")
        if found.own:
            raise invalid(f"{name} is HubSpot's own: its definition is read only")
        if "options" in body:
            found.options = options_of(body["options"])
        return said(found.shown())

    @route("GET", f"{PROPERTIES}/groups")
    def get_groups(self, request: Request, version: str) -> Response:
        groups = self.account(request).groups.items()
        return said({"results": [group(name, label) for name, label in groups]})

    @route("POST", f"{PROPERTIES}/groups")
    def create_group(self, request: Request, version: str) -> Response:
        account, body = self.account(request), read(request)
        if body["name"] in account.groups:
            raise Refused(409, "OBJECT_ALREADY_EXISTS", f"Property group {body['name']} already exists")
        account.groups[body["name"]] = body["label"]
        return said(group(body["name"], body["label"]), 201)


def haste(policy: str, spoken: str) -> Refused:
    """Too many calls (body as recorded by others: category, message, policyName)."""
    return Refused(429, "RATE_LIMITS", f"You have reached your {spoken} limit.", policyName=policy)


def group(name: str, label: str) -> dict[str, Any]:
    return {"name": name, "label": label, "displayOrder": -1, "archived": False}


def inside(account: Account, number: str) -> list[str]:
    return [one.name for one in account.lists.values() if number in one.members]
