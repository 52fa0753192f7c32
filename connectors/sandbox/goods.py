"""What shops sell, in plain words that each shop's twin spells its own way; and a small shop, made up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

CATEGORIES = ("Thé", "Café", "Tasses", "Douceurs")
PRODUCTS = 24
CUSTOMERS = 150
YEARS = 2
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    """`quantity` of a product in an order; `off` is the discount of the whole line."""

    number: int
    product: int
    quantity: int
    price: Decimal
    off: Decimal = Decimal(0)

    @property
    def full(self) -> Decimal:
        return self.price * self.quantity


@dataclass(frozen=True)
class Order:
    """An order; a guest's has no customer. `state` is completed, cancelled or returned."""

    number: int
    customer: int | None
    lines: tuple[Line, ...]
    state: str = "completed"
    shipping: Decimal = Decimal("4.90")
    refund: Decimal = Decimal(0)

    @property
    def off(self) -> Decimal:
        return sum((line.off for line in self.lines), Decimal(0))

    @property
    def total(self) -> Decimal:
        return sum((line.full for line in self.lines), self.shipping) - self.off


@dataclass(frozen=True)
class Buyer:
    """Somebody of the made shop, and how he buys."""

    number: int
    since: datetime
    pause: float
    """Days between two orders, on average."""
    until: datetime
    """When he stops."""
    consents: bool

    @property
    def email(self) -> str:
        return f"customer{self.number}@example.com"


def buyers(now: datetime) -> list[Buyer]:
    """The same people each time, as long before `now`: regulars, rare ones, and some who stopped."""
    chance = Random(4)  # noqa: S311 - a made shop, the same for everybody who tries it
    made = []
    for number in range(1, CUSTOMERS + 1):
        since = now - timedelta(days=chance.uniform(5, YEARS * 365))
        stops = now - timedelta(days=chance.uniform(90, 500)) if chance.random() < 0.4 else now
        consents = chance.random() < 0.85
        made.append(Buyer(number, since, chance.choice((15, 30, 60, 120)), stops, consents))
    return made


def price(product: int) -> Decimal:
    return Decimal(290 + product * 137 % 2400) * CENT


def orders(people: list[Buyer], now: datetime) -> Iterator[tuple[datetime, Order]]:
    """What they bought up to `now`, oldest first."""
    chance = Random(5)  # noqa: S311
    times = []
    for buyer in people:
        at = buyer.since + timedelta(minutes=5)
        while at < now and (at < buyer.until or at < buyer.since + timedelta(hours=1)):
            times.append((at, buyer.number))
            at += timedelta(days=chance.expovariate(1 / buyer.pause))
    for number, (at, customer) in enumerate(sorted(times), start=1001):
        lines = tuple(bought(chance, number * 10 + place) for place in range(chance.choice((1, 1, 2, 3))))
        state = chance.choices(("completed", "cancelled", "returned"), (94, 3, 3))[0]
        yield at, Order(number, customer, lines, state)


def bought(chance: Random, number: int) -> Line:
    """A line; a fifth of them are sold for a fifth less."""
    product, quantity = chance.randint(1, PRODUCTS), chance.choice((1, 1, 1, 2))
    full = price(product) * quantity
    off = (full / 5).quantize(CENT) if chance.random() < 0.2 else Decimal(0)
    return Line(number, product, quantity, price(product), off)


def opened(now: datetime) -> datetime:
    """When the made shop began."""
    return now.astimezone(UTC) - timedelta(days=YEARS * 365 + 1)
