"""Every measurement in one run: parts, in order, as figures; their table, and the page `BENCH.md`."""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import duckdb
import psutil

from octo_dagster.bench import (
    api,
    calls,
    delivery,
    drt,
    live,
    live_large,
    planning,
    pressure,
    priority,
    promotion,
    quota,
    recommendations,
    rfm,
    rhythm,
    scores,
    sources,
    vendors,
)
from octo_dagster.bench.figure import Figure, compared
from octo_dagster.errors import ConfigError

Told = Mapping[str, Sequence[Figure]]
"""Part → its figures."""

PAGE = Path(__file__).parents[1] / "BENCH.md"


@dataclass(frozen=True)
class Part:
    """One thing that is measured: in a folder of its own, at full size or small."""

    title: str
    module: ModuleType
    figures: Callable[[Path, bool], Iterator[Figure]]


def of_rfm(folder: Path, small: bool) -> Iterator[Figure]:
    told = rfm.figures(2_000, turns=1) if small else rfm.figures()
    took = told["measured"]
    title = f"RFM, {told['customers']:,} customers, {told['orders']:,} orders"
    by_hand = compared(title, took["octo"], took["sql"], "DuckDB SQL by hand")
    yield from (figure.within(1.4) for figure in by_hand)
    yield from compared(title, took["octo"], took["pandas"], "pandas")


def of_sources(folder: Path, small: bool) -> Iterator[Figure]:
    rows = 5_000 if small else 1_000_000
    took = sources.figures(folder, rows)
    for what in ("first load", "increment of 100", "nothing new"):
        ours, theirs = took[f"octo {what} seconds"], took[f"dlt {what} seconds"]
        yield Figure(f"PostgreSQL, {rows:,} rows: {what}", ours, "s", "dlt", theirs, 1.0)


def of_planning(folder: Path, small: bool) -> Iterator[Figure]:
    return planning.figures(folder, 5_000, turns=1) if small else planning.figures(folder)


def of_calls(folder: Path, small: bool) -> Iterator[Figure]:
    return calls.figures(folder, 300) if small else calls.figures(folder)


def of_delivery(folder: Path, small: bool) -> Iterator[Figure]:
    return delivery.figures(folder, 1_000) if small else delivery.figures(folder)


PARTS = {
    "rfm": Part("RFM", rfm, of_rfm),
    "scores": Part("All scores", scores, scores.figures),
    "rhythm": Part("Repurchase rhythm: how well it foretells", rhythm, rhythm.figures),
    "pressure": Part("Marketing pressure: how well it knows who would respond", pressure, pressure.figures),
    "promotion": Part("Promotion sensitivity: how well it foretells", promotion, promotion.figures),
    "priority": Part("Whom to call first: how many come back", priority, priority.figures),
    "recommendations": Part(
        "Recommendations: how well they foretell", recommendations, recommendations.figures
    ),
    "sources": Part("Sources", sources, of_sources),
    "plan": Part("Planning", planning, of_planning),
    "calls": Part("Calls", calls, of_calls),
    "live": Part("An order to a column, in seconds", live, live.figures),
    "live_large": Part("An order to a column, a million customers", live_large, live_large.figures),
    "api": Part("The read API", api, api.figures),
    "quota": Part("Under the vendors' quotas", quota, quota.figures),
    "drt": Part("Beside drt-core", drt, drt.figures),
    "delivery": Part("Delivery", delivery, of_delivery),
}


def measured(only: str | None, *, small: bool, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """Run the parts, or one of them; `tell` hears a line as each begins. ConfigError for an unknown name.

    Works in temporary folders; the project's own settings (OCTO_…) are put out of the way first."""
    if only is not None and only not in PARTS:
        raise ConfigError(f"there is no part {only!r}; there are {', '.join(PARTS)}")
    for name in [name for name in os.environ if name.startswith("OCTO_")]:
        del os.environ[name]
    os.environ.update(vendors.CREDENTIALS)
    told = {}
    for name in [only] if only else PARTS:
        tell(f"{PARTS[name].title} …")
        # A daemon's last child may still write when its folder goes: no figure is worth losing for that.
        with tempfile.TemporaryDirectory(prefix="octo-bench-", ignore_cleanup_errors=True) as folder:
            told[name] = list(PARTS[name].figures(Path(folder), small))
    return told


def row(figure: Figure) -> tuple[str, ...]:
    """A figure as it is shown: measure, value, against, ratio, target, met."""
    return (
        figure.measure,
        f"{said(figure.value)} {figure.unit}".strip(),
        f"{figure.against}: {said(figure.other)} {figure.unit}".strip(),
        f"{figure.ratio:.2f}" if figure.least is None else f"{figure.ratio:.3f}",
        figure.target,
        {None: "", True: "yes", False: "NO"}[figure.met],
    )


COLUMNS = ("measure", "Octo", "against", "ratio", "target", "met")


def said(value: float) -> str:
    """A value with as many places as matter."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


def page(told: Told, before: str = "") -> str:
    """`BENCH.md`: what was measured, on what, and what came out. Parts that were not measured now stay as the
    page `before` has them."""
    kept = {part.partition("\n")[0]: part for part in before.split("\n## ")[1:]}
    sections = []
    for name, part in PARTS.items():
        if name in told:
            sections.append(section(name, told[name]))
        elif part.title in kept:
            sections.append(f"## {kept[part.title].rstrip()}\n")
    return "\n".join([HEAD, *sections])


HEAD = """# What Octo costs, and how good its scores are

Written by `octo bench --write`; do not edit.
"""


def section(name: str, figures: Sequence[Figure]) -> str:
    """One part: how it is measured, on what it was, and its figures."""
    lines = [
        f"## {PARTS[name].title}",
        "",
        (PARTS[name].module.__doc__ or "").strip(),
        "",
        f"On {machine()}.",
        "",
    ]
    lines += [line(COLUMNS), line(["---"] * len(COLUMNS)), *(line(row(figure)) for figure in figures), ""]
    return "\n".join(lines)


def machine() -> str:
    """What was measured on, and how busy it was."""
    return (
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, DuckDB {duckdb.__version__}, {datetime.now(UTC):%Y-%m-%d}; "
        f"load average {psutil.getloadavg()[2]:.1f} over 15 minutes "
        "(2 at most are this run's; with more, walls wander)"
    )


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
