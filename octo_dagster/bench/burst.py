"""A burst of orders, none of which waits for another, and what is still owed when it is over."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping

from octo_dagster.bench.figure import Figure
from octo_dagster.bench.world import LOOK, World


def burst(world: World, orders: int, seconds: float) -> Iterator[Figure]:
    """Orders one after another; every one must be in Brevo's figures in the end, and what became
    of them is told whatever it was."""
    since = time.time()
    wanted = placed(world, orders, seconds)
    last = time.time()
    took = waited(world, wanted) - last
    finished(world, since)
    title = f"burst of {orders:,} orders in {last - since:.0f} s"
    yield from owed(world, wanted, title)
    yield from ran(world, since, orders, title)
    yield Figure(f"{title}: last column after the last order", took, "s", "allowed", 15.0, 1.0)


def placed(world: World, orders: int, seconds: float) -> Mapping[int, int]:
    """Place them, evenly in that time; household → orders Brevo must show in the end."""
    chosen = [world.chance.choice(world.households) for _ in range(orders)]
    wanted = {one: world.held(one) + count for one, count in Counter(chosen).items()}
    begun = time.time()
    for number, household in enumerate(chosen):
        time.sleep(max(0.0, begun + number * seconds / orders - time.time()))
        world.order(household)
    return wanted


def waited(world: World, wanted: Mapping[int, int]) -> float:
    """When all were there, or for a long time not one more came."""
    left, progress = list(wanted), time.time()
    while left and time.time() < progress + world.patience:
        if world.held(left[-1]) >= wanted[left[-1]]:
            left.pop()
            progress = time.time()
        else:
            time.sleep(LOOK)
    return time.time() if left else progress


def finished(world: World, since: float) -> None:
    """Leave the last run the time to tell the other tool; one that hangs is told as it is."""
    end = time.time() + world.patience
    while time.time() < end and not all(run.dagster_run.is_finished for run in world.runs(since)):
        time.sleep(LOOK)


def owed(world: World, wanted: Mapping[int, int], title: str) -> Iterator[Figure]:
    """The customers who are not as they should be, by the way in which they are not."""
    off = [world.held(household) - count for household, count in wanted.items()]
    for way, some in (("too few", sum(n < 0 for n in off)), ("too many", sum(n > 0 for n in off))):
        yield Figure(f"{title}: customers with {way} orders", some, "", "customers", len(wanted), 0.0)


def ran(world: World, since: float, orders: int, title: str) -> Iterator[Figure]:
    """The runs, and a line for each kind of end but success, for one under way, for a quota used up."""
    words = world.words(since)
    yield Figure(f"{title}: runs", len(world.runs(since)), "", "orders", orders, 0.05)
    for word, times in Counter(words).items():
        if word != "SUCCESS":
            yield Figure(f"{title}: {word}", times, "", "words on the runs", len(words), 0.0)
