"""The RFM plane as a picture: recency across, frequency × monetary upwards, named segments over the cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from octo_dagster.scoring.pictures.charts import INK, QUIET, literal, png

Cell = tuple[int, int]
"""(recency class, frequency × monetary class)."""

SHADES = LinearSegmentedColormap.from_list("revenue", ["#f5f9fc", "#9cc8e3", "#2f7fb5"])


def rfm_heatmap(rows: Sequence[Mapping[str, Any]], bins: int = 6) -> bytes:
    """A PNG of the RFM plane: in each cell how many customers and what share of revenue.

    `rows` are rows of the `rfm` table, or sums of them with a `customers` column. Darker is more
    revenue; thick lines are the borders of segments, each named in its upper corner with its totals."""
    people, money, names = summed(rows)
    figure = Figure(figsize=(11.5, 8.2), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.075, 0.1, 0.905, 0.78))
    total = sum(money.values())
    shares = {cell: float(amount / total) if total > 0 else 0.0 for cell, amount in money.items()}
    draw_cells(axes, bins, people, shares)
    draw_segments(axes, bins, people, shares, names)
    label(figure, axes, bins, sum(people.values()))
    return png(figure)


def summed(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[Cell, int], dict[Cell, Any], dict[Cell, str]]:
    """Customers, revenue and segment of each cell that has customers."""
    people: dict[Cell, int] = {}
    money: dict[Cell, Any] = {}
    names: dict[Cell, str] = {}
    for row in rows:
        cell = (row["rfm_recency"], row["rfm_frequency_monetary"])
        people[cell] = people.get(cell, 0) + row.get("customers", 1)
        money[cell] = money.get(cell, 0) + row["rfm_revenue"]
        names[cell] = row["rfm_segment"]
    return people, money, names


def draw_cells(axes: Axes, bins: int, people: Mapping[Cell, int], shares: Mapping[Cell, float]) -> None:
    """One square per cell, shaded by its share of revenue, with its two figures."""
    most = max(shares.values(), default=0) or 1
    for x in range(1, bins + 1):
        for y in range(1, bins + 1):
            share = max(shares.get((x, y), 0.0), 0.0)
            shade = SHADES((share / most) ** 0.7)
            axes.fill([x - 0.5, x + 0.5, x + 0.5, x - 0.5], [y - 0.5, y - 0.5, y + 0.5, y + 0.5], color=shade)
            axes.plot([x - 0.5, x + 0.5], [y - 0.5, y - 0.5], color="white", linewidth=1, zorder=2)
            axes.plot([x - 0.5, x - 0.5], [y - 0.5, y + 0.5], color="white", linewidth=1, zorder=2)
            if people.get((x, y)):
                ink = "white" if share / most > 0.72 else INK
                write(axes, (x, y - 0.06), f"{people[x, y]:,}", 12.5, ink)
                write(axes, (x, y - 0.29), f"{shares[x, y]:.1%} of revenue", 8, ink)


def draw_segments(
    axes: Axes,
    bins: int,
    people: Mapping[Cell, int],
    shares: Mapping[Cell, float],
    names: Mapping[Cell, str],
) -> None:
    """Borders between cells of different segments, and each segment's name over its first cell."""
    for x in range(1, bins + 1):
        for y in range(1, bins + 1):
            mine = names.get((x, y))
            if x < bins and differ(mine, names.get((x + 1, y))):
                axes.plot([x + 0.5] * 2, [y - 0.5, y + 0.5], color=INK, linewidth=2.2, zorder=4)
            if y < bins and differ(mine, names.get((x, y + 1))):
                axes.plot([x - 0.5, x + 0.5], [y + 0.5] * 2, color=INK, linewidth=2.2, zorder=4)
    for name in sorted(set(names.values())):
        cells = [cell for cell, segment in names.items() if segment == name]
        customers = sum(people[cell] for cell in cells)
        share = sum(shares[cell] for cell in cells)
        left, top = min(x for x, _ in cells) - 0.46, max(y for _, y in cells) + 0.45
        axes.text(
            left, top, literal(name), fontsize=8.6, weight="bold", color=INK, va="top", zorder=5, bbox=PLATE
        )
        axes.text(
            left, top - 0.16, f"{customers:,} customers, {share:.0%} of revenue",
            fontsize=7.6, color=INK, va="top", zorder=5, bbox=PLATE,
        )  # fmt: skip


PLATE = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1.2}


def differ(one: str | None, other: str | None) -> bool:
    """Whether a border runs between two cells; an empty cell has no segment of its own."""
    return one is not None and other is not None and one != other


def write(axes: Axes, at: tuple[float, float], text: str, size: float, ink: str) -> None:
    axes.text(*at, text, fontsize=size, color=ink, ha="center", va="center", zorder=3)


def label(figure: Figure, axes: Axes, bins: int, customers: int) -> None:
    """Title, scales and what they mean."""
    axes.set_xlim(0.5, bins + 0.5)
    axes.set_ylim(0.5, bins + 0.5)
    axes.set_xticks(range(1, bins + 1))
    axes.set_yticks(range(1, bins + 1))
    axes.tick_params(length=0, labelsize=12, colors=INK)
    for edge in axes.spines.values():
        edge.set(color=INK, linewidth=2.2)
    axes.set_xlabel("Recency: 1 bought longest ago → most recent", fontsize=11, color=INK, labelpad=8)
    axes.set_ylabel("Frequency × monetary: 1 smallest → biggest", fontsize=11, color=INK, labelpad=8)
    figure.text(
        0.075, 0.945, f"RFM: where {customers:,} customers stand", fontsize=17, weight="bold", color=INK
    )
    told = "Customers and their share of revenue; darker is more revenue."
    figure.text(0.075, 0.905, told, fontsize=10.5, color=QUIET)
