"""The pages as one application; `octo serve` shows them beside the read API."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from octo_dagster.config import Project
from octo_dagster.errors import ConfigError, OctoError, SourceError
from octo_dagster.pages import signin
from octo_dagster.pages.board import Board
from octo_dagster.pages.door import Door
from octo_dagster.pages.kept import Kept
from octo_dagster.pages.page import pages
from octo_dagster.pages.render import STATIC, page
from octo_dagster.pages.sessions import Sessions
from octo_dagster.pages.syncs.errand import Errands

KNOWN = (403, 404, 405, 409, 422)
"""Refusals with a text of their own."""


def app(project: Project, sessions: Sessions) -> ASGIApp:
    """Every page of a project, behind its door."""
    made = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    made.state.board = Board(project)
    made.state.sessions = sessions
    made.state.kept = Kept()
    made.state.errands = Errands(project)
    made.state.pages = pages()
    made.include_router(signin.router)
    for one in made.state.pages:
        made.include_router(one.router)
    made.mount("/static", StaticFiles(directory=STATIC))
    told_by(made)
    return Door(made, made.state.board, sessions)


def told_by(made: FastAPI) -> None:
    """Errors as pages that say what to do."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
        if request.url.path.startswith("/static/"):
            return PlainTextResponse("not found\n", error.status_code)
        known = error.status_code if error.status_code in KNOWN else 404
        said = error.detail if error.detail and error.status_code in (403, 409) else None
        return page(
            request, "templates/error.html", error.status_code, of=known, lines=[said] if said else []
        )

    async def unready(request: Request, error: Exception) -> Response:
        lines = error.problems if isinstance(error, ConfigError) else [str(error)]
        status = 503 if isinstance(error, ConfigError | SourceError) else 409
        return page(request, "templates/error.html", status, of=status, lines=lines)

    async def misread(request: Request, _: Exception) -> Response:
        """Never with what was sent: it may be a key, or of a person."""
        return page(request, "templates/error.html", 422, of=422, lines=[])

    made.add_exception_handler(HTTPException, refused)
    made.add_exception_handler(RequestValidationError, misread)
    made.add_exception_handler(OctoError, unready)
