"""The cycle a customer buys in: how long he usually waits, and how far he is into the present wait.

Gaps lie between different purchase days (UTC); orders of one day are one purchase. A cycle is the geometric
mean of the own gaps, drawn towards everybody's by `shrinkage` gaps' worth (facts/scores.md §3.2): one or two
gaps say little. All sums are of integers, so that every database gets the same cycle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from octo_dagster.errors import ConfigError
from octo_dagster.scoring.portable import (
    cents,
    day,
    days,
    either,
    exponential,
    in_units,
    later,
    ln_millionths,
    midnight_after,
    rounded,
    whole,
)
from octo_dagster.words import Language

Columns = sa.ColumnCollection[Any, Any]
Minimum = Annotated[int, Field(ge=1, le=100)]
Shrinkage = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[Decimal, Field(gt=0, max_digits=8, decimal_places=4)]


class Label(BaseModel):
    """A name in two languages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(min_length=1, max_length=80)
    fr: str = Field(min_length=1, max_length=80)

    def word(self, language: Language) -> str:
        return self.fr if language == "fr" else self.en


class Stage(Label):
    """A stretch of the wait, and the part of the own cycle at which it ends."""

    below: Share | None = None
    """Ends before this many cycles have passed; only the last stage has no end."""


SHRINKAGE = 2
"""How many usual gaps stand among the own ones. Estimated: 1.1 to 3.1 on three shops."""

Stages = Annotated[tuple[Stage, ...], Field(min_length=2, max_length=9)]

STAGES = (
    Stage(en="recent purchase", fr="achat récent", below=Decimal("0.75")),
    Stage(en="soon reached", fr="bientôt atteint", below=Decimal(1)),
    Stage(en="late", fr="en retard", below=Decimal(2)),
    Stage(en="very late", fr="très en retard", below=Decimal(4)),
    Stage(en="inactive", fr="inactif"),
)
"""Every six months, last bought eight months ago, is 1.33 cycles: late, as the documented example wants."""

SINGLE = Label(en="single purchase", fr="achat unique")
TOO_FEW = Label(en="too few purchases", fr="trop peu d'achats")


def check_stages(stages: Sequence[Stage], others: Sequence[Label]) -> None:
    """Ends rise from stage to stage, the last has none, and no two labels are the same; else ConfigError."""
    problems = []
    ends = [stage.below for stage in stages[:-1] if stage.below is not None]
    if len(ends) < len(stages) - 1 or ends != sorted(set(ends)):
        problems.append("stages: `below` must rise from stage to stage")
    if stages[-1].below is not None:
        problems.append(f"stages: {stages[-1].en!r} is the last: it has no `below`")
    for words in ([label.en for label in (*stages, *others)], [label.fr for label in (*stages, *others)]):
        twice = sorted({word for word in words if words.count(word) > 1})
        problems += [f"stages: {word!r} is given twice" for word in twice]
    if problems:
        raise ConfigError(*problems)


def purchases(orders: sa.FromClause, as_of: date) -> sa.ColumnElement[bool]:
    """Which orders are purchases: completed, above zero, a customer's, before the end of `as_of`."""
    o = orders.c
    return sa.and_(
        o.customer_id.is_not(None),
        o.status == "completed",
        o.net_amount > 0,
        o.ordered_at < midnight_after(as_of),
    )


def purchase_days(orders: sa.FromClause, as_of: date) -> sa.Subquery:
    """One row per purchase: who, and the day, `bought_on`."""
    bought_on = sa.cast(orders.c.ordered_at, sa.Date).label("bought_on")
    return (
        sa.select(orders.c.customer_id, bought_on).where(purchases(orders, as_of)).subquery("purchase_days")
    )


def histories(purchased: sa.FromClause, by: Sequence[str]) -> sa.CTE:
    """One row per `by`: its purchase days counted, the first and the last, and its gaps' logarithms added up.

    A purchase on the day of another makes no gap: sorting passes over it more cheaply than DISTINCT."""
    p = purchased.c
    before = sa.func.lag(p.bought_on).over(partition_by=[p[name] for name in by], order_by=p.bought_on)
    passed = days(p.bought_on, before)
    gaps = sa.select(*p, either(passed > 0, passed).label("gap")).subquery("gaps")
    g = gaps.c
    keys = [g[name] for name in by]
    return (
        sa.select(
            *keys,
            (sa.func.count(g.gap) + 1).label("purchases"),
            sa.func.min(g.bought_on).label("first_on"),
            sa.func.max(g.bought_on).label("last_on"),
            sa.cast(sa.func.coalesce(sa.func.sum(ln_millionths(g.gap)), 0), sa.BigInteger).label("ln_gaps"),
        )
        .group_by(*keys)
        .cte("histories")
    )


def usual_gap(histories: sa.FromClause, shrinkage: int) -> sa.ColumnElement[int]:
    """The aggregate: everybody's gap as millionths of its logarithm; null when nobody came back.

    Each customer weighs m / (m + shrinkage), m his number of gaps: two gaps say nearly as much as twenty. It
    is the cycle of those who came back: shorter than the time in which half of all do (Kaplan-Meier), but for
    customers who bought once the better guide (CDNOW: 38 days, not 114; area of the ratio .75, not .64)."""
    gaps = histories.c.purchases - 1
    # Billionths over millionths, added up as integers. One division of two doubles is the same anywhere.
    logarithms = sa.cast(sa.func.sum(whole(1_000 * histories.c.ln_gaps, gaps + shrinkage)), sa.Double)
    weights = sa.cast(sa.func.sum(whole(1_000_000 * gaps, gaps + shrinkage)), sa.Double)
    mean = logarithms / sa.func.nullif(weights, sa.cast(0, sa.Double))
    return sa.cast(sa.func.floor(mean * 1_000 + 0.5), sa.BigInteger)


def own_cycle(
    histories: sa.FromClause, usual: sa.ColumnElement[int], shrinkage: int
) -> sa.ColumnElement[Any]:
    """Days of the cycle to two places: the own gaps with `shrinkage` usual ones among them, averaged."""
    h = histories.c
    gaps = h.purchases - 1 + shrinkage
    ln = whole(2 * (h.ln_gaps + shrinkage * usual) + gaps, 2 * gaps)
    return rounded(exponential(sa.cast(ln, sa.Double) / sa.cast(1_000_000, sa.Double)), 2)


def customers(orders: sa.FromClause, as_of: date, shrinkage: int) -> sa.Subquery:
    """Each customer's history with his `cycle`: his own and everybody's; null where nobody came back."""
    history = histories(purchase_days(orders, as_of), ("customer_id",))
    usual = sa.select(usual_gap(history, shrinkage)).scalar_subquery()
    cycle = own_cycle(history, usual, shrinkage)
    return sa.select(*history.c, cycle.label("cycle")).subquery("cycled")


def positions(cycled: sa.Subquery, as_of: date) -> sa.Subquery:
    """What a row of `histories` with its `cycle` says of the day: how much of the cycle has passed (`passed`,
    ten-thousandths, rounded down), when the next purchase is due, and the index of return."""
    c = cycled.c
    cycle = cents(c.cycle)
    passed = whole(days(day(as_of), c.last_on) * 1_000_000, cycle)
    # The first day by which a whole cycle has passed: from that day on the ratio is at least 1.
    due = later(c.last_on, whole(cycle + 99, 100))
    known = sa.select(*c, passed.label("passed"), due.label("due_on")).subquery("known")
    k = known.c
    late = days(day(as_of), k.due_on)
    return sa.select(
        *k,
        in_units(k.passed, 4).label("ratio"),
        sa.case((late > 0, late), (late <= 0, 0)).label("days_late"),
        return_index(known, as_of).label("return_index"),
    ).subquery("positions")


def return_index(known: sa.FromClause, as_of: date) -> sa.ColumnElement[Any]:
    """Purchases a day × the chance to come back: n / (T + 30) × 1 / (1 + (ratio / 4)²), T the days since the
    first purchase (facts/scores.md §3.2). To six places; for ranking only."""
    k = known.c
    pace = sa.cast(k.purchases, sa.Double) / sa.cast(days(day(as_of), k.first_on) + 30, sa.Double)
    quarters = sa.cast(k.passed, sa.Double) / sa.cast(40_000, sa.Double)
    return rounded(pace / (quarters * quarters + 1), 6)


def stage_label(
    p: Columns, stages: Sequence[Stage], apart: sa.ColumnElement[Any], language: Language
) -> sa.ColumnElement[str]:
    """The label of the stage the wait has come to; `apart`, where it is not null, stands before it."""
    ended = [
        (p.passed < int(stage.below * 10_000), sa.literal(stage.word(language)))
        for stage in stages
        if stage.below is not None
    ]
    return sa.func.coalesce(apart, sa.case(*ended, else_=sa.literal(stages[-1].word(language))))


def apart(p: Columns, minimum: int, labels: tuple[Label, Label], language: Language) -> sa.ColumnElement[Any]:
    """The label of those who bought on fewer than `minimum` days, or in a shop where nobody came back."""
    single, too_few = (sa.literal(label.word(language)) for label in labels)
    return either(sa.or_(p.purchases < minimum, p.cycle.is_(None)), either(p.purchases == 1, single, too_few))


def shares(labelled: sa.FromClause, group: str) -> sa.Select[Any]:
    """`group`, rfi_label, how many rows of `labelled` have the two, their share of the group's rows, and the
    smallest rfi_ratio among them, which puts stages in their order."""
    g, label = labelled.c[group], labelled.c.rfi_label
    least = sa.func.min(labelled.c.rfi_ratio).label("least_ratio")
    counted = sa.select(g, label, sa.func.count().label("customers"), least).group_by(g, label).subquery()
    c = counted.c
    everybody = sa.cast(sa.func.sum(c.customers).over(partition_by=c[group]), sa.Double)
    share = rounded(sa.cast(c.customers, sa.Double) / everybody, 4)
    return sa.select(c[group], c.rfi_label, c.customers, share.label("share"), c.least_ratio)
