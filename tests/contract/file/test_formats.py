"""Each format gives back what it was given, and says no to what it cannot hold."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import openpyxl
import pytest

from connectors.destinations.file.cells import Unfit, guarded, unguarded
from connectors.destinations.file.formats import Csv, Dialect, Format, Lines
from connectors.destinations.file.workbook import Workbook
from octo_dagster.errors import Fatal
from octo_dagster.model import FieldType, Value
from tests.vendors.examinee import SAMPLES

FORMATS: list[Format] = [
    Csv(Dialect()),
    Csv(Dialect(delimiter=";", encoding="utf-8-sig", decimal=",")),
    Csv(Dialect(delimiter="\t", guard_formulas=False)),
    Workbook(),
    Lines(),
]
TEXTS = (
    *("00123", "=1+1", "+33 6 12 34 56 78", "@cmd", "'=x", "true", "2026-11-22", "a\r\nb\tc", "#N/A"),
    *("1,5", '"', "_x0041_", "nan", "'quoted'"),
)
MORE: dict[FieldType, list[Value]] = {
    FieldType.TEXT: list(TEXTS),
    FieldType.INTEGER: [2**53 + 1, -(10**17)],
    FieldType.DECIMAL: [Decimal("12345678901234567.89"), Decimal("1000000"), Decimal("-0.000001")],
    FieldType.DATE: ["1899-12-31", "9999-12-30"],
    FieldType.DATETIME: ["1899-12-31T23:59:59Z", "2026-11-22T00:00:00Z"],
    FieldType.LIST: [["=a", "b c"]],
}
EVERY = [(kind, value) for kind in FieldType for value in [*SAMPLES[kind], *MORE.get(kind, []), None]]


@pytest.mark.parametrize(
    "form", FORMATS, ids=lambda form: f"{type(form).__name__}-{getattr(form, 'dialect', '')}"
)
def test_every_value_comes_back_even_when_the_file_is_written_again(form: Format) -> None:
    """Values of every type, read, written back untouched and read again, are what they were."""
    cells = [[str(n), form.cell(value, kind)] for n, (kind, value) in enumerate(EVERY)]
    content = form.content(["key", "value"], cells)
    for _ in range(2):
        header, *rows = form.rows(content)
        assert header == ["key", "value"]
        found = [form.value([*row, None][1], kind) for row, (kind, _) in zip(rows, EVERY, strict=True)]
        assert found == [value for _, value in EVERY]
        assert [type(one) for one in found if isinstance(one, bool)] == [bool] * 3
        content = form.content(header, rows)


@pytest.mark.parametrize(
    "text", ["=1", "'=1", "''@x", "-1+cmd|' /C calc'!A0", "\tx", "+a", "x", "'x", "", "-"]
)
def test_a_guard_loses_nothing(text: str) -> None:
    """Whatever stands there, taking the guard off gives back what it was put on."""
    assert unguarded(guarded(text)) == text


def test_a_spreadsheet_runs_nothing() -> None:
    """Formulas have an apostrophe in CSV and are text in XLSX; phone numbers and amounts are as they are."""
    form = Csv(Dialect())
    told = {
        "=HYPERLINK(1)": "'=HYPERLINK(1)",
        "@x": "'@x",
        "-2+3+cmd|' /C calc'!A0": "'-2+3+cmd|' /C calc'!A0",
    }
    told |= {"+33 (0)6-12.34": "+33 (0)6-12.34", "-12,50": "-12,50"}
    assert {text: form.cell(text, FieldType.TEXT) for text in told} == told
    book = openpyxl.load_workbook(io.BytesIO(Workbook().content(["a"], [["=1+1"], ["00123"]])))
    sheet = book.worksheets[0]
    assert [(row[0].value, row[0].data_type) for row in sheet.iter_rows(min_row=2)] == [
        ("=1+1", "s"),
        ("00123", "s"),
    ]


def test_other_readers_see_the_same() -> None:
    """Python's csv, json and openpyxl read the files as anybody would: days are days, money is money."""
    values: list[tuple[Value, FieldType]] = [
        ('Zoë; "x"', FieldType.TEXT),
        (Decimal("12.50"), FieldType.DECIMAL),
        (True, FieldType.BOOLEAN),
        ("2026-11-22", FieldType.DATE),
    ]

    def file(form: Format) -> bytes:
        return form.content(["a", "b", "c", "d"], [[form.cell(*value) for value in values]])

    german = Csv(Dialect(delimiter=";", encoding="cp1252", decimal=","))
    assert file(german) == 'a;b;c;d\r\n"Zoë; ""x""";12,50;true;2026-11-22\r\n'.encode("cp1252")
    assert next(csv.DictReader(io.StringIO(file(Csv(Dialect())).decode())))["b"] == "12.50"
    assert file(Csv(Dialect(encoding="utf-8-sig"))).startswith(b"\xef\xbb\xbfa,b")
    assert json.loads(file(Lines())) == {"a": 'Zoë; "x"', "b": 12.5, "c": True, "d": "2026-11-22"}
    row = list(openpyxl.load_workbook(io.BytesIO(file(Workbook()))).worksheets[0].rows)[1]
    assert [(cell.value, cell.is_date) for cell in row[:3]] == [
        ('Zoë; "x"', False),
        (12.5, False),
        (True, False),
    ]
    assert (row[3].is_date, str(row[3].value)) == (True, "2026-11-22 00:00:00")


@pytest.mark.parametrize(
    ("form", "value", "kind", "reason"),
    [
        (Csv(Dialect(encoding="latin-1")), "€ 10", FieldType.TEXT, "'€' is not in latin-1"),
        (Csv(Dialect()), "\ud800", FieldType.TEXT, "is not in utf-8"),
        (Csv(Dialect()), "x" * 32_768, FieldType.TEXT, "32,768 characters"),
        (Csv(Dialect()), ["a|b"], FieldType.LIST, "stands between choices"),
        (Workbook(), "\x01", FieldType.TEXT, "control character"),
        (Lines(), ["\ud800"], FieldType.LIST, "is not in utf-8"),
    ],
)
def test_what_cannot_be_held_is_said(form: Format, value: Any, kind: FieldType, reason: str) -> None:
    """No question mark and no silence: a value the file cannot hold is refused in words."""
    with pytest.raises(Unfit, match=reason):
        form.cell(value, kind)


@pytest.mark.parametrize(
    ("form", "content"),
    [
        (Csv(Dialect()), b"\xff"),
        (Csv(Dialect()), b'a,"b'),
        (Lines(), b"[1"),
        (Lines(), b"1\n"),
        (Lines(), b'["id"]\n'),
        (Workbook(), b"x"),
    ],
)
def test_what_is_no_such_file_needs_a_person(form: Format, content: bytes) -> None:
    """A file that cannot be read as what its name says is never written over."""
    with pytest.raises(Fatal, match="it is no"):
        list(form.rows(content))


def test_what_others_keep_in_json_goes_back_as_it_came() -> None:
    """Their objects and lists, numbers inside them included, are written again digit by digit."""
    theirs = b'{"id": "1", "note": {"a": [1.50, 1e2, null, true, "\xc3\xa9"], "b": {}}}\n'
    columns, *rows = Lines().rows(theirs)
    assert Lines().content(columns, rows) == theirs.replace(b"1e2", b"100")


def test_somebody_elses_workbook_is_left_alone() -> None:
    """A workbook Octo did not make, or one that got a sheet, is not written over."""
    theirs, grown = io.BytesIO(), io.BytesIO()
    openpyxl.Workbook().save(theirs)
    book = openpyxl.load_workbook(io.BytesIO(Workbook().content(["a"], [])))
    book.create_sheet("Pivot")
    book.save(grown)
    for content in (theirs, grown):
        with pytest.raises(Fatal, match="somebody else"):
            list(Workbook().rows(content.getvalue()))


def test_a_sheet_that_is_too_long_is_not_cut() -> None:
    """Excel leaves out what is below its last row; so long a workbook is refused before any of it is made."""
    with pytest.raises(Fatal, match="1,048,576 rows, not 1,048,577"):
        Workbook().content(["id"], [[]] * 1_048_576)
