"""One customer, one product, one audience: what a web page or a call centre asks while somebody waits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from octo_dagster.api.errors import problem
from octo_dagster.api.keys import Key
from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.serving.publish import RECOMMENDED
from octo_dagster.serving.reading import Ambiguous, Copy

router = APIRouter(prefix="/v1")

Part = Literal["audiences", "recommendations"]
PARTS: tuple[Part, ...] = ("audiences", "recommendations")
STAY = ("audience", "customer_id", "entered_on")
LISTED = ("customer_id", *RECOMMENDED)
"""The columns an answer about audiences, and one about recommendations, is made of."""
LONGEST = 200
"""Characters of an identifier."""


def parameter(name: str, place: str, about: str, **schema: Any) -> dict[str, Any]:
    """One parameter, as OpenAPI describes it."""
    kind = {"type": "string", "maxLength": LONGEST} | schema
    return {"name": name, "in": place, "description": about, "required": place == "path", "schema": kind}


ID = parameter("customer_id", "path", "The customer's id, or what `by` says.", minLength=1)
BY = parameter("by", "query", "customer_id, email, phone, or a sync's key column.", default="customer_id")
COLUMNS = parameter("columns", "query", "Columns of the profile, with commas; default: all.", maxLength=4_000)
INCLUDE = parameter("include", "query", f"What to send beside the profile, with commas: {', '.join(PARTS)}.")


class Lookup(BaseModel):
    """Whom to look up. In a body, because addresses of pages and calls are written down on their way."""

    by: str = Field("email", max_length=100)
    value: str = Field(max_length=200)
    columns: str | None = Field(None, max_length=4_000)
    include: list[Part] = []


def key_of(request: Request) -> Key:
    """Who asks; the gate let nobody through without a key."""
    key: Key = request.state.key
    return key


def copy_of(request: Request) -> Copy:
    """The serving copy."""
    copy: Copy = request.app.state.copy
    return copy


async def asker(request: Request) -> Key:
    """`key_of`, for FastAPI to hand over; it would run a plain function in another thread."""
    return key_of(request)


async def served(request: Request) -> Copy:
    """`copy_of`, likewise."""
    return copy_of(request)


Asker = Annotated[Key, Depends(asker)]
Served = Annotated[Copy, Depends(served)]


def answer(value: Any) -> Response:
    """A result as JSON."""
    return Response(orjson.dumps(value), media_type="application/json")


def allowed(key: Key, table: str, columns: Sequence[str] = ()) -> None:
    """Refuse a table the key is not for, and one of which it may not see all that the answer is made of."""
    if not key.sees(table):
        raise problem(403, f"this key is not for {table}")
    seen = key.columns(table, list(columns))
    if hidden := [name for name in columns if name not in seen]:
        raise problem(403, f"this key is not for {table}: {hidden[0]}")


# What a web page waits for reads its parameters itself: FastAPI takes longer over them than all the rest.


@router.get(
    "/customers/{customer_id}",
    summary="One customer's profile",
    openapi_extra={"parameters": [ID, BY, COLUMNS, INCLUDE]},
)
async def customer(request: Request) -> Response:
    """Everything known of a customer, as far as the key may see it."""
    asked = request.query_params
    parts = [part for part in asked.get("include", "").split(",") if part]
    if strange := [part for part in parts if part not in PARTS]:
        raise problem(400, f"include: {', '.join(PARTS)}; not {strange[0][:LONGEST]!r}")
    return answer(told(key_of(request), copy_of(request), whom(request), asked.get("columns"), parts))


@router.post("/customers/lookup", summary="One customer's profile, asked for in a body")
async def lookup(key: Asker, copy: Served, asked: Lookup) -> Response:
    """The same for who must not put an address into a URL."""
    return answer(told(key, copy, (asked.by, asked.value), asked.columns, asked.include))


@router.get(
    "/customers/{customer_id}/recommendations",
    summary="What to show a customer",
    openapi_extra={"parameters": [ID, BY]},
)
async def recommendations(request: Request) -> Response:
    """Lists of products, best first, with names, prices, pictures and the reason for each."""
    key, copy = key_of(request), copy_of(request)
    allowed(key, "recommendations", LISTED)
    return answer(copy.recommendations(found(key, copy, *whom(request))))


def whom(request: Request) -> tuple[str, str]:
    """By what a customer is asked for, and the value."""
    return request.query_params.get("by", "customer_id"), str(request.path_params["customer_id"])


@router.get("/products/{product_id}/related", summary="What goes with a product")
async def related(
    key: Asker,
    copy: Served,
    product_id: Annotated[str, Path(max_length=200)],
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Response:
    """The products that the same customers buy, best first."""
    allowed(key, "related_products", ("product_id", "related_product_id", "rank", "strength"))
    if copy.product(product_id) is None:
        raise problem(404, "there is no such product")
    return answer(copy.related(product_id)[:limit])


@router.get("/audiences/{name}/members", summary="Who is in an audience")
async def members(
    key: Asker,
    copy: Served,
    name: Annotated[str, Path(max_length=200)],
    after: Annotated[str, Query(max_length=200, description="The last customer id of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
) -> Response:
    """Customer ids in order, and the day each entered; `next` is the `after` of the next page."""
    allowed(key, MEMBERS, STAY)
    page = copy.members(name, after, limit)
    rows = [{"customer_id": one, "entered_on": day} for one, day in page]
    return answer({"members": rows, "next": page[-1][0] if len(page) == limit else None})


def told(
    key: Key, copy: Copy, asked: tuple[str, str], columns: str | None, parts: Collection[str]
) -> dict[str, Any]:
    """A customer as the key may see him: his profile's columns, and the parts asked for."""
    allowed(key, PROFILE)
    customer_id = found(key, copy, *asked)
    row = copy.customer(customer_id)
    if row is None:
        raise problem(404, "there is no such customer")
    chosen = key.columns(PROFILE, list(row))
    if columns is not None:
        wanted = [name.strip() for name in columns.split(",") if name.strip()]
        if strange := [name for name in wanted if name not in chosen]:
            raise problem(400, f"columns: there is no {strange[0]!r} that this key may see")
        chosen = wanted
    knows = asked[0] == "customer_id" or key.columns(PROFILE, ["customer_id"])
    made: dict[str, Any] = {"customer_id": customer_id} if knows else {}
    made["profile"] = {name: row[name] for name in chosen}
    if "audiences" in parts:
        allowed(key, MEMBERS, STAY)
        made["audiences"] = copy.audiences(customer_id)
    if "recommendations" in parts:
        allowed(key, "recommendations", LISTED)
        made["recommendations"] = copy.recommendations(customer_id)
    return made | {"as_of": copy.shape.as_of}


def found(key: Key, copy: Copy, by: str, value: str) -> str:
    """The id of the customer asked for. A key looks nobody up by a column it may not see."""
    copy.fresh()
    if by == "customer_id":
        return value
    if by not in copy.shape.kinds or by not in key.columns(PROFILE, [by]):
        raise problem(400, f"by: customers cannot be looked up by {by!r} with this key")
    try:
        whose = copy.whose(by, value)
    except Ambiguous:
        raise problem(409, f"several customers have this {by}") from None
    if whose is None:
        raise problem(404, "there is no such customer")
    return whose
