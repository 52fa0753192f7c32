"""How a raw value becomes a contract's value: DuckDB expressions, null where it cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

from octo_dagster.canonical.contracts import TYPES, Field
from octo_dagster.canonical.intake import Mapped
from octo_dagster.delta import quoted as literal

YES = "('true', 't', 'yes', 'y', '1', 'oui', 'o', 'vrai')"
NO = "('false', 'f', 'no', 'n', '0', 'non', 'faux')"
ZONE = r"'([zZ]|[+-]\d\d(:?\d\d)?)$'"
"""The end of a timestamp that states its zone."""
NAMED = r"'[a-zA-Z]$'"
"""Or names it (`UTC`, `Europe/Paris`). `PM` is no zone, and is then not read at all."""
OFFSET = r"'\s*([+-]\d\d):?(\d\d)?$'"
GROUPED = r"'^[-+]?(\d{1,3}([.\s\x{00a0}\x{202f}]\d{3})+|\d*)(,\d*)?$'"
"""A number with a decimal comma. `12.50` is none: its point would group two digits."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A user's column as an expression, and the type DuckDB gives it."""

    sql: str
    type: str


def text(raw: Raw) -> str:
    """The value without surrounding spaces; null when nothing is left."""
    return f"nullif(trim(cast({raw.sql} as varchar)), '')"


def translated(raw: Raw, column: Mapped) -> Raw:
    """The value after the file's `values`."""
    if not column.values:
        return raw
    cases = " ".join(f"when {literal(word)} then {literal(meant)}" for word, meant in column.values.items())
    return Raw(f"case {text(raw)} {cases} else {text(raw)} end", "VARCHAR")


def value(field: Field, column: Mapped, raw: Raw, zone: str) -> str:
    """The expression of the field's own type."""
    raw = translated(raw, column)
    match field.type:
        case "text":
            return text(raw)
        case "boolean":
            return boolean(raw)
        case "timestamp":
            return timestamp(raw, column, zone)
        case "date":
            return f"cast({timestamp(raw, column, 'UTC')} as date)"
        case _:
            return number(raw, column, TYPES[field.type].duckdb)


def boolean(raw: Raw) -> str:
    if raw.type == "BOOLEAN":
        return raw.sql
    word = f"lower({text(raw)})"
    return f"case when {word} in {YES} then true when {word} in {NO} then false end"


def number(raw: Raw, column: Mapped, kind: str) -> str:
    """Halves are rounded away from zero. A fraction is no integer."""
    spelled = raw.sql
    if raw.type == "VARCHAR":
        spelled = text(raw)
        if column.decimal == ",":
            bare = rf"replace(regexp_replace({spelled}, '[.\s\x{{00a0}}\x{{202f}}]', '', 'g'), ',', '.')"
            spelled = f"case when regexp_matches({spelled}, {GROUPED}) then {bare} end"
    if kind == "bigint":
        exact = f"try_cast({spelled} as decimal(38, 6))"
        return f"case when {exact} = trunc({exact}) then try_cast({exact} as bigint) end"
    return f"try_cast({spelled} as {kind})"


def timestamp(raw: Raw, column: Mapped, zone: str) -> str:
    """UTC without a zone. What states a zone is converted from it, everything else from the source's."""
    if raw.type == "TIMESTAMP WITH TIME ZONE":
        return f"cast({raw.sql} as timestamp)"
    if raw.type in {"TIMESTAMP", "DATE"}:
        return local(f"cast({raw.sql} as timestamp)", zone)
    spelled = text(raw)
    if column.format:
        return local(f"try_strptime({spelled}, {literal(column.format)})", zone)
    offset = f"regexp_matches({spelled}, {ZONE}) and {spelled} like '%:%'"
    joined = rf"rtrim(regexp_replace({spelled}, {OFFSET}, '\1:\2'), ':')"
    return (
        f"case when {offset} then cast(try_cast({joined} as timestamptz) as timestamp)"
        f" when regexp_matches({spelled}, {NAMED}) then cast(try_cast({spelled} as timestamptz) as timestamp)"
        f" else {local(f'try_cast({spelled} as timestamp)', zone)} end"
    )


def local(sql: str, zone: str) -> str:
    if zone == "UTC":
        return sql
    return f"timezone('UTC', timezone({literal(zone)}, {sql}))"


def magnitude(raw: Raw) -> str:
    """What orders cursor values: `10` comes after `9`, and a time after an earlier one, also as text. Other
    text has none and is ordered as text."""
    if raw.type != "VARCHAR":
        return "cast(null as double)"
    return f"coalesce(try_cast({raw.sql} as double), epoch(try_cast({raw.sql} as timestamptz)))"
