"""Templates into HTML: what every template may call, and the frame round each page."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse

from octo_dagster.pages.board import Board
from octo_dagster.pages.kept import Kept
from octo_dagster.pages.page import GROUPS, Page
from octo_dagster.pages.sessions import Visitor
from octo_dagster.words import NONE, Speaker

HERE = Path(__file__).parent
STATIC = HERE / "static"


@cache
def environment() -> Environment:
    """Templates lie beside the code that shows them: `customers/list.html` is in `pages/customers/`."""
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"static": static, "NONE": NONE}
    return made


@cache
def static(name: str) -> str:
    """The address of a file in `static/`; it changes with the file, so that browsers keep no old one."""
    return f"/static/{name}?{hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]}"


def page(request: Request, template: str, status: int = 200, **told: Any) -> HTMLResponse:
    """A template as the reply, with what is told it; `title` is a text of the catalogue or of your own."""
    said = speaker(request)
    frame = {
        "t": said.say,
        "speaker": said,
        "language": said.language,
        **{name: getattr(said, name) for name in ("number", "money", "percent", "day", "moment", "value")},
        "visitor": request.state.visitor,
        "may_act": request.state.visitor is not None and request.state.visitor.may_act,
        "menu": menu(request),
        "path": request.url.path,
        "languages": {one: in_language(request, one) for one in ("en", "fr")},
        "told": taken(request),
    }
    return HTMLResponse(environment().get_template(template).render(frame | told), status)


def board(request: Request) -> Board:
    """The project's tables and files."""
    made: Board = request.app.state.board
    return made


def kept(request: Request) -> Kept:
    """Where what must not stand in an address is kept under a word."""
    made: Kept = request.app.state.kept
    return made


def speaker(request: Request) -> Speaker:
    """Who says texts and numbers in this visitor's language."""
    said: Speaker = request.state.speaker
    return said


async def acting(request: Request) -> Visitor:
    """The visitor, who may act: a dependency of every route that changes something. 403 for who may look."""
    visitor: Visitor = request.state.visitor
    if not visitor.may_act:
        raise HTTPException(403, speaker(request).say("may_only_look"))
    return visitor


def menu(request: Request) -> list[tuple[str, list[Page]]]:
    """The menu's parts with their pages."""
    there = [one for one in request.app.state.pages if speaker(request).knows(f"menu.{one.name}")]
    parts = [(group, [one for one in there if one.group == group]) for group in GROUPS]
    return [(group, held) for group, held in parts if held]


def in_language(request: Request, language: str) -> str:
    """This address in another language; a form's reply has no address of its own, so home then."""
    if request.method != "GET":
        return f"/?lang={language}"
    return str(request.url.include_query_params(lang=language).replace(scheme="", netloc=""))


def taken(request: Request) -> Mapping[str, str]:
    """The one sentence the page before left for this one (`tell`)."""
    key = request.query_params.get("told", "")
    return {"key": f"told.{key}"} if speaker(request).knows(f"told.{key}") else {}
