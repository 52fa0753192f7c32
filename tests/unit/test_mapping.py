"""Rows into records: what each type, default and odd value becomes, and what is refused with a reason."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.registry import destinations
from octo_dagster.delivery.compare import differing
from octo_dagster.delivery.mapping import compiled, decoded, encoded
from octo_dagster.errors import ConfigError
from octo_dagster.model import Fields
from octo_dagster.sync import Sync
from tests.vendors.brevo import BREVO
from tests.vendors.examinee import Examinee
from tests.vendors.webhook import WEBHOOK


def sync_of(*fields: dict[str, Any], examinee: Examinee = WEBHOOK, **said: Any) -> Sync:
    """A sync with these mappings; the key's column is `k`."""
    told = {
        "name": "s",
        "destination": dict(examinee.settings),
        "key": {"from": "k", "to": examinee.key_field},
        "fields": list(fields) or [{"constant": "x", "to": "x"}],
    }
    return Sync.model_validate(told | said, context={"destinations": destinations()})


def mapped(sync: Sync, table: pa.Table) -> list[tuple[str, str, Any, str | None]]:
    """(spelled, key, record, reason) of every row, by DuckDB as planning does it."""
    sql = compiled(sync, table.schema)
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.register("t", table)
        rows = connection.execute(f"select {sql.spelled}, {sql.key}, {sql.record}, {sql.invalid} from t")
        return [(a, b, decoded(c), d) for a, b, c, d in rows.fetchall()]


def value_of(value: Any, kind: pa.DataType, **mapping: Any) -> tuple[Any, str | None]:
    """What one value becomes under a mapping, and why it is refused."""
    table = pa.table({"k": ["a"], "v": pa.array([value], kind)})
    (_, _, record, reason) = mapped(sync_of({"from": "v", "to": "f", **mapping}), table)[0]
    return record["f"], reason


GOOD = [
    ("12", pa.string(), "integer", 12),
    ("12.0", pa.string(), "integer", 12),
    ("0.10", pa.string(), "decimal", Decimal("0.1")),
    (Decimal("12345678901234567.89"), pa.decimal128(38, 2), "decimal", Decimal("12345678901234567.89")),
    (9007199254740993, pa.int64(), "integer", 9007199254740993),
    (0.1 + 0.2, pa.float64(), "decimal", Decimal("0.3")),
    ("yes", pa.string(), "boolean", True),
    (True, pa.bool_(), "text", "true"),
    ("2026-1-5", pa.string(), "date", "2026-01-05"),
    (date(2024, 2, 29), pa.date32(), None, "2024-02-29"),
    ("2026-01-01T12:00:00+02:00", pa.string(), "datetime", "2026-01-01T10:00:00Z"),
    ("2026-01-01T12:00:00Z", pa.string(), "datetime", "2026-01-01T12:00:00Z"),
    ("2026-01-01 12:00", pa.string(), "datetime", "2026-01-01T12:00:00Z"),
    (datetime(2026, 1, 1, 12, tzinfo=UTC), pa.timestamp("us", "UTC"), None, "2026-01-01T12:00:00Z"),
    (["a", "b"], pa.list_(pa.string()), None, ["a", "b"]),
    ([1, 2], pa.list_(pa.int64()), None, ["1", "2"]),
    ("a\x00b", pa.string(), None, "a\x00b"),
]


@pytest.mark.parametrize(("value", "column", "kind", "wanted"), GOOD)
def test_good_values(value: Any, column: pa.DataType, kind: str | None, wanted: Any) -> None:
    """A value is read exactly as its type says, whatever its column is made of."""
    assert value_of(value, column, **({"type": kind} if kind else {})) == (wanted, None)


BAD = [
    ("twelve", pa.string(), "integer", "not an integer: twelve"),
    ("1.5", pa.string(), "integer", "not an integer: 1.5"),
    ("99999999999999999999", pa.string(), "integer", "not an integer: 99999999999999999999"),
    (1e300, pa.float64(), "integer", "not an integer: 1e+300"),
    ("1,5", pa.string(), "decimal", "not a decimal: 1,5"),
    (float("nan"), pa.float64(), "decimal", "not a decimal: nan"),
    (float("inf"), pa.float64(), None, "not a decimal: inf"),
    ("2026-02-30", pa.string(), "date", "not a date: 2026-02-30"),
    ("infinity", pa.string(), "date", "not a date: infinity"),
    ("0044-03-15 (BC)", pa.string(), "date", "not a date: 0044-03-15 (BC)"),
    ("12026-01-01", pa.string(), "datetime", "not a datetime: 12026-01-01"),
    (5, pa.int64(), "date", "not a date: 5"),
    ("maybe", pa.string(), "boolean", "not a boolean: maybe"),
]


@pytest.mark.parametrize(("value", "column", "kind", "reason"), BAD)
def test_bad_values(value: Any, column: pa.DataType, kind: str | None, reason: str) -> None:
    """A value that is none of its type makes its row invalid, never the run; the reason names field and value."""
    assert value_of(value, column, **({"type": kind} if kind else {})) == (None, f"f: {reason}")


def test_rounding_may_overflow_too() -> None:
    """A number too large for an integer is refused even where fractions may be rounded off."""
    assert value_of("1e25", pa.string(), type="integer", round=0)[1] == "f: not an integer: 1e25"
    assert value_of(2.5, pa.float64(), type="integer", round=0) == (3, None)


@pytest.mark.parametrize("blank", ["", "  ", "\t", "\n \r", "\u00a0", "\ufeff "])
def test_a_key_of_blanks_is_none(blank: str) -> None:
    """Blanks of any sort are trimmed off a key, and leave no key when there is nothing else."""
    rows = mapped(sync_of(), pa.table({"k": [blank, f"{blank}a@example.com{blank}"]}))
    assert [row[0] for row in rows] == ["", "a@example.com"]


@pytest.mark.parametrize(
    ("first", "last", "wanted"),
    [
        ("Ada", "Lovelace", "Ada Lovelace"),
        ("Ada", None, "Ada"),
        (None, " Lovelace ", "Lovelace"),
        ("", None, "-"),
    ],
)
def test_what_a_template_makes_of_empty_places(first: str | None, last: str | None, wanted: str) -> None:
    """No blank is left at an end, which tools take off and would read back as a change; nothing at all is no
    value, for which a `default` may stand."""
    table = pa.table(
        {"k": ["c"], "first": pa.array([first], pa.string()), "last": pa.array([last], pa.string())}
    )
    name = {"template": "{first} {last}", "to": "f"}
    for more, empty in (({}, None), ({"nulls": "default", "default": "-"}, "-")):
        ((_, _, record, _),) = mapped(sync_of(name | more), table)
        assert record["f"] == (empty if wanted == "-" else wanted)


def test_a_nul_in_a_key_or_a_bad_value() -> None:
    """A key with a NUL, which PostgreSQL cannot keep, is none; a reason never holds one."""
    table = pa.table({"k": ["a\x00b", "c"], "v": ["1", "x\x00y"]})
    rows = mapped(sync_of({"from": "v", "to": "f", "type": "integer"}), table)
    assert [(row[0], row[3]) for row in rows] == [("", None), ("c", "f: not an integer: xy")]


def test_case_of_keys_is_the_destinations() -> None:
    """Keys are compared without case where the destination ignores it, and sent as they are spelled."""
    table = pa.table({"k": ["Ada@Example.com"]})
    assert mapped(sync_of(examinee=BREVO), table)[0][:2] == ("Ada@Example.com", "ada@example.com")
    assert mapped(sync_of(), table)[0][:2] == ("Ada@Example.com", "Ada@Example.com")


WRONG = [
    ({"constant": "abc", "type": "integer"}, "fields.f: 'abc' is not an integer"),
    ({"constant": 1.5, "type": "integer"}, "fields.f: 1.5 is not an integer"),
    ({"constant": "yes", "type": "boolean"}, "fields.f: 'yes' is not a boolean"),
    ({"constant": "soon", "type": "date"}, "fields.f: 'soon' is not a date"),
    ({"constant": "x", "type": "list"}, "fields.f: 'x' is not a list"),
    ({"template": "{v}", "type": "integer"}, "fields.f: a template makes text, not an integer"),
    ({"from": "n", "nulls": "default", "default": "none"}, "fields.f: 'none' is not an integer"),
    ({"from": "v", "type": "list"}, "fields.f: the column v holds no lists"),
]


@pytest.mark.parametrize(("mapping", "problem"), WRONG)
def test_a_mapping_that_contradicts_itself(mapping: dict[str, Any], problem: str) -> None:
    """What the file says of a field must be of the field's type; said before any row is read."""
    schema = pa.schema({"k": pa.string(), "v": pa.string(), "n": pa.int64()})
    with pytest.raises(ConfigError) as caught:
        compiled(sync_of({"to": "f", **mapping}), schema)
    assert caught.value.problems == (f"s.yaml: {problem}",)


def test_unknown_columns_are_all_named() -> None:
    """Every column that the table does not have is named at once, with those it has."""
    sync = sync_of({"from": "nope", "to": "a"}, {"template": "{gone}", "to": "b"}, consent="none")
    with pytest.raises(ConfigError) as caught:
        compiled(sync, pa.schema({"k": pa.string()}))
    assert [line.split("; ")[0] for line in caught.value.problems] == [
        f"s.yaml: customer_profile has no column '{name}'" for name in ("gone", "none", "nope")
    ]


def test_consent_is_yes_or_no() -> None:
    """A consent column that is not true or false is refused: nobody guesses consent."""
    with pytest.raises(ConfigError, match="consent: v is not a column of true and false"):
        compiled(sync_of(consent="v"), pa.schema({"k": pa.string(), "v": pa.string()}))


def test_defaults_and_constants_of_every_type() -> None:
    """Defaults fill what is empty only; constants are the same for all, spelled as their type."""
    sync = sync_of(
        {"from": "n", "to": "n", "nulls": "default", "default": 7},
        {"from": "d", "to": "d", "nulls": "default", "default": "2026-01-01"},
        {"constant": True, "to": "yes"},
        {"constant": 5, "to": "five", "type": "text"},
        {"constant": "it's", "to": "text"},
    )
    table = pa.table({"k": ["a", "b"], "n": pa.array([None, 1]), "d": pa.array([None, date(2025, 5, 5)])})
    first, second = (row[2] for row in mapped(sync, table))
    assert first == {"n": 7, "d": "2026-01-01", "yes": True, "five": "5", "text": "it's"}
    assert (second["n"], second["d"]) == (1, "2025-05-05")


TEXTS = st.text(st.characters(codec="utf-8"))


@given(TEXTS, st.decimals(-(10**15), 10**15, places=4), st.lists(TEXTS, max_size=3))
def test_any_text_survives(text: str, number: Decimal, many: list[str]) -> None:
    """Any text, exact number or list goes through JSON and back and still means the same."""
    fields: Fields = {"text": text, "number": number, "many": many, "none": None}
    assert differing(fields, decoded(encoded(fields))) == ()


@settings(max_examples=20)
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_the_engine_spells_as_python_does(texts: list[str]) -> None:
    """A text that DuckDB makes part of a record reads in Python as the same text."""
    keys = [f"k{number}" for number in range(len(texts))]
    rows = mapped(sync_of({"from": "v", "to": "f"}), pa.table({"k": keys, "v": pa.array(texts, pa.string())}))
    assert {spelled: record["f"] for spelled, _, record, _ in rows} == dict(zip(keys, texts, strict=True))
