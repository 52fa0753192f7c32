"""Brevo's twin: contacts, attributes, lists, folders and imports of two accounts.

The twin follows `brevo-python` 5.1 where the published OpenAPI file of 2024 is older than it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.brevo.account import Account, Attribute, Refused, stamp
from connectors.sandbox.brevo.contacts import page, shown_list
from connectors.sandbox.brevo.events import Events
from connectors.sandbox.brevo.imports import KINDS, MOST_BYTES, Process, carry_out, flags_of, rows_of
from connectors.sandbox.twin import route

CATEGORIES = ("normal", "transactional", "category", "calculated", "global")
TYPES = ("text", "date", "float", "boolean", "id", "category", "multiple-choice", "user")


class Brevo(Events):
    """`https://api.brevo.com`. Accounts: `sandbox-key` and `sandbox-key-2`."""

    name: ClassVar[str] = "brevo"
    keys: ClassVar[Mapping[str, str]] = {"BREVO_API_KEY": "sandbox-key"}
    settings: ClassVar[Mapping[str, str]] = {"list": "Octo customers"}

    def reset(self) -> None:
        self.job_seconds = 0.0
        """How long after it was asked for an import is carried out, by the clock."""
        self.job_polls = 1
        """How many looks find it unfinished after that."""
        self.deaf_to_false = False
        """Whether an import treats `false` as empty, as reported (sendinblue/APIv3-python-library #95)."""
        self.meanwhile: Callable[[int], None] | None = None
        """Called after every page of contacts, with the offset it began at: an edit of somebody else's."""
        self.quota = 10
        """Calls in a second, as the headers state them."""
        self.bodies: list[tuple[str, str, Any]] = []
        """Every write asked for: method, path, body. For tests that prove what is never sent."""
        self.accounts = {"sandbox-key": Account("octo-sandbox-1"), "sandbox-key-2": Account("octo-sandbox-2")}
        self.processes: dict[int, tuple[Account, Process]] = {}
        self.events = []

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        accounts = list(self.accounts.values())
        return {
            "contacts": [
                {
                    "id": contact.id,
                    "email": contact.email,
                    **contact.attributes,
                    "lists": ", ".join(str(account.lists[one]["name"]) for one in sorted(contact.lists)),
                    "emailBlacklisted": contact.email_blacklisted,
                }
                for account in accounts
                for contact in account.contacts.values()
            ],
            "lists": [shown_list(account, one) for account in accounts for one in account.lists],
        }

    def authenticate(self, request: Request) -> Response | None:
        if not request.path.startswith("/v3/"):
            return None
        key = request.headers.get("api-key")
        if key is None:
            return said({"code": "unauthorized", "message": "authentication not found in headers"}, 401)
        if key not in self.accounts:
            return said({"code": "unauthorized", "message": "Key not found"}, 401)
        return None

    def refusal(self, error: HTTPException) -> Response:
        code = "method_not_allowed" if error.code == 405 else "document_not_found"
        return said({"code": code, "message": str(error.description)}, error.code or 404)

    def throttled(self, wait: float) -> Response:
        body = {"code": "too_many_requests", "message": "The rate limit is exceeded."}
        return self.metered(said(body, 429), left=0, reset=wait)

    def answer(self, request: Request) -> Response:
        try:
            with self.lock:
                self.work()
                if request.method != "GET":
                    self.bodies.append((request.method, request.path, request.get_json(silent=True)))
            reply = super().answer(request)
            if self.meanwhile and request.method == "GET" and request.path.endswith("/contacts"):
                self.meanwhile(int(request.args.get("offset", "0")))
            return self.metered(reply, left=self.quota - 1, reset=1)
        except Refused as refused:
            return self.metered(said(refused.body, refused.status), left=self.quota - 1, reset=1)

    def metered(self, reply: Response, left: int, reset: float) -> Response:
        """The reply with the rate limit's headers; Brevo sends no `Retry-After`."""
        reply.headers["x-sib-ratelimit-limit"] = str(self.quota)
        reply.headers["x-sib-ratelimit-remaining"] = str(left)
        reply.headers["x-sib-ratelimit-reset"] = f"{reset:g}"
        return reply

    def account(self, request: Request) -> Account:
        return self.accounts[request.headers["api-key"]]

    def work(self) -> None:
        """Carry out every import whose time has come."""
        now = self.clock()
        for account, process in self.processes.values():
            if not process.done and process.due <= now:
                carry_out(account, process, now, deaf_to_false=self.deaf_to_false)

    @route("GET", "/v3/account")
    def get_account(self, request: Request) -> Response:
        organisation = self.account(request).organisation
        email = f"{organisation}@example.com"
        return said(
            {
                "organization_id": organisation,
                "user_id": 1,
                "enterprise": False,
                "companyName": "Octo sandbox",
                "email": email,
                "firstName": "Ada",
                "lastName": "Sandbox",
                "address": {
                    "street": "1 rue du Bac",
                    "city": "Paris",
                    "zipCode": "75007",
                    "country": "France",
                },
                "plan": [{"type": "free", "creditsType": "sendLimit", "credits": 300}],
                "relay": {
                    "enabled": False,
                    "data": {"userName": email, "relay": "smtp.example.com", "port": 587},
                },
            }
        )

    @route("POST", "/v3/contacts/import")
    def start_import(self, request: Request) -> Response:
        if (request.content_length or 0) > MOST_BYTES:
            raise Refused("invalid_parameter", "The body is larger than 10MB")
        account, body = self.account(request), read(request)
        rows, flags = rows_of(body), flags_of(body)
        lists = account.check_lists(body.get("listIds") or [])
        if not lists and not body.get("newList"):
            raise Refused("missing_parameter", "listIds or newList is missing")
        if not lists:
            new = body["newList"]
            lists = [self.add_list(account, new.get("listName"), new.get("folderId", 1))]
        number = len(self.processes) + 1
        due = self.clock() + self.job_seconds
        half = self.fault("half_job")
        self.processes[number] = (
            account,
            Process(number, due, self.job_polls, rows, lists, flags, half),
        )
        return said({"processId": number}, 202)

    @route("GET", "/v3/processes/<int:number>")
    def get_process(self, request: Request, number: int) -> Response:
        account, process = self.processes.get(number, (None, None))
        if process is None or account is not self.account(request):
            raise Refused("invalid_parameter", "processId is invalid", 404)
        made: dict[str, Any] = {"id": number, "name": "IMPORTUSER", "status": process.status()}
        if made["status"] == "completed":
            base = f"{request.host_url}{self.name}/reports/{number}"
            urls = {kind: f"{base}/{kind}.csv" if kind in process.reports else None for kind in KINDS}
            made["info"] = {"import": urls}
        return said(made)

    @route("GET", "/reports/<int:number>/<kind>.csv")
    def get_report(self, request: Request, number: int, kind: str) -> Response:
        _, process = self.processes.get(number, (None, None))
        if process is None or kind not in process.reports:
            return Response("AccessDenied", status=403)
        return Response(process.reports[kind], mimetype="text/csv")

    @route("GET", "/v3/contacts/attributes")
    def get_attributes(self, request: Request) -> Response:
        shown = [attribute.shown() for attribute in self.account(request).attributes.values()]
        return said({"attributes": shown})

    @route("POST", "/v3/contacts/attributes/<category>/<name>")
    def create_attribute(self, request: Request, category: str, name: str) -> Response:
        account, body = self.account(request), read(request)
        kind = body.get("type")
        if category not in CATEGORIES or (kind is not None and kind not in TYPES):
            raise Refused("invalid_parameter", "Invalid category or type")
        if category == "normal" and kind is None:
            raise Refused("missing_parameter", "type is missing")
        if name.upper() in account.attributes or name.upper() == "EMAIL":
            raise Refused("duplicate_parameter", "Attribute name must be unique")
        account.attributes[name.upper()] = Attribute(
            name.upper(),
            category,
            kind,
            short(body.get("multiCategoryOptions", [])),
            body.get("enumeration", []),
            body.get("value"),
        )
        return Response(status=201)

    @route("PUT", "/v3/contacts/attributes/<category>/<name>")
    def update_attribute(self, request: Request, category: str, name: str) -> Response:
        attribute = self.account(request).attributes.get(name)
        if attribute is None or attribute.category != category:
            raise Refused("document_not_found", "Attribute does not exist", 404)
        fresh = [
            one
            for one in short(read(request).get("multiCategoryOptions", []))
            if one not in attribute.options
        ]
        attribute.options += fresh
        return Response(status=204)

    @route("GET", "/v3/contacts/folders")
    def get_folders(self, request: Request) -> Response:
        account = self.account(request)
        shown = [
            {"id": one, "name": name, "totalBlacklisted": 0, "totalSubscribers": 0, "uniqueSubscribers": 0}
            for one, name in account.folders.items()
        ]
        return said({"folders": page(request, shown, most=50), "count": len(shown)})

    @route("POST", "/v3/contacts/folders")
    def create_folder(self, request: Request) -> Response:
        account = self.account(request)
        number = account.number()
        account.folders[number] = named(read(request))
        return said({"id": number}, 201)

    @route("GET", "/v3/contacts/folders/<int:folder>/lists")
    def get_folder_lists(self, request: Request, folder: int) -> Response:
        account = self.account(request)
        if folder not in account.folders:
            raise Refused("document_not_found", "Folder ID does not exist", 404)
        inside = [one for one, made in account.lists.items() if made["folderId"] == folder]
        shown = [shown_list(account, one) for one in page(request, inside, most=50)]
        for one in shown:
            del one["folderId"]  # neither the spec nor the SDK has it here
        return said({"lists": shown, "count": len(inside)})

    @route("GET", "/v3/contacts/lists")
    def get_lists(self, request: Request) -> Response:
        account = self.account(request)
        shown = [shown_list(account, one) for one in page(request, [*account.lists], most=50)]
        return said({"lists": shown, "count": len(account.lists)})

    @route("GET", "/v3/contacts/lists/<int:number>")
    def get_list(self, request: Request, number: int) -> Response:
        account = self.account(request)
        self.known_list(account, number)
        made = {"createdAt": stamp(account.lists[number]["created"]), "dynamicList": False}
        return said({**shown_list(account, number), **made})

    @route("POST", "/v3/contacts/lists")
    def create_list(self, request: Request) -> Response:
        body = read(request)
        number = self.add_list(self.account(request), named(body), body.get("folderId"))
        return said({"id": number}, 201)

    def add_list(self, account: Account, name: Any, folder: Any) -> int:
        """A new list's id. Brevo allows two lists of one name."""
        if folder not in account.folders:
            raise Refused("document_not_found", "Folder ID does not exist", 404)
        number = account.number()
        account.lists[number] = {"name": str(name), "folderId": folder, "created": self.clock()}
        return number


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def read(request: Request) -> dict[str, Any]:
    """The body as an object. Refused when it is anything else."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Refused("invalid_parameter", "Input must be a valid JSON object")
    return body


def named(body: dict[str, Any]) -> str:
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise Refused("missing_parameter", "name is missing")
    return name


def short(options: Any) -> list[str]:
    if not isinstance(options, list) or any(not isinstance(one, str) or len(one) > 200 for one in options):
        raise Refused("invalid_parameter", "Options must be texts of at most 200 characters")
    return options
