"""What the twins of shops share: records by table and id, and a hand that edits while pages are turned."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar

from connectors.sandbox import goods
from connectors.sandbox.goods import CATEGORIES, Order
from connectors.sandbox.twin import Twin

Record = dict[str, Any]


class Shop(Twin):
    """A shop's account. Tests put records in with `put`, as the vendor spells them."""

    own_faults: ClassVar[frozenset[str]] = frozenset()
    tables: ClassVar[tuple[str, ...]] = ("customers", "products", "orders")

    def reset(self) -> None:
        self.records: dict[str, dict[int, Record]] = {table: {} for table in self.tables}
        self.pages = 0
        self.meanwhile: Callable[[int], None] | None = None
        """Called after every page of a list, with how many there have been: an edit of somebody else's."""

    @abstractmethod
    def put(self, table: str, number: int, **fields: Any) -> None:
        """Make or change a record, as the vendor spells it: it is modified now."""

    @abstractmethod
    def customer(self, number: int, email: str, *, name: str = "Zoé", consents: bool = True) -> None:
        """Somebody signs up, or is changed."""

    @abstractmethod
    def product(
        self, number: int, name: str, *, category: str = CATEGORIES[0], price: Decimal = Decimal("19.90")
    ) -> None:
        """Something is put up for sale, or changed."""

    @abstractmethod
    def order(self, order: Order) -> None:
        """Somebody buys, or an order changes."""

    def stock(self) -> int:
        """Two years of a small shop, made up, each thing at its time; how many orders there are then."""
        with self.lock:
            clock, now = self.clock, self.now()
            people, began = goods.buyers(now), goods.opened(now)
            bought = [(at, partial(self.order, order)) for at, order in goods.orders(people, now)]
            shelves = [
                (began, partial(self.product, n, f"{kind} n° {n}", category=kind, price=goods.price(n)))
                for n in range(1, goods.PRODUCTS + 1)
                for kind in [CATEGORIES[n % len(CATEGORIES)]]
            ]
            came = [
                (one.since, partial(self.customer, one.number, one.email, consents=one.consents))
                for one in people
            ]
            try:
                for at, happens in sorted([*shelves, *came, *bought], key=lambda told: told[0]):
                    self.clock = at.timestamp
                    happens()
            finally:
                self.clock = clock
        return len(bought)

    def holdings(self) -> Mapping[str, list[Record]]:
        return {table: [flat(record) for record in self.records[table].values()] for table in self.tables}

    def served(self) -> None:
        """A page of a list went out."""
        self.pages += 1
        if self.meanwhile:
            self.meanwhile(self.pages)

    def now(self) -> datetime:
        """The clock, in whole seconds of UTC."""
        return datetime.fromtimestamp(int(self.clock()), UTC)


def flat(record: Record) -> Record:
    """A record as one line of a table: lists as how many there are."""
    return {name: len(value) if isinstance(value, list) else value for name, value in record.items()}
