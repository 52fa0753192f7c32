"""When may the next call go? One budget per destination account, shared by every process.

The budget is kept by pyrate-limiter in a SQLite file under OCTO_HOME, so a Dagster run, a second run
and `octo deliver` on the same machine add up to the vendor's quota and not to twice it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, isinf
from pathlib import Path

from pyrate_limiter import Duration, InMemoryBucket, Limiter, SingleBucketFactory, SQLiteBucket
from pyrate_limiter import Rate as LimiterRate
from pyrate_limiter.abstracts import AbstractBucket

from octo_dagster.destination import Rate
from octo_dagster.errors import OverQuota


class Lane:
    """One rate: which calls it covers, and the bucket that counts them."""

    def __init__(self, rate: Rate, bucket: AbstractBucket) -> None:
        self.rate = rate
        self.paths = re.compile(rate.paths or "")
        self.bucket = bucket
        # No background thread to forget old calls: `wait` does it.
        self.limiter = Limiter(SingleBucketFactory(bucket, schedule_leak=False))

    def wait(self, seconds: float) -> bool:
        """Whether a call may go, within so many seconds."""
        may = self.limiter.try_acquire("call", timeout=-1 if isinf(seconds) else seconds)
        self.bucket.leak(self.bucket.now())  # type: ignore[no-untyped-call]
        return bool(may)


class Pace:
    """Waits until a call is within every rate that covers its path."""

    def __init__(self, rates: Sequence[Rate], store: Path | None, account: str, longest: float = inf) -> None:
        self.account, self.longest = account, longest
        self.lanes = [Lane(rate, bucket(rate, store, f"{account}_{n}")) for n, rate in enumerate(rates)]

    def wait(self, path: str) -> None:
        """Block until one more call to this path may go. OverQuota when that takes longer than `longest`
        seconds."""
        for lane in self.lanes:
            if lane.paths.search(path) and not lane.wait(self.longest):
                told = f"{lane.rate.calls:,} calls in {lane.rate.seconds:,g} s"
                raise OverQuota(f"{self.account}: its quota of {told} is used up; what is left stays owed")

    def close(self) -> None:
        """Let go of the store. Nothing may be waited for afterwards."""
        for lane in self.lanes:
            lane.limiter.close()


def bucket(rate: Rate, store: Path | None, name: str) -> AbstractBucket:
    """Where the calls of one rate are counted: a table of the store, or this process's memory."""
    limits = [LimiterRate(rate.calls, int(rate.seconds * Duration.SECOND))]
    if store is None:
        return InMemoryBucket(limits)
    store.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # beside customers' data
    table = re.sub(r"\W+", "_", f"pace_{name}")
    return SQLiteBucket.init_from_file(limits, table=table, db_path=str(store), use_file_lock=True)


UNPACED = Pace((), None, "")
"""For a destination without a published quota, and for tests that pace nothing."""
