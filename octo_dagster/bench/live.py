"""From an order's commit in the shop's PostgreSQL to the column read back from a vendor, by the Dagster
daemon.

The shop and the sandbox are processes of their own; Dagster's real daemon runs this project with
`assets/dagster.yaml`. An order is committed at a random moment, the column `ORDERS` of that customer's
contact at Brevo is asked for every 50 ms until it has grown, and Dagster's and the ledger's own times
say where the time went: *seen* by the sensor, *launched*, *computed* to the profile, *planned*,
*delivered* and read back. A burst is 1,000 orders in a minute, none of which waits for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from octo_dagster.bench.burst import burst
from octo_dagster.bench.figure import Figure
from octo_dagster.bench.world import STEPS, Lost, World, now, opened
from octo_dagster.demo.shop import Shop


def figures(folder: Path, small: bool) -> Iterator[Figure]:
    """The demo's shop. Small: few orders, and no burst worth the name."""
    orders, many, seconds = (3, 20, 2.0) if small else (20, 1_000, 60.0)
    with opened(folder, Shop(folder / "shop", until=now())) as world:
        yield from one_by_one(world, orders)
        yield from burst(world, many, seconds)


def one_by_one(world: World, orders: int) -> Iterator[Figure]:
    """Orders that come to a quiet lane; those that arrived are told even when one is lost."""
    title, took = f"{world.customers():,} customers", []
    try:
        for _ in range(orders):
            took.append(world.one_order())
    except Lost as lost:
        yield Figure(f"{title}: {lost}", 1, "", "orders", len(took) + 1, 0.0)
    if took:
        yield from told(title, took)


def told(title: str, took: Sequence[dict[str, float]]) -> Iterator[Figure]:
    """What half of the orders, and nineteen of twenty, took at most; and where the time went."""
    whole = [sum(one.values()) for one in took]
    late = sorted(whole)[min(len(whole) - 1, round(0.95 * len(whole)) - 1)]
    yield Figure(f"{title}: order to column, p50", median(whole), "s", "allowed", 3.0, 1.0)
    yield Figure(f"{title}: order to column, p95 of {len(whole)}", late, "s", "allowed", 6.0, 1.0)
    yield Figure(f"{title}: the last order to its column", whole[-1], "s", "the first", whole[0])
    for step in STEPS:
        mine = [one[step] for one in took]
        yield Figure(f"{title}: {step}, p50", median(mine), "s", "the longest", max(mine))
