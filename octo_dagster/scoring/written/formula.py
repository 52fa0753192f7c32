"""One SQL expression a person wrote, and the certainty that it is nothing else.

DuckDB reads it; what it read is looked at node by node, and only constants, columns, comparisons, cases,
casts and the functions named here pass: no subquery, no other table, no file, no setting, no chance, no
clock. What runs is written anew from what was read, so nothing that was not looked at (a comment, a second
statement) ever reaches the database. Such a score runs on DuckDB only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.rules import nearest

OF_NUMBERS = {
    *("+", "-", "*", "/", "//", "%", "**", "^", "abs", "ceil", "ceiling", "floor", "round", "trunc", "sign"),
    *("mod", "greatest", "least", "power", "pow", "sqrt", "ln", "log", "log10", "log2", "exp"),
}
OF_TEXT = {
    *("||", "~~", "!~~", "~~*", "!~~*", "concat", "concat_ws", "lower", "upper", "trim", "ltrim", "rtrim"),
    *("length", "replace", "left", "right", "substring", "substr", "contains", "starts_with", "prefix"),
    *("suffix", "ends_with", "regexp_matches", "position", "instr", "strpos"),
}
OF_DAYS = {
    *("date_diff", "datediff", "date_part", "datepart", "date_trunc"),
    *("year", "quarter", "month", "week", "day", "dayofweek", "isodow"),
}
FUNCTIONS = frozenset({"if", "ifnull", "nullif"} | OF_NUMBERS | OF_TEXT | OF_DAYS)
"""What an expression may call. Each answers from its arguments alone and always the same."""

CLASSES = {
    "COLUMN_REF",
    "CONSTANT",
    "FUNCTION",
    "COMPARISON",
    "CONJUNCTION",
    "CASE",
    "CAST",
    "BETWEEN",
    "TYPE",
}
OPERATORS = {
    "OPERATOR_NOT",
    "OPERATOR_IS_NULL",
    "OPERATOR_IS_NOT_NULL",
    "OPERATOR_COALESCE",
    "OPERATOR_NULLIF",
    "COMPARE_IN",
    "COMPARE_NOT_IN",
}
WORDS = {
    "SUBQUERY": "a query within it",
    "WINDOW": "a look at other customers",
    "STAR": "`*`",
    "PARAMETER": "a parameter",
    "LAMBDA": "a function of its own",
}

OWN = (None, "", "main")
"""Where DuckDB's own functions are: 1.5 writes `extract(year from day)` with the last."""

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Formula:
    """An expression known to be safe."""

    text: str
    """As DuckDB writes it: it may stand in a select."""
    columns: tuple[str, ...]
    """Those it names, in small letters, each once."""


@cache
def read(expression: str) -> Formula:
    """What a text says; ConfigError says what of it an expression may not hold."""
    with offline() as connection:
        node = alone(connection, expression)
        for part in nodes(node):
            inspect(part)
        found = (part["column_names"][0].lower() for part in nodes(node) if part["class"] == "COLUMN_REF")
        return Formula(written(connection, node), tuple(dict.fromkeys(found)))


def type_over(text: str, schema: pa.Schema) -> str:
    """DuckDB's type of a formula's text over a table with these columns; ConfigError if it has none."""
    with offline() as connection:
        connection.register("facts", schema.empty_table())
        try:
            return str(connection.sql(f"select {text} from facts").types[0])
        except duckdb.Error as wrong:
            raise ConfigError(f"expression: {str(wrong).partition(chr(10))[0]}") from None


def offline() -> duckdb.DuckDBPyConnection:
    """A DuckDB of its own that holds nothing and reaches nothing."""
    return duckdb.connect(config={"enable_external_access": "false"})


def alone(connection: duckdb.DuckDBPyConnection, expression: str) -> Node:
    """The one expression DuckDB reads in the text; ConfigError if it reads anything beside it."""
    told = serialized(connection, f"select (\n{expression}\n)")
    if told.get("error"):
        raise ConfigError(f"cannot be read: {told.get('error_message', '').strip()}")
    selects = [statement["node"].get("select_list", []) for statement in told["statements"]]
    if len(selects) != 1 or len(selects[0]) != 1:
        raise ConfigError("must be one expression, and nothing beside it")
    node: Node = selects[0][0]
    whole = connection.execute("select json_deserialize_sql(?)", [json.dumps(told)]).fetchall()[0][0]
    if whole != f"SELECT {written(connection, node)}":
        raise ConfigError("must be one expression, and nothing beside it")
    return node


def written(connection: duckdb.DuckDBPyConnection, node: Node) -> str:
    """The expression's text, from what was read of it and nothing else."""
    bare = serialized(connection, "select 1")
    bare["statements"][0]["node"]["select_list"] = [node]
    text = connection.execute("select json_deserialize_sql(?)", [json.dumps(bare)]).fetchall()[0][0]
    return str(text).removeprefix("SELECT ")


def serialized(connection: duckdb.DuckDBPyConnection, statement: str) -> Node:
    text = connection.execute("select json_serialize_sql(?)", [statement]).fetchall()[0][0]
    told: Node = json.loads(text)
    return told


def nodes(part: Any) -> Iterator[Node]:
    """Every node of an expression, itself first."""
    if isinstance(part, dict):
        if "class" in part:
            yield part
        part = list(part.values())
    if isinstance(part, list):
        for inner in part:
            yield from nodes(inner)


def inspect(node: Node) -> None:
    """ConfigError unless a node is of a kind an expression may hold."""
    kind = node["class"]
    if kind == "FUNCTION":
        name = node["function_name"].lower()
        if name not in FUNCTIONS or node.get("schema") not in OWN or node.get("catalog"):
            raise ConfigError(f"{name} is not a function it may use{nearest(name, FUNCTIONS)}")
    elif kind == "COLUMN_REF":
        if len(node["column_names"]) != 1:
            raise ConfigError(f"{'.'.join(node['column_names'])}: name a column without its table")
    elif kind not in CLASSES and not (kind == "OPERATOR" and node["type"] in OPERATORS):
        raise ConfigError(f"may not hold {WORDS.get(kind, node['type'].lower().replace('_', ' '))}")
