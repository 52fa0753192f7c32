"""How Klaviyo's twin spells replies and errors, cuts pages, reads filters."""

from __future__ import annotations

import ast
import base64
import json
import re
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from werkzeug.wrappers import Request, Response

SITE = "https://a.klaviyo.com"
KIND = "application/vnd.api+json"
FILTER = re.compile(r"([a-z-]+)\(([\w.]+),(.*)\)", re.DOTALL)

Row = dict[str, Any]


class Refused(Exception):
    """Klaviyo's JSON:API errors with their HTTP status (shape as in klaviyo-api-node #75)."""

    def __init__(self, status: int, code: str, detail: str, **about: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.about = status, code, about
        self.source = {name: about[name] for name in ("pointer", "parameter") if name in about}

    def told(self) -> Response:
        error = {
            "id": str(uuid.uuid4()),
            "status": self.status,
            "code": self.code,
            "title": TITLES.get(self.code, "Invalid input."),
            "detail": str(self),
            "source": self.source or {"pointer": "/data/"},
            "links": {},
            "meta": self.about.get("meta", {}),
        }
        reply = said({"errors": [error]}, self.status)
        if "wait" in self.about:
            reply.headers["Retry-After"] = str(self.about["wait"])
        return reply


TITLES = {
    "duplicate_profile": "Conflict.",
    "not_found": "Not found.",
    "not_authenticated": "Authentication credentials were not provided.",
    "authentication_failed": "Incorrect authentication credentials.",
    "permission_denied": "You do not have permission to perform this action.",
    "throttled": "Request was throttled.",
    "method_not_allowed": "Method not allowed.",
    "unsupported_media_type": "Unsupported media type.",
}


def invalid(detail: str, pointer: str = "/data") -> Refused:
    return Refused(400, "invalid", detail, pointer=pointer)


def absent(kind: str, number: str) -> Refused:
    return Refused(404, "not_found", f"A {kind} with id {number} does not exist.")


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype=KIND)


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def data_of(request: Request, kind: str) -> dict[str, Any]:
    """The `data` of a body, of this type. Refused when it is anything else."""
    if request.mimetype not in (KIND, "application/json"):
        raise Refused(415, "unsupported_media_type", f"Unsupported media type '{request.mimetype}'.")
    body = request.get_json(silent=True, force=True)
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, dict):
        raise invalid("The payload provided in the request is invalid.")
    if data.get("type") != kind:
        raise invalid(f"'{data.get('type')}' is not a valid type; it must be '{kind}'.", "/data/type")
    return data


def ids_of(request: Request) -> list[str]:
    """The profile ids of a relationship's body; at most a thousand."""
    body = request.get_json(silent=True, force=True)
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list) or not all(
        isinstance(one, dict) and one.get("type") == "profile" and isinstance(one.get("id"), str)
        for one in data
    ):
        raise invalid("The payload provided in the request is invalid.")
    if len(data) > 1_000:
        raise invalid("A maximum of 1000 profiles is allowed per call.")
    return [one["id"] for one in data]


def paged(request: Request, rows: Sequence[Any], most: int, default: int) -> tuple[Sequence[Any], Row]:
    """The rows of the page asked for, and the links beside it."""
    size = request.args.get("page[size]", str(default))
    if not size.isdigit() or not 1 <= int(size) <= most:
        told = f"Page size must be an integer between 1 and {most}."
        raise Refused(400, "invalid", told, parameter="page[size]")
    start, end = offset(request), offset(request) + int(size)
    links = {"self": link(request, request.args.get("page[cursor]"))}
    if end < len(rows):
        links["next"] = link(request, base64.urlsafe_b64encode(f"next::{end}".encode()).decode())
    return rows[start:end], links


def offset(request: Request) -> int:
    """Where the cursor stands. Refused when it is not one of ours."""
    cursor = request.args.get("page[cursor]")
    if cursor is None:
        return 0
    try:
        return int(base64.urlsafe_b64decode(cursor).decode().removeprefix("next::"))
    except ValueError:
        raise Refused(400, "invalid", "Invalid cursor.", parameter="page[cursor]") from None


def link(request: Request, cursor: str | None) -> str:
    """The vendor's own address of this collection, whatever road the call took."""
    query = [(name, value) for name, value in request.args.items() if name != "page[cursor]"]
    query += [("page[cursor]", cursor)] if cursor else []
    return SITE + request.path + (f"?{urlencode(query)}" if query else "")


def chosen(request: Request, allowed: Collection[str]) -> Callable[[Mapping[str, Any]], bool]:
    """The `filter` as a test of a row; refused for a field or operator this endpoint does not have."""
    text = request.args.get("filter")
    if not text:
        return lambda row: True
    found = FILTER.fullmatch(text)
    if not found or found[1] not in ("any", "equals") or found[2] not in allowed:
        raise Refused(400, "invalid", f"Invalid filter provided: {text[:80]}", parameter="filter")
    values = literal(found[3])
    wanted = values if isinstance(values, list) else [values]
    if found[1] == "any" and not isinstance(values, list):
        raise Refused(400, "invalid", "`any` takes a list.", parameter="filter")
    return lambda row: row.get(found[2]) in wanted


def literal(text: str) -> Any:
    """What a filter compares with: JSON, or in single quotes as the SDK's FilterBuilder spells lists."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    raise Refused(400, "invalid", f"Invalid filter value: {text[:80]}", parameter="filter")


def ordered(request: Request, rows: list[Any], fields: Collection[str]) -> list[Any]:
    """The rows as `sort` wants them; they stand by age."""
    sort = request.args.get("sort", "")
    if sort and sort.removeprefix("-") not in fields:
        raise Refused(400, "invalid", f"'{sort}' is not sortable.", parameter="sort")
    rows = sorted(rows, key=lambda row: str(row[sort.removeprefix("-")])) if sort else rows
    return rows[::-1] if sort.startswith("-") else rows
