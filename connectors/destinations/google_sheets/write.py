"""Rows written by number, though numbers move: found by key, written, and looked at in the same call.

The tab is read once a delivery and then kept in step with what Octo itself does (`Book.table`). Between that
and a write, people may insert, sort or delete rows. So a write by number asks in the same, atomic call for
the keys of the rows it met. Where these are not the rows meant, what they held before is put back, and the
changes that did not arrive are reported as not carried out; the engine sends them again, from a new reading.
A row is added after the last one with data, which needs no number, and rows are ordered by a real sort of
whole rows in that same call: neither can hit a wrong row.

What remains: cells of our columns in a row that somebody inserted *and* filled between the reading and the
write; and a write of which no answer came while rows moved, when the run ends before it reaches Google again
(then `octo verify` finds it). A deletion cannot be put back, so just before it the rows are looked at again;
whoever moves rows in the split second between these two calls may lose a row, which is told (Fatal), with the
way to bring it back.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from connectors.destinations.google_sheets.book import Book, Line, named
from connectors.destinations.google_sheets.cells import Cell, cell, fold, unfit
from connectors.destinations.google_sheets.requests import (
    NEAR,
    Request,
    additions,
    deletions,
    letters,
    more_rows,
    runs,
    sorting,
    updates,
)
from connectors.destinations.google_sheets.table import Cells, Seen, Table, judge, table
from octo_dagster.errors import Fatal
from octo_dagster.model import Batch, Change, Outcome, Receipt, Sent

HISTORY = "in the spreadsheet: File, Version history"
MENDINGS = 5
NOTHING: Mapping[str, bool] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Order:
    """By which field the rows are kept in order."""

    field: str
    descending: bool


def upsert(book: Book, batch: Batch, order: Order | None) -> Sent:
    """Write the rows there are in place, add the others at the end, keep the order: one call."""
    seen = reading(book, batch)
    refused = refusals(seen, batch)
    fit = {fold(c.key): c for c in batch.changes if c.key not in refused}
    there = {name: cells(change) for name, change in fit.items() if name in seen.rows}
    new = {name: added(change, batch.key_field) for name, change in fit.items() if name not in seen.rows}
    arrived = carry_out(book, seen, there, new, order)
    created = {name: name in new for name in fit}
    return Sent(tuple(receipt(change, refused, arrived, created) for change in batch.changes))


def clear(book: Book, batch: Batch, order: Order | None) -> Sent:
    """Empty our cells of the rows there are; make no row."""
    seen = reading(book, batch)
    refused = refusals(seen, batch)
    fit = {fold(c.key): c for c in batch.changes if c.key not in refused}
    there = {name: cells(change) for name, change in fit.items() if name in seen.rows}
    arrived = carry_out(book, seen, there, {}, order) | (fit.keys() - there.keys())
    return Sent(tuple(receipt(change, refused, arrived) for change in batch.changes))


def delete(book: Book, batch: Batch, order: Order | None) -> Sent:
    """Take rows out that nobody else has written on; of the others empty our cells, and leave the key."""
    seen = reading(book, batch)
    refused = refusals(seen, batch)
    asked = {fold(c.key) for c in batch.changes if c.key not in refused}
    rows = {name: seen.rows[name][0] for name in asked if name in seen.rows}
    lines = book.lines(book.here(), rows.values()) if rows else {}
    moved = {name for name, row in rows.items() if key_of(lines.get(row), seen) != name}
    if moved:
        book.table = None
        return Sent(tuple(receipt(change, refused, asked - rows.keys()) for change in batch.changes))
    ours = {*seen.places.values()}
    kept = {name for name, row in rows.items() if written_on(lines[row], ours)}
    blank: dict[str, Cells] = {name: dict.fromkeys(f for f in seen.places if f != seen.key) for name in kept}
    gone = {name: row for name, row in rows.items() if name not in kept}
    if gone:
        seen = take_out(book, seen, gone)
    arrived = (asked - kept) | carry_out(book, seen, blank, {}, order)
    return Sent(tuple(receipt(change, refused, arrived) for change in batch.changes))


# what is known -----------------------------------------------------------------------------------------


def reading(book: Book, batch: Batch) -> Table:
    """The tab as it is, read if need be. Fatal without the key's column or one to write to."""
    wanted = [name for name in batch.types if name != batch.key_field]
    if book.unheard:
        make_sure(book, *book.unheard)
    if book.table is None or not book.table.serves(wanted, batch.keys):
        book.here()
        book.table = book.read(batch.key_field, wanted)
    found = book.table
    missing = [n for n in (batch.key_field, *wanted) if found is None or n not in found.places]
    if found is None or missing:
        raise Fatal(f"google_sheets: the tab {book.title!r} has no column {', '.join(missing)}")
    return found


def refusals(seen: Table, batch: Batch) -> dict[str, str]:
    """Key → why nothing is written for it."""
    found = {}
    for change in batch.changes:
        rows, reason = seen.rows.get(fold(change.key), []), unfit(change)
        if len(rows) > 1:
            where = " and ".join(str(row + 1) for row in rows[:5])
            reason = f"OCTO_TWICE: rows {where} have this key; delete all but one of them ({batch.key_field})"
        if reason:
            found[change.key] = reason
    return found


def receipt(
    change: Change,
    refused: Mapping[str, str],
    arrived: Collection[str],
    created: Mapping[str, bool] = NOTHING,
) -> Receipt:
    if change.key in refused:
        return Receipt(change.key, Outcome.REJECTED, refused[change.key])
    name = fold(change.key)
    if name not in arrived:
        return Receipt(change.key, Outcome.UNSENT)
    return Receipt(change.key, Outcome.ACCEPTED, created=created.get(name))


def cells(change: Change) -> Cells:
    return {name: cell(said) for name, said in change.fields.items()}


def added(change: Change, key: str) -> Cells:
    """A new row's cells: those that hold something, the key's among them."""
    row: dict[str, Cell] = {key: change.key}
    return row | {name: held for name, held in cells(change).items() if held is not None}


def key_of(line: Line | None, seen: Table) -> str:
    """The key a whole row has now."""
    said = line.values.get(seen.places[seen.key], {}) if line else {}
    return next((fold(held) for held in said.values()), "")


def written_on(line: Line, ours: Collection[int]) -> bool:
    """Whether somebody put something on this row: a note, a comment, or a value outside our columns.

    A formula that was filled down and a box nobody ticked say nothing of this customer."""
    others = [said for column, said in line.values.items() if column not in ours]
    return line.remarks or any("formulaValue" not in said and said != {"boolValue": False} for said in others)


# what is done ------------------------------------------------------------------------------------------


def carry_out(
    book: Book, seen: Table, there: Mapping[str, Cells], new: Mapping[str, Cells], order: Order | None
) -> set[str]:
    """Write and add in one call; the keys, as compared, of what arrived."""
    rows = {seen.rows[name][0]: held for name, held in there.items() if held}
    tab = book.here()
    asked = [*updates(tab.id, seen.places, rows), *additions(tab.id, seen.places, new.values())]
    if not asked:
        return {*there}
    if order:
        by = [seen.places[order.field], seen.places[seen.key]]
        asked.append(sorting(tab.id, by, descending=order.descending))
    seen.added |= new.keys()
    meant = {name: held for name, held in there.items() if held}
    # whatever becomes of this call, what was read is not to be relied on until it is known
    book.table, book.unheard = None, (seen, meant)
    met = named(book.change(asked, shown(seen, rows, every=order is not None)), seen.places)
    check_header(met, seen, book)
    verdict = judge(seen, meant, met[1:], meant.values())
    mend(book, seen, meant, verdict.astray)
    book.unheard = None
    missed = meant.keys() if verdict.astray else meant.keys() - verdict.arrived
    if not missed:
        book.table = in_step(seen, rows, met, sorted_=order is not None)
    return {*new, *there} - missed


def shown(seen: Table, rows: Collection[int], *, every: bool) -> list[str]:
    """The header and the rows written to, in our columns; every row where they end up elsewhere."""
    left, right = letters(min(seen.places.values())), letters(max(seen.places.values()))
    stretches = [f"{left}{start + 1}:{right}{end}" for start, end in runs(rows, NEAR)]
    return [f"{left}1:{right}1", *([f"{left}2:{right}"] if every and rows else stretches)]


def check_header(met: Sequence[Seen], seen: Table, book: Book) -> None:
    """Fatal when a column is not where it was: what was written stands in somebody else's."""
    header = met[0][1] if met and met[0][0] == 0 else {}
    if any(str(header.get(name)).strip() != name for name in seen.places):
        raise Fatal(
            f"google_sheets: somebody moved columns of {book.title!r} while Octo wrote; look at the last "
            f"change {HISTORY}"
        )


def make_sure(book: Book, before: Table, meant: Mapping[str, Cells]) -> None:
    """After a write that was not answered: whether it hit other rows, and if so, put them back."""
    found = book.read(before.key, [name for name in before.places if name != before.key])
    if found is not None and found.places == before.places:
        rows = [(row, found.cells(row)) for row in range(1, found.height + 1)]
        mend(book, before, meant, judge(before, meant, rows, meant.values()).astray)
    book.table = book.unheard = None


def mend(book: Book, before: Table, meant: Mapping[str, Cells], astray: Sequence[tuple[int, Cells]]) -> None:
    """Give rows back what they held before they were hit; look at every row then, as these may move, too.

    Fatal when they do so again and again."""
    alien = list(meant.values())
    for _ in range(MENDINGS):
        if not astray:
            return
        alien += [held for _, held in astray]
        asked = updates(book.here().id, before.places, dict(astray))
        met = named(book.change(asked, shown(before, [row for row, _ in astray], every=True)), before.places)
        astray = judge(before, meant, met[1:], alien).astray
    raise Fatal(
        f"google_sheets: rows of {book.title!r} are being moved all the time, and {len(astray)} hold another "
        f"customer's values; look at the last changes {HISTORY}"
    )


def in_step(seen: Table, rows: Mapping[int, Cells], met: Sequence[Seen], *, sorted_: bool) -> Table:
    """The reading as it is after our own write."""
    if sorted_ and rows:
        return table(seen.key, seen.places, met[1:])
    if sorted_:
        seen.placed = False
    for row, held in rows.items():
        seen.keep(row, held)
    return seen


def take_out(book: Book, seen: Table, gone: Mapping[str, int]) -> Table:
    """Delete rows just looked at; what was read, as it is now.

    Fatal when others went instead of them: that only a person can mend."""
    tab, place = book.here(), seen.places[seen.key]
    asked: list[Request] = deletions(tab.id, gone.values())
    if len(gone) >= seen.height:  # Sheets never deletes the last row below a frozen header
        asked.insert(0, more_rows(tab.id, 1))
    book.table = None
    met = named(book.change(asked, [f"{letters(place)}:{letters(place)}"]), {seen.key: place})
    left = {fold(held[seen.key]) for row, held in met if row}
    if gone.keys() & left or {*seen.rows} - gone.keys() - left:
        raise Fatal(
            f"google_sheets: somebody moved rows of {book.title!r} in the very moment Octo deleted "
            f"{len(gone)}, so others may be gone instead; look at the last change {HISTORY}"
        )
    book.table = seen.without({*gone.values()})
    return book.table
