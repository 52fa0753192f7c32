"""`octo status` and `octo alerts`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.ops import alerts, runlog
from octo_dagster.ops.channels import Untold
from octo_dagster.ops.rules import Alerts
from octo_dagster.ops.status import Status
from octo_dagster.ops.status import status as standings

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def answer(value: Any) -> None:
    print(json.dumps(value, default=str, ensure_ascii=False, indent=2))  # noqa: T201 - the command's output


def show(*titles: str, rows: Sequence[tuple[str, ...]]) -> None:
    """A table on standard output."""
    table = Table(*titles, header_style="dim")
    for row in rows:
        table.add_row(*row)
    Console(width=None if Console().is_terminal else 140).print(table, markup=False, highlight=False)


def status(as_json: AsJson = False) -> None:
    """How every source, score and sync stands, when it is due, and which alerts fire."""
    found = standings(Project.here(), now())
    if as_json:
        answer([one.as_dict() for one in found])
    else:
        titles = ("", "last run", "ended (UTC)", "owed", "unsettled", "next (UTC)", "firing")
        show(*titles, rows=[line(one) for one in found])


def line(one: Status) -> tuple[str, ...]:
    outcome = f"{one.outcome}, stale" if one.stale else one.outcome
    owed, unsettled = (f"{one.owed:,}", f"{one.unsettled:,}") if one.kind == "sync" else ("", "")
    due = f"{one.next:%Y-%m-%d %H:%M}"
    ended = f"{one.last:%Y-%m-%d %H:%M}" if one.last else ""
    return one.subject, outcome, ended, owed, unsettled, due, ", ".join(one.alerts)


def tell(
    test: Annotated[str | None, typer.Option(help="Tell this channel that alerts arrive.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Look at everything now, and tell what changed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The alerts there are: which rule, of what, since when."""
    project = Project.here()
    if test:
        try:
            alerts.try_channel(Alerts.of(project), test, now())
        except Untold as wrong:
            raise ConfigError(f"alerts.yaml: channels.{test}: did not take it: {wrong}") from None
        return
    if check:
        alerts.watch(project, now())
        runlog.write(project)
    rows = alerts.listed(project.ledger)
    if as_json:
        answer(rows)
    else:
        told = [
            (row["state"], row["rule"], row["subject"], f"{row['since']:%Y-%m-%d %H:%M}", row["what"])
            for row in rows
        ]
        show("state", "rule", "of", "since (UTC)", "what", rows=told)


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
