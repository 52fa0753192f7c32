"""Every error of the read API, as `{"error": {"code": …, "message": …}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Send

from octo_dagster.errors import ConfigError

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "ambiguous",
    410: "gone",
    422: "invalid",
    429: "too_many_requests",
    503: "unavailable",
}


class Trouble(BaseModel):
    """What went wrong: a word for programs, a sentence for people."""

    code: str
    message: str


class Told(BaseModel):
    """The body of every reply that is not a success."""

    error: Trouble


def problem(status: int, message: str, headers: Mapping[str, str] | None = None) -> HTTPException:
    """An error with this status and sentence."""
    return HTTPException(status, message, headers)


def reply(status: int, code: str, message: str, headers: Any = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


async def broken(_: Request, __: Exception) -> JSONResponse:
    """What is told of an error of our own; the server's log has it."""
    return reply(500, "our_fault", "something is wrong with Octo; its log says what")


def told_by(app: FastAPI) -> None:
    """Make the app say all its errors this way. Never the value that was sent: it may be personal."""

    async def refused(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        return reply(
            error.status_code, CODES.get(error.status_code, "error"), str(error.detail), error.headers
        )

    async def misread(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - what it is registered for
        lines = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return reply(422, "invalid", "; ".join(lines))

    async def unpublished(_: Request, error: Exception) -> JSONResponse:
        return reply(503, "not_published", str(error))

    async def gone(_: Request, __: Exception) -> JSONResponse:
        return reply(400, "bad_request", "the request did not come to its end")

    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(500, broken)
    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, misread)
    app.add_exception_handler(ConfigError, unpublished)


async def refuse(
    send: Send, status: int, code: str, message: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> None:
    """The same, where FastAPI is not asked."""
    body = orjson.dumps({"error": {"code": code, "message": message}})
    told = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
