"""Repurchase rhythm within each product category: one row per customer and category, and chosen columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date
from hashlib import md5
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Picture, Tables, Told, score
from octo_dagster.scoring.measures import cycles
from octo_dagster.scoring.measures.cycles import (
    SHRINKAGE,
    SINGLE,
    STAGES,
    TOO_FEW,
    Label,
    Minimum,
    Shrinkage,
    Stages,
)
from octo_dagster.scoring.portable import either
from octo_dagster.words import Language

CATEGORIES = """select category as row, rfi_label as "column", customers from rhythm_shares_by_category
    order by sum(customers) over (partition by category) desc, category, least_ratio, rfi_label"""
LATEST = """select category as label, count(*) filter (where rfi_days_late > 0) as customers,
    count(*) as of_customers from rhythm_by_category group by 1 order by 2 desc, 1"""
KEY = ("customer_id", "category")
Category = Annotated[str, Field(min_length=1)]


@score(
    reads=("orders", "order_lines", "products"),
    key=KEY,
    settings_from="rhythm",
    columns={
        "customer_id": ("text", "Who bought in the category"),
        "category": ("text", "The product category"),
        "rfi_label": ("text", "How far into the own cycle of the category, in a word", "rfi_ratio"),
        "rfi_ratio": ("decimal", "Days since the last purchase ÷ the cycle, rounded down"),
        "rfi_avg_delay": ("decimal", "The cycle: usual days from one purchase in the category to the next"),
        "rfi_next_expected_date": ("date", "The first day by which a whole cycle has passed"),
        "rfi_days_late": ("integer", "Days past the expected date; 0 for who is not late"),
        "rfi_purchase_days": ("integer", "Days (UTC) with a purchase in the category"),
        "rfi_cycle_source": ("text", "What the cycle was drawn from: own, category, population"),
        "return_index": ("decimal", "For ranking: the likelier to buy in the category soon, the higher"),
    },
    picture=Picture("bars", LATEST, "Categories with most customers past their usual wait"),
)
def rhythm_by_category(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    minimum: Minimum = 2,
    shrinkage: Shrinkage = SHRINKAGE,
    stages: Stages = STAGES,
    single: Label = SINGLE,
    too_few: Label = TOO_FEW,
    repeat_buyers: Annotated[int, Field(ge=1)] = 30,
    language: Language = "en",
) -> sa.Select[Any]:
    """How far each customer is into the cycle he buys a category in: `rhythm`, within each category.

    A category with at least `repeat_buyers` customers who came back to it has a usual cycle of its own;
    the others share that of all categories together. Stages and labels are those of `rhythm`. Lines that came
    back, and products without a category, do not count."""
    cycles.check_stages(stages, (single, too_few))
    histories = cycles.histories(category_days(tables, as_of), KEY)
    cycled = with_cycles(histories, shrinkage, repeat_buyers)
    p = cycles.positions(cycled, as_of).c
    apart = cycles.apart(p, minimum, (single, too_few), language)
    return sa.select(
        p.customer_id,
        p.category,
        cycles.stage_label(p, stages, apart, language).label("rfi_label"),
        p.ratio.label("rfi_ratio"),
        p.cycle.label("rfi_avg_delay"),
        p.due_on.label("rfi_next_expected_date"),
        p.days_late.label("rfi_days_late"),
        p.purchases.label("rfi_purchase_days"),
        source(p).label("rfi_cycle_source"),
        p.return_index,
    )


def category_days(tables: Tables, as_of: date) -> sa.Subquery:
    """One row per customer, category and day of purchase."""
    orders, lines, products = tables["orders"], tables["order_lines"], tables["products"]
    kept = sa.and_(
        sa.func.coalesce(lines.c.is_return, sa.false()).is_(sa.false()),
        sa.func.coalesce(lines.c.quantity, 1) > 0,
    )
    return (
        sa.select(
            orders.c.customer_id,
            products.c.category,
            sa.cast(orders.c.ordered_at, sa.Date).label("bought_on"),
        )
        .select_from(orders)
        .join(lines, lines.c.order_id == orders.c.order_id)
        .join(products, products.c.product_id == lines.c.product_id)
        .where(cycles.purchases(orders, as_of), products.c.category.is_not(None), kept)
        .distinct()
        .subquery("category_days")
    )


def with_cycles(histories: sa.CTE, shrinkage: int, repeat_buyers: int) -> sa.Subquery:
    """The histories with their `cycle`, and whether the usual gap in it is the category's own (`typical`)."""
    h = histories.c
    usual = cycles.usual_gap(histories, shrinkage)
    came_back = sa.func.sum(either(h.purchases > 1, 1, 0))
    typical = (
        sa.select(h.category, usual.label("usual"))
        .group_by(h.category)
        .having(came_back >= repeat_buyers)
        .subquery("typical")
    )
    anybody = sa.select(usual).scalar_subquery()
    cycle = cycles.own_cycle(histories, sa.func.coalesce(typical.c.usual, anybody), shrinkage)
    joined = histories.outerjoin(typical, typical.c.category == h.category)
    return (
        sa.select(*h, cycle.label("cycle"), typical.c.usual.is_not(None).label("typical"))
        .select_from(joined)
        .subquery("cycled")
    )


def source(p: cycles.Columns) -> sa.ColumnElement[Any]:
    """Where the cycle comes from, in a word; null where there is none."""
    own = either(p.purchases > 1, "own+category", "category")
    all_ = either(p.purchases > 1, "own+population", "population")
    return either(p.cycle.is_not(None), either(p.typical, own, all_))


def chosen_columns(settings: Mapping[str, Any]) -> dict[str, Told]:
    """`rfi_label_SLUG` for each chosen category."""
    names = column_names(settings["categories"])
    return {
        name: ("text", f"How far into the own cycle of the category {category}, in a word")
        for category, name in names.items()
    }


def column_names(categories: Sequence[str]) -> dict[str, str]:
    """Category → its column: its letters a–z and digits; where an earlier one has that name, or there is
    none of these letters, with six digits of its own: adding a category never renames another's column."""
    names: dict[str, str] = {}
    for category in categories:
        plain = unicodedata.normalize("NFKD", category).encode("ascii", "ignore").decode().lower()
        slug = re.sub("[^a-z0-9]+", "_", plain).strip("_")[:40].rstrip("_")
        name = f"rfi_label_{slug}"
        if not slug or name in names.values():
            own = md5(category.encode(), usedforsecurity=False).hexdigest()[:6]
            name = f"rfi_label_{slug}_{own}" if slug else f"rfi_label_{own}"
        names[category] = name
    return names


@score(reads=("rhythm_by_category",), columns=chosen_columns)
def rhythm_of_categories(
    tables: Tables, *, as_of: date, categories: tuple[Category, ...] = ()
) -> sa.Select[Any]:
    """The label of `rhythm_by_category` for chosen categories, one column each on the customer profile.

    Empty for who never bought in the category; no row for who bought in none of them. Without chosen
    categories there are no columns, and the score is left out."""
    if len(set(categories)) < len(categories):
        raise ConfigError("categories: one is given twice")
    r = tables["rhythm_by_category"].c
    labels = [
        sa.func.max(either(r.category == category, r.rfi_label)).label(name)
        for category, name in column_names(categories).items()
    ]
    return sa.select(r.customer_id, *labels).where(r.category.in_(categories)).group_by(r.customer_id)


@score(
    reads=("rhythm_by_category",),
    key=("category", "rfi_label"),
    columns={
        "category": ("text", "The product category"),
        "rfi_label": ("text", "How far into the own cycle of the category", "customers"),
        "customers": ("integer", "How many who bought in the category"),
        "share": ("decimal", "Of all who bought in the category, 0 to 1"),
        "least_ratio": ("decimal", "The smallest share of the cycle passed among them"),
    },
    picture=Picture("matrix", CATEGORIES, "Purchase rhythm by product category"),
)
def rhythm_shares_by_category(tables: Tables, *, as_of: date) -> sa.Select[Any]:
    """How many customers of each category are early, late or gone."""
    r = tables["rhythm_by_category"].c
    return cycles.shares(sa.select(r.category, r.rfi_label, r.rfi_ratio).subquery(), "category")
