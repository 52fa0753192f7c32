"""The sandbox's page: what every vendor holds, what the last visit changed there, and who called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from connectors.sandbox.faults import Armed
from connectors.sandbox.vendor import Call, Vendor

ROWS_SHOWN = 50
CALLS_SHOWN = 30
LONGEST = 80
"""Characters of a value before it is cut; the whole is in its tooltip."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as text, and the text it replaced if it is not what it was."""

    text: str
    was: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One record: `changed`, `gone`, `new` or, when it is as before, nothing."""

    state: str
    cells: Mapping[str, Cell]

    def says(self, search: str) -> bool:
        return any(search in cell.text.casefold() for cell in self.cells.values())


@dataclass(frozen=True, slots=True)
class Table:
    """The first lines of a table that match the search, those that changed on top."""

    name: str
    held: int
    matching: int
    states: Mapping[str, int]
    columns: list[str]
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class Section:
    """One vendor."""

    name: str
    tables: list[Table]
    calls: list[Call]
    called: int
    faults: list[str]


def render(vendors: Mapping[str, Vendor], search: str) -> str:
    """The whole page as HTML; `search` keeps the records that have it in any field, in any case."""
    sections = [section(name, vendor, search.casefold().strip()) for name, vendor in sorted(vendors.items())]
    busy = sorted((s for s in sections if s.called), key=lambda s: -s.calls[0].at)
    return PAGE.render(
        busy=busy, idle=[s for s in sections if not s.called], search=search, rows_shown=ROWS_SHOWN
    )


def section(name: str, vendor: Vendor, search: str) -> Section:
    before, held = vendor.compared()
    calls = list(vendor.calls)
    dull = vendor.twin.bookkeeping
    tables = [table(one, before.get(one, []), rows, search, dull) for one, rows in held.items()]
    return Section(
        name=name,
        tables=sorted(tables, key=lambda table: (-sum(table.states.values()), -table.held)),
        calls=calls[: -CALLS_SHOWN - 1 : -1],
        called=len(calls),
        faults=[*map(described, vendor.faults.active()), *(+vendor.twin.armed)],
    )


def described(armed: Armed) -> str:
    fault = armed.fault
    return " ".join(filter(None, [fault.kind, fault.method and f"on {fault.method}", fault.path]))


def table(
    name: str, before: Iterable[Row], held: list[dict[str, Any]], search: str, bookkeeping: frozenset[str]
) -> Table:
    lines = [line for line in compared(by_identity(before), by_identity(held)) if line.says(search)]
    states = {state: sum(line.state == state for line in lines) for state in ("changed", "gone", "new")}
    order = ("changed", "gone", "new", "")
    shown = list(islice(sorted(lines, key=lambda line: order.index(line.state)), ROWS_SHOWN))
    matching = sum(line.state != "gone" for line in lines)
    return Table(name, len(held), matching, states, columns(shown, bookkeeping), shown)


def by_identity(rows: Iterable[Row]) -> dict[str, dict[str, str]]:
    """Rows by their first column, which in every twin says who the record is; values as text."""
    return {next(iter(texts.values()), ""): texts for texts in map(flat, rows)}


def compared(
    before: Mapping[str, Mapping[str, str]], held: Mapping[str, Mapping[str, str]]
) -> Iterator[Line]:
    """Every record there is or was, with what happened to it."""
    for identity, row in held.items():
        old = before.get(identity)
        cells = {name: cell(text, old.get(name, "") if old else text) for name, text in row.items()}
        changed = any(one.was is not None for one in cells.values())
        yield Line("new" if old is None else "changed" if changed else "", cells)
    for identity in sorted(before.keys() - held.keys()):
        yield Line("gone", {name: Cell(text) for name, text in before[identity].items()})


def cell(text: str, was: str) -> Cell:
    return Cell(text, was if was != text else None)


def columns(lines: Iterable[Line], bookkeeping: frozenset[str]) -> list[str]:
    """Who it is, then what changed, then the rest; what is empty all the way down is left out."""
    cells = [(name, cell) for line in lines for name, cell in line.cells.items()]
    said = [name for name, cell in cells if cell.text]
    address = [name for name, cell in cells if "@" in cell.text]
    changed = [name for name, cell in cells if cell.was is not None]
    order = dict.fromkeys([*address[:1], *said[:1], *changed, *said])
    return sorted(order, key=lambda name: name in bookkeeping)


def flat(row: Row, under: str = "") -> dict[str, str]:
    """Nested fields as `outer.inner`, everything as text."""
    texts: dict[str, str] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            texts |= flat(value, f"{under}{name}.")
        else:
            texts[f"{under}{name}"] = text_of(value)
    return texts


def text_of(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def clock_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")


def size(count: int) -> str:
    return f"{count / 1000:,.1f} kB" if count >= 1000 else f"{count} B"


def short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


ROOM = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
ROOM.filters |= {"clock_time": clock_time, "size": size, "short": short}
PAGE = ROOM.get_template("page.html")
