"""Headers: the first row of the tab, which says what each column is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

from connectors.destinations.google_sheets.book import Book, Tab
from connectors.destinations.google_sheets.requests import Request, letters, more_columns, new_tab, updates
from octo_dagster.destination import FieldReport
from octo_dagster.model import FieldType


def ensure(book: Book, fields: Mapping[str, FieldType], *, create: bool, order_by: str | None) -> FieldReport:
    """Make the tab and the headers that are missing, after the columns there are, in one call."""
    tab = book.tab(again=True)
    found = book.headers() if tab else []
    problems = [line for name in fields if (line := problem(name, found))]
    if order_by and order_by not in fields:
        problems.append(f"{order_by}: order_by names no mapped field")
    missing = [name for name in fields if name not in found]
    if missing and not create:
        problems += [f"{name}: the tab {book.title!r} has no column of this name" for name in missing]
    elif missing and not problems:
        make(book, tab, missing, found)
    existing = tuple(name for name in fields if name in found)
    return FieldReport(tuple(missing) if create and not problems else (), existing, tuple(problems))


def problem(name: str, found: Sequence[str]) -> str | None:
    """Why a field cannot be a column."""
    if name != name.strip():
        return f"{name}: a header has no blanks round it"
    if found.count(name) > 1:
        return f"{name}: {found.count(name)} columns have this header"
    return None


def make(book: Book, tab: Tab | None, missing: Sequence[str], found: Sequence[str]) -> None:
    """A missing tab is made with its headers; to one that is there they are added at the right."""
    asked: list[Request] = []
    if tab is None:
        number = free(crc32(book.title.encode()) & 0x7FFFFFFF, {one.id for one in book.tabs()})
        tab, start = Tab(number, book.title, 1000, max(26, len(missing))), 0
        asked.append(new_tab(number, book.title, len(missing)))
    else:
        start = first_free(book, tab, len(found))
    if (short := start + len(missing) - tab.columns) > 0:
        asked.append(more_columns(tab.id, short))
    places = {name: start + n for n, name in enumerate(missing)}
    book.change([*asked, *updates(tab.id, places, {0: {name: name for name in missing}})], [])
    book.table = book.about = None


def free(number: int, taken: set[int]) -> int:
    while number in taken:
        number += 1
    return number


def first_free(book: Book, tab: Tab, start: int) -> int:
    """The first column after those with a header, and after those with anything else in them."""
    if start >= tab.columns:
        return start
    (columns,) = book.values([f"{letters(start)}:{letters(tab.columns - 1)}"])
    return start + len(columns)
