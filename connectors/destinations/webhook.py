"""Your own address: each batch is one signed POST of JSON. The destination to read first.

    POST {url}       {"batch": "…", "op": "upsert", "key_field": "email",
                      "records": [{"key": "ada@example.com", "fields": {"rfm": "champion"}}]}
      → 2xx          every record was taken, but for those in {"rejected": [{"key": "…", "reason": "…"}]};
                     "created": ["ada@example.com"] may tell beside it which were new
      → 4xx          the batch was refused; smaller ones follow, down to the record that is to blame
    POST {url}/read  {"keys": ["ada@example.com"]}
      → 200          {"records": [{"key": "ada@example.com", "fields": {"rfm": "champion"}}]}

`op`: `upsert` writes these fields, null empties one; `clear` empties them but makes no record; `delete` takes
the record away, and comes for those only that an answer called `created`: of all others, `clear`.
`Octo-Signature: t=SECONDS,v1=HEX`: the HMAC-SHA256 of `SECONDS.BODY`; refuse one older than five minutes.
A batch may come twice, with the same `Idempotency-Key`: take it once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal
from urllib.parse import urljoin

from pydantic import HttpUrl
from requests import Response, Session

from octo_dagster.destination import Destination, FieldReport, Limits, Secret, words
from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Outcome, Receipt, Removal, Sent


class Webhook(Destination[Session]):
    """Any address that takes the JSON above."""

    type: Literal["webhook"]
    url: HttpUrl
    secret: Secret
    readable: bool = False
    """Whether `POST {url}/read` is answered; without it lost replies are settled by sending again."""

    modes: ClassVar = frozenset({Mode.UPSERT, Mode.MIRROR})
    removals: ClassVar = frozenset({Removal.CLEAR, Removal.DELETE})
    keys_ignore_case: ClassVar = False
    in_order: ClassVar = False  # a queue at the other end may yet deliver what was never answered

    def hosts(self) -> Mapping[str, str]:
        return {urljoin(str(self.url), "/").rstrip("/"): "webhook"}

    def connect(self, http: Session) -> Session:
        return http

    def limits(self, op: Op, rows: int) -> Limits:
        return Limits(rows=500, bytes=1_000_000)

    def account(self, api: Session) -> str:
        return str(self.url)

    def ensure_fields(self, api: Session, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        return FieldReport(existing=tuple(fields))  # JSON takes any field

    def send(self, api: Session, batch: Batch) -> Sent:
        records = [{"key": change.key, "fields": dict(change.fields)} for change in batch.changes]
        body = {"batch": batch.id, "op": batch.op, "key_field": batch.key_field, "records": records}
        answer = self.post(api, str(self.url), body, {"Idempotency-Key": batch.id})
        rejected, created = refusals(answer), newcomers(answer)
        if not {*rejected, *(created or ())} <= set(batch.keys):
            raise Unanswered("webhook: the reply names keys that were not sent")
        receipts = [
            Receipt(key, Outcome.ACCEPTED, created=None if created is None else key in created)
            for key in batch.keys
            if key not in rejected
        ]
        receipts += [Receipt(key, Outcome.REJECTED, reason) for key, reason in rejected.items()]
        return Sent(tuple(receipts))

    def can_read(self) -> bool:
        return self.readable

    def read(
        self, api: Session, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        wanted = set(fields)
        found = self.post(api, f"{str(self.url).rstrip('/')}/read", {"keys": list(keys)}, {})["records"]
        return {row["key"]: {f: v for f, v in row["fields"].items() if f in wanted} for row in found}

    def failure(self, response: Response) -> DeliveryError | None:
        status = response.status_code
        if 300 <= status < 400 and not response.is_redirect:  # one that is says where to
            return Fatal(f"webhook: {status}: only 2xx says that the records were taken")
        if status in {401, 403, 429} or not 400 <= status < 500:
            return super().failure(response)
        kind = Fatal if status in {404, 405, 410} else BatchRejected  # Fatal: the address is wrong, not a row
        return kind(f"webhook: {status} {words(response)}")

    def post(self, api: Session, url: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
        """The answer's JSON, its numbers exact; nothing when the answer is not JSON."""
        sent = json.dumps(body, ensure_ascii=False, default=float).encode()  # default: for Decimal
        at = str(int(time.time()))
        mac = hmac.new(self.secret.reveal().encode(), f"{at}.".encode() + sent, hashlib.sha256)
        signed = {"Content-Type": "application/json", "Octo-Signature": f"t={at},v1={mac.hexdigest()}"}
        reply = api.post(url, data=sent, headers={**signed, **headers})
        is_json = reply.headers.get("Content-Type", "").startswith("application/json")
        if not is_json or not reply.content:
            return {}
        try:
            return json.loads(reply.content, parse_float=Decimal)
        except ValueError:
            raise Unanswered(f"webhook: {reply.status_code} with JSON that is none") from None


def refusals(answer: Any) -> dict[str, str]:
    """Key → reason of the records refused. Unanswered when the reply is not spelled so: who knows what was
    refused in it."""
    rows = (answer.get("rejected") or []) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("key"), str) for row in rows
    ):
        raise Unanswered('webhook: the reply does not say {"rejected": [{"key": "…", "reason": "…"}]}')
    return {row["key"]: str(row.get("reason") or "no reason given") for row in rows}


def newcomers(answer: Mapping[str, Any]) -> set[str] | None:
    """The keys of records that were new; None where the receiver does not tell. Unanswered when it is not
    spelled so."""
    told = answer.get("created")
    if told is not None and not (isinstance(told, list) and all(isinstance(key, str) for key in told)):
        raise Unanswered('webhook: the reply does not say {"created": ["…"]}')
    return None if told is None else set(told)
