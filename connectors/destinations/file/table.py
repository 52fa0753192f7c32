"""A file as a table with a key: rows stay in their order, and what Octo does not map stays in its cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from connectors.destinations.file.cells import Unfit
from connectors.destinations.file.formats import Format, Row
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, Fields, FieldType, Op, Outcome, Receipt, Value


class Table:
    """The rows of one file, by key. Those of others, with a key or without, are kept as they came."""

    def __init__(self, form: Format, key: str) -> None:
        self.form = form
        self.columns = [key]
        self.rows: dict[str | int, Row] = {}
        self.changed = False
        """Whether it differs from the file."""

    @classmethod
    def read(cls, form: Format, key: str, content: bytes) -> Table:
        """A file's table. Fatal where it is not keyed by this column, so not one that Octo wrote."""
        table, rows = cls(form, key), form.rows(content)
        table.columns = [str(name) for name in next(rows, [key])]
        if key not in table.columns:
            raise Fatal(f"file: it has no column {key!r}, so Octo did not write it; give Octo's another name")
        place = table.columns.index(key)
        for number, row in enumerate(rows, start=2):
            if not any(cell not in (None, "") for cell in row):
                continue
            name = form.value(row[place], FieldType.TEXT) if len(row) > place else None
            if name is not None and str(name) in table.rows:
                raise Fatal(f"file: row {number} has the key of a row above it; delete one of them")
            table.rows[number if name is None else str(name)] = row
        return table

    def carry_out(self, batch: Batch) -> Iterator[Receipt]:
        """Do as the batch says; what became of each change."""
        for change in batch.changes:
            if batch.op is Op.LEAVE:
                self.leave(change)
                yield Receipt(change.key, Outcome.ACCEPTED)
                continue
            try:
                cells = written(self.form, change, batch)
            except Unfit as reason:
                yield Receipt(change.key, Outcome.REJECTED, str(reason))
                continue
            yield Receipt(change.key, Outcome.ACCEPTED, created=change.key not in self.rows)
            self.write(change.key, cells)

    def leave(self, change: Change) -> None:
        """A row goes; of one that somebody else put there, only what Octo wrote in it."""
        if change.created is False and change.key in self.rows:
            self.write(change.key, {name: None for name in change.before if name in self.columns})
            return
        self.changed |= self.rows.pop(change.key, None) is not None

    def write(self, key: str, cells: Mapping[str, Any]) -> None:
        """Put cells in the key's row, a new one at the end if there is none."""
        self.columns += [name for name in cells if name not in self.columns]
        row = self.rows.setdefault(key, [])
        before = list(row)
        self.widen(row)
        for name, cell in cells.items():
            row[self.columns.index(name)] = cell
        self.changed |= row != before

    def mark_all(self, column: str, word: str) -> None:
        """The same word in every row."""
        for row in self.rows.values():
            self.widen(row)
            row.append(word)
        self.columns.append(column)

    def widen(self, row: Row) -> None:
        row += [None] * (len(self.columns) - len(row))

    def content(self, order_by: Iterable[str], types: Mapping[str, FieldType]) -> bytes:
        """The whole file, its rows ranked by these columns (`-score`: the greatest first), if by any."""
        rows = list(self.rows.values())
        for row in rows:
            self.widen(row)
        there = [name for name in order_by if name.removeprefix("-") in self.columns]
        for name in reversed(there):  # removals go first, to a file that may lack a new column
            rows = self.ranked(rows, name.removeprefix("-"), types, backwards=name.startswith("-"))
        return self.form.content(self.columns, rows)

    def ranked(
        self, rows: list[Row], name: str, types: Mapping[str, FieldType], *, backwards: bool
    ) -> list[Row]:
        """Rows in the order of one column: numbers, then text, then those without a value."""
        place, kind = self.columns.index(name), types.get(name)
        keyed = [(self.form.value(row[place], kind), row) for row in rows]
        full = [(rank(value), row) for value, row in keyed if value is not None]
        full.sort(key=lambda pair: pair[0], reverse=backwards)
        return [row for _, row in full] + [row for value, row in keyed if value is None]

    def held(
        self, keys: Iterable[str], fields: list[str], types: Mapping[str, FieldType]
    ) -> dict[str, Fields]:
        """What is in these keys' rows."""
        places = {name: self.columns.index(name) for name in fields if name in self.columns}
        found: dict[str, Fields] = {}
        for key in keys:
            if key in self.rows:
                row = self.rows[key]
                self.widen(row)
                found[key] = {name: self.form.value(row[at], types.get(name)) for name, at in places.items()}
        return found


def written(form: Format, change: Change, batch: Batch) -> dict[str, Any]:
    """A change's cells, the key's first. Unfit, naming the field, when one cannot be written."""
    cells = {}
    for name, value in {batch.key_field: change.key, **change.fields}.items():
        try:
            cells[name] = form.cell(value, batch.types[name])
        except Unfit as reason:
            raise Unfit(f"UNFIT: {reason} ({name})") from None
    return cells


def rank(value: Value) -> tuple[int, Decimal, str]:
    """By what values are put in order."""
    if isinstance(value, int | Decimal):
        return (0, Decimal(value), "")
    return (1, Decimal(0), str(value))
