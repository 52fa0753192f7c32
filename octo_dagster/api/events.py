"""`POST /v1/events/{table}` and `POST /v1/hooks/{source}`: rows on disk before we say so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as made
from functools import cached_property
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from connectors.sources.push import POST, Push
from connectors.sources.rest.records import spelled, value
from octo_dagster.api.customers import Asker, parameter
from octo_dagster.api.errors import problem
from octo_dagster.api.gate import Crowd
from octo_dagster.api.swift import LONGEST
from octo_dagster.canonical.contracts import CONTRACTS
from octo_dagster.canonical.intake import Intake
from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.inbox import Inbox, Kept, Line, Post, Reused

router = APIRouter(prefix="/v1")

MOST_ROWS = 1_000
"""In one post."""
MOST_COLUMNS = 500
"""In one row."""
HOOKS_A_SECOND = 500
"""From one address for one source: checking a signature costs a little, and what is refused comes again."""
MOST_DEEP = 50
"""Lists and objects in one another: whoever reads the row later shall not be stopped by it."""
SCOPE = "events"
"""What a key must be for to post: `events:orders`."""
BODY = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    {"type": "object"},
                    {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": MOST_ROWS},
                ]
            }
        }
    },
}
ONCE = parameter("Idempotency-Key", "header", "Your own name for this post: sent again, it is kept once.")


class Refused(BaseModel):
    """A row that was not kept."""

    index: int
    """Its place in what was sent, from 0."""
    message: str


class Accepted(BaseModel):
    """What became of a post."""

    post: int
    """Its number: they only grow."""
    accepted: int
    rejected: list[Refused]
    ignored: list[str]
    """Names in the rows that no table reads: kept, but not used."""


class Heard(BaseModel):
    """A webhook that was taken."""

    post: int | None
    """The number of its rows; null where it is only a reason to pull."""


@dataclass(frozen=True)
class Stream:
    """What is posted under one name, and what must be in it."""

    intake: Intake
    source: Push
    name: str

    @cached_property
    def needed(self) -> Mapping[str, str]:
        """Path in a row → what it is for, of what no row can do without."""
        found: dict[str, str] = {}
        for name, table in self.intake.tables.items():
            if table.from_ != self.name or table.from_ in self.source.resources:
                continue
            for field in CONTRACTS[name].fields:
                column = table.columns.get(field.name)
                if field.required and column and column.from_:
                    found[column.from_] = field.name
            if table.cursor != POST:
                found.setdefault(str(table.cursor), "the order of versions")
        return found

    @cached_property
    def read(self) -> frozenset[str]:
        """The names at the top of a row that some table reads; empty where parts of it are made into rows."""
        tables = [
            table for table in self.intake.tables.values() if self.source.stream(table.from_) == self.name
        ]
        if any(table.from_ in self.source.resources for table in tables):
            return frozenset()
        return frozenset(path.split(".")[0].removesuffix("?") for table in tables for path in table.wanted)

    def wrong(self, row: Any) -> str | None:
        """Why a row cannot be kept; None for one that can. Whether its values are good is judged with the
        table, as for every source."""
        if not isinstance(row, dict):
            return "not a JSON object"
        if len(row) > MOST_COLUMNS:
            return f"more than {MOST_COLUMNS} names"
        if deep(row):
            return f"lists and objects more than {MOST_DEEP} deep"
        lacking = [path for path in self.needed if not (spelled(value(row, path)) or "").strip()]
        if lacking:
            return f"{lacking[0]} is missing or empty: {self.needed[lacking[0]]}"
        return None if encodable(row) else "text that is no Unicode"


def streams(project: Project) -> Mapping[str, Stream]:
    """What may be posted to a project. ConfigError when two sources listen to one name."""
    found: dict[str, Stream] = {}
    for intake in project.intakes.values():
        if not isinstance(intake.source, Push):
            continue
        for name in {intake.source.stream(table.from_) for table in intake.tables.values()}:
            if name in found:
                both = f"{found[name].intake.name}.yaml and {intake.name}.yaml"
                raise ConfigError(f"{both} both take what is posted to {name!r}; rename one's `from`")
            found[name] = Stream(intake, intake.source, name)
    return found


@dataclass(frozen=True)
class Door:
    """Where posts come in: the streams of a project, and its inbox."""

    project: Project
    inbox: Inbox
    knocks: Crowd = made(default_factory=lambda: Crowd(HOOKS_A_SECOND))

    @cached_property
    def streams(self) -> Mapping[str, Stream]:
        """What may be posted."""
        return streams(self.project)

    def hooked(self, source: str) -> Intake:
        """The source that listens to a webhook at this address."""
        intake = self.project.intakes.get(source)
        if intake is None or intake.hook is None:
            raise problem(404, "no source listens here")
        return intake

    def wait(self, address: str, source: str) -> float:
        """Seconds until this address may knock for this source; 0 for now."""
        return self.knocks.wait((address, source), time.monotonic())


async def door_of(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


Ours = Annotated[Door, Depends(door_of)]
Name = Annotated[str, Path(max_length=200)]


@router.post(
    "/events/{table}",
    summary="Rows for a source by push",
    status_code=202,
    responses={202: {"model": Accepted}},
    openapi_extra={"requestBody": BODY, "parameters": [ONCE]},
)
async def events(request: Request, key: Asker, door: Ours, table: Name) -> Response:
    """One row, or a list of up to a thousand; on disk before this is answered. Good rows are kept though
    others are refused, and each that is refused is named. A row is a version of its key: sent again, it
    changes nothing. 422 when no row is good; then nothing was kept."""
    if table not in key.columns(SCOPE, [table]):
        raise problem(403, f"this key is not for {SCOPE}:{table}")
    stream = door.streams.get(table)
    if stream is None:
        raise problem(404, "no source takes what is posted here")
    body = await request.body()
    rows = listed(parsed(body))
    wrong = {place: why for place, row in enumerate(rows) if (why := stream.wrong(row))}
    refused = [Refused(index=place, message=why) for place, why in wrong.items()]
    good = [row for place, row in enumerate(rows) if place not in wrong]
    if not good:
        raise problem(422, f"no row is good; the first: {refused[0].message}")
    said = {"accepted": len(good), "rejected": [one.model_dump() for one in refused]}
    said["ignored"] = sorted({n for row in good for n in row} - stream.read) if stream.read else []
    once = request.headers.get("idempotency-key") or None
    if len(once or "") > LONGEST:
        raise problem(422, "Idempotency-Key: too long")
    lines = [(packed(row), None) for row in good]
    post = Post(stream.intake.name, table, key.name, lines, body, once)
    try:
        kept = await run_in_threadpool(door.inbox.keep, post, orjson.dumps(said).decode())
    except Reused:
        raise problem(409, "this Idempotency-Key came before with other rows") from None
    return told({"post": kept.number, **orjson.loads(kept.answer)})


@router.post(
    "/hooks/{source}",
    summary="A vendor's webhook",
    status_code=202,
    responses={202: {"model": Heard}, 200: {"model": Heard, "description": "Nothing new"}},
    openapi_extra={"security": [], "requestBody": {"content": {"application/json": {"schema": {}}}}},
)
async def hooks(request: Request, door: Ours, source: Name) -> Response:
    """Signed by the vendor, as `hook` in the source's file says; no key. Where the source can be asked, it
    is a reason to pull it by its cursor; for a source by push, it is the rows. 200 when it is only a test of
    the address, or the rows of a delivery that was here before."""
    intake = door.hooked(source)
    if wait := door.wait(request.client.host if request.client else "", source):
        raise problem(429, "more webhooks than can be taken", {"Retry-After": str(max(1, round(wait)))})
    hook = intake.hook
    body = await request.body()
    assert hook is not None  # noqa: S101 - a source without one is not found
    if hook.ping(body):
        return told({"post": None}, 200)
    headers = {name.lower(): text for name, text in request.headers.items()}
    try:
        good = hook.signed(body, headers, time.time())
    except ConfigError:  # which variable, `octo check` says, and not to strangers
        raise problem(503, "the secret of this hook is not set") from None
    if not good:
        raise problem(401, "the signature is not good, or too old")
    if hook.into is None:
        await run_in_threadpool(door.inbox.wake, source)
        return told({"post": None})
    post = Post(source, hook.into, "hook", brought(body), body, hook.delivery(headers))
    kept = await run_in_threadpool(taken, door.inbox, replace(post, signed=hook.covered(body, headers)))
    return told({"post": kept.number}, 200 if kept.again else 202)


def taken(inbox: Inbox, post: Post) -> Kept:
    """A signed post, in the inbox. One that names itself as another did is taken too: the sender vouches for
    what it says, not for its name, and nobody tries again what is refused for long."""
    try:
        return inbox.keep(post, "{}")
    except Reused:
        return inbox.keep(replace(post, once=None), "{}")


def told(value: Any, status: int = 202) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def parsed(body: bytes) -> Any:
    """What a body says, numbers as they are spelled. 400 when it is no JSON."""
    try:
        return json.loads(body, parse_float=str, parse_int=str, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise problem(400, "the body is not JSON") from None


def refuse(_: str) -> Any:
    raise ValueError("NaN and Infinity are no JSON")


def listed(said: Any) -> Sequence[Any]:
    """The rows there are. 422 for none and for too many."""
    rows = said if isinstance(said, list) else [said]
    if not 1 <= len(rows) <= MOST_ROWS:
        raise problem(422, f"a list of 1 to {MOST_ROWS} rows")
    return rows


def encodable(row: Any) -> bool:
    """Whether all of it is text that can be written down: half a surrogate pair cannot."""
    try:
        packed(row).encode()
    except UnicodeEncodeError:
        return False
    return True


def deep(row: Any) -> bool:
    """Whether more is in one another than is kept."""
    level = [row]
    for _ in range(MOST_DEEP):
        held = [
            one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)
        ]
        level = [inner for one in held for inner in one]
        if not level:
            return False
    return True


def packed(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def brought(body: bytes) -> list[Line]:
    """The rows of a webhook. Whatever is signed is kept: what is no row is a rejected row, to be seen."""
    return list(lines(body))


def lines(body: bytes) -> Iterator[Line]:
    try:
        said = json.loads(body, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        yield None, "not JSON"
        return
    for row in said if isinstance(said, list) else [said]:
        good = isinstance(row, dict) and not deep(row) and encodable(row)
        yield (packed(row), None) if good else (None, "not a JSON object of Unicode text, or one too deep")
