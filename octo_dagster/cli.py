"""`octo`: the verbs at a terminal. Exit codes: see `errors`; with `--json`, results are one JSON value."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import sqlalchemy as sa
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from connectors.registry import destinations
from octo_dagster import begin, connect, run, show
from octo_dagster.api.command import keys
from octo_dagster.audiences import memberships
from octo_dagster.canonical.conform import rejected_rows
from octo_dagster.config import Project
from octo_dagster.delivery import guard
from octo_dagster.delivery.ledger_tables import CHANGELOG
from octo_dagster.delivery.plan import ORDINARY, Options, Plan
from octo_dagster.errors import ConfigError, OctoError
from octo_dagster.ops import command as ops
from octo_dagster.ops.rules import Alerts
from octo_dagster.refresh import refresh
from octo_dagster.scoring.explain import explain

app = typer.Typer(
    help="Knowledge about each customer, kept true in the tools where people work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(keys, name="keys")
app.command("status")(ops.status)
app.command("alerts")(ops.tell)
app.command("backfill")(ops.backfill)
console = Console(width=None if sys.stdout.isatty() else 140)  # a log has no edge to wrap at
errors = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Scale(StrEnum):
    """How large the measurements are."""

    FULL = "full"
    SMALL = "small"


SyncName = Annotated[str, typer.Argument(help="The sync's name: its file in assets/syncs/ without .yaml.")]
Most = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many changes. Never removes.")]


def answer(value: Any) -> None:
    """A result as one JSON value on standard output."""
    print(json.dumps(value, default=str, ensure_ascii=False, indent=2))  # noqa: T201 - the command's output


@app.command()
def check(
    to_connect: Annotated[
        bool, typer.Option("--connect", help="Sign in to each sync's tool too. Writes nothing.")
    ] = False,
    only: Annotated[list[str] | None, typer.Option("--sync", help="Only this sync; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read every file and say everything that is wrong with it."""
    project = Project.here()
    project.check()
    Alerts.of(project)
    if to_connect or only:
        syncs = [project.sync(name) for name in only or project.syncs]
        seen = [connect.look(sync, project) for sync in syncs]
        if as_json:
            answer([one.as_dict() for one in seen])
        else:
            show.connections(console, seen)
        raise typer.Exit(max((one.exit_code for one in seen), default=0))
    found = {
        "sources": list(project.intakes),
        "scores": list(project.scores),
        "audiences": list(project.audiences),
        "priority lists": list(project.priorities),
        "scenarios": list(project.scenarios),
        "syncs": list(project.syncs),
    }
    dormant = {name: list(lacks) for name, lacks in project.library.dormant.items()}
    if as_json:
        answer({**found, "dormant": dormant, "secrets": project.secrets()})
    else:
        show.found(console, found, project.secrets())
        show.dormant(console, dormant)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The project's folder; made when missing.")],
    sources: Annotated[
        list[str] | None, typer.Option("--source", help="A ready source, such as shopify; may be repeated.")
    ] = None,
    tool: Annotated[
        str | None, typer.Option(help="A tool to connect: its type, such as brevo. Its secrets must be set.")
    ] = None,
    said: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the tool: list=Customers. Repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Begin a project, or add a source or a tool to one. Nothing that is there is written over."""
    kinds = destinations()
    if tool is not None and tool not in kinds:
        raise ConfigError(f"--tool: there is no {tool!r}; there are {', '.join(sorted(kinds))}")
    written = begin.project(folder, sources or ())
    home, seen = Project(folder, folder / ".octo"), None
    if tool is not None:
        settings = dict(part.partition("=")[::2] for part in said or ())
        try:
            path, seen = begin.sync(home, kinds[tool], settings, run.surroundings(home))
        except OctoError:
            if not as_json:
                show.left_open(console, written, tool)
            raise
        written.append(path)
    if as_json:
        answer(
            {"written": written, "secrets": home.secrets(), "survey": connect.plain(seen) if seen else None}
        )
    else:
        show.begun(console, folder, written, home.secrets(), seen)


@app.command()
def plan(
    sync: SyncName,
    full: Annotated[bool, typer.Option(help="Send every record again. Never removes.")] = False,
    limit: Most = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this key; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Settle, then say what a delivery would change. Nothing is sent."""
    project = Project.here()
    drawn = wanted(project, sync, Options(full, limit, tuple(only or ())))
    trips = guard.trips(drawn, project.sync(sync).guards)
    if as_json:
        answer({**asdict(drawn), "shared": len(drawn.shared), "guards": trips})
    else:
        show.plan(console, drawn, trips, project.plans.lines(project.sync(sync), drawn.id))


def wanted(project: Project, sync: str, options: Options) -> Plan:
    """A plan drawn now. ConfigError when `only` names nobody, as a key does that is spelled otherwise."""
    drawn = run.prepare(project.sync(sync), project, options)
    counts = drawn.counts
    if options.only and not counts.added + counts.changed + counts.removed + counts.unchanged:
        said = ", ".join(options.only)
        raise ConfigError(f"--only {said}: no row that can be sent has this key, as the tool spells it")
    return drawn


@app.command()
def deliver(
    sync: SyncName,
    plan_id: Annotated[str | None, typer.Option("--plan", help="This plan, as shown by `octo plan`.")] = None,
    allow: Annotated[
        str | None, typer.Option(help="A plan's id: deliver it although a guard refuses it.")
    ] = None,
    full: Annotated[bool, typer.Option(help="Send every record again. Never removes.")] = False,
    limit: Most = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this key; may be repeated.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the destination hold what the sync promises."""
    project = Project.here()
    promised = project.sync(sync)
    options = Options(full, limit, tuple(only or ()))
    if plan_id and options != ORDINARY:
        raise ConfigError("--plan is that very plan: --full, --limit and --only are for one yet to be drawn")
    drawn = project.plans.load(sync, plan_id) if plan_id else wanted(project, sync, options)
    with bar(f"{sync} ⟶ {promised.destination.type}", drawn.changes, quiet=as_json) as advance:
        report = run.carry_out(drawn, promised, project, allow, progress=advance)
    if as_json:
        answer(report.as_dict())
    else:
        show.report(console, report, drawn)
    raise typer.Exit(report.exit_code)


@app.command()
def settle(sync: SyncName, as_json: AsJson = False) -> None:
    """Find out what became of the changes that were never answered."""
    project = Project.here()
    counts = run.settle_only(project.sync(sync), project)
    if as_json:
        answer(dict(counts))
    else:
        show.settled(console, sync, counts)
    raise typer.Exit(6 if counts["waiting"] else 0)


@app.command()
def verify(
    sync: SyncName,
    most: Annotated[int | None, typer.Option("--sample", help="Only so many records, by chance.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read every record back, or a sample, and compare with what the ledger says is held."""
    project = Project.here()
    found = run.verify_only(project.sync(sync), project, 1.0 if most is None else most)
    if as_json:
        answer(asdict(found))
    else:
        show.verified(console, sync, found)
    raise typer.Exit(4 if found.drifts else 0)


@app.command()
def log(
    sync: SyncName,
    outcome: Annotated[str | None, typer.Option(help="accepted, rejected, invalid, skipped.")] = None,
    most: Annotated[int, typer.Option("--last", help="How many lines.")] = 20,
    as_json: AsJson = False,
) -> None:
    """The last changes asked for, and what became of each."""
    query = sa.select(CHANGELOG).where(CHANGELOG.c.sync == sync).order_by(CHANGELOG.c.id.desc()).limit(most)
    if outcome:
        query = query.where(CHANGELOG.c.outcome == outcome)
    project = Project.here()
    rows = [dict(row) for row in project.ledger.read(query)]
    if not rows:
        project.sync(sync)  # a mistyped name is no empty log; that of a sync that is no more can be read
    if as_json:
        answer(rows)
    else:
        show.log(console, rows)


@app.command()
def rejected(
    table: Annotated[str | None, typer.Argument(help="Only of this table: orders, customers …")] = None,
    as_json: AsJson = False,
) -> None:
    """The source rows that broke their table's contract, each with its reason."""
    rows = rejected_rows(Project.here().warehouse, table)
    if as_json:
        answer(rows)
    else:
        show.rejected(console, rows)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(help="Port on the loopback; 0 picks one.")] = 4100,
    shop: Annotated[
        bool, typer.Option("--shop", help="With two years of a small made shop in every shop's twin.")
    ] = False,
) -> None:
    """Serve every vendor's twin on this machine, with a page of what each holds."""
    from connectors.sandbox.server import serve  # noqa: PLC0415 - only this command needs a server

    serve(port, partial(show.sandboxed, console), stocked=shop)


@app.command("run")
def run_all(
    as_of: Annotated[datetime | None, typer.Option(help="The day to score for; default: today, UTC.")] = None,
    base_only: Annotated[bool, typer.Option("--base", help="Stop after the customer profile.")] = False,
    live: Annotated[
        bool, typer.Option(help="Leave what learns from the whole base (recommendations …) to the night.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Pull, judge, score and join everything, then deliver every sync."""
    project = Project.here()
    now = datetime.now(UTC).replace(tzinfo=None)
    say = (lambda step: None) if as_json else (lambda step: errors.print(f"[dim]{step}[/dim]"))
    made = refresh(project, now, run.new_run(), as_of.date() if as_of else None, say, learn=not live)
    reports, refused = deliver_all(project) if not base_only else ([], {})
    if as_json:
        tables = [asdict(table) for table in made.conformed]
        done = [report.as_dict() for report, _ in reports]
        stopped = {name: str(error) for name, error in refused.items()}
        moved = {
            "scenarios": made.scenarios.as_dict() if made.scenarios else None,
            "audiences": made.audiences.as_dict() if made.audiences else None,
        }
        base = {"tables": tables, "profile": made.profile.as_dict(), **moved}
        answer({**base, "deliveries": done, "refused": stopped})
    else:
        show.refreshed(console, made)
        for report, drawn in reports:
            show.report(console, report, drawn)
        for error in refused.values():
            tell(error)
    codes = [report.exit_code for report, _ in reports] + [error.exit_code for error in refused.values()]
    raise typer.Exit(max(codes, default=0))


def deliver_all(project: Project) -> tuple[list[tuple[run.Report, Plan]], dict[str, OctoError]]:
    """Every sync in turn; one that is refused or cannot begin does not keep the others from theirs."""
    reports: list[tuple[run.Report, Plan]] = []
    refused: dict[str, OctoError] = {}
    for name, sync in project.syncs.items():
        try:
            drawn = run.prepare(sync, project)
            reports.append((run.carry_out(drawn, sync, project), drawn))
        except OctoError as error:
            refused[name] = error
    return reports, refused


@app.command("explain")
def explain_one(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    only: Annotated[
        list[str] | None, typer.Option("--score", help="Only this score; may be repeated.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Why a customer has each label: the figures that led to it."""
    project = Project.here()
    told = explain(project.warehouse, customer, project.chosen(only))
    if as_json:
        answer(told.as_dict())
    else:
        for line in told.lines():
            console.print(line, markup=False, highlight=False)


@app.command()
def audiences(
    overlaps: Annotated[bool, typer.Option("--overlap", help="How many customers any two share.")] = False,
    rule: Annotated[
        str | None, typer.Option(help="The size of an audience with this rule, before there is a file of it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How many customers each audience has, who can be reached, who came and left on the last day."""
    project = Project.here()
    conditions = project.conditions() if rule is None else {"--rule": project.preview(rule)}
    sizes = memberships.sizes(project.warehouse, conditions)
    last = memberships.latest(project.warehouse) if rule is None else None
    pairs = memberships.overlap(project.warehouse, conditions) if overlaps else []
    if as_json:
        told = {"audiences": [asdict(size) for size in sizes], "last": last.as_dict() if last else None}
        answer({**told, **({"overlap": [asdict(pair) for pair in pairs]} if overlaps else {})})
        return
    show.sizes(console, sizes, last, project.audiences)
    if overlaps:
        show.overlap(console, sizes, pairs)


@app.command()
def bench(
    only: Annotated[str | None, typer.Option(help="One part; an unknown name lists them all.")] = None,
    scale: Annotated[Scale, typer.Option(help="Full size, or small to see that it works.")] = Scale.FULL,
    write: Annotated[
        bool, typer.Option(help="Write the parts measured into octo_dagster/BENCH.md too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Measure Octo beside what it is measured against. Needs a development install; about ten minutes."""
    from octo_dagster.bench import run as measure  # noqa: PLC0415 - needs the development packages

    told = measure.measured(only, small=scale is Scale.SMALL, tell=errors.print)
    if write:
        measure.PAGE.write_text(measure.page(told, measure.PAGE.read_text()))
    if as_json:
        answer({name: [figure.as_dict() for figure in figures] for name, figures in told.items()})
    else:
        for name, figures in told.items():
            rows = [measure.row(figure) for figure in figures]
            show.measured(console, measure.PARTS[name].title, measure.COLUMNS, rows)


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port; 0 picks one.")] = 4200,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    publish: Annotated[
        bool, typer.Option("--publish", help="Publish the tables there are now first.")
    ] = False,
    pages: Annotated[bool, typer.Option("--pages/--no-pages", help="Show the pages, too.")] = True,
) -> None:
    """Answer other systems and show the pages: the read API over the serving copy, until Ctrl-C."""
    from octo_dagster.api.server import serve as answer_calls  # noqa: PLC0415 - only this needs a server
    from octo_dagster.pages.front import served  # noqa: PLC0415 - only this needs pages

    project = Project.here()
    if publish:
        show.published(console, project.publish())
    made, words = served(project, host, pages=pages)
    answer_calls(made, host, port, lambda address: console.print(words(address), soft_wrap=True))


@app.command("demo")
def walk(
    stay: Annotated[bool, typer.Option(help="Keep everything running, with Dagster's pages.")] = False,
) -> None:
    """Real orders in, true columns in two tools, one new order followed through."""
    from octo_dagster.demo import stay as dev  # noqa: PLC0415 - needs the demo's own packages
    from octo_dagster.demo import walk as demo  # noqa: PLC0415 - needs the demo's own packages

    root = Project.here().root
    good = dev.stay(root, console) if stay else demo.demo(root, console)
    raise typer.Exit(0 if good else 1)


@contextmanager
def bar(title: str, total: int, *, quiet: bool) -> Iterator[Any]:
    """A progress bar on standard error; nothing when quiet or when there is nothing to do."""
    if quiet or not total:
        yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda done: progress.advance(task, done)


def main() -> None:
    """Run a command; an error on purpose is said in words and ends with its exit code."""
    try:
        app()
    except OctoError as error:
        tell(error)
        sys.exit(error.exit_code)


def tell(error: OctoError) -> None:
    """An error on purpose, in words, on standard error."""
    errors.print(f"[red]{type(error).__name__}[/red]", highlight=False)
    errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
