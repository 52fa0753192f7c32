"""Customers: who they are, found by whatever is known of them; and each one's whole story."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Form, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response, StreamingResponse

from octo_dagster.pages.board import Board
from octo_dagster.pages.customers import listing, story
from octo_dagster.pages.customers.listing import Asked
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board, kept, speaker
from octo_dagster.pages.render import page as shown
from octo_dagster.pages.scores.labels import Labels
from octo_dagster.scoring.profile import FIGURES
from octo_dagster.scoring.profile import TABLE as PROFILE
from octo_dagster.scoring.rules import kind
from octo_dagster.serving.tables import BadQuery, filters
from octo_dagster.words import Speaker

router = APIRouter()
page = Page("customers", "/customers", router, "people", 10)

LABELLED = ("rfm_segment", "rfm_trend", "rfi_label", "promophilia_class", "pressure_position", "scenario")
"""Columns of labels: what one looks for first, told in the visitor's language."""
SCORES = ("rfm", "rfm_trend", "rhythm", "promotion_sensitivity", "marketing_pressure", "reactivation")
"""Whose settings name them."""
OPERATORS = ("eq", "ne", "gte", "lte", "gt", "lt", "starts", "in", "null")


@router.get("/customers")
def customers(request: Request) -> Response:
    """The list; what is wrong with a question is said above it."""
    told, question = board(request), from_address(request)
    if not told.has(PROFILE):
        return shown(request, "home/home.html", sizes=None, day=None, notices=[], paths={})
    try:
        found, problem = listing.listed(told, question, kept(request)), None
    except BadQuery as wrong:
        found, problem = listing.Listed((), (), None, 0), str(wrong)
    spoken = words(request, told)
    return shown(
        request,
        "customers/list.html",
        200 if problem is None else 422,
        asked=question,
        found=found,
        problem=said(request, problem),
        spelled=[spelled(request, text, spoken["label"]) for text in question.where],
        groups=groups(told),
        operators=OPERATORS,
        searched=kept(request).told(question.search) or "",
        link=lambda **changed: f"/customers?{urlencode(question.address(**changed))}",
        file=f"/customers.csv?{urlencode(question.address())}",
        day=told.as_of(PROFILE),
        numeric=numeric(told),
        **spoken,
    )


def words(request: Request, told: Board) -> dict[str, Any]:
    """What the templates say of columns, scores and labels in the visitor's language."""
    said = speaker(request)
    return {
        "named": partial(named, said),
        "meaning": partial(meaning, said),
        "labelled": LABELLED,
        "label": Labels(told, said.language, *SCORES),
    }


def named(said: Speaker, kind: str, name: str) -> str:
    """A column's or a score's name as people read it; its own where there is no other."""
    key = f"{kind}.{name}"
    return said.say(key) if said.knows(key) else name


def meaning(said: Speaker, score: str, column: str, description: str) -> str:
    """What a column is: in French that of a shipped score as French says it, nothing where it does not; of
    one's own as its file says it."""
    if said.language == "en" or not said.knows(f"score.{score}"):
        return description
    key = f"measure.{column}"
    return said.say(key) if said.knows(key) else ""


def from_address(request: Request) -> Asked:
    """What an address asks of the list. 422 for one that is too long to mean anything."""
    query = request.query_params
    if len(request.url.query) > 20_000:
        raise HTTPException(422)
    names = [name for text in query.getlist("columns") for name in text.split(",") if name]
    where = tuple(text for text in query.getlist("where") if text)
    return Asked(
        query.get("q", ""), where, query.get("sort", ""), query.get("after", ""), tuple(dict.fromkeys(names))
    )


def said(request: Request, problem: str | None) -> str | None:
    """What is wrong, in the visitor's words where there are some."""
    return speaker(request).say("customers.gone") if problem == "gone" else problem


def spelled(request: Request, text: str, label: Labels) -> str:
    """A filter as people read it."""
    whole = (kept(request).told(text[1:]) or "?") if text.startswith("~") else text
    column, _, rest = whole.partition(":")
    operator, _, value = rest.partition(":")
    said = speaker(request)
    name = named(said, "column", column)
    if operator == "null":
        return f"{name} {said.say('op.null' if value == 'true' else 'op.there')}"
    told = label(value) if column in LABELLED else value
    return f"{name} {said.say(f'op.{operator}') if operator in OPERATORS else operator} {told}"


def groups(told: Board) -> list[tuple[str, list[tuple[str, str]]]]:
    """The profile's columns by where they come from, each with what it means."""
    scores = [score for score in told.project.told_scores if score.on_profile]
    about = {column.name: (score.name, column.description) for score in scores for column in score.columns}
    made: dict[str, list[tuple[str, str]]] = {}
    for name in told.columns(PROFILE):
        group, description = about.get(name, ("orders" if name in FIGURES else "customers", ""))
        made.setdefault(group, []).append((name, description))
    return list(made.items())


def numeric(told: Board) -> frozenset[str]:
    """The columns that hold numbers."""
    return frozenset(name for name, arrow in told.columns(PROFILE).items() if kind(arrow) == "a number")


@router.post("/customers/search")
def search(request: Request, text: Annotated[str, Form(max_length=200)] = "") -> Response:
    """Whoever has this id, at once; else the list of those in whom every word is found."""
    told = board(request)
    if not text.strip():
        return RedirectResponse("/customers", 303)
    if one := listing.exactly(told, text.strip()):
        return RedirectResponse(f"/customers/{quote(one, safe='')}", 303)
    word = kept(request).keep(text.strip())
    found = listing.listed(told, Asked(search=word), kept(request))
    if found.count == 1:
        return RedirectResponse(f"/customers/{quote(found.rows[0]['customer_id'], safe='')}", 303)
    return RedirectResponse(f"/customers?q={word}", 303)


@router.post("/customers/filter")
def narrow(
    request: Request,
    column: Annotated[str, Form(max_length=200)],
    operator: Annotated[str, Form(max_length=10)],
    value: Annotated[str, Form(max_length=300)] = "",
    back: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """One filter more. What it says of a person is kept here; only a word for it stands in the address."""
    told = board(request)
    text = f"{column}:null:{'false' if value == 'false' else 'true'}" if operator == "null" else ""
    text = text or f"{column}:{operator}:{stored(request, column, value.strip())}"
    try:
        filters([text], told.columns(PROFILE))
    except BadQuery as wrong:
        raise HTTPException(409, str(wrong)) from None
    if column in listing.private(told) and operator != "null":
        text = f"~{kept(request).keep(text)}"
    return RedirectResponse(f"/customers?{back}{'&' if back else ''}where={quote(text, safe='~')}", 303)


def stored(request: Request, column: str, value: str) -> str:
    """What the table holds for a label as the list shows it; any other value as it is."""
    told = board(request)
    if column not in LABELLED or column not in told.columns(PROFILE):
        return value
    label: Labels = words(request, told)["label"]
    held = [
        row["one"] for row in told.select(f"select distinct {column} as one from {PROFILE}") if row["one"]
    ]
    return next((one for one in held if value in (one, label(one))), value)


@router.get("/customers.csv")
def as_file(request: Request) -> Response:
    """Everything that is filtered, as a file for a spreadsheet."""
    try:
        language = speaker(request).language
        parts = listing.as_file(board(request), from_address(request), kept(request), language)
    except BadQuery as wrong:
        raise HTTPException(409, said(request, str(wrong))) from None
    headers = {"content-disposition": 'attachment; filename="customers.csv"'}
    return StreamingResponse(parts, media_type="text/csv; charset=utf-8", headers=headers)


@router.get("/customers/{customer_id:path}")
def customer(request: Request, customer_id: str, after: Annotated[int, Query(ge=0)] = 0) -> Response:
    """One customer's whole story."""
    told = board(request)
    profile = story.profile(told, customer_id) if told.has(PROFILE) else None
    if profile is None:
        raise HTTPException(404)
    day = told.as_of(PROFILE)
    everything, spoken = story.happened(told, customer_id), words(request, told)
    return shown(
        request,
        "customers/story.html",
        profile=profile,
        name=" ".join(filter(None, (profile.get("first_name"), profile.get("last_name")))),
        groups=groups(told),
        reasons=story.reasons(told, customer_id, speaker(request).language, spoken["label"]),
        events=everything[after : after + story.EVENTS],
        older=after + story.EVENTS if len(everything) > after + story.EVENTS else None,
        after=after,
        months=story.months(everything, day) if day else [],
        stays=story.stays(told, customer_id),
        lists=story.recommended(told, customer_id),
        sent=story.sent(told, customer_id),
        day=day,
        numeric=numeric(told),
        **spoken,
    )
