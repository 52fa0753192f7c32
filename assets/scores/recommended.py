"""Recommendations as columns of the customer, ready for an email's template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import Field

from octo_dagster.errors import ConfigError
from octo_dagster.score import Tables, Told, score
from octo_dagster.scoring.portable import either, joined
from octo_dagster.words import Language, Speaker

Part = Literal["ids", "names", "categories", "descriptions", "image_urls", "urls", "prices", "reasons"]
Separator = Annotated[str, Field(min_length=1, max_length=10)]

PARTS: Mapping[str, tuple[str, str]] = {
    "ids": ("product_id", "id"),
    "names": ("name", "name"),
    "categories": ("category", "category"),
    "descriptions": ("description", "description"),
    "image_urls": ("image_url", "image_url"),
    "urls": ("url", "url"),
    "prices": ("price", "price"),
    "reasons": ("reason_text", "reason"),
}
"""Part → the column it is read from, and its name where every product has columns of its own."""


def slots(settings: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Every rank and part, product by product."""
    return ((rank, part) for rank in range(1, settings["count"] + 1) for part in settings["fields"])


def columns(settings: Mapping[str, Any]) -> Mapping[str, Told]:
    """One column for each part's list, or one for each part of each product."""
    told: dict[str, Told] = {}
    if settings["format"] == "list":
        for part in settings["fields"]:
            told[f"recommended_product_{part}"] = ("text", f"The {part} of the products, best first")
        told["recommended_categories"] = ("text", "The categories, best first")
        return told
    for rank, part in slots(settings):
        kind = "decimal" if part == "prices" else "text"
        told[f"recommended_product_{rank}_{PARTS[part][1]}"] = (kind, f"Product {rank}: its {PARTS[part][1]}")
    for rank in range(1, settings["categories"] + 1):
        told[f"recommended_category_{rank}"] = ("text", f"Category {rank}")
    return told


def because(row: Mapping[str, Any], settings: Mapping[str, Any], language: Language = "en", /) -> list[str]:
    """Each product with its reason, where the settings ask for both."""
    if not {"names", "reasons"} <= set(settings["fields"]):
        return []
    if settings["format"] == "list":
        names, reasons = (
            (row[f"recommended_product_{part}"] or "").split(settings["text_separator"])
            for part in ("names", "reasons")
        )
    else:
        ranks = range(1, settings["count"] + 1)
        names, reasons = (
            [row[f"recommended_product_{rank}_{word}"] for rank in ranks] for word in ("name", "reason")
        )
    tell = Speaker(language).tell
    told = zip(names, reasons, strict=True)
    return [tell("because.recommended", name=name, reason=reason) for name, reason in told if name]


@score(
    reads=("recommendations", "category_recommendations"),
    optional=("products",),
    columns=columns,
    because=because,
)
def recommended(  # noqa: PLR0913 - every keyword is a setting of the score
    tables: Tables,
    *,
    as_of: date,
    source: Literal["discover", "reorder"] = "discover",
    format: Literal["list", "columns"] = "list",  # noqa: A002 - as people call it
    count: Annotated[int, Field(ge=1, le=20)] = 5,
    categories: Annotated[int, Field(ge=0, le=10)] = 3,
    fields: Annotated[tuple[Part, ...], Field(min_length=1)] = ("ids", "names", "reasons"),
    id_separator: Separator = ", ",
    text_separator: Separator = " | ",
) -> sa.Select[Any]:
    """The first products of a list and the first categories, one row per customer.

    In lists every field has as many entries as there are products: what the shop does not say is empty, so
    that the second image is the second product's. A separator in a text becomes `/`; ids are left alone."""
    if "/" in text_separator:
        raise ConfigError("text_separator: `/` is what stands for a separator within a text: take another")
    if len(set(fields)) < len(fields):
        raise ConfigError("fields: one is given twice")
    wanted = [PARTS[field][0] for field in fields]
    products = by_rank(products_of(tables, source), dict.fromkeys(["product_id", *wanted]), count)
    favourites = by_rank(sa.select(tables["category_recommendations"]).subquery(), ["category"], categories)
    cells: list[sa.ColumnElement[Any]]
    if format == "columns":
        cells = [products.c[f"{name}_{rank}"] for rank in range(1, count + 1) for name in wanted]
        cells += [favourites.c[f"category_{rank}"] for rank in range(1, categories + 1)]
    else:
        separators = {"ids": id_separator}
        cells = [
            listed(products, PARTS[field][0], count, separators.get(field, text_separator))
            for field in fields
        ]
        cells.append(list_of_categories(favourites, categories, text_separator))
    given = {"format": format, "count": count, "categories": categories, "fields": fields}
    return (
        sa.select(
            products.c.customer_id,
            *(cell.label(name) for cell, name in zip(cells, columns(given), strict=True)),
        )
        .select_from(products)
        .outerjoin(favourites, favourites.c.customer_id == products.c.customer_id)
    )


def products_of(tables: Tables, source: str) -> sa.Subquery:
    """The rows of one list with all the shop says of their products."""
    r, p = tables["recommendations"].c, tables["products"].c
    return (
        sa.select(
            r.customer_id,
            r["rank"],
            r.product_id,
            sa.func.coalesce(p.name, r.product_id).label("name"),
            r.category,
            p.description,
            p.image_url,
            p.url,
            p.price,
            r.reason_text,
        )
        .select_from(tables["recommendations"])
        .outerjoin(tables["products"], p.product_id == r.product_id)
        .where(r["list"] == source)
        .subquery("products_of")
    )


def by_rank(rows: sa.Subquery, names: Iterable[str], most: int) -> sa.Subquery:
    """One row per customer: each column of his first `most` rows as NAME_RANK."""
    cells = {
        f"{name}_{rank}": sa.func.max(either(rows.c["rank"] == rank, rows.c[name]))
        for name in names
        for rank in range(1, most + 1)
    }
    return (
        sa.select(rows.c.customer_id, *(cell.label(name) for name, cell in cells.items()))
        .where(rows.c["rank"] <= most)
        .group_by(rows.c.customer_id)
        .subquery()
    )


def listed(products: sa.Subquery, name: str, count: int, separator: str) -> sa.ColumnElement[str]:
    """One column of all products as a list, empty where nothing is known."""
    entries = []
    for rank in range(1, count + 1):
        plain = sa.func.coalesce(sa.cast(products.c[f"{name}_{rank}"], sa.Text()), "")
        text = plain if name == "product_id" else told(plain, separator)
        entries.append(either(products.c[f"product_id_{rank}"].is_not(None), text))
    return joined(sa.literal(separator), *entries)


def list_of_categories(favourites: sa.Subquery, most: int, separator: str) -> sa.ColumnElement[Any]:
    """The categories as a list; null for none."""
    if not most:
        return sa.null()
    entries = [told(favourites.c[f"category_{rank}"], separator) for rank in range(1, most + 1)]
    return sa.func.nullif(joined(sa.literal(separator), *entries), "")


def told(text: sa.ColumnElement[Any], separator: str) -> sa.ColumnElement[str]:
    """The text without what cuts the list."""
    return sa.func.replace(text, separator.strip() or separator, "/")
