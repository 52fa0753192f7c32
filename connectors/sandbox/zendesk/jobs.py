"""Zendesk's background jobs over users: queued, worked on, looked at, forgotten after a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sandbox.zendesk.account import Account
from connectors.sandbox.zendesk.fields import Refused, absent

MOST_ROWS = 100
MOST_JOBS = 30
KEPT_SECONDS = 86_400.0
"""A finished job can be read for a day (reference)."""

Row = Mapping[str, Any]
Work = Callable[[Account, int, Row, float], dict[str, Any]]
"""Carries out one row: its position, what it asks, the time → its line of the results."""


@dataclass
class Job:
    """One job. It is carried out once `due`, and says so after `looks` more looks."""

    id: str
    account: Account
    work: Work
    rows: Sequence[Row]
    due: float
    looks: int
    half: bool = False
    status: str = "queued"
    results: list[dict[str, Any]] | None = None
    ended: float | None = None
    done: bool = False

    def carry_out(self, now: float) -> None:
        """Do the rows; one that fails midway has done half of them and tells of none."""
        rows = self.rows[: len(self.rows) // 2] if self.half else self.rows
        self.results = [self.work(self.account, n, row, now) for n, row in enumerate(rows)]
        self.done = True

    def look(self, now: float) -> None:
        """A look at a job that is done brings its end nearer."""
        if self.ended is None and self.done:
            self.status, self.looks = "working", self.looks - 1
            if self.looks < 0:
                self.ended, self.status = now, "failed" if self.half else "completed"

    def shown(self) -> dict[str, Any]:
        """As recorded: no results but those of a completed job."""
        completed = self.status == "completed"
        return {
            "id": self.id,
            "job_type": "Bulk User Update",
            "url": f"{self.account.site}/api/v2/job_statuses/{self.id}.json",
            "total": len(self.rows),
            "progress": len(self.rows) if completed else None,
            "status": self.status,
            "message": None,
            "results": self.results if completed else None,
        }


def rows_of(body: Mapping[str, Any]) -> list[Row]:
    """The users of a call. Refused when they are none, too many or something else."""
    rows = body.get("users")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refused(422, "Unprocessable Entity", "users must be an array of objects")
    if len(rows) > MOST_ROWS:
        raise Refused(400, "TooManyValues", "Maximum 100 users may be created per call")
    return rows


def upsert(account: Account, position: int, row: Row, now: float) -> dict[str, Any]:
    """A line of create_or_update_many: the id of a failed one is its position (community, confirmed)."""
    try:
        user, created = account.upsert(row, now)
    except Refused as refused:
        return {"id": position, "error": "UserUpdateError", "details": refused.why, "status": "Failed"}
    told = {"id": user.id, "status": "Created" if created else "Updated", "email": user.email}
    return told | {"external_id": user.external_id}


def update(account: Account, position: int, row: Row, now: float) -> dict[str, Any]:
    """A line of update_many: by id, never creating."""
    try:
        user = account.users.get(row.get("id", 0))
        if user is None or not user.active:
            raise absent()
        account.write(user, row, now)
    except Refused as refused:
        error = "UserNotFound" if refused.status == 404 else "UserUpdateError"
        return {"id": position, "error": error, "details": refused.why, "status": "Failed"}
    return {"id": user.id, "index": position, "action": "update", "success": True, "status": "Updated"}
