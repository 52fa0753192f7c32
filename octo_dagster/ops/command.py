"""`octo status`, `octo alerts` and `octo backfill`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from octo_dagster.config import Project
from octo_dagster.errors import ConfigError
from octo_dagster.ops import alerts, runlog
from octo_dagster.ops.backfill import Every, Past, Wish, table_name, work
from octo_dagster.ops.backfill import backfill as worked_out
from octo_dagster.ops.channels import Untold
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
    console().print(table, markup=False, highlight=False)


def console() -> Console:
    """Standard output; a log has no edge to wrap at."""
    return Console(width=None if Console().is_terminal else 140)


def status(as_json: AsJson = False) -> None:
    """How every source, score and sync stands, when it is due, and which alerts fire."""
    found = standings(Project.here(), now())
    if as_json:
        answer([one.as_dict() for one in found])
    else:
        titles = ("", "last run", "ended (UTC)", "owed", "unsettled", "next (UTC)", "firing")
        show(*titles, rows=[line(one) for one in found])
        for one in found:
            if one.error:
                console().print(f"{one.subject}: {one.error}", markup=False, highlight=False, soft_wrap=True)


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
            alerts.try_channel(project, test, now())
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


def backfill(
    scores: Annotated[
        list[str] | None, typer.Option("--score", help="Only this score; may be repeated.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--from", help="The first day; default: that of the first order.")
    ] = None,
    until: Annotated[datetime | None, typer.Option("--to", help="The last day; default: yesterday.")] = None,
    every: Annotated[Every, typer.Option(help="The last day of each month or week, or each day.")] = (
        Every.MONTH
    ),
    again: Annotated[bool, typer.Option("--again", help="Days that are done, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Work the scores' past days out, into <score>_past. Stopped, it goes on where it was."""
    project = Project.here()
    days = (since and since.date(), until and until.date())
    found = work(project, Wish(tuple(scores or ()), *days, every, again), now().date())
    with advancing(found.steps, quiet=as_json) as advance:
        made = worked_out(project, found, advance)
    if as_json:
        answer({"done": [past.as_dict() for past in made], "done_before": found.skipped})
        return
    if made:
        show("table", "days", "from", "to", "rows", "seconds", rows=summed(made))
    if found.skipped:
        said = f"{found.skipped:,} days of a score were done before; --again does them anew."
        console().print(said, style="dim", highlight=False)


def summed(made: Sequence[Past]) -> list[tuple[str, ...]]:
    """A line for each score's past."""
    lines: list[tuple[str, ...]] = []
    for score in dict.fromkeys(past.score for past in made):
        mine = [past for past in made if past.score == score]
        rows, seconds = sum(past.rows for past in mine), sum(past.seconds for past in mine)
        ends = (str(mine[0].as_of), str(mine[-1].as_of))
        lines.append((table_name(score), f"{len(mine):,}", *ends, f"{rows:,}", f"{seconds:,.1f}"))
    return lines


@contextmanager
def advancing(total: int, *, quiet: bool) -> Iterator[Any]:
    """A progress bar on standard error that says which day is done; nothing when quiet."""
    if quiet or not total:
        yield lambda past: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("backfill", total=total)
        yield lambda past: progress.update(task, advance=1, description=f"{past.as_of} {past.score}")


def now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
