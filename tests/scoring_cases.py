"""Text cases of scores: several small tables in, the rows of one score out, on DuckDB and PostgreSQL.

    # Prose.
    orders
    customer_id | ordered_at       | net_amount
    a           | 2024-03-01 12:00 | 10.00

    products
    product_id | category
    p          | shoes
    ----
    {as_of: 2024-03-31, top: 2}
    customer_id | favorite_category_1
    a           | shoes

A line without `|` names the table that follows: a canonical one, whose contract gives the types. Cells and
columns left out are null, or what the contract takes an empty value for (`status`: completed); a key left
out is the row's number. A table the score must read and the case does not give is empty; an optional one
is not there. The expected table may show some of the columns; no rows at all is a bare header.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
import yaml

from octo_dagster.canonical.contracts import CONTRACTS, TYPES, Field, sqlalchemy_table
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring.settings import checked_settings, score_table
from octo_dagster.warehouse import Warehouse

ROOT = Path(__file__).parents[1]
SHOWN_EMPTY = ""
"""What a null is in a case."""

Given = Mapping[str, Sequence[Mapping[str, Any]]]
"""Table name → rows; values as text or as themselves."""
Spelled = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Case:
    """One file: what is given and what must come out. `settings` are as YAML has them, unchecked."""

    name: str
    tables: Given
    as_of: date
    settings: Mapping[str, Any]
    columns: tuple[str, ...]
    rows: Spelled


def paths(score: str) -> list[Path]:
    """The case files of a score, sorted."""
    return sorted((ROOT / "tests/cases/scores" / score).glob("*.txt"))


def read(path: Path) -> Case:
    """The case a file holds."""
    given, then = path.read_text("utf-8").split("----\n")
    line, _, expected = then.partition("\n")
    settings = yaml.safe_load(line)
    as_of = settings.pop("as_of")
    (header, *rows) = cells(expected.splitlines())
    return Case(path.stem, tables_in(given), as_of, settings, tuple(header), named(header, rows))


def tables_in(text: str) -> dict[str, Spelled]:
    """Every table of the text by its name."""
    blocks: dict[str, list[str]] = {}
    for line in text.splitlines():
        if "|" not in line and line.strip() and not line.startswith("#"):
            blocks[name := line.strip()] = []
        elif "|" in line and not line.startswith("#"):
            blocks[name].append(line)
    return {name: named((table := cells(lines))[0], table[1:]) for name, lines in blocks.items()}


def cells(lines: Sequence[str]) -> list[list[str]]:
    written = (line for line in lines if line.strip() and not line.startswith("#"))
    return [[cell.strip() for cell in line.split("|")] for line in written]


def named(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Spelled:
    return [dict(zip(header, row, strict=True)) for row in rows]


def arrow(table: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The rows as the canonical table of this name."""
    contract = CONTRACTS[table]
    strange = {name for row in rows for name in row} - set(contract.names)
    assert not strange, f"{table} has no {', '.join(sorted(strange))}"
    filled = [
        {field.name: cell(field, row.get(field.name), number, contract.key) for field in contract.fields}
        for number, row in enumerate(rows, 1)
    ]
    return pa.Table.from_pylist(filled, schema=contract.arrow)


def cell(field: Field, value: Any, number: int, key: tuple[str, ...]) -> Any:
    """One value in its type; what is left out is the contract's default, or the row's number in a key."""
    if value is None or value == SHOWN_EMPTY:
        value = (str(number) if field.name in key else None) or field.default
    if not isinstance(value, str):
        return value
    readers: Mapping[str, Callable[[str], Any]] = {
        "integer": int,
        "quantity": Decimal,
        "money": Decimal,
        "boolean": {"true": True, "false": False}.__getitem__,
        "date": date.fromisoformat,
        "timestamp": datetime.fromisoformat,
    }
    return readers.get(field.type, str)(value)


def fill_warehouse(root: Path, tables: Given) -> Warehouse:
    """A warehouse that holds exactly these tables."""
    warehouse = Warehouse(root)
    for name, rows in tables.items():
        warehouse.replace(name, arrow(name, rows))
    return warehouse


def needed(tables: Given, scores: Sequence[Score]) -> Given:
    """The tables, and empty ones for those the scores cannot do without."""
    made = {score.name for score in scores}
    wanted = {name for score in scores for name in score.reads} - made
    return dict.fromkeys(sorted(wanted), ()) | dict(tables)


def computed(
    score: Score, tables: Given, root: Path, as_of: date, *before: Score, **settings: Any
) -> list[dict[str, Any]]:
    """The score's rows as DuckDB gives them through a warehouse under `root`, after the scores `before` it
    that it reads. Settings are as YAML has them."""
    warehouse = fill_warehouse(root, needed(tables, (*before, score)))
    for earlier in before:
        scoring.run(earlier, warehouse, as_of)
    scoring.run(score, warehouse, as_of, checked_settings(score, settings, "case", by_name(before)))
    with warehouse.connect() as connection:
        rows: list[dict[str, Any]] = (
            connection.sql(f'select * from "{score.name}"').to_arrow_table().to_pylist()
        )
    return rows


def by_name(scores: Sequence[Score]) -> dict[str, Score]:
    return {score.name: score for score in scores}


def on_duckdb(score: Score, case: Case, root: Path, *before: Score) -> Spelled:
    """The case's rows by DuckDB, in the words of a case file."""
    return spelled(computed(score, case.tables, root, case.as_of, *before, **case.settings), case.columns)


def on_postgres(score: Score, case: Case, engine: sa.Engine, *before: Score) -> Spelled:
    """The case's rows by PostgreSQL, in the words of a case file. `engine`: the fixture `scores_only`."""
    given = needed(case.tables, (*before, score))
    fill_postgres(engine, given)
    for earlier in before:
        text = literal(scoring.statement(earlier, tables_of(earlier, before), case.as_of, {}), engine)
        run_on(engine, f"drop table if exists {earlier.name}", f"create table {earlier.name} as {text}")
    settings = checked_settings(score, case.settings, case.name, by_name(before))
    query = scoring.statement(score, tables_of(score, before), case.as_of, settings)
    with engine.connect() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
    return spelled(sorted(rows, key=lambda row: [row[name] for name in score.key]), case.columns)


def tables_of(score: Score, before: Sequence[Score]) -> dict[str, sa.TableClause]:
    """The tables of PostgreSQL the score reads; an optional one that is not given is there, and empty."""
    made = {earlier.name: score_table(earlier) for earlier in before}
    return {
        name: made[name] if name in made else sqlalchemy_table(name)
        for name in (*score.reads, *score.optional)
    }


def fill_postgres(engine: sa.Engine, tables: Given) -> None:
    """Make PostgreSQL hold exactly these rows in the canonical tables; those not given are empty."""
    for name in CONTRACTS:
        rows = arrow(name, tables.get(name, ()))
        columns = ", ".join(
            f"{field.name} {TYPES[field.type].sql.compile(dialect=engine.dialect)}"
            for field in CONTRACTS[name].fields
        )
        run_on(engine, f"drop table if exists {name}", f"create table {name} ({columns})")
        with engine.begin() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            with driver.cursor().copy(f"copy {name} from stdin") as copy:
                for row in zip(*(column.to_pylist() for column in rows.columns), strict=True):
                    copy.write_row(row)


def run_on(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def literal(query: sa.Select[Any], engine: sa.Engine) -> str:
    """The statement with every constant written out, for `create table … as`."""
    return str(query.compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})).replace(
        "%%", "%"
    )


def by_hand(score: str, tables: Given, as_of: date, root: Path) -> list[dict[str, Any]]:
    """What `octo_dagster/bench/by_hand/SCORE.sql` gives over these tables, `$as_of` put in its place."""
    text = (ROOT / f"octo_dagster/bench/by_hand/{score}.sql").read_text("utf-8")
    with fill_warehouse(root, tables).connect() as connection:
        found = connection.sql(Template(text).substitute(as_of=as_of.isoformat())).to_arrow_table()
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def spelled(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Spelled:
    """Rows in the words of a case file: dates as ISO, midnight without its time, null as nothing."""
    return [{name: word(row[name]) for name in columns} for row in rows]


def word(value: Any) -> str:
    if value is None:
        return SHOWN_EMPTY
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime) and value.time() == time():
        return str(value.date())
    return str(value)
