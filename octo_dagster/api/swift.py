"""What a web page waits for, answered before the framework would have read the request.

Three questions: a customer, his recommendations, a product's related ones. FastAPI takes longer over a
request than these answers take, and what it wraps round every request a fifth of their time: this stands
before both. It has the same answers as routes of its own, where they are described and where any other
method than GET is refused; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import CoroutineType
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from octo_dagster.api.errors import CODES, problem, refuse
from octo_dagster.api.keys import Key
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.serving.reading import Copy, Edition

JSON = (b"content-type", b"application/json")
MOST_PARAMETERS = 20
"""In one query."""


class Asked(NamedTuple):
    """One question: who asks, of which copy, about whom, how, and in which project."""

    key: Key
    copy: Edition
    id: str
    query: Mapping[str, str]
    project: Project


LONGEST = 200
"""Characters of a parameter whose description says nothing else."""

Answer = Callable[[Asked], Any]
"""What is told, to be JSON, or an awaitable of it; a problem where it cannot be."""


def check(asked: Asked, parameters: Sequence[Mapping[str, Any]]) -> None:
    """Refuse what is longer than the question's own description allows."""
    for one in parameters:
        told = asked.id if one["in"] == "path" else asked.query.get(one["name"], "")
        if len(told) > one["schema"].get("maxLength", LONGEST):
            raise problem(422, f"{one['name']}: too long")


class Hot(NamedTuple):
    """A question that is asked often, as FastAPI and as OpenAPI know it."""

    path: str
    """`/kind/{id}` or `/kind/{id}/part`."""
    summary: str
    answer: Answer
    parameters: tuple[dict[str, Any], ...]

    def told(self, asked: Asked) -> Any:
        """The answer to a question that is as it is described."""
        check(asked, self.parameters)
        return self.answer(asked)

    @property
    def place(self) -> tuple[str, str]:
        """Kind and part."""
        parts = self.path.split("/")
        return parts[1], parts[3] if len(parts) > 3 else ""


class Swift:
    """`GET /v1/<kind>/<id>` and `GET /v1/<kind>/<id>/<part>` for what is hot; the rest goes on."""

    def __init__(self, app: ASGIApp, copy: Copy, project: Project, hot: Sequence[Hot]) -> None:
        self.app, self.copy, self.project = app, copy, project
        self.hot = {one.place: one for one in hot}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[str] = []
        if scope["type"] == "http" and scope["method"] == "GET":
            parts = scope["path"].split("/", 5)
        if not 4 <= len(parts) <= 5 or parts[1] != "v1" or not parts[3]:
            await self.app(scope, receive, send)
            return
        hot = self.hot.get((parts[2], parts[4] if len(parts) == 5 else ""))
        if hot is None:
            await self.app(scope, receive, send)
            return
        try:
            query = queried(scope["query_string"])
            told = hot.told(Asked(scope["state"]["key"], self.copy.fresh(), parts[3], query, self.project))
            body = orjson.dumps(await told if isinstance(told, CoroutineType) else told)
        except HTTPException as wrong:
            await refuse(send, wrong.status_code, CODES.get(wrong.status_code, "error"), wrong.detail)
        except ConfigError as unready:
            await refuse(send, 503, "not_published", str(unready))
        else:
            headers = [JSON, (b"content-length", str(len(body)).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def queried(text: bytes) -> Mapping[str, str]:
    """The parameters of a query; of one that comes twice, the last."""
    if not text:
        return {}
    try:
        return dict(parse_qsl(text.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS))
    except ValueError:
        raise problem(400, f"more than {MOST_PARAMETERS} parameters") from None
