"""A signed-in Google Sheets destination in front of its twin, for the tests of what it alone promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import requests

from connectors.destinations.google_sheets.destination import GoogleSheets
from connectors.sandbox.google_sheets.grid import Tab, plain
from connectors.sandbox.server import Sandbox
from octo_dagster.delivery.http import Call, session
from octo_dagster.delivery.pace import UNPACED
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Receipt
from tests.vendors.google_sheets import GOOGLE_SHEETS, put, the_tab

KEY = "customer_id"
TYPES = {"name": FieldType.TEXT, "orders": FieldType.INTEGER, "rank": FieldType.DECIMAL}
Rows = list[list[Any]]


class Front:
    """The destination, its twin, and the calls that went between them."""

    def __init__(self, sandbox: Sandbox, **settings: Any) -> None:
        self.twin = sandbox.twin("google_sheets")
        self.destination = GoogleSheets.model_validate({**GOOGLE_SHEETS.settings, **settings})
        self.calls: list[Call] = []
        self.http: requests.Session = session(
            self.destination, UNPACED, self.calls.append, sandbox.address, lambda seconds: None
        )
        self.types = {KEY: FieldType.TEXT, **TYPES}
        self.sign_in()

    def sign_in(self) -> None:
        self.api = self.destination.connect(self.http)
        self.destination.expect(self.api, self.types)

    def close(self) -> None:
        self.http.close()

    def ready(self) -> Front:
        """With tab and headers made; calls are counted from here on."""
        report = self.destination.ensure_fields(self.api, self.types, create=True)
        assert report.problems == ()
        self.calls.clear()
        return self

    @property
    def tab(self) -> Tab:
        found: Tab = the_tab(self.twin)
        return found

    def types_in(self, *rows: list[Any], at: int = 0, column: int = 0) -> None:
        """What a person types, from this row on (the header's is 0)."""
        put(self.twin, [*rows], at, column)

    def formula(self, row: int, column: int, text: str) -> None:
        held = replace(self.tab.cell(row, column), value={"formulaValue": text})
        self.tab.put(row, column, held)

    def note(self, row: int, column: int, text: str) -> None:
        self.tab.put(row, column, replace(self.tab.cell(row, column), note=text))

    def meanwhile(self, *steps: Mapping[str, Any]) -> None:
        """What a person does in the moment before each of the next writes."""
        self.twin.meanwhile += [[step] for step in steps]

    def row_above(self, index: int = 1) -> dict[str, Any]:
        """A row inserted above this one."""
        return {"insertDimension": {"range": self.span(index, index + 1)}}

    def span(self, start: int, end: int) -> dict[str, Any]:
        return {"sheetId": self.tab.id, "dimension": "ROWS", "startIndex": start, "endIndex": end}

    def do(self, op: Op, records: Mapping[str, Fields]) -> dict[str, Receipt]:
        """Send a batch; key → receipt."""
        changes = tuple(Change(key, fields) for key, fields in records.items())
        sent = self.destination.send(self.api, Batch("b1", op, changes, KEY, self.types))
        assert [receipt.key for receipt in sent.receipts] == [*records]
        return {receipt.key: receipt for receipt in sent.receipts}

    def rows(self) -> Rows:
        """The tab's values below the header, row by row, down to the last one with data."""
        tab = self.tab
        width = max(column for row in tab.rows for column in row) + 1
        return [
            [plain(tab.cell(row, column).value) for column in range(width)] for row in range(1, tab.used())
        ]

    def asked(self) -> list[str]:
        """`METHOD what` of every call: `GET values`, `POST batchUpdate`, …"""
        return [f"{call.method} {call.path.rpartition(':')[2].rpartition('/')[2]}" for call in self.calls]


def person(number: int, **changed: Any) -> dict[str, Any]:
    return {"name": f"Customer {number}", "orders": number, "rank": 100 - number, **changed}


def people(*numbers: int) -> dict[str, Fields]:
    return {f"c{n}": person(n) for n in numbers}
