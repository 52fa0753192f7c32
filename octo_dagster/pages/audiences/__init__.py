"""Audiences: how large, who is reached, how they overlap, who came and left; and their rules, to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from octo_dagster.errors import ConfigError
from octo_dagster.pages.audiences import figures, file
from octo_dagster.pages.audiences.file import Changed, Draft
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import acting, board
from octo_dagster.pages.render import page as shown
from octo_dagster.scoring.profile import TABLE as PROFILE

router = APIRouter()
page = Page("audiences", "/audiences", router, "people", 20)

Text = Annotated[str, Form(max_length=5_000)]
Names = Annotated[list[str] | None, Form()]


@router.get("/audiences")
def audiences(request: Request) -> Response:
    """Every audience: its size, its reach, who came and left on the last day, what it shares with others."""
    told = board(request)
    conditions, problems = figures.conditions(told)
    return shown(
        request,
        "audiences/list.html",
        sizes=figures.sizes(told, conditions),
        overlap=figures.overlap(told, conditions),
        movements={one["audience"]: one for one in figures.movements(told)},
        files=told.project.audiences,
        priorities=told.project.priorities,
        problems=problems,
        day=told.as_of(PROFILE),
    )


@router.get("/audiences/new")
def new(request: Request) -> Response:
    """An empty editor, or one that begins with the rule in the address."""
    rule = request.query_params.get("rule", "")[:5_000]
    return editor(request, Draft("", "", rule, (), (), file.NEW))


@router.get("/audiences/values")
def values(request: Request, column: str) -> Response:
    """The commonest values of a text column, to complete a rule with; none of a column about persons."""
    return JSONResponse(figures.values(board(request), column))


def drafted(
    rule: Text = "",
    name: Text = "",
    description: Text = "",
    mark: Text = file.NEW,
    include: Names = None,
    exclude: Names = None,
) -> Draft:
    """The audience in the form."""
    return Draft(name.strip(), description, rule, tuple(include or ()), tuple(exclude or ()), mark)


Drafted = Annotated[Draft, Depends(drafted)]


@router.post("/audiences/preview")
def preview(request: Request, draft: Drafted) -> Response:
    """How many and who an audience would be, as part of a page; what is wrong with its rule, in words."""
    return shown(request, "audiences/preview.html", **tried(request, draft))


@router.post("/audiences/try")
def try_out(request: Request, draft: Drafted) -> Response:
    """The editor again, with the same: for who has no scripts."""
    return editor(request, draft)


@router.post("/audiences/save", dependencies=[Depends(acting)])
def save(request: Request, draft: Drafted) -> Response:
    """Write the file; the editor again, with what is wrong, when it cannot be."""
    project = board(request).project
    try:
        figures.drafted(board(request), draft)
        file.write(project, draft)
    except ConfigError as wrong:
        return editor(request, draft, list(wrong.problems), 409 if isinstance(wrong, Changed) else 422)
    return RedirectResponse(f"/audiences/{draft.name}?told=audiences.saved", 303)


@router.get("/audiences/{name}")
def audience(request: Request, name: str) -> Response:
    """One audience: what its file says, how large it was day by day, some of who is in it."""
    told = board(request)
    held = told.project.audiences.get(name)
    days = figures.history(told, name)
    if held is None and not days:
        raise HTTPException(404)
    conditions, problems = figures.conditions(told, name)
    return shown(
        request,
        "audiences/one.html",
        name=name,
        held=held,
        size=next(iter(figures.sizes(told, conditions)), None),
        days=days,
        sample=figures.sample(
            told, conditions.get(name), figures.shown_columns(told, held.rule if held else None)
        ),
        moved=figures.moved(told, name),
        before=told.project.roster.before(name) if held and not problems else (),
        syncs=[sync.name for sync in told.project.syncs.values() if sync.audience == name],
        problems=problems,
        day=told.as_of(PROFILE),
    )


@router.get("/audiences/{name}/edit")
def edit(request: Request, name: str) -> Response:
    """The editor, with what the file says now."""
    draft = file.read(board(request).project, name)
    if draft is None:
        raise HTTPException(404)
    return editor(request, draft)


def editor(request: Request, draft: Draft, problems: Sequence[str] = (), status: int = 200) -> Response:
    """The form, with a first preview of what is in it."""
    told = board(request)
    return shown(
        request,
        "audiences/edit.html",
        status,
        draft=draft,
        others=[name for name in told.project.audiences if name != draft.name],
        vocabulary=figures.vocabulary(told),
        unsaved=problems,
        **tried(request, draft),
    )


def tried(request: Request, draft: Draft) -> dict[str, Any]:
    """What the profile says of a draft."""
    told = board(request)
    if not draft.rule.strip() and not draft.include:
        return {"size": None, "sample": [], "problems": []}
    try:
        condition, size = figures.drafted(told, replace(draft, name=draft.name or UNNAMED))
    except ConfigError as wrong:
        return {"size": None, "sample": [], "problems": list(wrong.problems)}
    columns = figures.shown_columns(told, draft.rule)
    return {
        "size": size,
        "sample": figures.sample(told, condition, columns),
        "problems": [],
    }


UNNAMED = "new_audience"
"""What a draft is called for as long as nobody named it."""
