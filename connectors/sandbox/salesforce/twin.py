"""Salesforce's twin: orgs with Contact, Lead, Account, campaigns, tasks and one custom object, by REST.

Its apps: `octo-app` / `octo-secret` in the first org, `octo-app-2` / `octo-secret-2` in the second, and in
the third, which has person accounts, `octo-app-3` / `octo-secret-3`; all under the My Domain `octo`. The
permission set `Octo` is the caller's. Known from describe and traffic recorded by others, Postman's
requests, the REST and Bulk 2.0 guides and the Object Reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from connectors.sandbox.salesforce.fields import make_field
from connectors.sandbox.salesforce.jobs import Jobs
from connectors.sandbox.salesforce.org import NOT_FOUND
from connectors.sandbox.salesforce.rest import DATA, as_json, body, shown
from connectors.sandbox.salesforce.rows import MOST_ROWS, Rows
from connectors.sandbox.salesforce.values import CallError
from connectors.sandbox.twin import route

UNSHOWN = frozenset({"UserPermissionAccess", "PermissionSetAssignment"})


class Salesforce(Jobs):
    """A test may change `quota`, `job_seconds`, `job_looks`, `login.token_seconds` and, of an org,
    `locked_rows`."""

    name = "salesforce"
    keys: ClassVar[Mapping[str, str]] = {
        "SALESFORCE_CLIENT_ID": "octo-app",
        "SALESFORCE_CLIENT_SECRET": "octo-secret",
    }
    settings: ClassVar[Mapping[str, str]] = {"domain": "octo", "permission_set": "Octo"}
    bookkeeping = frozenset(
        {
            "IsDeleted",
            "CreatedDate",
            "CreatedById",
            "LastModifiedDate",
            "LastModifiedById",
            "SystemModstamp",
        }
    )

    def holdings(self) -> Mapping[str, list[dict[str, Any]]]:
        """The first org's records, and the third's person accounts; of a campaign's member, who it is."""
        self.work_jobs()
        tables = {n: rows for n, rows in self.orgs[0].tables.items() if n not in UNSHOWN}
        held = {name: list(rows.values()) for name, rows in tables.items() if rows}
        persons = [row for row in self.orgs[2].tables["Account"].values() if row["IsPersonAccount"]]
        members = [{**row, **self.who(row)} for row in held.get("CampaignMember", [])]
        shown = {"CampaignMember": members, "PersonAccount": persons}
        return held | {name: rows for name, rows in shown.items() if rows}

    def who(self, member: Mapping[str, Any]) -> dict[str, Any]:
        """A member's custom fields that identify the person, as queries spell them."""
        contact = self.orgs[0].tables["Contact"].get(member["ContactId"] or "")
        keys = [f.name for f in self.orgs[0].fields["Contact"].values() if f.has("E")]
        return {f"Contact.{key}": contact[key] for key in keys} if contact else {}

    def add_key(self, name: str, field: str) -> None:
        """What an administrator may do beforehand: a unique External ID, visible to the caller, in the
        first and the third org."""
        unique = name != "Task"
        metadata = {"type": "Text", "label": field, "length": 255, "externalId": True, "unique": unique}
        made_on = "Activity" if name == "Task" else name
        for org in (self.orgs[0], self.orgs[2]):
            make_field(org, {"FullName": f"{made_on}.{field}", "Metadata": metadata})
            org.granted[name, field] = "edit"

    def rows(self, request: Request) -> Rows:
        return Rows(self.org(request))

    # one record ------------------------------------------------------------------------------------

    @route("POST", f"{DATA}/sobjects/<sobject>")
    def create_one(self, request: Request, version: str, sobject: str) -> Response:
        saved = self.rows(request).create(sobject, body(request))
        made = as_json({"id": saved.id, "success": True, "errors": []}, 201)
        made.headers["Location"] = f"/services/data/v{version}/sobjects/{sobject}/{saved.id}"
        return made

    @route("GET", f"{DATA}/sobjects/<sobject>/<id_>")
    def show_one(self, request: Request, version: str, sobject: str, id_: str) -> Response:
        name, record = self.rows(request).one(sobject, "Id", id_)
        return as_json(shown(version, name, record))

    @route("PATCH", f"{DATA}/sobjects/<sobject>/<id_>")
    def update_one(self, request: Request, version: str, sobject: str, id_: str) -> Response:
        name, record = self.rows(request).one(sobject, "Id", id_)
        self.rows(request).update(name, record["Id"], body(request))
        return Response(status=204)

    @route("DELETE", f"{DATA}/sobjects/<sobject>/<id_>")
    def delete_one(self, request: Request, version: str, sobject: str, id_: str) -> Response:
        name, record = self.rows(request).one(sobject, "Id", id_)
        self.org(request).delete(name, record["Id"])
        return Response(status=204)

    @route("GET", f"{DATA}/sobjects/<sobject>/<field>/<value>")
    def show_by_key(self, request: Request, version: str, sobject: str, field: str, value: str) -> Response:
        name, record = self.rows(request).one(sobject, field, value)
        return as_json(shown(version, name, record))

    @route("PATCH", f"{DATA}/sobjects/<sobject>/<field>/<value>")
    def upsert_one(self, request: Request, version: str, sobject: str, field: str, value: str) -> Response:
        rows = self.rows(request)
        many = rows.matching(sobject, field, value)
        if len(many) > 1:
            return as_json([f"/services/data/v{version}/sobjects/{sobject}/{id_}" for id_ in many], 300)
        saved = rows.upsert(sobject, field, {**body(request), field: value})
        told = {"id": saved.id, "success": True, "errors": [], "created": saved.created}
        return as_json(told, 201 if saved.created else 200)

    # up to 200 records -----------------------------------------------------------------------------

    @route("POST", f"{DATA}/composite/sobjects")
    def create_many(self, request: Request, version: str) -> Response:
        return as_json(self.rows(request).create_many(body(request)))

    @route("PATCH", f"{DATA}/composite/sobjects")
    def update_many(self, request: Request, version: str) -> Response:
        return as_json(self.rows(request).update_many(body(request)))

    @route("PATCH", f"{DATA}/composite/sobjects/<sobject>/<field>")
    def upsert_many(self, request: Request, version: str, sobject: str, field: str) -> Response:
        if float(version) < 46:
            raise NOT_FOUND
        return as_json(self.rows(request).upsert_many(sobject, field, body(request)))

    @route("DELETE", f"{DATA}/composite/sobjects")
    def delete_many(self, request: Request, version: str) -> Response:
        ids = request.args.get("ids", "").split(",")
        if len(ids) > MOST_ROWS:
            raise CallError(
                400, "EXCEEDED_ID_LIMIT", "record limit reached. cannot submit more than 200 records"
            )
        return as_json(self.rows(request).delete_many(ids, request.args.get("allOrNone") == "true"))

    # fields ----------------------------------------------------------------------------------------

    @route("POST", f"{DATA}/tooling/sobjects/CustomField")
    def create_field(self, request: Request, version: str) -> Response:
        org = self.org(request)
        make_field(org, body(request))
        told = {"id": org.new_id("00N"), "success": True, "errors": [], "warnings": [], "infos": []}
        return as_json(told, 201)
