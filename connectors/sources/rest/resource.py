"""One list of an API as the YAML tells it: where it is, how to ask for what is new, what a row is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from connectors.sources.rest.order import NUMBER, earlier, moment, size, spelled_like
from connectors.sources.rest.pages import OnePage, Pages
from connectors.sources.rest.records import Row, value

NEEDS_SINCE = "{since}"


class Told(BaseModel):
    """A part of the YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Since(Told):
    """How a list is asked for what is new. `{since}` in params and json is where to begin, `{now}` this
    moment; a parameter that holds `{since}` is left out of a first load that has nowhere to begin."""

    exclusive: bool = False
    """The vendor leaves out records at exactly that time: it is asked from one second earlier."""
    format: str | None = None
    """How the vendor wants a time, in strftime's letters; left out, as the cursor spells it."""
    days: int | None = Field(default=None, ge=1)
    """How far back the vendor can be asked at all; a first load begins there."""
    zone: str = "UTC"
    """Of cursors that state no zone."""

    @field_validator("zone")
    @classmethod
    def a_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"no time zone is called {value!r}")
        return value

    def known(self, reached: str | None, now: float) -> str | None:
        """A cursor as far as it can be relied on: a time that is still to come is cut to this moment."""
        if reached is None or re.fullmatch(NUMBER, reached) or not size(reached)[0]:
            return reached
        told = datetime.fromisoformat(reached)
        limit = datetime.fromtimestamp(int(now), told.tzinfo or ZoneInfo(self.zone))
        if told.tzinfo is None:
            limit = limit.replace(tzinfo=None)
        if told <= limit:
            return reached
        text = limit.isoformat(sep="T" if "T" in reached else " ")
        return text.replace("+00:00", "Z") if reached.endswith("Z") else text

    def asked(self, begin: Any, now: datetime) -> str | None:
        """The moment to ask from, as the vendor spells it."""
        first = now - timedelta(days=self.days) if self.days else None
        if begin is None and first is None:
            return None
        if first and (begin is None or moment(begin) < first):
            begin = spelled_like(first, begin)
        if self.exclusive:
            begin = earlier(begin, 1)
        if not self.format:
            return str(begin)
        at = moment(begin)
        return (at.astimezone(UTC) if self.format.endswith("Z") else at).strftime(self.format)


class Parent(Told):
    """A list each of whose records has a list of its own: `reports/{parent.id}/sent-to`."""

    resource: str
    """The parents' list, another of `resources`. Rows have the parent's record as `parent`."""


class Keys(Told):
    """What is asked when every key there is wanted, to find what was deleted: fewer fields, as a rule."""

    params: Mapping[str, str | int | bool] = {}
    json_: Mapping[str, Any] = Field(default={}, alias="json")
    pages: Pages | None = None
    """Left out, the list's own, without walking: it must then be sorted by what does not change."""


class Others(Told):
    """How those are asked for that the vendor left out of a record's own list, `each`. By the list's own path
    and method; a value `{path}` in the body is the record's."""

    json_: Mapping[str, Any] = Field(alias="json")
    records: str
    pages: Pages

    def of(self, record: Row, resource: Resource) -> Resource:
        """The list of what this record lacks."""
        body = bound(self.json_, record)
        return resource.model_copy(
            update={"json_": body, "records": self.records, "pages": self.pages, "since": None}
        )


class Resource(Told):
    """One list of the API: a table's `from` names it."""

    path: str
    method: Literal["GET", "POST"] = "GET"
    params: Mapping[str, str | int | bool] = {}
    json_: Mapping[str, Any] | None = Field(default=None, alias="json")
    """The body of a POST."""
    records: str = "$"
    """Where in the reply the records are, as a JSON path; `$` is the reply itself."""
    may_lack_records: bool = False
    """Whether a reply without such a place means none (Brevo); else it is a mistake: nothing is not zero."""
    pages: Pages = OnePage(by="one")
    since: Since | None = None
    parent: Parent | None = None
    included: bool = False
    """JSON:API: relationships become what the reply includes of them."""
    where: Mapping[str, tuple[str, ...]] = {}
    """Path → the values of which a record must have one. Others are no rows."""
    unless: Mapping[str, tuple[str, ...]] = {}
    """Path → values of which a record must have none."""
    each: str | None = None
    """A list inside the record: a row for each of its elements, which stands there in the list's place."""
    whole_if: Mapping[str, str] = {}
    """Path → the value it has unless `each` was cut short by the vendor; a record that was cut is a fault,
    where no `others` say how to ask for what it lacks."""
    others: Others | None = None
    empty: Mapping[str, tuple[str, ...]] = {}
    """Path → spellings that mean nothing there: `0` for no customer, `0000-00-00` for no date."""
    add: Mapping[str, str | tuple[str, ...]] = {}
    """Columns made of others by a template, or by the first of several whose parts all have a value."""
    sum: Mapping[str, tuple[str, ...]] = {}
    """Columns that are sums of `path`, `-path`, `path.*.path`, `path * path` and `path * path / path`."""
    keys: Keys | None = None

    @model_validator(mode="after")
    def sound(self) -> Resource:
        held = NEEDS_SINCE in f"{self.path} {self.params} {self.json_}"
        if self.since and not held:
            raise ValueError("since: neither params nor json holds {since}")
        if held and not self.since:
            raise ValueError("params: {since} needs `since`")
        if self.others and not (self.each and self.whole_if and self.method == "POST"):
            raise ValueError("others: needs each, whole_if and method POST")
        if self.method == "GET" and self.json_ is not None:
            raise ValueError("json: needs method POST")
        if self.pages.walks and not self.since:
            raise ValueError("pages.walk: needs `since`")
        if self.parent is None and "{parent." in self.path:
            raise ValueError("path: {parent.…} needs `parent`")
        return self


def rendered(told: Any, since: str | None, now: str) -> Any:
    """Params or a body with `{since}` and `{now}` filled in; without a `since`, what needs it is left out."""
    if isinstance(told, Mapping):
        kept = {k: v for k, v in told.items() if since is not None or NEEDS_SINCE not in str(v) or nested(v)}
        return {key: rendered(one, since, now) for key, one in kept.items()}
    if isinstance(told, list | tuple):
        return [rendered(one, since, now) for one in told]
    return told.replace(NEEDS_SINCE, since or "").replace("{now}", now) if isinstance(told, str) else told


def bound(told: Any, record: Row) -> Any:
    """A body whose values `{path}` are the record's; every other text stays as it is."""
    if isinstance(told, Mapping):
        return {key: bound(one, record) for key, one in told.items()}
    hole = re.fullmatch(r"\{([\w.]+)\}", told) if isinstance(told, str) else None
    return value(record, hole[1]) if hole else told


def nested(told: Any) -> bool:
    return isinstance(told, Mapping | list | tuple)
