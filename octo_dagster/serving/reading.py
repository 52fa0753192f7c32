"""Reading the serving copy: one customer, one product, one audience, in hundredths of a millisecond."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from octo_dagster.errors import ConfigError
from octo_dagster.serving.publish import FILE
from octo_dagster.serving.touch import TOUCHED

Row = Mapping[str, Any]

MAPPED = 2_000_000_000
"""Bytes of the copy that are read as memory."""
RETRIES = 5
REMEMBERED = 50_000
"""Products whose picture and price are kept at hand."""
SHOWN = ("name", "category", "brand", "price", "image_url", "url")
"""What a page shows of a product."""


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


class Edition:
    """One serving copy, open, as it was at one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        told = connection.execute("select name, told from about")
        about = {name: json.loads(text) for name, text in told}
        kinds = frozenset(about.get("identifiers", ()))
        self.shape = Shape(about["profile"], about.get("products", {}), kinds, about["as_of"])
        self.products: dict[str, dict[str, Any]] = {}

    @contextmanager
    def still(self) -> Iterator[None]:
        """Within it all answers are of one moment, whatever is written meanwhile."""
        self.connection.execute("begin")
        try:
            yield
        finally:
            self.connection.execute("commit")

    def version(self) -> str:
        """What tells this moment of the copy from any other: its file, and how far it was touched since."""
        file = self.connection.execute("pragma database_list").fetchone()[2]
        touched = self.connection.execute("select told from about where name = ?", (TOUCHED,)).fetchone()
        return f"{Path(file).stem.removeprefix('serving-')}.{touched[0] if touched else 0}"

    def customer(self, customer_id: str) -> Row | None:
        """The profile of the customer with this id; None when there is none."""
        return self.row("customers", "customer_id", customer_id)

    def product(self, product_id: str) -> Row | None:
        """The product with this id."""
        return self.row("products", "product_id", product_id)

    def row(self, table: str, key: str, value: str) -> Row | None:
        told = self.told(table, key, value)
        if told is None:
            return None
        names = self.shape.profile if table == "customers" else self.shape.products
        return dict(zip(names, orjson.loads(told), strict=True))

    def told(self, table: str, key: str, value: str) -> str | None:
        query = f"select told from {table} where {key} = ?"
        found = self.connection.execute(query, (value,)).fetchone()
        return found[0] if found else None

    def whose(self, kind: str, value: str) -> str | None:
        """The id of the customer who has this e-mail, phone or other identifier, whatever its case; None when
        nobody has. Ambiguous when several have."""
        asked = (kind, value.strip().lower())
        query = "select distinct customer_id from identifiers where kind = ? and value = ? limit 2"
        found = self.connection.execute(query, asked).fetchall()
        if len(found) > 1:
            raise Ambiguous(kind)
        return found[0][0] if found else None

    def audiences(self, customer_id: str) -> dict[str, str]:
        """Audience → the day he entered it, of those he is in."""
        query = "select audience, entered_on from members where customer_id = ? order by audience"
        return dict(self.connection.execute(query, (customer_id,)).fetchall())

    def members(self, audience: str, after: str, most: int) -> Sequence[tuple[str, str]]:
        """The next members of an audience by customer id, and when each entered."""
        query = """select customer_id, entered_on from members
                   where audience = ? and customer_id > ? order by customer_id limit ?"""
        found: list[tuple[str, str]] = self.connection.execute(query, (audience, after, most)).fetchall()
        return found

    def recommendations(self, customer_id: str) -> dict[str, list[Row]]:
        """List → its products, best first, each with what the shop says of it; empty without any."""
        lists: dict[str, list[Row]] = {}
        for name, rank, product_id, reason, text in self.entries(
            "recommendations", "customer_id", customer_id
        ):
            told = {"rank": rank, "product_id": product_id, "reason": reason, "reason_text": text}
            lists.setdefault(name, []).append(told | self.shown(product_id))
        return lists

    def related(self, product_id: str) -> list[Row]:
        """The products that go with this one, best first."""
        entries = self.entries("related", "product_id", product_id)
        return [
            {"rank": rank, "product_id": other, "strength": strength, **self.shown(other)}
            for rank, (other, strength) in enumerate(entries, start=1)
        ]

    def entries(self, table: str, key: str, value: str) -> list[Any]:
        told = self.told(table, key, value)
        return orjson.loads(told) if told else []

    def shown(self, product_id: str) -> dict[str, Any]:
        """What a page shows of a product."""
        known = self.products.get(product_id)
        if known is None:
            if len(self.products) > REMEMBERED:
                self.products.clear()
            product = self.product(product_id) or {}
            known = self.products[product_id] = {name: product.get(name) for name in SHOWN}
        return known


class Copy:
    """The newest serving copy there is: what is published, or changed in place, the next question sees.

    One connection, for one thread; it never writes. ConfigError while nothing has been published."""

    def __init__(self, home: Path) -> None:
        self.path = home.absolute() / FILE
        self.opened: tuple[int, int] | None = None

    def fresh(self) -> Edition:
        """The copy as it is now, for one question: what several answers are put together from."""
        place = self.place()
        if self.opened is None or self.opened[0] != place:
            self.edition = Edition(self.connected())
            self.opened = (place, changes(self.edition.connection))
        elif (at := changes(self.edition.connection)) != self.opened[1]:
            self.edition = Edition(self.edition.connection)
            self.opened = (place, at)
        return self.edition

    def place(self) -> int:
        """What tells this copy from the next: an open file's number is given to no other."""
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            raise ConfigError("nothing is published yet: octo run, or octo serve --publish") from None

    def connected(self) -> sqlite3.Connection:
        """The copy, opened by its own name, after which its WAL is named."""
        for _ in range(RETRIES):
            try:
                made = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=ro", uri=True)
                made.execute(f"pragma mmap_size = {MAPPED}")
                made.execute("select 1 from about").fetchone()
            except sqlite3.OperationalError:
                continue  # replaced since its name was read
            return made
        raise ConfigError(f"{FILE} cannot be opened: octo serve --publish writes it anew")

    @property
    def shape(self) -> Shape:
        """What the copy says of itself."""
        return self.fresh().shape

    def customer(self, customer_id: str) -> Row | None:
        """`Edition.customer`, now; so are those below."""
        return self.fresh().customer(customer_id)

    def product(self, product_id: str) -> Row | None:
        return self.fresh().product(product_id)

    def whose(self, kind: str, value: str) -> str | None:
        return self.fresh().whose(kind, value)

    def audiences(self, customer_id: str) -> dict[str, str]:
        return self.fresh().audiences(customer_id)

    def members(self, audience: str, after: str, most: int) -> Sequence[tuple[str, str]]:
        return self.fresh().members(audience, after, most)

    def recommendations(self, customer_id: str) -> dict[str, list[Row]]:
        return self.fresh().recommendations(customer_id)

    def related(self, product_id: str) -> list[Row]:
        return self.fresh().related(product_id)


def changes(connection: sqlite3.Connection) -> int:
    """A number that moves with every change another connection makes."""
    return int(connection.execute("pragma data_version").fetchone()[0])
