"""Google Sheets: a tab of a spreadsheet, a row for each key, a column for each field, by its header.

    service_account: {env: GOOGLE_SERVICE_ACCOUNT}    the key's JSON; share the spreadsheet with its address
    spreadsheet: 1AbC…                                as in the spreadsheet's address
    tab: Call list                                    made, with its headers, where it is missing
    order_by: reactivation_rank                       keeps the rows in the order of this field

Only cells of our own columns are written, as values with a type: nothing is ever taken for a formula. Other
columns, notes, comments and formats stay, and go with their row where rows are ordered. A row is taken out
(`on_remove: delete`) only if Octo made it and nobody else wrote on it; else its cells of ours are emptied.

A row has no name here but its number, which changes when people insert, sort or delete rows. How that is
made safe, and what is not, is told in `write.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import ClassVar, Literal

import requests
from pydantic import Field

from connectors.destinations.google_sheets import write
from connectors.destinations.google_sheets.book import Book
from connectors.destinations.google_sheets.cells import fold, value
from connectors.destinations.google_sheets.fields import ensure
from connectors.destinations.google_sign_in import SIGN_IN_HOST, access_token
from octo_dagster.destination import Destination, FieldReport, Limits, Rate, Secret, Survey, words
from octo_dagster.errors import BatchRejected, DeliveryError, Expired, Fatal, Retryable, Unanswered
from octo_dagster.model import Batch, Fields, FieldType, Mode, Op, Removal, Sent

HOST = "https://sheets.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/spreadsheets"
QUOTA_SECONDS = 15.0
"""Google does not say how long to wait; the quota is full again when the minute is over, four tries later."""
OF_THE_WHOLE = (
    "Unable to parse range",
    "No grid with id",
    "protected cell",
    "number of cells in the workbook",
    "merged",
    "with the name",
)
"""In the words of a 400: what concerns the tab and no single row."""


class GoogleSheets(Destination[Book]):
    """One tab of one spreadsheet."""

    type: Literal["google_sheets"]
    service_account: Secret
    spreadsheet: str = Field(pattern=r"^[A-Za-z0-9_-]{10,}$")
    tab: str = Field(min_length=1, max_length=100)
    order_by: str | None = None
    """A mapped field: after each delivery the rows stand in its order, empty ones last."""
    descending: bool = False
    """Whether the highest comes first."""

    modes: ClassVar[frozenset[Mode]] = frozenset(Mode)
    removals: ClassVar[frozenset[Removal]] = frozenset({Removal.CLEAR, Removal.DELETE})
    place: ClassVar[tuple[str, ...]] = ("tab",)
    # Of one user, which a service account is (Google, "Usage limits"). Looking at rows is a POST and a read.
    rates: ClassVar[tuple[Rate, ...]] = (
        Rate(60, 60.0, r":batchUpdate$"),
        Rate(60, 60.0, r"^/v4/.*(?<!:batchUpdate)$"),
    )
    # A call whose reply was lost may take Google up to 180 s to carry out.
    in_order: ClassVar[bool] = False
    untyped: ClassVar[bool] = True

    def hosts(self) -> Mapping[str, str]:
        return {HOST: "google_sheets", SIGN_IN_HOST: "google_sheets"}

    def alone(self) -> str:
        """Two writers of one spreadsheet would move each other's rows."""
        return f"google_sheets-{self.spreadsheet}"

    def connect(self, http: requests.Session) -> Book:
        http.headers.pop("Authorization", None)  # the one that an earlier sign-in left
        http.headers["Authorization"] = f"Bearer {access_token(http, self.service_account, SCOPE)}"
        return Book(self.spreadsheet, self.tab, http)

    def expect(self, api: Book, types: Mapping[str, FieldType]) -> None:
        api.types = dict(types)

    def limits(self, op: Op, rows: int) -> Limits:
        """Google advises 2 MB a call: 5,000 rows of eight cells or, as a cell's type is written beside each
        value, about 1 MB of fields."""
        return Limits(rows=5_000, bytes=1_000_000)

    def account(self, api: Book) -> str:
        """The spreadsheet: whoever may write to it, its rows are the same."""
        return str(api.look(again=True)["spreadsheetId"])

    def ensure_fields(self, api: Book, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        return ensure(api, fields, create=create, order_by=self.order_by)

    def send(self, api: Book, batch: Batch) -> Sent:
        order = write.Order(self.order_by, self.descending) if self.order_by else None
        verb = {Op.UPSERT: write.upsert, Op.CLEAR: write.clear, Op.DELETE: write.delete}[batch.op]
        return verb(api, batch, order)

    def read(
        self, api: Book, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        """A key that two rows have counts as absent: which of them is meant nobody can say."""
        wanted, names = list(keys), [name for name in fields if name != api.key]
        table = api.read(api.key, names) if wanted and api.tab() else None
        if table is None:
            return {}
        held = {key: table.rows[fold(key)] for key in wanted if len(table.rows.get(fold(key), ())) == 1}
        return {
            key: {name: value(cells.get(name), api.types.get(name)) for name in names}
            for key, (row,) in held.items()
            for cells in (table.cells(row),)
        }

    def survey(self, api: Book) -> Survey:
        """Every header of the tab, which may hold text or anything else, and the tabs there are."""
        found = [name for name in (api.headers() if api.tab() else []) if name]
        return Survey(
            fields=dict.fromkeys(found, FieldType.TEXT),
            keys=tuple(found),
            places={"tab": tuple(tab.title for tab in api.tabs())},
        )

    def failure(self, response: requests.Response) -> DeliveryError | None:
        status, told = response.status_code, f"google_sheets: {response.status_code} {words(response)}"
        if status < 400:
            return None
        if status == 429 or (status == 403 and "RATE_LIMIT" in response.text):
            return Retryable(told, QUOTA_SECONDS)
        if status >= 500:  # 503 too: Google does not say that nothing was done
            return Unanswered(told)
        if "/spreadsheets/" not in (response.request.url or ""):
            return Fatal(f"{told}: the service account's key is not, or no longer, good")
        if status == 401:
            return Expired(told)
        if status == 400 and not any(phrase in response.text for phrase in OF_THE_WHOLE):
            return BatchRejected(told)
        share = ": is the spreadsheet shared, as editor, with the service account's address?"
        return Fatal(told + share * (status in (403, 404)))
