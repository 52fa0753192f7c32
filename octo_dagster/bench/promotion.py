"""Promotion sensitivity on Complete Journey: does the past tell who will buy at a discount?

The shipped score sees the last 1, 2, 4, 8 or 13 weeks before each of three days (2017-04-01, 07-01, 10-01);
the truth is the next 13 weeks of customers with at least five orders in them. Figures are Spearman
correlations, means over the days and histories: with the share of value given as discount ("value"), with the
share of orders at 10 % off or more ("orders"), and the mean of the two. The bars are those of
facts/scores.md §3.4, reached there over histories told beside each; raw shares are measured in the same run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
from scipy.stats import spearmanr

from assets.scores.promotion_sensitivity import promotion_sensitivity
from octo_dagster.bench.figure import Figure
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse

SHARED = Path(__file__).parents[2] / "../shared/data"
CUTS = (date(2017, 4, 1), date(2017, 7, 1), date(2017, 10, 1))
WEEKS = (1, 2, 4, 8, 13)
AHEAD = timedelta(weeks=13)

ORDERS = f"""
    with sold as (
        select l.order_id, cast(greatest(l.gross_amount, 0) as decimal(18, 2)) as gross,
               cast(least(greatest(l.discount_amount, 0), greatest(l.gross_amount, 0)) as decimal(18, 2))
                   as discount
        from '{SHARED}/complete_journey/order_lines.parquet' l
        join '{SHARED}/complete_journey/products.parquet' p using (product_id)
        where p.department not in ('FUEL', 'COUPON', 'MISCELLANEOUS')
          and coalesce(p.category, '') not like '%FUEL%')
    select cast(o.order_id as text) as order_id, cast(o.customer_id as text) as customer_id,
           cast(o.ordered_at as timestamp) as ordered_at, o.status,
           cast(sum(s.gross) as decimal(18, 2)) as gross_amount,
           cast(sum(s.discount) as decimal(18, 2)) as discount_amount,
           cast(sum(s.gross) - sum(s.discount) as decimal(18, 2)) as net_amount
    from sold s join '{SHARED}/complete_journey/orders.parquet' o using (order_id)
    group by all"""
"""Orders from their lines: fuel, coupon and miscellaneous lines are no products and carry no promotions."""

FUTURE = """
    select customer_id, cast(sum(discount_amount) as double) / cast(sum(gross_amount) as double) as value,
           avg(cast(10 * discount_amount >= gross_amount as integer)) as orders
    from orders where ordered_at >= $cut and ordered_at < $end and gross_amount > 0
    group by customer_id having count(*) >= 5"""

MEASURES: Mapping[str, str] = {
    "shrunken value share": "promophilia_value_percent",
    "raw value share": "discount_value_percent",
    "promophilia": "promophilia_ratio",
    "documented 80/20": "weighted_discount_percent",
    "raw share of orders with any discount": "discount_count_percent",
}

Correlations = dict[tuple[str, int], list[tuple[float, float]]]
"""(measure, weeks of history) → for each day, its correlation with future value and orders."""


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Ours beside the bars and the raw shares; nothing without the data set. Small, bars are no targets."""
    if not (SHARED / "complete_journey").exists():
        return
    found = correlations(folder, CUTS[:1] if small else CUTS, (4,) if small else WEEKS)
    bar = None if small else 1.0
    after = WEEKS if small else WEEKS[1:]
    value, raw = mean(found, "shrunken value share"), mean(found, "raw value share")
    yield Figure("shrunken value share, 1–13 weeks: value", value, "ρ", "raw value share", raw, least=1.0)
    yield Figure("shrunken value share, 1–13 weeks: value", value, "ρ", "bar", 0.592, least=bar)
    whole = mean(found, "promophilia", after)
    yield Figure("promophilia, 2–13 weeks: value", whole, "ρ", "bar", 0.607, least=bar)
    both = mean(found, "promophilia", after, both=True)
    yield Figure("promophilia, 2–13 weeks: mean of both", both, "ρ", "bar", 0.554, least=bar)
    for rival in ("documented 80/20", "raw share of orders with any discount"):
        other = mean(found, rival, after, both=True)
        yield Figure("promophilia, 2–13 weeks: mean of both", both, "ρ", rival, other, least=1.0)


def mean(found: Correlations, measure: str, weeks: tuple[int, ...] = WEEKS, *, both: bool = False) -> float:
    """Of the correlations with future value, or of those with value and orders together."""
    pairs = [
        pair for (name, past), pairs in found.items() if name == measure and past in weeks for pair in pairs
    ]
    return float(np.mean([sum(pair) / 2 if both else pair[0] for pair in pairs]))


def correlations(folder: Path, cuts: tuple[date, ...], weeks: tuple[int, ...]) -> Correlations:
    """Every measure as of every day and history, beside what happened then."""
    warehouse = Warehouse(folder / "promotion")
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        warehouse.replace("orders", connection.sql(ORDERS).to_arrow_table())
    found: Correlations = {(measure, past): [] for measure in MEASURES for past in weeks}
    for cut in cuts:
        for past in weeks:
            for measure, pair in measured(warehouse, cut, past).items():
                found[measure, past].append(pair)
    return found


def measured(warehouse: Warehouse, cut: date, weeks: int) -> dict[str, tuple[float, float]]:
    """Run the score as of the day before the cut on the weeks before it, and compare."""
    scoring.run(promotion_sensitivity, warehouse, cut - timedelta(days=1), {"window_days": 7 * weeks})
    with warehouse.connect() as connection:
        ahead = connection.execute(f"create temp table ahead as {FUTURE}", {"cut": cut, "end": cut + AHEAD})
        rows = ahead.sql("select * from ahead join promotion_sensitivity using (customer_id) order by 1").df()
    return {
        measure: (
            float(spearmanr(rows[column].astype(float), rows.value).statistic),
            float(spearmanr(rows[column].astype(float), rows.orders).statistic),
        )
        for measure, column in MEASURES.items()
    }
