"""One small shop in plain words, as three vendors spell it, and what our tables must then hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from connectors.registry import sources
from connectors.sandbox.goods import Line, Order
from connectors.sandbox.server import Sandbox
from octo_dagster import document
from octo_dagster.canonical.conform import conform
from octo_dagster.canonical.intake import Intake
from octo_dagster.canonical.pull import Pulled, pull
from octo_dagster.source import Outside
from octo_dagster.warehouse import Warehouse
from tests.conftest import Clock

EXAMPLES = Path(__file__).parents[3] / "connectors/sources/examples"
Truth = dict[str, dict[tuple[str, ...], tuple[Any, ...]]]


@dataclass(frozen=True)
class Vendor:
    """How one vendor spells the shop, and what it cannot say."""

    name: str
    env: Mapping[str, str]
    erased: Callable[[Any, str, int], None]
    refunds: bool = True
    """Whether an order says what was paid back of it."""
    line_discounts: bool = True


def gone(twin: Any, table: str, number: int) -> None:
    """Deleted for good: no list has it any more."""
    del twin.records[table][number]


def flagged(twin: Any, table: str, number: int) -> None:
    """PrestaShop keeps a customer who is deleted, and says so."""
    if table == "customers":
        twin.put(table, number, deleted="1")
    else:
        gone(twin, table, number)


VENDORS = (
    Vendor(
        "woocommerce",
        {"WOOCOMMERCE_KEY": "ck_sandbox", "WOOCOMMERCE_SECRET": "cs_sandbox"},
        gone,
    ),
    Vendor(
        "shopify",
        {"SHOPIFY_CLIENT_ID": "sandbox-client", "SHOPIFY_CLIENT_SECRET": "sandbox-secret"},
        gone,
    ),
    Vendor(
        "prestashop",
        {"PRESTASHOP_KEY": "SANDBOXWEBSERVICEKEY0000000000000"},
        flagged,
        refunds=False,
        line_discounts=False,
    ),
)


@dataclass
class Front:
    """A shop at its vendor, and our tables of it."""

    vendor: Vendor
    sandbox: Sandbox
    clock: Clock
    folder: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Other sizes of pages than the ready file's: resource → its `pages.size`."""
    customers: dict[int, str] = field(default_factory=dict)
    products: dict[int, str] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)

    @property
    def twin(self) -> Any:
        return self.sandbox.twin(self.vendor.name)

    @cached_property
    def intake(self) -> Intake:
        """The ready file as it is, but for the size of its pages."""
        told = yaml.safe_load((EXAMPLES / f"{self.vendor.name}.yaml").read_text(encoding="utf-8"))
        for resource in told["source"]["resources"].values():
            if size := self.changes.get("size"):
                resource["pages"] |= {"size": size} if resource["pages"]["by"] == "number" else {}
                if "json" in resource:
                    resource["json"]["query"] = smaller(resource["json"]["query"], size)
        path = self.folder / f"{self.vendor.name}.yaml"
        path.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")
        return document.load(path, Intake, {"sources": sources()})

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.folder / "warehouse")

    @property
    def outside(self) -> Outside:
        return Outside(self.sandbox.address, self.sleep, self.clock)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.sleep(seconds)

    def customer(self, number: int, email: str) -> None:
        self.customers[number] = email
        self.twin.customer(number, email)
        if self.vendor.name == "woocommerce" and number % 7 == 0:
            self.twin.put("customers", number, role="administrator")

    def product(self, number: int, name: str) -> None:
        self.products[number] = name
        self.twin.product(number, name)

    def order(self, order: Order) -> None:
        self.orders[order.number] = order
        self.twin.order(order)

    def edit(self, number: int, **changed: Any) -> None:
        self.order(replace(self.orders[number], **changed))

    def stock(self, orders: int, *, every: float = 60) -> None:
        """Customers, products and orders, each of its own time."""
        for number in range(1, 8):
            self.customer(number, f"zoé{number}@example.com")
            self.product(number, f"Thé n° {number}")
            self.clock.sleep(every)
        for number in range(1, orders + 1):
            self.order(bought(number))
            self.clock.sleep(every)

    def pull(self, *tables: str) -> dict[str, Pulled]:
        """Pull and judge these tables, or all."""
        made = self.fetch(*tables)
        for table in made:
            conform(table, [self.intake], self.warehouse, self.clock.now(), "run")
        return made

    def fetch(self, *tables: str) -> dict[str, Pulled]:
        """Pull these tables, or all."""
        intake, now = self.intake, self.clock.now()
        asked = tables or intake.tables
        return {table: pull(intake, table, self.warehouse, now, self.outside) for table in asked}

    def held(self, *tables: str) -> Truth:
        """What our tables hold."""
        return {table: rows(self.warehouse, table, COLUMNS[table]) for table in tables or COLUMNS}

    def check(self, *tables: str) -> None:
        """Our tables are what the shop is."""
        truth = self.truth()
        assert self.held(*tables) == {table: truth[table] for table in tables or COLUMNS}

    def truth(self) -> Truth:
        """What they must hold."""
        lines = self.vendor.line_discounts
        paid_back = self.vendor.refunds
        return {
            "customers": {(str(n),): (email,) for n, email in self.customers.items()},
            "products": {(str(n),): (name, Decimal("19.90"), True) for n, name in self.products.items()},
            "orders": {
                (str(o.number),): (
                    str(o.customer) if o.customer else None,
                    o.state,
                    o.off,
                    o.total - (o.refund if paid_back else 0),
                    "EUR",
                )
                for o in self.orders.values()
            },
            "order_lines": {
                (str(o.number), str(one.number)): (
                    str(one.product),
                    Decimal(one.quantity),
                    one.full - (one.off if lines else 0),
                )
                for o in self.orders.values()
                for one in o.lines
            },
        }


COLUMNS = {
    "customers": (1, "customer_id, email"),
    "products": (1, "product_id, name, price, in_stock"),
    "orders": (1, "order_id, customer_id, status, discount_amount, net_amount, currency"),
    "order_lines": (2, "order_id, line_no::text, product_id, quantity, net_amount"),
}


def rows(warehouse: Warehouse, table: str, told: tuple[int, str]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    parts, columns = told
    with warehouse.connect() as connection:
        found = connection.sql(f"select {columns} from {table}").fetchall()
    return {row[:parts]: row[parts:] for row in found}


def bought(number: int) -> Order:
    """The n-th order: every fifth a guest's, of one to three lines, with a cent that no float can hold."""
    lines = tuple(
        Line(
            number * 10 + place,
            1 + (number + place) % 7,
            place,
            Decimal("0.1") * number,
            Decimal("0.05") * (place - 1),
        )
        for place in range(1, 2 + number % 3)
    )
    return Order(number, None if number % 5 == 0 else 1 + number % 7, lines)


def smaller(query: str, size: int) -> str:
    """A GraphQL query with shorter pages."""
    head, _, rest = query.partition("(first: ")
    return f"{head}(first: {size}, {rest.partition(', ')[2]}"
