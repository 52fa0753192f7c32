"""Salesforce: contacts, leads, accounts or a custom object, matched by an external id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

import jwt
import requests
from pydantic import BaseModel, ConfigDict, Field
from simple_salesforce.api import Salesforce as Client
from simple_salesforce.login import SalesforceLogin

from connectors.destinations.salesforce import bulk
from connectors.destinations.salesforce.fields import Wanted, ensure
from connectors.destinations.salesforce.org import Org, as_value, fold, in_json, unsayable
from octo_dagster.destination import Destination, FieldReport, Limits, Secret, words
from octo_dagster.errors import (
    BatchRejected,
    ConfigError,
    DeliveryError,
    Expired,
    Fatal,
    Retryable,
    Unanswered,
)
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent

COLLECTION = 200
JOB_ROWS = 100_000
QUOTA_SECONDS = 60.0
GONE = frozenset({"ENTITY_IS_DELETED", "INVALID_CROSS_REFERENCE_KEY"})
"""The record went away between the look and the call: for a removal, done."""


class ClientCredentials(BaseModel):
    """An external client app that runs as its own user (OAuth client credentials)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Secret
    client_secret: Secret

    def token(self, http: requests.Session, domain: str) -> str:
        """A new access token."""
        key, secret = self.client_id.reveal(), self.client_secret.reveal()
        signed = SalesforceLogin(
            session=http, domain=f"{domain}.my", consumer_key=key, consumer_secret=secret
        )
        return str(signed[0])


class JwtBearer(BaseModel):
    """An external client app with a certificate (OAuth JWT bearer)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    client_id: Secret
    username: str
    private_key: Secret
    """PEM; `\\n` may stand for line ends."""
    audience: Literal["https://login.salesforce.com", "https://test.salesforce.com"] = (
        "https://login.salesforce.com"
    )

    def token(self, http: requests.Session, domain: str) -> str:
        """A new access token. ConfigError when the private key is none."""
        try:
            signed = SalesforceLogin(
                session=http,
                domain=self.audience.removeprefix("https://").removesuffix(".salesforce.com"),
                instance_url=f"{domain}.my",
                username=self.username,
                consumer_key=self.client_id.reveal(),
                privatekey=self.private_key.reveal().replace("\\n", "\n"),
            )
        except (ValueError, jwt.InvalidKeyError) as error:
            raise ConfigError(f"{self.private_key.env} does not hold a private key in PEM") from error
        return str(signed[0])


class Salesforce(Destination[Org]):
    """Upserts by external id: up to 200 records a call, or one Bulk API 2.0 job from `bulk_from` on.

    A record that was taken back keeps fields Salesforce cannot empty (a contact's last name)."""

    type: Literal["salesforce"]
    domain: str = Field(pattern=r"^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$")
    """My Domain: `acme` of acme.my.salesforce.com, `acme--dev.sandbox` of a sandbox."""
    auth: ClientCredentials | JwtBearer
    object: str = Field(default="Contact", pattern=r"^\w+$")
    external_id: str = Field(default="Octo_Id__c", pattern=r"^\w+$")
    """The field that holds the key, as the sync's `key.to` says; made as External ID and unique."""
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
    removals: ClassVar[frozenset[Removal]] = frozenset({Removal.CLEAR, Removal.DELETE})
    place: ClassVar[tuple[str, ...]] = ("object",)
    poll_seconds: ClassVar[tuple[float, float]] = (1.0, 30.0)

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
        return Org(client, self.object, headers)

    def limits(self, op: Op, rows: int) -> Limits:
        if op is Op.UPSERT and rows >= self.bulk_from and not self.allow_duplicates:
            return Limits(JOB_ROWS, bulk.LARGEST_UPLOAD)
        return Limits(COLLECTION)

    def in_bulk(self, batch: Batch) -> bool:
        """What is too many for one collection goes by a job too: the last batch of a large plan."""
        enough = len(batch.changes) >= min(self.bulk_from, COLLECTION + 1)
        return batch.op is Op.UPSERT and enough and not self.allow_duplicates

    def account(self, api: Org) -> str:
        return str(api.client.query("SELECT Id FROM Organization LIMIT 1")["records"][0]["Id"])

    def ensure_fields(self, api: Org, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        return ensure(api, Wanted(fields, self.external_id, self.permission_set), create=create)

    # carrying out ----------------------------------------------------------------------------------

    def open(self, api: Org, batch: Batch) -> str | None:
        if not self.in_bulk(batch):
            return None
        api.below(self.stop_at)
        return bulk.open_job(api, self.external_id)

    def send(self, api: Org, batch: Batch) -> Sent:
        api.below(self.stop_at)
        if self.in_bulk(batch):
            return bulk.fill_job(api, batch, batch.token or bulk.open_job(api, self.external_id))
        if batch.op is Op.UPSERT:
            return Sent(tuple(self.upsert(api, batch)))
        return Sent(tuple(self.take_back(api, batch)))

    def settle(self, api: Org, batch: Batch) -> Sent | None:
        return bulk.look(api, batch, batch.token) if batch.token else None

    def upsert(self, api: Org, batch: Batch) -> list[Receipt]:
        said = [change for change in batch.changes if unsayable(change) is None]
        records = [
            {
                "attributes": {"type": self.object},
                self.external_id: change.key,
                **{name: in_json(value, batch.types.get(name)) for name, value in change.fields.items()},
            }
            for change in said
        ]
        told = api.collection("PATCH", f"/{self.object}/{self.external_id}", records) if records else []
        sent = [receipt(c.key, row) for c, row in zip(said, told, strict=False)]
        return [*bulk.refused(batch), *sent]

    def take_back(self, api: Org, batch: Batch) -> list[Receipt]:
        """Clear or delete the records there are; never create one."""
        found = api.ids(self.external_id, batch.keys)
        absent = [key for key in batch.keys if fold(key) not in found]
        several = [key for key in batch.keys if len(found.get(fold(key), ())) > 1]
        why = f"DUPLICATE_EXTERNAL_ID: more than one record has this {self.external_id}"
        decided = [Receipt(key, Outcome.ACCEPTED, created=False) for key in absent]
        decided += [Receipt(key, Outcome.REJECTED, why) for key in several]
        ids = {key: ids[0] for key in batch.keys if len(ids := found.get(fold(key), [])) == 1}
        return decided + (self.delete(api, ids) if batch.op is Op.DELETE else self.clear(api, batch, ids))

    def delete(self, api: Org, ids: Mapping[str, str]) -> list[Receipt]:
        if not ids:
            return []
        asked = {"ids": ",".join(ids.values()), "allOrNone": "false"}
        told = api.client.restful("composite/sobjects", params=asked, method="DELETE") or []
        return [removed(key, row) for key, row in zip(ids, told, strict=False)]

    def clear(self, api: Org, batch: Batch, ids: Mapping[str, str]) -> list[Receipt]:
        empty = {change.key: self.emptied(api, batch, change.fields) for change in batch.changes}
        work = [key for key in ids if empty[key]]
        kept = [Receipt(key, Outcome.ACCEPTED, created=False) for key in ids if not empty[key]]
        records = [{"attributes": {"type": self.object}, "Id": ids[key], **empty[key]} for key in work]
        told = api.collection("PATCH", "", records) if records else []
        return kept + [removed(key, row) for key, row in zip(work, told, strict=False)]

    def emptied(self, api: Org, batch: Batch, fields: Fields) -> dict[str, Any]:
        """These fields with nothing in them, but for those that must not be empty."""
        known = api.fields()
        able = [
            name
            for name in fields
            if (field := known.get(name.lower())) is None or field["nillable"] or field["type"] == "boolean"
        ]
        return {name: in_json(None, batch.types.get(name)) for name in able}

    # reading ---------------------------------------------------------------------------------------

    def read(
        self, api: Org, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        asked = {fold(key): key for key in keys}
        names = list(fields)
        kinds = {name: field["type"] for name, field in api.fields().items()}
        held: dict[str, Fields] = {}
        for record in api.select(names, self.external_id, asked.values()):
            key = asked.get(fold(record[self.external_id.lower()]))
            if key is not None:
                held[key] = {n: as_value(record[n.lower()], kinds.get(n.lower(), "")) for n in names}
        return held

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


def receipt(key: str, row: Mapping[str, Any]) -> Receipt:
    """One row of a collections reply: `CODE: message (fields)` of its first error when it was refused."""
    if row["success"]:
        return Receipt(key, Outcome.ACCEPTED, created=row.get("created"))
    error = row["errors"][0]
    if error["statusCode"] == bulk.LOCKED:
        return Receipt(key, Outcome.UNSENT, bulk.LOCKED)
    fields = f" ({', '.join(error['fields'])})" if error.get("fields") else ""
    return Receipt(key, Outcome.REJECTED, f"{error['statusCode']}: {error['message']}{fields}")


def removed(key: str, row: Mapping[str, Any]) -> Receipt:
    """A removal's row: a record that is gone already was removed."""
    if not row["success"] and row["errors"][0]["statusCode"] in GONE:
        return Receipt(key, Outcome.ACCEPTED, created=False)
    return receipt(key, row)
