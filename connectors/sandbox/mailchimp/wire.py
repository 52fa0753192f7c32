"""How Mailchimp's twin spells its replies and reads what it is asked: problems, pages, chosen fields."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from werkzeug.wrappers import Request, Response

API = "/3.0"
MOST = 1000
GLOSSARY = "https://mailchimp.com/developer/marketing/docs/errors/"
UNTYPED = frozenset({"Member Exists", "Member In Compliance State", "Forgotten Email Not Subscribed"})
"""Problems that come without a `type` (recorded, and quoted in mailchimp-for-wordpress #771 and #798)."""


class Refused(Exception):
    """A problem document: title, detail and, for a field, what is wrong with it (recorded)."""

    def __init__(self, status: int, title: str, detail: str, errors: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(detail)
        self.status, self.title, self.detail = status, title, detail
        self.errors = [{"field": field, "message": message} for field, message in errors]

    def told(self) -> Response:
        body: dict[str, Any] = {
            **({} if self.title in UNTYPED else {"type": GLOSSARY}),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": str(uuid.uuid4()),
        }
        if self.errors:
            body["errors"] = self.errors
        text = json.dumps(body)
        return Response(text, self.status, content_type="application/problem+json; charset=utf-8")


def absent() -> Refused:
    return Refused(404, "Resource Not Found", "The requested resource could not be found.")


def invalid(detail: str, *errors: tuple[str, str]) -> Refused:
    return Refused(400, "Invalid Resource", detail, errors)


def unfit(*errors: tuple[str, str]) -> Refused:
    """A body that is not of the schema."""
    told = (
        "The resource submitted could not be validated. For field-specific details, see the 'errors' array."
    )
    return invalid(told, *errors)


def read(request: Request) -> dict[str, Any]:
    """The body as an object. Refused when it is anything else."""
    body = request.get_json(silent=True, force=True)
    if not isinstance(body, dict):
        raise Refused(400, "JSON Parse Error", "We encountered an unspecified JSON parsing error.")
    return body


def said(request: Request, body: Mapping[str, Any], status: int = 200) -> Response:
    """A reply, cut down to the `fields` that were asked for."""
    wanted = request.args.get("fields")
    if wanted:
        body = chosen(body, [path.split(".") for path in wanted.split(",")])
    return Response(json.dumps(body), status, content_type="application/json; charset=utf-8")


def chosen(value: Any, paths: list[list[str]]) -> Any:
    """Of a value what these paths lead to: `members.email_address`, `total_items`."""
    if isinstance(value, list):
        return [chosen(one, paths) for one in value]
    if not isinstance(value, Mapping):
        return value
    made = {}
    for name in value:
        below = [path[1:] for path in paths if path[0] == name]
        if below:
            made[name] = value[name] if [] in below else chosen(value[name], below)
    return made


def page(request: Request, rows: Sequence[Any]) -> list[Any]:
    """The rows that `count` and `offset` ask for: 10 unless told, at most 1000."""
    count, offset = (request.args.get(name, default) for name, default in (("count", "10"), ("offset", "0")))
    if not (count.isdigit() and offset.isdigit() and int(count) <= MOST):
        raise unfit(("count", f"This value should be an integer of at most {MOST}."))
    return list(rows[int(offset) : int(offset) + int(count)])
