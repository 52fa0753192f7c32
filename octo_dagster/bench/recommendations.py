"""Recommendations on two real shops: does the past tell what each customer will buy next?

The shipped scores, with their shipped settings, see everything before a day; the truth is what their
customers bought in the next 28 days (customers with a history and at least one purchase; products outside
the catalogue count as missed). Windows: Online Retail from 2011-09-16 and 2011-11-11, Complete Journey from
2017-11-06 and 2017-12-04 (its 8,000 products with most buyers before that day, without bags, fuel and
coupons); figures are means of both. `reorder` is held against all that was bought, `discover` against what a
customer bought for the first time. The bars are the best figures of facts/scores.md §3.5, reached by
different methods there: "recommended" without tuning, and the best listed of all, tuned to each shop. Our
constants were tuned on earlier windows only (2011-10-14, 2017-10-09) and are the same for both shops.
Coverage is the share of the catalogue that anybody is shown. Implicit (item-item BM25 with K 100; ALS with
128 factors and regularisation 10, the best of six settings on the earlier window) runs beside it on the same
purchases when `make peers` has made its environment; seconds are those of fitting and of ten products for
every customer, ours with both lists, reasons and tables written. The simulated views are a functional check
only: 30 % of first purchases were given views beforehand.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from string import Template
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from assets.scores.recommendations import recommendations, related_products
from octo_dagster.bench.figure import Figure
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "../shared/data"
PEERS = ROOT / ".venv-peers/bin/python"
SCRIPT = Path(__file__).parent / "peers/implicit_items.py"
TOP = 10
AHEAD = timedelta(days=28)

CUSTOMERS = "select distinct cast(customer_id as text) as customer_id, country from '$data/customers.parquet'"
ORDERS = """select cast(order_id as text) as order_id, cast(customer_id as text) as customer_id, status,
    cast(ordered_at as timestamp) as ordered_at, cast(net_amount as decimal(18, 2)) as net_amount
    from '$data/orders.parquet'"""
LINES = """select cast(order_id as text) as order_id, line_no, cast(product_id as text) as product_id,
    cast(quantity as decimal(18, 3)) as quantity, false as is_return from '$data/order_lines.parquet'"""
PRODUCTS = """null::boolean as in_stock, null::timestamp as created_at from '$data/products.parquet'"""
BOUGHT = """select distinct cast(customer_id as text) as customer_id, cast(product_id as text) as product_id,
    cast(ordered_at as timestamp) as bought_at
    from '$data/order_lines.parquet' l join '$data/orders.parquet' o using (order_id)"""

RETAIL = {
    "customers": CUSTOMERS,
    "orders": ORDERS,
    "order_lines": f"{LINES} where is_product and kind = 'sale'",
    "products": f"select product_id, name, null::text as category, {PRODUCTS} where is_product",
    "bought": f"""{BOUGHT} where is_product and kind = 'sale' and status = 'completed'
        and customer_id is not null""",
}
KEPT = """(from '$data/products.parquet' where category not like '%BAG%' and category not like '%COUP%'
    and category not like '%FUEL%')"""
MOST = f"""(select product_id from '$data/order_lines.parquet' join '$data/orders.parquet' using (order_id)
    semi join {KEPT} using (product_id) where quantity > 0 and ordered_at < timestamp '$day'
    group by all order by count(distinct customer_id) desc, product_id limit 8000)"""
JOURNEY = {
    "customers": CUSTOMERS.replace("country", "null::text as country"),
    "orders": ORDERS,
    "order_lines": f"{LINES} semi join {MOST} using (product_id) where quantity > 0",
    "products": f"""select cast(product_id as text) as product_id, name, category, {PRODUCTS}
        semi join {MOST} using (product_id)""",
    "bought": f"{BOUGHT} semi join {KEPT} using (product_id) where quantity > 0",
}
"""As canonical tables; `bought` has every product, also those outside the catalogue that are missed."""


@dataclass(frozen=True, slots=True)
class Shop:
    """A data set, the days it is cut at, and the bars on it."""

    name: str
    folder: str
    tables: Mapping[str, str]
    days: tuple[date, ...]
    bars: Mapping[tuple[str, str], float]
    """(list, whose) → NDCG@10 of facts/scores.md."""


SHOPS = (
    Shop(
        "Online Retail",
        "online_retail",
        RETAIL,
        (date(2011, 9, 16), date(2011, 11, 11)),
        {
            ("reorder", "recommended there"): 0.344,
            ("reorder", "best listed"): 0.3439,
            ("discover", "recommended there"): 0.113,
            ("discover", "best listed"): 0.1148,
        },
    ),
    Shop(
        "Complete Journey",
        "complete_journey",
        JOURNEY,
        (date(2017, 11, 6), date(2017, 12, 4)),
        {
            ("reorder", "recommended there"): 0.390,
            ("reorder", "best listed"): 0.3916,
            ("discover", "recommended there"): 0.044,
            ("discover", "best listed"): 0.0477,
        },
    ),
)


@dataclass(frozen=True, slots=True)
class Quality:
    """How good ten products are for each customer."""

    ndcg: float
    recall: float
    coverage: float
    seconds: float


Found = dict[tuple[str, str], list[Quality]]
"""(who, list) → one quality for each day."""


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Both shops beside the bars and implicit; nothing without the data sets."""
    for shop in SHOPS[:1] if small else SHOPS:
        if (SHARED / shop.folder).exists():
            found = measured(folder, shop, shop.days[:1] if small else shop.days)
            yield from told(shop, found)
            yield from beside(shop, found)
    if (SHARED / "online_retail_simulated_views").exists() and not small:
        yield with_views(folder)


def told(shop: Shop, found: Found) -> Iterator[Figure]:
    """Ours against the bars."""
    for name in ("reorder", "discover"):
        ours = mean(found["octo", name])
        for (of, whose), bar in shop.bars.items():
            if of == name:
                yield Figure(f"{shop.name}, {name}: NDCG@10", ours.ndcg, "", whose, bar, least=1.0)
    ease = mean(found["octo with EASE", "discover"])
    bar = shop.bars["discover", "best listed"]
    yield Figure(f"{shop.name}, discover with `ease`: NDCG@10", ease.ndcg, "", "best listed", bar, least=1.0)


def beside(shop: Shop, found: Found) -> Iterator[Figure]:
    """Ours against the peers of this run."""
    for who, name in found:
        if who.startswith("implicit"):
            ours, theirs = mean(found["octo", name]), mean(found[who, name])
            title = f"{shop.name}, {name}"
            yield Figure(f"{title}: NDCG@10", ours.ndcg, "", who, theirs.ndcg, least=1.0)
            yield Figure(f"{title}: Recall@10", ours.recall, "", who, theirs.recall, least=1.0)
            yield Figure(f"{title}: coverage", ours.coverage, "", who, theirs.coverage)
            yield Figure(f"{title}: seconds", ours.seconds, "s", who, theirs.seconds)


def mean(qualities: list[Quality]) -> Quality:
    columns = zip(*((q.ndcg, q.recall, q.coverage, q.seconds) for q in qualities), strict=True)
    return Quality(*(float(np.mean(column)) for column in columns))


def measured(folder: Path, shop: Shop, days: tuple[date, ...]) -> Found:
    """Everybody's quality on every day."""
    found: Found = {}
    for day in days:
        cut = Cut(folder / f"{shop.folder}_{day}", day)
        cut.fill(shop)
        for who, settings in (("octo", {}), ("octo with EASE", {"ease": True})):
            seconds = cut.run(settings)
            for name in ("reorder", "discover"):
                found.setdefault((who, name), []).append(cut.quality(cut.listed(name), name, seconds))
        for who, (lists, seconds) in cut.peers().items():
            for name, rows in lists.items():
                found.setdefault((who, name), []).append(cut.quality(rows, name, seconds))
    return found


@dataclass(frozen=True)
class Cut:
    """One shop cut at one day: what is known is in a warehouse, what came after is the truth."""

    root: Path
    day: date
    warehouse: Warehouse = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "warehouse", Warehouse(self.root / "warehouse"))

    @property
    def as_of(self) -> date:
        return self.day - timedelta(days=1)

    def fill(self, shop: Shop) -> None:
        """The canonical tables, what came after included: the scores must not see it."""
        with duckdb.connect() as connection:
            for name, query in shop.tables.items():
                text = Template(query).substitute(data=SHARED / shop.folder, day=self.day)
                self.warehouse.replace(name, connection.sql(text).to_arrow_table())

    def run(self, settings: Mapping[str, Any]) -> float:
        """The seconds both scores take."""
        started = time.perf_counter()
        scoring.run(related_products, self.warehouse, self.as_of)
        scoring.run(recommendations, self.warehouse, self.as_of, settings)
        return time.perf_counter() - started

    def frame(self, query: str) -> pd.DataFrame:
        with self.warehouse.connect() as connection:
            found: pd.DataFrame = connection.sql(
                Template(query).substitute(day=self.day, end=self.day + AHEAD)
            ).df()
        return found

    def listed(self, name: str) -> pd.DataFrame:
        return self.frame(f"""select customer_id, product_id, rank from recommendations
            where "list" = '{name}' and rank <= {TOP}""")

    def truth(self, name: str) -> pd.DataFrame:
        """What customers with a history bought afterwards; for `discover` what they had not bought before."""
        unseen = "anti join before using (customer_id, product_id)" if name == "discover" else ""
        return self.frame(f"""
            with before as (select customer_id, product_id from bought where bought_at < timestamp '$day'),
                 known as (select customer_id from before semi join products using (product_id))
            select distinct customer_id, product_id from bought {unseen} semi join known using (customer_id)
            where bought_at >= timestamp '$day' and bought_at < timestamp '$end'""")

    def quality(self, rows: pd.DataFrame, name: str, seconds: float) -> Quality:
        """Means over the customers of the truth."""
        truth = self.truth(name)
        wanted = truth.groupby("customer_id").size()
        hits = rows.merge(truth, on=["customer_id", "product_id"])
        gain = (1 / np.log2(hits["rank"] + 1)).groupby(hits.customer_id).sum().reindex(wanted.index).fillna(0)
        most = np.cumsum(1 / np.log2(np.arange(2, TOP + 2)))[np.minimum(wanted, TOP) - 1]
        found = hits.groupby("customer_id").size().reindex(wanted.index).fillna(0)
        catalogue = self.frame("select count(*) as n from products")["n"][0]
        shown = rows[rows.customer_id.isin(wanted.index)].product_id.nunique()
        return Quality(
            float((gain / most).mean()), float((found / wanted).mean()), shown / catalogue, seconds
        )

    def peers(self) -> dict[str, tuple[dict[str, pd.DataFrame], float]]:
        """Implicit's lists by method, and its seconds; nothing where it is not installed."""
        if not PEERS.exists():
            return {}
        bought = self.frame("""select customer_id, product_id, count(distinct cast(bought_at as date)) as days
            from bought semi join products using (product_id) where bought_at < timestamp '$day'
            group by all order by all""")
        bought.to_parquet(self.root / "bought.parquet")
        done = subprocess.run(
            [PEERS, SCRIPT, self.root, str(TOP)], check=True, capture_output=True, text=True
        )
        return {
            f"implicit {method}": (
                {
                    name: pd.read_parquet(self.root / f"{method}.{name}.parquet")
                    for name in ("reorder", "discover")
                },
                seconds,
            )
            for method, seconds in json.loads(done.stdout.splitlines()[-1]).items()
        }


def with_views(folder: Path) -> Figure:
    """`discover` with the simulated views against without, on the last window of Online Retail."""
    shop = SHOPS[0]
    cut = Cut(folder / "views", shop.days[-1])
    cut.fill(shop)
    ndcg = []
    for query in (
        "select '' visit_id, '' customer_id, '' product_id, null::timestamp visited_at where false",
        f"""select cast(view_id as text) as visit_id, cast(customer_id as text) as customer_id, product_id,
            cast(viewed_at as timestamp) as visited_at
            from '{SHARED}/online_retail_simulated_views/visits.parquet'""",
    ):
        with duckdb.connect() as connection:
            cut.warehouse.replace("visits", connection.sql(query).to_arrow_table())
        seconds = cut.run({})
        ndcg.append(cut.quality(cut.listed("discover"), "discover", seconds).ndcg)
    without, with_them = ndcg
    return Figure(
        "Online Retail, discover with simulated views: NDCG@10", with_them, "", "without", without, least=1.0
    )
