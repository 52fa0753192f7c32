"""Drawing the plan of customers of whom the ledger holds all and 1 % changed in one of 30 columns.

`draw` in a process of its own, beside two joins in raw DuckDB of the same rows as Parquet files: by column
(`is distinct from`, the quickest there is) and by fingerprint (md5 of the row's JSON, as the ledger keeps).
Neither of them writes plans, checks values, finds duplicates or reads a ledger. All three must agree.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from octo_dagster.bench.figure import Figure, compared
from octo_dagster.bench.rfm import best, peak_mb
from octo_dagster.bench.stage import project
from octo_dagster.config import Project
from octo_dagster.delivery.draw import MEMORY, draw
from octo_dagster.delivery.ledger_tables import FIELDS, SNAPSHOT
from octo_dagster.delivery.mapping import compiled

WIDTH = 30
KINDS = (
    "cast({h} % 10000 as bigint)",
    "cast({h} % 1000000 / 100 as decimal(18, 2))",
    "'segment ' || {h} % 40",
    "date '2020-01-01' + cast({h} % 2000 as integer)",
    "timestamp '2020-01-01' + to_seconds(cast({h} % 100000000 as bigint))",
)
SYNC: dict[str, Any] = {
    "destination": {
        "type": "webhook",
        "url": "https://hooks.example.com/octo",
        "secret": {"env": "WEBHOOK_SECRET"},
    },
    "mode": "mirror",
    "key": {"from": "email", "to": "email"},
    "fields": [{"from": f"c{n}", "to": f"c{n}", "nulls": "clear"} for n in range(WIDTH)],
}
PAIRS = ", ".join(f"'c{n}', c{n}" for n in range(WIDTH))
RECORD = f"cast(json_object({PAIRS}) as varchar)"


def figures(folder: Path, customers: int = 1_000_000, turns: int = 2) -> Iterator[Figure]:
    """Time against the raw joins at `customers`, memory at three times as many against that."""
    small = prepared(folder / "small", customers)
    taken = [{name: measure(name, small) for name in CONTENDERS} for _ in range(turns)]
    told = {name: best([turn[name] for turn in taken]) for name in CONTENDERS}
    title = f"plan {customers:,} × {WIDTH}, 1 % changed"
    yield from compared(title, told["octo"], told["fingerprints"], "DuckDB join by md5 of JSON")
    yield from compared(title, told["octo"], told["columns"], "DuckDB join by column")
    large = measure("octo", prepared(folder / "large", 3 * customers))
    yield Figure(
        f"plan {3 * customers:,}: memory",
        large["peak_mb"],
        "MB",
        f"plan {customers:,}",
        told["octo"]["peak_mb"],
        1.3,
    )
    yield Figure(
        f"plan {3 * customers:,}: wall", large["wall"], "s", f"plan {customers:,}", told["octo"]["wall"]
    )


def profile(customers: int, *, later: bool) -> str:
    """The customers' 30 columns; `later`, one of every hundred has another value in one of them."""
    columns = []
    for n in range(WIDTH):
        moved = "+ cast(i % 100 = 0 as integer)" if later and n == 7 else ""
        columns.append(f"{KINDS[n % len(KINDS)].format(h=f'(hash(i, {n}) // 2 {moved})')} as c{n}")
    listed = ", ".join(["'customer' || i || '@example.com' as email", *columns])
    return f"select {listed} from range({customers}) t(i)"


def prepared(root: Path, customers: int) -> Path:
    """A project whose ledger holds the earlier profile and whose table is the later one; both as Parquet."""
    made = project(root, SYNC)
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        for name, later in (("before", False), ("now", True)):
            rows = connection.sql(profile(customers, later=later))
            made.warehouse.replace("customer_profile", rows.to_arrow_reader(100_000))
            if not later:
                fill(made)
            rows.write_parquet(str(root / f"{name}.parquet"))
        prints = f"select email as key, md5({RECORD}) as fingerprint from '{root}/before.parquet'"
        connection.execute(f"copy ({prints}) to '{root}/prints.parquet'")
    return root


def fill(made: Project) -> None:
    """Put every row into the ledger as accepted deliveries leave it."""
    sync, ledger = made.sync("customers"), made.ledger
    sql = compiled(sync, made.warehouse.schema(sync.reads))
    query = f"""select {sql.key} as key, {sql.record} as fields, md5({sql.record}) as fingerprint
                from customer_profile order by key"""
    with made.warehouse.connect() as connection, ledger.engine.begin() as kept:
        ledger.touch(kept, sync.name)
        answer = connection.execute(query)
        while rows := answer.fetchmany(20_000):
            held = [
                {"sync": sync.name, "key": k, "spelled": k, "fingerprint": f, "run": "bench"}
                for k, _, f in rows
            ]
            kept.execute(SNAPSHOT.insert(), held)
            kept.execute(FIELDS.insert(), [{"sync": sync.name, "key": k, "fields": v} for k, v, _ in rows])


def measure(name: str, root: Path) -> dict[str, float]:
    """One contender in a process of its own; RuntimeError unless it finds what there is to find."""
    told: dict[str, Any] = json.loads(
        subprocess.run(
            [sys.executable, "-m", "octo_dagster.bench.planning", name, str(root)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    rows, changed = told.pop("found")
    if changed * 100 != rows:
        raise RuntimeError(f"{name} found {changed} changes among {rows} rows")
    return told


def by_octo(root: Path) -> tuple[int, int]:
    """`draw`, as `octo plan` calls it: the plan is on disk afterwards."""
    made = Project(root, root / ".octo")
    counts = draw(made.sync("customers"), made.warehouse, made.ledger, made.plans).counts
    return counts.rows, counts.changed + counts.added + counts.removed


def by_columns(root: Path) -> tuple[int, int]:
    moved = " or ".join(f"n.c{i} is distinct from b.c{i}" for i in range(WIDTH))
    return joined(root, "before", "select * from", moved)


def by_fingerprints(root: Path) -> tuple[int, int]:
    now = f"select email as key, {RECORD} as record, md5({RECORD}) as fingerprint from"
    return joined(root, "prints", now, "n.fingerprint is distinct from b.fingerprint")


def joined(root: Path, before: str, now: str, moved: str) -> tuple[int, int]:
    """Write the rows that are new, gone or `moved` to a Parquet file; all rows, and those."""
    key = "key" if before == "prints" else "email"
    with duckdb.connect(config={"memory_limit": MEMORY}) as connection:
        connection.execute("set enable_progress_bar = false; set preserve_insertion_order = false")
        connection.execute(
            f"""copy (select n.* from ({now} '{root}/now.parquet') n full join '{root}/{before}.parquet' b
                      on n.{key} = b.{key} where n.{key} is null or b.{key} is null or {moved})
                to '{root}/changes.parquet'"""
        )
        counted = f"""select (select count(*) from '{root}/now.parquet'),
                             (select count(*) from '{root}/changes.parquet')"""
        rows, changed = connection.sql(counted).fetchall()[0]
        return rows, changed


CONTENDERS: dict[str, Callable[[Path], tuple[int, int]]] = {
    "octo": by_octo,
    "columns": by_columns,
    "fingerprints": by_fingerprints,
}


def main(name: str, root: str) -> None:
    """Run one contender here and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = CONTENDERS[name](Path(root))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"found": found, "wall": wall, "cpu": cpu, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
