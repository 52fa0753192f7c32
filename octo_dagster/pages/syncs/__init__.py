"""Syncs: how each stands, what it would change, a person's word for it, what it did, what it owes."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from octo_dagster.delivery.ledger import now
from octo_dagster.delivery.plan import Plan
from octo_dagster.errors import Busy, PlanStale
from octo_dagster.ops import alerts
from octo_dagster.ops.status import status
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import acting, board, kept, speaker
from octo_dagster.pages.render import page as shown
from octo_dagster.pages.sessions import Visitor
from octo_dagster.pages.syncs import figures, preview
from octo_dagster.pages.syncs.dagster import Dagster, DagsterError
from octo_dagster.pages.syncs.errand import Became, Errands, Wish
from octo_dagster.pages.syncs.figures import Asked
from octo_dagster.pages.syncs.hours import hours
from octo_dagster.sync import Sync

router = APIRouter()
page = Page("syncs", "/syncs", router, "tools", 10)

Acting = Annotated[Visitor, Depends(acting)]
LINES = 10
"""Owed rows on a sync's page; the rest is a page of its own."""


def errands(request: Request) -> Errands:
    """What people asked for since this server began."""
    made: Errands = request.app.state.errands
    return made


def known(request: Request, name: str) -> Sync:
    """The sync of this name; 404 without one."""
    syncs = board(request).project.syncs
    if name not in syncs:
        raise HTTPException(404)
    return syncs[name]


@router.get("/syncs")
def syncs(request: Request) -> Response:
    """Every sync: how it stands, how its last run went, when the next one is due."""
    project = board(request).project
    return shown(
        request,
        "syncs/list.html",
        standings=figures.standings(project),
        hours={name: hours(project, sync) for name, sync in project.syncs.items()},
        dagster=Dagster.here(),
        alarms=[one for one in status(project, now()) if one.stale],
        firing=[row for row in alerts.listed(project.ledger, speaker(request)) if row["state"] == "firing"],
    )


@router.get("/syncs/{name}")
def sync(request: Request, name: str) -> Response:
    """One sync: its promise, its plans, its runs, what is owed."""
    one, project = known(request, name), board(request).project
    errand = errands(request).of(name)
    became = errand.became if errand else None
    return shown(
        request,
        "syncs/one.html",
        sync=one,
        standing=figures.standing(project.ledger, one),
        hours=hours(project, one),
        plans=preview.kept(project, name),
        runs=figures.runs(project.ledger, name),
        owed=figures.owed(project.ledger, name, LINES),
        reasons=figures.reasons(project.ledger, name),
        errand=errand,
        became=became,
        run_state=dagster_state(became),
        dagster=Dagster.here(),
    )


def dagster_state(became: Became | None) -> str:
    """How Dagster's run stands that an errand started; empty without one, or while Dagster does not say."""
    desk = Dagster.here()
    if became is None or became.run is None or desk is None:
        return ""
    try:
        return desk.state(became.run)
    except DagsterError:
        return ""


@router.post("/syncs/{name}/preview")
def draw(request: Request, name: str, visitor: Acting) -> Response:
    """Draw a plan, which sends nothing."""
    return begin(request, Wish(known(request, name).name, visitor.name))


@router.post("/syncs/{name}/retry")
def retry(request: Request, name: str, visitor: Acting) -> Response:
    """Send what is owed again, and nothing else."""
    ledger = board(request).project.ledger
    only = tuple(row["spelled"] for row in figures.owed(ledger, known(request, name).name))
    if not only:
        return RedirectResponse(f"/syncs/{name}?told=syncs.nothing_owed", 303)
    return begin(request, Wish(name, visitor.name, only=only, send=True))


def begin(request: Request, wish: Wish) -> Response:
    """Set out, and wait on a page of its own; of two who ask at once the second is shown the first's."""
    try:
        errands(request).run(wish)
    except Busy:
        return RedirectResponse(f"/syncs/{wish.sync}/errand?told=syncs.at_it", 303)
    return RedirectResponse(f"/syncs/{wish.sync}/errand", 303)


@router.get("/syncs/{name}/errand")
def errand(request: Request, name: str) -> Response:
    """While it goes on, a page that looks again by itself; then where its outcome is."""
    one = errands(request).of(known(request, name).name)
    if one is None:
        return RedirectResponse(f"/syncs/{name}", 303)
    became = one.became
    if became is None:
        done = figures.progress(board(request).project.ledger, name, one.began)
        return shown(request, "syncs/errand.html", sync=name, wish=one.wish, began=one.began, done=done)
    if became.trouble or one.wish.send or became.plan is None:
        return RedirectResponse(f"/syncs/{name}#asked", 303)
    return RedirectResponse(f"/syncs/{name}/plans/{became.plan}", 303)


@router.get("/syncs/{name}/plans/{plan}")
def plan(
    request: Request, name: str, plan: str, kind: str = "", page: Annotated[int, Query(ge=0, le=10**6)] = 0
) -> Response:
    """A plan before it is sent: how many of each kind, what moves, what is refused, what the guards say."""
    one = loaded(request, name, plan)
    project = board(request).project
    kinds = {each: getattr(one.counts, each) for each in preview.KINDS}
    chosen = (
        kind if kind in kinds else next((each for each, many in kinds.items() if many), preview.KINDS[-1])
    )
    told, more = preview.changes(project, one, chosen, page)
    return shown(
        request,
        "syncs/plan.html",
        sync=project.sync(name),
        plan=one,
        judged=preview.judged(project, one),
        kinds=kinds,
        kind=chosen,
        at=page,
        more=more,
        changes=told,
        sent=[run for run in figures.runs(project.ledger, name) if run.plan == one.id],
        dagster=Dagster.here(),
    )


def loaded(request: Request, name: str, plan: str) -> Plan:
    """A plan that is kept; 404 for one that is not (any more)."""
    known(request, name)
    if not plan.isalnum():
        raise HTTPException(404)
    try:
        return board(request).project.plans.load(name, plan)
    except PlanStale:
        raise HTTPException(404) from None


@router.post("/syncs/{name}/plans/{plan}/approve")
def approve(
    request: Request, name: str, plan: str, visitor: Acting, allow: Annotated[str, Form(max_length=10)] = ""
) -> Response:
    """Carry out exactly this plan; refused by its guards it goes with a person's explicit word only."""
    one = loaded(request, name, plan)
    return begin(request, Wish(name, visitor.name, one.id, send=True, allow=allow == "yes"))


@router.post("/syncs/{name}/plans/{plan}/refuse", dependencies=[Depends(acting)])
def refuse(request: Request, name: str, plan: str) -> Response:
    """Take the plan away: nobody can carry it out."""
    preview.refuse(board(request).project, loaded(request, name, plan))
    return RedirectResponse(f"/syncs/{name}?told=syncs.refused", 303)


@router.get("/syncs/{name}/owed")
def owed(request: Request, name: str) -> Response:
    """Everything the tool refused the last time, each with its reason."""
    one, ledger = known(request, name), board(request).project.ledger
    return shown(
        request,
        "syncs/owed.html",
        sync=one,
        owed=figures.owed(ledger, name, 1_000),
        many=figures.standing(ledger, one).owed,
        reasons=figures.reasons(ledger, name),
        dagster=Dagster.here(),
    )


@router.get("/syncs/{name}/changes")
def changes(request: Request, name: str) -> Response:
    """What was asked of which record and what became of it, newest first."""
    one, asked = known(request, name), from_address(request)
    rows, after = figures.changes(board(request).project.ledger, name, asked)
    query = {
        **{k: v for k, v in request.query_params.items() if k not in ("before", "lang")},
        "before": after,
    }
    return shown(
        request,
        "syncs/changes.html",
        sync=one,
        asked=asked,
        rows=rows,
        next=f"?{urlencode(query)}" if after else None,
        outcomes=figures.OUTCOMES,
        ops=figures.OPS,
    )


def from_address(request: Request) -> Asked:
    """The filter of an address; the record it is about is a word of `Kept`."""
    query, before = request.query_params, request.query_params.get("before", "")
    key = kept(request).told(query.get("q", "")) or ""
    if query.get("q") and not key:
        raise HTTPException(409, speaker(request).say("syncs.gone"))
    return Asked(
        query.get("outcome", ""),
        query.get("op", ""),
        query.get("run", ""),
        key,
        int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
    )


@router.post("/syncs/{name}/changes")
def narrow(
    request: Request,
    name: str,
    outcome: Annotated[str, Form(max_length=20)] = "",
    op: Annotated[str, Form(max_length=20)] = "",
    run: Annotated[str, Form(max_length=40)] = "",
    key: Annotated[str, Form(max_length=300)] = "",
) -> Response:
    """The filter, as an address that tells of nobody."""
    word = kept(request).keep(key.strip()) if key.strip() else ""
    told = {"outcome": outcome, "op": op, "run": run, "q": word}
    query = urlencode({name: value for name, value in told.items() if value})
    return RedirectResponse(f"/syncs/{known(request, name).name}/changes{'?' + query if query else ''}", 303)
