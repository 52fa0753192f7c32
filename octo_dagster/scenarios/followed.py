"""What comes of scenarios: where each customer stands in his, and what each brings beside its holdout."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.score import Picture, Tables, score
from octo_dagster.scoring.portable import cents, day, days, either, midnight_after, rounded
from octo_dagster.words import Language, Speaker

Z = 1.959964
"""How many standard errors lie to each side of a 95 % interval."""

Amount = sa.ColumnElement[Any]


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """Where the customer stands, what is done now and what comes next."""
    tell, following = Speaker(language).tell, row["scenario_next_action_on"]
    entered = {"scenario": row["scenario"], "day": row["scenario_entered_on"]}
    if row["scenario_holdout"]:
        return [tell("because.scenario.holdout", **entered)]
    return [
        tell("because.scenario", **entered),
        step_told(row, Speaker(language)),
        tell("because.scenario.next", day=following) if following else tell("because.scenario.last"),
    ]


def step_told(row: Mapping[str, Any], speaker: Speaker) -> str:
    """The last step that was due: what it does, or why it is left out."""
    step, skipped = row["scenario_step"], row["scenario_skipped"]
    if step == 0:
        return speaker.tell("because.scenario.none")
    if skipped is not None:
        key = f"because.skipped.{skipped.replace(' ', '_')}"
        why = speaker.tell(key) if speaker.knows(key) else skipped
        return speaker.tell("because.scenario.skipped", step=step, why=why)
    channel = speaker.tell(f"because.channel.{row['scenario_action']}")
    return speaker.tell("because.scenario.step", step=step, name=row["scenario_action_name"], channel=channel)


@score(
    reads=("scenario_enrolments",),
    because=because,
    columns={
        "scenario": ("text", "The scenario the customer is in", "scenario_entered_on"),
        "scenario_step": ("integer", "The last step that was due; 0 before the first, and in the holdout"),
        "scenario_action": ("text", "The channel to use now; null: none", "scenario_entered_on"),
        "scenario_action_name": ("text", "What the step is called"),
        "scenario_next_action_on": ("date", "The day of the next step; null after the last"),
        "scenario_entered_on": ("date", "The day (UTC) he entered it"),
        "scenario_holdout": ("boolean", "Followed and left alone, to measure what the steps bring"),
        "scenario_skipped": ("text", "Why the step is left out", "scenario_entered_on"),
        "scenario_actions": ("integer", "Steps so far that were not left out"),
    },
    picture=Picture(
        "bars",
        """select scenario || case when scenario_holdout then ': holdout' else ': step ' || scenario_step end
            as label, count(*) as customers from scenario_state group by 1 order by 1""",
        "Customers in scenarios",
    ),
)
def scenario_state(tables: Tables, *, as_of: date) -> sa.Select[Any]:
    """Every customer who is in a scenario, and how far: what tools act upon.

    To write to or call somebody go by `scenario_action`, empty for the holdout; not by `scenario`."""
    e = tables["scenario_enrolments"].c
    return sa.select(
        e.customer_id,
        e.scenario,
        e.step.label("scenario_step"),
        e.action.label("scenario_action"),
        e.action_name.label("scenario_action_name"),
        e.next_action_on.label("scenario_next_action_on"),
        e.entered_on.label("scenario_entered_on"),
        e.holdout.label("scenario_holdout"),
        e.skipped.label("scenario_skipped"),
        e.actions.label("scenario_actions"),
    ).where(e.left_on.is_(None))


VERDICTS = {
    "en": ("not enough data", "more buy", "fewer buy", "no difference shown"),
    "fr": ("pas assez de données", "plus d'acheteurs", "moins d'acheteurs", "aucune différence démontrée"),
}


@score(
    reads=("scenario_enrolments", "orders"),
    key=("scenario",),
    columns={
        "scenario": ("text", "The scenario"),
        "measured_days": ("integer", "Purchases within so many days of entering count"),
        "treated": ("integer", "Customers who got the steps and whose days are over"),
        "treated_buyers": ("integer", "Of them, those who bought"),
        "treated_share": ("decimal", "Buyers ÷ customers"),
        "treated_revenue": ("decimal", "Revenue per customer"),
        "holdout": ("integer", "Customers of the holdout whose days are over"),
        "holdout_buyers": ("integer", "Of them, those who bought"),
        "holdout_share": ("decimal", "Buyers ÷ customers"),
        "holdout_revenue": ("decimal", "Revenue per customer"),
        "uplift": ("decimal", "Share of buyers among the treated less that of the holdout"),
        "uplift_low": ("decimal", "Lower end of its 95 % interval; null without enough data"),
        "uplift_high": ("decimal", "Upper end"),
        "revenue_uplift": ("decimal", "Revenue per treated customer less that of the holdout"),
        "revenue_uplift_low": ("decimal", "Lower end of its 95 % interval; null without enough data"),
        "revenue_uplift_high": ("decimal", "Upper end"),
        "enough_data": ("boolean", "Each side has enough buyers and enough others for the interval to hold"),
        "verdict": ("text", "What the interval of `uplift` shows"),
    },
    picture=Picture(
        "bars",
        """select scenario || ': ' || arm as label, n as customers from (
             select scenario, 'bought' as arm, treated_buyers as n from scenario_uplift
             union all select scenario, 'did not buy', treated - treated_buyers from scenario_uplift
             union all select scenario, 'holdout, bought', holdout_buyers from scenario_uplift
             union all select scenario, 'holdout, did not buy', holdout - holdout_buyers from scenario_uplift)
        order by scenario, arm""",
        "Bought after entering",
    ),
)
def scenario_uplift(
    tables: Tables,
    *,
    as_of: date,
    enough: Annotated[int, Field(ge=5)] = 10,
    language: Language = "en",
) -> sa.Select[Any]:
    """What each scenario brings: who got its steps beside the holdout, chosen at random and left alone.

    Each customer counts once, from the first time he entered, as soon as his days are over, whatever the
    steps did: also if they were left out or he unsubscribed. Intervals are normal approximations."""
    arms = compared(outcomes(tables, as_of)).c
    return sa.select(*figures(arms, enough, language))


def outcomes(tables: Tables, as_of: date) -> sa.Subquery:
    """One row per scenario and customer whose days are over: whether he bought, and for how much."""
    table, o = tables["scenario_enrolments"], tables["orders"].c
    e = table.c
    nth = sa.func.row_number().over(partition_by=(e.scenario, e.customer_id), order_by=e.entered_on)
    first = sa.select(
        e.scenario, e.customer_id, e.holdout, e.entered_on, e.measured_days, e.last_order_at, nth.label("nth")
    ).subquery("first")
    f = first.c
    since = days(o.ordered_at, f.entered_on)
    later = sa.and_(
        o.customer_id == f.customer_id,
        o.status.in_(("completed", "returned")),
        o.ordered_at < midnight_after(as_of),
        sa.or_(f.last_order_at.is_(None), o.ordered_at > f.last_order_at),
        since >= 0,
        since <= f.measured_days,
    )
    money = either(sa.or_(o.status == "completed", o.net_amount < 0), cents(o.net_amount), 0)
    bought = either(sa.and_(o.status == "completed", o.net_amount > 0), 1, 0)
    return (
        sa.select(
            f.scenario,
            f.holdout,
            f.measured_days,
            sa.func.max(sa.func.coalesce(bought, 0)).label("bought"),
            sa.cast(sa.func.sum(sa.func.coalesce(money, 0)), sa.BigInteger).label("spent"),
        )
        .select_from(first.outerjoin(tables["orders"], later))
        .where(f.nth == 1, days(day(as_of), f.entered_on) >= f.measured_days)
        .group_by(f.scenario, f.customer_id, f.holdout, f.measured_days)
        .subquery("outcomes")
    )


def compared(found: sa.Subquery) -> sa.Subquery:
    """One row per scenario: customers, buyers, cents and squared cents of both sides."""
    f = found.c
    # 64 bits hold no square of thirty million: a week's orders of a dealer, or a dress in rupiah.
    spent = sa.cast(f.spent, sa.Numeric(19, 0))
    columns: list[sa.ColumnElement[Any]] = [f.scenario, sa.func.max(f.measured_days).label("measured_days")]
    for arm, mine in (("treated", sa.not_(f.holdout)), ("holdout", f.holdout)):
        columns += [
            sa.func.count(either(mine, 1)).label(f"{arm}_n"),
            sa.func.sum(either(mine, f.bought, 0)).label(f"{arm}_buyers"),
            sa.func.sum(either(mine, f.spent, 0)).label(f"{arm}_spent"),
            sa.func.sum(either(mine, spent * spent, 0)).label(f"{arm}_squares"),
        ]
    return sa.select(*columns).group_by(f.scenario).subquery("compared")


def figures(a: sa.ColumnCollection[Any, Any], enough: int, language: Language) -> list[Amount]:
    """The columns of `scenario_uplift`, in their declared order."""
    shares, revenues, variances, spreads = {}, {}, {}, {}
    for arm in ("treated", "holdout"):
        n = sa.cast(sa.func.nullif(a[f"{arm}_n"], 0), sa.Double)
        buyers, spent, squares = (sa.cast(a[f"{arm}_{x}"], sa.Double) for x in ("buyers", "spent", "squares"))
        shares[arm], revenues[arm] = buyers / n, spent / n / 100
        variances[arm] = shares[arm] * (1 - shares[arm]) / n
        spread = (squares - spent * spent / n) / sa.func.nullif(n - 1, 0) / n / 10_000
        spreads[arm] = sa.case((spread < 0, 0.0), else_=spread)  # of equal amounts, by rounding
    uplift, more = shares["treated"] - shares["holdout"], revenues["treated"] - revenues["holdout"]
    sure = Z * sa.func.sqrt(variances["treated"] + variances["holdout"])
    about = Z * sa.func.sqrt(spreads["treated"] + spreads["holdout"])
    cells = [(a[f"{arm}_buyers"], a[f"{arm}_n"] - a[f"{arm}_buyers"]) for arm in ("treated", "holdout")]
    can = sa.and_(*(count >= enough for pair in cells for count in pair))
    low, high = rounded(uplift - sure, 4), rounded(uplift + sure, 4)
    poor, better, worse, even = VERDICTS[language]
    told = [a.scenario, a.measured_days]
    for arm in ("treated", "holdout"):
        told += [a[f"{arm}_n"].label(arm), a[f"{arm}_buyers"]]
        told += [
            rounded(shares[arm], 4).label(f"{arm}_share"),
            rounded(revenues[arm], 2).label(f"{arm}_revenue"),
        ]
    return [
        *told,
        rounded(uplift, 4).label("uplift"),
        either(can, low).label("uplift_low"),
        either(can, high).label("uplift_high"),
        rounded(more, 2).label("revenue_uplift"),
        either(can, rounded(more - about, 2)).label("revenue_uplift_low"),
        either(can, rounded(more + about, 2)).label("revenue_uplift_high"),
        can.label("enough_data"),
        sa.case((sa.not_(can), poor), (low > 0, better), (high < 0, worse), else_=even).label("verdict"),
    ]
