"""Any database SQLAlchemy can speak to; PostgreSQL through ADBC, eight times as fast."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar, Literal, TypeAlias

import adbc_driver_postgresql.dbapi
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from adbc_driver_manager import Error as AdbcError
from pydantic import field_validator
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import sqltypes

from octo_dagster.destination import Secret
from octo_dagster.errors import SourceError
from octo_dagster.source import FAULT, ORIGIN, Pull, Reading, Source

Batches: TypeAlias = Generator[pa.RecordBatch, None, None]

ROWS = 20_000
"""Rows in one batch of the plain road."""

CHANNEL = "octo_new_orders"
"""What the trigger that tells of new rows is called, its function, and where it tells."""
RINGS = f"""select count(distinct tgrelid) = %s from pg_trigger
    where tgname = '{CHANNEL}' and tgenabled <> 'D'
    and tgrelid = any (select to_regclass(unnest(%s::text[])))"""

PLAIN = {16, 18, 20, 21, 23, 25, 700, 701, 1042, 1043, 1082, 1114}
"""PostgreSQL types whose ADBC value is already what we keep: bool, char, integers, text, floats, date,
timestamp. Everything else is asked for as text: a uuid, jsonb or inet would come as opaque bytes."""
NUMERIC, ZONED = 1700, 1184


class Sql(Source):
    """Tables and queries of one database. Money is never a float on the way, unless the database's is."""

    type: Literal["sql"] = "sql"
    glance: ClassVar = 0.25
    url: Secret | str
    """A SQLAlchemy address; `{env: NAME}` where it holds a password."""

    @field_validator("url")
    @classmethod
    def no_password(cls, url: Secret | str) -> Secret | str:
        try:
            written = isinstance(url, str) and sa.make_url(url).password
        except sa.exc.ArgumentError as error:
            raise ValueError("is no SQLAlchemy address") from error
        if written:
            raise ValueError("holds a password: put the address in the environment and write {env: NAME}")
        return url

    def columns(self, pull: Pull) -> tuple[str, ...]:
        with self.connection() as connection:
            return tuple(described(connection, relation(pull)))

    def read(self, pull: Pull) -> Reading:
        """The greatest cursor is asked for first and the rows afterwards, so a row committed in between
        is read now and once more next time, and never missed."""
        with self.connection() as connection:
            state = self.greatest(connection, pull)
            columns = described(connection, relation(pull))
            native = connection.dialect.name == "postgresql"
            types = {} if native else arrow_types(connection, pull)
        if missing := [name for name in pull.columns if name not in columns]:
            raise SourceError(f"{pull.table}: no column {', '.join(missing)}")  # SQLite would say its name
        wanted = {name: columns[name] for name in pull.columns}
        rows = self.by_adbc(pull, wanted) if native else self.by_sqlalchemy(pull, types)
        begin = earlier(pull.after, pull.overlap)
        return replace(rows, state=state, whole=pull.cursor is None, begin=begin)

    def reached(self, pull: Pull) -> Any:
        with self.connection() as connection:
            return self.greatest(connection, pull)

    def tip(self, pull: Pull) -> int | None:
        if pull.cursor is None or pull.after is None:
            return None
        rows = selection(pull, [sa.literal_column("1")]).subquery()
        with self.connection() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(rows))

    @contextmanager
    def bell(self, pulls: Sequence[Pull]) -> Iterator[Callable[[], bool] | None]:
        """PostgreSQL's LISTEN, where every one of these tables has the trigger that `trigger` makes."""
        if self.address().get_backend_name() != "postgresql":
            yield None
            return
        address = self.address().set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with psycopg.connect(address, autocommit=True) as connection:
                if not connection.execute(RINGS, (len(pulls), [pull.table for pull in pulls])).fetchall()[0][
                    0
                ]:
                    yield None
                    return
                connection.execute(f"listen {CHANNEL}")
                yield lambda: bool(list(connection.notifies(timeout=0)))
        except psycopg.Error as error:
            raise SourceError(f"postgresql: {str(error).splitlines()[0]}") from error

    def keys(self, pull: Pull, key: tuple[str, ...]) -> Reading:
        return self.read(Pull(table=pull.table, query=pull.query, columns=key))

    def greatest(self, connection: sa.Connection, pull: Pull) -> Any:
        """The greatest cursor there is, as JSON has it; that of last time when the table is empty. One that
        is dated ahead of tomorrow is passed over: what is changed until then would never be read."""
        if pull.cursor is None:
            return None
        cursor: sa.ColumnClause[Any] = sa.column(pull.cursor)
        statement = sa.select(sa.func.max(cursor)).select_from(relation(pull))
        value = plain(connection.scalar(statement))
        if limit := passed(value, pull.outside.clock()):
            near = statement.where(cursor <= sa.literal_column(literal(limit)))
            value = plain(connection.scalar(near))
        return pull.after if value is None else value

    def by_adbc(self, pull: Pull, wanted: dict[str, Any]) -> Reading:
        """PostgreSQL's own binary copy, as Arrow."""
        statement = selection(pull, [projected(name, column) for name, column in wanted.items()])
        dialect = postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]
        query = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        batches = self.adbc_batches(query, wanted)
        return reading(next(batches).schema, batches, pull.table)

    def adbc_batches(self, query: str, wanted: dict[str, Any]) -> Batches:
        """An empty batch first, which tells the types: to connect twice takes longer than most pulls."""
        with self.adbc() as cursor:
            cursor.execute(query)
            rows = cursor.fetch_record_batch()
            schema = kept(rows.schema, wanted)
            yield pa.RecordBatch.from_pylist([], schema=schema)
            for batch in rows:
                yield pa.RecordBatch.from_arrays(
                    [column.cast(field.type) for column, field in zip(batch.columns, schema, strict=True)],
                    schema=schema,
                )

    def by_sqlalchemy(self, pull: Pull, types: dict[str, pa.DataType]) -> Reading:
        """Every other database, through a server-side cursor where it has one."""
        schema = pa.schema([pa.field(name, types.get(name, pa.string())) for name in pull.columns])
        return reading(schema, self.sqlalchemy_batches(pull, schema), pull.table)

    def sqlalchemy_batches(self, pull: Pull, schema: pa.Schema) -> Batches:
        statement = selection(pull, [sa.column(name) for name in pull.columns])
        with self.connection() as connection:
            result = connection.execution_options(stream_results=True).execute(statement)
            for rows in result.partitions(ROWS):
                columns = zip(*rows, strict=True)
                arrays = [arrow(column, field.type) for column, field in zip(columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def address(self) -> sa.URL:
        return sa.make_url(self.url if isinstance(self.url, str) else self.url.reveal())

    @contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """A connection of our own; whatever the database says against it is a SourceError."""
        engine = sa.create_engine(self.address(), hide_parameters=True, poolclass=sa.NullPool)
        try:
            with engine.connect() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise SourceError(f"{engine.dialect.name}: {said(error)}") from error

    @contextmanager
    def adbc(self) -> Iterator[Any]:
        address = self.address().set(drivername="postgresql").render_as_string(hide_password=False)
        try:
            with (
                adbc_driver_postgresql.dbapi.connect(address) as connection,
                connection.cursor() as cursor,
            ):
                yield cursor
        except AdbcError as error:
            raise SourceError(f"postgresql: {str(error).splitlines()[0]}") from error


def trigger(tables: Iterable[str]) -> str:
    """The SQL that has PostgreSQL say, at every commit, that a row of one of these tables was written. It
    says nothing of the row, and may be run again."""
    made = f"""create or replace function {CHANNEL}() returns trigger language plpgsql as
    $$ begin notify {CHANNEL}; return null; end $$;
"""
    for table in tables:
        made += f"""create or replace trigger {CHANNEL} after insert or update or delete on {table}
    for each statement execute function {CHANNEL}();
"""
    return made


def relation(pull: Pull) -> sa.FromClause:
    """What to select from: the table, `schema.table`, or the user's query in brackets."""
    if pull.query:
        query = pull.query.strip().rstrip(";").replace(":", "\\:")
        return sa.text(f"({query}) q")  # type: ignore[return-value]
    schema, _, name = pull.table.rpartition(".")
    return sa.table(name, schema=schema or None)


def described(connection: sa.Connection, source: sa.FromClause) -> dict[str, Any]:
    """Column name → the driver's description of it."""
    result = connection.execute(sa.select(sa.text("*")).select_from(source).where(sa.false()))
    return {column[0]: column for column in result.cursor.description} if result.cursor else {}


def selection(pull: Pull, columns: list[Any]) -> sa.Select[Any]:
    """These columns of the rows at or after the point to begin at. A row whose cursor is null cannot be
    told from a new one, so it always comes."""
    statement = sa.select(*columns).select_from(relation(pull))
    if pull.cursor is None or pull.after is None:
        return statement
    cursor: sa.ColumnClause[Any] = sa.column(pull.cursor)
    begin: sa.ColumnClause[Any] = sa.literal_column(literal(earlier(pull.after, pull.overlap)))
    return statement.where(sa.or_(cursor >= begin, cursor.is_(None)))


def projected(name: str, column: Any) -> sa.ColumnElement[Any]:
    """A PostgreSQL column in a form ADBC carries exactly."""
    value: sa.ColumnClause[Any] = sa.column(name)
    if column.type_code in PLAIN or column.type_code == ZONED:
        return value
    if column.type_code == NUMERIC and column.precision:
        value = sa.func.nullif(value, sa.literal_column("'NaN'"))  # type: ignore[assignment]
    return sa.cast(value, sa.Text).label(name)


def kept(schema: pa.Schema, wanted: dict[str, Any]) -> pa.Schema:
    """The Arrow types to keep: decimals where the database states their size, else as they come."""
    fields = []
    for field in schema:
        told, kind = wanted[field.name], field.type
        if told.type_code == NUMERIC and told.precision and told.precision <= 38:
            kind = pa.decimal128(told.precision, max(told.scale or 0, 0))
        elif pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", tz="UTC" if kind.tz else None)
        elif pa.types.is_int16(kind) or pa.types.is_int32(kind):
            kind = pa.int64()
        fields.append(pa.field(field.name, kind))
    return pa.schema(fields)


def arrow_types(connection: sa.Connection, pull: Pull) -> dict[str, pa.DataType]:
    """Column name → Arrow type, where the database holds a column to its type. SQLite does not, and
    nobody can say it of a query: their values are kept as text, as they are spelled."""
    if pull.query or connection.dialect.name == "sqlite":
        return {}
    schema, _, name = pull.table.rpartition(".")
    columns = sa.inspect(connection).get_columns(name, schema or None)
    return {column["name"]: arrow_type(column["type"]) for column in columns}


def arrow_type(kind: sa.types.TypeEngine[Any]) -> pa.DataType:
    """The exact Arrow type of a declared SQL type; text where there is none."""
    match kind:
        case sqltypes.Boolean():
            return pa.bool_()
        case sqltypes.Integer():
            return pa.int64()
        case sqltypes.Float():
            return pa.float64()
        case sqltypes.Numeric(precision=int(precision)) if precision <= 38:
            return pa.decimal128(precision, kind.scale or 0)
        case sqltypes.DateTime():
            return pa.timestamp("us", tz="UTC" if kind.timezone else None)
        case sqltypes.Date():
            return pa.date32()
        case _:
            return pa.string()


def arrow(values: Iterable[Any], kind: pa.DataType) -> pa.Array[Any]:
    if pa.types.is_string(kind):
        return pa.array([None if value is None else spelled(value) for value in values], kind)
    if pa.types.is_boolean(kind):
        return pa.array([None if value is None else bool(value) for value in values], kind)
    return pa.array(list(values), kind)


def spelled(value: Any) -> str:
    """A value as text, exactly."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value) if isinstance(value, bool | list | dict) else str(value)


def reading(schema: pa.Schema, batches: Batches, origin: str) -> Reading:
    """The batches with `_origin` and `_fault` beside them."""
    whole = schema.append(ORIGIN).append(FAULT)

    def extended() -> Batches:
        with closing(batches):
            for batch in batches:
                origins = pa.repeat(pa.scalar(origin), batch.num_rows)
                faults = pa.nulls(batch.num_rows, pa.string())
                yield pa.RecordBatch.from_arrays([*batch.columns, origins, faults], schema=whole)

    return Reading(whole, extended())


def plain(value: Any) -> Any:
    """A cursor's value as JSON has it."""
    if isinstance(value, datetime) and value.tzinfo:
        value = value.astimezone(UTC)
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def passed(value: Any, now: float) -> str | None:
    """Tomorrow, spelled as the cursor is, where that is a time still later; a day holds every zone a naive
    time may be of. None for every other cursor, and for what is no time."""
    if not isinstance(value, str) or value[4:5] != "-":
        return None
    try:
        told = datetime.fromisoformat(value)
    except ValueError:
        return None
    limit = datetime.fromtimestamp(int(now), UTC) + timedelta(days=1)
    if told <= (limit if told.tzinfo else limit.replace(tzinfo=None)):
        return None
    if len(value) == len("2026-11-23"):
        return limit.date().isoformat()
    spelled = limit if told.tzinfo else limit.replace(tzinfo=None)
    return spelled.isoformat(sep="T" if "T" in value else " ")


def earlier(after: Any, overlap: int) -> Any:
    """The point to begin at: `overlap` seconds, or units of a number, before the last cursor."""
    if after is None or not overlap:
        return after
    if isinstance(after, int | float):
        return after - overlap
    moved = datetime.fromisoformat(after) - timedelta(seconds=overlap)
    return moved.isoformat(sep="T" if "T" in after else " ")


def literal(value: Any) -> str:
    """A number, or quoted text the database reads as the cursor's own type."""
    if isinstance(value, int | float):
        return repr(value)
    return "'" + str(value).replace("'", "''") + "'"


def said(error: sa.exc.SQLAlchemyError) -> str:
    """The database's own first line, without the statement."""
    return str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
