"""Repurchase rhythm (RFI): how far each customer is into the cycle he usually buys in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import sqlalchemy as sa

from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.measures import cycles
from octo_dagster.scoring.measures.cycles import (
    SHRINKAGE,
    SINGLE,
    STAGES,
    TOO_FEW,
    Label,
    Minimum,
    Shrinkage,
    Stages,
)
from octo_dagster.scoring.portable import either, whole
from octo_dagster.words import Language, Speaker

PICTURE = """select rfi_label as label, count(*) as customers from rhythm
    group by 1 order by min(rfi_cycle_source is distinct from 'own+population'), min(rfi_ratio), 1"""
"""From the shortest wait to the longest; who bought once only comes last."""
COHORTS = """select cohort as row, rfi_label as "column", customers from rhythm_shares_by_cohort
    order by cohort, least_ratio, rfi_label"""


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """The cycle and where it comes from, how much of it has passed, and the stage that makes."""
    speaker, last, due = Speaker(language), row["rfi_last_purchase_date"], row["rfi_next_expected_date"]
    if row["rfi_avg_delay"] is None:
        return [speaker.tell("because.rhythm.unknown", label=row["rfi_label"])]
    return [
        cycle_told(row, settings, speaker),
        speaker.tell("because.rhythm.due", last=last, due=due, n=row["rfi_ratio"]),
        stage_told(row, settings, speaker),
    ]


def cycle_told(row: Mapping[str, Any], settings: Mapping[str, Any], speaker: Speaker) -> str:
    """How long the cycle is, and what it was made of."""
    cycle, bought = row["rfi_avg_delay"], row["rfi_purchase_days"]
    if bought == 1:
        return speaker.tell("because.rhythm.once", n=cycle)
    spent = (row["rfi_last_purchase_date"] - row["rfi_first_purchase_date"]).days
    made = {"bought": bought, "gap": spent / (bought - 1), "shrinkage": settings["shrinkage"]}
    return speaker.tell("because.rhythm.cycle", n=cycle, **made)


def stage_told(row: Mapping[str, Any], settings: Mapping[str, Any], speaker: Speaker) -> str:
    """Which bounds the ratio lies between; or that the customer bought too rarely to be placed."""
    label, least = row["rfi_label"], settings["minimum"]
    if row["rfi_purchase_days"] < least:
        return speaker.tell("because.rhythm.rare", label=label, n=least)
    ends = [Decimal(stage["below"]) for stage in settings["stages"][:-1]]
    low = max((end for end in ends if end <= row["rfi_ratio"]), default=Decimal(0))
    high = min((end for end in ends if end > row["rfi_ratio"]), default=None)
    if high is None:
        return speaker.tell("because.rhythm.from", label=label, n=float(low))
    return speaker.tell("because.rhythm.between", label=label, low=float(low), n=float(high))


@score(
    reads=("orders",),
    because=because,
    columns={
        "rfi_label": ("text", "How far into the own cycle, in a word", "rfi_ratio"),
        "rfi_ratio": ("decimal", "Days since the last purchase ÷ the cycle, rounded down"),
        "rfi_avg_delay": ("decimal", "The cycle: usual days from one purchase to the next"),
        "rfi_next_expected_date": ("date", "The first day by which a whole cycle has passed"),
        "rfi_days_late": ("integer", "Days past the expected date; 0 for who is not late"),
        "rfi_purchase_days": ("integer", "Days (UTC) with a completed order above zero"),
        "rfi_cycle_source": ("text", "`own+population`, or `population` for who bought on one day"),
        "rfi_first_purchase_date": ("date", "The first of those days"),
        "rfi_last_purchase_date": ("date", "The last of those days"),
        "return_index": ("decimal", "For ranking: the likelier to buy soon, the higher"),
    },
    picture=Picture("bars", PICTURE, "Purchase rhythm"),
)
def rhythm(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    minimum: Minimum = 2,
    shrinkage: Shrinkage = SHRINKAGE,
    stages: Stages = STAGES,
    single: Label = SINGLE,
    too_few: Label = TOO_FEW,
    language: Language = "en",
) -> sa.Select[Any]:
    """How far each customer is into the cycle he usually buys in, and when he is expected again.

    The label says where a customer stands in his own cycle; to rank who will come back use `return_index`.
    Completed orders above zero before the midnight (UTC) that ends `as_of` count. Who bought on fewer days
    than `minimum` has a label of his own; his figures are filled in, from the usual cycle of those who came
    back if he bought on one day. Where nobody ever came back there is no cycle, and what hangs on it is
    empty."""
    cycles.check_stages(stages, (single, too_few))
    cycled = cycles.customers(tables["orders"], as_of, shrinkage)
    p = cycles.positions(cycled, as_of).c
    apart = cycles.apart(p, minimum, (single, too_few), language)
    source = either(p.purchases > 1, "own+population", either(p.cycle.is_not(None), "population"))
    return sa.select(
        p.customer_id,
        cycles.stage_label(p, stages, apart, language).label("rfi_label"),
        p.ratio.label("rfi_ratio"),
        p.cycle.label("rfi_avg_delay"),
        p.due_on.label("rfi_next_expected_date"),
        p.days_late.label("rfi_days_late"),
        p.purchases.label("rfi_purchase_days"),
        source.label("rfi_cycle_source"),
        p.first_on.label("rfi_first_purchase_date"),
        p.last_on.label("rfi_last_purchase_date"),
        p.return_index,
    )


@score(
    reads=("rhythm",),
    key=("cohort", "rfi_label"),
    columns={
        "cohort": ("text", "When they bought first: 2024-Q1, or 2024-01"),
        "rfi_label": ("text", "How far into the own cycle", "customers"),
        "customers": ("integer", "How many of the cohort"),
        "share": ("decimal", "Of all customers of the cohort, 0 to 1"),
        "least_ratio": ("decimal", "The smallest share of the cycle passed among them"),
    },
    picture=Picture("matrix", COHORTS, "Purchase rhythm by cohort of first purchase"),
)
def rhythm_shares_by_cohort(
    tables: Tables, *, as_of: date, period: Literal["quarter", "month"] = "quarter"
) -> sa.Select[Any]:
    """How many customers of each cohort are early, late or gone; a cohort is a quarter (or month) of first
    purchases."""
    r = tables["rhythm"].c
    first = r.rfi_first_purchase_date
    year, month = (sa.cast(sa.extract(part, first), sa.BigInteger) for part in ("year", "month"))
    quarter = sa.literal("-Q") + sa.cast(whole(month + 2, 3), sa.Text)
    number = either(month < 10, "-0", "-") + sa.cast(month, sa.Text)
    cohort = sa.cast(year, sa.Text) + (quarter if period == "quarter" else number)
    return cycles.shares(sa.select(cohort.label("cohort"), r.rfi_label, r.rfi_ratio).subquery(), "cohort")
