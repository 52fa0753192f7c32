"""RFM: how recently a customer bought, how often, how much, and the segment that makes of it.

The expressions are those of `octo_dagster/scoring/measures/recency.py`, which RFM's history shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures.recency import (
    Bins,
    Both,
    Cuts,
    Days,
    Method,
    MoneyCuts,
    Rules,
    classes,
    classes_of,
    figures_of,
    start_of,
)
from octo_dagster.scoring.measures.segments import Segment, default_segments
from octo_dagster.scoring.portable import cents
from octo_dagster.words import Language, Speaker

PLANE = """select rfm_recency, rfm_frequency_monetary, rfm_segment, count(*) as customers,
    sum(rfm_revenue) as rfm_revenue from rfm group by all order by all"""
"""The rows of the picture, at most one per cell, however many customers there are."""


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """The arithmetic of frequency × monetary, and the cells of the segment."""
    tell, recency, both = Speaker(language).tell, row["rfm_recency"], row["rfm_frequency_monetary"]
    way = "mean" if settings["fxm"] == "mean" else "product"
    given = settings["segments"]
    segments = [Segment(**segment) for segment in given] if given else default_segments(settings["bins"])
    mine = next(segment for segment in segments if (recency, both) in segment.cells())
    return [
        tell(f"because.rfm.{way}", frequency=row["rfm_frequency"], monetary=row["rfm_monetary"], both=both),
        tell(
            "because.rfm.segment",
            segment=row["rfm_segment"],
            recency=list(mine.recency),
            both=list(mine.frequency_monetary),
        ),
    ]


def touched(
    tables: Tables,
    *,
    as_of: date,
    since: date | None = None,
    window_days: Days | None = None,
    **said: Any,
) -> sa.Select[Any] | None:
    """Where the touched customers stand among all others as the night left them; None where their place hangs
    on more than ranks and cuts."""
    rules = rules_of(**said)
    if rules.method == "r_rfm" or rules.fxm != "mean":
        return None
    mine = figures_of(tables["orders"], as_of, start_of(as_of, since, window_days))
    n = tables["rfm"].c
    theirs = sa.select(
        *(n[name] for name in ("customer_id", "rfm_orders", "rfm_revenue")),
        n.rfm_last_order_at,
        n.rfm_first_order_at,
        cents(n.rfm_revenue).label("revenue_cents"),
        n.rfm_recency_days,
    )
    everybody = sa.union_all(sa.select(mine), theirs).subquery("everybody")
    return labelled(classes_of(mine, everybody, rules), rules)


def rules_of(  # noqa: PLR0913 - every keyword is a setting of the score
    *,
    bins: Bins = 6,
    method: Method = "repeat_aware",
    cuts_recency: Cuts | None = None,
    cuts_frequency: Cuts | None = None,
    cuts_monetary: MoneyCuts | None = None,
    fxm: Both = "mean",
    segments: tuple[Segment, ...] | None = None,
    language: Language = "en",
) -> Rules:
    """How the classes are cut and named, by these settings."""
    cuts = {"recency": cuts_recency, "frequency": cuts_frequency, "monetary": cuts_monetary}
    return Rules(bins, method, cuts, fxm, segments or default_segments(bins), language)


@score(
    because=because,
    live=touched,
    picture=Picture("plane", PLANE, "RFM"),
    reads=("orders",),
    columns={
        "rfm_recency": (
            "integer",
            "1 the sixth that bought longest ago … 6 the most recent",
            "rfm_recency_days",
        ),
        "rfm_frequency": ("integer", "1 a single order; 2 … 6 fifths of those who came back", "rfm_orders"),
        "rfm_monetary": ("integer", "1 the sixth that spent least … 6 the most", "rfm_revenue"),
        "rfm_frequency_monetary": ("integer", "Frequency and monetary in one class, 1 … 6", "rfm_revenue"),
        "rfm_segment": ("text", "The named segment of the two classes", "rfm_revenue"),
        "rfm_recency_days": ("integer", "Days (UTC) from the last order to the day of the score"),
        "rfm_orders": ("integer", "Completed orders above zero"),
        "rfm_revenue": ("decimal", "What completed orders and returns add up to, net"),
        "rfm_last_order_at": ("datetime", "The last completed order above zero"),
        "rfm_first_order_at": ("datetime", "The first completed order above zero"),
    },
)
def rfm(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    bins: Bins = 6,
    method: Method = "repeat_aware",
    since: date | None = None,
    window_days: Days | None = None,
    cuts_recency: Cuts | None = None,
    cuts_frequency: Cuts | None = None,
    cuts_monetary: MoneyCuts | None = None,
    fxm: Both = "mean",
    segments: tuple[Segment, ...] | None = None,
    language: Language = "en",
) -> sa.Select[Any]:
    """How recently, how often and how much every customer bought, and the segment that makes of it.

    Orders before the midnight (UTC) that ends `as_of` count, none later. Recency and frequency count
    completed orders above zero; revenue adds up completed orders less what returns gave back. Customers
    without such an order, and guests, have no row."""
    rules = rules_of(
        bins=bins,
        method=method,
        cuts_recency=cuts_recency,
        cuts_frequency=cuts_frequency,
        cuts_monetary=cuts_monetary,
        fxm=fxm,
        segments=segments,
        language=language,
    )
    figures = figures_of(tables["orders"], as_of, start_of(as_of, since, window_days))
    return labelled(classes(figures, rules), rules)


def labelled(classed: sa.Subquery, rules: Rules) -> sa.Select[Any]:
    """The score's columns, in their declared order."""
    c = classed.c
    return sa.select(
        c.customer_id,
        c.rfm_recency,
        c.rfm_frequency,
        c.rfm_monetary,
        c.rfm_frequency_monetary,
        rules.label(c.rfm_recency, c.rfm_frequency_monetary).label("rfm_segment"),
        c.rfm_recency_days,
        c.rfm_orders,
        c.rfm_revenue,
        c.rfm_last_order_at,
        c.rfm_first_order_at,
    )
