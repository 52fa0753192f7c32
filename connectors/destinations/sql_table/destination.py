"""A table of a database: PostgreSQL, MySQL or MariaDB, SQLite.

    address: {env: SHOP_DATABASE}     postgresql://octo:…@db.example.com/shop
    table: marketing.customers        made if it is missing; else its key must be unique

Each batch is one transaction. Only mapped columns are written, only rows Octo made are ever deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import requests
import sqlalchemy as sa
from pydantic import Field

from connectors.destinations.sql_table.columns import KEYS, MADE, narrows, value
from connectors.destinations.sql_table.database import Database, address
from connectors.destinations.sql_table.writing import Writing
from octo_dagster.destination import Destination, FieldReport, Limits, Secret, Survey, sandbox_of
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Fields, FieldType, Op, Removal, Sent

DATABASES = "https://databases.octo.invalid"
"""A host nobody has (RFC 6761): in the sandbox its twin is asked there for a database of its own."""
ASKED = 5_000
"""Keys in one SELECT; a statement of PostgreSQL takes 65,535 values, one of SQLite 32,766."""
CASELESS = ("_ci", "_ai_cs", "NOCASE")
"""How the names of collations end that take two texts for one."""
KINDS = (
    (sa.Boolean, FieldType.BOOLEAN),
    (sa.Integer, FieldType.INTEGER),
    (sa.Numeric, FieldType.DECIMAL),
    (sa.DateTime, FieldType.DATETIME),
    (sa.Date, FieldType.DATE),
    (sa.JSON, FieldType.LIST),
    (sa.String, FieldType.TEXT),
)


class SqlTable(Destination[Database]):
    """One table, keyed by one unique column."""

    type: Literal["sql_table"]
    address: Secret
    table: str = Field(pattern=r"^[^.]+(\.[^.]+)?$")
    """`table`, or `schema.table`."""

    removals: ClassVar = frozenset({Removal.CLEAR, Removal.DELETE})
    place: ClassVar = ("table",)
    keys_ignore_case: ClassVar = False
    in_order: ClassVar = False  # a COMMIT that was not answered may still be under way
    untyped: ClassVar = True

    def hosts(self) -> Mapping[str, str]:
        return {DATABASES: "sql_table"}

    def connect(self, http: requests.Session) -> Database:
        """The real database; in the sandbox one of the sandbox's own, after it let this user in."""
        url = address(self.address.reveal())
        if sandbox_of(http) is None:
            return Database(url)
        name = quote((url.database or "").strip("/").replace("/", "-"))
        reply = http.get(f"{DATABASES}/{name}", auth=(url.username or "", str(url.password or "")))
        return Database(sa.URL.create("sqlite+pysqlite", database=reply.json()["path"]))

    def expect(self, api: Database, types: Mapping[str, FieldType]) -> None:
        api.types = types

    def limits(self, op: Op, rows: int) -> Limits:
        """Few large transactions: each costs the same few statements."""
        return Limits(rows=50_000)

    def account(self, api: Database) -> str:
        """The real one's, in the sandbox too."""
        url = address(self.address.reveal())
        return f"{url.get_backend_name()}://{url.host or ''}:{url.port or ''}/{url.database}"

    def ensure_fields(self, api: Database, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        """Missing columns are added. A missing table is made with the first batch, which knows the key."""
        api.types = {**api.types, **fields}
        with api.connected() as connection:
            if not self.there(connection):
                if create:
                    return FieldReport(created=tuple(fields))
                return FieldReport(
                    problems=tuple(f"{name}: there is no table {self.table}" for name in fields)
                )
            known = self.columns(connection)
            missing = [name for name in fields if name not in known]
            for name in missing if create else ():
                self.add(connection, name, fields[name])
            connection.commit()  # unanswered, it may be asked for again: columns that are there are not added
        existing = tuple(name for name in fields if name in known)
        problems = () if create else tuple(f"{name}: missing in {self.table}" for name in missing)
        return FieldReport(tuple(missing) if create else (), existing, problems)

    def send(self, api: Database, batch: Batch) -> Sent:
        with api.transaction() as connection:
            if not api.sound:
                self.check(connection, batch, api)
            receipts = Writing(
                connection, self.written(connection), batch, api.worded, api.narrow
            ).carry_out()
        api.sound = True
        return Sent(receipts)

    def read(
        self, api: Database, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        key = next(iter(api.types), "")
        with api.connected() as connection:
            known = self.columns(connection) if self.there(connection) else {}
            if key not in known:
                return {}
            names = [name for name in fields if name in known]
            columns = [asked_for(name, known[name]["type"]) for name in names]
            asked_by: sa.ColumnElement[Any] = sa.column(key)
            if not in_words(known[key]["type"]):  # PostgreSQL compares no number with a text
                asked_by = sa.cast(asked_by, sa.String)
            query = sa.select(asked_by, *columns).select_from(sa.text(self.written(connection)))
            found: dict[str, Fields] = {}
            asked = iter(keys)
            while some := list(islice(asked, ASKED)):
                for held, *raws in connection.execute(query.where(asked_by.in_(some))):
                    values = zip(names, raws, strict=True)
                    found[str(held)] = {name: value(raw, api.types.get(name)) for name, raw in values}
        return found

    def survey(self, api: Database) -> Survey:
        with api.connected() as connection:
            inspector = sa.inspect(connection)
            tables = tuple(inspector.get_table_names(self.split(connection)[0]))
            if not self.there(connection):
                return Survey(places={"table": tables})
            columns = self.columns(connection)
            keys = tuple(self.unique(connection))
        kinds = {name: kind_of(column["type"]) for name, column in columns.items()}
        return Survey(fields=kinds, keys=keys, places={"table": tables})

    def split(self, connection: sa.Connection) -> tuple[str | None, str]:
        """Schema and table; SQLite has no schemas."""
        schema, _, table = self.table.rpartition(".")
        return (None, self.table) if connection.dialect.name == "sqlite" else (schema or None, table)

    def written(self, connection: sa.Connection) -> str:
        """The table as a statement names it."""
        quoted = connection.dialect.identifier_preparer.quote_identifier
        return ".".join(quoted(part) for part in self.split(connection) if part)

    def there(self, connection: sa.Connection) -> bool:
        schema, table = self.split(connection)
        return sa.inspect(connection).has_table(table, schema)

    def columns(self, connection: sa.Connection) -> dict[str, Any]:
        """Name → column, as the database describes it now."""
        schema, table = self.split(connection)
        return {str(column["name"]): column for column in sa.inspect(connection).get_columns(table, schema)}

    def unique(self, connection: sa.Connection) -> list[str]:
        """The columns of which each alone says which row is meant."""
        schema, table = self.split(connection)
        inspector = sa.inspect(connection)
        groups = [inspector.get_pk_constraint(table, schema)["constrained_columns"]]
        groups += [found["column_names"] for found in inspector.get_unique_constraints(table, schema)]
        for index in inspector.get_indexes(table, schema):
            partial = any(name.endswith("_where") for name in index.get("dialect_options", {}))
            groups += [index["column_names"]] if index["unique"] and not partial else []  # type: ignore[list-item]
        return list(dict.fromkeys(group[0] for group in groups if len(group) == 1 and group[0]))

    def check(self, connection: sa.Connection, batch: Batch, api: Database) -> None:
        """The table, made if it is missing. Fatal when its key could mean two rows, or two keys one row."""
        if not self.there(connection):
            self.make(connection, batch)
            return
        if batch.key_field not in self.unique(connection):
            raise Fatal(f"sql_table: {batch.key_field} is not unique in {self.table}; give it a unique index")
        columns = {name: column["type"] for name, column in self.columns(connection).items()}
        api.worded = in_words(columns[batch.key_field])
        api.narrow = {
            name: str(columns[name])
            for name, kind in batch.types.items()
            if name in columns and name != batch.key_field and narrows(columns[name], kind)
        }
        citext = type(columns[batch.key_field]).__name__ == "CITEXT"
        if citext or self.collation(connection, batch.key_field).endswith(CASELESS):
            raise Fatal(
                f"sql_table: {self.table}.{batch.key_field} takes upper and lower case, or e and é, for one; "
                f"two customers would share a row. Give it a binary collation"
            )

    def collation(self, connection: sa.Connection, column: str) -> str:
        """How the column is compared, or in SQLite its unique index; empty where two texts are never one."""
        schema, table = self.split(connection)
        if connection.dialect.name == "sqlite":
            indexes = sa.text(
                "select upper(max(found.coll))"
                " from pragma_index_list(:table) one, pragma_index_xinfo(one.name) found"
                ' where found.name = :column and found.key and one."unique"'
            )
            return str(connection.scalar(indexes, {"table": table, "column": column}) or "")
        if connection.dialect.name == "postgresql":
            loose = sa.text(
                "select collname || :ending from pg_attribute one join pg_collation found"
                " on found.oid = one.attcollation where one.attrelid = to_regclass(:table)"
                " and one.attname = :column and not found.collisdeterministic"
            )
            told = {"table": self.written(connection), "column": column, "ending": CASELESS[0]}
            return str(connection.scalar(loose, told) or "")
        query = sa.text(
            "select collation_name from information_schema.columns where table_name = :table"
            " and column_name = :column and table_schema = coalesce(:schema, database())"
        )
        found = connection.scalar(query, {"table": table, "column": column, "schema": schema})
        return str(found or "")

    def make(self, connection: sa.Connection, batch: Batch) -> None:
        """The table, with every mapped column."""
        dialect = connection.dialect.name
        quoted = connection.dialect.identifier_preparer.quote_identifier
        kinds = {name: MADE[dialect][kind] for name, kind in batch.types.items() if name != batch.key_field}
        columns = [f"{quoted(name)} {kind}" for name, kind in kinds.items()]
        columns.insert(0, f"{quoted(batch.key_field)} {KEYS[dialect]} not null primary key")
        connection.exec_driver_sql(f"create table {self.written(connection)} ({', '.join(columns)})")

    def add(self, connection: sa.Connection, name: str, kind: FieldType) -> None:
        dialect = connection.dialect
        column = f"{dialect.identifier_preparer.quote_identifier(name)} {MADE[dialect.name][kind]}"
        connection.exec_driver_sql(f"alter table {self.written(connection)} add column {column}")


def in_words(column: sa.types.TypeEngine[Any]) -> bool:
    """Whether a column holds text as it is given. A `char(n)` does not: it fills it up with blanks."""
    return isinstance(column, sa.String) and not isinstance(column, sa.Enum | sa.CHAR)


def asked_for(name: str, column: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
    """A column as it is read: PostgreSQL takes the blanks of a `char(n)` off where it is made a text."""
    found: sa.ColumnClause[Any] = sa.column(name)
    return sa.cast(found, sa.String) if isinstance(column, sa.CHAR) else found


def kind_of(column: sa.types.TypeEngine[Any]) -> FieldType | None:
    """What can be mapped to a column of this type."""
    return next((kind for type_, kind in KINDS if isinstance(column, type_)), None)
