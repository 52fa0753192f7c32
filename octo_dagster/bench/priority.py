"""The call list on three real shops: do those at its top come back?

The shipped scores are run as of a day and see nothing later. The list holds the customers with frequency ×
monetary of at least 4 who have let two usual cycles pass; "reactivated" is the share of its first fifth who
buy within the next 90 days (CDNOW: 180), a mean over the days `rhythm` is measured on (2 CDNOW, 2 Complete
Journey, 3 Online Retail); "revenue" is what that fifth spends in those days, of what all the list spends.

The bars are those of facts/scores.md §3.6, of nine days it does not name; of all on the list as many come
back here (.37, .98 and .61). They rest on a rhythm whose shrinkage was estimated on each shop (about 3, 1.7
and 1.2): with the nearest whole number (3, 2 and 1) its figures come out again, to .004 on CDNOW and Online
Retail. The shipped shrinkage is 2 for all. Fifths are small: 50 to 58 customers on Complete Journey, where 98
of 100 come back anyway, and 41 to 63 on Online Retail, where .03 is one or two of them.

CDNOW needs `make peers`; a shop whose data set is not there is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from assets.scores.reactivation import reactivation
from assets.scores.rfm import rfm
from assets.scores.rhythm import rhythm
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.rhythm import BOUGHT, filled, read, shops
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse

SHRINKAGE = {"CDNOW": 3, "Complete Journey": 2, "Online Retail": 1}
HORIZON = {"CDNOW": 180}
BARS = {
    "priority": {"CDNOW": 0.596, "Complete Journey": 0.963, "Online Retail": 0.732},
    "adjusted": {"CDNOW": 0.636, "Complete Journey": 0.987, "Online Retail": 0.777},
}
MEANS = {"priority": (0.763, 0.471), "adjusted": (0.800, 0.480)}
"""Reactivated and revenue, means over the three shops."""
SAID = ("the shop's shrinkage", "as shipped")
FORMULAS = {"priority": "revenue × orders", "adjusted": "× 1/(1+(r/4)²)"}
Outcomes = dict[tuple[str, str], list[list[float]]]
"""(formula, shrinkage) → for each shop: reactivated of the first fifth, of all, and the fifth's revenue."""

LIST: dict[str, Any] = {
    "big_from": 4,
    "passive_recency": 0,
    "passive_ratio": Decimal(2),
    "call_if_never_asked": True,
}
PEOPLE = "select distinct customer_id, null::boolean as call_consent, null::varchar as phone from ({orders})"
TOP = f"""
    with list as (
        select customer_id, reactivation_rank <= count(*) over () // 5 as is_first
        from reactivation where reactivation_rank is not null),
    bought as (
        select customer_id, sum(net_amount)::double as spent from orders
        where {BOUGHT} and ordered_at::date > date '{{cut}}' and ordered_at::date <= date '{{end}}'
        group by all)
    select avg((spent is not null)::integer) filter (is_first) as reactivated,
           avg((spent is not null)::integer) as anybody,
           sum(spent) filter (is_first) / sum(spent) as revenue
    from list left join bought using (customer_id)"""


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Both formulas against their bars, shop by shop and as a mean; nothing without the data sets."""
    found: Outcomes = {(rank_by, said): [] for rank_by in FORMULAS for said in SAID}
    for shop in shops(small):
        people = PEOPLE.format(orders=shop.orders) + " where customer_id is not null"
        warehouse = filled(folder / shop.name.replace(" ", "_"), {"orders": shop.orders, "customers": people})
        days = HORIZON.get(shop.name, 90)
        for rank_by, said in found:
            chosen = {} if said == SAID[1] else {"shrinkage": SHRINKAGE[shop.name]}
            each = [outcome(warehouse, cut, days, chosen, rank_by) for cut in shop.cuts]
            told = [float(mean) for mean in np.mean(each, axis=0)]
            what = f"{shop.name}, {FORMULAS[rank_by]}, {said}: reactivated"
            yield Figure(what, told[0], "", "bar", BARS[rank_by][shop.name], least=1.0)
            yield Figure(what, told[0], "", "anybody on the list", told[1])
            found[rank_by, said].append(told)
    if all(len(shares) == len(SHRINKAGE) for shares in found.values()):
        yield from means(found)


def means(found: Outcomes) -> Iterator[Figure]:
    """Over the three shops."""
    for (rank_by, said), shares in found.items():
        reactivated, _, revenue = (float(mean) for mean in np.mean(shares, axis=0))
        title = f"mean of the three, {FORMULAS[rank_by]}, {said}"
        yield Figure(f"{title}: reactivated", reactivated, "", "bar", MEANS[rank_by][0], least=1.0)
        yield Figure(f"{title}: revenue", revenue, "", "bar", MEANS[rank_by][1], least=1.0)


def outcome(
    warehouse: Warehouse, cut: date, days: int, chosen: dict[str, int], rank_by: str
) -> tuple[float, float, float]:
    """Reactivated among the first fifth, among all on the list, and the first fifth's share of revenue."""
    scoring.run(rfm, warehouse, cut)
    scoring.run(rhythm, warehouse, cut, chosen)
    scoring.run(reactivation, warehouse, cut, LIST | {"rank_by": rank_by})
    row = read(warehouse, TOP.format(cut=cut, end=cut + timedelta(days=days))).iloc[0]
    return float(row.reactivated), float(row.anybody), float(row.revenue)
