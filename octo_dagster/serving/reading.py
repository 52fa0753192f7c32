"""Reading the serving copy: one customer, one product, one audience, in hundredths of a millisecond."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from octo_dagster.errors import ConfigError
from octo_dagster.serving.publish import FILE, RECOMMENDED

Row = Mapping[str, Any]


class Ambiguous(Exception):
    """Several customers have the identifier that was asked for."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a copy says of itself."""

    profile: Mapping[str, str]
    """Column → Arrow type of a customer's row."""
    products: Mapping[str, str]
    kinds: frozenset[str]
    """By what a customer may be looked up, beside his id."""
    as_of: str | None


class Copy:
    """The newest serving copy there is: a publication is seen by the next question asked.

    One connection, for one thread; it never writes. ConfigError while nothing has been published."""

    def __init__(self, home: Path) -> None:
        self.path = home.absolute() / FILE
        self.opened: int | None = None

    def fresh(self) -> sqlite3.Connection:
        """The connection to the copy that is in place now."""
        try:
            now = self.path.stat().st_ino
        except FileNotFoundError:
            raise ConfigError("nothing is published yet: octo run, or octo serve --publish") from None
        if now != self.opened:
            self.connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
            self.shape = self.described()
            self.opened = now
        return self.connection

    def described(self) -> Shape:
        about = {name: json.loads(told) for name, told in self.connection.execute("select * from about")}
        kinds = frozenset(
            kind for (kind,) in self.connection.execute("select distinct kind from identifiers")
        )
        return Shape(about["profile"], about.get("products", {}), kinds, about["as_of"])

    def customer(self, customer_id: str) -> Row | None:
        """The profile of the customer with this id; None when there is none."""
        return self.row("customers", "customer_id", customer_id)

    def product(self, product_id: str) -> Row | None:
        """The product with this id."""
        return self.row("products", "product_id", product_id)

    def row(self, table: str, key: str, value: str) -> Row | None:
        found = self.fresh().execute(f"select told from {table} where {key} = ?", (value,)).fetchone()
        if found is None:
            return None
        names = self.shape.profile if table == "customers" else self.shape.products
        return dict(zip(names, orjson.loads(found[0]), strict=True))

    def whose(self, kind: str, value: str) -> str | None:
        """The id of the customer who has this e-mail, phone or other identifier, whatever its case; None when
        nobody has. Ambiguous when several have."""
        asked = (kind, value.strip().lower())
        query = "select distinct customer_id from identifiers where kind = ? and value = ? limit 2"
        found = self.fresh().execute(query, asked).fetchall()
        if len(found) > 1:
            raise Ambiguous(kind)
        return found[0][0] if found else None

    def audiences(self, customer_id: str) -> dict[str, str]:
        """Audience → the day he entered it, of those he is in."""
        query = "select audience, entered_on from members where customer_id = ? order by audience"
        return dict(self.fresh().execute(query, (customer_id,)).fetchall())

    def members(self, audience: str, after: str, most: int) -> Sequence[tuple[str, str]]:
        """The next members of an audience by customer id, and when each entered."""
        query = """select customer_id, entered_on from members
                   where audience = ? and customer_id > ? order by customer_id limit ?"""
        found: list[tuple[str, str]] = self.fresh().execute(query, (audience, after, most)).fetchall()
        return found

    def recommendations(self, customer_id: str) -> dict[str, list[Row]]:
        """List → its products, best first, each with what the shop says of it; empty without any."""
        lists: dict[str, list[Row]] = {}
        for entry in self.entries("recommendations", "customer_id", customer_id):
            told = dict(zip(RECOMMENDED, entry, strict=True))
            lists.setdefault(told.pop("list"), []).append({**told, **self.shown(told["product_id"])})
        return lists

    def related(self, product_id: str) -> list[Row]:
        """The products that go with this one, best first."""
        return [
            {"rank": rank, "product_id": other, "strength": strength, **self.shown(other)}
            for rank, (other, strength) in enumerate(
                self.entries("related", "product_id", product_id), start=1
            )
        ]

    def entries(self, table: str, key: str, value: str) -> list[Any]:
        found = self.fresh().execute(f"select told from {table} where {key} = ?", (value,)).fetchone()
        return orjson.loads(found[0]) if found else []

    def shown(self, product_id: str) -> dict[str, Any]:
        """What a page shows of a product."""
        product = self.product(product_id) or {}
        return {name: product.get(name) for name in SHOWN}


SHOWN = ("name", "category", "brand", "price", "image_url", "url")
