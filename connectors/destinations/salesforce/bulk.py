"""Bulk API 2.0 ingest jobs, by our own loop: simple-salesforce's aborts a running job when one look at it
fails, and reads the result files as latin-1."""

from __future__ import annotations

import codecs
import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

import requests

from connectors.destinations.salesforce.org import Org, fold, in_csv, unsayable
from connectors.destinations.salesforce.replies import refused, rejected
from octo_dagster.errors import BatchRejected, Unanswered
from octo_dagster.model import Batch, Change, Outcome, Receipt, Sent

LARGEST_UPLOAD = 100 * 1024 * 1024
"""The limit is 150 MB once encoded in base64, so 100 MB as sent."""


def open_job(org: Org, key_field: str) -> str:
    """An empty upsert job; its id."""
    asked = {
        "object": org.name,
        "operation": "upsert",
        "externalIdFieldName": key_field,
        "contentType": "CSV",
        "lineEnding": "LF",
        "columnDelimiter": "COMMA",
    }
    return str(org.call("POST", "jobs/ingest", json=asked).json()["id"])


def fill_job(org: Org, batch: Batch, token: str) -> Sent:
    """Upload the rows and let the job start. Nothing is written before it starts."""
    rows = [change for change in batch.changes if unsayable(org, change) is None]
    if not rows:
        abort(org, token)
        return Sent(tuple(refused(org, batch)))
    with tempfile.TemporaryFile() as upload:
        write(upload, batch, rows)
        if upload.tell() > LARGEST_UPLOAD:
            abort(org, token)
            raise BatchRejected(f"salesforce: {upload.tell()} bytes are over the 100 MB of one job")
        upload.seek(0)
        csv_type = {"Content-Type": "text/csv; charset=UTF-8"}
        org.call("PUT", f"jobs/ingest/{token}/batches", data=upload, headers=csv_type)
    org.call("PATCH", f"jobs/ingest/{token}", json={"state": "UploadComplete"})
    return Sent(token=token)


def write(upload: IO[bytes], batch: Batch, rows: Sequence[Change]) -> None:
    """The CSV: every field that any row has is a column; a row without it has an empty cell."""
    columns = list(dict.fromkeys(name for row in rows for name in row.fields))
    text = io.TextIOWrapper(upload, encoding="utf-8", newline="", write_through=True)
    out = csv.writer(Lines(text), lineterminator="\r\n")
    out.writerow([batch.key_field, *columns])
    for row in rows:
        cells = (in_csv(row.fields[n], batch.types.get(n)) if n in row.fields else "" for n in columns)
        out.writerow([row.key, *cells])
    text.detach()


class Lines:
    """Rows that end as the job says, with a line feed. Python quotes a carriage return, which would cut a row
    in two, only where the end it is told of has one."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text = text

    def write(self, row: str) -> int:
        return self.text.write(row.removesuffix("\r\n") + "\n")


def look(org: Org, batch: Batch, token: str) -> Sent | None:
    """What became of the job: still running, over, or None when Salesforce has forgotten it (7 days).

    A job that is still open was never started: it is aborted and its rows are unsent."""
    reply = org.call("GET", f"jobs/ingest/{token}")
    if reply.status_code == 404:
        return None
    told = reply.json()
    if told["state"] == "Open":
        abort(org, token)
        return Sent(tuple(Receipt(key, Outcome.UNSENT) for key in batch.keys))
    if told["state"] in {"UploadComplete", "InProgress"}:
        return Sent(token=token)
    return Sent(tuple(receipts(org, batch, token, told.get("errorMessage"))))


def abort(org: Org, token: str) -> None:
    org.call("PATCH", f"jobs/ingest/{token}", json={"state": "Aborted"})


def receipts(org: Org, batch: Batch, token: str, stopped: str | None) -> Iterator[Receipt]:
    """One per change. A failed job may have written rows, so all three files are read, whatever its state;
    a row in none of them (a batch beyond the daily allocation) is unknown."""
    asked = {fold(key): key for key in batch.keys}
    decided = {receipt.key: receipt for receipt in refused(org, batch)}
    for key, _ in results(org, batch.key_field, token, "unprocessedrecords"):
        ours = asked.get(fold(key), key)
        decided[ours] = Receipt(ours, Outcome.UNSENT, stopped)
    for key, cells in results(org, batch.key_field, token, "failedResults"):
        ours = asked.get(fold(key), key)
        decided[ours] = failed(ours, cells["sf__error"])
    for key, cells in results(org, batch.key_field, token, "successfulResults"):
        ours = asked.get(fold(key), key)
        decided[ours] = Receipt(ours, Outcome.ACCEPTED, created=cells["sf__created"] == "true")
    for key in batch.keys:
        yield decided.get(key) or Receipt(key, Outcome.UNKNOWN)


def failed(key: str, error: str) -> Receipt:
    """`CODE:message:field,field --` as a receipt."""
    code, _, rest = error.removesuffix("--").strip().partition(":")
    message, _, fields = rest.rpartition(":")
    return rejected(key, code, (message or rest).strip(), fields.strip())


def results(org: Org, key_field: str, token: str, which: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(key, the vendor's own columns in lower case) of every row of one result file, streamed."""
    with org.call("GET", f"jobs/ingest/{token}/{which}", stream=True) as reply:
        if reply.status_code != 200:  # 204: the file is empty
            return
        table = csv.reader(lines(reply))
        header = [name.lower() for name in next(table, [])]
        told = [n for n, name in enumerate(header) if name.startswith("sf__")]
        at = header.index(key_field.lower()) if header else 0
        for row in table:
            yield row[at], {header[n]: row[n] for n in told}


def lines(reply: requests.Response) -> Iterator[str]:
    """The reply's lines, as UTF-8 whatever its headers say; line ends inside quotes stay."""
    rest = ""
    try:
        for text in codecs.iterdecode(reply.iter_content(1 << 16), "utf-8-sig"):
            *whole, rest = (rest + text).split("\n")
            yield from (f"{line}\n" for line in whole)
    except requests.RequestException:  # a streamed body is read outside the session's care
        raise Unanswered("salesforce: a result file broke off") from None
    if rest:
        yield rest
