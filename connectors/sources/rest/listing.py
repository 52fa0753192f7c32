"""One list, read to its end: asked page by page, its records taken apart, its rows put on disk."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests

from connectors.sources.rest.order import size
from connectors.sources.rest.pages import Walk
from connectors.sources.rest.records import Absent, Row, apart, filled, found, joined, put, total
from connectors.sources.rest.records import spelled as text
from connectors.sources.rest.records import value as at
from connectors.sources.rest.resource import Others, Resource, Since, rendered
from connectors.sources.rest.spool import Line, Spool
from connectors.sources.rest.web import Missing
from octo_dagster.errors import SourceError
from octo_dagster.source import Pull

READINGS = 3
"""How often a list that changes while it is read in whole is read again."""


class Shifted(Exception):
    """A list lost records while its pages were turned."""


@dataclass
class Listing:
    """A list on its way; `reached` is the greatest cursor that came."""

    root: str
    resource: Resource
    parent: Resource | None
    pull: Pull
    http: requests.Session
    auth: Any
    reached: str | None = None
    sound: int = 0
    """Rows without a fault."""
    present: set[str] = field(default_factory=set)
    """The wanted columns that some record had."""

    @property
    def since(self) -> Since | None:
        return (self.parent or self.resource).since

    def for_keys(self) -> Listing:
        """The same list, asked for its keys only."""
        keys = self.resource.keys
        if keys is None:
            return self
        pages = keys.pages or self.resource.pages
        still = pages.model_copy(update={"walk": False}) if pages.walks else pages
        asked = {
            "params": {**self.resource.params, **keys.params},
            "json_": {**(self.resource.json_ or {}), **keys.json_} or None,
            "pages": still,
        }
        self.resource = self.resource.model_copy(update=asked)
        return self

    def spooled(self, begin: Any) -> Spool:
        """All rows from `begin` on. A list that lost records while it was read is read again: its pages moved
        up, and what was passed over would be taken for deleted."""
        for _ in range(READINGS):
            self.reached = None
            spool = Spool(self.pull.columns)
            try:
                spool.fill(self.lines(begin))
            except Shifted:
                continue
            self.check(spool)
            return spool
        raise SourceError(f"{self.resource.path}: kept changing while it was read; try again later")

    def check(self, spool: Spool) -> None:
        """A path that no record of a first load has is misspelled, or the API is another than was told; one
        that ends in `?` is of a key that the API leaves out."""
        missing = [name for name in self.pull.columns if name not in self.present and name[-1] != "?"]
        if missing and self.sound and self.pull.after is None:
            spool.file.close()
            raise SourceError(f"{self.resource.path}: no record has {', '.join(missing)}")

    def lines(self, begin: Any) -> Iterator[Line]:
        for record in self.records_from(begin):
            known = record.get("id") if isinstance(record, dict) else None
            # The same each time it is read: rows that are here already are told by all their values.
            yield from self.rows(record, f"{self.pull.table}/{known}" if known else self.pull.table)

    def records_from(self, begin: Any) -> Iterator[Row]:
        """The list's records; of a list that every parent has, each parent's in turn."""
        if self.parent is None:
            yield from self.pages(self.resource, self.resource.path, begin)
            return
        for parent in self.pages(self.parent, self.parent.path, begin):
            path = filled(self.resource.path, {"parent": parent})
            if path is None:
                raise SourceError(f"{self.parent.path}: a record lacks what {self.resource.path} needs")
            try:
                for record in self.pages(self.resource, path, begin):
                    yield {**record, "parent": parent}
            except Missing:
                continue  # the parent was deleted since its list was read

    def pages(self, resource: Resource, path: str, begin: Any) -> Iterator[Row]:
        """Every record from `begin` on, once, by whichever way the list pages."""
        if resource.pages.walks:
            yield from self.walked(resource, path, begin)
            return
        came, most, last = 0, 0, None
        for told, count in self.paged(resource, path, begin, resource.pages.paginator()):
            page = told if last is None else following(last, told)
            last = told[-1] if told and resource.pages.anchors else None
            came += len(page)
            if count is not None and count < most:
                raise Shifted
            most = count or 0
            yield from page
        if came < most:
            raise Shifted

    def walked(self, resource: Resource, path: str, begin: Any) -> Iterator[Row]:
        """Every record of a list that is asked anew from each cursor it reaches. Where one cursor has several
        pages, they are turned by number, so they are turned again until that brings nothing new."""
        walk, paginator = Walk(self.cursor), resource.pages.paginator()
        going = True
        while going:
            going, turned, came = False, 0, 0
            for page, _ in self.paged(resource, path, begin, paginator):
                if turned and (walk.leaves(page) or not paginator.has_next_page):
                    late = walk.late(page)
                    yield from late
                    if came + len(late):
                        going = True
                        break
                fresh = walk.fresh(page)
                yield from fresh
                turned, came = turned + 1, came + len(fresh)
                if walk.step(page) and paginator.has_next_page:
                    begin, going = walk.at, True
                    break

    def cursor(self, record: Row) -> str | None:
        return text(at(record, self.pull.cursor)) if self.pull.cursor else None

    def paged(
        self, resource: Resource, path: str, begin: Any, paginator: Any
    ) -> Iterator[tuple[list[Row], int | None]]:
        """Page after page by dlt's client, each judged before it is believed; and how many records the vendor
        says there are, where it does."""
        from dlt.common.configuration.specs.runtime_configuration import (  # noqa: PLC0415
            RuntimeConfiguration,
        )
        from dlt.sources.helpers.rest_client.client import RESTClient  # noqa: PLC0415

        quiet = RuntimeConfiguration(dlthub_telemetry=False)  # given, so that no file of dlt's is looked for
        client = RESTClient(self.root, auth=self.auth, session=self.http, config=quiet)
        params, body = self.asked(resource, begin)
        last: list[Row] = []
        try:
            for page in client.paginate(
                path,
                method=resource.method,
                params=params,
                json=body,
                paginator=paginator,
                data_selector=resource.records,
            ):
                records = judged(resource, page)
                if records and records == last:
                    raise SourceError(f"{path}: the same page came twice: `pages` is not how it pages")
                last = records
                yield records, resource.pages.count(page.response)
        except (requests.exceptions.RequestException, ValueError, KeyError) as error:
            # dlt's own words quote the whole reply, people and all.
            raise SourceError(f"{path}: pages cannot be turned: {type(error).__name__}") from None

    def asked(self, resource: Resource, begin: Any) -> tuple[dict[str, Any], Any]:
        """Params and body of a first page from `begin` on."""
        now = datetime.fromtimestamp(self.pull.outside.clock(), UTC)
        since = resource.since.asked(begin, now) if resource.since and self.pull.cursor else None
        form = resource.since.format if resource.since else None
        told = now.strftime(form or "%Y-%m-%dT%H:%M:%SZ")
        params = rendered(resource.params, since, told)
        plain = {name: str(one).lower() if isinstance(one, bool) else one for name, one in params.items()}
        return plain, copy.deepcopy(rendered(resource.json_, since, told))

    def rows(self, record: Any, origin: str) -> Iterator[Line]:
        """The record's rows; one with a fault where it cannot be read, one without values where its list is
        empty, so that rows it once had are known to be gone."""
        if not isinstance(record, dict):
            yield self.fault(origin, "not a JSON object")
            return
        for path, expected in self.resource.whole_if.items():
            if text(at(record, path)) == expected:
                continue
            if self.resource.others is None:
                yield self.fault(origin, f"{self.resource.each} was cut short: {path} is not {expected}")
                return
            record = self.completed(record, self.resource.others)
            break
        try:
            made = list(apart(record, self.resource.each)) if self.resource.each else [(1, record)]
        except Absent as absent:
            yield self.fault(origin, f"no list at {absent}")
            return
        for _, row in made:
            self.note(row)
        kept = [row for place, row in made if place and self.wanted(row)]
        self.sound += len(kept)
        for row in kept:
            yield self.values(row), origin, None
        if self.resource.each and self.pull.parts and not kept:
            yield self.values(put(record, self.resource.each, None)), f"{origin}:none", None

    def completed(self, record: Row, others: Others) -> Row:
        """The record with what the vendor left out of its list."""
        asked, path = others.of(record, self.resource), str(self.resource.each)
        pages = self.paged(asked, asked.path, None, asked.pages.paginator())
        return put(record, path, [*found(record, path), *(one for page, _ in pages for one in page)])

    def fault(self, origin: str, why: str) -> Line:
        return (None,) * len(self.pull.columns), origin, why

    def wanted(self, row: Row) -> bool:
        where, unless = self.resource.where, self.resource.unless
        return all(text(at(row, path)) in allowed for path, allowed in where.items()) and not any(
            text(at(row, path)) in refused for path, refused in unless.items()
        )

    def note(self, row: Row) -> None:
        """Remember the greatest cursor, of records that are no rows too."""
        cursor = self.cursor(row)
        if cursor is not None and size(cursor)[0] and size(cursor) > size(self.reached):
            self.reached = cursor

    def values(self, row: Row) -> tuple[str | None, ...]:
        """The wanted columns as text, with what is empty emptied and what is made of others made."""
        for path, nothing in self.resource.empty.items():
            if text(at(row, path)) in nothing:
                row = put(row, path, None)
        made: Mapping[str, Any] = {name: total(terms, row) for name, terms in self.resource.sum.items()}
        row = {**row, **made}
        row = {**row, **{name: filled(told, row) for name, told in self.resource.add.items()}}
        return tuple(self.value(row, name) for name in self.pull.columns)

    def value(self, row: Row, name: str) -> str | None:
        path = name.removesuffix("?")
        try:
            told = found(row, path) if "." in path and path not in row else row[path]
        except (Absent, KeyError):
            return None
        self.present.add(name)
        return text(told)


def following(last: Row, page: list[Row]) -> list[Row]:
    """What a page brings after the record it was to begin with. Shifted when it begins with another."""
    if not page or (page[0] != last and (page[0].get("id") is None or page[0]["id"] != last.get("id"))):
        raise Shifted
    return page[1:]


def judged(resource: Resource, page: Any) -> list[Row]:
    """A page's records. SourceError when there is no list where one was told: nothing is not zero."""
    from dlt.common import jsonpath  # noqa: PLC0415

    body = page.response.json()
    if resource.records == "$" and not (isinstance(body, list) or resource.pages.by == "one"):
        raise SourceError(f"{resource.path}: the reply is no list")  # a gatekeeper's word, with status 200
    sure = resource.may_lack_records or body == []  # PrestaShop's way of saying none
    if not sure and not jsonpath.find_values(resource.records, body):
        raise SourceError(f"{resource.path}: the reply has no {resource.records}")
    return joined(body, list(page)) if resource.included else list(page)
