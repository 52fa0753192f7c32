"""RFM over many orders: Octo's compiled expression beside the same by hand in DuckDB SQL and in pandas.

Each contender runs in fresh processes of its own, in turns, and its best figures count: `wall` is its
seconds from the imports done to the table written, `cpu` the processor's seconds for that, `whole` the
process from start to end, `peak_mb` the most memory it held. The three tables must be equal in every
class, count, amount and segment, or nothing is reported.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from octo_dagster.warehouse import MEMORY, Warehouse

AS_OF = date(2025, 12, 31)
COMPARED = (
    "rfm_recency, rfm_frequency, rfm_monetary, rfm_frequency_monetary, rfm_segment,"
    " rfm_recency_days, rfm_orders, rfm_revenue, rfm_last_order_at, rfm_first_order_at"
)
NAMES = (
    ("Passive small customers", "Small customers slowing down", "Recent small customers"),
    ("Regular customers becoming passive", "Regular customers slowing down", "Regular active customers"),
    ("Best customers becoming passive", "Best customers slowing down", "Best active customers"),
)
"""The default segments by thirds: frequency × monetary, then recency."""


def figures(customers: int = 1_000_000, turns: int = 3) -> dict[str, Any]:
    """Measure the three on ten orders a customer; RuntimeError if their tables differ anywhere."""
    with tempfile.TemporaryDirectory(prefix="octo-bench-") as folder:
        root = Path(folder)
        generate(Warehouse(root), customers)
        taken = [{name: measure(name, root) for name in CONTENDERS} for _ in range(turns)]
        rows = compare(root)
    measured = {name: best([turn[name] for turn in taken]) for name in CONTENDERS}
    octo, by_hand = measured["octo"], measured["sql"]
    return {
        "customers": customers,
        "orders": 10 * customers,
        "rows": rows,
        "measured": measured,
        "against_sql": {word: round(octo[word] / by_hand[word], 2) for word in octo},
    }


def best(taken: list[dict[str, float]]) -> dict[str, float]:
    """The smallest of each figure: what other people's work on the machine added least to."""
    return {word: min(turn[word] for turn in taken) for word in taken[0]}


def generate(warehouse: Warehouse, customers: int) -> None:
    """The table `orders`: ten rows a customer on average, uneven, the same at every run."""
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        rows = connection.sql(f"""
            select 'o' || i as order_id,
                   case when hash(i, 1) % 100 >= 4
                        then 'c' || cast(floor({customers} * pow(hash(i, 2) % 1000000000 / 1e9, 1.2))
                                         as bigint)
                        end as customer_id,
                   timestamp '2021-01-01' + to_seconds(cast(hash(i, 3) % 157680000 as bigint)) as ordered_at,
                   case hash(i, 4) % 50 when 0 then 'cancelled' when 1 then 'returned' else 'completed'
                        end as status,
                   cast(case when hash(i, 4) % 50 = 1 then -1 else 1 end * (hash(i, 5) % 20000) / 100
                        as decimal(18, 2)) as net_amount,
                   'EUR' as currency, 's' || hash(i, 6) % 40 as store_id, 'web' as channel
            from range({10 * customers}) t(i)""").to_arrow_reader()
        warehouse.replace("orders", rows)


def measure(name: str, root: Path) -> dict[str, float]:
    """One contender in a process of its own."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "octo_dagster.bench.rfm", name, str(root)],
        check=True,
        capture_output=True,
        text=True,
    )
    told: dict[str, float] = json.loads(done.stdout)
    return {**told, "whole": round(time.perf_counter() - started, 2)}


def compare(root: Path) -> int:
    """The rows of Octo's table; RuntimeError unless the others hold exactly the same."""
    with Warehouse(root).connect() as connection:
        mine = f"(select customer_id, {COMPARED} from rfm)"
        for name in ("sql", "pandas"):
            theirs = f"(select customer_id, {COMPARED} from '{root / name}.parquet')"
            odd = connection.sql(
                f"select count(*) from ({mine} except {theirs} union all ({theirs} except {mine}))"
            ).fetchall()[0][0]
            if odd:
                raise RuntimeError(f"octo and {name} differ in {odd} rows")
        return int(connection.sql("select count(*) from rfm").fetchall()[0][0])


def by_octo(root: Path) -> Callable[[], object]:
    """The registered score, run as Dagster runs it: checks, report, Delta table and note included."""
    from assets.scores.rfm import rfm  # noqa: PLC0415 - each contender imports only what it needs
    from octo_dagster.scoring import compute as scoring  # noqa: PLC0415

    return lambda: scoring.run(rfm, Warehouse(root), AS_OF)


def by_hand(root: Path) -> Callable[[], object]:
    """The same in DuckDB SQL as a careful person would write it, to one Parquet file."""
    files = [str(path) for path in Warehouse(root).table("orders").file_uris()]
    case = " ".join(
        f"when fm in ({2 * y + 1}, {2 * y + 2}) and r in ({2 * x + 1}, {2 * x + 2}) then '{NAMES[y][x]}'"
        for y in range(3)
        for x in range(3)
    )
    query = f"""
        copy (with f as (
            select customer_id, count(*) filter (where status = 'completed' and net_amount > 0) n,
                   cast(sum(net_amount) filter (where status = 'completed' or net_amount < 0)
                        as decimal(18, 2)) m,
                   max(ordered_at) filter (where status = 'completed' and net_amount > 0) last_at,
                   min(ordered_at) filter (where status = 'completed' and net_amount > 0) first_at
            from read_parquet({files}) where customer_id is not null and status <> 'cancelled'
            group by customer_id having n > 0),
        c as (select *, date_diff('day', last_at::date, date '{AS_OF}') d,
                1 + 6 * (rank() over (order by -d) - 1) // count(*) over () r,
                case when n = 1 then 1 else 2 + 5 * (rank() over (partition by n > 1 order by n) - 1)
                    // count(*) over (partition by n > 1) end fr,
                case when m < 0 then 1 else
                    1 + 6 * (rank() over (order by m) - 1) // count(*) over () end mo,
                (fr + mo + 1) // 2 fm from f)
        select customer_id, r rfm_recency, fr rfm_frequency, mo rfm_monetary, fm rfm_frequency_monetary,
               case {case} end rfm_segment, d rfm_recency_days, n rfm_orders, m rfm_revenue,
               last_at rfm_last_order_at, first_at rfm_first_order_at
        from c order by customer_id) to '{root}/sql.parquet'"""

    def run() -> None:
        with duckdb.connect(config={"memory_limit": MEMORY}) as connection:
            connection.execute(query)

    return run


def by_pandas(root: Path) -> Callable[[], object]:
    """The same in pandas, money as whole cents, to one Parquet file."""
    import pandas as pd  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    def run() -> None:
        files = [path.removeprefix("file://") for path in Warehouse(root).table("orders").file_uris()]
        columns = ["customer_id", "ordered_at", "status", "net_amount"]
        orders = pd.concat([pq.read_table(file, columns=columns).to_pandas() for file in files])
        orders["cents"] = (orders.pop("net_amount").astype("float64") * 100).round().astype("int64")
        table_of(orders.dropna(subset="customer_id"), pd).to_parquet(root / "pandas.parquet", index=False)

    return run


def table_of(orders: Any, pd: Any) -> Any:
    """The RFM table of a frame of orders, by groupby and rank."""
    counted = orders[(orders.status == "completed") & (orders.cents > 0)]
    table = counted.groupby("customer_id").ordered_at.agg(["size", "max", "min"])
    table.columns = ["rfm_orders", "rfm_last_order_at", "rfm_first_order_at"]
    paid = orders[(orders.status == "completed") | ((orders.status == "returned") & (orders.cents < 0))]
    cents = paid.groupby("customer_id").cents.sum().reindex(table.index)
    table["rfm_revenue"] = cents / 100
    table["rfm_recency_days"] = (pd.Timestamp(AS_OF) - table.rfm_last_order_at.dt.normalize()).dt.days
    table["rfm_recency"] = classed(-table.rfm_recency_days, 6)
    again = table.rfm_orders[table.rfm_orders > 1]
    table["rfm_frequency"] = (classed(again, 5) + 1).reindex(table.index, fill_value=1)
    table["rfm_monetary"] = classed(cents, 6).where(cents >= 0, 1)
    table["rfm_frequency_monetary"] = (table.rfm_frequency + table.rfm_monetary + 1) // 2
    third = 3 * ((table.rfm_frequency_monetary - 1) // 2) + (table.rfm_recency - 1) // 2
    table["rfm_segment"] = third.map(dict(enumerate(name for row in NAMES for name in row)))
    return table.sort_index().reset_index()


def classed(measure: Any, bins: int) -> Any:
    return 1 + bins * (measure.rank(method="min").astype("int64") - 1) // len(measure)


CONTENDERS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "octo": by_octo,
    "sql": by_hand,
    "pandas": by_pandas,
}


def peak_mb(process: int | None = None) -> int:
    """The most memory a process held; without one, this one. Linux hands a parent's `ru_maxrss` down; its
    VmHWM is our own. 0 for one that has just ended, and for another's where the system is not Linux."""
    if Path("/proc/self/status").exists():
        status = Path(f"/proc/{process or 'self'}/status").read_text()
        lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
        return int(lines[0].split()[1]) // 1024 if lines else 0
    return 0 if process else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main(name: str, root: str) -> None:
    """Run one contender here and print what it took."""
    run = CONTENDERS[name](Path(root))
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": round(wall, 2), "cpu": round(cpu, 2), "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
