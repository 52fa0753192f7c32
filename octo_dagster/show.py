"""Plans, reports and logs as people read them at a terminal."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from octo_dagster.audiences.memberships import Overlap, Size
from octo_dagster.audiences.memberships import Report as Tracked
from octo_dagster.audiences.roster import Audience
from octo_dagster.connect import Connection
from octo_dagster.delivery.mapping import encoded
from octo_dagster.delivery.plan import Line, Plan
from octo_dagster.delivery.verify import Verified
from octo_dagster.destination import Survey
from octo_dagster.refresh import Refreshed
from octo_dagster.run import Report
from octo_dagster.scenarios.enrolment import Report as Followed
from octo_dagster.serving.publish import Published


def grid(title: str, *columns: str) -> Table:
    """An empty table with these columns, at least as wide as its title."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        min_width=len(title) or None,
    )
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    return made


def found(console: Console, what: Mapping[str, Sequence[str]], secrets: Mapping[str, bool]) -> None:
    """What `octo check` read, all of it good, and the environment variables it will need."""
    table = grid("Every file is good", "kind", "files", "names")
    for kind, names in what.items():
        table.add_row(kind, str(len(names)), ", ".join(names))
    console.print(table)
    for name, is_set in secrets.items():
        console.print(f"  {name}: {'set' if is_set else '[yellow]not set in this environment[/yellow]'}")


def connections(console: Console, seen: Sequence[Connection]) -> None:
    """What signing in to each sync's tool showed."""
    for one in seen:
        table = grid(f"{one.sync} ⟶ {one.type}", "", "")
        table.add_row("account", escape(one.account or f"[not signed in] {one.error}"))
        table.add_row("fields that are there", escape(", ".join(one.there)))
        table.add_row("fields to be made", escape(", ".join(one.to_be_made)))
        for setting, names in one.survey.places.items():
            table.add_row(f"{setting}: there are", escape(", ".join(names) or "none yet"))
        for line in one.problems:
            table.add_row("[red]to be mended[/red]", escape(line))
        for line in one.survey.missing:
            table.add_row("[yellow]permission missing[/yellow]", escape(line))
        console.print(table)


def wrote(console: Console, written: Sequence[Path]) -> None:
    for path in written:
        console.print(f"  wrote {path}", markup=False, highlight=False, soft_wrap=True)


def left_open(console: Console, written: Sequence[Path], tool: str) -> None:
    """What `octo init` wrote before the tool stopped it; why is said after it."""
    wrote(console, written)
    console.print(
        f"There is no sync for {tool} yet. Mend what is said below, then give the same command again:"
        " what is written stays.",
        soft_wrap=True,
    )


def begun(
    console: Console, folder: Path, written: Sequence[Path], secrets: Mapping[str, bool], seen: Survey | None
) -> None:
    """The files `octo init` wrote, what it saw of the tool, and what to do next."""
    wrote(console, written)
    for name, is_set in secrets.items():
        console.print(f"  {name}: {'set' if is_set else '[yellow]not set in this environment[/yellow]'}")
    if seen is not None:
        for setting, names in seen.places.items():
            told = ", ".join(names) or "none yet"
            console.print(f"  {setting}: there are {told}", markup=False, highlight=False)
        for line in seen.missing:
            console.print(f"  [yellow]permission missing:[/yellow] {escape(line)}", highlight=False)
    console.print(
        f"Next: cd {folder}, octo check --connect, octo run --base, octo plan SYNC", highlight=False
    )


def sandboxed(console: Console, sandbox: Any) -> None:
    """Where the sandbox is, what leads a project there, and what begins one with each of its tools."""
    console.print(f"Sandbox at [link]{sandbox.address}[/link] (Ctrl-C ends it). In another terminal:")
    twins = [vendor.twin for vendor in sandbox.vendors.values()]
    keys = [" ".join(f"{name}={value}" for name, value in twin.keys.items()) for twin in twins]
    lines = [f"export {line}" for line in (f"OCTO_SANDBOX={sandbox.address}", *filter(None, keys))]
    lines += [f"octo init shop --source {shop.name}" for shop in sandbox.shops]
    for twin in twins:
        if twin not in sandbox.shops and (twin.keys or twin.settings):
            sets = [f"--set {shlex.quote(f'{name}={value}')}" for name, value in twin.settings.items()]
            lines.append(" ".join(["octo init shop --tool", twin.name, *sets]))
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)


def published(console: Console, made: Published) -> None:
    """What the read API answers from now on."""
    console.print(
        f"published: {made.customers:,} customers as of {made.as_of}, {made.products:,} products, "
        f"{made.memberships:,} audience members, {made.bytes / 1e6:,.1f} MB",
        highlight=False,
    )


def dormant(console: Console, lacks: Mapping[str, Sequence[str]]) -> None:
    """The scores that are left out, and why."""
    for name, tables in lacks.items():
        console.print(f"  score {name} is left out: nothing brings {', '.join(tables)}", highlight=False)


def refreshed(console: Console, made: Refreshed) -> None:
    """What came in, what was refused, and the profile that came of it. Every row read is in one column."""
    table = grid("Judged rows", "table", "read", "kept", "repeated", "older", "deleted", "rejected")
    for one in made.conformed:
        fates = (one.read, one.kept, one.collapsed, one.superseded, one.deleted, one.rejected)
        table.add_row(one.table, *(f"{count:,}" for count in fates))
    console.print(table)
    for one in made.conformed:
        for reason, count in one.reasons.items():
            console.print(f"  {one.table}: {reason}: {count:,}", markup=False, highlight=False)
    if made.rejected:
        console.print("Which rows: [bold]octo rejected[/bold]")
    console.print(f"customer_profile: {made.profile.rows:,} customers, as of {made.profile.as_of}")
    if made.scenarios is not None:
        scenarios(console, made.scenarios)
    if made.audiences is not None:
        audiences(console, made.audiences)


def scenarios(console: Console, followed: Followed) -> None:
    """Who is in each scenario, who came and went, and what is to be done now."""
    if followed.left_alone:
        console.print(followed.left_alone, highlight=False)
        return
    table = grid("Scenarios", "scenario", "customers", "holdout", "entered", "left", "steps due", "left out")
    for one in followed.scenarios:
        table.add_row(
            one.scenario,
            *(f"{count:,}" for count in (one.enrolled, one.holdout, one.entered)),
            *(listed(counts) for counts in (one.left, one.actions, one.skipped)),
        )
    console.print(table)


def audiences(console: Console, tracked: Tracked) -> None:
    """How many are in each audience, and how many came and left since the look before."""
    if tracked.kept:
        console.print(f"audiences stand at {tracked.as_of}: an earlier day does not rewrite what came after")
    if not tracked.movements:
        return
    table = grid("Audiences", "audience", "customers", "entered", "left")
    for one in tracked.movements:
        table.add_row(one.audience, *(f"{count:,}" for count in (one.customers, one.entered, one.left)))
    console.print(table)


def sizes(
    console: Console, found: Sequence[Size], last: Tracked | None, audiences: Mapping[str, Audience]
) -> None:
    """Each audience over the profile there is; what came and left, as far as somebody looked."""
    moved = {one.audience: one for one in last.movements} if last else {}
    channels = list(found[0].reached_by) if found else []
    title = f"Audiences; entered and left on {last.as_of}" if last else "Audiences"
    columns = ("audience", "customers", "of all", "entered", "left", *(f"by {name}" for name in channels))
    table = grid(title, *columns, "description")
    for size in found:
        one = moved.get(size.audience)
        figures = [f"{size.customers:,}", f"{size.share:.1%}"]
        figures += [f"{one.entered:,}", f"{one.left:,}"] if one else ["", ""]
        about = audiences[size.audience].description if size.audience in audiences else ""
        table.add_row(size.audience, *figures, *(f"{n:,}" for n in size.reached_by.values()), escape(about))
    console.print(table)


def overlap(console: Console, found: Sequence[Size], pairs: Sequence[Overlap]) -> None:
    """A matrix: of the audience of a line, the share that is in the audience of a column too."""
    names = [size.audience for size in found]
    shares = {(pair.a, pair.b): pair.share_of_a for pair in pairs}
    shares |= {(pair.b, pair.a): pair.share_of_b for pair in pairs}
    counts = {frozenset((pair.a, pair.b)): pair.customers for pair in pairs}
    table = grid("In both: customers, and their share of the line's audience", "", *names)
    for a in names:
        cells = [f"{counts[frozenset((a, b))]:,} ({shares[a, b]:.0%})" if a != b else "" for b in names]
        table.add_row(a, *cells)
    console.print(table)


def listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def rejected(console: Console, rows: Sequence[Mapping[str, Any]], most: int = 100) -> None:
    """Source rows that were refused; beyond `most`, how many more there are."""
    table = grid("Rejected rows", "table", "key", "from", "field", "value", "reason")
    for row in rows[:most]:
        cells = [row[name] or "" for name in ("table", "key", "origin", "field", "value", "reason")]
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
    if len(rows) > most:
        console.print(f"… and {len(rows) - most:,} more: octo rejected --json", highlight=False)


def plan(console: Console, drawn: Plan, trips: Sequence[str], lines: Iterable[Line]) -> None:
    """A plan: its figures, a look at its changes, and how to deliver it."""
    table = grid(f"Plan {drawn.id} of {drawn.sync}", "", "rows")
    for name, count in islice(asdict(drawn.counts).items(), 2, None):  # but rows and held
        table.add_row(name.replace("_", " "), f"{count:,}", style=None if count else "dim")
    console.print(table)
    changes = grid("The first changes", "what", "key", "fields")
    for line in islice(lines, 8):
        changes.add_row(line.kind, line.spelled, movement(line))
    if drawn.changes:
        console.print(changes)
    for trip in trips:
        console.print(f"[red]refused by a guard:[/red] {trip}", highlight=False)
    more = f" --allow {drawn.id}" if trips else ""
    console.print(f"To deliver it: [bold]octo deliver {drawn.sync} --plan {drawn.id}{more}[/bold]")


def movement(line: Line) -> str:
    """A change's fields: for a record held already, only those that move."""
    if line.before is None or not line.fields:
        return encoded(line.fields) if line.fields else ""
    before = line.before
    moved = [
        f"{name}: {before.get(name)} → {value}"
        for name, value in line.fields.items()
        if before.get(name) != value
    ]
    return ", ".join(moved)


def report(console: Console, done: Report, drawn: Plan) -> None:
    """What a delivery did."""
    tally = done.tally
    table = grid(f"Delivery {done.run} of {done.sync}", "", "changes")
    figures = {
        "planned": done.planned,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "waiting for a job": tally.waiting,
        "not carried out": tally.unsent + done.unaccounted,
        "skipped by mode": tally.skipped,
        "unchanged, not sent": drawn.counts.unchanged,
        "invalid, not sent": done.invalid,
        "calls made": done.calls,
    }
    for name, count in figures.items():
        table.add_row(name, f"{count:,}", style=None if count else "dim")
    if done.verified:
        drifts = len(done.verified.drifts)
        table.add_row("read back, as they should be", f"{done.verified.compared - drifts:,}")
        table.add_row("read back, different", f"{drifts:,}", style="red" if drifts else "dim")
    console.print(table)
    if done.error:
        console.print(f"[red]stopped:[/red] {done.error}", highlight=False)
    if tally.rejected or done.invalid:
        console.print(f"Why: [bold]octo log {done.sync} --outcome rejected[/bold] (or invalid)")


def settled(console: Console, sync: str, counts: Counter[str]) -> None:
    """What settling found."""
    if not counts:
        console.print(f"{sync}: nothing is unsettled")
        return
    table = grid(f"Settled of {sync}", "", "changes")
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    console.print(table)


def verified(console: Console, sync: str, found: Verified) -> None:
    """What verifying found."""
    console.print(f"{sync}: {found.compared:,} records compared, {len(found.drifts):,} differ")
    if found.drifts:
        table = grid("Different at the destination (sent again next run)", "key", "fields")
        for drift in found.drifts[:50]:
            table.add_row(drift.key, ", ".join(drift.fields) or "the record is gone")
        console.print(table)


def log(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Lines of the change log, newest first."""
    table = grid("Change log", "at", "key", "op", "outcome", "what")
    for row in rows:
        moved = json.loads(row["fields"] or "{}")
        what = row["reason"] or ", ".join(f"{name}: {a} → {b}" for name, (a, b) in moved.items())
        at = row["at"].isoformat(sep=" ", timespec="seconds")
        table.add_row(at, row["key"] or "", row["op"], row["outcome"], what)
    console.print(table)


def measured(console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """One part of a benchmark."""
    table = grid(title, *columns)
    for cells in rows:
        table.add_row(*cells, style="red" if cells[-1] == "NO" else None)
    console.print(table)
