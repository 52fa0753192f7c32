"""Klaviyo's bulk import of profiles: a job that is queued, worked on, looked at, and forgotten in the end."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Request

from connectors.sandbox.klaviyo.account import MOST_BYTES, Account, check_values
from connectors.sandbox.klaviyo.shape import check_shape
from connectors.sandbox.klaviyo.wire import SITE, Refused, Row, data_of, invalid, stamp

MOST_ROWS = 10_000
MOST_BODY = 5_000_000
KEPT_SECONDS = 7 * 86_400.0
ROWS = "/data/attributes/profiles/data"


@dataclass
class Job:
    """One job. It is carried out once `due`, and says so after `looks` more looks."""

    id: str
    account: Account
    rows: Sequence[Row]
    lists: Sequence[str]
    created: float
    due: float
    looks: int
    half: bool = False
    forgets: Collection[str] = ()
    """Addresses whose rows it passes over."""
    total: int = 0
    completed: int = 0
    started: float | None = None
    ended: float | None = None
    errors: list[Row] = field(default_factory=list)

    def carry_out(self, now: float) -> None:
        """Store every row that can be stored; one that is cancelled midway has stored half of them."""
        self.total, self.started = len(self.rows), now
        for row in self.rows[: self.total // 2] if self.half else self.rows:
            if row["attributes"].get("email") in self.forgets:
                continue
            try:
                profile, _ = self.account.upsert(row, now, nulls=False)
            except Refused as refused:
                self.errors.append(error(refused, row))
                continue
            profile.lists |= {number: now for number in self.lists if number not in profile.lists}
            self.completed += 1
        self.rows = ()

    def look(self, now: float) -> None:
        """A look at a job that was carried out brings its end nearer."""
        if self.started is not None and self.ended is None:
            self.looks -= 1
            self.ended = now if self.looks < 0 else None

    @property
    def status(self) -> str:
        if self.ended is not None:
            return "cancelled" if self.half else "complete"
        return "queued" if self.started is None else "processing"

    def shown(self) -> Row:
        """The resource."""
        here = f"{SITE}/api/profile-bulk-import-jobs/{self.id}"
        done = self.ended is not None
        return {
            "type": "profile-bulk-import-job",
            "id": self.id,
            "attributes": {
                "status": self.status,
                "created_at": stamp(self.created),
                "total_count": self.total or len(self.rows),
                "completed_count": self.completed if done else 0,
                "failed_count": len(self.errors) if done else 0,
                "completed_at": None if self.ended is None else stamp(self.ended),
                "expires_at": stamp(self.created + KEPT_SECONDS),
                "started_at": None if self.started is None else stamp(self.started),
            },
            "relationships": {
                "lists": {
                    "data": [{"type": "list", "id": number} for number in self.lists],
                    "links": {"self": f"{here}/relationships/lists", "related": f"{here}/lists"},
                },
                "profiles": {
                    "links": {"self": f"{here}/relationships/profiles", "related": f"{here}/profiles"}
                },
                "import-errors": {"links": {"related": f"{here}/import-errors"}},
            },
            "links": {"self": here},
        }


def error(refused: Refused, row: Row) -> Row:
    """An import error: what was wrong, and the attributes of the row as they came."""
    return {
        "type": "import-error",
        "id": str(uuid.uuid4()),
        "attributes": {
            "code": refused.code,
            "title": "Invalid input",
            "detail": str(refused),
            "source": {"pointer": refused.source.get("pointer", "/data")},
            "original_payload": dict(row["attributes"]),
        },
    }


def rows_of(request: Request, *, checks_values: bool) -> tuple[Sequence[Row], Sequence[str]]:
    """The rows and lists of a job that is asked for. Refused as Klaviyo refuses it, as a whole."""
    if (request.content_length or 0) > MOST_BODY:
        raise Refused(413, "payload_too_large", "The maximum allowed payload size is 5MB.")
    data = data_of(request, "profile-bulk-import-job")
    profiles = (data.get("attributes") or {}).get("profiles")
    rows = profiles.get("data") if isinstance(profiles, dict) else None
    if not isinstance(rows, list) or not rows:
        raise invalid("'profiles' must hold at least one profile.", "/data/attributes/profiles")
    if len(rows) > MOST_ROWS:
        told = f"The maximum number of profiles allowed is {MOST_ROWS}."
        raise invalid(told, "/data/attributes/profiles")
    for place, row in enumerate(rows):
        check_row(row, f"{ROWS}/{place}", checks_values=checks_values)
    return rows, lists_of(data)


def check_row(row: Any, where: str, *, checks_values: bool) -> None:
    check_shape(row, where)
    if len(json.dumps(row["attributes"], ensure_ascii=False).encode()) > MOST_BYTES + 100:
        raise invalid("The maximum allowed payload size per profile is 100KB.", where)
    if checks_values:
        check_values(row["attributes"], f"{where}/attributes")


def lists_of(data: Mapping[str, Any]) -> Sequence[str]:
    told = ((data.get("relationships") or {}).get("lists") or {}).get("data") or []
    if not all(isinstance(one, dict) and one.get("type") == "list" for one in told):
        raise invalid("The payload provided in the request is invalid.", "/data/relationships/lists/data")
    return [str(one["id"]) for one in told]
