"""How lists page, as dlt's paginators; and one of our own for lists that shift while they are read.

A list sorted by what changes shifts under who reads it by number: a record edited meanwhile moves to the end,
and the first record of the next page moves to the page already read. `walk` asks anew from the last cursor
seen, so what shifts is read twice and never missed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from requests import Request, Response

from connectors.sources.rest.order import size
from octo_dagster.errors import SourceError

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator


class Way(BaseModel):
    """One way of paging."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    walks: ClassVar[bool] = False
    anchors: ClassVar[bool] = False

    def count(self, response: Response) -> int | None:
        """How many records the vendor says there are in all; None where it does not."""
        return None


class OnePage(Way):
    """Everything in one reply."""

    by: Literal["one"]

    def paginator(self) -> BasePaginator:
        from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator  # noqa: PLC0415

        return SinglePagePaginator()


class LinkHeader(Way):
    """The `Link` header names the next page."""

    by: Literal["link"]

    def paginator(self) -> BasePaginator:
        from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator  # noqa: PLC0415

        return HeaderLinkPaginator()


class NextUrl(Way):
    """The reply names the next page's address."""

    by: Literal["next"]
    path: str

    def paginator(self) -> BasePaginator:
        from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator  # noqa: PLC0415

        return JSONLinkPaginator(self.path)


class Token(Way):
    """The reply holds a cursor for the next page: `param` takes it, or the place `body` in the body."""

    by: Literal["token"]
    path: str
    more: str | None = None
    """Where the reply says whether there is a next page."""
    param: str | None = None
    body: str | None = None

    @model_validator(mode="after")
    def one_place(self) -> Token:
        if (self.param is None) == (self.body is None):
            raise ValueError("give exactly one of param, body")
        return self

    def paginator(self) -> BasePaginator:
        from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator  # noqa: PLC0415

        return JSONResponseCursorPaginator(self.path, self.param, self.body, has_more_path=self.more)


class Numbered(Way):
    """Pages asked for by number or by offset: `{page}` from 1, `{offset}` from 0, `{size}`."""

    by: Literal["number"]
    params: dict[str, str]
    """`{page: "{page}", per_page: "{size}"}`, `{limit: "{offset},{size}"}`."""
    size: int = Field(ge=1)
    pages_header: str | None = None
    """Where the vendor says how many pages there are."""
    rows_header: str | None = None
    rows_path: str | None = None
    """Where it says how many records: by it a list that changed while it was read in whole is noticed."""
    walk: bool = False
    """Begin anew at the last cursor seen instead of turning pages; the list must be sorted by it."""
    anchored: bool = False
    """Every page is asked to begin with the last record of the one before: where another stands there, some
    were deleted meanwhile. For lists that are read whole, by `{offset}`, sorted by what does not change."""

    @model_validator(mode="after")
    def sound(self) -> Numbered:
        if self.anchored and (self.walk or self.size < 2 or "{offset}" not in str(self.params)):
            raise ValueError("anchored: needs {offset}, a size of 2 at the least, and no walk")
        return self

    @property
    def walks(self) -> bool:  # type: ignore[override]
        return self.walk

    @property
    def anchors(self) -> bool:  # type: ignore[override]
        return self.anchored

    def paginator(self) -> BasePaginator:
        made: BasePaginator = steps(self)
        return made

    def count(self, response: Response) -> int | None:
        if self.rows_header:
            return number(response.headers.get(self.rows_header))
        return number(response.json().get(self.rows_path)) if self.rows_path else None


Pages: TypeAlias = Annotated[OnePage | LinkHeader | NextUrl | Token | Numbered, Field(discriminator="by")]


def number(text: Any) -> int | None:
    return int(text) if str(text).isdigit() else None


def steps(told: Numbered) -> Any:
    """A paginator that steps by what came and not by what was asked for: a vendor may give fewer."""
    from dlt.sources.helpers.rest_client.paginators import BasePaginator  # noqa: PLC0415

    class Steps(BasePaginator):  # type: ignore[misc, unused-ignore]
        """dlt's contract."""

        def __init__(self) -> None:
            super().__init__()
            self.page, self.offset, self.longest = 1, 0, 0

        def init_request(self, request: Request) -> None:
            """Ask for the first page."""
            self._has_next_page = True
            self.page, self.offset = 1, 0
            self.update_request(request)

        def update_state(self, response: Response, data: list[Any] | None = None) -> None:
            """Whether there is a next page, by what the vendor says, else by a page shorter than others."""
            came = len(data or ())
            pages, count = number(response.headers.get(told.pages_header or "")), told.count(response)
            known = int(told.anchored)  # of the next page, what has come already
            self.page, self.offset = self.page + 1, self.offset + came - known
            if pages is not None and not known:
                self._has_next_page = self.page <= pages
            elif count is not None:
                self._has_next_page = came > known and self.offset + known < count
            else:
                self._has_next_page = came > known and came >= max(self.longest, 1)
            self.longest = max(self.longest, came)

        def update_request(self, request: Request) -> None:
            """Ask for the page that is next."""
            holes = {"{page}": self.page, "{offset}": self.offset, "{size}": told.size}
            for name, template in told.params.items():
                for hole, filling in holes.items():
                    template = template.replace(hole, str(filling))  # noqa: PLW2901
                request.params = {**(request.params or {}), name: template}

    return Steps()


class Walk:
    """Where a walk is: from which cursor the list is asked, and which records at that cursor have come."""

    def __init__(self, cursor: Callable[[Any], str | None]) -> None:
        self.cursor = cursor
        self.at: Any = None
        self.came: set[str] = set()

    def fresh(self, records: list[Any]) -> list[Any]:
        """The records that have not come before."""
        return [one for one in records if self.mark(one) not in self.came]

    def leaves(self, records: list[Any]) -> bool:
        """Whether a page goes beyond the cursor the walk is at."""
        return bool(records) and self.cursor(records[-1]) != self.at

    def late(self, records: list[Any]) -> list[Any]:
        """The records at the walk's cursor that have not come before; they have, then."""
        found = [one for one in self.fresh(records) if self.cursor(one) == self.at]
        self.came |= {self.mark(one) for one in found}
        return found

    def step(self, records: list[Any]) -> bool:
        """Take a page in; whether the list is now to be asked from a later cursor. SourceError when it is
        not sorted by it: asked from the last one, records would be missed."""
        cursors = [size(self.cursor(one)) for one in records]
        if cursors != sorted(cursors):
            raise SourceError("a list that is walked must be sorted by its cursor, and this one is not")
        last = self.cursor(records[-1]) if records else None
        moved = last is not None and last != self.at
        if moved:
            self.at, self.came = last, set()
        self.came |= {self.mark(one) for one in records if self.cursor(one) == self.at}
        return moved

    @staticmethod
    def mark(record: Any) -> str:
        return json.dumps(record, sort_keys=True)
