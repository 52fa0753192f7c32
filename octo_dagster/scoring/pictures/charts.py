"""Plain charts of scores for people who look at pages, not tables."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

INK = "#1f2933"
QUIET = "#52606d"
BLUE = "#2f7fb5"
SHADES = LinearSegmentedColormap.from_list("people", ["#f5f9fc", "#9cc8e3", "#2f7fb5"])
MOST = 24
"""Bars, rows or columns that can still be read; the largest are drawn and the rest are counted."""


def bars(rows: Rows, title: str) -> bytes:
    """A PNG of one horizontal bar a row, in the rows' order: `label`, its `customers` and their share.

    Other columns are written beside the bar by their names. Beyond 24 rows the largest are drawn."""
    drawn, left_out = largest(rows)
    total = sum(row["customers"] for row in rows)
    figure, axes = sheet(title, 1.3 + 0.42 * len(drawn))
    counts = [row["customers"] for row in drawn]
    told = [beside(row, total) for row in drawn]
    axes.barh(range(len(drawn)), counts, color=BLUE, height=0.72)
    axes.set_yticks(range(len(drawn)), [named(row["label"]) for row in drawn])
    axes.invert_yaxis()
    room = 1.1 + 0.014 * max((len(text) for text in told), default=0)
    axes.set_xlim(0, max(counts, default=0) * room or 1)
    axes.set_xticks([])
    for place, (count, text) in enumerate(zip(counts, told, strict=True)):
        axes.text(count, place, f"  {text}", va="center", fontsize=9.5, color=INK)
    return finished(figure, axes, f"{total:,} customers", left_out)


def beside(row: Mapping[str, Any], total: int) -> str:
    """What is written beside a bar: how many, their share, and the further figures."""
    return " · ".join([f"{row['customers']:,} ({row['customers'] / (total or 1):.1%})", *figures(row)])


def matrix(rows: Rows, title: str) -> bytes:
    """A PNG of a table: from `row` (downwards) to `column` (across), with how many `customers`; darker is a
    greater share of its row. Labels are in the order of the rows; beyond 24 the largest are drawn."""
    downwards, across = labels(rows, "row"), labels(rows, "column")
    cells = {(row["row"], row["column"]): row["customers"] for row in rows}
    figure, axes = sheet(title, 2.6 + 0.5 * len(downwards))
    for y, one in enumerate(downwards):
        whole = sum(count for (row, _), count in cells.items() if row == one) or 1
        for x, other in enumerate(across):
            count = cells.get((one, other), 0)
            axes.fill(
                [x - 0.5, x + 0.5, x + 0.5, x - 0.5],
                [y - 0.5, y - 0.5, y + 0.5, y + 0.5],
                color=SHADES(count / whole),
                edgecolor="white",
            )
            if count:
                ink = "white" if count / whole > 0.72 else INK
                axes.text(x, y, f"{count:,}", ha="center", va="center", fontsize=9, color=ink)
    axes.set_yticks(range(len(downwards)), [named(label) for label in downwards])
    axes.set_xticks(range(len(across)), [named(label) for label in across], rotation=35, ha="right")
    axes.set_xlim(-0.5, max(len(across), 1) - 0.5)
    axes.set_ylim(max(len(downwards), 1) - 0.5, -0.5)
    dropped = len({row["row"] for row in rows}) + len({row["column"] for row in rows})
    return finished(figure, axes, "customers", dropped - len(downwards) - len(across))


def largest(rows: Rows) -> tuple[Rows, int]:
    """The rows with most customers, in their own order, and how many are left out."""
    kept = sorted(range(len(rows)), key=lambda place: -rows[place]["customers"])[:MOST]
    return [rows[place] for place in sorted(kept)], max(len(rows) - MOST, 0)


def labels(rows: Rows, name: str) -> list[Any]:
    """The labels of one side, first seen first; the ones with most customers if there are too many."""
    weights: dict[Any, int] = {}
    for row in rows:
        weights[row[name]] = weights.get(row[name], 0) + row["customers"]
    kept = set(sorted(weights, key=lambda label: -weights[label])[:MOST])
    return [label for label in weights if label in kept]


def figures(row: Mapping[str, Any]) -> list[str]:
    """The further figures of a row, each with its name."""
    others = {name: value for name, value in row.items() if name not in {"label", "customers"}}
    return [f"{name.replace('_', ' ')} {short(value)}" for name, value in others.items() if value is not None]


def short(value: Any) -> str:
    if isinstance(value, float | Decimal):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{value:,}" if isinstance(value, int) else str(value)


def named(label: Any) -> str:
    text = "(none)" if label is None else str(label)
    return literal(text if len(text) <= 40 else text[:39] + "…")


def literal(text: str) -> str:
    """The text as it is: between two dollar signs a formula would be read, and one that is none fails."""
    return text.replace("$", r"\$")


def sheet(title: str, height: float) -> tuple[Figure, Axes]:
    """An empty drawing of a given height in inches, with its title."""
    figure = Figure(figsize=(10, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=15, weight="bold", color=INK, loc="left", pad=12)
    axes.tick_params(length=0, labelsize=10, colors=INK)
    for edge in axes.spines.values():
        edge.set_visible(False)
    return figure, axes


def finished(figure: Figure, axes: Axes, told: str, left_out: int) -> bytes:
    more = f"; {left_out:,} smaller ones are not drawn" if left_out else ""
    axes.set_xlabel(told + more, fontsize=10, color=QUIET, loc="left")
    return png(figure)


def png(figure: Figure) -> bytes:
    """The same bytes for the same figure: no date, no version."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()
