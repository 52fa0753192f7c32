"""Bulk API 2.0 ingest jobs of a Salesforce org: opened, filled, closed, worked off in the background."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.sandbox.salesforce.org import CALLER, Org
from connectors.sandbox.salesforce.values import CallError, RowError, from_csv

DELIMITERS = {"COMMA": ",", "TAB": "\t", "SEMICOLON": ";", "PIPE": "|", "CARET": "^", "BACKQUOTE": "`"}
OPERATIONS = frozenset({"insert", "update", "upsert", "delete", "hardDelete"})
CHUNK = 200
"""Rows the vendor saves together; a key twice within them refuses both rows."""


@dataclass
class Job:
    """One job. `due` is when it will be done, `looks` how many more times it must be asked for."""

    id: str
    object: str
    operation: str
    key: str | None
    delimiter: str
    line_ending: str
    created: str
    version: str
    state: str = "Open"
    data: bytes = b""
    due: float = 0.0
    looks: int = 0
    done: list[tuple[list[str], list[str]]] = field(default_factory=list)
    failed: list[tuple[list[str], list[str]]] = field(default_factory=list)
    unprocessed: list[list[str]] = field(default_factory=list)
    message: str | None = None

    def info(self) -> dict[str, Any]:
        """As GET of the job tells it."""
        told: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "object": self.object,
            "createdById": CALLER,
            "createdDate": self.created,
            "systemModstamp": self.created,
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(self.version),
            "jobType": "V2Ingest",
            "contentUrl": f"services/data/v{self.version}/jobs/ingest/{self.id}/batches",
            "lineEnding": self.line_ending,
            "columnDelimiter": self.delimiter,
            "numberRecordsProcessed": len(self.done) + len(self.failed),
            "numberRecordsFailed": len(self.failed),
            "retries": 0,
            "totalProcessingTime": 0,
            "apiActiveProcessingTime": 0,
            "apexProcessingTime": 0,
        }
        optional = {"externalIdFieldName": self.key, "errorMessage": self.message}
        return told | {name: value for name, value in optional.items() if value is not None}

    def rows(self) -> Iterator[list[str]]:
        return csv.reader(
            io.StringIO(self.data.decode("utf-8-sig"), newline=""), delimiter=DELIMITERS[self.delimiter]
        )

    def header(self) -> list[str]:
        return next(self.rows(), [])


def opened(org: Org, asked: dict[str, Any], version: str) -> Job:
    """A new job; CallError 400 for an operation, object or key the org does not know."""
    if asked.get("operation") not in OPERATIONS or not asked.get("object"):
        raise CallError(400, "INVALIDJOB", f"Invalid operation: {asked.get('operation')}")
    if asked.get("contentType", "CSV") != "CSV" or asked.get("columnDelimiter", "COMMA") not in DELIMITERS:
        raise CallError(400, "INVALIDJOB", "Unsupported content type or delimiter")
    if asked["object"].lower() not in {name.lower() for name in org.tables}:
        raise CallError(400, "INVALIDJOB", f"InvalidJob : Unable to find object: {asked['object']}")
    name = org.object_name(asked["object"])
    key = asked.get("externalIdFieldName")
    if asked["operation"] == "upsert":
        if not key:
            raise CallError(400, "INVALIDJOB", "InvalidJob : External ID was blank for upsert operation")
        key = org.key_field(name, key).name
    return Job(
        id=org.new_id("750"),
        object=name,
        operation=asked["operation"],
        key=key,
        delimiter=asked.get("columnDelimiter", "COMMA"),
        line_ending=asked.get("lineEnding", "LF"),
        created=org.now(),
        version=version,
    )


def work(org: Org, job: Job, share: float = 1.0) -> None:
    """Do the job: `share` of its rows, the rest staying unprocessed in a job that failed."""
    org.acting = CALLER
    header, *rows = job.rows()
    fault = header_fault(org, job, header)
    if fault:
        job.state, job.message, job.unprocessed = "Failed", fault, rows
        return
    for at in range(0, int(len(rows) * share), CHUNK):
        work_chunk(org, job, header, rows[at : min(at + CHUNK, int(len(rows) * share))])
    job.unprocessed = rows[int(len(rows) * share) :]
    job.state = "JobComplete" if share == 1.0 else "Failed"
    job.message = None if share == 1.0 else "InternalServerError : the job stopped half way"


def header_fault(org: Org, job: Job, header: list[str]) -> str | None:
    """Why the file as a whole cannot be read, in the vendor's words; None when it can."""
    known = {name.lower() for name in org.visible(job.object)}
    for name in header:
        if name.lower() not in known:
            return f"InvalidBatch : Field name not found : {name}"
    needed = {"upsert": job.key, "update": "Id", "delete": "Id", "hardDelete": "Id"}.get(job.operation)
    if needed and needed.lower() not in {name.lower() for name in header}:
        return f"InvalidBatch : Field name not found : {needed}"
    return None


def work_chunk(org: Org, job: Job, header: list[str], rows: list[list[str]]) -> None:
    spelled = {known.lower(): known for known in org.visible(job.object)}
    names = [spelled[name.lower()] for name in header]
    key = org.key_field(job.object, job.key) if job.key else None
    read = [dict(zip(names, row, strict=False)) for row in rows]
    twice = org.duplicates(read, key) if key else set()
    for row, values in zip(rows, read, strict=True):
        repeated = key is not None and values.get(key.name, "").lower() in twice
        try:
            job.done.append((save(org, job, values, repeated), row))
        except RowError as error:
            job.failed.append((["", error.line()], row))


def save(org: Org, job: Job, cells: dict[str, str], repeated: bool) -> list[str]:
    """One row into the org; an empty cell leaves its field alone."""
    if repeated:
        raise RowError("DUPLICATE_VALUE", f"Duplicate external id specified: {cells[job.key or '']}")
    fields = org.visible(job.object)
    values = {name: from_csv(fields[name], cell) for name, cell in cells.items() if cell != ""}
    id_ = values.pop("Id", None) if job.operation != "upsert" else None
    if job.operation == "upsert":
        saved = org.upsert(job.object, org.key_field(job.object, job.key or ""), values)
    elif job.operation == "insert":
        saved = org.insert(job.object, values)
    elif job.operation == "update":
        saved = org.update(job.object, str(id_), values)
    else:
        saved = org.delete(job.object, str(id_))
    return [saved.id, str(saved.created).lower()]


def results(job: Job, which: str) -> bytes:
    """One of the three result files, in an order of its own."""
    header = job.header()
    heads: dict[str, list[str]] = {
        "successfulresults": ["sf__Id", "sf__Created"],
        "failedresults": ["sf__Id", "sf__Error"],
        "unprocessedrecords": [],
    }
    rows = {
        "successfulresults": [told + row for told, row in job.done],
        "failedresults": [told + row for told, row in job.failed],
        "unprocessedrecords": list(job.unprocessed),
    }[which]
    random.Random(job.id).shuffle(rows)  # noqa: S311 - an order, not a secret
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n", delimiter=DELIMITERS[job.delimiter])
    writer.writerow([*heads[which], *header])
    writer.writerows(rows)
    return out.getvalue().encode()
