"""Every score over a large made-up shop (`base.sql`), ten times apart in size, and the same by hand.

Each score runs in a fresh process of its own, in the order of a real run: `wall` and `processor` are its
seconds from the imports done to the table written, `memory` the most that process held. By hand means
`by_hand/<score>.sql`, DuckDB SQL as a careful person would write it, with the same memory, written to one
Parquet file (`recommendations.py`: scipy); a score whose rows differ from it anywhere is an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from string import Template
from typing import Any

import duckdb

from octo_dagster.bench.figure import Figure
from octo_dagster.bench.rfm import peak_mb
from octo_dagster.config import scores_in
from octo_dagster.scoring import compute as scoring
from octo_dagster.scoring import library
from octo_dagster.warehouse import MEMORY, Warehouse

AS_OF = date(2025, 12, 31)
HERE = Path(__file__).parent
BY_HAND = HERE / "by_hand"
SCORES = HERE.parents[1] / "assets" / "scores"
SIZES = (100_000, 1_000_000)

Costs = dict[str, float]
"""Wall, cpu (seconds) and peak_mb of one process."""


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """All scores at both sizes: each against itself by hand, all against a tenth of the base."""
    sizes = (200, 2_000) if small else SIZES
    took = {size: measured(folder / str(size), size) for size in sizes}
    few, many = (took[size] for size in sizes)
    yield from growth(few, many, sizes)
    for name in many:
        hand = by_hand_of(folder / str(sizes[1]), name)
        if hand is not None:
            octo = many[name]
            yield Figure(f"{name}: wall", octo["wall"], "s", "by hand", hand["wall"], 1.4)
            yield Figure(f"{name}: processor", octo["cpu"], "s", "by hand", hand["cpu"])
            yield Figure(f"{name}: memory", octo["peak_mb"], "MB", "by hand", hand["peak_mb"])


def growth(few: Mapping[str, Costs], many: Mapping[str, Costs], sizes: tuple[int, int]) -> Iterator[Figure]:
    """All scores together, and each, at the larger size against the smaller one."""
    less, more = (f"{size:,} customers" for size in sizes)
    totals = [sum(costs["wall"] for costs in took.values()) for took in (many, few)]
    yield Figure(f"all scores, {more}: wall", totals[0], "s", less, totals[1], 10.5)
    peaks = [max(costs["peak_mb"] for costs in took.values()) for took in (many, few)]
    yield Figure(f"all scores, {more}: memory of the largest", peaks[0], "MB", less, peaks[1], 10.5)
    for name in many:
        yield Figure(f"{name}, {more}: wall", many[name]["wall"], "s", less, few[name]["wall"])


def measured(root: Path, customers: int) -> dict[str, Costs]:
    """Every score in turn, on a base made for it; RuntimeError when one fails."""
    generate(Warehouse(root), customers)
    return {name: process("octo", name, root) for name in arranged().scores}


def generate(warehouse: Warehouse, customers: int, products: int = 20_000) -> None:
    """The canonical tables of `base.sql`, each with about as many rows as it says."""
    with duckdb.connect(config={"memory_limit": "4GB"}) as connection:
        connection.execute("set enable_progress_bar = false")
        connection.execute(
            Template((HERE / "base.sql").read_text()).substitute(customers=customers, products=products)
        )
        for (name,) in connection.sql("select table_name from duckdb_tables()").fetchall():
            warehouse.replace(name, connection.sql(f'from "{name}"').to_arrow_reader())


def arranged() -> library.Library:
    """The scores Octo comes with, as a shop that has every table but visits would run them."""
    fed = frozenset(
        {"customers", "products", "stores", "orders", "order_lines", "messages", "message_events"}
    )
    return library.arranged(scores_in(SCORES), SCORES, fed, {"language": "en"})


def by_hand_of(root: Path, name: str) -> Costs | None:
    """The score by hand on the same base, and that it says the same; None where nobody wrote it by hand."""
    if not any((BY_HAND / f"{name}.{kind}").exists() for kind in ("sql", "py")):
        return None
    took = process("hand", name, root)
    if (BY_HAND / f"{name}.sql").exists():
        compare(root, name)
    return took


def compare(root: Path, name: str) -> None:
    """RuntimeError unless both tables hold exactly the same rows."""
    with Warehouse(root).connect() as connection:
        theirs = f"select * from '{root / name}.parquet'"
        columns = ", ".join(f'"{column}"' for column in connection.sql(theirs).columns)
        mine = f'select {columns} from "{name}"'
        odd = connection.sql(
            f"select count(*) from (({mine} except all {theirs}) union all ({theirs} except all {mine}))"
        ).fetchall()[0][0]
    if odd:
        raise RuntimeError(f"{name}: octo and the same by hand differ in {odd} rows")


def process(who: str, name: str, root: Path) -> Costs:
    """One contender in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "octo_dagster.bench.scores", who, name, str(root)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} ({who}): {done.stderr[-2000:]}")
    told: Costs = json.loads(done.stdout.splitlines()[-1])
    return {**told, "whole": round(time.perf_counter() - started, 2)}


def octo(name: str, root: Path) -> Callable[[], object]:
    """The registered score, run as Dagster runs it: checks, report, Delta table and note included."""
    score = arranged().scores[name]
    return lambda: scoring.run(score, Warehouse(root), AS_OF)


def hand(name: str, root: Path) -> Callable[[], object]:
    """The SQL by hand, to one Parquet file; or the script by hand, which writes what it likes."""
    script = BY_HAND / f"{name}.py"
    if script.exists():
        scope: dict[str, Any] = {"__name__": "by_hand"}
        exec(compile(script.read_text(), str(script), "exec"), scope)  # our own file
        return lambda: scope["run"](root, AS_OF)
    query = Template((BY_HAND / f"{name}.sql").read_text()).substitute(as_of=AS_OF)

    def run() -> None:
        with Warehouse(root).connect(memory=MEMORY) as connection:
            connection.execute(f"copy ({query.strip().rstrip(';')}) to '{root / name}.parquet'")

    return run


def main(who: str, name: str, root: str) -> None:
    """Run one contender here and print what it took."""
    go = {"octo": octo, "hand": hand}[who](name, Path(root))
    wall, cpu = time.perf_counter(), time.process_time()
    go()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": round(wall, 3), "cpu": round(cpu, 3), "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
