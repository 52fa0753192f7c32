"""The read API: every table in real time for other systems. `octo serve` runs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from connectors.sources.push import opened
from octo_dagster.api import customers, events, plans, status, syncs, tables
from octo_dagster.api.errors import Told, broken, told_by
from octo_dagster.api.gate import Gate
from octo_dagster.api.keys import Keys
from octo_dagster.api.swift import Swift
from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.config import Project
from octo_dagster.ops import runlog
from octo_dagster.ops.backfill import keys_of as past
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.serving.reading import Copy
from octo_dagster.serving.tables import Tables

ABOUT = """Customers, audiences, recommendations and every table, as of the last publication.

Send a key in `Authorization: Bearer KEY`. Each key is for some tables and columns: what it is not for is 403,
or not there. Money and other decimals are JSON numbers; moments are UTC."""
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Told, "description": "What was asked cannot be asked"},
    401: {"model": Told, "description": "No key, or one that is not good"},
    403: {"model": Told, "description": "A key that is not for this"},
    404: {"model": Told, "description": "There is no such thing"},
    413: {"model": Told, "description": "Too long a body"},
    422: {"model": Told, "description": "A parameter that is not of its type"},
    429: {"model": Told, "description": "Asked too often; see Retry-After"},
    503: {"model": Told, "description": "Nothing is published yet"},
}
MORE: dict[int | str, dict[str, Any]] = {
    409: {
        "model": Told,
        "description": "Several customers have this identifier; or a name came again with other rows",
    },
    410: {"model": Told, "description": "The table has moved on; begin again without `after`"},
}


def app(project: Project) -> ASGIApp:
    """The API of one project, behind its gate."""
    made = FastAPI(title="Octo", version="1", description=ABOUT, docs_url=None, redoc_url=None)
    made.state.copy = Copy(project.home)
    made.state.tables = Tables(project.warehouse, keys_of(project))
    made.state.project = project
    made.state.door = events.Door(project, opened(project.home))
    for part in (customers, tables, syncs, status, plans, events):
        made.include_router(part.router, responses=REFUSALS | MORE)
    told_by(made)
    made.add_api_route("/healthz", healthy, include_in_schema=False)
    made.openapi = lambda: described(made)  # type: ignore[method-assign]
    swift = Swift(made, made.state.copy, project, customers.HOT)
    return Gate(ServerErrorMiddleware(swift, broken), Keys(project.home))


async def healthy() -> Response:
    """Whether the server is up."""
    return PlainTextResponse("ok\n")


def keys_of(project: Project) -> Mapping[str, tuple[str, ...]]:
    """Table → the columns that tell its rows apart, of every table that is served. Raw tables are not: nobody
    has judged them."""
    canonical = {name: contract.key for name, contract in CONTRACTS.items()}
    scores = {score.name: score.key for score in project.told_scores}
    joined = {PROFILE: ("customer_id",), MEMBERS: ("audience", "customer_id", "entered_on")}
    return canonical | scores | joined | past(project) | runlog.KEYS


def described(made: FastAPI) -> dict[str, Any]:
    """OpenAPI, with the key every call needs."""
    if not made.openapi_schema:
        told = get_openapi(title=made.title, version=made.version, description=ABOUT, routes=made.routes)
        told["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        told["security"] = [{"key": []}]
        made.openapi_schema = told
    return made.openapi_schema
