"""When may the next call go? One budget per destination account, shared by every process.

The budget is kept by pyrate-limiter in a SQLite file under OCTO_HOME, so a Dagster run, a second run
and `octo deliver` on the same machine add up to the vendor's quota and not to twice it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from pyrate_limiter import Duration, Limiter, SQLiteBucket
from pyrate_limiter import Rate as LimiterRate

from octo_dagster.destination import Rate


class Pace:
    """Waits until a call is within every rate that covers its path."""

    def __init__(self, rates: Sequence[Rate], store: Path | None, account: str) -> None:
        self.lanes = [
            (re.compile(rate.paths) if rate.paths else None, self.limiter(rate, store, account, n))
            for n, rate in enumerate(rates)
        ]

    @staticmethod
    def limiter(rate: Rate, store: Path | None, account: str, number: int) -> Limiter:
        table = re.sub(r"\W+", "_", f"pace_{account}_{number}")
        limit = LimiterRate(rate.calls, int(rate.seconds * Duration.SECOND))
        if store is None:
            return Limiter(limit)
        store.parent.mkdir(parents=True, exist_ok=True)
        bucket = SQLiteBucket.init_from_file(
            [limit], table=table, db_path=str(store), create_new_table=True, use_file_lock=True
        )
        return Limiter(bucket)

    def wait(self, path: str) -> None:
        """Block until one more call to this path may go."""
        for covers, limiter in self.lanes:
            if covers is None or covers.search(path):
                limiter.try_acquire("call", blocking=True)


UNPACED = Pace((), None, "")
"""For a destination without a published quota, and for tests that pace nothing."""
