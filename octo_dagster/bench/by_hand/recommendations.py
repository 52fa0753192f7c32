"""Recommendations as a careful person would write them by hand with DuckDB and scipy for one shop.

The formulas and constants of `assets/scores/recommendations.py` over `related_products`, both lists with
their scores to one Parquet file; what a product needs and this leaves out: reasons, views, returns, new
products, cold customers by country, exact ties. `run(root, as_of)`, root being a warehouse's folder.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp

from octo_dagster.warehouse import MEMORY, Warehouse

COUNT = 10
PER_CATEGORY = 3
NEAR = 100
POOL = 10_000
LOOKED_AT = 60
CHUNK = 500


def read(root: Path, as_of: date) -> dict[str, Any]:
    """Everything as arrays: customers × products × days, the catalogue, what goes with what."""
    with Warehouse(root).connect(memory=MEMORY) as db:
        db.execute(
            "create temp table c as select customer_id, row_number() over (order by customer_id) - 1 u"
            " from customers"
        )
        db.execute(
            "create temp table p as select product_id, category, coalesce(in_stock, true) s,"
            " row_number() over (order by product_id) - 1 j from products"
        )
        rows = db.sql(f"""
            select distinct u::int u, j::int j, date_diff('day', ordered_at::date, date '{as_of}')::int age
            from order_lines join orders using (order_id) join c using (customer_id) join p using (product_id)
            where status = 'completed' and not is_return and quantity > 0
              and ordered_at < timestamp '{as_of + timedelta(days=1)}' order by u, j, age""").fetchnumpy()
        near = db.sql("""select a.j::int i, b.j::int j, strength::double / 100 s from related_products r
            join p a using (product_id) join p b on b.product_id = r.related_product_id""").fetchnumpy()
        return {
            **rows,
            "related": sp.csr_array(
                sp.coo_array((near["s"], (near["i"], near["j"])), shape=[len_of(db, "p")] * 2)
            ),
            "customers": db.sql("select customer_id from c order by u").to_arrow_table()["customer_id"],
            "products": db.sql("select product_id from p order by j").to_arrow_table()["product_id"],
            "category": db.sql(
                "select dense_rank() over (order by category) - 1 k, j from p order by j"
            ).fetchnumpy()["k"],
            "stock": db.sql("select s from p order by j").fetchnumpy()["s"].astype(bool),
            "draw": db.sql("select md5(customer_id) d from c order by u").fetchnumpy()["d"],
        }


def len_of(db: Any, table: str) -> int:
    return int(db.sql(f"select count(*) from {table}").fetchall()[0][0])


def run(root: Path, as_of: date) -> None:
    """Both lists of every customer."""
    shop = read(root, as_of)
    u, j, age = shop["u"], shop["j"], shop["age"]
    size = (len(shop["customers"]), len(shop["products"]))
    own = sp.csr_array(sp.coo_array((np.exp2(-age / 120).astype("f4"), (u, j)), shape=size))
    taste = sp.csr_array(sp.coo_array((np.exp2(-age / 60), (u, j)), shape=size))
    taste.data = np.sqrt(taste.data).astype("f4")
    pair = np.diff(u.astype("i8") * size[1] + j, prepend=-1) != 0
    first = np.roll(pair, -1)
    buyers = np.bincount(j[pair], minlength=size[1])
    may = shop["stock"] & (buyers >= 5)
    lately, new = (np.bincount(j[rows & (age < 30)], minlength=size[1]) for rows in (pair, first))
    lately, new = (counts / counts[shop["stock"]].max() for counts in (lately, new))
    related = (shop["related"] @ sp.diags_array((new + 0.02) ** 0.6 * may)).tocsr().astype("f4")
    length = sp.diags_array(1 / np.maximum(np.sqrt(own.power(2).sum(axis=1)), 1e-12))
    pool = np.sort(np.argsort(np.where(np.diff(own.indptr) > 0, shop["draw"], "~"), kind="stable")[:POOL])
    unit = (length @ own).tocsr().astype("f4")
    voices, seen = own[pool] @ sp.diags_array(may.astype("f4")), unit[pool].T.tocsr()
    with pq.ParquetWriter(root / "recommendations.parquet", SCHEMA) as out:
        for low in range(0, size[0], CHUNK):
            mine = slice(low, min(low + CHUNK, size[0]))
            owned = own[mine].toarray()
            near = alike(unit[mine] @ seen, pool, low)
            again = reorder(owned, near @ voices, lately, may, shop["stock"])
            out.write_table(table(shop, "reorder", low, again, COUNT))
            first = discover(owned, taste[mine] @ related, new, may)
            out.write_table(table(shop, "discover", low, first, PER_CATEGORY))


SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("list", pa.string()),
        ("rank", pa.int64()),
        ("product_id", pa.string()),
        ("score", pa.float64()),
    ]
)


def alike(near: Any, pool: Any, low: int) -> Any:
    """1/100 for each of the hundred most similar customers of the pool."""
    near = near.tocsr()
    near.data[pool[near.indices] == low + np.repeat(np.arange(near.shape[0]), np.diff(near.indptr))] = 0
    columns, rows = [], []
    for row in range(near.shape[0]):
        a, b = near.indptr[row], near.indptr[row + 1]
        best = np.argpartition(-near.data[a:b], NEAR)[:NEAR] if b - a > NEAR else np.arange(b - a)
        best = best[near.data[a:b][best] > 0]
        columns.append(near.indices[a:b][best])
        rows.append(np.full(len(best), row))
    where = (np.concatenate(rows), np.concatenate(columns))
    return sp.csr_array(sp.coo_array((np.full(len(where[0]), 1 / NEAR, "f4"), where), shape=near.shape))


def reorder(owned: Any, near: Any, lately: Any, may: Any, stock: Any) -> Any:
    scores = owned + 0.3 * near.toarray()
    scores /= np.maximum(owned.max(axis=1, keepdims=True), 1e-12)
    scores += (0.2 * lately).astype("f4")
    scores[~(((owned > 0) | may) & stock)] = -1
    return scores


def discover(owned: Any, goes_with: Any, new: Any, may: Any) -> Any:
    scores = goes_with.toarray()
    scores[owned > 0] = 0
    scores /= np.maximum(scores.max(axis=1, keepdims=True), 1e-12)
    scores += new.astype("f4")
    scores[owned > 0] = -1
    scores[:, ~may] = -1
    return scores


def table(shop: Any, name: str, low: int, scores: Any, most: int) -> pa.Table:
    """The best ten of each row with at most `most` of a category."""
    best = np.argpartition(-scores, LOOKED_AT, axis=1)[:, :LOOKED_AT]
    value = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    best, value = np.take_along_axis(best, order, axis=1), np.take_along_axis(value, order, axis=1)
    category = shop["category"][best]
    same = np.sum(np.tril(category[:, :, None] == category[:, None, :], -1), axis=2)
    rank = np.where(same < most, np.cumsum(same < most, axis=1), COUNT + 1)
    row, place = np.nonzero(rank <= COUNT)
    return pa.table(
        [
            shop["customers"].take(pa.array(low + row)).combine_chunks(),
            pa.repeat(name, len(row)),
            rank[row, place],
            shop["products"].take(pa.array(best[row, place])).combine_chunks(),
            value[row, place].astype(float),
        ],
        schema=SCHEMA,
    )
