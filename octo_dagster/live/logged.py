"""A run of the live lane in the log of steps: what it pulled, judged and scored, as the night says it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from functools import partial

from octo_dagster.config import Project
from octo_dagster.live.follow import Followed, follow
from octo_dagster.steps import Trail

ALL = "*"
"""The name under which scores are under way until it is known which they were."""


def follow_logged(
    project: Project,
    now: datetime,
    run: str,
    sources: Collection[str] | None = None,
    as_of: date | None = None,
) -> Followed:
    """`follow`, logged: some eight milliseconds. Raises what it raises."""
    with Trail(project.ledger, run) as trail:
        done = follow(project, now, run, sources, as_of, partial(begun, trail))
        tell(trail, done)
    return done


def begun(trail: Trail, step: str) -> None:
    """One of `follow`'s steps begins: `pull shop.orders`, `judge orders`, `score`, or one not logged."""
    kind, _, name = step.partition(" ")
    if kind == "pull":
        source, _, table = name.partition(".")
        trail.begin("pull", table, source)
    elif kind == "judge":
        trail.begin("judge", name)
    elif kind == "score":
        trail.begin("score", ALL)
    else:
        trail.over()


def tell(trail: Trail, done: Followed) -> None:
    """What came of it, in figures."""
    for step, pulled in zip(trail.of("pull"), done.pulled, strict=True):
        step |= {"rows": pulled.rows, "deleted": pulled.deleted}
    for step, kept in zip(trail.of("judge"), done.judged.values(), strict=True):
        step["kept"] = kept
    trail.part("score", done.scored)
    for step in trail.of("score"):
        step |= {"rows": len(done.customers), "as_of": done.as_of}
