"""Item-item BM25 and ALS by implicit: `python implicit_items.py FOLDER TOP`, by the Python of `.venv-peers`.

Reads `bought.parquet` (customer_id, product_id, days) in the folder; writes `METHOD.LIST.parquet`
(customer_id, product_id, rank) for the lists reorder (anything) and discover (nothing bought before), and
prints the seconds of fitting and of both lists by method as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

# Not in our own environment, and never to be.
from implicit.als import AlternatingLeastSquares  # type: ignore[import-not-found]
from implicit.nearest_neighbours import BM25Recommender  # type: ignore[import-not-found]


def models() -> dict[str, Any]:
    """Each method as it is best for it: ALS the best of six settings on Online Retail before 2011-10-14."""
    als = AlternatingLeastSquares(factors=128, iterations=20, regularization=10, random_state=0)
    return {"BM25": BM25Recommender(K=100), "ALS": als}


def main(folder: Path, top: int) -> None:
    """Fit each method and write its two lists of `top` products for every customer."""
    bought = pd.read_parquet(folder / "bought.parquet")
    customers, products = (pd.Categorical(bought[name]) for name in ("customer_id", "product_id"))
    where = (customers.codes, products.codes)
    days = sp.csr_matrix(
        (bought["days"].to_numpy("float32"), where),
        shape=(len(customers.categories), len(products.categories)),
    )
    seconds = {}
    for method, model in models().items():
        started = time.perf_counter()
        model.fit(days, show_progress=False)
        for name, without in (("reorder", False), ("discover", True)):
            ids, scores = model.recommend(
                np.arange(days.shape[0]), days, N=top, filter_already_liked_items=without
            )
            row, place = np.nonzero((ids >= 0) & (scores > -1e30))
            pd.DataFrame(
                {
                    "customer_id": customers.categories[row],
                    "product_id": products.categories[ids[row, place]],
                    "rank": place + 1,
                }
            ).to_parquet(folder / f"{method}.{name}.parquet")
        seconds[method] = round(time.perf_counter() - started, 2)
    print(json.dumps(seconds))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]), int(sys.argv[2]))
