"""A file for people and machines without an API: CSV, XLSX, JSON lines; in a folder, on SFTP, in a bucket.

    name: calls.csv           its ending says which
    to: {folder: /srv/exports}
    holds: everyone           one file, kept equal to the audience, row by row; or
           changes            a new file for each batch of changes, never written to again

A file of everyone is read, changed and written whole; a reader sees the old one or the new one. A file of
changes is made in two steps, so that nobody is in two of them: whole under a hidden name that the ledger has
on disk, then renamed. Where it is found under neither name it was picked up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import requests
from pydantic import Discriminator, Field, Tag, field_validator

from connectors.destinations.file.bucket import ToBucket
from connectors.destinations.file.formats import Csv, Dialect, Format, Lines
from connectors.destinations.file.places import Place, ToFolder, opened
from connectors.destinations.file.sftp import ToSftp
from connectors.destinations.file.table import Table
from connectors.destinations.file.workbook import Workbook
from octo_dagster.destination import Destination, FieldReport, Limits, Survey, words
from octo_dagster.errors import DeliveryError, Fatal, Retryable
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Receipt, Removal, Sent


def place_of(said: Any) -> str | None:
    """Which of the places the YAML means."""
    names = said if isinstance(said, dict) else vars(said)
    return next((name for name in ("sftp", "bucket", "folder") if name in names), None)


Anywhere = Annotated[
    Annotated[ToFolder, Tag("folder")] | Annotated[ToSftp, Tag("sftp")] | Annotated[ToBucket, Tag("bucket")],
    Discriminator(
        place_of, custom_error_type="no_place", custom_error_message="name one of folder, sftp, bucket"
    ),
]


@dataclass
class Desk:
    """The place, and what is known of the fields. A table that was read is kept while its file stays."""

    place: Place
    types: Mapping[str, FieldType] = field(default_factory=dict)
    read: tuple[str, Table] | None = None


class File(Destination[Desk]):
    """One file, or files of changes, in one place."""

    type: Literal["file"]
    to: Anywhere
    name: str = Field(pattern=r"^[^/\\.][^/\\]*\.(csv|xlsx|jsonl)$")
    holds: Literal["everyone", "changes"] = "everyone"
    order_by: tuple[str, ...] = ()
    """Mapped columns that rank the rows; `-score` is the greatest first. Left out, new rows go to the end."""
    change_column: str | None = None
    """For `holds: changes`: the column that says `put` or `removed`. Without one nobody can be taken back."""
    csv: Dialect = Dialect()

    removals: ClassVar = frozenset({Removal.LEAVE})
    place: ClassVar = ("name", "holds")
    keys_ignore_case: ClassVar = False
    in_order: ClassVar = False  # a server may still rename what it did not answer to
    untyped: ClassVar = True

    @field_validator("order_by", mode="before")
    @classmethod
    def one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def form(self) -> Format:
        """As the name ends."""
        if self.name.endswith(".csv"):
            return Csv(self.csv)
        return Workbook() if self.name.endswith(".xlsx") else Lines()

    def alone(self) -> str | None:
        """Of two deliveries into one file, one waits for the other."""
        if self.holds == "changes":
            return None
        return f"file-{hashlib.sha256(f'{self.to.account}/{self.name}'.encode()).hexdigest()[:16]}"

    def hosts(self) -> Mapping[str, str]:
        return self.to.leads()

    def connect(self, http: requests.Session) -> Desk:
        return Desk(self.to.place(http))

    def expect(self, api: Desk, types: Mapping[str, FieldType]) -> None:
        api.types = types

    def limits(self, op: Op, rows: int) -> Limits:
        """Each batch writes the file anew; so many rows of ten columns are about 0.3 GB while it does."""
        return Limits(rows=200_000)

    def account(self, api: Desk) -> str:
        return self.to.account

    def ensure_fields(self, api: Desk, fields: Mapping[str, FieldType], *, create: bool) -> FieldReport:
        """A file takes any column; it is made with the first row that has one."""
        api.types = {**api.types, **fields}
        unknown = [name for name in self.order_by if name.removeprefix("-") not in fields]
        taken = [self.change_column] if self.change_column in fields else []
        problems = [f"{name}: order_by names it, but it is not mapped" for name in unknown]
        problems += [f"{name}: is mapped, so it cannot be the change_column" for name in taken]
        return FieldReport(existing=tuple(fields), problems=tuple(problems))

    def open(self, api: Desk, batch: Batch) -> str | None:
        """A file of changes, whole, under a name that nobody picks up."""
        if self.holds == "everyone":
            return None
        if batch.op is Op.LEAVE and self.change_column is None:
            raise Fatal("file: without a change_column nobody can be told who left; nothing was written")
        table, _ = self.changes(batch)
        if not table.rows:
            return None
        name = opened(self.name, batch.opened_at or datetime.now(UTC), batch.id)
        api.place.stage(name, table.content(self.order_by, batch.types))
        return name

    def send(self, api: Desk, batch: Batch) -> Sent:
        if self.holds == "changes":
            return self.settle(api, batch)
        held = api.place.get(self.name)
        content, mark = held or (b"", None)
        table = Table.read(self.form, batch.key_field, content) if held else Table(self.form, batch.key_field)
        receipts = tuple(table.carry_out(batch))
        if table.changed:
            types = {**api.types, **batch.types}
            api.read = None  # a mark may be no finer than a second
            api.place.put(self.name, table.content(self.order_by, types), mark)
        return Sent(receipts)

    def settle(self, api: Desk, batch: Batch) -> Sent:
        """Of a file of changes: give it its name, unless it has it or had it."""
        if batch.token is not None:
            api.place.publish(batch.token)
        return Sent(tuple(self.changes(batch)[1]))

    def changes(self, batch: Batch) -> tuple[Table, list[Receipt]]:
        """A batch as a file of its own: those who are put, or those who are removed."""
        table, told = Table(self.form, batch.key_field), batch
        if batch.op is Op.LEAVE:
            told = replace(batch, op=Op.UPSERT, changes=tuple(Change(key) for key in batch.keys))
        receipts = list(table.carry_out(told))
        if self.change_column:
            table.mark_all(self.change_column, "removed" if batch.op is Op.LEAVE else "put")
        return table, receipts

    def can_read(self) -> bool:
        return self.holds == "everyone"

    def read(
        self, api: Desk, keys: Iterable[str], fields: Iterable[str], since: datetime | None = None
    ) -> dict[str, Fields]:
        """What the file holds. Files of changes hold nothing for Octo: they are picked up."""
        key = next(iter(api.types), None)
        if not self.can_read() or key is None:
            return {}
        table = self.table(api, key)
        return {} if table is None else table.held(keys, list(fields), api.types)

    def table(self, api: Desk, key: str) -> Table | None:
        """The file's table, read again only if somebody wrote to the file."""
        mark = api.place.mark(self.name)
        if mark is None:
            return None
        if api.read is None or api.read[0] != mark:
            held = api.place.get(self.name)
            if held is None:
                return None
            api.read = (held[1], Table.read(self.form, key, held[0]))
        return api.read[1]

    def survey(self, api: Desk) -> Survey:
        held = api.place.get(self.name)
        columns = next(self.form.rows(held[0]), []) if held else []
        return Survey(
            fields=dict.fromkeys(map(str, columns), FieldType.TEXT), keys=tuple(map(str, columns[:1]))
        )

    def failure(self, response: requests.Response) -> DeliveryError | None:
        """As S3 answers (AWS, "Error responses"): of the 4xx, only a missing file and the conditions heal."""
        status, said = response.status_code, f"file: {response.status_code} {words(response)}"
        if status == 404 and "NoSuchBucket" not in response.text:
            return None
        if status in {409, 412}:
            return Retryable(f"file: {self.name} was written to by somebody else in this moment ({status})")
        if status == 400 and "RequestTimeout" in response.text:
            return Retryable(said)
        if 300 <= status < 429:
            return Fatal(said)
        return super().failure(response)
