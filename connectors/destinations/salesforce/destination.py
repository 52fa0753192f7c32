"""Salesforce: contacts, leads, accounts, person accounts or a custom object, matched by an external id; a
segment as a campaign's members; a call list as tasks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal

import requests
from pydantic import Field, model_validator
from simple_salesforce.api import Salesforce as Client

from connectors.destinations.salesforce import bulk, members, tasks
from connectors.destinations.salesforce.auth import ClientCredentials, JwtBearer
from connectors.destinations.salesforce.fields import Wanted, ensure
from connectors.destinations.salesforce.members import Members
from connectors.destinations.salesforce.org import Org
from connectors.destinations.salesforce.people import Kind, People
from connectors.destinations.salesforce.records import DEFAULT_TYPE, Records, anew, person_types
from connectors.destinations.salesforce.survey import look
from connectors.destinations.salesforce.tasks import Tasks
from octo_dagster.destination import Destination, FieldReport, Limits, Survey, words
from octo_dagster.errors import BatchRejected, DeliveryError, Expired, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent

COLLECTION = 200
JOB_ROWS = 100_000
"""A job takes 100 MB, seven times as many rows; but a batch is held in memory, 180 MB of it for these
(measured, ten fields), and a job more costs about ten calls of the day's 100,000."""
QUOTA_SECONDS = 60.0
PERSONS = "PersonAccount"


class Salesforce(Destination[Org]):
    """Upserts by external id: up to 200 records a call, or one Bulk API 2.0 job from `bulk_from` on.

    A record that was taken back keeps fields Salesforce cannot empty (a contact's last name)."""

    type: Literal["salesforce"]
    domain: str = Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$")
    """My Domain: `acme` of acme.my.salesforce.com, `acme--dev.sandbox` of a sandbox."""
    auth: ClientCredentials | JwtBearer
    object: str = Field(default="Contact", pattern=r"^\w+$")
    """`Contact`, `Lead`, `PersonAccount`, `CampaignMember`, `Task`, `Account` or a custom object."""
    external_id: str = Field(default="Octo_Id__c", pattern=r"^\w+$")
    """The field that holds the key, as the sync's `key.to` says; made as External ID and unique."""
    campaign: str | None = None
    """For `CampaignMember`: the campaign's name or id."""
    people: Kind = "Contact"
    """Who joins the campaign, or is named by a task's `WhoId`."""
    status: str | None = None
    """Of new members and new tasks; never written again."""
    record_type: str = DEFAULT_TYPE
    """For `PersonAccount`: the record type of new ones, by its developer name."""
    permission_set: str | None = None
    """The integration user's permission set, through which new fields become visible to it."""
    api_version: str = Field(default="61.0", pattern=r"^(4[6-9]|[5-9]\d|\d{3})\.0$")
    bulk_from: int = Field(default=2000, ge=1)
    """So many changes go by a bulk job instead of collections."""
    allow_duplicates: bool = False
    """Save although a duplicate rule objects. Such a sync never uses bulk jobs, which cannot say it."""
    stop_at: float = Field(default=0.95, gt=0, le=1)
    """The share of the org's 24-hour call quota at which Octo stops by itself."""

    modes: ClassVar[frozenset[Mode]] = frozenset(Mode)
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 30.0)

    @model_validator(mode="after")
    def sound(self) -> Salesforce:
        if (self.object == members.NAME) != (self.campaign is not None):
            raise ValueError("`object: CampaignMember` and `campaign` go together")
        if self.status is not None and self.object not in (members.NAME, tasks.NAME):
            raise ValueError("`status` is for `CampaignMember` and `Task`; map the field instead")
        return self

    @property
    def removals(self) -> frozenset[Removal]:  # type: ignore[override]  # what it means depends on the object
        if self.object in (members.NAME, tasks.NAME):
            return frozenset({Removal.LEAVE})
        return frozenset({Removal.CLEAR, Removal.DELETE})

    @property
    def place(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("object", "campaign", "people") if self.object == members.NAME else ("object",)

    @property
    def work(self) -> Records | Members | Tasks:
        """What carries batches out, by the object."""
        people = People(self.people, self.external_id)
        if self.object == members.NAME:
            return Members(self.campaign or "", people, self.status)
        if self.object == tasks.NAME:
            return Tasks(people, self.status)
        return Records(self.external_id, self.record_type if self.object == PERSONS else None)

    def key_problem(self, key_field: str) -> str | None:
        if key_field == self.external_id:
            return None
        return f"is {key_field}, but destination.external_id is {self.external_id}"

    def hosts(self) -> Mapping[str, str]:
        return {self.site: "salesforce"}

    @property
    def site(self) -> str:
        return f"https://{self.domain}.my.salesforce.com"

    def connect(self, http: requests.Session) -> Org:
        """Signed in by a token of our own, so that the library has nothing to sign in again with: it would
        do so without end, and drop our headers on the way."""
        token = self.auth.token(http, self.domain)
        client = Client(
            session_id=token,
            instance_url=self.site,
            session=http,
            version=self.api_version,
            parse_float=Decimal,
        )
        headers = {"Sforce-Duplicate-Rule-Header": "allowSave=true"} if self.allow_duplicates else {}
        return Org(client, "Account" if self.object == PERSONS else self.object, headers)

    def limits(self, op: Op, rows: int) -> Limits:
        if self.jobs(op) and rows >= self.bulk_from:
            return Limits(JOB_ROWS, bulk.LARGEST_UPLOAD)
        return Limits(COLLECTION)

    def jobs(self, op: Op) -> bool:
        """Whether such changes may go by bulk jobs at all."""
        return op is Op.UPSERT and not self.allow_duplicates and isinstance(self.work, Records)

    def in_bulk(self, batch: Batch) -> bool:
        """What is too many for one collection goes by a job too: the last batch of a large plan."""
        return self.jobs(batch.op) and len(batch.changes) >= min(self.bulk_from, COLLECTION + 1)

    def account(self, api: Org) -> str:
        return str(api.query("SELECT Id FROM Organization LIMIT 1")[0]["id"])

    def spelling(self, column: str) -> str:
        """As people name custom fields; the customer's own id is the external id."""
        if column == "customer_id":
            return self.external_id
        return "_".join(part[:1].upper() + part[1:] for part in column.split("_")) + "__c"

    def survey(self, api: Org) -> Survey:
        return look(api, People(self.people, self.external_id))

    def ensure_fields(self, api: Org, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        of_others = {self.external_id} if self.object == members.NAME else set()
        own = {name: kind for name, kind in fields.items() if name not in of_others}
        wanted = Wanted(own, self.external_id, self.permission_set, persons=self.object == PERSONS)
        problems = tuple(self.problems(api, fields))
        report = ensure(api, wanted, create=create and not problems)
        existing = (*(name for name in fields if name in of_others), *report.existing)
        return FieldReport(report.created, existing, (*problems, *report.problems))

    def problems(self, api: Org, fields: Iterable[str]) -> Iterator[str]:
        """What is wrong besides the fields: the campaign, the people, the status, the record type."""
        if not isinstance(self.work, Records):
            yield from self.work.problems(api, set(fields))
        elif self.object == PERSONS:
            if "ispersonaccount" not in api.fields():
                yield "object: person accounts are not enabled in this org"
            elif self.record_type not in (known := person_types(api)):
                yield f"record_type: there is no {self.record_type} of persons; there are {', '.join(known)}"
            if "Name" in fields:
                yield "Name: a person's is made of FirstName and LastName"

    # carrying out ----------------------------------------------------------------------------------

    def open(self, api: Org, batch: Batch) -> str | None:
        if not self.in_bulk(batch):
            return None
        api.below(self.stop_at)
        return bulk.open_job(api, self.external_id)

    def send(self, api: Org, batch: Batch) -> Sent:
        api.below(self.stop_at)
        work = self.work
        if isinstance(work, Records) and self.in_bulk(batch):
            token = batch.token or bulk.open_job(api, self.external_id)
            return bulk.fill_job(api, work.typed(api, batch), token)
        return Sent(tuple(work.send(api, batch)))

    def settle(self, api: Org, batch: Batch) -> Sent | None:
        sent = bulk.look(api, batch, batch.token) if batch.token else None
        return self.whole(api, batch, sent) if sent and sent.receipts else sent

    def whole(self, api: Org, batch: Batch, sent: Sent) -> Sent:
        """What a job made anew of some fields, since people had deleted it, gets the others by calls."""
        told = {receipt.key: receipt for receipt in sent.receipts}
        again = anew(batch, batch.changes, told)
        for at in range(0, len(again), COLLECTION):
            some = replace(batch, changes=again[at : at + COLLECTION])
            try:
                told |= {receipt.key: receipt for receipt in self.work.send(api, some)}
            except BatchRejected as error:  # the job is over: each is owed, and goes again next run
                told |= {key: Receipt(key, Outcome.REJECTED, str(error)) for key in some.keys}
        return Sent(tuple(told.values()))

    def read(
        self, api: Org, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        return self.work.read(api, keys, fields)

    def failure(self, response: requests.Response) -> DeliveryError | None:
        status, url = response.status_code, response.request.url or ""
        if status < 400:
            return None
        if "/services/oauth2/token" in url and status < 500:
            return Fatal(f"salesforce: cannot sign in: {words(response)}")
        told = f"salesforce: {status} {words(response)}"
        if "/jobs/ingest/" in url and response.request.method == "PATCH":
            return Unanswered(told)  # the same call would upload again: a look at the job decides
        if "UNABLE_TO_LOCK_ROW" in told or status in {429, 503}:
            return Retryable(told)
        if status == 401:
            return Expired(told)
        if status == 403 and "REQUEST_LIMIT_EXCEEDED" in told:
            return Retryable(told, QUOTA_SECONDS)
        if status >= 500:
            return Unanswered(told)
        return self.refusal(response, told)

    def refusal(self, response: requests.Response, told: str) -> DeliveryError | None:
        """A 4xx: of one job that is gone, of one field, of one batch, or of everything."""
        url, status = response.request.url or "", response.status_code
        if "/jobs/ingest/" in url and (status == 404 or "INVALIDJOBSTATE" in told):
            return None if response.request.method == "GET" else Unanswered(told)
        if "/tooling/" in url and status == 400:
            return None
        if status in {400, 413} and ("/composite/sobjects" in url or url.endswith("/batches")):
            return BatchRejected(told)
        return Fatal(told)
