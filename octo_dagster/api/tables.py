"""Every table there is, a page at a time: as JSON, CSV or Arrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

import orjson
import pyarrow as pa
from fastapi import APIRouter, Depends, Path, Request
from fastapi import Query as Asked
from starlette.responses import Response

from octo_dagster.api.customers import Asker, answer
from octo_dagster.api.errors import problem
from octo_dagster.serving.tables import BadQuery, Outdated, Page, Query, Tables
from octo_dagster.spreadsheet import harmless

router = APIRouter(prefix="/v1/tables")

Name = Annotated[str, Path(max_length=200)]
Format = Literal["json", "csv", "arrow"]
ARROW = "application/vnd.apache.arrow.stream"


async def tables_of(request: Request) -> Tables:
    tables: Tables = request.app.state.tables
    return tables


Kept = Annotated[Tables, Depends(tables_of)]


@router.get("", summary="The tables this key may read")
def names(key: Asker, tables: Kept) -> Response:
    """Each table, its columns with their types, and the columns that tell its rows apart."""
    told = [
        {"name": name, "columns": visible(key, tables, name), "key": list(tables.keys[name])}
        for name in tables.names()
        if key.sees(name)
    ]
    return answer({"tables": told})


@router.get(
    "/{name}",
    summary="A page of a table's rows",
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}, ARROW: {}}}},
)
def rows(  # noqa: PLR0913, PLR0917 - one argument a parameter, as FastAPI reads them
    key: Asker,
    tables: Kept,
    name: Name,
    columns: Annotated[str | None, Asked(max_length=4_000, description="With commas; default: all.")] = None,
    where: Annotated[
        list[Annotated[str, Asked(max_length=2_000)]] | None,
        Asked(max_length=20, description="column:operator:value; eq ne lt lte gt gte in starts null."),
    ] = None,
    sort: Annotated[str | None, Asked(max_length=200, description="A column; -column is downwards.")] = None,
    after: Annotated[str | None, Asked(max_length=4_000, description="`next` of the page before.")] = None,
    limit: Annotated[int, Asked(ge=1, le=50_000)] = 1_000,
    form: Annotated[Format, Asked(alias="format")] = "json",
) -> Response:
    """Rows that satisfy every `where`, in the order of `sort` and then the table's key. A page's `next` goes
    on from its last row in the same version of the table, whatever is written meanwhile."""
    there = visible(key, tables, name)
    if hidden := [one for one in tables.keys[name] if one not in there]:
        raise problem(403, f"a key without {hidden[0]} cannot tell this table's rows apart")
    wanted = tuple(one.strip() for one in (columns or "").split(",") if one.strip()) or tuple(there)
    if strange := [one for one in wanted if one not in there]:
        raise problem(400, f"columns: there is no {strange[0]!r} that this key may see")
    query = Query(name, tuple(dict.fromkeys(wanted)), tuple(where or ()), sort, after, limit)
    try:
        page = tables.page(query, list(there))
    except Outdated as gone:
        raise problem(410, str(gone)) from None
    except BadQuery as wrong:
        raise problem(400, str(wrong)) from None
    return FORMS[form](page)


def visible(key: Asker, tables: Tables, name: str) -> dict[str, str]:
    """Column → type of a table, as far as the key may see them. 404 for a table it is not for, too."""
    try:
        there = tables.columns(name) if key.sees(name) else {}
    except KeyError:
        there = {}
    if not there:
        raise problem(404, "there is no such table, or this key is not for it")
    return {column: there[column] for column in key.columns(name, list(there))}


VALUES_AT_ONCE = 2_000
"""That are made into Python's at a stretch, a millisecond or two: a web page that asks meanwhile shall not
wait until a whole large page of a table is made."""


def pieces(rows: pa.Table) -> Iterator[list[dict[str, Any]]]:
    """The rows, a few at a time."""
    for batch in rows.to_batches(max_chunksize=max(1, VALUES_AT_ONCE // max(1, rows.num_columns))):
        yield batch.to_pylist()


def as_json(page: Page) -> Response:
    option = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z
    made = [orjson.dumps(piece, default=number, option=option)[1:-1] for piece in pieces(page.rows)]
    end = orjson.dumps({"next": page.next, "version": page.version})
    return Response(b'{"rows":[' + b",".join(made) + b"]," + end[1:], media_type="application/json")


def number(value: Any) -> float | str:
    """A decimal as JSON's number; Arrow keeps it exactly."""
    return float(value) if isinstance(value, Decimal) else str(value)


def as_csv(page: Page) -> Response:
    """Values that a spreadsheet would take for a formula are quoted by an apostrophe, as its own users do."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(page.rows.column_names)
    for piece in pieces(page.rows):
        lines.writerows([[harmless(value) for value in row.values()] for row in piece])
    return Response(text.getvalue(), media_type="text/csv", headers=onward(page))


def as_arrow(page: Page) -> Response:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, page.rows.schema) as stream:
        stream.write_table(page.rows)
    return Response(sink.getvalue(), media_type=ARROW, headers=onward(page))


def onward(page: Page) -> dict[str, str]:
    """Where there is no place in the body for it, the next page's token is a header."""
    return {"Octo-Next": page.next} if page.next else {}


FORMS = {"json": as_json, "csv": as_csv, "arrow": as_arrow}
