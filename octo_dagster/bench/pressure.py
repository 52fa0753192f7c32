"""Responsiveness on 6,000 simulated contacts with known truth: who reacts well to one more message a week?

`sim_pressure_c` holds 608,114 messages over 52 weeks: engaged contacts are in more lists, and their own
activity triggers messages, so that volume follows interest. The shipped score reads them as canonical
messages and events (opens, clicks, unsubscriptions) as of the last day; its figures are held against the
truth of the contacts with at least eight messages. `ρ` is Spearman's correlation, `AUC` the chance that of
two contacts the one whom one more message a week makes answer less is told. The bars are those of
facts/scores.md §3.3 and §5; the response rate and raw slopes (a contact's own regression of the week's
clicks, or opens and clicks, on its messages) are measured in the same run.
The simulator wears answers down by the model's own law: with other laws §3.3 found ρ .68. The risk to
unsubscribe is told as of 2025-10-05 and held against the 13 weeks after: its level is right, its order no
better than chance here, where leaving is nearly pure luck.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from assets.scores.responsiveness import responsiveness
from octo_dagster.bench.figure import Figure
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse

SHARED = Path(__file__).parents[2] / "../shared/data"
LAST = date(2026, 1, 4)
"""The Sunday that ends the 52 weeks."""

MESSAGES = """select cast(message_id as text) as message_id, cast(contact_id as text) as customer_id,
    'email' as channel, cast(null as text) as campaign_id, cast(sent_at as timestamp) as sent_at
    from '{data}/messages.parquet' {where}"""
EVENTS = """
    select 'o' || message_id as event_id, cast(message_id as text) as message_id,
           cast(contact_id as text) as customer_id, 'email' as channel, 'opened' as event_type,
           cast(sent_at as timestamp) as occurred_at from '{data}/messages.parquet' {where} and opened
    union all
    select 'c' || message_id, cast(message_id as text), cast(contact_id as text), 'email', 'clicked',
           cast(sent_at as timestamp) from '{data}/messages.parquet' {where} and clicked
    union all
    select 'u' || contact_id, null, cast(contact_id as text), 'email', 'unsubscribed',
           cast(unsubscribed_at as timestamp)
    from '{data}/truth.parquet' {where} and unsubscribed_at is not null"""

COMPARED = """
    with sent as (
        select contact_id, date_diff('day', date '2025-01-06', cast(sent_at as date)) // 7 as week,
               count(*) as n, sum(cast(clicked as integer)) as c, sum(cast(opened as integer)) + c as y
        from '{data}/messages.parquet' group by all),
    weekly as (
        select t.contact_id, coalesce(n, 0) as n, coalesce(c, 0) as c, coalesce(y, 0) as y
        from '{data}/truth.parquet' t join range(52) r(w) on w < t.weeks_observed
        left join sent s on s.contact_id = t.contact_id and s.week = w),
    raw as (
        select contact_id, sum(y) / sum(n) as response_rate, regr_slope(c, n) as raw_slope_of_clicks,
               regr_slope(y, n) as raw_slope_of_both
        from weekly group by 1)
    select r.*, t.*, raw.* exclude (contact_id) from responsiveness r
    join '{data}/truth.parquet' t on r.customer_id = cast(t.contact_id as text)
    join raw on raw.contact_id = t.contact_id
    where r.feedback_messages >= 8 order by r.customer_id"""

MIDWAY, AHEAD = date(2025, 10, 5), timedelta(weeks=13)
LEFT = """select r.unsubscribe_risk as risk, t.unsubscribed_at is not null and
           t.unsubscribed_at < cast($until as date) + 1 as gone
    from responsiveness r join '{data}/truth.parquet' t on r.customer_id = cast(t.contact_id as text)
    where r.unsubscribe_risk is not null order by r.customer_id"""
RIVALS = ("response_rate", "raw_slope_of_clicks", "raw_slope_of_both")


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Ours beside the bars and plain measures; nothing without the data set. Small, bars are no targets."""
    data = SHARED / "sim_pressure_c"
    if not data.exists():
        return
    rows = computed(folder, data, 1_000 if small else 6_000)
    bar = None if small else 1.0
    truth = rows.true_marginal_clicks_per_week
    ours = rank_correlation(rows.marginal_feedback, truth)
    yield Figure("effect of one more message a week", ours, "ρ", "bar", 0.832, least=bar)
    for name in RIVALS:
        other = rank_correlation(rows[name], truth)
        yield Figure("effect of one more message a week", ours, "ρ", name.replace("_", " "), other, least=1.0)
    backfires = (truth < 0).to_numpy()
    told = area(rows.saturated_chance, backfires)
    yield Figure("who is saturated, by its chance", told, "AUC", "bar", 0.846, least=bar)
    ranked = area(-rows.pressure_efficiency, backfires)
    yield Figure("who is saturated, by efficiency", ranked, "AUC", "bar", 0.88, least=bar)
    for name in RIVALS:
        other = area(-rows[name], backfires)
        yield Figure(
            "who is saturated, by efficiency", ranked, "AUC", name.replace("_", " "), other, least=1.0
        )
    yield from of_leaving(Warehouse(folder / "pressure"), data)


def of_leaving(warehouse: Warehouse, data: Path) -> Iterator[Figure]:
    """The risk told midway beside who left in the 13 weeks after; nothing where too few had left."""
    scoring.run(responsiveness, warehouse, MIDWAY)
    with warehouse.connect() as connection:
        rows = connection.execute(LEFT.format(data=data), {"until": MIDWAY + AHEAD}).df()
    if rows.empty:
        return
    expected = float((1 - (1 - rows.risk.astype(float)) ** (13 / 4)).mean())
    yield Figure(
        "unsubscribe within 13 weeks", 100 * expected, "%", "happened", 100 * float(rows.gone.mean())
    )
    yield Figure("unsubscribe within 13 weeks", area(rows.risk, rows.gone.to_numpy()), "AUC", "chance", 0.5)


def computed(folder: Path, data: Path, contacts: int) -> pd.DataFrame:
    """The shipped score of the first so many contacts, beside the truth and the plain measures."""
    warehouse = Warehouse(folder / "pressure")
    told = {"data": data, "where": f"where contact_id <= {contacts}"}
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        warehouse.replace("messages", connection.sql(MESSAGES.format(**told)).to_arrow_table())
        warehouse.replace("message_events", connection.sql(EVENTS.format(**told)).to_arrow_table())
    scoring.run(responsiveness, warehouse, LAST)
    with warehouse.connect() as connection:
        rows: pd.DataFrame = connection.sql(COMPARED.format(**told)).df()
    return rows.fillna(dict.fromkeys(RIVALS, 0.0))  # who always got the same number has no slope


def rank_correlation(told: pd.Series[float], truth: pd.Series[float]) -> float:
    return float(spearmanr(told.astype(float), truth).statistic)


def area(told: pd.Series[float], truth: NDArray[np.bool_]) -> float:
    """Under the ROC curve: the chance that a true one is told higher than a false one, ties counting half."""
    ranks, true = rankdata(told.astype(float)), int(truth.sum())
    return float((ranks[truth].sum() - true * (true + 1) / 2) / (true * (len(truth) - true)))
