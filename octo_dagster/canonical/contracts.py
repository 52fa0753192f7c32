"""What a shop's tables mean once they are ours: typed contracts, the same for every source.

The rules every table and every score keeps to, said once:

- Money is `decimal(18, 2)` in the reporting currency; `orders.currency` is what the customer paid in.
- Time is UTC without a zone; dates have no time; ids are text and empty text is null.
- **`net_amount` is what the customer paid, after every discount.**
- **A cancelled order never counts. A return reduces money and is never an order for recency or
  frequency.** An order without a customer is a guest's: it counts for products, never for customers.
- One row per key. A newer version of a row that breaks its contract is rejected, and no older version
  stands in for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Type:
    """How one kind of value is spelled in Arrow, in SQLAlchemy and in DuckDB."""

    arrow: pa.DataType
    sql: sa.types.TypeEngine[Any]
    duckdb: str
    fault: str
    """The reason written beside a value that cannot be read as it."""


TYPES: dict[str, Type] = {
    "text": Type(pa.string(), sa.Text(), "varchar", "not text"),
    "integer": Type(pa.int64(), sa.BigInteger(), "bigint", "not a number"),
    "quantity": Type(pa.decimal128(18, 3), sa.Numeric(18, 3), "decimal(18, 3)", "not a number"),
    "money": Type(pa.decimal128(18, 2), sa.Numeric(18, 2), "decimal(18, 2)", "not an amount"),
    "boolean": Type(pa.bool_(), sa.Boolean(), "boolean", "not yes or no"),
    "date": Type(pa.date32(), sa.Date(), "date", "not a date"),
    "timestamp": Type(pa.timestamp("us"), sa.DateTime(), "timestamp", "not a date"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a canonical table."""

    name: str
    type: str
    """A key of `TYPES`."""
    about: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    references: str | None = None
    """The canonical table that must hold this value, where that table exists."""
    default: str | None = None
    """What an empty value means."""
    past: bool = False
    """A value later than now is refused."""
    private: bool = False
    """Never shown among rejected rows."""


@dataclass(frozen=True, slots=True)
class Contract:
    """One canonical table: what a row says, which fields tell rows apart, what every field may hold."""

    name: str
    about: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field | None:
        """The field of this name; None when the contract has none."""
        return next((field for field in self.fields if field.name == name), None)

    @property
    def arrow(self) -> pa.Schema:
        """The columns of the contract in Arrow. A table may have more, as its sources carry them."""
        return pa.schema([pa.field(field.name, TYPES[field.type].arrow) for field in self.fields])

    def markdown(self) -> str:
        """The contract as a table for people."""
        lines = [f"### {self.name}", self.about, "", "| column | type | |", "|---|---|---|"]
        lines += [f"| {f.name}{'!' if f.required else ''} | {f.type} | {told(f)} |" for f in self.fields]
        return "\n".join(lines)


def told(field: Field) -> str:
    """Everything a person should know of a field, in one line."""
    return "; ".join(
        part
        for part in (
            field.about,
            f"one of {', '.join(field.allowed)}" if field.allowed else "",
            f"left out: {field.default}" if field.default else "",
            f"must be in {field.references}" if field.references else "",
            "never later than now" if field.past else "",
        )
        if part
    )


CHANNELS = "email, sms, mail, push, call … as the shop names them"

CUSTOMERS = Contract(
    "customers",
    "One person who may buy.",
    ("customer_id",),
    (
        Field("customer_id", "text", "the shop's id of the person", required=True),
        Field("email", "text", "as the shop has it", private=True),
        Field("phone", "text", "as the shop has it", private=True),
        Field("first_name", "text", "", private=True),
        Field("last_name", "text", "", private=True),
        Field("country", "text", "as the shop has it"),
        Field("postal_code", "text", "", private=True),
        Field("birth_date", "date", "", private=True),
        Field("created_at", "timestamp", "when the shop first knew the person"),
        Field("email_consent", "boolean", "may be written to by email; null: never asked"),
        Field("sms_consent", "boolean", "may be sent text messages; null: never asked"),
        Field("call_consent", "boolean", "may be called; null: never asked"),
    ),
)
ORDERS = Contract(
    "orders",
    "One purchase. Cancelled ones never count; returned ones reduce money only.",
    ("order_id",),
    (
        Field("order_id", "text", "the shop's id of the order", required=True),
        Field("customer_id", "text", "who bought; null for a guest", references="customers"),
        Field("ordered_at", "timestamp", "when it was placed", required=True, past=True),
        Field("status", "text", "", allowed=("completed", "cancelled", "returned"), default="completed"),
        Field("gross_amount", "money", "before discounts"),
        Field("discount_amount", "money", "gross minus net"),
        Field("net_amount", "money", "what the customer paid, after every discount", required=True),
        Field("currency", "text", "what the customer paid in; amounts are already converted"),
        Field("store_id", "text", "where"),
        Field("channel", "text", "web, store, phone …"),
    ),
)
ORDER_LINES = Contract(
    "order_lines",
    "One product of one order.",
    ("order_id", "line_no"),
    (
        Field("order_id", "text", "the order it belongs to", required=True, references="orders"),
        Field("line_no", "integer", "tells the lines of an order apart", required=True),
        Field("product_id", "text", "what was bought; null for a line that is no product"),
        Field("quantity", "quantity", "how many, or how much; below zero only for a return"),
        Field("gross_amount", "money", "of the whole line, before discounts"),
        Field("discount_amount", "money", "gross minus net"),
        Field("net_amount", "money", "of the whole line, after every discount"),
        Field("is_return", "boolean", "the line came back", default="false"),
    ),
)
PRODUCTS = Contract(
    "products",
    "One thing the shop sells.",
    ("product_id",),
    (
        Field("product_id", "text", "the shop's id of the product", required=True),
        Field("name", "text", ""),
        Field("category", "text", "one level, the one recommendations are made by"),
        Field("brand", "text", ""),
        Field("description", "text", ""),
        Field("image_url", "text", ""),
        Field("url", "text", ""),
        Field("price", "money", "today's price, in the reporting currency"),
        Field("in_stock", "boolean", "may be recommended; null: not known"),
        Field("created_at", "timestamp", "when it was first on sale"),
    ),
)
MESSAGES = Contract(
    "messages",
    "One message sent to one customer.",
    ("message_id",),
    (
        Field("message_id", "text", "", required=True),
        Field("customer_id", "text", "to whom", required=True, references="customers"),
        Field("channel", "text", CHANNELS),
        Field("campaign_id", "text", "what it was part of"),
        Field("sent_at", "timestamp", "", required=True, past=True),
    ),
)
MESSAGE_EVENTS = Contract(
    "message_events",
    "What a customer did with a message: delivered, opened, clicked, unsubscribed …",
    ("event_id",),
    (
        Field("event_id", "text", "", required=True),
        Field("message_id", "text", "of which message; null when nobody knows"),
        Field("customer_id", "text", "by whom", required=True, references="customers"),
        Field("channel", "text", CHANNELS),
        Field("event_type", "text", "as the source names it", required=True),
        Field("occurred_at", "timestamp", "", required=True, past=True),
    ),
)
VISITS = Contract(
    "visits",
    "One look at the shop or at a product.",
    ("visit_id",),
    (
        Field("visit_id", "text", "", required=True),
        Field("customer_id", "text", "who, where known", references="customers"),
        Field("product_id", "text", "what was looked at; null for a page without a product"),
        Field("visited_at", "timestamp", "", required=True, past=True),
    ),
)
STORES = Contract(
    "stores",
    "One place that sells.",
    ("store_id",),
    (
        Field("store_id", "text", "", required=True),
        Field("name", "text", ""),
        Field("city", "text", ""),
        Field("is_online", "boolean", "a web shop"),
    ),
)

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        CUSTOMERS,
        PRODUCTS,
        STORES,
        ORDERS,
        ORDER_LINES,
        MESSAGES,
        MESSAGE_EVENTS,
        VISITS,
    )
}
"""Every canonical table by name, each after the ones it refers to: conform them in this order."""


def sqlalchemy_table(name: str) -> sa.TableClause:
    """The canonical table as scores select from it. KeyError for a name that is not canonical."""
    fields = CONTRACTS[name].fields
    columns: list[sa.ColumnClause[Any]] = [sa.column(f.name, TYPES[f.type].sql) for f in fields]
    return sa.table(name, *columns)


REJECTED = pa.schema(
    [
        pa.field("run", pa.string()),
        pa.field("at", pa.timestamp("us")),
        *(
            pa.field(name, pa.string())
            for name in ("source", "table", "key", "origin", "field", "value", "reason", "others")
        ),
    ]
)
"""`rejected_rows`: one line for each refused row, with its first fault in the contract's order; the
other faults are listed in `others` as `field: reason; …`. `value` has at most 100 characters and is
`•••` for personal fields."""
