"""A batch into a table: staged in a temporary one, then a few statements for all its rows at once.

No `ON DUPLICATE KEY`, which would take any unique column for the key and write over another person's row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connectors.destinations.sql_table.columns import spelled, value
from octo_dagster.errors import BatchRejected
from octo_dagster.model import Batch, Change, Op, Outcome, Receipt


@dataclass(frozen=True, slots=True)
class Writing:
    """One batch on one connection. Names are quoted as the database wants them."""

    connection: sa.Connection
    table: str
    """As it stands in a statement."""
    batch: Batch
    worded: bool = True
    """Whether the key's column holds text as it is given."""
    narrow: Mapping[str, str] = field(default_factory=dict)
    """Columns that may keep another value without a word → their type."""

    @property
    def dialect(self) -> str:
        return self.connection.dialect.name

    def carry_out(self) -> tuple[Receipt, ...]:
        """Do as the batch says."""
        made: set[str] = set()
        bent: dict[str, str] = {}
        for number, (names, changes) in enumerate(shapes(self.batch)):
            stage = f"octo_stage_{number}"
            self.stage(stage, names, changes)
            if not self.worded:
                self.same(stage, changes)
            if self.batch.op is Op.DELETE:
                self.run(f"delete from {self.table} where {self.key} in (select {self.key} from {stage})")
            elif self.batch.op is Op.CLEAR:
                self.clear(stage, names)
            else:
                bent |= self.unbent(stage, names, changes)
                made |= self.upsert(stage, names)
        upsert = self.batch.op is Op.UPSERT
        return tuple(
            Receipt(key, Outcome.REJECTED, bent[key])
            if key in bent
            else Receipt(key, Outcome.ACCEPTED, created=key in made if upsert else None)
            for key in self.batch.keys
        )

    def unbent(self, stage: str, names: Sequence[str], changes: Sequence[Change]) -> dict[str, str]:
        """Key → why, of the rows of which the columns would keep another value; they leave the stage."""
        asked = [name for name in names if name in self.narrow]
        if not asked:
            return {}
        columns = ", ".join(map(self.quoted, [self.batch.key_field, *asked]))
        held: dict[str, Sequence[Any]] = {
            self.plain(row[0]): row[1:] for row in self.run(f"select {columns} from {stage}")
        }
        found: dict[str, str] = {}
        for change in changes:
            for name, raw in zip(asked, held[change.key], strict=True):
                if value(raw, self.batch.types[name]) != change.fields[name]:
                    found[change.key] = f"{name}: {self.narrow[name]} would keep another value than this"
        if found:
            self.run(f"delete from {stage}")
            self.fill(stage, names, [change for change in changes if change.key not in found])
        return found

    def same(self, stage: str, changes: Sequence[Change]) -> None:
        """BatchRejected when a key is another one in a column that holds no text: its row is not to be
        written to."""
        held = {self.plain(key) for (key,) in self.run(f"select {self.key} from {stage}")}
        if any(change.key not in held for change in changes):
            raise BatchRejected(
                f"{self.batch.key_field} is no text there, and would hold another key than this"
            )

    def plain(self, key: object) -> str:
        """A key as text, without the blanks that a `char(n)` is filled up with."""
        return str(key) if self.worded else str(key).rstrip(" ")

    def upsert(self, stage: str, names: Sequence[str]) -> set[str]:
        """Change the rows there are, add the others; the keys of those."""
        here = f"{self.table}.{self.key} = {stage}.{self.key}"
        new = f"from {stage} where not exists (select 1 from {self.table} where {here})"
        made = {self.plain(key) for (key,) in self.run(f"select {stage}.{self.key} {new}")}
        fields = [self.quoted(name) for name in names]
        if fields and len(made) < len(self.batch.changes):
            joined, where = (
                (f"join {stage} on {here}", "") if self.dialect == "mysql" else ("", f"where {here}")
            )
            source = "" if self.dialect == "mysql" else f"from {stage}"
            prefix = f"{self.table}." if self.dialect == "mysql" else ""
            values = ", ".join(f"{prefix}{name} = {stage}.{name}" for name in fields)
            self.run(f"update {self.table} {joined} set {values} {source} {where}")
        if made:
            columns = ", ".join([self.key, *fields])
            wanted = ", ".join(f"{stage}.{name}" for name in [self.key, *fields])
            self.run(f"insert into {self.table} ({columns}) select {wanted} {new}")
        return made

    def clear(self, stage: str, names: Sequence[str]) -> None:
        """Empty the fields of the rows there are."""
        if names:
            empty = ", ".join(f"{self.quoted(name)} = null" for name in names)
            self.run(f"update {self.table} set {empty} where {self.key} in (select {self.key} from {stage})")

    def stage(self, stage: str, names: Sequence[str], changes: Sequence[Change]) -> None:
        """A temporary table of these columns, with the table's own types, holding the changes."""
        columns = ", ".join([self.key, *map(self.quoted, names)])
        self.run(f"create temporary table {stage} as select {columns} from {self.table} where 1 = 0")
        self.fill(stage, names, changes)

    def fill(self, stage: str, names: Sequence[str], changes: Sequence[Change]) -> None:
        if self.dialect == "postgresql":
            cursor: Any = self.connection.connection.cursor()
            with cursor, cursor.copy(f"copy {stage} from stdin") as copy:
                for row in self.rows(names, changes):
                    copy.write_row(row)
            return
        keys = [self.batch.key_field, *names]
        held: list[sa.ColumnClause[Any]] = [sa.column(name) for name in keys]
        rows = [dict(zip(keys, row, strict=True)) for row in self.rows(names, changes)]
        if rows:
            self.connection.execute(sa.insert(sa.table(stage, *held)), rows)

    def rows(self, names: Sequence[str], changes: Sequence[Change]) -> Iterator[list[str | None]]:
        """Key and values as text; a change that only removes has none."""
        kinds, removes = self.batch.types, self.batch.op is not Op.UPSERT
        for change in changes:
            values = [None if removes else spelled(change.fields[n], kinds[n], self.dialect) for n in names]
            yield [change.key, *values]

    @property
    def key(self) -> str:
        return self.quoted(self.batch.key_field)

    def quoted(self, name: str) -> str:
        return str(self.connection.dialect.identifier_preparer.quote_identifier(name))

    def run(self, statement: str) -> Sequence[sa.Row[tuple[object, ...]]]:
        result = self.connection.exec_driver_sql(statement)
        return result.all() if result.returns_rows else ()


def shapes(batch: Batch) -> Iterator[tuple[tuple[str, ...], list[Change]]]:
    """The changes by which fields they write: one that is not named is left alone."""
    found: dict[tuple[str, ...], list[Change]] = {}
    for change in batch.changes:
        found.setdefault(tuple(change.fields), []).append(change)
    yield from found.items()
