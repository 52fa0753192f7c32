"""A row → a record: rename, coerce, round, fill or leave out. Compiled to SQL: a million rows take seconds.

`compiled` turns a sync's mappings into DuckDB expressions over the table it reads. Per row they give
the key as spelled and as compared, the record as canonical JSON text, its fingerprint, and the reason
why the row is invalid, if it is. The same row always gives the same text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping as Map
from dataclasses import dataclass
from decimal import Decimal

import pyarrow as pa

from octo_dagster.delta import quoted
from octo_dagster.errors import ConfigError
from octo_dagster.model import Fields, FieldType, Value
from octo_dagster.sync import Mapping, Nulls, Sync

FLOAT_DECIMALS = 6
"""Decimals kept of a float: sums of floats differ from run to run in their last bits."""

BLANKS = "' \t\n\r\v\f\u00a0\ufeff'"
"""What is trimmed off a key, as a SQL literal: all that people paste in without seeing it."""

DAY = re.compile(r"\d{4}-\d\d-\d\d")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
PLACE = re.compile(r"\{\{|\}\}|\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL expressions over one row of the table a sync reads."""

    spelled: str
    """The key as it is sent; NULL or blank when the row has none, or one no database can keep (a NUL)."""
    key: str
    """The key as it is compared: trimmed, and lower-cased where the vendor ignores case."""
    record: str
    """The mapped fields as JSON text, in the order of the file, nulls included."""
    invalid: str
    """`field: reason` of the first field that will not do; NULL for a good row."""
    types: Map[str, FieldType]
    """Destination field → type, the key's field included."""


def compiled(sync: Sync, schema: pa.Schema) -> Compiled:
    """The sync's mappings as SQL. ConfigError names every column the table does not have."""
    known = {field.name: field.type for field in schema}
    check_columns(sync, known)
    raw = f"cast({column(sync.key.from_)} as varchar)"
    spelled = f"case when contains({raw}, chr(0)) then '' else trim({raw}, {BLANKS}) end"
    parts = [part(sync, mapping, known) for mapping in sync.fields]
    pairs = ", ".join(f"{quoted(m.to)}, {value}" for m, (value, _, _) in zip(sync.fields, parts, strict=True))
    types = {m.to: kind for m, (_, _, kind) in zip(sync.fields, parts, strict=True)}
    return Compiled(
        spelled=spelled,
        key=f"lower({spelled})" if sync.destination.keys_ignore_case else spelled,
        record=f"cast(json_object({pairs}) as varchar)",
        invalid=first_reason(sync, parts),
        types={sync.key.to: FieldType.TEXT, **types},
    )


def check_columns(sync: Sync, known: Map[str, pa.DataType]) -> None:
    wanted = {sync.key.from_, *(m.from_ for m in sync.fields if m.from_)}
    wanted |= {name for m in sync.fields for name in places(m.template or "")}
    wanted |= {sync.consent} if sync.consent else set()
    if sync.consent and natural(known.get(sync.consent, pa.bool_())) is not FieldType.BOOLEAN:
        raise ConfigError(f"{sync.name}.yaml: consent: {sync.consent} is not a column of true and false")
    missing = sorted(name for name in wanted if name not in known)
    if missing:
        have = ", ".join(sorted(known))
        raise ConfigError(
            *(f"{sync.name}.yaml: {sync.reads} has no column {m!r}; it has {have}" for m in missing)
        )


def part(sync: Sync, mapping: Mapping, known: Map[str, pa.DataType]) -> tuple[str, str | None, FieldType]:
    """`expressions`, its mistakes addressed to the sync's file."""
    try:
        return expressions(mapping, known)
    except ConfigError as error:
        raise ConfigError(*(f"{sync.name}.yaml: {problem}" for problem in error.problems)) from None


def expressions(mapping: Mapping, known: Map[str, pa.DataType]) -> tuple[str, str | None, FieldType]:
    """One field: its value, the condition that makes it invalid (None: it cannot be), its type."""
    if mapping.from_ is None:
        return fixed(mapping)
    raw = column(mapping.from_)
    kind = mapping.type or natural(known[mapping.from_])
    if kind is FieldType.LIST and natural(known[mapping.from_]) is not kind:
        raise ConfigError(f"fields.{mapping.to}: the column {mapping.from_} holds no lists")
    value = coerced(raw, known[mapping.from_], kind, mapping.round)
    bad = None if value == raw else f"{raw} is not null and {value} is null"
    if kind is FieldType.TEXT and pa.types.is_string(known[mapping.from_]):
        bad = None
    if mapping.nulls is Nulls.DEFAULT:
        value = f"coalesce({value}, {typed(mapping, mapping.default, kind)})"
    return value, bad, kind


def fixed(mapping: Mapping) -> tuple[str, None, FieldType]:
    """A constant or a template: the same for everyone, or text put together."""
    if mapping.template is not None:
        if mapping.type not in (None, FieldType.TEXT):
            raise ConfigError(f"fields.{mapping.to}: a template makes text, not {article(mapping.type)}")
        filled = f"nullif(trim({template(mapping.template)}, {BLANKS}), '')"
        if mapping.nulls is Nulls.DEFAULT:
            filled = f"coalesce({filled}, {typed(mapping, mapping.default, FieldType.TEXT)})"
        return filled, None, FieldType.TEXT
    constant = mapping.constant
    kind = (
        FieldType.BOOLEAN
        if isinstance(constant, bool)
        else FieldType.INTEGER
        if isinstance(constant, int)
        else FieldType.DECIMAL
        if isinstance(constant, float)
        else FieldType.TEXT
    )
    kind = mapping.type or kind
    return typed(mapping, constant, kind), None, kind


def typed(mapping: Mapping, value: str | int | float | bool | None, kind: FieldType) -> str:
    """A value of the file as SQL of this type. ConfigError when it is not of it."""
    fits = {
        FieldType.TEXT: True,
        FieldType.BOOLEAN: isinstance(value, bool),
        FieldType.INTEGER: isinstance(value, int) and not isinstance(value, bool),
        FieldType.DECIMAL: isinstance(value, int | float) and not isinstance(value, bool),
        FieldType.DATE: isinstance(value, str) and DAY.fullmatch(value),
        FieldType.DATETIME: isinstance(value, str) and MOMENT.fullmatch(value),
        FieldType.LIST: False,
    }
    if not fits[kind]:
        raise ConfigError(f"fields.{mapping.to}: {value!r} is not {article(kind)}")
    return f"cast({literal(value)} as varchar)" if kind is FieldType.TEXT else literal(value)


def natural(arrow: pa.DataType) -> FieldType:
    """The field type a column has of itself."""
    if pa.types.is_boolean(arrow):
        return FieldType.BOOLEAN
    if pa.types.is_integer(arrow):
        return FieldType.INTEGER
    if pa.types.is_decimal(arrow) or pa.types.is_floating(arrow):
        return FieldType.DECIMAL
    if pa.types.is_date(arrow):
        return FieldType.DATE
    if pa.types.is_timestamp(arrow):
        return FieldType.DATETIME
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return FieldType.LIST
    return FieldType.TEXT


def coerced(raw: str, arrow: pa.DataType, kind: FieldType, decimals: int | None) -> str:
    """SQL for `raw` as `kind`, NULL where it cannot be read as that."""
    if kind is FieldType.DECIMAL:
        return decimal(raw, arrow, decimals)
    if kind is FieldType.INTEGER:
        return integer(raw, arrow, decimals)
    if kind is FieldType.BOOLEAN:
        return raw if pa.types.is_boolean(arrow) else f"try_cast({raw} as boolean)"
    if kind is FieldType.DATE:
        return dated(f"try_cast({raw} as date)", "date", "%Y-%m-%d")
    if kind is FieldType.DATETIME:
        # Text may name an offset, which a cast to a timestamp without zone would drop unread.
        moment = f"try_cast({raw} as timestamptz)" if natural(arrow) is FieldType.TEXT else raw
        return dated(f"try_cast({moment} as timestamp)", "timestamp", "%Y-%m-%dT%H:%M:%SZ")
    if kind is FieldType.LIST:
        return raw if pa.types.is_string(arrow.value_type) else f"cast({raw} as varchar[])"
    return text(raw, arrow, decimals)


def dated(moment: str, kind: str, pattern: str) -> str:
    """A day or moment as text; NULL outside the years 1 to 9999, which no destination can read."""
    within = f"{moment} >= {kind} '0001-01-01' and {moment} < {kind} '9999-12-31'"
    return f"case when {within} then strftime({moment}, '{pattern}') end"


def decimal(raw: str, arrow: pa.DataType, decimals: int | None) -> str:
    if pa.types.is_integer(arrow) and decimals is None:
        return f"cast({raw} as decimal(38, 0))"
    scale = arrow.scale if pa.types.is_decimal(arrow) else FLOAT_DECIMALS
    exact = f"try_cast({raw} as decimal(38, {max(scale, decimals or 0)}))"
    return exact if decimals is None else f"cast(round({exact}, {decimals}) as decimal(38, {decimals}))"


def integer(raw: str, arrow: pa.DataType, decimals: int | None) -> str:
    """Whole numbers only, unless `round: 0` says that a fraction may be rounded off."""
    if pa.types.is_integer(arrow):
        return raw
    exact = f"try_cast({raw} as decimal(38, {FLOAT_DECIMALS}))"
    if decimals is not None:
        return f"try_cast(round({exact}) as bigint)"
    return f"case when {exact} = round({exact}) then try_cast({exact} as bigint) end"


def text(raw: str, arrow: pa.DataType, decimals: int | None) -> str:
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return raw
    if pa.types.is_timestamp(arrow):
        return f"strftime({raw}, '%Y-%m-%dT%H:%M:%SZ')"
    if pa.types.is_floating(arrow) or decimals is not None:
        return f"cast({decimal(raw, arrow, decimals)} as varchar)"
    return f"cast({raw} as varchar)"


def template(pattern: str) -> str:
    """SQL that fills a template's places with columns as text."""
    parts: list[str] = []
    end = 0
    for place in PLACE.finditer(pattern):
        parts.append(quoted(pattern[end : place.start()]))
        name = place.group(1)
        braces = quoted(place.group(0)[0])
        parts.append(f"coalesce(cast({column(name)} as varchar), '')" if name else braces)
        end = place.end()
    return " || ".join([*parts, quoted(pattern[end:])])


def places(pattern: str) -> set[str]:
    """The columns a template names."""
    return {place.group(1) for place in PLACE.finditer(pattern) if place.group(1)}


def first_reason(sync: Sync, parts: list[tuple[str, str | None, FieldType]]) -> str:
    cases = [
        f"when {bad} then {quoted(f'{m.to}: not {article(kind)}: ')} || {shown(m)}"
        for m, (_, bad, kind) in zip(sync.fields, parts, strict=True)
        if bad
    ]
    return f"case {' '.join(cases)} end" if cases else "cast(null as varchar)"


def shown(mapping: Mapping) -> str:
    """The start of the value that would not do, for whoever has to mend it."""
    return f"left(replace(cast({column(mapping.from_ or '')} as varchar), chr(0), ''), 60)"


def article(kind: FieldType | None) -> str:
    return f"an {kind}" if kind is FieldType.INTEGER else f"a {kind}"


def column(name: str) -> str:
    """A column's name, quoted."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str | int | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return quoted(value or "")


def number(value: object) -> int | float | str:
    """A Decimal as JSON; as text when a float would not hold it (`compare` reads either)."""
    if not isinstance(value, Decimal):
        raise TypeError(f"not a field value: {type(value).__name__}")
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else str(value)


READER = json.JSONDecoder(parse_float=Decimal)
WRITER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=number)


def decoded(record: str) -> dict[str, Value]:
    """A record's JSON text as typed values: fractions are Decimal, never float."""
    made: dict[str, Value] = READER.decode(record)
    return made


def encoded(fields: Fields) -> str:
    """Typed values as compact JSON text; the inverse of `decoded`."""
    return WRITER.encode(fields)
