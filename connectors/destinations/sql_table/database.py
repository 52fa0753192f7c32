"""One database: a connection for each transaction, and what each of its refusals means.

Before COMMIT is sent nothing was done, whatever breaks. A COMMIT that is not answered may have been done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import sqlalchemy as sa

from octo_dagster.errors import BatchRejected, DeliveryError, Fatal, Retryable, Unanswered
from octo_dagster.model import FieldType

CONNECT_SECONDS = 10
ANSWER_SECONDS = 600

STRICT = "set session sql_mode = concat(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00'"
"""Without it MySQL cuts and bends values that do not fit, and says so to nobody."""

ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "postgresql": {"connect_timeout": CONNECT_SECONDS, **ALIVE},
    "mysql": {
        "connect_timeout": CONNECT_SECONDS,
        "read_timeout": ANSWER_SECONDS,
        "write_timeout": ANSWER_SECONDS,
        "charset": "utf8mb4",
        "init_command": STRICT,
    },
    "sqlite": {"timeout": CONNECT_SECONDS},
}
DRIVERS = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite+pysqlite"}

ROW_CLASSES = ("22", "23", "44", "P0")
"""SQLSTATE classes that a row is to blame for: data, constraints, a view's check, a trigger's refusal."""
AGAIN_CLASSES = ("08", "40", "53", "57", "55")
"""Connection, deadlock and serialization, resources, operator intervention, a lock not had."""
ROW_ERRORS = {
    1048,
    1062,
    1169,
    1216,
    1217,
    1264,
    1265,
    1292,
    1364,
    1366,
    1406,
    1451,
    1452,
    1644,
    1690,
    3819,
    4025,
}
"""The same of MySQL and MariaDB ("Server Error Message Reference"; 4025 is MariaDB's CHECK)."""
AGAIN_ERRORS = {1040, 1053, 1203, 1205, 1213, 1927, 2002, 2003, 2006, 2013}
LOST_ERRORS = {2006, 2013}


def address(written: str) -> sa.URL:
    """The address, with the driver Octo has. Fatal, without showing it, when it is none."""
    try:
        url = sa.make_url(written)
    except sa.exc.ArgumentError:
        raise Fatal("sql_table: the address is no SQLAlchemy address, such as postgresql://…") from None
    dialect = {"mariadb": "mysql", "postgres": "postgresql"}.get(
        url.get_backend_name(), url.get_backend_name()
    )
    if dialect not in DRIVERS:
        raise Fatal(f"sql_table: writes to postgresql, mysql and sqlite, not to {dialect}")
    return url.set(drivername=DRIVERS[dialect])


@dataclass
class Database:
    """Where the table is, and what has been found out about it."""

    url: sa.URL
    types: Mapping[str, FieldType] = field(default_factory=dict)
    sound: bool = False
    """Whether the table was seen to be there, with a unique key."""
    worded: bool = True
    """Whether that key is text; among numbers `007` and `7` would be one."""
    narrow: Mapping[str, str] = field(default_factory=dict)
    """Columns that may keep another value than the mapped one without a word → their type there."""

    @property
    def dialect(self) -> str:
        return self.url.get_backend_name()

    def engine(self) -> sa.Engine:
        """SQLite is opened as a file that is there: a slip of the pen must not make a new database."""
        url = self.url
        if self.dialect == "sqlite":
            path = quote(str(Path(url.database or "").absolute()))  # `#` and `?` would end it
            url = url.set(database=f"file:{path}", query={"mode": "rw", "uri": "true"})
        return sa.create_engine(
            url, hide_parameters=True, poolclass=sa.NullPool, connect_args=dict(OPTIONS[self.dialect])
        )

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A connection to ask by. What is not committed on it is not done, whatever breaks."""
        try:
            connection = self.engine().connect()
        except sa.exc.SQLAlchemyError as error:
            raise turned_away(error) or meant(error) from None
        except ImportError as error:
            raise Fatal(f"sql_table: {self.dialect} needs a driver: {error}") from error
        with connection:
            try:
                yield connection
            except (sa.exc.SQLAlchemyError, psycopg.Error) as error:
                raise meant(error) from None  # the driver's own words may hold a row's values

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All of it or nothing; Unanswered when nobody knows which."""
        with self.connected() as connection:
            yield connection
            try:
                connection.commit()
            except sa.exc.SQLAlchemyError as error:
                if not answered(error):
                    raise Unanswered(f"sql_table: no answer to COMMIT: {said(error)}") from None
                raise


def turned_away(error: Exception) -> Fatal | None:
    """Whether it is the database that refuses this user; on signing in PostgreSQL's driver has words only."""
    words = str(getattr(error, "orig", None) or error)
    if any(
        word in words for word in ("authentication failed", "does not exist", "pg_hba.conf", "not permitted")
    ):
        return Fatal(f"sql_table: {said(error)}")
    return None


def meant(error: Exception) -> DeliveryError:
    """What a refusal says to do next, for a transaction of which nothing was carried out."""
    cause, words = getattr(error, "orig", None) or error, f"sql_table: {said(error)}"
    state = str(getattr(cause, "sqlstate", None) or "")
    code = cause.args[0] if cause.args and isinstance(cause.args[0], int) else None
    if state.startswith(ROW_CLASSES) or code in ROW_ERRORS or isinstance(cause, sqlite3.IntegrityError):
        return BatchRejected(said(error))
    if state.startswith(AGAIN_CLASSES) or code in AGAIN_ERRORS or lost(error) or "is locked" in words:
        return Retryable(words)
    return Fatal(words)


def answered(error: Exception) -> bool:
    """Whether the server itself refused, so that nothing was done; all else may come after it was done."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, psycopg.Error):
        return bool(cause.sqlstate) and not str(cause.sqlstate).startswith(("08", "57"))
    code = cause.args[0] if cause.args else None
    return isinstance(cause, sqlite3.Error) or (
        isinstance(code, int) and (code in ROW_ERRORS or code in (1205, 1213))
    )


def lost(error: Exception) -> bool:
    """Whether the connection is gone: PostgreSQL's driver has no state to tell then."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, psycopg.OperationalError):
        return not cause.sqlstate or cause.sqlstate in ("57P01", "57P02")
    return bool(cause.args) and cause.args[0] in LOST_ERRORS


def said(error: Exception) -> str:
    """The database's own words, without the statement, and without PostgreSQL's detail, which has values."""
    cause = getattr(error, "orig", None) or error
    words = cause.args[-1] if cause.args else type(cause).__name__
    lines = [line for line in str(words).splitlines() if line.strip() and not line.startswith("DETAIL")]
    return (lines or [type(cause).__name__])[0][:300]
