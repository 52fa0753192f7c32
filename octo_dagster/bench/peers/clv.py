"""BG/NBD by pymc-marketing: `python clv.py FOLDER`, by the Python of `.venv-peers`.

Reads every `NAME.parquet` (customer_id, ordered_at) with its `NAME.json` (`as_of`, `horizons` in days) in the
folder; writes `NAME.bgnbd.parquet` (customer_id, alive, expected_N …) and prints seconds by name as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

# Not in our own environment, and never to be.
from pymc_marketing.clv import BetaGeoModel  # type: ignore[import-not-found]
from pymc_marketing.clv.utils import rfm_summary  # type: ignore[import-not-found]


def predicted(orders: pd.DataFrame, as_of: str, horizons: list[int]) -> pd.DataFrame:
    """What the model, fitted (most likely parameters) to the orders up to a day, expects of each customer."""
    summary = rfm_summary(orders, "customer_id", "ordered_at", observation_period_end=as_of)
    model: Any = BetaGeoModel()
    model.fit(summary, method="map", progressbar=False)
    told = {"alive": model.expected_probability_alive(summary)}
    told |= {f"expected_{days}": model.expected_purchases(summary, future_t=days) for days in horizons}
    means = {name: values.mean(("chain", "draw")).to_numpy() for name, values in told.items()}
    return pd.DataFrame({"customer_id": summary["customer_id"], **means})


def main(folder: Path) -> None:
    seconds = {}
    for spec in sorted(folder.glob("*.json")):
        asked = json.loads(spec.read_text())
        orders = pd.read_parquet(spec.with_suffix(".parquet"))
        started = time.perf_counter()
        predicted(orders, **asked).to_parquet(spec.with_suffix(".bgnbd.parquet"))
        seconds[spec.stem] = round(time.perf_counter() - started, 2)
    print(json.dumps(seconds))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    main(Path(sys.argv[1]))
