"""How HubSpot's twin spells its replies and its refusals, and reads what it is asked."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request, Response

MOST = 100


class Refused(Exception):
    """HubSpot's `{status, message, correlationId, category, …}` with its HTTP status."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.category = category
        self.more = more

    @property
    def body(self) -> dict[str, Any]:
        """As the whole of a reply."""
        told = {"status": "error", "message": str(self), "correlationId": str(uuid.uuid4())}
        return {**told, "category": self.category, **self.more}

    @property
    def listed(self) -> dict[str, Any]:
        """As one of the `errors` of a batch, where no part is left out."""
        told = {"status": "error", "category": self.category, "message": str(self)}
        return {**told, "errors": [], "context": {}, "links": {}, **self.more}


def invalid(message: str, **more: Any) -> Refused:
    return Refused(400, "VALIDATION_ERROR", message, **more)


def absent(message: str = "resource not found") -> Refused:
    return Refused(404, "OBJECT_NOT_FOUND", message)


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def empty() -> Response:
    return Response(status=204)


def stamp(seconds: float) -> str:
    """`2026-11-22T10:00:00.123Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def read(request: Request) -> Any:
    """The body. Refused when it is no JSON."""
    try:
        return json.loads(request.get_data())
    except ValueError as error:
        raise invalid("Invalid input JSON on line 1, column 1") from error


def inputs(request: Request, needs: str | None = "id") -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A batch's body and its inputs, checked for their number and shape."""
    body = read(request)
    rows = body.get("inputs", []) if isinstance(body, dict) else []
    if len(rows) > MOST:
        raise invalid(f"The maximum number of inputs supported in a batch request is {MOST}")
    for row in rows:
        if not isinstance(row, dict) or (needs and not (isinstance(row.get(needs), str) and row[needs])):
            raise invalid(f"Some required fields were not set: [{needs}]")
        told = row.get("properties", {})
        if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
            raise invalid("Invalid input JSON: Cannot deserialize value of type `java.lang.String`")
    return body, rows


def batch(
    now: float, results: list[dict[str, Any]], errors: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The reply to a batch."""
    told: dict[str, Any] = {
        "status": "COMPLETE",
        "results": results,
        "startedAt": stamp(now),
        "completedAt": stamp(now),
    }
    return told | ({"numErrors": len(errors), "errors": errors} if errors else {})


def option(label: str, value: str, order: int) -> dict[str, Any]:
    return {"label": label, "value": value, "displayOrder": order, "hidden": False}


def paged(rows: list[Any], after: int, limit: int) -> tuple[list[Any], Mapping[str, Any]]:
    """One page, and the `paging` that leads to the next."""
    page = rows[after : after + limit]
    more = after + limit < len(rows)
    return page, {"paging": {"next": {"after": str(after + limit)}}} if more else {}
