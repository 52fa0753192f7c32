"""The serving copy: what the read API answers from, one SQLite file beside the warehouse.

It is written whole under a name of its own, to which `serving.sqlite` then points: a reader has the old copy
or the new one, never a part, and neither waits for the other. A copy is in WAL mode, so that single rows of
it may change while it is read (`replacing` is held by whoever changes or replaces it; the WAL is named after
the copy it belongs to, and can never be taken for another's). A customer's row is one JSON array: a look-up
at a million customers takes hundredths of a millisecond, and the columns a key may see are chosen as it is
read.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from filelock import FileLock

from octo_dagster.audiences.memberships import TABLE as MEMBERS
from octo_dagster.delta import quoted
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.warehouse import Warehouse

FILE = "serving.sqlite"
STALE = 3_600
"""Seconds after which a draft that nobody finished is taken away."""
ROWS_AT_ONCE = 20_000
LISTED_AT_ONCE = 1_500_000
"""Recommendations that are put together at once: some 300 MB."""
SHAPE = """
create table about (name text primary key, told text not null);
create table customers (customer_id text primary key, told text not null);
create table identifiers (kind text, value text, customer_id text);
create table products (product_id text primary key, told text not null);
create table recommendations (customer_id text primary key, told text not null);
create table related (product_id text primary key, told text not null);
create table members (audience text, customer_id text, entered_on text,
                      primary key (audience, customer_id)) without rowid;
"""
INDEXES = """
create index identifiers_by_value on identifiers (kind, value);
create index members_by_customer on members (customer_id);
"""


@dataclass(frozen=True, slots=True)
class Published:
    """What one serving copy holds."""

    customers: int
    products: int
    recommended: int
    """Customers with a list of recommendations."""
    memberships: int
    bytes: int
    as_of: str | None
    """The day the profile is of."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json` and for asset metadata."""
        return asdict(self)


def publish(warehouse: Warehouse, home: Path, identifiers: Sequence[str] = ()) -> Published:
    """Write the serving copy of the tables there are now, and put it in the place of the last one.

    `identifiers`: the profile's columns a customer may be looked up by, beside his id, e-mail and phone.
    ConfigError when there is no customer profile yet."""
    warehouse.existing(PROFILE)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)  # customers' data, for this user only
    draft = home / f".{FILE}-{uuid.uuid4().hex}"
    try:
        with closing(sqlite3.connect(draft)) as copy, warehouse.connect() as rows:
            draft.chmod(0o600)
            copy.executescript("pragma journal_mode = off; pragma synchronous = off;" + SHAPE)
            counts = filled(copy, rows, warehouse, identifiers)
            copy.executescript(INDEXES)
            copy.commit()
        with closing(sqlite3.connect(draft)) as copy:
            copy.execute("pragma journal_mode = wal")
        with draft.open("rb") as written:
            os.fsync(written.fileno())
        size = draft.stat().st_size
        put_in_place(draft, home)
    finally:
        draft.unlink(missing_ok=True)
    return Published(**counts, bytes=size, as_of=warehouse.note(PROFILE).get("as_of"))


@contextmanager
def replacing(home: Path) -> Iterator[None]:
    """Held while the copy is replaced, or changed in place: what is written into it is not written into one
    that is on its way out."""
    with FileLock(home / f".{FILE}.lock"):
        yield


def put_in_place(draft: Path, home: Path) -> None:
    """Make a finished draft the copy. Those before it go, once they are read no more, and what others began
    and never finished."""
    name = f"serving-{uuid.uuid4().hex}.sqlite"
    with replacing(home):
        draft.replace(home / name)
        pointer = home / f".{name}.pointer"
        pointer.symlink_to(name)
        pointer.replace(home / FILE)
        old = [path for path in home.glob("serving-*.sqlite*") if not path.name.startswith(name)]
        drafts = home.glob(f".{FILE}-*")
        for path in [*old, *(d for d in drafts if time.time() - d.stat().st_mtime > STALE)]:
            path.unlink(missing_ok=True)


def filled(
    copy: sqlite3.Connection,
    rows: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    identifiers: Sequence[str],
) -> dict[str, int]:
    """Fill the empty copy; how many rows of each kind."""
    there, schema = set(warehouse.names()), warehouse.schema(PROFILE)
    tell(copy, "profile", told_of(schema))
    tell(copy, "as_of", warehouse.note(PROFILE).get("as_of"))
    counts = {
        "customers": load(copy, rows, "customers", array_of(PROFILE, schema, "customer_id")),
        "products": 0,
        "recommended": 0,
        "memberships": 0,
    }
    kinds = [name for name in dict.fromkeys(("email", "phone", *identifiers)) if name in schema.names]
    tell(copy, "identifiers", kinds)
    for kind in kinds:
        load(copy, rows, "identifiers", identifier_of(kind))
    if "products" in there:
        columns = warehouse.schema("products")
        tell(copy, "products", told_of(columns))
        counts["products"] = load(copy, rows, "products", array_of("products", columns, "product_id"))
    if "recommendations" in there:
        parts = list(ranges(copy, rows))
        counts["recommended"] = sum(load(copy, rows, "recommendations", recommended(p)) for p in parts)
    if "related_products" in there:
        load(copy, rows, "related", RELATED)
    if MEMBERS in there:
        counts["memberships"] = load(copy, rows, "members", MEMBERSHIPS)
    return counts


def load(copy: sqlite3.Connection, rows: duckdb.DuckDBPyConnection, table: str, query: str) -> int:
    """Copy what a DuckDB query answers into a table of as many columns; how many rows that were."""
    reader = rows.sql(query).to_arrow_reader(ROWS_AT_ONCE)
    marks = ", ".join("?" * len(reader.schema))
    before = copy.total_changes
    with copy:
        for batch in reader:
            copy.executemany(f"insert into {table} values ({marks})", tuples(batch))
    return copy.total_changes - before


def ranges(
    copy: sqlite3.Connection, rows: duckdb.DuckDBPyConnection, at_once: int = LISTED_AT_ONCE
) -> Iterator[str]:
    """Conditions that part all recommendations by whose they are, few enough in each to be put together in
    memory: every customer has dozens. The customers are in the copy already, in their order."""
    total: int = rows.sql("select count(*) from recommendations").fetchall()[0][0]
    customers: int = copy.execute("select count(*) from customers").fetchone()[0]
    every = customers * at_once // max(total, 1) + 1
    found = copy.execute("select customer_id from customers where rowid % ? = 0 order by rowid", (every,))
    marks = [quoted(customer) for (customer,) in found]
    for low, high in pairwise([None, *marks, None]):
        least = f"customer_id >= {low}" if low else "true"
        yield f"{least} and customer_id < {high}" if high else least


def recommended(which: str) -> str:
    """Each customer's recommendations as one JSON array, best first."""
    entries = f"list(json_array({', '.join(RECOMMENDED)}) order by list, rank)"
    return f"""select customer_id, cast(to_json({entries}) as varchar)
               from recommendations where {which} group by customer_id order by customer_id"""


def tuples(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def tell(copy: sqlite3.Connection, name: str, value: Any) -> None:
    """Keep a fact about the copy with it."""
    with copy:
        copy.execute("insert into about values (?, ?)", (name, json.dumps(value)))


def told_of(schema: pa.Schema) -> Mapping[str, str]:
    """Column → Arrow type, in the order of a row's array."""
    return {field.name: str(field.type) for field in schema}


def array_of(table: str, schema: pa.Schema, key: str) -> str:
    """Each row of a table as its key and a JSON array of its values, in the table's order."""
    values = ", ".join(spelled(field) for field in schema)
    return f"select {key}, cast(json_array({values}) as varchar) from {table} order by {key}"


def spelled(field: pa.Field) -> str:
    """A column as JSON holds it: moments as ISO 8601 in UTC, the rest as DuckDB does."""
    name = '"' + str(field.name).replace('"', '""') + '"'
    if pa.types.is_timestamp(field.type):
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ')"
    return name


def identifier_of(column: str) -> str:
    """One way of looking a customer up: case and blanks round it do not matter."""
    return f"""select {quoted(column)}, lower(trim(cast("{column}" as varchar))), customer_id
               from {PROFILE} where trim(cast("{column}" as varchar)) <> ''"""


RECOMMENDED = ("list", "rank", "product_id", "reason", "reason_text")
"""What an entry of a customer's array of recommendations holds, in order."""
RELATED = """
select product_id,
       cast(to_json(list(json_array(related_product_id, strength) order by rank)) as varchar)
from related_products group by product_id order by product_id"""
MEMBERSHIPS = f"""
select audience, customer_id, min(cast(entered_on as varchar)) from {MEMBERS}
where left_on is null group by audience, customer_id order by audience, customer_id"""
