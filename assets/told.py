"""What happened, as Dagster shows it: figures and tables. Never a customer's data, a key at most, hidden."""

import base64
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import dagster as dg
from PIL import Image

from octo_dagster import steps
from octo_dagster.audiences.memberships import Report as Tracked
from octo_dagster.canonical.conform import FATES, Conformed
from octo_dagster.delivery.plan import Line, Plan
from octo_dagster.errors import Busy, OctoError, Retryable, Unanswered
from octo_dagster.run import Report
from octo_dagster.scenarios.enrolment import Report as Followed
from octo_dagster.score import Score
from octo_dagster.scoring.compute import ClassFigures
from octo_dagster.scoring.explain import masked

Told = dict[str, Any]
SHOWN = 8
"""Changes of a plan to show."""
discreet = steps.discreet


def stopped(error: OctoError, *, again: bool = False) -> dg.Failure:
    """The error in Dagster's words; tried again is what may go well the next time, or what `again` says."""
    return dg.Failure(
        f"{type(error).__name__}: {discreet(str(error))}",
        metadata={"exit_code": error.exit_code},
        allow_retries=again or isinstance(error, Retryable | Unanswered | Busy),
    )


def hidden(key: str) -> str:
    """A key nobody can be known by: `j…@example.org`, `c…`."""
    return masked(key) or f"{key[:1]}…"


def table(rows: Iterable[Mapping[str, Any]]) -> Any:
    """Rows as a table; None where there are no rows, for a table of none has no columns."""
    records = [{name: plain(value) for name, value in row.items()} for row in rows]
    if not records:
        return None
    columns = [dg.TableColumn(name, kind(records, name)) for name in records[0]]
    return dg.MetadataValue.table([dg.TableRecord(record) for record in records], dg.TableSchema(columns))


def plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def kind(records: Sequence[Mapping[str, Any]], name: str) -> str:
    kinds = {type(record[name]) for record in records if record[name] is not None}
    return {frozenset([int]): "int", frozenset([float]): "float"}.get(frozenset(kinds), "string")


def figures(counts: Mapping[str, int]) -> Any:
    """Names and numbers as a table of two columns."""
    return table({"": name.replace("_", " "), "rows": count} for name, count in counts.items())


def present(metadata: Mapping[str, Any]) -> Told:
    """The entries that say something."""
    return {name: value for name, value in metadata.items() if value is not None}


def conformed(done: Conformed) -> Told:
    """What became of every raw row of a table, and why rows were refused."""
    counts = {"read": done.read} | {fate: getattr(done, fate) for fate in FATES}
    return present(
        {
            "dagster/row_count": done.kept,
            "rows": figures(counts),
            "rejected": done.rejected,
            "reasons": figures(done.reasons),
            "warehouse_version": done.version,
            "page": page("/quality"),
        }
    )


def classes(score: Score, found: Sequence[ClassFigures]) -> Told:
    """Every classed column as a table: how many customers in each class, and where it begins and ends."""
    told: Told = {}
    for column in (column for column in score.columns if column.of):
        mine = [figure for figure in found if figure.column == column.name]
        told[f"classes/{column.name}"] = table(
            {
                "class": str(f.value),
                "customers": f.customers,
                f"{column.of} from": plain(f.low),
                "to": plain(f.high),
            }
            | ({} if f.share is None else {"sum": plain(f.total), "share of sum": f"{f.share:.1%}"})
            for f in mine
        )
    return present(told)


def scenarios(done: Followed) -> Told:
    """Who is in each scenario, who came and went, and what is to be done now."""
    if done.left_alone:
        return {"left_alone": done.left_alone}
    rows = [
        {
            "scenario": one.scenario,
            "customers": one.enrolled,
            "holdout": one.holdout,
            "entered": one.entered,
            "left": json.dumps(dict(one.left)),
            "steps due": json.dumps(dict(one.actions)),
            "left out": json.dumps(dict(one.skipped)),
        }
        for one in done.scenarios
    ]
    return present({"as_of": done.as_of.isoformat(), "scenarios": table(rows)})


def memberships(done: Tracked) -> Told:
    """How many are in each audience, and how many came and left."""
    rows = [
        {"audience": one.audience, "customers": one.customers, "entered": one.entered, "left": one.left}
        for one in done.movements
    ]
    since = done.since.isoformat() if done.since else None
    kept = "an earlier day than the newest: nothing was changed" if done.kept else None
    days = {"as_of": done.as_of.isoformat(), "since": since, "kept": kept}
    return present({"page": page("/audiences"), **days, "audiences": table(rows)})


def picture(png: bytes, words: str) -> Any:
    """A picture inside the page, so that nothing is to be served or kept beside it. In 32 colours, a quarter
    of the size: Dagster keeps it three times for every run."""
    small = io.BytesIO()
    with Image.open(io.BytesIO(png)) as drawn:
        drawn.convert("RGB").quantize(32).save(small, "PNG", optimize=True)
    return dg.MetadataValue.md(
        f"![{words}](data:image/png;base64,{base64.b64encode(small.getvalue()).decode()})"
    )


def settings(said: Mapping[str, Any]) -> Any:
    return table({"setting": name, "in force": json.dumps(value)} for name, value in said.items())


def plan(drawn: Plan, lines: Iterable[Line], trips: Sequence[str], invalid: Mapping[str, int]) -> Told:
    """A plan: how many of each, a look at the first changes, and how to deliver it."""
    counts = drawn.counts
    names = ("added", "changed", "removed", "unchanged", "owed", "invalid", "waiting", "left_out")
    sample = [
        {"change": line.kind, "key": hidden(line.spelled), "fields": ", ".join(moved(line))}
        for line in islice(lines, SHOWN)
    ]
    return present(
        {
            "plan": drawn.id,
            "changes": drawn.changes,
            "counts": figures({name: getattr(counts, name) for name in names}),
            "sample": table(sample),
            "invalid": figures(invalid),
            "refused_by_guards": table({"guard": trip} for trip in trips),
            "how_to_deliver": dg.MetadataValue.md(advice(drawn, trips)),
            "page": page(f"/syncs/{drawn.sync}/plans/{drawn.id}"),
        }
    )


def moved(line: Line) -> list[str]:
    """The names of the fields a change moves."""
    return [name for name, value in line.fields.items() if (line.before or {}).get(name) != value]


def advice(drawn: Plan, trips: Sequence[str]) -> str:
    """How to deliver this very plan, by Dagster and by the command line."""
    said = {"ops": {f"{drawn.sync}_delivery": {"config": {"plan": drawn.id}}}}
    if trips:
        said["ops"][f"{drawn.sync}_delivery"]["config"]["allow"] = drawn.id
    word = f" --allow {drawn.id}" if trips else ""
    return (
        f"Materialise `{drawn.sync}_delivery` alone with this config:\n\n"
        f"```\n{json.dumps(said, indent=2)}\n```\n\n"
        f"or `octo deliver {drawn.sync} --plan {drawn.id}{word}`"
    )


def delivery(report: Report, reasons: Mapping[str, int]) -> Told:
    """What a delivery did, change by change and call by call."""
    tally = report.tally
    counts = {
        "planned": report.planned,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "waiting for a job": tally.waiting,
        "not carried out": tally.unsent + report.unaccounted,
        "skipped by mode": tally.skipped,
        "invalid, not sent": report.invalid,
    }
    return present(
        {
            "plan": report.plan,
            "octo_run": report.run,
            "accepted": tally.accepted,
            "rejected": tally.rejected,
            "changes": figures(counts),
            "rejected_for": figures(reasons),
            "calls": report.calls,
            "writing_calls": report.writes,
            "read_back": report.verified.compared if report.verified else None,
            "read_back_different": len(report.verified.drifts) if report.verified else None,
            "fields_created": ", ".join(report.fields.created) or None,
            "sandbox": sandbox(),
            "page": page(f"/syncs/{report.sync}"),
        }
    )


def sandbox() -> Any:
    """The page that shows what the sandbox holds, when there is one."""
    address = os.environ.get("OCTO_SANDBOX")
    return dg.MetadataValue.url(address) if address else None


def page(path: str | None) -> Any:
    """The page of `octo serve` that shows this, where OCTO_PAGES says at which address the pages are."""
    address = os.environ.get("OCTO_PAGES", "").rstrip("/")
    return dg.MetadataValue.url(f"{address}{path}") if address and path else None
