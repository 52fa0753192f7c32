"""Purchase rhythm on three real shops: who will not buy in the next N days?

The shipped scores are run as of a day T by the engine that runs them in a project, and see nothing later; the
truth is the days T+1 … T+N. Figures are areas under the ROC curve over customers who had bought on at least
two days by T ("all customers": on one at least), means over days and N. T is 1997-09-30 and 12-31 for CDNOW
(N = 30, 60, 90, 180), 2011-06-30, 07-31 and 08-31 for Online Retail (30, 60, 90), 2017-06-30 and 09-30 for
Complete Journey (7, 14, 30, 60). The bars are those of facts/scores.md §3.2, which names no days: with these,
BG/NBD and the plain number of purchases come out as it says. For its bars of ratio and index the shrinkage
was estimated on each shop; so estimated, ours reached .650 and .763 (.612 within categories). The shipped 2
is easier to explain and, over the three shops, the better for the ratio.

"How far off": |mean chance − share that came back| over fifths of customers by their chance.

Within categories (Complete Journey; N = 14, 30, 60): the mean over categories of the area among a category's
customers who came back to it, each weighing as many as they are.

Beside them BG/NBD (pymc-marketing 0.19.2, most likely parameters), its expected purchases in N days and its
chance that a customer is gone: the same customers, days and truth. It, and CDNOW, need `make peers`.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from assets.scores.return_chance import return_chance
from assets.scores.rhythm import rhythm
from assets.scores.rhythm_by_category import rhythm_by_category
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.ranked import area, area_within, off
from octo_dagster.scoring import compute as scoring
from octo_dagster.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "../shared/data"
PYTHON = ROOT / ".venv-peers/bin/python"

ORDERS = """
    select order_id::varchar as order_id, customer_id::varchar as customer_id,
           ordered_at::timestamp as ordered_at, status, net_amount::decimal(18, 2) as net_amount
    from '{file}'"""
CDNOW = r"""
    select row_number() over ()::varchar as order_id, cell[1] as customer_id,
           strptime(cell[2], '%Y%m%d')::timestamp as ordered_at, 'completed' as status,
           cell[4]::decimal(18, 2) as net_amount
    from (select string_split_regex(trim(line), '\s+') as cell
          from read_csv('{file}', columns = {{'line': 'varchar'}}, sep = '', header = true, quote = ''))"""

LINES = {
    "orders": ORDERS,
    "order_lines": """select order_id::varchar as order_id, line_no, product_id::varchar as product_id,
        quantity::decimal(18, 3) as quantity, false as is_return from '{file}'""",
    "products": "select product_id::varchar as product_id, category from '{file}'",
}

BOUGHT = "status = 'completed' and net_amount > 0 and customer_id is not null"
NEXT = f"""
    select rhythm.*, (select min(ordered_at::date) from orders o where o.customer_id = rhythm.customer_id
                      and {BOUGHT} and ordered_at::date > date '{{cut}}') as next_on
    from rhythm order by customer_id"""
NEXT_IN_CATEGORY = f"""
    select r.customer_id, r.category, rfi_ratio, return_index, next_on
    from rhythm_by_category r left join (
        select customer_id, category, min(ordered_at::date) as next_on
        from orders join order_lines using (order_id) join products using (product_id)
        where {BOUGHT} and quantity > 0 and ordered_at::date > date '{{cut}}'
        group by all) using (customer_id, category)
    where rfi_purchase_days > 1 order by all"""

MEASURES = {
    "return_index": "return_index",
    "number of purchase days": "rfi_purchase_days",
    "BG/NBD 1 − P(alive)": "alive",
}
"""Of those who will return: what is measured → its column."""

Areas = dict[str, float]
"""Measure → area under the ROC curve."""


@dataclass(frozen=True)
class Shop:
    """One set of orders and how it is measured."""

    name: str
    file: str
    """Where it is, from the root of the project; with wildcards."""
    orders: str
    """The DuckDB query that makes the canonical table of `{file}`."""
    cuts: tuple[date, ...]
    horizons: tuple[int, ...]
    bars: Areas
    calibration: float
    """The bar for how far off the chances are."""


CUTS = (date(2017, 6, 30), date(2017, 9, 30))
SHOPS = (
    Shop(
        "CDNOW",
        ".venv-peers/lib/*/site-packages/lifetimes/datasets/CDNOW_master.txt",
        CDNOW,
        (date(1997, 9, 30), date(1997, 12, 31)),
        (30, 60, 90, 180),
        {"rfi_ratio": 0.669, "return_index": 0.733, "p_return": 0.736},
        0.028,
    ),
    Shop(
        "Complete Journey",
        "../shared/data/complete_journey/orders.parquet",
        ORDERS,
        CUTS,
        (7, 14, 30, 60),
        {"rfi_ratio": 0.717, "return_index": 0.850, "p_return": 0.846},
        0.020,
    ),
    Shop(
        "Online Retail",
        "../shared/data/online_retail/orders.parquet",
        ORDERS,
        (date(2011, 6, 30), date(2011, 7, 31), date(2011, 8, 31)),
        (30, 60, 90),
        {"rfi_ratio": 0.564, "return_index": 0.706, "p_return": 0.719},
        0.063,
    ),
)
BARS: Areas = {"rfi_ratio": 0.650, "return_index": 0.763, "p_return": 0.767}
"""Means of the three."""
BARS_OF_ALL: Areas = {"rfi_ratio": 0.711, "return_index": 0.786, "p_return": 0.796}
"""The same with the customers who bought on one day."""


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """Ours against the bars and BG/NBD; nothing without the data sets."""
    again, everybody = {}, {}
    for shop in shops(small):
        root = folder / shop.name.replace(" ", "_")
        warehouse = filled(root, {"orders": shop.orders})
        started = time.perf_counter()
        scored = {cut: scored_as_of(warehouse, cut, shop.horizons) for cut in shop.cuts}
        seconds = time.perf_counter() - started
        peers = {} if small else bgnbd(root / "peers", warehouse, shop)
        if peers:
            theirs = sum(peers[cut].attrs["seconds"] for cut in shop.cuts)
            yield Figure(f"{shop.name}: all our scores", seconds, "s", "BG/NBD", theirs)
            scored = {cut: rows.merge(peers[cut], on="customer_id") for cut, rows in scored.items()}
        came_back = {cut: rows[rows.rfi_purchase_days > 1] for cut, rows in scored.items()}
        again[shop.name] = areas(came_back, shop.horizons)
        everybody[shop.name] = areas(scored, shop.horizons)
        yield from compared(shop.name, again[shop.name], shop.bars)
        off = round(calibration(scored, shop.horizons), 3)
        yield Figure(f"{shop.name}: p_return, how far off", off, "", "bar", shop.calibration, 1.0)
    if len(again) == len(SHOPS):
        yield from compared("mean of the three", average(again.values()), BARS)
        yield from compared("mean, all customers", average(everybody.values()), BARS_OF_ALL)
    if (SHARED / "complete_journey").exists():
        yield from by_category(folder / "categories", small)


def compared(title: str, mine: Areas, bars: Areas) -> Iterator[Figure]:
    """Each measure of ours beside its bar, and p_return beside each rival; to the bars' three places."""
    for name, bar in bars.items():
        yield Figure(f"{title}: {name}", round(mine[name], 3), "AUC", "bar", bar, least=1.0)
    for rival in (name for name in mine if name not in bars):
        yield Figure(
            f"{title}: p_return", round(mine["p_return"], 3), "AUC", rival, round(mine[rival], 3), least=1.0
        )


def average(found: Collection[Areas]) -> Areas:
    """The mean of each measure that all have."""
    shared = [name for name in next(iter(found)) if all(name in areas for areas in found)]
    return {name: float(np.mean([areas[name] for areas in found])) for name in shared}


def shops(small: bool) -> Iterator[Shop]:
    """The shops whose data are there; for a small run the last day and N of one."""
    for shop in SHOPS:
        file = next(iter(ROOT.glob(shop.file)), None)
        if file is not None and not (small and shop.name != "Complete Journey"):
            last = replace(shop, cuts=shop.cuts[-1:], horizons=shop.horizons[-1:])
            yield replace(last if small else shop, orders=shop.orders.format(file=file))


def filled(root: Path, tables: Mapping[str, str]) -> Warehouse:
    """A warehouse with the tables that DuckDB queries answer."""
    warehouse = Warehouse(root)
    with duckdb.connect() as connection:
        for name, query in tables.items():
            warehouse.replace(name, connection.sql(query).to_arrow_table())
    return warehouse


def scored_as_of(warehouse: Warehouse, cut: date, horizons: Sequence[int]) -> pd.DataFrame:
    """Our scores as of a day, `p_return_N` for each N, and when each customer bought next (`next_on`)."""
    scoring.run(rhythm, warehouse, cut)
    rows = read(warehouse, NEXT.format(cut=cut))
    for days in horizons:
        scoring.run(return_chance, warehouse, cut, {"within_days": days})
        chances = read(warehouse, "select customer_id, p_return from return_chance")
        rows = rows.merge(chances.rename(columns={"p_return": f"p_return_{days}"}), on="customer_id")
    return rows


def read(warehouse: Warehouse, query: str) -> pd.DataFrame:
    with warehouse.connect() as connection:
        rows: pd.DataFrame = connection.sql(query).to_arrow_table().to_pandas()
    return rows


def areas(scored: Mapping[date, pd.DataFrame], horizons: Sequence[int]) -> Areas:
    """The mean over days and N of each measure's area for "no purchase in the next N days"."""
    found = []
    for cut, rows in scored.items():
        for days in horizons:
            gone = stayed_away(rows, cut, days)
            named = MEASURES | {
                "p_return": f"p_return_{days}",
                "BG/NBD expected purchases": f"expected_{days}",
            }
            there = {name: column for name, column in named.items() if column in rows}
            found.append({name: area(-rows[column].astype(float), gone) for name, column in there.items()})
            found[-1]["rfi_ratio"] = area(rows.rfi_ratio.astype(float), gone)
    return average(found)


def calibration(scored: Mapping[date, pd.DataFrame], horizons: Sequence[int]) -> float:
    """How far the mean chance of each fifth of customers is from the share that came back, on average."""
    wrong = []
    for cut, rows in scored.items():
        for days in horizons:
            chance = rows[f"p_return_{days}"].astype(float)
            wrong.append(off(chance, ~stayed_away(rows, cut, days)))
    return float(np.mean(wrong))


def stayed_away(rows: pd.DataFrame, cut: date, days: int) -> pd.Series[bool]:
    """Who did not buy in the `days` days after the cut."""
    return ~(pd.to_datetime(rows.next_on) <= pd.Timestamp(cut + timedelta(days=days)))


def by_category(folder: Path, small: bool) -> Iterator[Figure]:
    """The area within each category of Complete Journey, over its customers who came back to it."""
    warehouse = filled(
        folder,
        {
            name: query.format(file=SHARED / f"complete_journey/{name}.parquet")
            for name, query in LINES.items()
        },
    )
    found: dict[str, list[float]] = {"rfi_ratio": [], "return_index": []}
    for cut in CUTS[-1:] if small else CUTS:
        scoring.run(rhythm_by_category, warehouse, cut)
        rows = read(warehouse, NEXT_IN_CATEGORY.format(cut=cut))
        for days in (14, 30, 60):
            gone = stayed_away(rows, cut, days)
            found["rfi_ratio"].append(area_within(rows.category, rows.rfi_ratio.astype(float), gone))
            found["return_index"].append(area_within(rows.category, -rows.return_index.astype(float), gone))
    for name, bar in {"rfi_ratio": 0.613, "return_index": 0.691}.items():
        mean = round(float(np.mean(found[name])), 3)
        yield Figure(f"within categories: {name}", mean, "AUC", "bar", bar, least=1.0)


def bgnbd(folder: Path, warehouse: Warehouse, shop: Shop) -> dict[date, pd.DataFrame]:
    """What BG/NBD expects as of each day, with its `seconds`; nothing without `make peers`."""
    if not PYTHON.exists():
        return {}
    folder.mkdir(parents=True)
    for cut in shop.cuts:
        bought = (
            f"select customer_id, ordered_at from orders where {BOUGHT} and ordered_at::date <= date '{cut}'"
        )
        read(warehouse, bought).to_parquet(folder / f"{cut}.parquet")
        asked = {"as_of": str(cut), "horizons": shop.horizons}
        (folder / f"{cut}.json").write_text(json.dumps(asked))
    script = Path(__file__).parent / "peers/clv.py"
    done = subprocess.run([PYTHON, script, folder], check=True, capture_output=True, text=True)
    seconds = json.loads(done.stdout.splitlines()[-1])
    told = {cut: pd.read_parquet(folder / f"{cut}.bgnbd.parquet") for cut in shop.cuts}
    for cut, rows in told.items():
        rows.attrs["seconds"] = seconds[str(cut)]
    return told
