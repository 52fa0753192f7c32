"""A user's SQL expression can read its columns and nothing else, and can change nothing."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.written import formula

FACTS = pa.table(
    {
        "a": pa.array([7, -2, None], pa.int64()),
        "b": pa.array([0.5, 3.0, 1.0]),
        "city": ["Lyon", "it's", None],
        "seen": pa.array([None, 19_000, 19_900], pa.date32()),
    }
)


@pytest.mark.parametrize(
    "expression",
    [
        "a - (b - 1) * 2",
        "-a % 3 + a // 2",
        "case when a > 3 and not city like 'L%' then 1 when b <> 3 or a is null then 2 else 0 end",
        "coalesce(a, 0) between -2 and 5",
        "a in (7, 8) or city not in ('x')",
        "cast(b as integer) + a::double",
        "upper(left(city, 2)) || ' -- ' || length(city)",
        "city = 'it''s'",
        "if(a > 0, nullif(a, 7), ifnull(a, 1))",
        "date_diff('day', seen, date '2024-01-01') + extract(year from seen)",
        "greatest(a, 0.1) ** 2",
        "a -- what follows is not read\n",
        "a /* nor this */ + 1",
        "city ~~* 'ly%'",
        "not (a > 3) is distinct from true",
    ],
)
def test_what_runs_is_what_was_written(expression: str) -> None:
    """The expression written anew from what was read gives what the text itself gives."""
    with duckdb.connect() as connection:
        connection.register("facts", FACTS)
        asked = connection.sql(f"select ({expression}\n) from facts").fetchall()
        told = connection.sql(f"select {formula.read(expression).text} from facts").fetchall()
    assert told == asked
    assert "--" not in formula.read(expression).text.replace("' -- '", "")


def test_the_columns_it_names() -> None:
    """Each column once, in small letters, as DuckDB does not tell their case apart."""
    assert formula.read("A + b * a - length(City)").columns == ("a", "b", "city")


READS = [
    "(select max(a) from read_csv('secret.csv'))",
    "(select 1)",
    "exists (select 1)",
    "a in (select a from facts)",
    "a = any (select 1)",
    "read_text('secret.csv')",
    "main.read_text('secret.csv')",
    "system.main.upper(city)",
    "content(read_blob('secret.csv'))",
    "getenv('HOME')",
    "current_setting('temp_directory')",
    "query('select 1')",
    "query_table('facts')",
    "getvariable('x')",
    "nextval('s')",
    "json_execute_serialized_sql('x')",
    "1) from read_csv('secret.csv') where (true",
    "1) from 'secret.csv' -- ",
    "1), (2",
    "1) as x, (2",
    "1) union select (2",
    "1) limit (1",
    "1) where (true",
    "1) order by (1",
    "1) group by (1",
    "1; select 1",
    "1); drop table facts; select (1",
    "1); copy facts to 'out.csv'; select (1",
    "1); attach 'x.db'; select (1",
    "1; set enable_external_access = true",
    "a as b",
    "*",
    "columns(*)",
    "facts.a",
    "sum(a)",
    "count(*)",
    "row_number() over ()",
    "a in $1",
    "?",
    "list_transform([1], lambda x: x)",
    "[1, 2]",
    "{'a': 1}",
    "random()",
    "now()",
    "current_date",
    "uuid()",
    "try(a)",
    "",
    "-- nothing",
    "a,",
]


@pytest.mark.parametrize("expression", READS)
def test_what_an_expression_may_not_hold(expression: str) -> None:
    """No query, file, setting, clock, chance, other row, second expression or second statement gets through."""
    try:
        named = formula.read(expression).columns
    except ConfigError:
        return
    # a bare word that DuckDB may read as a column is refused where columns are looked up
    assert set(named) - {"a", "b", "city", "seen"}, expression


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("(select 1)", "may not hold a query within it"),
        ("read_text('x')", "read_text is not a function it may use"),
        ("lowr(city)", "lowr is not a function it may use; did you mean 'lower'?"),
        ("sum(a) over ()", "may not hold a look at other customers"),
        ("facts.a", "facts.a: name a column without its table"),
        ("1), (2", "must be one expression, and nothing beside it"),
        ("1; select 2", "cannot be read"),
        ("try(a)", "may not hold operator try"),
    ],
)
def test_a_refusal_says_why(expression: str, message: str) -> None:
    """What an expression may not hold is said in words."""
    with pytest.raises(ConfigError) as refused:
        formula.read(expression)
    assert message in str(refused.value)


def test_nothing_outside_is_reached_while_it_is_looked_at(tmp_path: Path) -> None:
    """The database that looks at an expression's types cannot open files, even for a text that was not read."""
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match="disabled"):
        formula.type_over(f"(select a from read_csv('{tmp_path / 'secret.csv'}'))", FACTS.schema)


def test_types() -> None:
    """The type of an expression over the columns there are; a mistake is DuckDB's own first line."""
    assert formula.type_over("a > 3", FACTS.schema) == "BOOLEAN"
    assert formula.type_over("b / 3", FACTS.schema) == "DOUBLE"
    with pytest.raises(ConfigError, match="Binder Error"):
        formula.type_over("city + 1", FACTS.schema)
