"""Recommendations with pictures: what is shown most, by category, what goes with what, and who is covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from octo_dagster.pages.board import Board, Row
from octo_dagster.pages.page import Page
from octo_dagster.pages.render import board
from octo_dagster.pages.scores.sheet import absent, sheet
from octo_dagster.pages.scores.who import Chosen, listed

router = APIRouter()
page = Page("recommendations", "/recommendations", router, "scores", 60)
SCORES = ("recommendations", "related_products", "category_recommendations")

SHOWN = 12
"""Products of a list."""
FIRST = 3
"""Places of a customer's list that count as shown to him first."""
DETAILS = ("name", "category", "price", "image_url", "url")
LISTS = """
select list, cast(sum(firsts) as bigint) as customers, count(*) as products, max(longest) as longest
from (select "list" as list, product_id, count(*) filter (where rank = 1) as firsts, max(rank) as longest
      from recommendations group by 1, 2)
group by 1 order by 1"""
"""A row a product first: a quarter of the time of counting them distinct."""
REASONS = """select "list" as list, reason, count(*) as places from recommendations where rank <= $first
             group by all order by list, places desc, reason"""
POPULAR = """
select "list" as list, product_id, count(*) as customers from recommendations
where rank <= $first {chosen} group by "list", product_id
qualify row_number() over (partition by "list" order by count(*) desc, product_id) <= $shown"""
CATEGORIES = """select category, count(*) as customers from category_recommendations where rank = 1
                group by 1 order by 2 desc, 1 limit 20"""
CHOICES = """select distinct category from recommendations
             where rank <= $first and category is not null order by 1"""
RELATED = """select related_product_id as product_id, strength, rank from related_products
             where product_id = $product order by rank limit $shown"""
FOUND = """select product_id from products where product_id = $asked or name ilike $like
           order by product_id = $asked desc, name, product_id limit 20"""
OF_PRODUCT = """select customer_id from recommendations
                where product_id = $product and "list" = $list and rank <= $first"""
OF_CATEGORY = "select customer_id from category_recommendations where category = $category and rank = 1"
STRONGEST = """select product_id from recommendations where "list" = 'reorder' and rank = 1
               group by 1 order by count(*) desc, 1 limit 1"""


@router.get("/recommendations")
def recommendations(request: Request, category: str = "", product: str = "", find: str = "") -> Response:
    """Lists, categories and neighbours."""
    told = board(request)
    if (instead := absent(request, "recommendations", *SCORES)) is not None:
        return instead
    has = told.has("recommendations")
    near = neighbours(told, product, find)
    return sheet(
        request, "scores/recommended.html", "recommendations", *SCORES,
        lists=told.select(LISTS) if has else [], everybody=everybody(told), stock=stock(told),
        reasons=reasons(told) if has else {}, popular=popular(told, category) if has else {},
        choices=[row["category"] for row in told.select(CHOICES, {"first": FIRST})] if has else [],
        category=category, categories=told.select(CATEGORIES) if told.has("category_recommendations") else [],
        find=find, first=FIRST, **near,
    )  # fmt: skip


@router.get("/recommendations/who")
def who(request: Request, product: str = "", list: str = "", category: str = "", skip: int = 0) -> Response:  # noqa: A002 - the address says so
    """Who sees a product among the first of a list, or is recommended a category first."""
    told = board(request)
    table = "category_recommendations" if category else "recommendations"
    if not told.has(table) or skip < 0:
        raise HTTPException(404)
    asked = {"category": category} if category else {"product": product, "list": list}
    name = category or described(told, [{"product_id": product}])[0]["name"] or product
    bound = asked if category else {**asked, "first": FIRST}
    chosen = Chosen(
        OF_CATEGORY if category else OF_PRODUCT,
        bound,
        name,
        "/recommendations",
        "/recommendations/who",
        asked,
    )
    return listed(request, "recommendations", chosen, skip)


def everybody(told: Board) -> int:
    """How many customers there are."""
    return int(told.one("select count(*) as n from customers")["n"]) if told.has("customers") else 0


def stock(told: Board) -> Row:
    """How many products the shop has, and how many of them with a picture."""
    there = told.columns("products")
    if not there:
        return {"products": 0, "pictured": 0}
    pictured = "count(image_url)" if "image_url" in there else "0"
    return told.one(f"select count(*) as products, {pictured} as pictured from products")


def reasons(told: Board) -> dict[str, list[Row]]:
    """List → its reasons among everybody's first places, the most frequent first."""
    return grouped(told.select(REASONS, {"first": FIRST}))


def popular(told: Board, category: str) -> dict[str, list[Row]]:
    """List → the products most customers see first, of one category or of all."""
    bound = {"first": FIRST, "shown": SHOWN} | ({"category": category} if category else {})
    sql = POPULAR.format(chosen="and category = $category" if category else "")
    found = sorted(told.select(sql, bound), key=lambda row: (-row["customers"], row["product_id"]))
    return dict(sorted(grouped(described(told, found)).items()))


def grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each list."""
    held: dict[str, list[Row]] = {}
    for row in rows:
        held.setdefault(row["list"], []).append(row)
    return held


def neighbours(told: Board, product: str, find: str) -> Mapping[str, Any]:
    """What goes with a product: the one asked for, the first found, or the one bought again most."""
    none: Mapping[str, Any] = {"near": None, "found": [], "related": []}
    if not told.has("related_products"):
        return none
    found = described(told, searched(told, find)) if find.strip() else []
    asked = product or (str(found[0]["product_id"]) if found else "" if find.strip() else bought_again(told))
    if not asked:
        return none
    near = described(told, [{"product_id": asked}])[0]
    related = told.select(RELATED, {"product": asked, "shown": SHOWN})
    return {"near": near, "found": found, "related": described(told, related)}


def searched(told: Board, find: str) -> list[Row]:
    """The products of that id, or with that in their name."""
    if "name" not in told.columns("products"):
        return []
    text = find.strip()
    like = "".join(f"\\{one}" if one in "\\%_" else one for one in text)
    return told.select(FOUND.replace("$like", "$like escape '\\'"), {"asked": text, "like": f"%{like}%"})


def bought_again(told: Board) -> str:
    """The product most customers are shown first to buy again; empty where there is none."""
    rows = told.select(STRONGEST) if told.has("recommendations") else []
    rows = rows or told.select("select product_id from related_products order by strength desc, 1 limit 1")
    return str(rows[0]["product_id"]) if rows else ""


def described(told: Board, rows: Sequence[Row]) -> list[Row]:
    """The rows with what the shop says of their products; what it does not say is None."""
    there = [name for name in DETAILS if name in told.columns("products")]
    ids = sorted({str(row["product_id"]) for row in rows})
    known: dict[str, Row] = {}
    if there and ids:
        bound = {f"p{at}": one for at, one in enumerate(ids)}
        places = ", ".join(f"${name}" for name in bound)
        sql = f"select product_id, {', '.join(there)} from products where product_id in ({places})"
        known = {row["product_id"]: row for row in told.select(sql, bound)}
    return [{**dict.fromkeys(DETAILS), **known.get(row["product_id"], {}), **row} for row in rows]
