"""One customer, one product, one audience: what a web page or a call centre asks while somebody waits."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from octo_dagster.api import deliveries
from octo_dagster.api.errors import problem
from octo_dagster.api.keys import Key
from octo_dagster.api.swift import LONGEST, Asked, Hot, queried
from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.config import Project
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.serving.publish import RECOMMENDED
from octo_dagster.serving.reading import Ambiguous, Edition

router = APIRouter(prefix="/v1")

Part = Literal["audiences", "recommendations", "deliveries"]
PARTS: tuple[Part, ...] = ("audiences", "recommendations", "deliveries")
EVERY = "all"
STAY = ("audience", "customer_id", "entered_on")
LISTED = ("customer_id", *RECOMMENDED)
BESIDE = ("product_id", "related_product_id", "rank", "strength")
"""The columns answers about audiences, recommendations and related products are made of."""
ID_COLUMN = "customer_id"
MOST_RELATED = 100


def parameter(name: str, place: str, about: str, **schema: Any) -> dict[str, Any]:
    """One parameter, as OpenAPI describes it."""
    kind = {"type": "string", "maxLength": LONGEST} | schema
    return {"name": name, "in": place, "description": about, "required": place == "path", "schema": kind}


ID = parameter("customer_id", "path", "The customer's id, or what `by` says.", minLength=1)
BY = parameter("by", "query", "customer_id, email, phone, or a sync's key column.", default=ID_COLUMN)
COLUMNS = parameter("columns", "query", "Columns of the profile, with commas; default: all.", maxLength=4_000)
INCLUDE = parameter(
    "include", "query", f"What to send beside the profile, with commas: {', '.join(PARTS)}; or {EVERY}."
)
PRODUCT = parameter("product_id", "path", "The product's id.", minLength=1)
LIMIT = parameter(
    "limit", "query", "At most so many.", type="integer", minimum=1, maximum=MOST_RELATED, default=10
)
del LIMIT["schema"]["maxLength"]


class Lookup(BaseModel):
    """Whom to look up. In a body, because addresses of pages and calls are written down on their way."""

    by: str = Field("email", max_length=100)
    value: str = Field(max_length=200)
    columns: str | None = Field(None, max_length=4_000)
    include: list[Part] = []


async def asker(request: Request) -> Key:
    """Who asks; the gate let nobody through without a key. `async`, as FastAPI would run a plain function in
    another thread."""
    key: Key = request.state.key
    return key


async def served(request: Request) -> Edition:
    """The serving copy, as it is now."""
    edition: Edition = request.app.state.copy.fresh()
    return edition


async def project_of(request: Request) -> Project:
    """The project that is served."""
    project: Project = request.app.state.project
    return project


Asker = Annotated[Key, Depends(asker)]
Served = Annotated[Edition, Depends(served)]
Ours = Annotated[Project, Depends(project_of)]


def answer(value: Any) -> Response:
    """A result as JSON."""
    return Response(orjson.dumps(value), media_type="application/json")


def fully(key: Key, table: str, columns: Sequence[str]) -> bool:
    """Whether a key may see all these columns of a table."""
    return len(key.columns(table, list(columns))) == len(columns)


def allowed(key: Key, table: str, columns: Sequence[str] = ()) -> None:
    """Refuse a table the key is not for, and one of which it may not see all that the answer is made of."""
    if not key.sees(table):
        raise problem(403, f"this key is not for {table}")
    seen = key.columns(table, list(columns))
    if hidden := [name for name in columns if name not in seen]:
        raise problem(403, f"this key is not for {table}: {hidden[0]}")


def customer(asked: Asked) -> Any:
    """Everything known of a customer, as far as the key may see it."""
    parts = [part for part in asked.query.get("include", "").split(",") if part]
    if strange := [part for part in parts if part not in PARTS and part != EVERY]:
        raise problem(400, f"include: {', '.join(PARTS)} or {EVERY}; not {strange[0][:LONGEST]!r}")
    return told(asked, asked.query.get("columns"), parts)


def recommendations(asked: Asked) -> Any:
    """Lists of products, best first, with names, prices, pictures and the reason for each."""
    allowed(asked.key, "recommendations", LISTED)
    customer_id = found(asked)
    lists = asked.copy.recommendations(customer_id)
    if not lists and asked.copy.customer(customer_id) is None:
        raise problem(404, "there is no such customer")
    return lists


def related(asked: Asked) -> Any:
    """The products that the same customers buy, best first."""
    allowed(asked.key, "related_products", BESIDE)
    text = asked.query.get("limit", "10")
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= MOST_RELATED):
        raise problem(422, f"limit: a number from 1 to {MOST_RELATED}")
    if asked.copy.product(asked.id) is None:
        raise problem(404, "there is no such product")
    return asked.copy.related(asked.id)[: int(text)]


HOT = (
    Hot("/customers/{customer_id}", "One customer's profile", customer, (ID, BY, COLUMNS, INCLUDE)),
    Hot("/customers/{customer_id}/recommendations", "What to show a customer", recommendations, (ID, BY)),
    Hot("/products/{product_id}/related", "What goes with a product", related, (PRODUCT, LIMIT)),
)
"""What a web page waits for."""


def framed(hot: Hot) -> Any:
    """An answer as FastAPI serves it."""

    async def endpoint(request: Request) -> Response:
        about = str(next(iter(request.path_params.values())))
        state = request.app.state
        query = queried(request.scope["query_string"])
        value = hot.told(Asked(request.state.key, state.copy.fresh(), about, query, state.project))
        return answer(await value if isinstance(value, Awaitable) else value)

    endpoint.__name__ = hot.answer.__name__
    return endpoint


for hot in HOT:
    router.add_api_route(
        hot.path,
        framed(hot),
        methods=["GET"],
        summary=hot.summary,
        description=hot.answer.__doc__,
        openapi_extra={"parameters": list(hot.parameters)},
    )


@router.post("/customers/lookup", summary="One customer's profile, asked for in a body")
async def lookup(key: Asker, copy: Served, project: Ours, asked: Lookup) -> Response:
    """The same for who must not put an address into a URL."""
    about = Asked(key, copy, asked.value, {"by": asked.by}, project)
    value = told(about, asked.columns, asked.include)
    return answer(await value if isinstance(value, Awaitable) else value)


@router.get("/audiences/{name}/members", summary="Who is in an audience")
async def members(
    key: Asker,
    copy: Served,
    name: Annotated[str, Path(max_length=200)],
    after: Annotated[str, Query(max_length=200, description="The last customer id of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Response:
    """Customer ids in order, and the day each entered; `next` is the `after` of the next page. Who stays in
    is on one page, whatever is published meanwhile; when two pages' `version` differ, something was, and who
    came or went between them may be missing or still there: begin again for all of one moment."""
    allowed(key, MEMBERS, STAY)
    with copy.still():
        page, version = copy.members(name, after, limit), copy.version()
    rows = [{"customer_id": one, "entered_on": day} for one, day in page]
    return answer({"members": rows, "next": page[-1][0] if len(page) == limit else None, "version": version})


def told(asked: Asked, columns: str | None, parts: Collection[str]) -> Any:
    """A customer as the key may see him: his profile's columns, and the parts asked for. Awaitable where what
    was delivered is one of them: that is the ledger's to say."""
    allowed(asked.key, PROFILE)
    if EVERY in parts:
        parts = [part for part, table, needs in SCOPES if fully(asked.key, table, needs)]
    with asked.copy.still():
        made, row = put_together(asked, columns, parts)
    if "deliveries" not in parts:
        return made
    allowed(asked.key, deliveries.SCOPE, deliveries.COLUMNS)
    return delivered(made, asked.project, row)


def put_together(asked: Asked, columns: str | None, parts: Collection[str]) -> tuple[dict[str, Any], Any]:
    """What the serving copy has of him, and his row."""
    key, copy = asked.key, asked.copy
    customer_id = found(asked)
    row = copy.customer(customer_id)
    if row is None:
        raise problem(404, "there is no such customer")
    wanted = chosen(key, list(row), columns)
    knows = asked.query.get("by", ID_COLUMN) == ID_COLUMN or key.columns(PROFILE, [ID_COLUMN])
    made: dict[str, Any] = {"customer_id": customer_id} if knows else {}
    made["profile"] = {name: row[name] for name in wanted} if columns or len(wanted) < len(row) else row
    if "audiences" in parts:
        allowed(key, MEMBERS, STAY)
        made["audiences"] = copy.audiences(customer_id)
    if "recommendations" in parts:
        allowed(key, "recommendations", LISTED)
        made["recommendations"] = copy.recommendations(customer_id)
    made["as_of"] = copy.shape.as_of
    return made, row


SCOPES = (
    ("audiences", MEMBERS, STAY),
    ("recommendations", "recommendations", LISTED),
    ("deliveries", deliveries.SCOPE, deliveries.COLUMNS),
)
"""Part → the table, and its columns, that a key must be for."""


async def delivered(made: dict[str, Any], project: Project, row: Any) -> dict[str, Any]:
    """The answer with what was last delivered of him; the ledger is asked in another thread."""
    return made | {"deliveries": await run_in_threadpool(deliveries.last, project, row)}


def chosen(key: Key, there: list[str], columns: str | None) -> list[str]:
    """The columns of the profile to tell: those asked for, of those the key may see."""
    seen = key.columns(PROFILE, there)
    if columns is None:
        return seen
    wanted = [name.strip() for name in columns.split(",") if name.strip()]
    if strange := [name for name in wanted if name not in seen]:
        raise problem(400, f"columns: there is no {strange[0][:LONGEST]!r} that this key may see")
    return wanted


def found(asked: Asked) -> str:
    """The id of the customer asked for. A key looks nobody up by a column it may not see."""
    by = asked.query.get("by", ID_COLUMN)
    if by == ID_COLUMN:
        return asked.id
    if by not in asked.copy.shape.kinds or by not in asked.key.columns(PROFILE, [by]):
        raise problem(400, f"by: customers cannot be looked up by {by[:LONGEST]!r} with this key")
    try:
        whose = asked.copy.whose(by, asked.id)
    except Ambiguous:
        raise problem(409, f"several customers have this {by}") from None
    if whose is None:
        raise problem(404, "there is no such customer")
    return whose
