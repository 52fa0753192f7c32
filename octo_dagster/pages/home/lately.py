"""What happened lately and what comes next: how each sync's last delivery went and when the next one is due,
and who came into the audiences and left them."""

from __future__ import annotations

from dataclasses import dataclass

from octo_dagster.config import Project
from octo_dagster.pages.audiences.figures import movements
from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.syncs.figures import Standing, standings
from octo_dagster.pages.syncs.hours import Hours, hours


@dataclass(frozen=True, slots=True)
class Delivery:
    """A sync: how it stands, and when it is due."""

    standing: Standing
    due: Hours


def deliveries(project: Project) -> list[Delivery]:
    """Every sync, the one that is due soonest first. ConfigError when a file cannot be read."""
    told = [Delivery(one, hours(project, one.sync)) for one in standings(project)]
    return sorted(told, key=lambda one: (one.due.next, one.standing.name))


def moved(board: Board) -> list[Row]:
    """Audiences that somebody entered or left on the last day, the most moved first; without those that were
    counted for the first time, which everybody entered."""
    rows = [row for row in movements(board) if (row["entered"] or row["left"]) and not row["first"]]
    return sorted(rows, key=lambda row: (-row["entered"] - row["left"], row["audience"]))
