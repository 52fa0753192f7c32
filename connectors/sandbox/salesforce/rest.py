"""What all resources of the Salesforce twin share, and those that only tell."""

from __future__ import annotations

import json
from typing import Any

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from connectors.sandbox.salesforce import bulk, persons, queries
from connectors.sandbox.salesforce.auth import App, Denied, Doorman
from connectors.sandbox.salesforce.objects import OBJECTS, described
from connectors.sandbox.salesforce.org import CALLER, NOT_FOUND, SOMEBODY, Org
from connectors.sandbox.salesforce.values import CallError, RowError
from connectors.sandbox.twin import Twin, route

DATA = "/services/data/v<version>"
PAGE = 2000
LONGEST_URI = 16_384
EXPIRED = CallError(401, "INVALID_SESSION_ID", "Session expired or invalid")
OVER_QUOTA = CallError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")


class Rest(Twin):
    """What every resource shares: state, sign-in, quota, errors; and describe and query."""

    def reset(self) -> None:
        self.quota = 100_000
        self.job_seconds = 0.2
        self.job_looks = 0
        self.login = Doorman(self.clock)
        self.orgs = [Org(number, self.clock) for number in (1, 2, 3)]
        persons.enable(self.orgs[2])
        self.login.apps = {
            "octo-app": App(self.orgs[0], secret="octo-secret"),  # noqa: S106  the sandbox's own
            "octo-app-2": App(self.orgs[1], secret="octo-secret-2"),  # noqa: S106
            "octo-app-3": App(self.orgs[2], secret="octo-secret-3"),  # noqa: S106
        }
        self.jobs: dict[str, tuple[Org, bulk.Job]] = {}
        self.cursors: dict[str, tuple[str, list[dict[str, Any]]]] = {}

    def expire(self) -> None:
        self.login.tokens.clear()

    def register(self, client_id: str, username: str, public_key: str) -> None:
        """An app that signs in by certificate, as a person sets it up in the first org."""
        self.login.apps[client_id] = App(self.orgs[0], username=username, public_key=public_key)

    # how it answers --------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        org = self.login.known(request)
        try:
            made = super().answer(request)
        except CallError as error:
            made = as_json(error.told(), error.status)
        except RowError as error:
            made = as_json(CallError(400, error.code, error.message, error.fields).told(), 400)
        if org is not None:
            org.acting = SOMEBODY
            made.headers["Sforce-Limit-Info"] = f"api-usage={org.used}/{self.quota}"
        return made

    def authenticate(self, request: Request) -> Response | None:
        if request.path == "/services/oauth2/token":
            return None
        org = self.login.known(request)
        if org is None:
            raise EXPIRED
        if org.used >= self.quota:
            raise OVER_QUOTA
        if len(request.full_path) > LONGEST_URI:
            raise CallError(414, "URI_TOO_LONG", "The URI is too long")
        org.used += 1
        self.work_jobs()
        org.acting = CALLER
        return None

    def refusal(self, error: HTTPException) -> Response:
        if error.code == 405:
            return as_json(CallError(405, "METHOD_NOT_ALLOWED", "HTTP Method not allowed").told(), 405)
        return as_json(NOT_FOUND.told(), 404)

    def throttled(self, wait: float) -> Response:
        return as_json(OVER_QUOTA.told(), 403)

    def broken(self, status: int) -> Response:
        code = "SERVER_UNAVAILABLE" if status == 503 else "UNKNOWN_EXCEPTION"
        return as_json(CallError(status, code, "An unexpected error occurred.").told(), status)

    def org(self, request: Request) -> Org:
        org = self.login.known(request)
        if org is None:
            raise EXPIRED
        return org

    def work_jobs(self) -> None:
        """Whatever is due by the clock has happened by now, looked at or not."""
        for org, job in self.jobs.values():
            if job.state in {"UploadComplete", "InProgress"} and job.due <= self.clock() and job.looks <= 0:
                half = self.fault("half_job")
                bulk.work(org, job, 0.5 if half else 1.0)
                org.acting = SOMEBODY

    # signing in ------------------------------------------------------------------------------------

    @route("POST", "/services/oauth2/token")
    def give_token(self, request: Request) -> Response:
        try:
            token, org = self.login.token(request)
        except Denied as denied:
            return as_json({"error": denied.error, "error_description": denied.description}, 400)
        told = {
            "access_token": token,
            "scope": "api",
            "instance_url": "https://octo.my.salesforce.com",
            "id": f"https://login.salesforce.com/id/{org.id}/{CALLER}",
            "token_type": "Bearer",
            "issued_at": str(int(self.clock() * 1000)),
            "signature": "c2FuZGJveA==",
        }
        return as_json(told)

    @route("GET", "/services/oauth2/userinfo")
    def tell_user(self, request: Request) -> Response:
        return as_json({"user_id": CALLER, "organization_id": self.org(request).id})

    # what there is ---------------------------------------------------------------------------------

    @route("GET", f"{DATA}/")
    def resources(self, request: Request, version: str) -> Response:
        base = f"/services/data/v{version}"
        told = {name: f"{base}/{name}" for name in ("sobjects", "query", "limits", "composite", "tooling")}
        identity = f"https://octo.my.salesforce.com/id/{self.org(request).id}/{CALLER}"
        return as_json({**told, "identity": identity})

    @route("GET", f"{DATA}/sobjects")
    def describe_all(self, request: Request, version: str) -> Response:
        org = self.org(request)
        listed = [
            {"name": name, "custom": name.endswith("__c"), "queryable": True, **rights(org, name)}
            for name in org.tables
            if (name, "queryable") not in org.forbidden
        ]
        return as_json({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": listed})

    @route("GET", f"{DATA}/sobjects/<sobject>/describe")
    def describe(self, request: Request, version: str, sobject: str) -> Response:
        org = self.org(request)
        name = org.object_name(sobject)
        return as_json(
            {
                "name": name,
                "label": name.removesuffix("__c"),
                "labelPlural": f"{name.removesuffix('__c')}s",
                "keyPrefix": OBJECTS[name][0],
                "custom": name.endswith("__c"),
                **dict.fromkeys(("queryable", "retrieveable", "undeletable"), True),
                **rights(org, name),
                "childRelationships": [],
                "recordTypeInfos": [],
                "urls": {"sobject": f"/services/data/v{version}/sobjects/{name}"},
                "fields": [described(field) for field in org.visible(name).values()],
            }
        )

    @route("GET", f"{DATA}/limits")
    def limits(self, request: Request, version: str) -> Response:
        left = self.quota - self.org(request).used
        return as_json({"DailyApiRequests": {"Max": self.quota, "Remaining": left}})

    @route("GET", f"{DATA}/query")
    def query(self, request: Request, version: str) -> Response:
        name, found = queries.run(self.org(request), request.args.get("q", ""), version)
        rows = [shown(version, name, record) for record in found]
        return self.page(version, f"01g5g{len(self.cursors):09d}AAA", rows, 0)

    @route("GET", f"{DATA}/query/<cursor>")
    def query_more(self, request: Request, version: str, cursor: str) -> Response:
        name, _, at = cursor.rpartition("-")
        if name not in self.cursors:
            raise CallError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self.page(version, name, self.cursors[name][1], int(at))

    def page(self, version: str, cursor: str, rows: list[dict[str, Any]], at: int) -> Response:
        told: dict[str, Any] = {"totalSize": len(rows), "done": at + PAGE >= len(rows)}
        if not told["done"]:
            self.cursors[cursor] = (version, rows)
            told["nextRecordsUrl"] = f"/services/data/v{version}/query/{cursor}-{at + PAGE}"
        return as_json(told | {"records": rows[at : at + PAGE]})


def rights(org: Org, name: str) -> dict[str, bool]:
    """What the caller may do with an object, as describe says it."""
    able = ("createable", "updateable", "deletable")
    fixed = name in {"UserPermissionAccess", "PermissionSet", "Organization"}
    return {right: not fixed and (name, right) not in org.forbidden for right in able}


def as_json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status=status, content_type="application/json;charset=UTF-8")


def body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; CallError 400 for anything else."""
    try:
        made = json.loads(request.get_data())
    except ValueError as error:
        raise CallError(
            400, "JSON_PARSER_ERROR", f"Unexpected character at [line:1, column:1]: {error}"
        ) from error
    if not isinstance(made, dict):
        raise CallError(400, "JSON_PARSER_ERROR", "The HTTP entity body must be one JSON object")
    return made


def shown(version: str, name: str, record: dict[str, Any]) -> dict[str, Any]:
    """A record as replies show it: who it is first, then its fields."""
    url = f"/services/data/v{version}/sobjects/{name}"
    attributes = (
        {"type": name, "url": f"{url}/{record['Id']}"} if record.get("Id") else {"type": name, "url": url}
    )
    return {"attributes": attributes, **record}
