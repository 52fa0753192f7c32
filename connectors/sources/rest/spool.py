"""Rows on disk until all of them have come: a list that breaks off half way leaves nothing behind, and where
it reached is known before the first row is kept."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from octo_dagster.source import FAULT, ORIGIN

ROWS = 5_000
"""Rows in one batch."""

Line = tuple[Sequence[str | None], str, str | None]
"""A row's values, its origin, its fault."""


def schema(columns: Sequence[str]) -> pa.Schema:
    return pa.schema([*(pa.field(name, pa.string()) for name in columns), ORIGIN, FAULT])


class Spool:
    """A file without a name, which no other process can open and which goes with the last who holds it."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.schema = schema(columns)
        self.file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed by whoever reads it to the end
        self.rows = 0

    def fill(self, lines: Iterator[Line]) -> None:
        """Everything there is, in batches. Closed again when that fails."""
        try:
            with pa.ipc.new_stream(self.file, self.schema) as stream:
                waiting: list[Line] = []
                for line in lines:
                    waiting.append(line)
                    if len(waiting) == ROWS:
                        stream.write_batch(self.batch(waiting))
                        waiting = []
                if waiting:
                    stream.write_batch(self.batch(waiting))
        except BaseException:
            self.file.close()
            raise

    def batch(self, lines: Sequence[Line]) -> pa.RecordBatch:
        self.rows += len(lines)
        values = zip(*(line[0] for line in lines), strict=True)
        arrays = [pa.array(column, pa.string()) for column in values]
        arrays += [pa.array([line[place] for line in lines], pa.string()) for place in (1, 2)]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def batches(self) -> Generator[pa.RecordBatch, None, None]:
        """The rows again; the file is closed at the end, or when nobody wants the rest."""
        made = self.again()
        next(made)  # begun, so that closing it closes the file even if no row is ever asked for
        return made

    def again(self) -> Generator[Any, None, None]:
        with self.file:
            yield None
            self.file.seek(0)
            with pa.ipc.open_stream(self.file) as stream:
                yield from stream
