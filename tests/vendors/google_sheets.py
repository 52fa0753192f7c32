"""Google Sheets, as the exams and the proofs meet it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from octo_dagster.model import FieldType
from tests.vendors.examinee import Examinee
from tests.vendors.vendor import Vendor

KEY = (Path(__file__).parents[2] / "connectors/sandbox/google_sheets/service_account.json").read_text()
STRANGER = json.dumps(json.loads(KEY) | {"client_email": "stranger@octo-sandbox.iam.gserviceaccount.com"})


def put(twin: Any, rows: list[list[Any]], at: int = 0, column: int = 0) -> None:
    """What somebody types into the tab, which is made if it is not there."""
    tab = the_tab(twin)
    for down, row in enumerate(rows):
        for across, value in enumerate(row):
            place = at + down, column + across
            tab.put(*place, replace(tab.cell(*place), value=twin.entered(value)))


def the_tab(twin: Any) -> Any:
    """The tab Octo writes to, in the first spreadsheet."""
    book = twin.books["sandbox-spreadsheet-1"]
    return book.named("Octo") or twin.add_tab(book, "Octo")


GOOGLE_SHEETS = Examinee(
    settings={
        "type": "google_sheets",
        "service_account": {"env": "GOOGLE_SERVICE_ACCOUNT"},
        "spreadsheet": "sandbox-spreadsheet-1",
        "tab": "Octo",
    },
    env={"GOOGLE_SERVICE_ACCOUNT": KEY},
    second_settings={"spreadsheet": "sandbox-spreadsheet-2"},
    wrong={"GOOGLE_SERVICE_ACCOUNT": STRANGER},
    prepare=lambda twin: put(twin, [["customer_id"]]),
    key_field="customer_id",
    types={f"octo_{kind.value}": kind for kind in FieldType},
    poison={"octo_text": "x" * 50_001},
)


def others(twin: Any) -> None:
    """Callers have a column with formulas and notes of their own, and rows of their own."""
    tab = the_tab(twin)
    used = tab.used()
    column = max(max(row, default=0) for row in tab.rows) + 1
    put(twin, [["Caller"], *([f"Theirs {n}"] for n in range(1, used))], column=column)
    for row in range(1, used):
        tab.put(
            row, column + 1, replace(tab.cell(row, column + 1), value={"formulaValue": f"=LEN(A{row + 1})"})
        )
        tab.put(row, 0, replace(tab.cell(row, 0), note=f"Note {row}", format={"textFormat": {"bold": True}}))
    put(twin, [["stranger", "typed by hand"]], at=used)


def theirs(twin: Any) -> Any:
    """By key: the note and the format on it, the caller's words, the formula, which follows its row."""
    tab = the_tab(twin)
    names = {str(cell.value["stringValue"]): column for column, cell in tab.rows[0].items()}
    column = names["Caller"]
    found = {}
    for row in range(1, tab.used()):
        key = tab.cell(row, 0)
        formula = (tab.cell(row, column + 1).value or {}).get("formulaValue")
        found[key.value["stringValue"]] = (
            key.note,
            key.format,
            tab.cell(row, column).value,
            formula and formula.replace(f"A{row + 1})", "A)"),
        )
    return found


VENDOR = Vendor(
    examinee=GOOGLE_SHEETS,
    # a ranked list, out of which rows are taken; the plain tab is examined in contract/google_sheets
    settings={"order_by": "octo_orders", "descending": True},
    on_remove="delete",
    table="Octo",
    key="customer_id",
    segment="octo_segment",
    orders="octo_orders",
    key_from="customer_id",
    longest=50_000,
    writes=(r"POST .*:batchUpdate$",),
    # One call for 5,000 rows; the first delivery makes the tab and its headers in one more.
    least=(2, 1, 1),
    lost="batchUpdate",
    may_call=(
        r"POST /token",
        r"GET /v4/spreadsheets/sandbox-spreadsheet-[12](/values:batchGet)?",
        r"POST /v4/spreadsheets/sandbox-spreadsheet-1:(batchUpdate|getByDataFilter)",
    ),
    others=others,
    theirs=theirs,
)
