"""How Zendesk's twin spells its replies, and reads what it is asked."""

from __future__ import annotations

import json
from math import ceil
from typing import Any

from werkzeug.wrappers import Request, Response

from connectors.sandbox.zendesk.fields import Refused

API = "/api/v2"


class Throttled(Exception):
    """Asked too much: 429 in plain text, with the seconds to wait (recorded)."""

    def __init__(self, words: str, wait: float) -> None:
        super().__init__(words)
        self.wait = wait

    def told(self) -> Response:
        wait = {"Retry-After": str(max(1, ceil(self.wait)))}
        return Response(str(self), 429, wait, mimetype="text/plain")


def said(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, mimetype="application/json")


def listed(name: str, rows: list[dict[str, Any]], next_page: str | None = None) -> Response:
    """A page of records."""
    return said({name: rows, "next_page": next_page, "previous_page": None, "count": len(rows)})


def read(request: Request) -> dict[str, Any]:
    """The body as an object. Refused when it is anything else."""
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        raise Refused(400, "InvalidValue", "The request body is not a JSON object")
    return body


def part(request: Request, name: str) -> dict[str, Any]:
    """The object a body holds under this name."""
    held = read(request).get(name)
    if not isinstance(held, dict):
        raise Refused(400, "InvalidValue", f"{name} is missing")
    return held
