"""Tables as others query them: typed filters, a sort, columns, pages that neither skip nor repeat a row."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from octo_dagster.warehouse import Warehouse

OPERATORS: Mapping[str, str] = {
    "eq": "{} = {}",
    "ne": "{} is distinct from {}",
    "lt": "{} < {}",
    "lte": "{} <= {}",
    "gt": "{} > {}",
    "gte": "{} >= {}",
    "starts": "starts_with({}, {})",
    "null": "({} is null) = {}",
}
ONE_OF = "in"
OUTDATED = "after: the table has moved on; begin again without it"


SECRET = secrets.token_bytes(32)
SIGNED = 16
"""Bytes of a token's signature."""


class BadQuery(ValueError):
    """What was asked cannot be asked of this table; the message says why."""


class Outdated(BadQuery):
    """A page's token is of a version of the table that is no more."""


@dataclass(frozen=True, slots=True)
class Query:
    """One page of one table."""

    table: str
    columns: tuple[str, ...]
    where: tuple[str, ...] = ()
    """`column:operator:value`; all must hold."""
    sort: str | None = None
    """A column; `-column` is downwards. Empty values come last either way."""
    after: str | None = None
    """The token of the page before."""
    most: int = 1_000


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and the token of the page that follows; None after the last."""

    rows: pa.Table
    next: str | None
    version: int


class Tables:
    """The warehouse's tables, newest version first asked for; safe to ask from many threads."""

    def __init__(self, warehouse: Warehouse, keys: Mapping[str, Sequence[str]]) -> None:
        self.warehouse = warehouse
        self.keys = keys
        """Table → the columns that tell its rows apart. Only these tables are served."""
        self.lock = threading.Lock()
        self.open: dict[str, tuple[int, duckdb.DuckDBPyConnection]] = {}

    def names(self) -> list[str]:
        """The tables that are served and there."""
        return [name for name in self.warehouse.names() if name in self.keys]

    def columns(self, table: str) -> dict[str, str]:
        """Column → Arrow type. KeyError for a table that is not served."""
        if table not in self.keys or self.warehouse.version(table) is None:
            raise KeyError(table)
        return {field.name: str(field.type) for field in self.warehouse.schema(table)}

    def page(self, query: Query, visible: Sequence[str]) -> Page:
        """The rows asked for. Filters and sorts go by `visible` columns only. BadQuery says what is wrong."""
        schema = self.warehouse.schema(query.table)
        types = {field.name: field.type for field in schema if field.name in visible}
        order = [(name, True) for name in self.keys[query.table]]
        if query.sort is not None:
            name = query.sort.removeprefix("-")
            known(name, types, "sort")
            order = [(name, not query.sort.startswith("-")), *(one for one in order if one[0] != name)]
        token = opened(query.after, query) if query.after is not None else None
        conditions, values = filters(query.where, types)
        if token is not None:
            past, bound = beyond(order, token["last"], {f.name: f.type for f in schema})
            conditions, values = [*conditions, past], [*values, *bound]
        version, connection = self.at(query.table, token["version"] if token else None)
        names = list(dict.fromkeys([*query.columns, *(name for name, _ in order)]))
        try:
            found = connection.cursor().sql(sql(query, names, conditions, order), params=values)
            rows: pa.Table = found.to_arrow_table()
        except (duckdb.BinderException, duckdb.IOException) as gone:
            raise Outdated(OUTDATED) from gone  # another version's columns, or a file taken away meanwhile
        more = len(rows) > query.most
        rows = rows.slice(0, query.most)
        following = sealed(query, version, rows, order) if more else None
        return Page(rows.select(list(query.columns)), following, version)

    def at(self, table: str, version: int | None) -> tuple[int, duckdb.DuckDBPyConnection]:
        """A connection to a version of a table: the newest, or a token's."""
        newest = self.warehouse.existing(table)
        wanted = newest if version is None else version
        with self.lock:
            held = self.open.get(table)
            if held is not None and held[0] == wanted:
                return held
        connection = duckdb.connect(config={"memory_limit": "512MB"})
        connection.execute("set global TimeZone = 'UTC'")  # a cursor knows nothing of its connection's own
        try:
            self.warehouse.view(connection, table, wanted)
        except (FileNotFoundError, duckdb.IOException, DeltaError) as gone:
            raise Outdated(OUTDATED) from gone
        with self.lock:
            if wanted == newest:
                self.open[table] = (wanted, connection)
        return wanted, connection


def known(name: str, types: Mapping[str, pa.DataType], what: str) -> None:
    if name not in types:
        raise BadQuery(f"{what}: there is no column {name!r} that this key may see")


def sql(
    query: Query, names: Sequence[str], conditions: Sequence[str], order: Sequence[tuple[str, bool]]
) -> str:
    """One row more than the page holds tells whether there is another."""
    chosen = ", ".join(quoted(name) for name in names)
    where = f"where {' and '.join(conditions)}" if conditions else ""
    sorted_by = ", ".join(f"{quoted(name)} {'asc' if up else 'desc'} nulls last" for name, up in order)
    return f"select {chosen} from {quoted(query.table)} {where} order by {sorted_by} limit {query.most + 1}"


def filters(where: Sequence[str], types: Mapping[str, pa.DataType]) -> tuple[list[str], list[Any]]:
    """SQL conditions and the values they are given, of `column:operator:value` texts."""
    conditions: list[str] = []
    values: list[Any] = []
    for text in where:
        name, _, rest = text.partition(":")
        operator, colon, value = rest.partition(":")
        known(name, types, "where")
        if not colon or operator not in {*OPERATORS, ONE_OF}:
            raise BadQuery(f"where: column:operator:value, an operator of {', '.join([*OPERATORS, ONE_OF])}")
        if operator == ONE_OF:
            many = [typed(one, types[name], name) for one in value.split(",")]
            conditions.append(f"{quoted(name)} in ({', '.join('?' * len(many))})")
            values += many
            continue
        if operator == "starts" and not pa.types.is_string(types[name]):
            raise BadQuery(f"where: {name} is no text")
        kind = pa.bool_() if operator == "null" else types[name]
        conditions.append(OPERATORS[operator].format(quoted(name), "?"))
        values.append(typed(value, kind, name))
    return conditions, values


def typed(text: str, kind: pa.DataType, name: str) -> Any:
    """A value as the column's type. BadQuery when it is none; never the value itself in the message."""
    if pa.types.is_nested(kind):
        raise BadQuery(f"where: {name}: a list is not compared")
    try:
        if pa.types.is_boolean(kind):
            return {"true": True, "false": False}[text.lower()]
        if pa.types.is_integer(kind):
            return finite(int(text))
        if pa.types.is_decimal(kind) or pa.types.is_floating(kind):
            return finite(Decimal(text))
        if pa.types.is_date(kind):
            return date.fromisoformat(text)
        if pa.types.is_timestamp(kind):
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    except (ValueError, KeyError, InvalidOperation, OverflowError):
        raise BadQuery(f"where: {name}: not of type {kind}") from None
    return text


def finite(number: int | Decimal) -> int | Decimal:
    """A number DuckDB can compare with. ValueError for one it cannot."""
    unbound = isinstance(number, Decimal) and not number.is_finite()
    if unbound or not -(10**18) < number < 10**18:
        raise ValueError("out of range")
    return number


def beyond(
    order: Sequence[tuple[str, bool]], last: Sequence[Any], types: Mapping[str, pa.DataType]
) -> tuple[str, list[Any]]:
    """The condition of the rows that come after the last one seen, empty values being last."""
    if len(last) != len(order):
        raise BadQuery("after: a token of another query")
    ways: list[str] = []
    values: list[Any] = []
    same: list[str] = []
    bound: list[Any] = []
    for (name, up), told in zip(order, last, strict=True):
        value = None if told is None else typed(told, types[name], name)
        if value is not None:
            later = f"({quoted(name)} {'>' if up else '<'} ? or {quoted(name)} is null)"
            ways.append(" and ".join([*same, later]))
            values += [*bound, value]
        same.append(f"{quoted(name)} is not distinct from ?")
        bound.append(value)
    return f"({' or '.join(f'({way})' for way in ways) or 'false'})", values


def sealed(query: Query, version: int, rows: pa.Table, order: Sequence[tuple[str, bool]]) -> str:
    """The token of the page after these rows."""
    final = rows.slice(len(rows) - 1).to_pylist()[0]
    last = [None if final[name] is None else str(plain(final[name])) for name, _ in order]
    told = {"version": version, "table": query.table, "sort": query.sort, "last": last}
    body = json.dumps(told).encode()
    return base64.urlsafe_b64encode(signature(body) + body).decode().rstrip("=")


def signature(body: bytes) -> bytes:
    """Of this process alone, so that nobody makes a token of rows that were taken out since."""
    return hmac.digest(SECRET, body, "sha256")[:SIGNED]


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def opened(token: str, query: Query) -> dict[str, Any]:
    """What a token says. BadQuery when it is none, or of another query."""
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise BadQuery("after: not a token of this API") from None
    if not hmac.compare_digest(raw[:SIGNED], signature(raw[SIGNED:])):
        raise BadQuery("after: not a token of this server since it was started; begin again without it")
    told: dict[str, Any] = json.loads(raw[SIGNED:])
    if (told["table"], told["sort"]) != (query.table, query.sort):
        raise BadQuery("after: a token of another query")
    return told


def quoted(name: str) -> str:
    """A SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
