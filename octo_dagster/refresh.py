"""Sources to profile, step by step: pull, judge, score, join. What `octo run`, the demo and each asset do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from octo_dagster.audiences import memberships
from octo_dagster.audiences.memberships import Report as Tracked
from octo_dagster.canonical import contracts as canonical
from octo_dagster.canonical.conform import Conformed, conform, retire
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import Pulled, pull
from octo_dagster.config import Project
from octo_dagster.scenarios.enrolment import Report as Followed
from octo_dagster.scenarios.enrolment import Words, advance
from octo_dagster.score import Score
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import profile
from octo_dagster.scoring.compute import Report as ScoreReport
from octo_dagster.scoring.measures.inbox import ALL_TYPES
from octo_dagster.scoring.profile import ProfileReport
from octo_dagster.source import OUTSIDE, Outside
from octo_dagster.steps import Step


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What one refresh of the whole base did, step by step."""

    pulled: tuple[Pulled, ...]
    conformed: tuple[Conformed, ...]
    scored: tuple[ScoreReport, ...]
    profile: ProfileReport
    scenarios: Followed | None
    """What moved in the scenarios; None in a project without any."""
    audiences: Tracked | None
    """Who entered and left the audiences; None in a project without any."""

    @property
    def rejected(self) -> int:
        """Source rows that broke their contract, in all tables."""
        return sum(table.rejected for table in self.conformed)


def refresh(
    project: Project,
    now: datetime,
    run: str,
    as_of: date | None = None,
    progress: Callable[[str], None] = lambda step: None,
    *,
    learn: bool = True,
    outside: Outside = OUTSIDE,
) -> Refreshed:
    """Bring everything up to the customer profile up to date. `as_of` defaults to the day of `now`.

    Without `learn`, scores that learn from the whole base (`frame_score`) keep the tables they have.
    SourceError and ConfigError stop it where they arise; what was written before stays."""
    day = as_of or now.date()
    pulled = []
    for intake in project.intakes.values():
        for table in intake.tables:
            progress(f"pull {intake.name}.{table}")
            pulled.append(pulled_in(project, intake, table, now, run, outside))
    for table in retire(list(project.intakes.values()), project.warehouse):
        progress(f"empty {table}: no source feeds it any more")
    conformed = []
    for table in tables(project):
        progress(f"judge {table}")
        conformed.append(judged_in(project, table, now, run))
    scored = []
    for score in project.scores.values():
        if not learn and score.by_frames and project.warehouse.version(score.name) is not None:
            continue
        progress(f"score {score.name}")
        scored.append(scored_in(project, score, day, run, steps(score.name, progress)))
    progress("follow the scenarios")
    followed = follow(project, day)
    progress("join the profile")
    made = profile.build(project.warehouse, project.told_scores, day)
    progress("look at the audiences")
    # Of an audience whose file is gone everybody leaves, be it the last.
    watched = project.audiences or memberships.latest(project.warehouse)
    tracked = memberships.track(project.warehouse, project.conditions(), day) if watched else None
    if project.settings.serve:
        progress("publish to the read API")
        project.publish()
    return Refreshed(tuple(pulled), tuple(conformed), tuple(scored), made, followed, tracked)


def pulled_in(
    project: Project, intake: Intake, table: str, now: datetime, run: str, outside: Outside = OUTSIDE
) -> Pulled:
    """Pull one table, and keep in the log of steps what became of it."""
    with Step(project, "pull", table, run, source=intake.name) as step:
        done = pull(intake, table, project.warehouse, now, outside)
        step.say(rows=done.rows, deleted=done.deleted)
    return done


def judged_in(project: Project, table: str, now: datetime, run: str) -> Conformed:
    """Judge one table, logged."""
    with Step(project, "judge", table, run) as step:
        done = conform(table, list(project.intakes.values()), project.warehouse, now, run)
        step.say(rows=done.read, kept=done.kept, rejected=done.rejected, deleted=done.deleted)
    return done


def scored_in(
    project: Project, score: Score, day: date, run: str, progress: Callable[[int, int], None]
) -> ScoreReport:
    """Work one score out, logged."""
    with Step(project, "score", score.name, run, as_of=day) as step:
        done = scoring.run(score, project.warehouse, day, progress=progress)
        step.say(rows=done.rows)
    return done


def follow(project: Project, day: date) -> Followed | None:
    """Bring every customer's scenario to the end of the day, by what the scores say of him; None in a project
    without scenarios."""
    if not project.scenarios:
        return None
    scores = [score for score in project.scores.values() if score.on_profile]
    pressure = project.scores.get("marketing_pressure")
    words = Words(project.settings.language, pressure.in_force["event_types"] if pressure else ALL_TYPES)
    base = profile.profile_sql(scores, day)
    return advance(project.warehouse, list(project.scenarios.values()), base, day, words)


def steps(score: str, progress: Callable[[str], None]) -> Callable[[int, int], None]:
    """How far one score has come, told as one more line of the whole."""
    return lambda done, total: progress(f"score {score}: {done:,} of {total:,}")


def tables(project: Project) -> list[str]:
    """The canonical tables some source feeds, each after those it refers to."""
    return [table for table in canonical.CONTRACTS if table in project.fed]
