"""The sentence passed on one source's raw rows, as a single DuckDB statement.

In four steps: what the columns say (`said`), which version of each key counts (`ranked`), what is wrong with
it (`examined`), and its fate. Raw values are called `_r_<field>`, read values `<field>`.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import duckdb

from octo_dagster.canonical.coerce import Raw, magnitude, text, translated, value
from octo_dagster.canonical.contracts import CONTRACTS, TYPES, Contract, Field
from octo_dagster.canonical.intake import Intake, Mapped, SoftDelete, TableIntake, Within
from octo_dagster.canonical.pull import quoted
from octo_dagster.delta import quoted as literal
from octo_dagster.errors import ConfigError
from octo_dagster.source import Source

SHOWN = 100
"""Most characters of a refused value that are kept."""

NAMELESS = "(_fault is not null or _key is null)"
"""A row that no key tells from others."""

EARLIEST = "timestamp '1800-01-01'"
"""Nobody's birth or order is older: `0024-05-01` and `-infinity` can be read as dates, and are none."""

FILE = "regexp_replace(_origin, ':[0-9]+$', '')"
"""The file a row came from."""

POST = "try_cast(regexp_extract(_origin, '^[^/]*/([0-9]+)[.]', 1) as bigint)"
"""The number of the post that brought a row, of a source by push."""

Fault = tuple[str, str, str]
"""A field, a condition under which it is at fault, and the reason."""


def judged(
    number: int, intake: Intake, table: str, connection: duckdb.DuckDBPyConnection, now: datetime
) -> str:
    """The statement that makes `judged_<number>`: the canonical columns, extras, `_key`, `_origin`, `_fate`
    and, for a rejected row, `_field`, `_value`, `_reason`, `_others`. Makes the view `source_<number>`."""
    told, contract = intake.tables[table], CONTRACTS[table]
    raw = {n: str(t) for n, t in types(connection, intake.raw(table))}
    tables = {name for (name,) in connection.execute("select view_name from duckdb_views()").fetchall()}
    if told.by_email and "customers" not in tables:
        raise ConfigError(
            f"{intake.name}.yaml: tables.{table}.columns.customer_id.by: no source has customers"
        )
    connection.execute(f"create temp view source_{number} as {said(intake, table, raw, tables)}")
    faults = list(field_faults(contract, told, tables, now))
    if table == "orders":
        faults.append(("currency", f"currency not in {currencies(intake)}", "unknown currency"))
    if table == "order_lines":
        faults.append(("quantity", "quantity < 0 and not is_return", "negative quantity"))
    extras = "".join(f"{quoted(name)}, " for name in told.columns if name not in contract.names)
    return f"""create temp table judged_{number} as
        with ranked as ({priced(ranked(f"source_{number}", intake.source), intake, table)}),
        examined as (select *, {fault_number(faults)} as _no from ranked)
        select {columns(intake, contract)}, {extras} _key, _origin,
            case when _rank > 1 then 'superseded' when _torn then 'rejected' when _n > 1 then 'collapsed'
                when _fault is null and _gone then 'deleted' when _no is not null then 'rejected'
                else 'kept' end as _fate,
            {told_of(faults, told)}
        from examined"""


def types(connection: duckdb.DuckDBPyConnection, name: str) -> list[tuple[str, str]]:
    relation = connection.sql(f"select * from {quoted(name)} limit 0")
    return [(column, str(kind)) for column, kind in zip(relation.columns, relation.types, strict=True)]


def said(intake: Intake, table: str, raw: dict[str, str], tables: set[str]) -> str:
    """Every field as the source spells it and as we read it, the key, and what orders the versions."""
    told, contract = intake.tables[table], CONTRACTS[table]
    parts = []
    for name, column in told.columns.items():
        field, spelled = contract.field(name), source_of(column, raw)
        if field is None:
            parts.append(f"{carried(column, spelled)} as {quoted(name)}")
            continue
        parts.append(f"{spelled.sql} as _r_{name}")
        parts.append(f"{or_default(field, value(field, column, spelled, intake.timezone))} as {name}")
    parts += [missing(field, intake) for field in contract.fields if field.name not in told.columns]
    key = " || '/' || ".join(f"cast({name} as varchar)" for name in contract.key)
    cursor = newest(told, contract, raw)
    mapped = ", ".join(quoted(name) for name in told.wanted)
    read = f"""select {", ".join(parts)}, {quoted(told.cursor) if told.cursor else "null"} as _at,
        {gone(intake, told, raw)}{without_whole(intake, table, tables)} as _gone,
        _loaded_at, _origin, _fault, hash({mapped}) as _hash
        from {quoted(intake.raw(table))}"""
    # Keys and cursors are made of what was read, one step out: a user's column may have the field's name.
    return f"""select *, {key} as _key, {cursor.sql} as _cursor, {magnitude(cursor)} as _magnitude
        from ({found_by_email(read) if told.by_email else read})"""


def found_by_email(read: str) -> str:
    """The rows with `customer_id` as the one customer who has the address that was read in its place."""
    spelled = text(Raw("s._r_customer_id", "VARCHAR"))
    people = """select lower(trim(email)) as _email, if(count(*) = 1, min(customer_id), null) as _who
        from customers where email is not null group by 1"""
    return f"""select s.* replace (c._who as customer_id) from ({read}) s
        left join ({people}) c on c._email = lower({spelled})"""


def newest(told: TableIntake, contract: Contract, raw: dict[str, str]) -> Raw:
    """What orders versions: the cursor, as we read it where it is mapped to a time of the contract."""
    if told.cursor is None or told.cursor not in raw:
        return Raw("null", "INTEGER")
    for field in contract.fields:
        column = told.columns.get(field.name)
        if field.type == "timestamp" and column and column.from_ == told.cursor:
            return Raw(field.name, "TIMESTAMP")
    return Raw("_at", raw[told.cursor])


def carried(column: Mapped, raw: Raw) -> str:
    """A column of the user's own: in its own type, empty text as null."""
    raw = translated(raw, column)
    return text(raw) if raw.type == "VARCHAR" else raw.sql


def source_of(column: Mapped, raw: dict[str, str]) -> Raw:
    """The user's column, or the constant in its place. A column no pull has brought yet is null."""
    if column.from_ is None:
        return Raw(literal(str(column.value)), "VARCHAR")
    if column.from_ not in raw:
        return Raw("cast(null as varchar)", "VARCHAR")
    return Raw(quoted(column.from_), raw[column.from_])


def or_default(field: Field, sql: str) -> str:
    """An empty value means the field's default; one that cannot be read does not."""
    if field.default is None:
        return sql
    return f"case when {text(Raw(f'_r_{field.name}', ''))} is null then {constant(field)} else {sql} end"


def missing(field: Field, intake: Intake) -> str:
    """A field the file does not map."""
    kind = TYPES[field.type].duckdb
    value = constant(field) if field.default else "null"
    return f"cast(null as varchar) as _r_{field.name}, cast({value} as {kind}) as {field.name}"


def constant(field: Field) -> str:
    return f"cast({literal(str(field.default))} as {TYPES[field.type].duckdb})"


def gone(intake: Intake, told: TableIntake, raw: dict[str, str]) -> str:
    """Whether the source says the row is deleted, or a reconciliation found it gone."""
    if told.deletes == "reconcile" and intake.source.rereads:
        return f"(_deleted or _loaded_at < max(_loaded_at) over (partition by {FILE}))"
    if isinstance(told.deletes, Within) and told.cursor in raw:
        cursor = Raw(quoted(str(told.cursor)), raw[str(told.cursor)])
        at = magnitude(cursor) if cursor.type == "VARCHAR" else cursor.sql
        newest = f"max({at}) over (partition by {quoted(told.deletes.within)})"
        return f"(_deleted or coalesce({at} < {newest}, false) or coalesce(_origin like '%:none', false))"
    if not isinstance(told.deletes, SoftDelete) or told.deletes.column not in raw:
        return "_deleted"
    column = quoted(told.deletes.column)
    if raw[told.deletes.column] == "BOOLEAN":
        return f"(_deleted or coalesce({column}, false))"
    word = f"lower(coalesce(trim(cast({column} as varchar)), ''))"
    return f"(_deleted or {word} not in ('', '0', 'f', 'false', 'n', 'no'))"


def without_whole(intake: Intake, table: str, tables: set[str]) -> str:
    """Or what the row belongs to was deleted at the source: the lines of an order go with it."""
    told = intake.tables[table].deletes
    if not isinstance(told, Within):
        return ""
    for field in CONTRACTS[table].fields:
        column, whole = intake.tables[table].columns.get(field.name), field.references or ""
        if not (column and column.from_ == told.within and whole in intake.tables and whole in tables):
            continue
        key = quoted(str(intake.tables[whole].columns[field.name].from_))
        dead = f"select cast({key} as varchar) from {quoted(intake.raw(whole))} where _deleted"
        part = f"cast({quoted(told.within)} as varchar)"
        return f" or coalesce({part} in ({dead}) and {part} not in (select {field.name} from {whole}), false)"
    return ""


def ranked(source: str, kind: Source) -> str:
    """Of every key: `_rank` 1 the newest versions, `_n` counts the equal ones among them, `_torn` when they
    differ. Versions of one second that were brought to us are in the order in which they came. Only keys that
    come more than once are sorted; rows without a key stand for themselves, until the file they are from is
    read again."""
    repeated = f"select _key from {source} where _fault is null group by _key having count(*) > 1"
    many = f"_fault is null and _key is not null and _key in ({repeated})"
    order = "_magnitude desc nulls last, _cursor desc nulls last, _loaded_at desc"
    order += f", {POST} desc nulls last" if kind.posted else ""
    newest = f"partition by _key order by {order}"
    alike = "partition by _key, _rank"
    once = f"select *, 1 as _rank, 1 as _n, false as _torn from {source} where not coalesce({many}, false)"
    if kind.rereads:
        once = f"{once} and not {NAMELESS} union all {read_last(source)}"
    return f"""{once}
        union all
        select *, row_number() over ({alike} order by _origin) as _n,
            min(_hash) over ({alike}) <> max(_hash) over ({alike}) as _torn
        from (select *, rank() over ({newest}) as _rank from {source} where {many})"""


def read_last(source: str) -> str:
    """Rows nobody can tell apart by a key: those of a file's last reading count, older ones are `_rank` 2."""
    readings = f"select {FILE} as file, max(_loaded_at) as latest from {source} group by 1"
    return f"""select n.*, if(n._loaded_at < l.latest, 2, 1) as _rank, 1 as _n, false as _torn
        from (select * from {source} where {NAMELESS}) n join ({readings}) l on l.file = {FILE}"""


def field_faults(contract: Contract, told: TableIntake, tables: set[str], now: datetime) -> list[Fault]:
    """What can be wrong with a row, in the order in which it is looked for."""
    faults: list[Fault] = [
        ("row", "_fault is not null", "unreadable"),
        ("key", "_key is null", "no key"),
        ("key", "_torn", "conflicting duplicates"),
    ]
    for field in contract.fields:
        name, blank = field.name, f"{text(Raw(f'_r_{field.name}', ''))} is null"
        if name in told.columns:
            why = "unknown" if told.columns[name].by else TYPES[field.type].fault
            faults.append((name, f"{name} is null and not ({blank})", why))
            if field.type in ("date", "timestamp"):
                faults.append((name, f"{name} < {EARLIEST}", TYPES[field.type].fault))
        if field.required:
            faults.append((name, blank, "missing"))
        if field.allowed:
            faults.append((name, f"{name} not in {listed(field.allowed)}", "not allowed"))
        if field.past:
            faults.append((name, f"{name} > timestamp '{now.isoformat(sep=' ')}'", "in the future"))
        if field.references in tables:
            held = f"(select {name} from {field.references})"
            faults.append((name, f"{name} is not null and {name} not in {held}", "unknown"))
    return faults


def listed(words: tuple[str, ...]) -> str:
    return f"({', '.join(literal(word) for word in words)})"


def fault_number(faults: list[Fault]) -> str:
    """The number of the first fault; null for a sound row."""
    whens = " ".join(f"when {condition} then {n}" for n, (_, condition, _) in enumerate(faults))
    return f"case {whens} end"


def told_of(faults: list[Fault], told: TableIntake) -> str:
    """Field, value, reason and other faults of a rejected row; null for every other row."""
    fields = " ".join(f"when {n} then {literal(field)}" for n, (field, _, _) in enumerate(faults))
    whys = " ".join(f"when {n} then {literal(reason)}" for n, (_, _, reason) in enumerate(faults))
    hidden = {name for name, column in told.columns.items() if column.by}
    values = " ".join(
        f"when {n} then {shown(field, hidden=field in hidden)}" for n, (field, _, _) in enumerate(faults)
    )
    others = ", ".join(
        f"case when _no < {n} and {condition} then {literal(f'{field}: {reason}')} end"
        for n, (field, condition, reason) in enumerate(faults)
        if n > 1
    )
    return f"""case _no {fields} end as _field, case _no {values} end as _value,
        case _no {whys} end as _reason,
        case when _no > 0 then nullif(concat_ws('; ', {others}), '') end as _others"""


def shown(field: str, *, hidden: bool) -> str:
    """The refused value, cut short, or hidden when it is personal."""
    if field == "row":
        return f"left(_fault, {SHOWN})"
    if field == "key":
        return "null"
    private = hidden or any(
        f.private for contract in CONTRACTS.values() for f in contract.fields if f.name == field
    )
    return "'•••'" if private else f"left({text(Raw(f'_r_{field}', ''))}, {SHOWN})"


def currencies(intake: Intake) -> str:
    return listed((intake.currency, *intake.rates))


def columns(intake: Intake, contract: Contract) -> str:
    """The canonical columns, money in the reporting currency."""
    return ", ".join(f"{converted(field, intake, contract)} as {field.name}" for field in contract.fields)


def converted(field: Field, intake: Intake, contract: Contract) -> str:
    """Money at the rate of the order's currency; products are priced in the reporting currency."""
    if field.name == "currency":
        return f"coalesce(currency, {literal(intake.currency)})"
    if field.type != "money" or not intake.rates or contract.name == "products":
        return field.name
    currency = "_currency" if contract.name == "order_lines" else "currency"
    rates = " ".join(
        f"when {literal(code)} then cast({field.name} * {rate(value)} as decimal(18, 2))"
        for code, value in intake.rates.items()
    )
    return f"case {currency} {rates} else {field.name} end"


def rate(value: Decimal) -> str:
    return f"cast({literal(str(value))} as decimal(18, 8))"


def priced(ranked: str, intake: Intake, table: str) -> str:
    """Lines state no currency: their order does."""
    if table != "order_lines" or not intake.rates:
        return ranked
    return f"""select v.*, o.currency as _currency from ({ranked}) v
        left join orders o on o.order_id = v.order_id"""
