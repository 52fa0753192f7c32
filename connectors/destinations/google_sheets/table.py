"""The tab as it was last seen: which row has which key, and what stands in the columns we write.

A row's number is true for a moment only, as people insert, sort and delete rows. So every write by number is
answered with the rows it met (`Seen`), and `judge` says which changes arrived and what was hit by mistake.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.destinations.google_sheets.cells import Cell, fold, token, tokens

Cells = Mapping[str, Cell]
"""Field → what its cell holds."""
Seen = tuple[int, Cells]
"""A row's number (the header's is 0) and its cells in our columns, the key's included."""


@dataclass
class Table:
    """One reading of the tab."""

    key: str
    places: Mapping[str, int]
    """Field → its column's number."""
    columns: Mapping[str, list[Cell]]
    """Field → its cells below the header, without the empty ones at the end."""
    rows: dict[str, list[int]] = field(default_factory=dict)
    """Key as compared → the rows that have it."""
    placed: bool = True
    """Whether the rows' numbers are still known; a sort ends that."""
    added: set[str] = field(default_factory=set)
    """Keys of rows put at the end since, somewhere."""

    def __post_init__(self) -> None:
        for number, held in enumerate(self.columns[self.key], start=1):
            if name := fold(held):
                self.rows.setdefault(name, []).append(number)

    def serves(self, fields: Collection[str], keys: Iterable[str]) -> bool:
        """Whether it still tells everything about these keys and fields."""
        names = {fold(key) for key in keys}
        return (
            {*fields} <= {*self.columns}
            and not names & self.added
            and (self.placed or not names & {*self.rows})
        )

    def cells(self, row: int) -> dict[str, Cell]:
        """What a row held."""
        return {name: held[row - 1] if row <= len(held) else None for name, held in self.columns.items()}

    @property
    def height(self) -> int:
        """Rows below the header with anything in them that we read."""
        return max(map(len, self.columns.values()))

    def keep(self, row: int, cells: Cells) -> None:
        """Take note of what Octo wrote into a row."""
        for name, held in cells.items():
            column = self.columns[name]
            column += [None] * (row - len(column))
            column[row - 1] = held

    def knows(self, cells: Cells) -> bool:
        """Whether a row without a key of its own was there before and held exactly this."""
        alone = {rows[0] for rows in self.rows.values() if len(rows) == 1}
        held = tokens(cells.get(name) for name in self.columns)
        return any(
            tokens(self.cells(row).values()) == held for row in range(1, self.height + 1) if row not in alone
        )

    def before(self, key: str) -> Cells:
        """What the only row with this key held; nothing when there was none or more than one."""
        rows = self.rows.get(key, [])
        return self.cells(rows[0]) if len(rows) == 1 else {}

    def without(self, gone: Collection[int]) -> Table:
        """The same after these rows were deleted."""
        kept = {
            name: [one for number, one in enumerate(held, start=1) if number not in gone]
            for name, held in self.columns.items()
        }
        return Table(self.key, self.places, kept)


def table(key: str, places: Mapping[str, int], seen: Sequence[Seen]) -> Table:
    """A reading made of every row there is, in order."""
    return Table(key, places, {name: [cells.get(name) for _, cells in seen] for name in places})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a write by row numbers."""

    arrived: frozenset[str]
    """Keys, as compared, whose row holds what was sent."""
    astray: tuple[tuple[int, Cells], ...]
    """Rows that got what was meant for another, and what to put back into them."""


def judge(before: Table, sent: Mapping[str, Cells], seen: Iterable[Seen], alien: Iterable[Cells]) -> Verdict:
    """Hold what was seen after the write against what was sent, by the keys the rows have themselves.

    `alien` is all that was written by number, and so may stand where it was not meant to."""
    arrived, astray = set(), []
    shapes: dict[tuple[str, ...], set[tuple[tuple[str, Cell], ...]]] = {}
    for cells in alien:
        shapes.setdefault(tuple(cells), set()).add(tokens(cells.values()))
    for row, cells in seen:
        name = fold(cells.get(before.key))
        if name in sent:
            arrived |= {name} if holds(cells, sent[name]) else set()
        elif name not in before.added and (lost := displaced(before.before(name), cells, shapes)):
            astray += [] if before.knows(cells) else [(row, lost)]
    return Verdict(frozenset(arrived), tuple(astray))


def holds(cells: Cells, wanted: Cells) -> bool:
    return all(token(cells.get(name)) == token(held) for name, held in wanted.items())


def displaced(
    was: Cells, cells: Cells, shapes: Mapping[tuple[str, ...], set[tuple[tuple[str, Cell], ...]]]
) -> Cells | None:
    """What a row not written to on purpose has lost to one of the changes sent; None when it lost nothing."""
    for names, values in shapes.items():
        held = tokens(cells.get(name) for name in names)
        lost = {name: was.get(name) for name in names}
        if held in values and held != tokens(lost.values()):
            return lost
    return None
