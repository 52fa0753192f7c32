"""Which column a field becomes in each database, and how a value is spelled there and read back.

Every value goes as text for the database itself to read into its column's type: it refuses what does not fit,
in its own words, and no number passes through a float.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import sqlalchemy as sa

from octo_dagster.model import FieldType, Value

MADE = {
    "postgresql": {
        FieldType.TEXT: "text",
        FieldType.INTEGER: "bigint",
        FieldType.DECIMAL: "numeric",
        FieldType.BOOLEAN: "boolean",
        FieldType.DATE: "date",
        FieldType.DATETIME: "timestamptz",
        FieldType.LIST: "jsonb",
    },
    "mysql": {
        FieldType.TEXT: "longtext character set utf8mb4",
        FieldType.INTEGER: "bigint",
        FieldType.DECIMAL: "decimal(38, 9)",
        FieldType.BOOLEAN: "boolean",
        FieldType.DATE: "date",
        FieldType.DATETIME: "datetime",
        FieldType.LIST: "json",
    },
    "sqlite": {
        FieldType.TEXT: "text",
        FieldType.INTEGER: "integer",
        FieldType.DECIMAL: "numeric",
        FieldType.BOOLEAN: "boolean",
        FieldType.DATE: "date",
        FieldType.DATETIME: "datetime",
        FieldType.LIST: "json",
    },
}
"""The types of columns Octo makes. MySQL's `decimal` alone would have no decimals; nine is the most a mapping
rounds to. SQLite keeps fifteen digits of a number."""

KEYS = {
    "postgresql": "text",
    "mysql": "varchar(255) character set utf8mb4 collate utf8mb4_bin",
    "sqlite": "text",
}
"""The key's column in a table Octo makes: upper and lower case are two keys."""


EXACT_DECIMALS = 9
"""The most a mapping rounds to."""


def narrows(column: sa.types.TypeEngine[Any], kind: FieldType) -> bool:
    """Whether a column may take a value of this type and keep another one: databases round a fraction, drop a
    text's first zeros and a moment's hour, and call none of it an error. A float is never exact: it may."""
    if isinstance(column, sa.Integer):
        return kind in (FieldType.DECIMAL, FieldType.TEXT)
    if isinstance(column, sa.Numeric) and not isinstance(column, sa.Float):
        return kind is FieldType.DECIMAL and (column.scale or 0) < EXACT_DECIMALS and column.scale is not None
    return isinstance(column, sa.Date) and kind is FieldType.DATETIME


def spelled(value: Value, kind: FieldType, dialect: str) -> str | None:
    """A value as text that the database reads into a column of its type."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    if kind is FieldType.DATETIME and dialect != "postgresql":
        return str(value).replace("T", " ").removesuffix("Z")  # UTC, which both keep without a zone
    return str(value)


def value(raw: Any, kind: FieldType | None) -> Value:
    """What a column holds as a value of this type; as text where it is none (somebody's edit)."""
    if raw is None or kind is None:
        return None if raw is None else str(raw)
    try:
        return READ[kind](raw)
    except (ValueError, KeyError, InvalidOperation):
        return str(raw)


def truth(raw: Any) -> bool:
    return {"1": True, "true": True, "0": False, "false": False}[str(raw).lower()]


def moment(raw: Any) -> str:
    """UTC as text; a moment without a zone is UTC already."""
    at = raw if isinstance(raw, datetime) else datetime.fromisoformat(str(raw))
    at = at.astimezone(UTC) if at.tzinfo else at
    return f"{at.replace(tzinfo=None, microsecond=0).isoformat()}Z"


def day(raw: Any) -> str:
    return raw.isoformat()[:10] if isinstance(raw, date) else str(raw)


def choices(raw: Any) -> list[str]:
    return [str(choice) for choice in (raw if isinstance(raw, list) else json.loads(raw))]


READ: dict[FieldType, Callable[[Any], Value]] = {
    FieldType.TEXT: str,
    FieldType.INTEGER: lambda raw: int(str(raw)),
    FieldType.DECIMAL: lambda raw: Decimal(str(raw)),
    FieldType.BOOLEAN: truth,
    FieldType.DATE: day,
    FieldType.DATETIME: moment,
    FieldType.LIST: choices,
}
