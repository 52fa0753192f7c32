"""The RFM plane: in each cell how many customers and what share of revenue; each leads to its customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from octo_dagster.pages.board import Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board
from octo_dagster.pages.scores.labels import in_force
from octo_dagster.pages.scores.links import here, is_, people
from octo_dagster.pages.scores.sheet import absent, part, shade, sheet, total
from octo_dagster.scoring.measures.segments import Segment, default_segments

router = APIRouter()
page = Page("rfm", "/rfm", router, "scores", 10)

At = tuple[int, int]
"""(recency class, frequency × monetary class)."""

CELLS = """
select rfm_recency as recency, rfm_frequency_monetary as size, rfm_segment as segment,
    count(*) as customers, coalesce(sum(rfm_revenue), 0) as revenue, sum(rfm_orders) as orders,
    sum(rfm_recency_days) as days
from rfm group by all order by all"""
SUMS = ("customers", "revenue", "orders", "days")


@dataclass(frozen=True, slots=True)
class Cell:
    """A square of the plane."""

    at: At
    customers: int
    share: float
    """Of revenue, 0 to 1."""
    segment: str | None
    name: str | None
    """The segment's name, on its first cell."""
    look: str
    """CSS classes: the shade by revenue, and borders where a segment ends."""
    href: str


@dataclass(frozen=True, slots=True)
class Sized:
    """A segment and its figures."""

    name: str
    customers: int
    revenue: Any
    share: float
    """Of customers."""
    revenue_share: float
    average: Any
    """Revenue per customer."""
    days: int
    """Mean days since the last order."""
    advice: str
    """The words of what to do next."""
    href: str
    audience: str | None
    """Where an audience of this segment is made; None for a segment that no cell is in."""


@router.get("/rfm")
def rfm(request: Request) -> Response:
    """The plane, the segments, and what to do about each."""
    told = board(request)
    if (instead := absent(request, "rfm", "rfm")) is not None:
        return instead
    cells = told.select(CELLS)
    places = segments_of(in_force(told, "rfm"))
    return sheet(
        request, "scores/rfm.html", "rfm", "rfm",
        plane=plane(cells, places), segments=sized(cells, places), customers=total(cells, "customers"),
        revenue=total(cells, "revenue"), orders=total(cells, "orders"), classes=bins_of(places),
    )  # fmt: skip


def segments_of(settings: Mapping[str, Any]) -> dict[At, str]:
    """Which segment each cell of the plane is in, by the settings RFM was worked out with."""
    given, language = settings.get("segments"), settings.get("language", "en")
    made = [Segment(**one) for one in given] if given else default_segments(settings.get("bins", 6))
    return {at: one.label(language) for one in made for at in one.cells()}


def bins_of(places: Mapping[At, str]) -> int:
    return max((x for x, _ in places), default=0)


def plane(cells: Sequence[Row], places: Mapping[At, str]) -> list[list[Cell]]:
    """The rows of the plane, biggest customers first; recency rises from left to right."""
    held = {(row["recency"], row["size"]): row for row in cells}
    revenue = total(cells, "revenue")
    most = max((part(row["revenue"], revenue) for row in cells), default=0.0) or 1.0
    bins = bins_of(places)
    firsts = {name: first(at for at, one in places.items() if one == name) for name in places.values()}
    rows = []
    for size in range(bins, 0, -1):
        line = []
        for at in ((recency, size) for recency in range(1, bins + 1)):
            row, mine = held.get(at), places.get(at)
            share = part(row["revenue"], revenue) if row else 0.0
            look = " ".join([f"shade-{shade(share / most)}", *borders(at, places)])
            name = mine if mine and firsts[mine] == at else None
            line.append(Cell(at, row["customers"] if row else 0, share, mine, name, look, cell_link(at)))
        rows.append(line)
    return rows


def first(cells: Any) -> At:
    """The cell a segment's name is written in: the uppermost, then the leftmost."""
    found: At = min(cells, key=lambda at: (-at[1], at[0]))
    return found


def borders(at: At, places: Mapping[At, str]) -> list[str]:
    """On which sides of a cell another segment begins."""
    x, y = at
    beside = {"top": (x, y + 1), "right": (x + 1, y), "bottom": (x, y - 1), "left": (x - 1, y)}
    return [f"edge-{side}" for side, other in beside.items() if places.get(other) != places.get(at)]


def cell_link(at: At) -> str:
    return people(is_("rfm_recency", at[0]), is_("rfm_frequency_monetary", at[1]))


def sized(cells: Sequence[Row], places: Mapping[At, str]) -> list[Sized]:
    """Every segment with customers, the one with most revenue first."""
    sums: dict[str, dict[str, Any]] = {}
    for row in cells:
        mine = sums.setdefault(row["segment"], dict.fromkeys(SUMS, 0))
        for name in SUMS:
            mine[name] += row[name] or 0
    customers, revenue = total(cells, "customers"), total(cells, "revenue")
    found = [
        Sized(
            name, its["customers"], its["revenue"], part(its["customers"], customers),
            part(its["revenue"], revenue), its["revenue"] / its["customers"],
            round(its["days"] / its["customers"]), advice(name, places), people(is_("rfm_segment", name)),
            audience(name, places),
        )
        for name, its in sums.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: (-one.revenue, one.name))


def advice(name: str, places: Mapping[At, str]) -> str:
    """The words of what to do with a segment, by the ninth of the plane its middle lies in."""
    cells = [at for at, one in places.items() if one == name]
    if not cells:  # worked out with other settings than these
        return "rfm.next.other"
    bins = bins_of(places)
    recency, size = (min(2, int(3 * (sum(v) / len(v) - 0.5) / bins)) for v in zip(*cells, strict=True))
    return f"rfm.next.{recency}{size}"


def audience(name: str, places: Mapping[At, str]) -> str | None:
    """The editor of audiences, with the rule that is this segment in every language."""
    cells = [at for at, one in places.items() if one == name]
    if not cells:
        return None
    recency, size = (sorted({*values}) for values in zip(*cells, strict=True))
    rule = f"rfm_recency in {recency} and rfm_frequency_monetary in {size}"
    return here("/audiences/new", rule=rule)


def strength(places: Mapping[At, str]) -> dict[str, float]:
    """How far up the plane each segment lies: the mean of its two classes, added up."""
    held: dict[str, list[int]] = {}
    for (recency, size), name in places.items():
        held.setdefault(name, []).append(recency + size)
    return {name: sum(sums) / len(sums) for name, sums in held.items()}
